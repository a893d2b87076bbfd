"""The verb that fits spectra, from the store or from DL3 files of any origin."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from magicpy_assets.cli.options import AsJson, PeriodName, TelescopeNumbers, echo, echo_json, open_source


def spectrum(
    name: Annotated[str | None, typer.Argument(help="source in the store", metavar="[SOURCE]")] = None,
    dl3_folder: Annotated[Path | None, typer.Option("--dl3", help="folder of DL3 files of any origin")] = None,
    source: Annotated[str | None, typer.Option("--source", help="source in the DL3 files")] = None,
    period: PeriodName = None,
    telescopes: TelescopeNumbers = None,
    model: Annotated[
        str, typer.Option(help="log_parabola, power_law, power_law_cutoff, broken_power_law or auto")
    ] = "log_parabola",
    redshift: Annotated[float | None, typer.Option(help="take absorption on the way into account")] = None,
    ebl: Annotated[str, typer.Option(help="model of the extragalactic background light")] = "dominguez",
    energy_scale: Annotated[float, typer.Option(help="systematic errors for this share, like 0.15")] = 0.0,
    emin_gev: Annotated[float | None, typer.Option("--emin", help="lowest estimated energy, GeV")] = None,
    emax_gev: Annotated[float | None, typer.Option("--emax", help="highest estimated energy, GeV")] = None,
    out: Annotated[Path | None, typer.Option(help="folder for tables and plot; with --dl3 this one")] = None,
    as_json: AsJson = False,
) -> None:
    """Fit a spectrum, from the store or from any DL3 files."""
    how: dict[str, Any] = {
        "model": model,
        "redshift": redshift,
        "ebl": ebl,
        "energy_scale": energy_scale,
        "energy_range_tev": tuple(None if gev is None else gev / 1e3 for gev in (emin_gev, emax_gev)),
    }
    if dl3_folder is not None:
        result = _spectrum_of_folder(dl3_folder, source or name, **how)
        folder = out or Path()
    elif name is not None:
        with open_source(name, period, quiet=as_json, telescopes=telescopes) as chosen:
            result = chosen.spectrum(**how)
            folder = out or chosen.session.layout.shown(chosen.name, "plots")
    else:
        raise typer.BadParameter("give a source, or --dl3 with a folder")
    from magicpy_assets.plots.sed import sed_figure

    files = [*result.save(folder), folder / "spectrum.png"]
    sed_figure(result).savefig(files[-1], dpi=130)
    if as_json:
        echo_json(result.to_dict() | {"files": [str(path) for path in files]})
        return
    echo(result.exposure.caption)
    echo(f"{result.n_on} on, {result.n_off} off, excess {result.excess:.1f}, {result.significance:.1f} sigma (Li & Ma)")
    for row in result.parameters:
        systematic = f" +- {row['systematic']:.2g} (syst.)" if row["systematic"] == row["systematic"] else ""
        echo(f"  {row['name']} = {row['value']:.4g} +- {row['error']:.2g}{systematic} {row['unit']}".rstrip())
    if result.remark:
        echo(result.remark)
    if result.contributions is not None:
        echo(result.contributions.to_pandas().round(2).to_string(index=False))
    for path in files:
        echo(f"written: {path}")


def _spectrum_of_folder(folder: Path, name: str | None, **how: Any) -> Any:
    from magicpy_assets.core import sources
    from magicpy_assets.formats.dl3 import open_observations
    from magicpy_assets.science.spectrum_fit import fit

    observations = open_observations(folder, name)
    known = sources.by_name(name or str(observations[0].events.table.meta.get("OBJECT", "")))
    return fit(observations, (known.ra_deg, known.dec_deg), **how)
