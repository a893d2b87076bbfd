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
from magicpy_assets.science import on_off, spectral_models
from magicpy_assets.science.exposure import Exposure, of_observations
from magicpy_assets.science.exposure import from_dict as exposure_from
from magicpy_assets.science.results import Result, plain, rows_of, table_of
from magicpy_assets.science.spectral_models import CEILING_TEV, FLUX_UNIT, log_parabola, power_law

if TYPE_CHECKING:
    from astropy.table import Table

logger = logging.getLogger(__name__)

MODELS = ("log_parabola", "power_law")
FLUX_POINTS_PER_DECADE = 5
LIMIT_BELOW_TS = 4.0
"""A flux point with a smaller test statistic (2 standard deviations) is given as an upper limit at 95 %."""
LIMIT_SIGMA = 1.96
"""Upper limits at 95 % confidence; none is lower than that of a measurement of zero, however far below that it is."""
NO_FLUX = 1e-17
LN10 = float(np.log(10.0))


@dataclass(frozen=True)
class SpectrumResult(Result):
    """A fitted spectrum. Amplitudes in cm⁻² s⁻¹ TeV⁻¹ at 1 TeV, energies in TeV."""

    name: ClassVar[str] = "spectrum"
    exposure: Exposure
    model_name: str
    parameters: Table
    covariance: NDArray[np.float64]
    derived: Table
    flux_points: Table
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

    @property
    def model(self) -> Any:
        """Return the fitted gammapy model, with its covariance."""
        values = {row["name"]: float(row["value"]) for row in self.parameters}
        spectral = power_law(**values) if self.model_name == "power_law" else log_parabola(**values)
        names = [p.name for p in spectral.parameters]
        place = [names.index(name) for name in self.parameters["name"]]
        full = np.zeros((len(names), len(names)))
        full[np.ix_(place, place)] = self.covariance
        spectral.covariance = full
        return spectral

    @property
    def butterfly(self) -> Table:
        """Fitted curve with its one-sigma error (linear propagation) on 60 energies of the fit range."""
        return spectral_models.butterfly(self.model, *self.energy_range_tev)

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
            "flux_points": rows_of(self.flux_points),
            "exposure": self.exposure.to_dict(),
        }
        return dict(plain(document))

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> SpectrumResult:
        """Return the result from what :meth:`to_dict` gave."""
        exposure, counts, outcome = exposure_from(document["exposure"]), document["counts"], document["fit"]
        return cls(
            exposure=exposure,
            model_name=document["model"],
            parameters=_from_names(document["parameters"]),
            covariance=np.array(document["covariance"]["matrix"], dtype=np.float64),
            derived=_from_names(document["derived"]),
            flux_points=table_of(document["flux_points"], _meta(exposure)),
            energy_range_tev=(document["energy_range"]["low"], document["energy_range"]["high"]),
            statistic=outcome["statistic"],
            degrees_of_freedom=outcome["degrees_of_freedom"],
            converged=outcome["converged"],
            joint_runs=outcome["runs"] == "joint",
            **counts,
        )


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
        parameters=_parameter_table(spectral),
        covariance=spectral_models.free_covariance(spectral),
        derived=_derived_table(spectral, model, low),
        flux_points=_flux_points(datasets, exposure),
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


def _of_few_events() -> Any:
    """Keep still about numbers that overflow or are none: with few events the minimum is at the edge of what fits."""
    return np.errstate(over="ignore", invalid="ignore", divide="ignore")


def _minimise(datasets: Any) -> Any:
    from gammapy.modeling import Fit

    with _of_few_events():
        return Fit().run(datasets)


def _flux_points(datasets: Any, exposure: Exposure) -> Table:
    """Flux points as dN/dE and E² dN/dE, with an upper limit in every bin.

    Each scales the fitted model in its bin; where the fit found no flux at all, a power law of index 2.5 instead.
    """
    from gammapy.estimators import FluxPointsEstimator

    if float(datasets.models["source"].spectral_model.amplitude.value) < NO_FLUX:
        _assign(datasets, power_law())

    estimator = FluxPointsEstimator(
        energy_edges=on_off.energy_edges(datasets, FLUX_POINTS_PER_DECADE),
        source="source",
        selection_optional=["ul"],
        n_sigma_ul=LIMIT_SIGMA,
    )
    with _of_few_events():
        points = estimator.run(datasets)
    table = points.to_table(sed_type="dnde", format="gadf-sed", formatted=False)
    squared = points.to_table(sed_type="e2dnde", format="gadf-sed", formatted=False)
    for name in ("e2dnde", "e2dnde_err", "e2dnde_ul"):
        table[name] = squared[name].quantity.to("TeV cm-2 s-1")
    for limit, error in (("dnde_ul", "dnde_err"), ("e2dnde_ul", "e2dnde_err")):
        table[limit] = np.fmax(table[limit].quantity, LIMIT_SIGMA * table[error].quantity)
    seen = (np.asarray(table["ts"]) >= LIMIT_BELOW_TS) & (np.asarray(table["dnde"]) > 0)
    table["is_ul"] = ~seen
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
    table.meta = _meta(exposure)
    return table


def _meta(exposure: Exposure) -> dict[str, Any]:
    return {"caption": exposure.caption, "simulated": exposure.simulated, "upper_limits": "95 % confidence"}


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
    gradient = np.trapezoid(dnde * spectral_models.log_slopes(spectral, energy_tev), energy_tev, axis=1)
    error = float(np.sqrt(gradient @ spectral_models.free_covariance(spectral) @ gradient))
    flux = float(np.trapezoid(dnde, energy_tev))
    rows = [(f"flux_above_{low_tev * 1e3:.0f}_gev", flux, error, "cm-2 s-1")]
    if model == "log_parabola":
        rows.append(("beta_log10", LN10 * spectral.beta.value, LN10 * spectral.beta.error, ""))
    return Table(rows=rows, names=["name", "value", "error", "unit"])


def _used_bins(datasets: Any) -> int:
    """Bins that add to the likelihood: inside the mask, with at least one on or off event."""
    return sum(int(((d.counts.data + d.counts_off.data) > 0)[d.mask].sum()) for d in datasets)


def _from_names(document: dict[str, dict[str, Any]]) -> Table:
    from astropy.table import Table

    rows = [
        (name, *(np.nan if entry[key] is None else entry[key] for key in ("value", "error")), entry["unit"])
        for name, entry in document.items()
    ]
    return Table(rows=rows, names=["name", "value", "error", "unit"])


def _by_name(table: Table) -> dict[str, dict[str, Any]]:
    return {row["name"]: {"value": row["value"], "error": row["error"], "unit": row["unit"]} for row in table}
