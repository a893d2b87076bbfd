"""The verbs of the embedded observatory, a simulated MAGIC."""

from __future__ import annotations

import datetime
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from magicpy_assets.cli.options import AsJson, echo, echo_json, echo_table
from magicpy_assets.core.errors import ConfigError, InputError, unknown

if TYPE_CHECKING:
    from magicpy_assets.observatory.run_plans import RunPlan
    from magicpy_assets.observatory.tree import Tree

app = typer.Typer(no_args_is_help=True, help="The embedded observatory: a simulated MAGIC.")
library_app = typer.Typer(no_args_is_help=True, help="The library of simulated events.")
app.add_typer(library_app, name="library")


@app.command()
def serve(
    port: Annotated[int, typer.Option(help="0 takes a free one")] = 0,
    password_env: Annotated[
        str | None, typer.Option(help="environment variable with the password; by default one is made up and printed")
    ] = None,
) -> None:
    """Serve the archive of the embedded observatory on this machine until stopped."""
    import signal
    import threading

    from magicpy_assets.core.settings import load_settings
    from magicpy_assets.observatory.server import serve as open_server

    settings = load_settings()
    password = _password(password_env)
    with open_server(settings.observatory.folder, settings.observatory.seed, port=port, password=password) as server:
        shown = f"in {password_env}" if password_env else server.password
        echo(f"{server.url} user {server.user} password {shown}")
        echo("simulated: nothing here was taken with the MAGIC telescopes; Ctrl-C stops it")
        sys.stdout.flush()
        # Set here, because programs started in the background of a shell are made to ignore Ctrl-C.
        stopped = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stopped.set())
        stopped.wait()


def _password(variable: str | None) -> str | None:
    if variable is None:
        return None
    password = os.environ.get(variable)
    if not password:
        raise ConfigError(f"the environment variable {variable} holds no password", hint=f"export {variable}=...")
    return password


@app.command()
def night(
    date: Annotated[str | None, typer.Argument(help="MAGIC date, such as 2020-11-16; by default all")] = None,
    as_json: AsJson = False,
) -> None:
    """Show the observing programme, or the runs of one night."""
    plans = _tree().plans
    if date is not None:
        wanted = _date(date)
        nights = sorted({plan.date for plan in plans})
        if wanted not in nights:
            raise unknown("night of the observatory", date, map(str, nights))
        plans = tuple(plan for plan in plans if plan.date == wanted)
    _show_runs(plans, as_json)


@app.command()
def observe(
    date: Annotated[str, typer.Argument(help="MAGIC date, the morning after; a night without observations so far")],
    source: Annotated[str, typer.Option(help="a field of the simulated sky")] = "CrabNebula",
    zenith: Annotated[tuple[float, float], typer.Option(help="range of zenith distance (deg)")] = (23.0, 35.0),
    wobble: Annotated[list[int] | None, typer.Option(help="wobble angle (deg), a run each; may be repeated")] = None,
    as_json: AsJson = False,
) -> None:
    """Observe a further night: its runs appear in every data server of this observatory, also in those running."""
    from magicpy_assets.observatory.run_plans import Observation

    night = _date(date)
    observations = [Observation(night, source, *zenith, angle) for angle in wobble or [35, 215]]
    _show_runs(_tree().observe(observations), as_json)


@app.command()
def truth(as_json: AsJson = False) -> None:
    """Show the truth of the simulation: sources, sky and troubles. Nothing that an analysis may use."""
    from magicpy_assets.core.settings import load_settings
    from magicpy_assets.observatory import truth as true

    plans = _tree().plans
    tables = {
        "sources": true.sources(),
        "runs": true.runs(plans, load_settings().observatory.seed),
        "troubles": true.troubles(plans),
    }
    if as_json:
        rows = {name: table.to_dict("records") for name, table in tables.items()}
        echo_json({"simulated": True, "what": "truth of the simulation", **rows})
        return
    for name, table in tables.items():
        echo(f"Truth of the simulation, unknown to any analysis: {name}")
        echo_table(table)
        echo("")


def _tree() -> Tree:
    from magicpy_assets.core.settings import load_settings
    from magicpy_assets.observatory.tree import Tree

    observatory = load_settings().observatory
    return Tree(observatory.folder, observatory.seed)


def _date(text: str) -> datetime.date:
    try:
        return datetime.date.fromisoformat(text)
    except ValueError as error:
        raise InputError(f"{text!r} is not a date", hint="write it as 2020-11-16") from error


def _show_runs(plans: Sequence[RunPlan], as_json: bool) -> None:
    import pandas as pd

    rows = [
        {
            "run": plan.run,
            "date": str(plan.date),
            "source": plan.source,
            "wobble": str(plan.wobble),
            "za_deg": round(plan.zd_deg, 1),
            "hv": plan.hv,
            "filter": plan.filter,
            "mode": plan.mode,
        }
        for plan in plans
    ]
    if as_json:
        echo_json(rows)
    else:
        echo_table(pd.DataFrame(rows))


@library_app.command()
def build(
    folder: Annotated[Path, typer.Argument(help="where to make it")],
    shard: Annotated[list[str] | None, typer.Option(help="only this shard; may be repeated")] = None,
    processes: Annotated[int | None, typer.Option(help="by default one for each core")] = None,
) -> None:
    """Make the event library again; goes on where it was stopped."""
    from magicpy_assets.observatory import library_build
    from magicpy_assets.plots.bars import bars

    with bars():
        for path in library_build.build(folder, shard, processes):
            echo(str(path))
