"""The observing periods, by name and by date. Dates are MAGIC dates: the morning after.

A period may have several date ranges; a date between them belongs to none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import TYPE_CHECKING

from magicpy_assets.core.csvtables import rows
from magicpy_assets.core.errors import OutOfRangeError, unknown

if TYPE_CHECKING:
    import pandas as pd

Range = tuple[date, date | None]


@dataclass(frozen=True, order=True)
class Period:
    """A period and its date ranges, both ends included; an end of None is open."""

    name: str
    ranges: tuple[Range, ...]

    def __contains__(self, day: date) -> bool:
        return any(begin <= day and (end is None or day <= end) for begin, end in self.ranges)

    def __str__(self) -> str:
        return self.name


@cache
def all_periods() -> tuple[Period, ...]:
    """Return the periods of the table, oldest first."""
    ranges: dict[str, list[Range]] = {}
    for row in rows("periods"):
        end = date.fromisoformat(row["end"]) if row["end"] else None
        ranges.setdefault(row["name"], []).append((date.fromisoformat(row["begin"]), end))
    found = [Period(name, tuple(sorted(given, key=lambda item: item[0]))) for name, given in ranges.items()]
    return tuple(sorted(found, key=lambda period: period.ranges[0][0]))


def normal_name(name: str) -> str:
    """Return the one name of a period: `ST.03.16`, `ST0316A` and `st0316` are all `ST0316`."""
    plain = re.sub(r"[.\s_]", "", name).upper()
    return re.sub(r"^((?:ST|M1|M2)\d{4})A$", r"\1", plain)


def by_name(name: str, periods: tuple[Period, ...] | None = None) -> Period:
    """Return the period with that name, in any of its spellings."""
    known = all_periods() if periods is None else periods
    wanted = normal_name(name)
    for period in known:
        if period.name == wanted:
            return period
    raise unknown("period", name, [period.name for period in known])


def of_date(day: date, periods: tuple[Period, ...] | None = None) -> Period:
    """Return the period that a MAGIC date belongs to.

    Raises
    ------
    OutOfRangeError
        For a date in no period, naming the periods before and after it.
    """
    known = all_periods() if periods is None else periods
    for period in known:
        if day in period:
            return period
    spans = sorted((begin, end, period.name) for period in known for begin, end in period.ranges if end is not None)
    spans += sorted((begin, date.max, period.name) for period in known for begin, end in period.ranges if end is None)
    before = [f"{name} ends on {end}" for begin, end, name in spans if end < day]
    after = [f"{name} begins on {begin}" for begin, end, name in spans if begin > day]
    neighbours = ", ".join(before[-1:] + after[:1])
    raise OutOfRangeError(f"{day} is in no period: {neighbours}", hint="`magicpy_assets.periods.table()` lists them")


def table() -> pd.DataFrame:
    """Return a row per date range: `name`, `begin`, `end` (None if open), `source`."""
    import pandas as pd

    return pd.DataFrame(rows("periods"))


def __getattr__(name: str) -> Period:
    if re.fullmatch(r"(ST|M1|M2)[\d.]+A?", name):
        try:
            return by_name(name)
        except LookupError as error:
            raise AttributeError(str(error)) from error
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *(period.name for period in all_periods())])
