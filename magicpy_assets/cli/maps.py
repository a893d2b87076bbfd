"""The verb that makes sky maps, from the store or from DL3 files of any origin."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from magicpy_assets.cli.options import AllowMixed, AsJson, PeriodName, TelescopeNumbers, echo, echo_json, open_source

if TYPE_CHECKING:
    from magicpy_assets.science.skymap import SkymapResult


def skymap(
    name: Annotated[str | None, typer.Argument(help="source in the store", metavar="[SOURCE]")] = None,
    dl3_folder: Annotated[Path | None, typer.Option("--dl3", help="folder of DL3 files of any origin")] = None,
    period: PeriodName = None,
    telescopes: TelescopeNumbers = None,
    emin_gev: Annotated[float, typer.Option("--emin", help="lowest estimated energy, GeV")] = 300.0,
    out: Annotated[Path | None, typer.Option(help="folder for maps and plot; with --dl3 this one")] = None,
    allow_mixed: AllowMixed = False,
    as_json: AsJson = False,
) -> None:
    """Make the sky map around a source: significance and excess, as FITS, table and plot."""
    if dl3_folder is not None:
        result = _of_folder(dl3_folder, name, emin_gev / 1e3, allow_mixed)
        folder = out or Path()
    elif name is not None:
        with open_source(name, period, quiet=as_json, telescopes=telescopes) as source:
            result = source.skymap(energy_min_tev=emin_gev / 1e3)
            folder = out or source.session.layout.shown(source.name, "plots")
    else:
        raise typer.BadParameter("give a source, or --dl3 with a folder")
    from magicpy_assets.formats.skymap_fits import write_skymap
    from magicpy_assets.plots.maps import skymap_figure

    files = [*result.save(folder), write_skymap(result, folder / "skymap.fits"), folder / "skymap.png"]
    skymap_figure(result).savefig(files[-1], dpi=130)
    if as_json:
        maps = ("edges", "on", "background", "significance")
        numbers = {key: value for key, value in result.to_dict().items() if key not in maps}
        echo_json(numbers | {"files": [str(path) for path in files]})
        return
    peak, x, y = result.peak
    echo(result.exposure.caption)
    echo(f"highest {peak:.1f} sigma (Li & Ma) at ({x:+.3f}, {y:+.3f}) deg from the source, E > {emin_gev:g} GeV")
    echo(f"beside the source: mean {result.residual_mean:.2f}, rms {result.residual_rms:.2f}")
    echo("background: a ring around each point, scaled with the acceptance measured beside the source")
    if result.simulated:
        echo("All of this is simulated: it says nothing about the real sky.")
    for path in files:
        echo(f"written: {path}")


def _of_folder(folder: Path, name: str | None, energy_min_tev: float, allow_mixed: bool) -> SkymapResult:
    from magicpy_assets.formats.dl3 import open_observations, position_of
    from magicpy_assets.science.skymap import skymap as make_skymap

    observations = open_observations(folder, name, allow_mixed=allow_mixed)
    return make_skymap(observations, position_of(observations, name), energy_min_tev=energy_min_tev)
