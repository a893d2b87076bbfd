"""Cells as Dagster partitions: two dimensions, `period` and `zenith_moon`, because Dagster allows no third.

What belongs here: partition definitions. The text of a key is made by `core.cell.Cell` alone.
"""

import dagster as dg

from magicpy_assets.core import moons, zeniths
from magicpy_assets.core.cell import Cell

PERIOD = "period"
ZENITH_MOON = "zenith_moon"


def zenith_moon_keys() -> list[str]:
    """Return the keys of the second dimension, zenith by zenith, darkest moon level first."""
    return [f"{zenith.name}-{moon.key}" for zenith in zeniths.ALL for moon in moons.ALL]


def cells(periods: list[str]) -> dg.MultiPartitionsDefinition:
    """Return the cells of some periods as partitions."""
    return dg.MultiPartitionsDefinition(
        {
            PERIOD: dg.StaticPartitionsDefinition(periods),
            ZENITH_MOON: dg.StaticPartitionsDefinition(zenith_moon_keys()),
        }
    )


def cell_of(context: dg.AssetExecutionContext) -> Cell:
    """Return the cell that a step is to make."""
    return Cell.parse(context.partition_key)
