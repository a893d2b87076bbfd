"""Cells without data: marked as made and empty, with the reason, so that they do not look like work to do."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

import dagster as dg

from magicpy_assets.core.cell import Cell
from magicpy_assets.defs.level import no_data
from magicpy_assets.pipeline.session import Session
from magicpy_assets.pipeline.versions import needed_cells

if TYPE_CHECKING:
    import pandas as pd

MOST_EVENTS = 200
"""Marks that are made at one time; a mark is a row in the database of events."""
SHARED = ""


@dataclass(frozen=True)
class Marked:
    """Assets that have the same partitions, of one source or (`SHARED`) of all.

    Attributes
    ----------
    source
        The source, or `SHARED`.
    partitions
        Their keys: of cells, or names of periods.
    assets
        Keys of the assets.
    """

    source: str
    partitions: Sequence[str]
    assets: Sequence[dg.AssetKey]

    def without_data(self, observed: Mapping[str, set[Cell]]) -> list[str]:
        """Return the partitions in which nothing was observed."""
        cells = observed.get(self.source, set())
        full = {cell.key for cell in cells} | {cell.period.name for cell in cells}
        return [key for key in self.partitions if key not in full]


def observed_cells(session: Session, runs: "pd.DataFrame") -> dict[str, set[Cell]]:
    """Return the cells in which each source of the settings has runs, and (`SHARED`) any of them."""
    mine = runs[runs["source"].isin(session.settings.sources) & (runs["cell"] != "")]
    found = {str(name): {Cell.parse(text) for text in table["cell"].unique()} for name, table in mine.groupby("source")}
    return found | {SHARED: needed_cells(session, runs)}


def signature(groups: Sequence[Marked], observed: Mapping[str, set[Cell]]) -> str:
    """Return what changes when other cells have to be marked."""
    told = [(group.source, group.without_data(observed), [str(key) for key in group.assets]) for group in groups]
    return sha256(repr(told).encode()).hexdigest()[:16]


def marks(
    instance: dg.DagsterInstance, groups: Sequence[Marked], observed: Mapping[str, set[Cell]], most: int = MOST_EVENTS
) -> Iterator[dg.AssetMaterialization]:
    """Return marks for the cells without data of which Dagster knows nothing yet, so many at most."""
    left = most
    for group in groups:
        empty = group.without_data(observed)
        for asset in group.assets if empty else ():
            known = instance.get_materialized_partitions(asset)
            for key in [key for key in empty if key not in known][: max(left, 0)]:
                left -= 1
                reason = no_data(Cell.parse(key)) if "|" in key else f"no data: the catalogue holds no run in {key}"
                yield dg.AssetMaterialization(asset, partition=key, metadata={"empty": reason, "why": reason})
