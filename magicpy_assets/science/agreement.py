"""How far two analyses may differ (`tables/agreement.csv`), and the questions that are judged by it."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from astropy.table import Table

Floats = NDArray[np.float64]

SIGMA = 3.0
"""Statistical errors by which two numbers may differ beside what is allowed."""


@dataclass(frozen=True)
class Limit:
    """How far two analyses may differ, in what unit, whether the verdict counts it, and who says so."""

    name: str
    limit: float
    unit: str
    counts: bool
    meaning: str
    source: str


@cache
def limits() -> dict[str, Limit]:
    """Return the limits by name."""
    text = resources.files("magicpy_assets.science").joinpath("tables/agreement.csv").read_text(encoding="utf-8")
    return {
        row["name"]: Limit(
            row["name"], float(row["limit"]), row["unit"], row["counts"] == "yes", row["meaning"], row["source"]
        )
        for row in csv.DictReader(text.splitlines())
    }


@dataclass(frozen=True)
class Answer:
    """The answer to a question: a value, whether it agrees, and what else there is to say.

    Without a value the question could not be asked, and `remark` says why.
    """

    name: str
    value: float
    agrees: bool
    remark: str = ""

    @property
    def asked(self) -> bool:
        """Whether there is an answer."""
        return bool(np.isfinite(self.value))


def within(name: str, value: float, remark: str = "") -> Answer:
    """Judge a value that must not be above its limit."""
    return Answer(name, value, bool(value <= limits()[name].limit), remark)


def at_least(name: str, value: float, remark: str = "") -> Answer:
    """Judge a value that must not be below its limit."""
    return Answer(name, value, bool(value >= limits()[name].limit), remark)


def not_asked(name: str, why: str) -> Answer:
    """Say why there is no answer: that neither agrees nor disagrees."""
    return Answer(name, float("nan"), True, why)


def excess_over_errors(first: Floats, second: Floats, error: Floats) -> Floats:
    """Share by which numbers differ beside three errors of their difference, of the larger of each two.

    Always a number: two that are nought agree, and one that is not seen at all differs from one that is by its whole.
    """
    beyond = np.maximum(np.abs(second - first) - SIGMA * error, 0.0)
    largest = np.maximum(np.abs(first), np.abs(second))
    return np.asarray(np.divide(beyond, largest, out=np.zeros_like(beyond), where=largest > 0), dtype=np.float64)


def table_of_answers(answers: Iterable[Answer]) -> Table:
    """Return a row per question: `name`, `value`, `limit`, `unit`, `asked`, `counts`, `agrees`, `remark`, `meaning`."""
    from astropy.table import Table

    known = limits()
    rows: list[tuple[Any, ...]] = [
        (one.name, one.value, known[one.name].limit, known[one.name].unit, one.asked, known[one.name].counts,
         one.agrees, one.remark, known[one.name].meaning)
        for one in answers
    ]  # fmt: skip
    names = ["name", "value", "limit", "unit", "asked", "counts", "agrees", "remark", "meaning"]
    return Table(rows=rows, names=names)
