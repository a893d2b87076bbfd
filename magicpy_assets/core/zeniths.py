"""The zenith ranges of the Monte Carlo and the forests. A run belongs where its mean zenith distance lies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from magicpy_assets.core.errors import OutOfRangeError, unknown

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, order=True)
class Zenith:
    """A range of zenith distance in degrees, lower edge included, upper edge not."""

    low_deg: float
    high_deg: float

    @property
    def name(self) -> str:
        """As in the names of Monte Carlo files: `za05to35`."""
        return f"za{self.low_deg:02.0f}to{self.high_deg:02.0f}"

    def __contains__(self, zd_deg: float) -> bool:
        return self.low_deg <= zd_deg < self.high_deg

    def __str__(self) -> str:
        return self.name


za05to35 = Zenith(5, 35)
za35to50 = Zenith(35, 50)
za50to62 = Zenith(50, 62)
za62to70 = Zenith(62, 70)

ALL: tuple[Zenith, ...] = (za05to35, za35to50, za50to62, za62to70)


def by_name(name: str) -> Zenith:
    """Return the range with that name."""
    for zenith in ALL:
        if zenith.name == name:
            return zenith
    raise unknown("zenith range", name, [zenith.name for zenith in ALL])


def of(zd_deg: float) -> Zenith:
    """Return the range that a zenith distance (deg) lies in.

    Raises
    ------
    OutOfRangeError
        Below 5 or from 70 degrees on, naming the nearest range.
    """
    for zenith in ALL:
        if zd_deg in zenith:
            return zenith
    near = ALL[0] if zd_deg < ALL[0].low_deg else ALL[-1]
    raise OutOfRangeError(
        f"zenith distance {zd_deg:.1f} deg is in no zenith range; the nearest is {near.name}",
        hint=f"ranges cover {ALL[0].low_deg:.0f} to {ALL[-1].high_deg:.0f} deg",
    )


def table() -> pd.DataFrame:
    """Return the ranges as a table: `name`, `low_deg`, `high_deg`."""
    import pandas as pd

    return pd.DataFrame(
        {"name": [z.name for z in ALL], "low_deg": [z.low_deg for z in ALL], "high_deg": [z.high_deg for z in ALL]}
    )
