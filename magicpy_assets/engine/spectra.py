"""spectra: DL3 files of a source -> spectrum, flux points, light curve, θ² and sky map, as JSON, ECSV and FITS.

Run-card keys: `spectra.model` (log_parabola; or another shape, or auto), `spectra.redshift` (none), `spectra.ebl`
(dominguez), `spectra.energyScale`, `spectra.fluxScale`, `spectra.backgroundScale` (0: no systematic errors; 0.15 for
15 %), `spectra.emin`, `spectra.emax` (TeV of estimated energy; by default where the effective area can be trusted),
`spectra.EminLC` (300 GeV), `spectra.LCbinning` (run; night, blocks or minutes such as 10 min),
`spectra.numSimultaneousBgPositions` (3),
`spectra.EminMap` (300 GeV), `spectra.allowMixed` (no): go on though forests or cuts differ within a folder. Files from
several folders are of several cells: they are fitted together, each cell with its own responses.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from magicpy_assets.core.errors import InputError
from magicpy_assets.core.runs import DataFile, parse_name
from magicpy_assets.engine.common import Flags, Log, files_of, output_path, run
from magicpy_assets.formats.dl3 import open_observations, position_of
from magicpy_assets.formats.runcard import Runcard


def main(argv: Sequence[str]) -> int:
    """Run spectra."""
    flags = Flags("spectra", "DL3 files -> spectrum, light curve, θ², sky map").with_input()
    flags.add_argument("--source", help="name of the source; by default that of the files")
    return run("spectra", flags, argv, _spectra)


def _spectra(given: Any, card: Runcard, log: Log) -> str:
    from magicpy_assets.science import counts, light_curve, spectrum_fit, time_bins
    from magicpy_assets.science.spectral_models import EBL_MODELS, MAX_REDSHIFT
    from magicpy_assets.science.systematics import Systematics

    model = card.choice("spectra.model", spectrum_fit.MODELS, spectrum_fit.MODELS[0])
    redshift = card.number("spectra.redshift", 0.0, 0.0, MAX_REDSHIFT) or None
    ebl = card.choice("spectra.ebl", tuple(EBL_MODELS), "dominguez")
    wrong_by = Systematics(
        card.number("spectra.energyScale", 0.0, 0.0, 0.49),
        card.number("spectra.fluxScale", 0.0, 0.0, 0.99),
        card.number("spectra.backgroundScale", 0.0, 0.0, 0.49),
    )
    binning = card.get("spectra.LCbinning", "run") or "run"
    if not time_bins.MINUTES.fullmatch(binning):
        binning = card.choice("spectra.LCbinning", time_bins.BINNINGS, "run")
    n_off = int(card.number("spectra.numSimultaneousBgPositions", 3, 1, 7))
    energy_range = _limit_tev(card, "spectra.emin"), _limit_tev(card, "spectra.emax")
    lowest_tev = card.number("spectra.EminLC", 300.0, 10.0, 1e5) / 1e3
    lowest_map_tev = card.number("spectra.EminMap", 300.0, 10.0, 1e5) / 1e3
    mixed = card.flag("spectra.allowMixed", False)
    output_path(given.out, "spectrum.json", given.force)

    files = files_of(given.ind, "--ind")
    observations = open_observations(files, given.source, allow_mixed=mixed)
    position = position_of(observations, given.source)
    log(f"{len(observations)} runs, source at {position[0]:.4f}, {position[1]:.4f} deg")
    cells = _cells_of(files)
    fitted = spectrum_fit.fit(
        observations, position, model=model, energy_range_tev=energy_range, n_off=n_off, groups=cells,
        redshift=redshift, ebl=ebl, systematics=wrong_by,
    )  # fmt: skip
    log(f"{fitted.exposure.caption}")
    log(f"{fitted.n_on} on, {fitted.n_off} off, excess {fitted.excess:.1f}, {fitted.significance:.1f} sigma (Li & Ma)")
    for row in fitted.parameters:
        log(f"{row['name']} = {row['value']:.4g} +- {row['error']:.2g} {row['unit']}")
    if not fitted.converged:
        log("WARNING: the fit did not converge")
    curve = light_curve.light_curve(
        observations, position, by=binning, energy_min_tev=lowest_tev, model=_shape(fitted), n_off=n_off,
        systematics=wrong_by,
    )  # fmt: skip
    distribution = counts.theta2(observations, position, n_off=n_off)
    written = [path for result in (fitted, curve, distribution) for path in result.save(given.out)]
    written += _skymap(observations, position, lowest_map_tev, cells, given.out, log)
    log("written: " + ", ".join(path.name for path in written))
    return f"{fitted.n_on + fitted.n_off} events written to {Path(given.out)}"


def _skymap(
    observations: Any,
    position: tuple[float, float],
    energy_min_tev: float,
    cells: dict[int, str] | None,
    folder: Path,
    log: Log,
) -> list[Path]:
    """Make the sky map if there are events enough, else files that say why not; no map of other events is left."""
    from magicpy_assets.formats.skymap_fits import write_no_map, write_skymap
    from magicpy_assets.science.skymap import save_missing, skymap

    fits = folder / "skymap.fits"
    try:
        result = skymap(observations, position, energy_min_tev=energy_min_tev, groups=cells)
    except InputError as error:
        log(f"WARNING: no sky map: {error.message}")
        return [save_missing(error.message, folder), write_no_map(error.message, fits)]
    peak, x, y = result.peak
    log(f"sky map: highest {peak:.1f} sigma at ({x:+.2f}, {y:+.2f}) deg; rms beside it {result.residual_rms:.2f}")
    return [*result.save(folder), write_skymap(result, fits)]


def _cells_of(files: Sequence[Path]) -> dict[int, str] | None:
    """Return the folder of each run, which in a store is its cell; None if all lie in one."""
    folders = {run: path.parent for path in files if (run := _run_of(path)) is not None}
    if len(set(folders.values())) < 2:
        return None
    return {run: f"{folder.parent.name}/{folder.name}" for run, folder in folders.items()}


def _run_of(path: Path) -> int | None:
    try:
        name = parse_name(path)
    except InputError:
        return None
    return name.run if isinstance(name, DataFile) else None


def _shape(fitted: Any) -> Any:
    """The fitted spectrum as the shape of the light curve's, if it says anything; else the default one."""
    return fitted.model if fitted.converged and fitted.significance > 5 else None


def _limit_tev(card: Runcard, key: str) -> float | None:
    value = card.number(key, 0.0, 0.0, 1e3)
    return value if value > 0 else None
