"""The verbs that count: θ², and the flux with time, from the store."""

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


def theta2(
    name: SourceName,
    period: PeriodName = None,
    telescopes: TelescopeNumbers = None,
    where: Where = None,
    selection: Annotated[str | None, typer.Option(help="LE, FR or HE; by default DL3 events above 300 GeV")] = None,
    emin_gev: Annotated[float | None, typer.Option("--emin", help="lowest estimated energy, GeV")] = None,
    theta2_deg2: Annotated[float | None, typer.Option("--theta2", help="largest θ², deg²")] = None,
    hadronness: Annotated[float | None, typer.Option("--hadronness", help="largest hadronness")] = None,
    size_phe: Annotated[float | None, typer.Option("--size", help="smallest image in both telescopes, phe")] = None,
    n_off: Annotated[int, typer.Option("--off-regions", min=1, max=7, help="number of off regions")] = 3,
    out: Annotated[Path | None, typer.Option(help="folder for tables and plots")] = None,
    as_json: AsJson = False,
) -> None:
    """Count events around a source, cell by cell and together."""
    from magicpy_assets.plots.theta2 import growth_figure, theta2_figure

    asked = {
        "energy_min_gev": emin_gev,
        "theta2_max_deg2": theta2_deg2,
        "hadronness_max": hadronness,
        "size_min_phe": size_phe,
    }
    cuts = {name: value for name, value in asked.items() if value is not None} or None
    with open_source(name, period, where=where, quiet=as_json, telescopes=telescopes) as source:
        found = source.theta2_by_cell(selection, cuts=cuts, n_off=n_off)
        folder = out or source.session.layout.shown(source.name, "plots")
    files = [*found.total.save(folder), folder / "theta2.png", folder / "significance_growth.png"]
    theta2_figure(found.total).savefig(files[-2], dpi=130)
    growth_figure(found.total).savefig(files[-1], dpi=130)
    if as_json:
        cells = found.table.to_pandas().to_dict("records")
        echo_json(found.total.to_dict() | {"cells": cells, "files": [str(path) for path in files]})
        return
    echo(found.total.caption)
    echo(str(found))
    if found.total.simulated:
        echo("All of this is simulated: it says nothing about the real sky.")
    for path in files:
        echo(f"written: {path}")


def light_curve(
    name: SourceName,
    period: PeriodName = None,
    telescopes: TelescopeNumbers = None,
    where: Where = None,
    by: Annotated[
        str, typer.Option(help='run, night, blocks, minutes ("10 min"), or edges of bins in MJD: 59166,59170')
    ] = "night",
    emin_gev: Annotated[float, typer.Option("--emin", help="lowest energy of the flux, GeV")] = 300.0,
    out: Annotated[Path | None, typer.Option(help="folder for table and plot")] = None,
    as_json: AsJson = False,
) -> None:
    """Show how the flux of a source goes with time."""
    from magicpy_assets.plots.light_curve import light_curve_figure

    points = _binning(by)
    with open_source(name, period, where=where, quiet=as_json, telescopes=telescopes) as source:
        result = source.light_curve(by=points, energy_min_tev=emin_gev / 1e3)
        folder = out or source.session.layout.shown(source.name, "plots")
    files = [*result.save(folder), folder / "light_curve.png"]
    light_curve_figure(result).savefig(files[-1], dpi=130)
    if as_json:
        echo_json(result.to_dict() | {"files": [str(path) for path in files]})
        return
    echo(result.caption)
    shown = ["label", "start_mjd", "stop_mjd", "n_on", "n_off", "significance", "flux", "flux_err", "flux_ul", "is_ul"]
    echo(result.table[shown].to_pandas().to_string(index=False, float_format=lambda value: f"{value:.6g}"))
    if result.simulated:
        echo("All of this is simulated: it says nothing about the real sky.")
    for path in files:
        echo(f"written: {path}")


def _binning(text: str) -> str | list[float]:
    """Return the name of a binning, or edges of bins."""
    if "," not in text:
        return text
    try:
        return [float(word) for word in text.split(",")]
    except ValueError as error:
        raise typer.BadParameter(f"edges of bins are times in MJD, such as 59166,59170, not {text!r}") from error
