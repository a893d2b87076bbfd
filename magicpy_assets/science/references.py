"""What a healthy cell looks like: rates and image parameters by zenith range and moon level, and events kept by level.

Two tables with a source in every row: `tables/cells.csv`, measured on the embedded observatory, and
`tables/counts.csv`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from magicpy_assets.core.csvtables import rows

DATA, GAMMA = "data", "gamma"


@dataclass(frozen=True)
class Reference:
    """Medians of the images of a cell after cleaning, both telescopes together, and the stereo rate.

    Attributes
    ----------
    rate_hz
        Events of superstar per second; None for Monte Carlo.
    size_phe, width_mm, length_mm
        Medians.
    """

    rate_hz: float | None
    size_phe: float
    width_mm: float
    length_mm: float

    @property
    def images(self) -> dict[str, float]:
        """The medians by the names of the columns of star files."""
        return {"size_phe": self.size_phe, "width_mm": self.width_mm, "length_mm": self.length_mm}


@dataclass(frozen=True)
class Survival:
    """Which share of what came before a level should be left in it."""

    of: str
    lowest: float
    highest: float


@cache
def _cells() -> dict[tuple[str, str, str], Reference]:
    return {
        (row["kind"], row["zenith"], row["moon"]): Reference(
            float(row["rate_hz"]) if row["rate_hz"] else None,
            float(row["size_phe"]),
            float(row["width_mm"]),
            float(row["length_mm"]),
        )
        for row in rows("cells", "science")
    }


def reference(kind: str, zenith: str, moon: str) -> Reference | None:
    """Return what a cell should look like, or None where nothing has been measured.

    Parameters
    ----------
    kind
        `DATA`, nearly all hadrons, or `GAMMA`, simulated gamma rays.
    zenith, moon
        Names as in cells: `za05to35`, `weak`.
    """
    return _cells().get((kind, zenith, moon))


@cache
def survival(level: str) -> Survival:
    """Return what should be left at a level, by its key; raises KeyError for one that is not in the table."""
    found = {row["level"]: row for row in rows("counts", "science")}[level]
    return Survival(found["of"], float(found["lowest"]), float(found["highest"]))
