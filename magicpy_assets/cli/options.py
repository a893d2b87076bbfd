"""What the verbs share: their options, printing a result, opening a source."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from magicpy_assets.core.errors import InputError, UnknownNameError

if TYPE_CHECKING:
    import pandas as pd

    from magicpy_assets.analysis.source import Source
    from magicpy_assets.core.cell import Cell
    from magicpy_assets.core.settings import Settings

_WHERE = re.compile(r"(\w+)\s*(>=|<=|!=|==|=|>|<)\s*(\S.*)")
SourceName = Annotated[str, typer.Argument(help="source, by name or alias", metavar="SOURCE")]
PeriodName = Annotated[str | None, typer.Option("--period", help="observing period, such as ST0316")]
TelescopeNumbers = Annotated[
    str | None,
    typer.Option("--telescopes", help="1 or 2 for one telescope alone (mono), 1,2 for both; by default as set"),
]
CellText = Annotated[
    list[str] | None, typer.Option("--cell", help="cell, such as ST0316/za05to35/weak; may be repeated")
]
Where = Annotated[
    list[str] | None,
    typer.Option("--where", help="condition on a column, such as za=za05to35 or nsb<3; may be repeated, all hold"),
]
AsJson = Annotated[bool, typer.Option("--json", help="print the result as JSON, and nothing else")]
AllowMixed = Annotated[bool, typer.Option("--allow-mixed", help="take files of different forests or cuts")]
Force = Annotated[bool, typer.Option("--force", help="make it again even if it is up to date")]


def echo(text: str) -> None:
    """Print a line of result."""
    sys.stdout.write(f"{text}\n")


def echo_json(document: Any) -> None:
    """Print a result as JSON; a number that is none becomes null."""
    from magicpy_assets.science.results import plain

    echo(json.dumps(plain(document), indent=1, allow_nan=False, default=str))


def echo_table(table: pd.DataFrame) -> None:
    """Print a table; nothing if it is empty."""
    if not table.empty:
        echo(table.to_string(index=False))


@contextmanager
def open_source(
    name: str,
    period: str | None,
    *,
    quiet: bool,
    where: list[str] | None = None,
    settings: Settings | None = None,
    telescopes: str | None = None,
) -> Iterator[Source]:
    """Open a source whose runs are known, or say in which periods it was observed; `where` are conditions on runs."""
    from magicpy_assets.analysis.source import Source
    from magicpy_assets.core import periods

    conditions = parse_where(where)
    chosen = periods.by_name(period) if period else None
    with Source(name, chosen, settings=settings, quiet=quiet, telescopes=telescopes) as source:
        found = source.search()
        if found.chosen.empty:
            seen = ", ".join(sorted(set(found.runs["period"]) - {""}))
            period_text = f" in {found.period}" if found.period and seen else ""
            raise UnknownNameError(
                f"the run catalogue holds no run of {source.name}{period_text}",
                hint=f"it was observed in {seen}" if seen else None,
            )
        for column, condition in conditions:
            source.filter({column: condition})
        if conditions and not len(source.runs):
            raise InputError(source.explain(), hint="`magicpy search` without --where shows what there is")
        yield source


def parse_where(texts: list[str] | None) -> list[tuple[str, Any]]:
    """Return the conditions of `--where` in order, column and condition.

    `za=za05to35,za35to50` is a list, `nsb<3` a comparison. A column may have several comparisons, such as the two ends
    of a range, and all of them hold.

    Raises
    ------
    InputError
        For a text without a comparison, or a column that is to equal two things.
    """
    found: list[tuple[str, Any]] = []
    equal: set[str] = set()
    for text in texts or ():
        match = _WHERE.fullmatch(text.strip())
        if match is None:
            raise InputError(f"{text!r} is no condition", hint="write --where za=za05to35 or --where nsb<3")
        column, sign, value = match.groups()
        if sign != "=":
            found.append((column, f"{sign}{value}"))
            continue
        if column in equal:
            raise InputError(f"there are two values of {column}", hint="several values go after one =, with commas")
        equal.add(column)
        words = [word.strip() for word in value.split(",")]
        found.append((column, words[0] if len(words) == 1 else words))
    return found


def parse_cells(texts: list[str] | None) -> list[Cell] | None:
    """Return the cells of `--cell`; None if there are none."""
    from magicpy_assets.core.cell import Cell

    return [Cell.parse(text) for text in texts] if texts else None
