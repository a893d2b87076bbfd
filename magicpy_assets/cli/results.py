"""The verb that fits spectra, from the store or from DL3 files of any origin."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from magicpy_assets.cli.options import AllowMixed, AsJson, PeriodName, TelescopeNumbers, echo, echo_json, open_source


def spectrum(
    name: Annotated[str | None, typer.Argument(help="source in the store", metavar="[SOURCE]")] = None,
    dl3_folder: Annotated[Path | None, typer.Option("--dl3", help="folder of DL3 files of any origin")] = None,
    source: Annotated[str | None, typer.Option("--source", help="source in the DL3 files")] = None,
    period: PeriodName = None,
    telescopes: TelescopeNumbers = None,
    model: Annotated[str | None, typer.Option(help="shape of the spectrum, or auto; docs/results.md has all")] = None,
    redshift: Annotated[
        str | None, typer.Option(help="fit the spectrum before absorption: a redshift, or auto for that of the table")
    ] = None,
    ebl: Annotated[str | None, typer.Option(help="model of the extragalactic background light")] = None,
    fix: Annotated[
        list[str] | None, typer.Option(help="parameter that is not fitted, such as alpha=2; may be repeated")
    ] = None,
    energy_scale: Annotated[float | None, typer.Option(help="how wrong energies may be, like 0.15")] = None,
    flux_scale: Annotated[float | None, typer.Option(help="how wrong fluxes may be, like 0.11")] = None,
    background_scale: Annotated[float | None, typer.Option(help="how wrong the background may be, like 0.01")] = None,
    emin_gev: Annotated[float | None, typer.Option("--emin", help="lowest estimated energy, GeV")] = None,
    emax_gev: Annotated[float | None, typer.Option("--emax", help="highest estimated energy, GeV")] = None,
    out: Annotated[Path | None, typer.Option(help="folder for tables and plot; with --dl3 this one")] = None,
    allow_mixed: AllowMixed = False,
    as_json: AsJson = False,
) -> None:
    """Fit a spectrum, from the store or from any DL3 files."""
    given = {"model": model, "ebl": ebl, "redshift": _redshift(redshift), "fixed": _fixed(fix)}
    scales = {"energy_scale": energy_scale, "flux_scale": flux_scale, "background_scale": background_scale}
    how: dict[str, Any] = {key: value for key, value in (given | scales).items() if value is not None}
    if emin_gev is not None or emax_gev is not None:
        how["energy_range_tev"] = tuple(None if gev is None else gev / 1e3 for gev in (emin_gev, emax_gev))
    if dl3_folder is not None:
        result = _spectrum_of_folder(dl3_folder, source or name, allow_mixed, how)
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


def _redshift(text: str | None) -> float | str | None:
    if text is None or text == "auto":
        return text
    try:
        return float(text)
    except ValueError as error:
        raise typer.BadParameter(f"a redshift is a number or auto, not {text!r}") from error


def _fixed(texts: list[str] | None) -> dict[str, float] | None:
    found = {}
    for text in texts or ():
        name, _, value = text.partition("=")
        try:
            found[name.strip()] = float(value)
        except ValueError as error:
            raise typer.BadParameter(f"write --fix name=value, not {text!r}") from error
    return found or None


def _spectrum_of_folder(folder: Path, name: str | None, allow_mixed: bool, how: dict[str, Any]) -> Any:
    from magicpy_assets.core import sources
    from magicpy_assets.formats.dl3 import open_observations, position_of
    from magicpy_assets.science.spectrum_fit import fit
    from magicpy_assets.science.systematics import Systematics

    observations = open_observations(folder, name, allow_mixed=allow_mixed)
    scales = {key: how.pop(key) for key in ("energy_scale", "flux_scale", "background_scale") if key in how}
    called = name or str(observations[0].events.table.meta.get("OBJECT", ""))
    how["redshift"] = sources.redshift_of(called, how.get("redshift"))
    return fit(observations, position_of(observations, name), systematics=Systematics(**scales), **how)
