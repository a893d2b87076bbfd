"""`magicpy …`: arguments in, tables out. Heavy libraries load when a verb needs them.

With `--json` a verb prints its result, and nothing else, on standard output. Exit codes: 0 good, 1 an error or a task
that failed, 2 a wrong command line.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from magicpy_assets.core.errors import MagicpyError, UnknownNameError
from magicpy_assets.version import __version__

if TYPE_CHECKING:
    import pandas as pd

    from magicpy_assets.analysis.source import Source
    from magicpy_assets.core.cell import Cell
    from magicpy_assets.pipeline.report import Report

DEBUG = "--debug"

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="The MAGIC analysis, from calibrated data to spectra.",
)
observatory_app = typer.Typer(no_args_is_help=True, help="The embedded observatory: a simulated MAGIC.")
library_app = typer.Typer(no_args_is_help=True, help="The library of simulated events.")

SourceName = Annotated[str, typer.Argument(help="source, by name or alias", metavar="SOURCE")]
PeriodName = Annotated[str | None, typer.Option("--period", help="observing period, such as ST0316")]
CellText = Annotated[
    list[str] | None, typer.Option("--cell", help="cell, such as ST0316/za05to35/weak; may be repeated")
]
AsJson = Annotated[bool, typer.Option("--json", help="print the result as JSON, and nothing else")]
Force = Annotated[bool, typer.Option("--force", help="make it again even if it is up to date")]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line (by default this process's own); errors are told in words, with `--debug` by traceback."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = DEBUG in words or bool(os.environ.get("MAGICPY_DEBUG"))
    try:
        app(args=[word for word in words if word != DEBUG], prog_name="magicpy")
    except MagicpyError as error:
        if debug:
            raise
        sys.stderr.write(f"magicpy: {error}\n")
    except Exception as error:
        if debug:
            raise
        what = str(error) if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
        sys.stderr.write(f"magicpy: {what}\nhint: the same command with {DEBUG} shows where it happened\n")
    return 1


def _print_version(wanted: bool) -> None:
    if wanted:
        echo(__version__)
        raise typer.Exit


@app.callback()
def magicpy(
    version: Annotated[
        bool, typer.Option("--version", help="print the version", callback=_print_version, is_eager=True)
    ] = False,
    debug: Annotated[bool, typer.Option(DEBUG, help="show the traceback of an error; stands anywhere")] = False,
) -> None:
    """The MAGIC analysis, from calibrated data to spectra."""


def echo(text: str) -> None:
    """Print a line of result."""
    sys.stdout.write(f"{text}\n")


def echo_json(document: Any) -> None:
    """Print a result as JSON; a number that is none becomes null."""
    from magicpy_assets.science.results import plain

    echo(json.dumps(plain(document), indent=1, allow_nan=False, default=str))


@contextmanager
def _source(name: str, period: str | None, *, quiet: bool) -> Iterator[Source]:
    """Open a source whose runs are known, or say in which periods it was observed."""
    from magicpy_assets.analysis.source import Source
    from magicpy_assets.core import periods

    with Source(name, periods.by_name(period) if period else None, quiet=quiet) as source:
        found = source.search()
        if found.chosen.empty:
            seen = ", ".join(sorted(set(found.runs["period"]) - {""}))
            where = f" in {found.period}" if found.period and seen else ""
            raise UnknownNameError(
                f"the run catalogue holds no run of {source.name}{where}",
                hint=f"it was observed in {seen}" if seen else None,
            )
        yield source


def _cells(texts: list[str] | None) -> list[Cell] | None:
    from magicpy_assets.core.cell import Cell

    return [Cell.parse(text) for text in texts] if texts else None


@app.command()
def search(name: SourceName, period: PeriodName = None, as_json: AsJson = False) -> None:
    """Show the hours of a source by zenith range and moon level."""
    with _source(name, period, quiet=as_json) as source:
        table = source.hours()
        if not as_json:
            echo(str(table))
            return
        hours = table.to_table()
        cells = [
            {"zenith": zenith, "moon": moon, "hours": _hours(hours.loc[moon, zenith])}
            for moon in hours.index
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


def _level_verb(key: str, meaning: str) -> None:
    """Add the verb that brings a source up to a level."""
    up_to = "calibrated" if key == "get" else key

    def verb(
        name: SourceName,
        period: PeriodName = None,
        cell: CellText = None,
        force: Force = False,
        as_json: AsJson = False,
    ) -> None:
        from magicpy_assets.pipeline.run import process
        from magicpy_assets.plots.bars import bars

        with _source(name, period, quiet=as_json) as source, bars(quiet=as_json):
            report = process(source.session, source.name, _cells(cell) or source.cells, up_to, force=force)
        _tell(report, as_json)

    app.command(key, help=meaning)(verb)


_level_verb("get", "Download the calibrated files of a source.")
_level_verb("star", "Clean and describe the images of a source.")
_level_verb("superstar", "Join both telescopes.")


@app.command()
def train(
    cell: Annotated[list[str], typer.Argument(help="cells, such as ST0316/za05to35/weak")],
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Train the forests of cells."""
    from magicpy_assets.pipeline.run import process
    from magicpy_assets.pipeline.session import open_session
    from magicpy_assets.plots.bars import bars

    cells = _cells(cell)
    with open_session() as session, bars(quiet=as_json):
        session.catalogue.refresh()
        report = process(session, None, cells, "random_forest", force=force)
    _tell(report, as_json)


