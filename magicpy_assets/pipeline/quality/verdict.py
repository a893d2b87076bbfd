"""A verdict, and how questions find the files of a report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from magicpy_assets.core import datalevels
from magicpy_assets.core.runs import DataFile, parse_name
from magicpy_assets.store.records import read_record

if TYPE_CHECKING:
    from magicpy_assets.pipeline.report import Report
    from magicpy_assets.pipeline.session import Session

MOST_CHARACTERS = 2000
"""Longer lists of faults are cut: verdicts are shown, and kept in events."""


Numbers = Mapping[str, float | int | str]


@dataclass(frozen=True)
class Verdict:
    """The answer to one question: whether all is well, and the numbers it rests on."""

    passed: bool
    numbers: Numbers = field(default_factory=dict)


Question = Callable[["Session", "Report"], Verdict]

THERE = ("done", "cached")
"""States of rows whose products are there."""
NOT_ASKED: Numbers = {"asked": "no"}
"""The numbers of a question that does not apply."""


def listed(faults: Iterable[str]) -> str:
    """Return faults as one text that is not too long."""
    return "; ".join(faults)[:MOST_CHARACTERS] or "none"


def products(report: Report) -> list[Path]:
    """Return the products of a report that are there now."""
    return [Path(row.product) for row in report.rows if row.state in THERE]


def names(report: Report) -> list[DataFile]:
    """Return the names of the products that are data, not Monte Carlo."""
    return [name for name in map(parse_name, products(report)) if isinstance(name, DataFile)]


def inputs_at(product: Path, level: datalevels.DataLevel) -> list[Path]:
    """Return the inputs of a product that its record names and that lie in a level's folder of the same cell."""
    record = read_record(product)
    period, cell = product.parents[1].name, product.parent.name
    folder = product.parents[3] / level.key / period / cell
    return [folder / name for name, _ in (record.inputs if record else ()) if (folder / name).is_file()]
