"""The verbs of the embedded observatory, a simulated MAGIC."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from magicpy_assets.cli.options import AsJson, echo, echo_json

app = typer.Typer(no_args_is_help=True, help="The embedded observatory: a simulated MAGIC.")
library_app = typer.Typer(no_args_is_help=True, help="The library of simulated events.")
app.add_typer(library_app, name="library")


@app.command()
def serve(port: Annotated[int, typer.Option(help="0 takes a free one")] = 0) -> None:
    """Serve the archive of the embedded observatory on this machine until stopped."""
    import signal
    import threading

    from magicpy_assets.core.settings import load_settings
    from magicpy_assets.observatory.server import serve as open_server

    settings = load_settings()
    with open_server(settings.observatory.folder, settings.observatory.seed, port=port) as server:
        echo(f"{server.url} user {server.user} password {server.password}")
        echo("simulated: nothing here was taken with the MAGIC telescopes; Ctrl-C stops it")
        sys.stdout.flush()
        # Set here, because programs started in the background of a shell are made to ignore Ctrl-C.
        stopped = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stopped.set())
        stopped.wait()


@app.command()
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
