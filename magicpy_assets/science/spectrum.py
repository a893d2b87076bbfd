"""Spectra: a power law or log-parabola folded through the instrument and fitted to on/off counts, and flux points.

The fit is a joint likelihood (W statistic: Poisson on and off counts, background profiled out) over runs, see
:mod:`magicpy_assets.science.on_off` for the counts.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from magicpy_assets.core.errors import InputError, unknown
from magicpy_assets.science import on_off
from magicpy_assets.science.exposure import Exposure, of_observations
from magicpy_assets.science.results import Result, plain

if TYPE_CHECKING:
    from astropy.table import Table

logger = logging.getLogger(__name__)

MODELS = ("log_parabola", "power_law")
REFERENCE_TEV = 1.0
CEILING_TEV = 100.0
FLUX_POINTS_PER_DECADE = 5
LIMIT_BELOW_TS = 4.0
"""A flux point with a smaller test statistic (2 standard deviations) is given as an upper limit at 95 %."""
FLUX_UNIT = "cm-2 s-1 TeV-1"
LIMITS = {"amplitude": (0.0, np.nan), "index": (-1.0, 8.0), "alpha": (-1.0, 8.0), "beta": (-2.0, 2.0)}
LN10 = float(np.log(10.0))


@dataclass(frozen=True)
class SpectrumResult(Result):
    """A fitted spectrum. Amplitudes in cm⁻² s⁻¹ TeV⁻¹ at 1 TeV, energies in TeV."""

    name: ClassVar[str] = "spectrum"
    exposure: Exposure
    model_name: str
    model: Any
    parameters: Table
    covariance: NDArray[np.float64]
    derived: Table
    flux_points: Table
    butterfly: Table
    energy_range_tev: tuple[float, float]
    statistic: float
    degrees_of_freedom: int
    converged: bool
    joint_runs: bool
    n_on: int
    n_off: int
    excess: float
    significance: float

    @property
    def formula(self) -> str:
        """The model in words."""
        if self.model_name == "power_law":
            return "dN/dE = amplitude (E / 1 TeV)^(-index)"
        return "dN/dE = amplitude (E / 1 TeV)^(-alpha - beta ln(E / 1 TeV))"

    def parameter(self, name: str) -> tuple[float, float]:
        """Value and error of a fitted or derived parameter."""
        for table in (self.parameters, self.derived):
            for row in table:
                if row["name"] == name:
                    return float(row["value"]), float(row["error"])
        raise unknown("parameter", name, [*self.parameters["name"], *self.derived["name"]])

    def tables(self) -> dict[str, Table]:
        """Return the flux points, the fitted curve with its error band and the parameters."""
        return {"flux_points": self.flux_points, "butterfly": self.butterfly, "parameters": self.parameters}

    def to_dict(self) -> dict[str, Any]:
        """Parameters as value, error and unit; flux points; counts; fit statistic; exposure."""
        document = {
            "model": self.model_name,
            "formula": self.formula,
            "parameters": _by_name(self.parameters),
            "derived": _by_name(self.derived),
            "covariance": {"names": list(self.parameters["name"]), "matrix": self.covariance},
            "energy_range": {"low": self.energy_range_tev[0], "high": self.energy_range_tev[1], "unit": "TeV"},
            "counts": {
                "n_on": self.n_on,
                "n_off": self.n_off,
                "excess": self.excess,
                "significance": self.significance,
            },
            "fit": {
                "statistic": self.statistic,
                "degrees_of_freedom": self.degrees_of_freedom,
                "converged": self.converged,
                "runs": "joint" if self.joint_runs else "stacked",
            },
            "flux_points": [dict(zip(self.flux_points.colnames, row, strict=True)) for row in self.flux_points],
            "flux_point_units": {name: str(self.flux_points[name].unit or "") for name in self.flux_points.colnames},
            "exposure": self.exposure.to_dict(),
        }
        return dict(plain(document))


def fit(
    observations: Sequence[Any],
    position_deg: tuple[float, float],
    *,
    model: str = "log_parabola",
    energy_range_tev: tuple[float | None, float | None] = (None, None),
    n_off: int = 3,
    stack: bool | None = None,
) -> SpectrumResult:
    """Fit a spectrum to the source at `position_deg` (ra, dec ICRS) and make flux points.

    `energy_range_tev` is estimated energy; None means the range in which the effective area can be trusted. `stack`
    None stacks the runs if they are short. Upper limits are at 95 % confidence.

    Raises
    ------
    InputError
        If there is nothing to fit: no observations, no energy in range, no counts.
    OutOfRangeError
        If the off regions overlap.
    UnknownNameError
        If the model is not one of :data:`MODELS`.
    """
    if model not in MODELS:
        raise unknown("spectral model", model, MODELS)
    exposure = of_observations(observations)
    runs = on_off.reduce(observations, position_deg, energy_range_tev=energy_range_tev, n_off=n_off)
    total = on_off.totals(runs)
    if total.n_on + total.n_off == 0:
        raise InputError(f"{exposure.caption}: no event in the on and off regions", hint="widen the energy range")
    datasets = on_off.stacked(runs, always=stack) if stack is not False else runs
    spectral, outcome = _fit_models(datasets, model)
    if not outcome.success:
        logger.warning("the fit of a %s to %s did not converge: %s", model, exposure.source, outcome.message)
    low, high = on_off.used_range(datasets)
    return SpectrumResult(
        exposure=exposure,
        model_name=model,
        model=spectral,
        parameters=_parameter_table(spectral),
        covariance=_free_covariance(spectral),
        derived=_derived_table(spectral, model, low),
        flux_points=_flux_points(datasets, exposure),
        butterfly=_butterfly(spectral, low, high),
        energy_range_tev=(low, high),
        statistic=float(outcome.total_stat),
        degrees_of_freedom=_used_bins(datasets) - len(spectral.parameters.free_parameters),
        converged=bool(outcome.success),
        joint_runs=datasets is runs,
        n_on=total.n_on,
        n_off=total.n_off,
        excess=total.excess,
        significance=total.significance,
    )


def crab_reference() -> Any:
    """Return the Crab Nebula's log-parabola of MAGIC (Aleksić et al. 2015, JHEAp 5-6, 30) as a gammapy model."""
    from gammapy.modeling.models import create_crab_spectral_model

    return create_crab_spectral_model("magic_lp")


