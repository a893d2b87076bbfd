"""The verbs of the chain: look, plan, bring a source up to a level."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from magicpy_assets.cli.options import (
    AsJson,
    CellText,
    Force,
    PeriodName,
    SourceName,
    TelescopeNumbers,
    Where,
    echo,
    echo_json,
    echo_table,
    open_source,
    parse_cells,
)

if TYPE_CHECKING:
    from magicpy_assets.pipeline.report import Report


def search(
    name: SourceName,
    period: PeriodName = None,
    where: Where = None,
    by: Annotated[str, typer.Option(help="what goes down the table: moon, night or wobble")] = "moon",
    sizes: Annotated[bool, typer.Option("--sizes", help="also ask what is to be downloaded")] = False,
    as_json: AsJson = False,
) -> None:
    """Show the hours of a source by zenith range and moon level, night or wobble position."""
    with open_source(name, period, where=where, quiet=as_json) as source:
        table = source.hours(by)
        if not as_json:
            echo(str(table))
            if sizes:
                echo(str(source.sizes()))
            return
        hours = table.to_table()
        cells = [
            {"zenith": zenith, by: str(row), "hours": _hours(hours.loc[row, zenith])}
            for row in hours.index
            for zenith in hours.columns
        ]
        chosen = table.chosen
        echo_json(
            {
                "source": source.name,
                "period": table.period,
                "runs": len(chosen),
                "runs_without_cell": int((chosen["cell"] == "").sum()),
                "hours": _hours(chosen["duration_s"].sum() / 3600.0),
                "cells": cells,
            }
        )


def _hours(value: float) -> dict[str, Any]:
    return {"value": float(value), "unit": "h"}


def _tell(report: Report, as_json: bool) -> None:
    """Print a report; the exit code is 1 if a task failed, or if nothing at all could be done."""
    if as_json:
        echo_json({"tasks": report.counts, "rows": report.table.to_dict("records")})
    else:
        echo(str(report))
    counts = report.counts
    if counts["failed"] or (len(report) and not counts["done"] + counts["cached"]):
        raise typer.Exit(1)


def get(
    name: SourceName,
    period: PeriodName = None,
    telescopes: TelescopeNumbers = None,
    cell: CellText = None,
    level: Annotated[
        list[str] | None,
        typer.Option("--level", help="superstar or calibrated; by default both; may be repeated"),
    ] = None,
    where: Where = None,
    wait: Annotated[float, typer.Option("--wait", min=0.0, help="minutes to wait for files on tape")] = 0.0,
    as_json: AsJson = False,
) -> None:
    """Download the data of a source: calibrated files, and the archive's own superstar."""
    cells = parse_cells(cell)
    from magicpy_assets.analysis.getting import levels_of
    from magicpy_assets.core import datalevels

    levels = levels_of([datalevels.by_key(key) for key in level]) if level else None
    with open_source(name, period, where=where, quiet=as_json, telescopes=telescopes) as source:
        if cells:
            source.filter({"cell": [wanted.text for wanted in cells]})
        report = source.get_data(levels, wait=wait, say=(lambda line: None) if as_json else echo)
    _tell(report, as_json)


def level_verb(up_to: str, meaning: str) -> Callable[..., None]:
    """Return the verb that brings a source up to a level."""

    def verb(
        name: SourceName,
        period: PeriodName = None,
        telescopes: TelescopeNumbers = None,
        cell: CellText = None,
        where: Where = None,
        force: Force = False,
        as_json: AsJson = False,
    ) -> None:
        cells = parse_cells(cell)
        from magicpy_assets.core import datalevels
        from magicpy_assets.pipeline.run import process
        from magicpy_assets.plots.bars import bars

        with (
            open_source(name, period, where=where, quiet=as_json, telescopes=telescopes) as source,
            bars(quiet=as_json),
        ):
            if cells:
                runs = source.runs["run"].tolist() if where else None
                report = process(source.session, source.name, cells, up_to, runs=runs, force=force)
            else:
                report = source.make(datalevels.by_key(up_to), force=force)
        _tell(report, as_json)

    verb.__doc__ = meaning
    return verb


def fast(
    name: SourceName,
    period: PeriodName = None,
    telescopes: TelescopeNumbers = None,
    where: Where = None,
    off_hours: Annotated[
        float | None, typer.Option("--off-hours", help="OFF data for each cell, over the setting forest.off_hours")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Do the fast analysis: from search to spectrum."""
    from magicpy_assets.analysis.fast import run_fast, to_json
    from magicpy_assets.core.settings import load_settings

    settings = load_settings(forest={"off_hours": off_hours}) if off_hours is not None else None
    with open_source(name, period, where=where, settings=settings, quiet=as_json, telescopes=telescopes) as source:
        results = run_fast(source, say=(lambda text: None) if as_json else echo)
    if as_json:
        echo(to_json(results))
    if results["report"].counts["failed"]:
        raise typer.Exit(1)


def plan(
    name: SourceName,
    period: PeriodName = None,
    telescopes: TelescopeNumbers = None,
    cell: CellText = None,
    where: Where = None,
    up_to: Annotated[str, typer.Option(help="last level")] = "spectra",
    commands: Annotated[bool, typer.Option("--commands", help="print the command lines")] = False,
    as_json: AsJson = False,
) -> None:
    """Say what would be done, and why; change nothing."""
    cells = parse_cells(cell)
    from magicpy_assets.pipeline.plan import plan as make_plan

    with open_source(name, period, where=where, quiet=as_json, telescopes=telescopes) as source:
        runs = source.runs["run"].tolist() if where else None
        planned = make_plan(source.session, source.name, cells, up_to, runs=runs) if cells else source.plan(up_to)
        table = planned.to_table()
        if as_json:
            echo_json(table.to_dict("records"))
        elif commands:
            echo("\n".join(planned.commands()))
        else:
            echo(str(planned))
            left = table[table["state"] != "up to date"].groupby(["stage", "source", "state", "reason"], sort=False)
            echo_table(left.size().rename("tasks").reset_index())
