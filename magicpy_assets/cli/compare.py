"""The verb that puts two analyses side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from magicpy_assets.cli.options import AsJson, echo, echo_json


def compare(
    first: Annotated[Path, typer.Argument(help="folder of DL3 or melibea files")],
    second: Annotated[Path, typer.Argument(help="folder of the other analysis")],
    out: Annotated[Path | None, typer.Option(help="folder for tables and plot")] = None,
    emin_gev: Annotated[float, typer.Option("--emin", help="lowest energy of the fluxes, GeV")] = 300.0,
    as_json: AsJson = False,
) -> None:
    """Compare two analyses of the same runs; the exit code is 1 if they do not agree."""
    from magicpy_assets.analysis import compare as comparing
    from magicpy_assets.plots.comparison import comparison_figure

    result = comparing(first, second, energy_min_tev=emin_gev / 1e3)
    files = []
    if out is not None:
        files = [*result.save(out), out / "comparison.png"]
        comparison_figure(result).savefig(files[-1], dpi=130)
    if as_json:
        numbers = result.to_dict()
        del numbers["parts"]["events"]
        echo_json(numbers | {"files": [str(path) for path in files]})
    else:
        echo(str(result))
        for path in files:
            echo(f"written: {path}")
    if not result.agrees:
        raise typer.Exit(1)