def power_law(amplitude: float = 3e-11, index: float = 2.5) -> Any:
    """Return dN/dE = amplitude (E / 1 TeV)^-index as a gammapy model; amplitude in cm⁻² s⁻¹ TeV⁻¹."""
    from gammapy.modeling.models import PowerLawSpectralModel

    return _limited(
        PowerLawSpectralModel(index=index, amplitude=f"{amplitude} {FLUX_UNIT}", reference=f"{REFERENCE_TEV} TeV")
    )


def log_parabola(amplitude: float = 3e-11, alpha: float = 2.5, beta: float = 0.1) -> Any:
    """Return a log-parabola as a gammapy model; `beta` belongs to the natural logarithm (= beta_log10 / ln 10)."""
    from gammapy.modeling.models import LogParabolaSpectralModel

    amplitude_words = f"{amplitude} {FLUX_UNIT}"
    return _limited(
        LogParabolaSpectralModel(alpha=alpha, beta=beta, amplitude=amplitude_words, reference=f"{REFERENCE_TEV} TeV")
    )


def _limited(spectral: Any) -> Any:
    """Keep the fit out of where the likelihood overflows: no negative fluxes, no absurd slopes and curvatures."""
    for parameter in spectral.parameters:
        if parameter.name in LIMITS:
            parameter.min, parameter.max = LIMITS[parameter.name]
    return spectral


def _fit_models(datasets: Any, model: str) -> tuple[Any, Any]:
    """Fit a power law, then, if wanted, a log-parabola that starts from it. Returns the model and gammapy's outcome."""
    spectral = power_law()
    _assign(datasets, spectral)
    predicted = sum(float(dataset.npred_signal().data[dataset.mask].sum()) for dataset in datasets)
    excess = sum(float(dataset.excess.data[dataset.mask].sum()) for dataset in datasets)
    if predicted <= 0:
        raise InputError("no exposure in the chosen energy range: the model predicts no event at all")
    spectral.amplitude.value *= max(excess, 1.0) / predicted
    outcome = _minimise(datasets)
    if model == "log_parabola":
        spectral = log_parabola(spectral.amplitude.value, spectral.index.value)
        _assign(datasets, spectral)
        outcome = _minimise(datasets)
    return spectral, outcome


def _assign(datasets: Any, spectral: Any) -> None:
    from gammapy.modeling.models import SkyModel

    datasets.models = [SkyModel(spectral_model=spectral, name="source")]


def _minimise(datasets: Any) -> Any:
    from gammapy.modeling import Fit

    return Fit().run(datasets)


