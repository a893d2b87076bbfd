"""Moon levels by night-sky background (NSB, in units of dark sky), and what each asks of the cleaning.

Both tables, `tables/moons.csv` and `tables/cleaning.csv`, name the source of every row.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

from magicpy_assets.core.csvtables import rows
from magicpy_assets.core.errors import InputError, OutOfRangeError, UnknownNameError, unknown

if TYPE_CHECKING:
    import pandas as pd

NO_FILTER = ("none", "No_Filter", "")


@dataclass(frozen=True, order=True)
class Moon:
    """A moon level: NSB in units of dark sky, lower edge included, upper edge not."""

    nsb_low: float
    nsb_high: float
    name: str
    key: str

    def __contains__(self, nsb: float) -> bool:
        return self.nsb_low <= nsb < self.nsb_high

    def __str__(self) -> str:
        return self.key


@dataclass(frozen=True)
class Cleaning:
    """What a noise level asks for: cleaning levels, size cut, pedestal mean and RMS, all in photo-electrons."""

    nsb_low: float
    nsb_high: float
    hv: str
    optical_filter: str
    level1_phe: float
    level2_phe: float
    size_cut_phe: float
    pedestal_mean_phe: float
    pedestal_rms_phe: float
    source: str

    def __contains__(self, nsb: float) -> bool:
        return self.nsb_low <= nsb < self.nsb_high


ALL: tuple[Moon, ...] = tuple(
    Moon(float(row["nsb_low"]), float(row["nsb_high"]), row["name"], row["key"]) for row in rows("moons")
)
WeakMoon, ModerateMoon, DecentMoon, StrongMoon, HighMoon = ALL


def by_name(name: str) -> Moon:
    """Return the level with that name (`WeakMoon`) or key (`weak`)."""
    for moon in ALL:
        if name in (moon.name, moon.key):
            return moon
    raise unknown("moon level", name, [moon.key for moon in ALL])


def of_nsb(nsb: float) -> Moon:
    """Return the level that an NSB (units of dark sky) belongs to.

    Raises
    ------
    OutOfRangeError
        For a negative NSB, or one above the brightest level.
    """
    for moon in ALL:
        if nsb in moon:
            return moon
    near = ALL[0] if nsb < ALL[0].nsb_low else ALL[-1]
    raise OutOfRangeError(
        f"NSB {nsb:g} x dark is in no moon level; the nearest is {near.key}",
        hint=f"levels cover {ALL[0].nsb_low:g} to {ALL[-1].nsb_high:g} x dark",
    )


@cache
def cleanings(hv: str = "nominal", optical_filter: str = "none") -> tuple[Cleaning, ...]:
    """Return the rows of the cleaning table for a high-voltage setting and filter, darkest first."""
    wanted = "none" if optical_filter in NO_FILTER else optical_filter.lower()
    found = tuple(row for row in _CLEANINGS if (row.hv, row.optical_filter) == (hv, wanted))
    if not found:
        known = sorted({f"{row.hv} HV, filter {row.optical_filter}" for row in _CLEANINGS})
        raise unknown("combination", f"{hv} HV, filter {wanted}", known)
    return found


def cleaning(nsb: float, hv: str = "nominal", optical_filter: str = "none") -> Cleaning:
    """Return the cleaning for an NSB (units of dark sky).

    Raises
    ------
    OutOfRangeError
        For an NSB at which that setting is not used, naming the range in which it is.
    """
    found = cleanings(hv, optical_filter)
    for row in found:
        if nsb in row:
            return row
    raise OutOfRangeError(
        f"no cleaning level for NSB {nsb:g} x dark with {hv} HV and filter {optical_filter}",
        hint=f"that setting is used from {found[0].nsb_low:g} to {found[-1].nsb_high:g} x dark",
    )


def cleaning_of(moon: Moon, hv: str = "nominal", optical_filter: str = "none") -> Cleaning:
    """Return the cleaning of a moon level: that of the brightest sky in it that the table knows for the setting."""
    found = [
        row for row in cleanings(hv, optical_filter) if row.nsb_low < moon.nsb_high and row.nsb_high > moon.nsb_low
    ]
    if not found:
        raise OutOfRangeError(
            f"no cleaning level for {moon.name} with {hv} HV and filter {optical_filter}",
            hint="above 8 x dark MAGIC observes with reduced HV or a filter",
        )
    return found[-1]


@dataclass(frozen=True)
class Treatment:
    """What is done with a run, as its own sky, voltage and filter ask.

    Attributes
    ----------
    cleaning
        The row of the cleaning table; None if there is none.
    fault
        Why its images cannot be cleaned; empty if they can.
    aside
        Why it goes no further than superstar; empty if it does.
    """

    cleaning: Cleaning | None
    fault: str = ""
    aside: str = ""


@lru_cache(maxsize=200_000)
def treatment(nsb: float, hv: str = "nominal", optical_filter: str = "none") -> Treatment:
    """Decide how a run is treated: the one rule for plans, programs and documents.

    A run is cleaned by the row of its own sky (units of dark sky), voltage and filter. What was taken through a filter
    is set aside after superstar: no Monte Carlo loses light to it. So is reduced voltage in a cell whose forests are
    made for nominal voltage.
    """
    try:
        row = cleaning(nsb, hv, optical_filter)
    except (OutOfRangeError, UnknownNameError) as error:
        return Treatment(None, error.message, error.message)
    if row.optical_filter != "none":
        why = f"taken through the {row.optical_filter.upper()} filter: there is no Monte Carlo with the light it takes"
        return Treatment(row, aside=why)
    moon = of_nsb(nsb)
    if row.hv != voltage_of(moon):
        why = f"taken with {row.hv} high voltage: forests for {moon.key} moon are made for {voltage_of(moon)}"
        return Treatment(row, aside=why)
    return Treatment(row)


@cache
def voltage_of(moon: Moon) -> str:
    """Return the high voltage that a moon level is observed with, as far as its forests go: reduced above 8 x dark."""
    bright = all(row.nsb_high <= moon.nsb_low for row in cleanings())
    return "reduced" if bright else "nominal"


def target(moon: Moon, observed: Iterable[tuple[float, float]] = ()) -> Cleaning:
    """Return the noise that OFF data and Monte Carlo of a moon level are brought to, and how they are cleaned.

    A level that one row describes has that row. Where there are several (reduced voltage), it is the one in which most
    time was observed, the darkest if none was.

    Parameters
    ----------
    observed
        NSB (units of dark sky) and duration (s) of the runs that were observed in the level with its voltage.
    """
    hv = voltage_of(moon)
    if hv == "nominal":
        return cleaning_of(moon)
    found = [row for row in cleanings(hv) if row.nsb_low < moon.nsb_high and row.nsb_high > moon.nsb_low]
    time_s = dict.fromkeys(found, 0.0)
    for nsb, duration_s in observed:
        for row in found:
            if nsb in row:
                time_s[row] += duration_s
    return max(found, key=lambda row: (time_s[row], -row.nsb_low))


def from_pedestal(
    mean_phe: float, rms_phe: float, hv: str = "nominal", optical_filter: str = "none"
) -> tuple[float, Moon]:
    """Estimate the NSB (units of dark sky) from the pedestal RMS, and the moon level it belongs to.

    The table gives one pedestal for each NSB range; it is taken to hold at the middle of the range, and between the
    middles the RMS is interpolated. The mean, which rises with the NSB too, stands in where the RMS is not a number.

    Raises
    ------
    InputError
        If neither is a number.
    """
    found = cleanings(hv, optical_filter)
    if math.isfinite(rms_phe):
        nsb = _interpolate(rms_phe, sorted((row.pedestal_rms_phe, middle_nsb(row)) for row in found))
    elif math.isfinite(mean_phe):
        nsb = _interpolate(mean_phe, sorted((row.pedestal_mean_phe, middle_nsb(row)) for row in found))
    else:
        raise InputError(f"no moon level follows from a pedestal of mean {mean_phe} and RMS {rms_phe} phe")
    nsb = min(max(nsb, 0.0), ALL[-1].nsb_high - 1e-6)
    return nsb, of_nsb(nsb)


def middle_nsb(row: Cleaning) -> float:
    """Return the NSB at which a row's pedestal is taken to hold: 1 for dark sky, else the middle of its range."""
    return 1.0 if row.nsb_high == 1 else 0.5 * (row.nsb_low + row.nsb_high)


def _interpolate(x: float, points: list[tuple[float, float]]) -> float:
    """Go through points along straight lines, the outer ones prolonged."""
    pairs = list(pairwise(points))
    if not pairs:
        return points[0][1]
    for (x0, y0), (x1, y1) in pairs:
        if x < x1 or (x1, y1) == points[-1]:
            return y0 + (x - x0) / (x1 - x0) * (y1 - y0)
    raise AssertionError("unreachable")


def table() -> pd.DataFrame:
    """Return the moon levels as a table: `name`, `key`, `nsb_low`, `nsb_high`."""
    import pandas as pd

    return pd.DataFrame(
        [(m.name, m.key, m.nsb_low, m.nsb_high) for m in ALL], columns=["name", "key", "nsb_low", "nsb_high"]
    )


_CLEANINGS: tuple[Cleaning, ...] = tuple(
    Cleaning(
        float(row["nsb_low"]),
        float(row["nsb_high"]),
        row["hv"],
        row["filter"],
        float(row["level1_phe"]),
        float(row["level2_phe"]),
        float(row["size_cut_phe"]),
        float(row["pedestal_mean_phe"]),
        float(row["pedestal_rms_phe"]),
        row["source"],
    )
    for row in rows("cleaning")
)
