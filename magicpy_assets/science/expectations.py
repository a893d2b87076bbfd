"""What validated products should give, a table with sources, and how far an answer may be away from it."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib import resources

SIGMA = 3.0
"""Statistical errors are allowed that many times, beside the tolerance."""
OK, OUTSIDE, NOT_ASKED = "ok", "outside", "not applicable"


@dataclass(frozen=True)
class Expectation:
    """What should come out: `kind` is relative, absolute, `at most` or `at least`; the tolerance is systematic.

    `not_of_simulations` says why simulated data are not judged by it; empty if they are. `of` is `stereo` where
    it is the performance of both telescopes together, else `any`.
    """

    name: str
    meaning: str
    kind: str
    expected: float
    tolerance: float
    unit: str
    source: str
    not_of_simulations: str = ""
    of: str = "any"

    def verdict(self, value: float, error: float) -> str:
        """Tell whether a value is near enough."""
        slack = self.tolerance * (abs(self.expected) if self.kind == "relative" else 1.0) + SIGMA * error
        if self.kind == "at most":
            return OK if value <= self.expected + slack else OUTSIDE
        if self.kind == "at least":
            return OK if value >= self.expected - slack else OUTSIDE
        return OK if abs(value - self.expected) <= slack else OUTSIDE


@cache
def expectations() -> tuple[Expectation, ...]:
    """Return the table of expectations."""
    text = resources.files("magicpy_assets.science").joinpath("tables/expectations.csv").read_text(encoding="utf-8")
    return tuple(
        Expectation(
            row["name"], row["meaning"], row["kind"], float(row["expected"]), float(row["tolerance"]), row["unit"],
            row["source"], row["not_of_simulations"], row["of"],
        )
        for row in csv.DictReader(text.splitlines())
    )  # fmt: skip


def by_name(name: str) -> Expectation:
    """Return one row of the table; raises KeyError for a name that it does not have."""
    return {one.name: one for one in expectations()}[name]