def _flux_points(datasets: Any, exposure: Exposure) -> Table:
    """Flux points around the fitted model, as dN/dE and E² dN/dE, with 95 % upper limits in every bin."""
    from gammapy.estimators import FluxPointsEstimator

    estimator = FluxPointsEstimator(
        energy_edges=on_off.energy_edges(datasets, FLUX_POINTS_PER_DECADE),
        source="source",
        selection_optional=["ul"],
        n_sigma_ul=1.96,
    )
    points = estimator.run(datasets)
    table = points.to_table(sed_type="dnde", format="gadf-sed", formatted=False)
    squared = points.to_table(sed_type="e2dnde", format="gadf-sed", formatted=False)
    for name in ("e2dnde", "e2dnde_err", "e2dnde_ul"):
        table[name] = squared[name].quantity.to("TeV cm-2 s-1")
    table["is_ul"] = ~(np.asarray(table["ts"]) >= LIMIT_BELOW_TS)
    kept = [
        "e_ref",
        "e_min",
        "e_max",
        "dnde",
        "dnde_err",
        "dnde_ul",
        "e2dnde",
        "e2dnde_err",
        "e2dnde_ul",
        "ts",
        "is_ul",
    ]
    table["counts"] = np.nansum(np.atleast_2d(table["counts"]).reshape(len(table), -1), axis=1).astype(int)
    table = table[[*kept, "counts"]]
    table.meta = {"caption": exposure.caption, "simulated": exposure.simulated, "upper_limits": "95 % confidence"}
    return table


def _butterfly(spectral: Any, low_tev: float, high_tev: float) -> Table:
    """Fitted curve with its one-sigma error (linear propagation) on 60 energies of the fit range."""
    import astropy.units as u
    from astropy.table import QTable

    energy_tev = np.geomspace(low_tev, high_tev, 60)
    dnde = spectral(energy_tev * u.TeV).to_value(FLUX_UNIT)
    slopes = _log_slopes(spectral, energy_tev)
    error = dnde * np.sqrt(np.einsum("ie,ij,je->e", slopes, _free_covariance(spectral), slopes))
    unit = u.Unit(FLUX_UNIT)
    return QTable({"energy": energy_tev * u.TeV, "dnde": dnde * unit, "dnde_err": error * unit})


def _log_slopes(spectral: Any, energy_tev: NDArray[np.float64]) -> NDArray[np.float64]:
    """Derivative of ln(dN/dE) by each free parameter (rows) at each energy."""
    log_energy = np.log(energy_tev / REFERENCE_TEV)
    amplitude = max(float(spectral.amplitude.value), 1e-30)
    slopes = {"amplitude": np.full_like(log_energy, 1 / amplitude), "index": -log_energy, "alpha": -log_energy}
    slopes["beta"] = -(log_energy**2)
    return np.array([slopes[p.name] for p in spectral.parameters.free_parameters])


def _parameter_table(spectral: Any) -> Table:
    from astropy.table import Table

    free = spectral.parameters.free_parameters
    rows = [(p.name, float(p.value), float(p.error), str(p.unit)) for p in free]
    return Table(rows=rows, names=["name", "value", "error", "unit"])


def _derived_table(spectral: Any, model: str, low_tev: float) -> Table:
    """Integral flux above the range's start (to 100 TeV) and, for a log-parabola, beta for the decimal logarithm."""
    import astropy.units as u
    from astropy.table import Table

    energy_tev = np.geomspace(low_tev, CEILING_TEV, 400)
    dnde = spectral(energy_tev * u.TeV).to_value(FLUX_UNIT)
    gradient = np.trapezoid(dnde * _log_slopes(spectral, energy_tev), energy_tev, axis=1)
    error = float(np.sqrt(gradient @ _free_covariance(spectral) @ gradient))
    flux = float(np.trapezoid(dnde, energy_tev))
    rows = [(f"flux_above_{low_tev * 1e3:.0f}_gev", flux, error, "cm-2 s-1")]
    if model == "log_parabola":
        rows.append(("beta_log10", LN10 * spectral.beta.value, LN10 * spectral.beta.error, ""))
    return Table(rows=rows, names=["name", "value", "error", "unit"])


def _free_covariance(spectral: Any) -> NDArray[np.float64]:
    """Covariance of the free parameters, in the order of the parameter table."""
    names = [p.name for p in spectral.parameters]
    free = [names.index(p.name) for p in spectral.parameters.free_parameters]
    matrix: NDArray[np.float64] = np.asarray(spectral.covariance.data, dtype=np.float64)[np.ix_(free, free)]
    return matrix


def _used_bins(datasets: Any) -> int:
    """Bins that add to the likelihood: inside the mask, with at least one on or off event."""
    return sum(int(((d.counts.data + d.counts_off.data) > 0)[d.mask].sum()) for d in datasets)


def _by_name(table: Table) -> dict[str, dict[str, Any]]:
    return {row["name"]: {"value": row["value"], "error": row["error"], "unit": row["unit"]} for row in table}
