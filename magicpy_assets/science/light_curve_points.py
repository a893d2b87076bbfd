"""The points of a light curve as a table: flux, error, limit, systematic error; and tests for a constant flux."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from magicpy_assets.science.sed_points import LIMIT_BELOW_TS, LIMIT_SIGMA
from magicpy_assets.science.systematics import Systematics
from magicpy_assets.science.time_bins import RunCounts

if TYPE_CHECKING:
    from astropy.table import Table

Floats = NDArray[np.float64]

FLUX_UNIT = "cm-2 s-1"


def points_table(groups: Mapping[str, Sequence[RunCounts]], model_flux: float, energy_min_tev: float) -> Table:
    """One row per point. Columns: times, runs, counts, prediction, flux with error, limit, significance."""
    from astropy.table import Table

    rows = [point(label, group, model_flux, energy_min_tev) for label, group in groups.items()]
    table = Table(rows=rows)
    for name in ("flux", "flux_err", "flux_ul"):
        table[name].unit = FLUX_UNIT
    table["live_time"].unit = "s"
    table["energy_from"].unit = "TeV"
    table["start_mjd"].unit = table["stop_mjd"].unit = "d"
    table.sort("start_mjd")
    return table


def point(label: str, group: Sequence[RunCounts], model_flux: float, energy_min_tev: float) -> dict[str, Any]:
    """Return one point of runs taken together: their counts, flux, error, limit and significance."""
    from gammapy.stats import WStatCountsStatistic

    n_on, n_off = sum(run.n_on for run in group), sum(run.n_off for run in group)
    predicted = sum(run.predicted for run in group)
    background = sum(run.alpha * run.n_off for run in group)
    alpha = background / n_off if n_off > 0 else group[0].alpha
    statistic = WStatCountsStatistic(n_on, n_off, alpha)
    scale = model_flux / predicted if predicted > 0 else float("nan")
    significance = float(statistic.sqrt_ts) if n_on + n_off > 0 else 0.0
    error = scale * float(np.sqrt(max(n_on, 1) + alpha**2 * max(n_off, 1)))
    limit = scale * float(statistic.compute_upper_limit(LIMIT_SIGMA))
    return {
        "label": label,
        "start_mjd": min(run.start_mjd for run in group),
        "stop_mjd": max(run.stop_mjd for run in group),
        "runs": len(group),
        "live_time": sum(run.live_time_s for run in group),
        "n_on": n_on,
        "n_off": n_off,
        "alpha": alpha,
        "predicted": predicted,
        "energy_from": max(run.from_tev for run in group),
        "extrapolated": any(run.from_tev > 1.001 * energy_min_tev for run in group),
        "significance": significance,
        "flux": scale * (n_on - background),
        "flux_err": error,
        "flux_ul": max(limit, LIMIT_SIGMA * error),
        "is_ul": significance**2 < LIMIT_BELOW_TS or n_on <= background,
    }


def flux_of(runs: Sequence[RunCounts], model_flux: float) -> float:
    """Return the flux of runs taken together, cm⁻² s⁻¹."""
    excess, predicted = sum(run.n_on - run.alpha * run.n_off for run in runs), sum(run.predicted for run in runs)
    return model_flux * excess / predicted if predicted > 0 else float("nan")


def add_systematic(table: Table, asked: Systematics, energy_share: float, model_flux: float) -> None:
    """Add the column `systematic`: energies (their share of the flux), all fluxes and the background, in squares."""
    flux, background = np.asarray(table["flux"]), np.asarray(table["alpha"]) * np.asarray(table["n_off"])
    per_event = model_flux / np.maximum(np.asarray(table["predicted"]), 1e-9)
    squares = (np.hypot(energy_share, asked.flux_scale) * flux) ** 2
    table["systematic"] = np.sqrt(squares + (asked.background_scale * background * per_event) ** 2)
    table["systematic"].unit = FLUX_UNIT


def fractional_variability(flux: Floats, error: Floats) -> tuple[float, float]:
    """Fractional variability of fluxes with errors, and its error (Vaughan et al. 2003, MNRAS 345, 1271, eq. 10, B2).

    Not a number where the scatter is not larger than the errors, or with fewer than three points.
    """
    n, mean = len(flux), float(np.mean(flux)) if len(flux) else 0.0
    if n < 3 or mean <= 0:
        return float("nan"), float("nan")
    mean_square = float(np.mean(error**2))
    more = (float(np.var(flux, ddof=1)) - mean_square) / mean**2
    if more <= 0:
        return float("nan"), float("nan")
    share = float(np.sqrt(more))
    noise = float(np.sqrt(2 / n)) * mean_square / mean**2
    other = float(np.sqrt(mean_square / n)) * 2 * share / mean
    return share, float(np.hypot(noise, other)) / (2 * share)


def chi2_of_constant(table: Table, level: float) -> float:
    """Chi² of a constant at `level` times the assumed spectrum, with the variances that this constant expects.

    With the variances observed, points that fluctuate down would count more, and the mean of few counts be too low.
    """
    alpha, n_off = np.asarray(table["alpha"]), np.asarray(table["n_off"])
    expected = level * np.asarray(table["predicted"])
    excess = np.asarray(table["n_on"]) - alpha * n_off
    variance = np.maximum(expected, 0) + alpha * n_off + alpha**2 * np.maximum(n_off, 1)
    return float(((excess - expected) ** 2 / np.maximum(variance, 1e-9)).sum())
