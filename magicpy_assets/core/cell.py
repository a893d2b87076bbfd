"""The cell: period x zenith range x moon level, and the one codec of its texts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date

from magicpy_assets.core import moons, periods, zeniths
from magicpy_assets.core.errors import InputError
from magicpy_assets.core.moons import Moon
from magicpy_assets.core.periods import Period
from magicpy_assets.core.zeniths import Zenith

_TEXT = re.compile(r"(?P<period>[^|/]+)[|/](?P<zenith>za\d\dto\d\d)[-/](?P<moon>[a-z]+)")


@dataclass(frozen=True, order=True)
class Cell:
    """Period, zenith range and moon level: what settings, forests and results belong to."""

    period: Period
    zenith: Zenith
    moon: Moon

    @property
    def text(self) -> str:
        """For people: `ST0316/za35to50/weak`."""
        return f"{self.period.name}/{self.zenith.name}/{self.moon.key}"

    @property
    def key(self) -> str:
        """For Dagster, which allows two dimensions: `ST0316|za35to50-weak`."""
        return f"{self.period.name}|{self.zenith_moon}"

    @property
    def zenith_moon(self) -> str:
        """The second dimension: `za35to50-weak`."""
        return f"{self.zenith.name}-{self.moon.key}"

    @property
    def folder(self) -> str:
        """In the store: `ST0316/za35to50-weak`."""
        return f"{self.period.name}/{self.zenith_moon}"

    def __str__(self) -> str:
        return self.text

    @classmethod
    def parse(cls, text: str) -> Cell:
        """Read any of the texts above.

        Raises
        ------
        InputError
            If it has another form.
        UnknownNameError
            If a part is not known, with the nearest names.
        """
        match = _TEXT.fullmatch(text)
        if match is None:
            raise InputError(f"{text!r} is not a cell", hint="write it as ST0316/za35to50/weak")
        return cls(periods.by_name(match["period"]), zeniths.by_name(match["zenith"]), moons.by_name(match["moon"]))

    @classmethod
    def of(cls, *, date: date, zd_deg: float, nsb: float, periods_: tuple[Period, ...] | None = None) -> Cell:
        """Return the cell of an observation: MAGIC date, zenith distance (deg), NSB (units of dark sky).

        Raises
        ------
        OutOfRangeError
            If it is in no period, zenith range or moon level, naming the neighbours.
        """
        return cls(periods.of_date(date, periods_), zeniths.of(zd_deg), moons.of_nsb(nsb))
