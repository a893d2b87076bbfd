"""`magicpy …`: arguments in, tables out. Heavy libraries load when a verb needs them.

With `--json` a verb prints its result, and nothing else, on standard output.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from magicpy_assets.core.errors import MagicpyError

if TYPE_CHECKING:
    from magicpy_assets.analysis.source import Source
    from magicpy_assets.core.cell import Cell
    from magicpy_assets.pipeline.report import Report

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="The MAGIC analysis, from calibrated data to spectra.",
)
observatory_app = typer.Typer(no_args_is_help=True, help="The embedded observatory: a simulated MAGIC.")
library_app = typer.Typer(no_args_is_help=True, help="The library of simulated events.")
app.add_typer(observatory_app, name="observatory")
observatory_app.add_typer(library_app, name="library")

SourceName = Annotated[str, typer.Argument(help="source, by name or alias", metavar="SOURCE")]
PeriodName = Annotated[str | None, typer.Option("--period", help="observing period, such as ST0316")]
CellText = Annotated[
    list[str] | None, typer.Option("--cell", help="cell, such as ST0316/za05to35/weak; may be repeated")
]
AsJson = Annotated[bool, typer.Option("--json", help="print the result as JSON, and nothing else")]
Force = Annotated[bool, typer.Option("--force", help="make it again even if it is up to date")]


def main() -> None:
    """Run the command line; errors meant for people are printed without a traceback."""
    try:
        app(standalone_mode=True)
    except MagicpyError as error:
        if os.environ.get("MAGICPY_DEBUG"):
            raise
        sys.stderr.write(f"magicpy: {error}\n")
        sys.exit(1)


def echo(text: str) -> None:
    """Print a line of result."""
    sys.stdout.write(f"{text}\n")


@contextmanager
def _source(name: str, period: str | None, *, quiet: bool = False) -> Iterator[Source]:
    from magicpy_assets.analysis.source import Source
    from magicpy_assets.core import periods

    with Source(name, periods.by_name(period) if period else None, quiet=quiet) as source:
        yield source


def _cells(texts: list[str] | None) -> list[Cell] | None:
    from magicpy_assets.core.cell import Cell

    return [Cell.parse(text) for text in texts] if texts else None


@app.command()
def search(name: SourceName, period: PeriodName = None, as_json: AsJson = False) -> None:
    """Show the hours of a source by zenith range and moon level."""
    with _source(name, period, quiet=as_json) as source:
        table = source.search()
        if not as_json:
            echo(str(table))
            return
        hours = table.to_table()
        cells = [
            {"zenith": zenith, "moon": moon, "hours": {"value": float(hours.loc[moon, zenith]), "unit": "h"}}
            for moon in hours.index
            for zenith in hours.columns
        ]
        echo(json.dumps({"source": source.name, "period": period, "runs": len(table.chosen), "cells": cells}, indent=1))


def _make(
    name: str | None, period: str | None, cells: list[str] | None, up_to: str, as_json: bool, force: bool
) -> None:
    """Bring a source (or, without one, the forests) up to a level, and report."""
    from magicpy_assets.pipeline.run import process

    with _source(name or "CrabNebula", period, quiet=as_json) as source:
        source.search()
        chosen = _cells(cells) or (source.cells if name else None)
        from magicpy_assets.plots.bars import bars

        with bars(quiet=as_json):
            report = process(source.session, source.name if name else None, chosen, up_to, force=force)
    _tell(report, as_json)


def _tell(report: Report, as_json: bool) -> None:
    if as_json:
        rows = report.table.to_dict("records")
        echo(json.dumps({"tasks": report.counts, "rows": rows}, indent=1))
    else:
        echo(str(report))
    if report.counts["failed"]:
        raise typer.Exit(1)


@app.command()
def get(name: SourceName, period: PeriodName = None, cell: CellText = None, as_json: AsJson = False) -> None:
    """Download the calibrated files of a source."""
    _make(name, period, cell, "calibrated", as_json, False)


@app.command()
def star(
    name: SourceName, period: PeriodName = None, cell: CellText = None, as_json: AsJson = False, force: Force = False
) -> None:
    """Clean and describe the images of a source."""
    _make(name, period, cell, "star", as_json, force)


@app.command()
def superstar(
    name: SourceName, period: PeriodName = None, cell: CellText = None, as_json: AsJson = False, force: Force = False
) -> None:
    """Join both telescopes."""
    _make(name, period, cell, "superstar", as_json, force)


@app.command()
def train(
    cell: Annotated[list[str], typer.Argument(help="cells, such as ST0316/za05to35/weak")],
    as_json: AsJson = False,
    force: Force = False,
) -> None:
    """Train the forests of cells."""
    _make(None, None, cell, "random_forest", as_json, force)


@app.command()
def melibea(
    name: SourceName, period: PeriodName = None, cell: CellText = None, as_json: AsJson = False, force: Force = False
) -> None:
    """Apply the forests to a source."""
    _make(name, period, cell, "melibea", as_json, force)


@app.command()
def dl3(
    name: SourceName, period: PeriodName = None, cell: CellText = None, as_json: AsJson = False, force: Force = False
) -> None:
    """Make DL3 files of a source."""
    _make(name, period, cell, "dl3", as_json, force)


@app.command()
def spectrum(
    name: Annotated[str | None, typer.Argument(help="source in the store", metavar="[SOURCE]")] = None,
    dl3_folder: Annotated[Path | None, typer.Option("--dl3", help="folder of DL3 files of any origin")] = None,
    source: Annotated[str | None, typer.Option("--source", help="source in the DL3 files")] = None,
    period: PeriodName = None,
    model: Annotated[str, typer.Option(help="log_parabola or power_law")] = "log_parabola",
    out: Annotated[Path, typer.Option(help="folder for table and plot, with --dl3")] = Path(),
    as_json: AsJson = False,
) -> None:
    """Fit the spectrum of a source, from the store or from DL3 files of any origin."""
    if dl3_folder is not None:
        result = _spectrum_of_folder(dl3_folder, source or name, model)
    elif name is not None:
        with _source(name, period, quiet=as_json) as chosen:
            result = chosen.spectrum(model=model)
            out = chosen.session.layout.root / chosen.name / "plots"
    else:
        raise typer.BadParameter("give a source, or --dl3 with a folder")
    from magicpy_assets.plots.figures import sed_figure

    files = result.save(out)
    plot = out / "spectrum.png"
    sed_figure(result).savefig(plot, dpi=130)
    if as_json:
        echo(json.dumps(result.to_dict(), indent=1))
        return
    echo(result.exposure.caption)
    echo(f"{result.n_on} on, {result.n_off} off, excess {result.excess:.1f}, {result.significance:.1f} sigma (Li & Ma)")
    for row in result.parameters:
        echo(f"  {row['name']} = {row['value']:.4g} +- {row['error']:.2g} {row['unit']}")
    for path in [*files, plot]:
        echo(f"written: {path}")


def _spectrum_of_folder(folder: Path, name: str | None, model: str) -> Any:
    from magicpy_assets.core import sources
    from magicpy_assets.formats.dl3 import open_observations
    from magicpy_assets.science import spectrum as fitting

    observations = open_observations(folder, name)
    known = sources.by_name(name or str(observations[0].events.table.meta.get("OBJECT", "")))
    return fitting.fit(observations, (known.ra_deg, known.dec_deg), model=model)


@app.command()
def fast(name: SourceName, period: PeriodName = None, as_json: AsJson = False) -> None:
    """Do the fast analysis: from search to spectrum."""
    from magicpy_assets.analysis.fast import run_fast, to_json

    with _source(name, period, quiet=as_json) as source:
        results = run_fast(source, say=(lambda text: None) if as_json else echo)
    if as_json:
        echo(to_json(results))
    if results["report"].counts["failed"]:
        raise typer.Exit(1)


@app.command()
def plan(
    name: SourceName,
    period: PeriodName = None,
    cell: CellText = None,
    up_to: Annotated[str, typer.Option(help="last level")] = "spectra",
    commands: Annotated[bool, typer.Option("--commands", help="print the command lines")] = False,
    as_json: AsJson = False,
) -> None:
    """Say what would be done, and why; change nothing."""
    from magicpy_assets.pipeline.plan import plan as make_plan

    with _source(name, period, quiet=as_json) as source:
        source.search()
        planned = make_plan(source.session, source.name, _cells(cell) or source.cells, up_to)
        if as_json:
            echo(json.dumps(planned.to_table().to_dict("records"), indent=1))
            return
        if commands:
            echo("\n".join(planned.commands()))
            return
        echo(str(planned))
        table = planned.to_table()
        left = table[table["state"] != "up to date"]
        if len(left):
            echo(
                left.groupby(["stage", "source", "state", "reason"])
                .size()
                .rename("tasks")
                .reset_index()
                .to_string(index=False)
            )


@app.command()
def status(name: SourceName, period: PeriodName = None, as_json: AsJson = False) -> None:
    """Show how far a source has come, from the records alone."""
    plan(name, period=period, cell=None, up_to="spectra", commands=False, as_json=as_json)


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Check settings, store, data server, programs and packages; say how to mend what fails."""
    from magicpy_assets.pipeline.health import examine

    found = examine()
    if as_json:
        echo(json.dumps([vars(item) for item in found], indent=1))
    else:
        for item in found:
            echo(f"{'ok  ' if item.good else 'FAIL'} {item.what}: {item.text}")
            if item.hint and not item.good:
                echo(f"     {item.hint}")
    if not all(item.good for item in found):
        raise typer.Exit(1)


