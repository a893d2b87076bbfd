"""Light curves: the integral flux per run or per night, with upper limits, and a test for a constant flux.

A flux is excess over the events that an assumed spectrum predicts for it, times that spectrum's integral flux: one
count above an energy, no fit of the shape per point.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from magicpy_assets.core.errors import unknown
from magicpy_assets.science import on_off
from magicpy_assets.science.exposure import Exposure, of_observations
from magicpy_assets.science.exposure import from_dict as exposure_from
from magicpy_assets.science.results import Result, plain, rows_of, table_of
from magicpy_assets.science.spectral_models import CEILING_TEV, power_law
from magicpy_assets.science.spectrum import LIMIT_BELOW_TS, LIMIT_SIGMA

if TYPE_CHECKING:
    from astropy.table import Table

logger = logging.getLogger(__name__)

BINNINGS = ("run", "night")
FLUX_UNIT = "cm-2 s-1"


@dataclass(frozen=True)
class LightCurveResult(Result):
    """Integral fluxes above `energy_min_tev` in cm⁻² s⁻¹; times in MJD (UTC)."""

    name: ClassVar[str] = "light_curve"
    exposure: Exposure
    table: Table
    binning: str
    energy_min_tev: float
    spectrum_words: str
    mean_flux: float
    mean_flux_error: float
    chi2_constant: float
    degrees_of_freedom: int

    @property
    def p_constant(self) -> float:
        """Probability of a chi² at least as large if the flux were constant."""
        from scipy.stats import chi2

        return float(chi2.sf(self.chi2_constant, self.degrees_of_freedom)) if self.degrees_of_freedom > 0 else 1.0

    def tables(self) -> dict[str, Table]:
        """Return the points of the light curve."""
        return {"light_curve": self.table}

    def to_dict(self) -> dict[str, Any]:
        """Points, mean flux as value, error and unit, and the test for a constant flux."""
        document = {
            "binning": self.binning,
            "energy_min": {"value": self.energy_min_tev, "unit": "TeV"},
            "spectrum": self.spectrum_words,
            "mean_flux": {"value": self.mean_flux, "error": self.mean_flux_error, "unit": FLUX_UNIT},
            "constant_flux": {
                "chi2": self.chi2_constant,
                "degrees_of_freedom": self.degrees_of_freedom,
                "probability": self.p_constant,
            },
            "points": rows_of(self.table),
            "exposure": self.exposure.to_dict(),
        }
        return dict(plain(document))

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> LightCurveResult:
        """Return the result from what :meth:`to_dict` gave."""
        exposure = exposure_from(document["exposure"])
        return cls(
            exposure=exposure,
            table=table_of(document["points"], _meta(exposure)),
            binning=document["binning"],
            energy_min_tev=document["energy_min"]["value"],
            spectrum_words=document["spectrum"],
            mean_flux=document["mean_flux"]["value"],
            mean_flux_error=document["mean_flux"]["error"],
            chi2_constant=document["constant_flux"]["chi2"],
            degrees_of_freedom=document["constant_flux"]["degrees_of_freedom"],
        )


def light_curve(
    observations: Sequence[Any],
    position_deg: tuple[float, float],
    *,
    by: str = "run",
    energy_min_tev: float = 0.3,
    model: Any = None,
    n_off: int = 3,
) -> LightCurveResult:
    """Light curve of the source at `position_deg` (ra, dec ICRS) above an energy.

    Parameters
    ----------
    observations
        Gammapy observations.
    position_deg
        Right ascension and declination of the source.
    by
        "run", or "night" (noon to noon UTC, named by the date of the morning).
    energy_min_tev
        Lower end of the integral flux.
    model
        Spectral model of gammapy whose shape is assumed; by default a power law of index 2.5.
    n_off
        Number of off regions.
    """
    if by not in BINNINGS:
        raise unknown("binning", by, BINNINGS)
    exposure = of_observations(observations)
    wanted = (energy_min_tev, None)
    datasets = on_off.reduce(observations, position_deg, energy_range_tev=wanted, n_off=n_off, edge_tev=energy_min_tev)
    starts_tev = [on_off.used_range([dataset])[0] for dataset in datasets]
    for dataset, start_tev in zip(datasets, starts_tev, strict=True):
        if start_tev > 1.001 * energy_min_tev:
            logger.warning(
                "run %s: counted from %.3g TeV on, below it the flux is extrapolated", dataset.name, start_tev
            )
    spectrum = model if model is not None else power_law()
    runs = [_run_counts(dataset, spectrum) for dataset in datasets]
    model_flux = _integral_flux(spectrum, energy_min_tev)
    table = _points(runs, by, model_flux)
    table.meta = _meta(exposure)
    together = _point("all", runs, model_flux)
    mean, error = together["flux"], together["flux_err"]
    chi2 = _chi2_of_constant(table, mean / model_flux)
    return LightCurveResult(
        exposure=exposure,
        table=table,
        binning=by,
        energy_min_tev=energy_min_tev,
        spectrum_words=" ".join(f"{p.name} {p.value:.3g}" for p in spectrum.parameters if p.name != "reference"),
        mean_flux=mean,
        mean_flux_error=error,
        chi2_constant=chi2,
        degrees_of_freedom=len(table) - 1,
    )


def _meta(exposure: Exposure) -> dict[str, Any]:
    return {"caption": exposure.caption, "simulated": exposure.simulated, "upper_limits": "95 % confidence"}


@dataclass(frozen=True)
class _RunCounts:
    """Counts of one run and the events that the assumed spectrum predicts."""

    run: str
    start_mjd: float
    stop_mjd: float
    live_time_s: float
    n_on: int
    n_off: int
    alpha: float
    predicted: float


def _run_counts(dataset: Any, spectrum: Any) -> _RunCounts:
    from gammapy.modeling.models import SkyModel

    dataset.models = [SkyModel(spectral_model=spectrum, name="source")]
    total = on_off.totals([dataset])
    background = total.n_on - total.excess
    return _RunCounts(
        run=str(dataset.name),
        start_mjd=float(dataset.gti.time_start.utc.mjd.min()),
        stop_mjd=float(dataset.gti.time_stop.utc.mjd.max()),
        live_time_s=float(dataset.exposure.meta["livetime"].to_value("s")),
        n_on=total.n_on,
        n_off=total.n_off,
        alpha=background / total.n_off if total.n_off > 0 else on_off.nominal_alpha(dataset),
        predicted=float(dataset.npred_signal().data[dataset.mask].sum()),
    )


def _points(runs: Sequence[_RunCounts], by: str, model_flux: float) -> Table:
    """One row per run or night. Columns: times, runs, counts, prediction, flux with error, limit, significance."""
    from astropy.table import Table

    groups: dict[str, list[_RunCounts]] = {}
    for run in runs:
        groups.setdefault(run.run if by == "run" else str(_morning(run.start_mjd)), []).append(run)
    rows = [_point(label, group, model_flux) for label, group in groups.items()]
    table = Table(rows=rows)
    for name in ("flux", "flux_err", "flux_ul"):
        table[name].unit = FLUX_UNIT
    table["live_time"].unit = "s"
    table.sort("start_mjd")
    return table


def _point(label: str, group: Sequence[_RunCounts], model_flux: float) -> dict[str, Any]:
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
        "significance": significance,
        "flux": scale * (n_on - background),
        "flux_err": error,
        "flux_ul": max(limit, LIMIT_SIGMA * error),
        "is_ul": significance**2 < LIMIT_BELOW_TS or n_on <= background,
    }


def _morning(mjd: float) -> int:
    """Night of a time as the MJD of its morning: noon to noon UTC."""
    return int(np.floor(mjd + 0.5))


def _integral_flux(spectrum: Any, energy_min_tev: float) -> float:
    import astropy.units as u

    return float(spectrum.integral(energy_min_tev * u.TeV, CEILING_TEV * u.TeV).to_value(FLUX_UNIT))


def _chi2_of_constant(table: Table, level: float) -> float:
    """Chi² of a constant at `level` times the assumed spectrum, with the variances that this constant expects.

    With the variances observed, points that fluctuate down would count more, and the mean of few counts be too low.
    """
    alpha, n_off = np.asarray(table["alpha"]), np.asarray(table["n_off"])
    expected = level * np.asarray(table["predicted"])
    excess = np.asarray(table["n_on"]) - alpha * n_off
    variance = np.maximum(expected, 0) + alpha * n_off + alpha**2 * np.maximum(n_off, 1)
    return float(((excess - expected) ** 2 / np.maximum(variance, 1e-9)).sum())
