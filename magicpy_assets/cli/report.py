"""The verb that writes the report of an analysis."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from magicpy_assets.cli.options import (
    AsJson,
    PeriodName,
    SourceName,
    TelescopeNumbers,
    Where,
    echo,
    echo_json,
    open_source,
)


def report(
    name: SourceName,
    period: PeriodName = None,
    telescopes: TelescopeNumbers = None,
    where: Where = None,
    out: Annotated[
        Path | None, typer.Option(help="folder for the report; by default the source's in the store")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write the report of what has been made of a source: HTML, PDF, and a short text to send on."""
    with open_source(name, period, where=where, quiet=as_json, telescopes=telescopes) as source:
        written = source.report()
        paths = written.save(out or source.session.layout.shown(source.name, "report"))
    if as_json:
        echo_json({"text": written.text, "files": [str(path) for path in paths]})
        return
    echo(written.text)
    for path in paths:
        echo(f"written: {path}")