@observatory_app.command()
def serve(port: Annotated[int, typer.Option(help="0 takes a free one")] = 0) -> None:
    """Serve the archive of the embedded observatory on this machine until stopped."""
    import time

    from magicpy_assets.core.settings import load_settings
    from magicpy_assets.observatory.server import serve as open_server

    settings = load_settings()
    with open_server(settings.observatory.folder, settings.observatory.seed, port=port) as server:
        echo(f"{server.url} user {server.user} password {server.password}")
        echo("simulated: nothing here was taken with the MAGIC telescopes; Ctrl-C stops it")
        sys.stdout.flush()
        while True:
            try:
                time.sleep(3600)
            except KeyboardInterrupt:
                return


@observatory_app.command()
def night(as_json: AsJson = False) -> None:
    """Show the observing programme."""
    from magicpy_assets.core.settings import load_settings
    from magicpy_assets.observatory.programme import programme

    rows = [
        {"run": item.run, "date": str(item.date), "source": item.source, "wobble": str(item.wobble)}
        for item in programme(load_settings().observatory.seed)
    ]
    echo(json.dumps(rows, indent=1) if as_json else "\n".join("  ".join(map(str, row.values())) for row in rows))


@library_app.command()
def build(
    folder: Annotated[Path, typer.Argument(help="where to make it")],
    shard: Annotated[list[str] | None, typer.Option(help="only this shard; may be repeated")] = None,
    processes: Annotated[int | None, typer.Option(help="by default one for each core")] = None,
) -> None:
    """Make the event library again; goes on where it was stopped."""
    from magicpy_assets.observatory import library
    from magicpy_assets.plots.bars import bars

    with bars():
        for path in library.build(folder, shard, processes):
            echo(str(path))


if __name__ == "__main__":
    main()