_level_verb("melibea", "Apply the forests to a source, trained first where they are missing.")
_level_verb("dl3", "Make DL3 files of a source.")


@app.command()
def spectrum(
    name: Annotated[str | None, typer.Argument(help="source in the store", metavar="[SOURCE]")] = None,
    dl3_folder: Annotated[Path | None, typer.Option("--dl3", help="folder of DL3 files of any origin")] = None,
    source: Annotated[str | None, typer.Option("--source", help="source in the DL3 files")] = None,
    period: PeriodName = None,
    model: Annotated[str, typer.Option(help="log_parabola or power_law")] = "log_parabola",
    out: Annotated[Path | None, typer.Option(help="folder for tables and plot; with --dl3 this one")] = None,
    as_json: AsJson = False,
) -> None:
    """Fit the spectrum of a source, from the store or from DL3 files of any origin."""
    if dl3_folder is not None:
        result = _spectrum_of_folder(dl3_folder, source or name, model)
        folder = out or Path()
    elif name is not None:
        with _source(name, period, quiet=as_json) as chosen:
            result = chosen.spectrum(model=model)
            folder = out or chosen.session.layout.root / chosen.name / "plots"
    else:
        raise typer.BadParameter("give a source, or --dl3 with a folder")
    from magicpy_assets.plots.figures import sed_figure

    files = [*result.save(folder), folder / "spectrum.png"]
    sed_figure(result).savefig(files[-1], dpi=130)
    if as_json:
        echo_json(result.to_dict() | {"files": [str(path) for path in files]})
        return
    echo(result.exposure.caption)
    echo(f"{result.n_on} on, {result.n_off} off, excess {result.excess:.1f}, {result.significance:.1f} sigma (Li & Ma)")
    for row in result.parameters:
        echo(f"  {row['name']} = {row['value']:.4g} +- {row['error']:.2g} {row['unit']}".rstrip())
    for path in files:
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
        planned = make_plan(source.session, source.name, _cells(cell) or source.cells, up_to)
        table = planned.to_table()
        if as_json:
            echo_json(table.to_dict("records"))
        elif commands:
            echo("\n".join(planned.commands()))
        else:
            echo(str(planned))
            left = table[table["state"] != "up to date"].groupby(["stage", "source", "state", "reason"], sort=False)
            _echo_table(left.size().rename("tasks").reset_index())


@app.command()
def status(
    name: Annotated[str | None, typer.Argument(help="source; by default everything", metavar="[SOURCE]")] = None,
    as_json: AsJson = False,
) -> None:
    """Show what is in the store and how it went, from the records alone."""
    from magicpy_assets.core import sources
    from magicpy_assets.core.settings import load_settings
    from magicpy_assets.pipeline.status import status as read_status
    from magicpy_assets.store.layout import Layout

    layout = Layout(load_settings().store.resolve())
    if name is not None:
        with suppress(UnknownNameError):  # fields that our table does not know go by their name on the data server
            name = sources.by_name(name).name
    table = read_status(layout, name)
    if as_json:
        echo_json({"store": str(layout.root), "rows": table.to_dict("records")})
        return
    echo(f"store: {layout.root}")
    if table.empty:
        echo(f"no products of {name}" if name else "no products yet")
    _echo_table(table)


def _echo_table(table: pd.DataFrame) -> None:
    if not table.empty:
        echo(table.to_string(index=False))


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Check settings, store, data server, programs and packages; say how to mend what fails."""
    from magicpy_assets.pipeline.health import examine

    found = examine()
    if as_json:
        echo_json([vars(item) for item in found])
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
    if as_json:
        echo_json(rows)
    else:
        echo("\n".join("  ".join(map(str, row.values())) for row in rows))


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


observatory_app.add_typer(library_app, name="library")
app.add_typer(observatory_app, name="observatory")


if __name__ == "__main__":
    sys.exit(main())
