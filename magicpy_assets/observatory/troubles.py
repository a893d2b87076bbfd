"""Trouble on purpose: which runs of the simulated observatory something went wrong with, and what.

The table names a run by its night, its source and its place among the runs of that source in that night. Nothing of it
is served: who reads the files and reports has to find out. Clouds, runs of one telescope and runs of the sum trigger
are planned, not planted: the programme and the sky have those.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib.resources import files
from pathlib import Path

from magicpy_assets.core.errors import ConfigError, unknown
from magicpy_assets.core.runs import DataFile
from magicpy_assets.observatory.run_plans import RunPlan

TRUNCATED, EMPTY, MISSING = "truncated", "empty", "missing"
NO_DRIVE, REPLACED, TAPE = "no_drive", "replaced", "tape"
WRONG_NSB, NO_L1 = "wrong_nsb", "no_l1"
IN_CONTENT = (TRUNCATED, EMPTY, MISSING, NO_DRIVE, REPLACED)
"""The kinds that show in what the calibrated files of a run hold."""


@dataclass(frozen=True)
class Kind:
    """A kind of trouble: what it means, what its value is (empty if it has none), and whether it is of one file."""

    meaning: str
    value: str = ""
    of_file: bool = False


KINDS = {
    TRUNCATED: Kind("a file is cut short", "share of its bytes that is left", of_file=True),
    EMPTY: Kind("a file has no bytes", of_file=True),
    MISSING: Kind("a file is not there", of_file=True),
    NO_DRIVE: Kind("the calibrated files have no drive report"),
    REPLACED: Kind("a file is replaced once it has been sent", "factor of the charges before"),
    TAPE: Kind("the files are on tape until asked for", "seconds until they are read"),
    WRONG_NSB: Kind("the run report is wrong about the brightness of the sky", "reported over true"),
    NO_L1: Kind("the run report has a first-level rate of 0"),
}


@dataclass(frozen=True)
class Trouble:
    """One thing that went wrong.

    Attributes
    ----------
    kind
        One of ``KINDS``, which says what ``value`` means.
    date, source, nth
        The run: the nth (from 1, in order of time) of a source in the night to a date.
    telescope, subrun
        The file; None for all files of the run.
    """

    kind: str
    date: date
    source: str
    nth: int
    telescope: int | None = None
    subrun: int | None = None
    value: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise unknown("kind of trouble", self.kind, KINDS)
        kind = KINDS[self.kind]
        if (self.value is not None) != bool(kind.value):
            raise ConfigError(f"{self} has {self.value} as a value; it should be {kind.value or 'empty'}.")
        if kind.of_file and None in (self.telescope, self.subrun):
            raise ConfigError(f"{self} is of one file; which telescope and subrun?")

    def __str__(self) -> str:
        return f"trouble {self.kind!r} of run {self.nth} of {self.source} in the night to {self.date}"

    def concerns(self, name: DataFile) -> bool:
        """Tell whether a file of its run has this trouble."""
        return self.telescope in (None, name.telescope) and self.subrun in (None, name.subrun)


class Planted:
    """The troubles of a programme, by run number; those of nights that it does not have are left out.

    Raises
    ------
    ConfigError
        If a trouble is of a run, or a file of a run, that was not taken in its night.
    """

    def __init__(self, plans: Sequence[RunPlan], troubles: Iterable[Trouble]) -> None:
        self._of_run: dict[int, tuple[Trouble, ...]] = {}
        taken: dict[tuple[date, str], list[RunPlan]] = defaultdict(list)
        for plan in sorted(plans, key=lambda plan: plan.start_mjd):
            taken[plan.date, plan.source].append(plan)
        observed = {plan.date for plan in plans}
        for trouble in troubles:
            if trouble.date not in observed:
                continue
            runs = taken[trouble.date, trouble.source]
            if not 1 <= trouble.nth <= len(runs):
                raise ConfigError(f"{trouble}: the programme has {len(runs)} runs of {trouble.source} there.")
            plan = runs[trouble.nth - 1]
            if (trouble.subrun or 1) > plan.subruns:
                raise ConfigError(f"{trouble}: run {plan.run} has {plan.subruns} subruns.")
            self._of_run[plan.run] = (*self.of(plan), trouble)

    def of(self, plan: RunPlan, kind: str | None = None) -> tuple[Trouble, ...]:
        """Return the troubles of a run, of one kind or of all."""
        found = self._of_run.get(plan.run, ())
        return found if kind is None else tuple(item for item in found if item.kind == kind)

    def of_files(self, plan: RunPlan) -> tuple[Trouble, ...]:
        """Return the troubles of a run that show in the content of its files."""
        return tuple(item for item in self.of(plan) if item.kind in IN_CONTENT)

    def value(self, plan: RunPlan, kind: str) -> float | None:
        """Return the value of a run's trouble of one kind, None if it has none."""
        return next((item.value for item in self.of(plan, kind)), None)

    def of_file(self, plan: RunPlan, name: DataFile, kind: str) -> Trouble | None:
        """Return the trouble of one kind of one of a run's files, if it has it."""
        return next((item for item in self.of(plan, kind) if item.concerns(name)), None)


@cache
def listed() -> tuple[Trouble, ...]:
    """Return the troubles of the observatory's table."""
    text = files("magicpy_assets.observatory").joinpath("tables", "troubles.csv").read_text(encoding="utf-8")
    return tuple(
        Trouble(
            kind=row["kind"],
            date=date.fromisoformat(row["date"]),
            source=row["source"],
            nth=int(row["nth"]),
            telescope=int(row["telescope"]) if row["telescope"] else None,
            subrun=int(row["subrun"]) if row["subrun"] else None,
            value=float(row["value"]) if row["value"] else None,
        )
        for row in csv.DictReader(text.splitlines())
    )


def spoil(file: Path, plan: RunPlan, name: DataFile, planted: Planted) -> None:
    """Do to a file that has just been made what its troubles say."""
    cut = planted.of_file(plan, name, TRUNCATED)
    if cut is not None and cut.value is not None:
        with file.open("r+b") as content:
            content.truncate(round(cut.value * file.stat().st_size))
    if planted.of_file(plan, name, EMPTY):
        file.write_bytes(b"")
