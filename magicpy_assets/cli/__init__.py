"""`magicpy …`: arguments in, tables out. Heavy libraries load when a verb needs them.

With `--json` a verb prints its result, and nothing else, on standard output. Exit codes: 0 good, 1 an error or a task
that failed, 2 a wrong command line.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from magicpy_assets.cli import (
    care,
    chain,
    compare,
    dl3,
    events,
    maps,
    observatory,
    peek,
    report,
    results,
    runbooks,
    sources,
    training,
    validate,
)
from magicpy_assets.cli.options import echo
from magicpy_assets.core.errors import MagicpyError
from magicpy_assets.version import __version__

DEBUG = "--debug"

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


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


app.command()(chain.search)
app.command()(sources.sources)
app.command()(runbooks.runbooks)
app.command()(chain.get)
app.command("star")(chain.level_verb("star", "Clean and describe the images of a source."))
app.command("superstar")(chain.level_verb("superstar", "Join the images of both telescopes."))
app.command()(training.off)
app.command()(training.train)
app.command("melibea")(chain.level_verb("melibea", "Apply the forests; missing ones are trained first."))
app.add_typer(dl3.app, name="dl3")
app.command()(events.theta2)
app.command("light-curve")(events.light_curve)
app.command()(results.spectrum)
app.command()(maps.skymap)
app.command()(peek.peek)
app.command()(chain.fast)
app.command()(report.report)
app.command()(compare.compare)
app.command()(validate.validate)
app.command()(chain.plan)
app.command()(care.status)
app.add_typer(observatory.app, name="observatory")
app.command()(care.doctor)
