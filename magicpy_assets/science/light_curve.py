"""Light curves: the integral flux with time, with upper limits, and tests for a constant flux.

Points are runs, nights, Bayesian blocks of runs, or bins of the user's own. A flux is excess over the events that an
assumed spectrum predicts for it, times that spectrum's integral flux: one count above an energy, no fit of the shape.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from magicpy_assets.core.errors import InputError
from magicpy_assets.science import on_off
from magicpy_assets.science.exposure import Exposure, of_observations
from magicpy_assets.science.exposure import from_dict as exposure_from
from magicpy_assets.science.results import Result, meta_of, plain, rows_of, table_of
from magicpy_assets.science.sed_points import LIMIT_BELOW_TS, LIMIT_SIGMA
from magicpy_assets.science.spectral_models import CEILING_TEV, power_law
from magicpy_assets.science.time_bins import RunCounts, edges_of, grouped, run_counts, within

if TYPE_CHECKING:
    from astropy.table import Table

logger = logging.getLogger(__name__)

Floats = NDArray[np.float64]

BINS = "bins"
FLUX_UNIT = "cm-2 s-1"


@dataclass(frozen=True)
class LightCurveResult(Result):
    """Integral fluxes above `energy_min_tev` in cm⁻² s⁻¹; times in MJD (UTC).

    `mean_flux` is that of all runs together, `mean_flux_ul` its upper limit (95 %).
    """

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
    variability: float = float("nan")
    variability_error: float = float("nan")
    mean_flux_ul: float = float("nan")

    @property
    def caption(self) -> str:
        """What the points are, for figures and files."""
        kept = {"run": "run", "night": "night", "blocks": "Bayesian block of runs", BINS: "bin of time"}[self.binning]
        words = (
            f"{self.exposure.caption}. One point per {kept}, assumed spectrum: {self.spectrum_words}. Points below 2 σ"
            f" are upper limits (95 %). Constant flux: χ² = {self.chi2_constant:.1f} for {self.degrees_of_freedom}"
            f" degrees of freedom, p = {self.p_constant:.2g}."
        )
        if self.variability == self.variability:
            words += f" Fractional variability {self.variability:.2f} ± {self.variability_error:.2f}."
        if "extrapolated" in self.table.colnames and bool(np.any(self.table["extrapolated"])):
            words += " Open points were counted at higher energies and extrapolated with the assumed spectrum."
        return words

    @property
    def gammapy(self) -> Any:
        """Return the points as gammapy FluxPoints with an axis of time."""
        from astropy.table import Table
        from gammapy.estimators import FluxPoints

        ends = self.energy_min_tev, CEILING_TEV
        # Counted from the first day: over years leap seconds would come between.
        epoch = int(np.floor(np.min(self.table["start_mjd"])))
        energies = {"e_ref": float(np.sqrt(ends[0] * ends[1])), "e_min": ends[0], "e_max": ends[1]}
        # One energy bin: gammapy wants a further axis for it.
        values = {
            name: np.asarray(self.table[name], dtype=np.float64)[:, None] for name in ("flux", "flux_err", "flux_ul")
        }
        table = Table(
            {
                "time_min": np.asarray(self.table["start_mjd"]) - epoch,
                "time_max": np.asarray(self.table["stop_mjd"]) - epoch,
                **{name: np.full((len(self.table), 1), value) for name, value in energies.items()},
                **values,
                "is_ul": np.asarray(self.table["is_ul"], dtype=bool)[:, None],
            },
            units=dict.fromkeys(energies, "TeV") | dict.fromkeys(values, FLUX_UNIT),
        )
        table.meta = {
            "SED_TYPE": "flux",
            "TIMESYS": "utc",
            "MJDREFI": epoch,
            "MJDREFF": 0.0,
            "TIMEUNIT": "d",
        }
        return FluxPoints.from_table(table, format="lightcurve", sed_type="flux")

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
            "mean_flux": {
                "value": self.mean_flux,
                "error": self.mean_flux_error,
                "limit": self.mean_flux_ul,
                "unit": FLUX_UNIT,
            },
            "constant_flux": {
                "chi2": self.chi2_constant,
                "degrees_of_freedom": self.degrees_of_freedom,
                "probability": self.p_constant,
            },
            "fractional_variability": {"value": self.variability, "error": self.variability_error, "unit": ""},
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
            table=table_of(document["points"], meta_of(exposure)),
            binning=document["binning"],
            energy_min_tev=document["energy_min"]["value"],
            spectrum_words=document["spectrum"],
            mean_flux=document["mean_flux"]["value"],
            mean_flux_error=document["mean_flux"]["error"],
            chi2_constant=document["constant_flux"]["chi2"],
            degrees_of_freedom=document["constant_flux"]["degrees_of_freedom"],
            variability=_number(document.get("fractional_variability", {}).get("value")),
            variability_error=_number(document.get("fractional_variability", {}).get("error")),
            mean_flux_ul=_number(document["mean_flux"].get("limit")),
        )


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def light_curve(
    observations: Sequence[Any],
    position_deg: tuple[float, float],
    *,
    by: str | Sequence[float] = "run",
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
        "run", "night" (noon to noon UTC, named by the date of the morning), "blocks" (Bayesian blocks of runs),
        "10 min" (bins of as many minutes, from the start of each night), or edges of bins in MJD (UTC).
    energy_min_tev
        Lower end of the integral flux. Runs that can be used from higher energies on only are extrapolated, and marked.
    model
        Spectral model of gammapy whose shape is assumed; by default a power law of index 2.5.
    n_off
        Number of off regions.

    Raises
    ------
    UnknownNameError, InputError
        For a binning that is none, or bins without data.
    """
    exposure = of_observations(observations)
    spectrum = model if model is not None else power_law()
    model_flux = _integral_flux(spectrum, energy_min_tev)

    def counted(some: Sequence[Any]) -> list[RunCounts]:
        wanted = (energy_min_tev, None)
        datasets = on_off.reduce(some, position_deg, energy_range_tev=wanted, n_off=n_off, edge_tev=energy_min_tev)
        return [run_counts(dataset, spectrum) for dataset in datasets]

    edges = edges_of(by, observations)
    if edges is None:
        groups = grouped(counted(observations), str(by), model_flux)
    else:
        parts = [within(observations, *pair) for pair in pairwise(edges)]
        groups = {f"{low:.4f}": counted(part) for low, part in zip(edges, parts, strict=False) if part}
        if not groups:
            raise InputError("no data in any bin of the light curve", hint=f"the data are of {exposure.caption}")
    runs = [run for group in groups.values() for run in group]
    late = [run for run in runs if run.from_tev > 1.001 * energy_min_tev]
    if late:
        logger.warning(
            "%d of %d runs counted from up to %.3g TeV on; below, the flux is extrapolated",
            len(late), len(runs), max(run.from_tev for run in late),
        )  # fmt: skip
    table = _points(groups, model_flux, energy_min_tev)
    table.meta = meta_of(exposure)
    together = _point("all", runs, model_flux, energy_min_tev)
    mean, error = together["flux"], together["flux_err"]
    variability = fractional_variability(np.asarray(table["flux"]), np.asarray(table["flux_err"]))
    return LightCurveResult(
        exposure=exposure,
        table=table,
        binning=BINS if edges is not None else str(by),
        energy_min_tev=energy_min_tev,
        spectrum_words=" ".join(f"{p.name} {p.value:.3g}" for p in spectrum.parameters if p.name != "reference"),
        mean_flux=mean,
        mean_flux_error=error,
        chi2_constant=_chi2_of_constant(table, mean / model_flux),
        degrees_of_freedom=len(table) - 1,
        variability=variability[0],
        variability_error=variability[1],
        mean_flux_ul=together["flux_ul"],
    )


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


def _points(groups: Mapping[str, Sequence[RunCounts]], model_flux: float, energy_min_tev: float) -> Table:
    """One row per point. Columns: times, runs, counts, prediction, flux with error, limit, significance."""
    from astropy.table import Table

    rows = [_point(label, group, model_flux, energy_min_tev) for label, group in groups.items()]
    table = Table(rows=rows)
    for name in ("flux", "flux_err", "flux_ul"):
        table[name].unit = FLUX_UNIT
    table["live_time"].unit = "s"
    table["energy_from"].unit = "TeV"
    table.sort("start_mjd")
    return table


def _point(label: str, group: Sequence[RunCounts], model_flux: float, energy_min_tev: float) -> dict[str, Any]:
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
