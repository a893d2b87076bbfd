"""The verb for runbooks."""

from __future__ import annotations

from datetime import date
from typing import Annotated

import typer

from magicpy_assets.cli.options import AsJson, PeriodName, SourceName, echo, echo_json, open_source
from magicpy_assets.core.errors import InputError


def runbooks(
    name: SourceName,
    period: PeriodName = None,
    night: Annotated[str | None, typer.Option(help="print the runbook of this night, such as 2020-11-14")] = None,
    as_json: AsJson = False,
) -> None:
    """Get the runbooks, and show what the online analysis (MOLA) saw of a source."""
    with open_source(name, period, quiet=as_json) as source:
        source.download_runbooks()
        if night is not None:
            echo(source.get_runbook(_night(night)).text)
            return
        report = source.runbook_report()
        if as_json:
            echo_json(report.table.astype({"night": str}).to_dict("records"))
        else:
            echo(str(report))


def _night(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise InputError(f"{text!r} is not a night", hint="write it as 2020-11-14, the morning after") from error
