"""Whether a program has succeeded is a rule, never its return code alone; and what a failure most likely means."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from magicpy_assets.compute.base import Outcome
from magicpy_assets.core.csvtables import rows
from magicpy_assets.core.errors import MagicpyError

LAST_LINES = 20
FITS_BLOCK = 2880
"""FITS files consist of whole blocks of so many bytes."""


@dataclass(frozen=True)
class Cause:
    """A known cause of failures: how it shows in return code or log, what to do, whether trying again can help."""

    program: str
    codes: frozenset[int]
    pattern: str
    hint: str
    again: bool

    def fits(self, program: str, returncode: int, log: str) -> bool:
        """Tell whether a failure has this cause."""
        if self.program and self.program != program:
            return False
        return returncode in self.codes or bool(self.pattern and re.search(self.pattern, log))


@cache
def causes() -> tuple[Cause, ...]:
    """Return the known causes, see `tables/causes.csv`."""
    return tuple(
        Cause(
            row["program"],
            frozenset(int(code) for code in row["codes"].split()),
            row["pattern"],
            row["hint"],
            row["again"] == "yes",
        )
        for row in rows("causes", "mars")
    )


TIMED_OUT = Cause("", frozenset(), "", "it took longer than it may: see mars.time_limit_s", again=False)


def cause_of(program: str, outcome: Outcome, log: str) -> Cause | None:
    """Return the cause of a failure where it is known. What the log says counts before the return code."""
    if outcome.timed_out:
        return TIMED_OUT
    return next((cause for cause in causes() if cause.fits(program, outcome.returncode, log)), None)


def log_text(outcome: Outcome) -> str:
    """Return the log of a command; empty where there is none."""
    return outcome.log.read_text(encoding="utf-8", errors="replace") if outcome.log.exists() else ""


def said(log: str) -> str:
    """Return what a program itself called its error, or an empty text."""
    return next((line.split("ERROR:", 1)[1].strip() for line in log.splitlines() if "ERROR:" in line), "")


def last_lines(log: str) -> str:
    """Return the end of a log."""
    return "\n".join(log.splitlines()[-LAST_LINES:])


def product_fault(path: Path, trees: Iterable[str]) -> str:
    """Return what is wrong with a product, or an empty text: it must be there, whole, and of its kind.

    A ROOT file must hold the trees, and events in the tree of that name; FITS and JSON files must be whole.
    """
    if not path.is_file():
        return f"{path.name} was not made"
    if path.stat().st_size == 0:
        return f"{path.name} is empty"
    try:
        if path.suffix == ".root":
            _check_root(path, trees)
        elif path.suffix == ".fits":
            _check_fits(path)
        elif path.suffix == ".json":
            json.loads(path.read_text(encoding="utf-8"))
    except MagicpyError as error:
        return error.message
    except (OSError, ValueError) as error:
        return f"{path.name} cannot be read: {error}"
    return ""


def _check_root(path: Path, trees: Iterable[str]) -> None:
    from magicpy_assets.formats.counting import entries_in

    for name in trees:
        if entries_in(path, name) == 0:
            raise ValueError(f"its tree {name} is empty")


def _check_fits(path: Path) -> None:
    with path.open("rb") as file:
        begins = file.read(9)
    if begins != b"SIMPLE  =" or path.stat().st_size % FITS_BLOCK:
        raise ValueError("it is no whole FITS file")


def number_of_events(path: Path) -> int | None:
    """Return the number of events of a file; None where it cannot be told."""
    from magicpy_assets.formats.counting import events_in

    try:
        return events_in(path)
    except (MagicpyError, OSError):
        return None


def is_simulated(path: Path) -> bool:
    """Tell whether a ROOT file says of itself that it is simulated."""
    from magicpy_assets.formats.root import open_root, read_cards

    try:
        with open_root(path) as file:
            return bool(read_cards(file, path))
    except (MagicpyError, OSError):
        return False


def count_fault(product: Path, inputs: Iterable[Path]) -> str:
    """Return what is wrong with the number of events of a product, or an empty text: no more come out than go in."""
    made = number_of_events(product)
    given = [count for path in inputs if (count := number_of_events(path)) is not None]
    if made is None or not given or made <= sum(given):
        return ""
    return f"{product.name} holds {made} events, but its input no more than {sum(given)}"
