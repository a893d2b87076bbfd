"""Spectra folded through the instrument and fitted to on/off counts.

The fit is a joint likelihood (W statistic: Poisson on and off counts, background profiled out) over runs, or over
stacks of runs of a kind, see :mod:`magicpy_assets.science.on_off` for the counts.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from magicpy_assets.core.errors import InputError, OutOfRangeError
from magicpy_assets.science import on_off, spectral_models
from magicpy_assets.science.exposure import of_observations
from magicpy_assets.science.fit_checks import contributions as contributions_of
from magicpy_assets.science.fit_checks import residuals as residuals_of
from magicpy_assets.science.results import meta_of
from magicpy_assets.science.sed_points import flux_points, of_few_events
from magicpy_assets.science.spectral_models import CEILING_TEV, FLUX_UNIT, Shape
from magicpy_assets.science.spectrum import SpectrumResult

if TYPE_CHECKING:
    from astropy.table import Table

logger = logging.getLogger(__name__)

AUTO = "auto"
MODELS = (*spectral_models.SHAPES, AUTO)
AUTO_SIGMA = 3.0
"""A shape with one parameter more is taken if it is preferred by as many standard deviations."""
NO_FLUX = 1e-17
LN10 = float(np.log(10.0))


def fit(
    observations: Sequence[Any],
    position_deg: tuple[float, float],
    *,
    model: str = "log_parabola",
    energy_range_tev: tuple[float | None, float | None] = (None, None),
    n_off: int = 3,
    stack: bool | None = None,
    groups: Mapping[int, str] | None = None,
    redshift: float | None = None,
    ebl: str = "dominguez",
    energy_scale: float = 0.0,
) -> SpectrumResult:
    """Fit a spectrum to the source at `position_deg` (ra, dec ICRS) and make flux points.

    Parameters
    ----------
    observations, position_deg
        Gammapy observations, and the source.
    model
        A shape of `spectral_models.SHAPES`, or `auto`: a power law, unless a log-parabola is preferred by 3 σ.
    energy_range_tev
        Range of estimated energy; None means where the effective area can be trusted.
    n_off
        Number of off regions.
    stack
        None stacks runs that are short; runs of different groups are never stacked, but fitted jointly.
    groups
        The cell, or another name, of each run number. The result says what each group contributes.
    redshift, ebl
        If given, the shape is that of the source, and absorption on the way is put on it.
    energy_scale
        If given (0.15 for 15 %), the fit is repeated with all energies scaled up and down by it, and half of the
        difference is the systematic error of each parameter.

    Raises
    ------
    InputError
        If there is nothing to fit: no observations, no energy in range, no counts.
    OutOfRangeError
        If the off regions overlap, or redshift or energy scale make no sense.
    UnknownNameError
        If the model is not one of :data:`MODELS`.
    """
    shapes = [spectral_models.shape(key) for key in (("power_law", "log_parabola") if model == AUTO else (model,))]
    if not 0 <= energy_scale < 0.5:
        raise OutOfRangeError(f"an energy scale uncertain by {energy_scale:g} is not between 0 and 0.5")
    absorbed = None if redshift is None else spectral_models.absorption(redshift, ebl)

    def counted(factor: float) -> Any:
        runs = on_off.reduce(
            observations, position_deg, energy_range_tev=energy_range_tev, n_off=n_off, energy_factor=factor
        )
        return runs, (on_off.stacked(runs, always=stack, groups=groups) if stack is not False else runs)

    exposure = of_observations(observations)
    runs, datasets = counted(1.0)
    total = on_off.totals(runs)
    if total.n_on + total.n_off == 0:
        raise InputError(f"{exposure.caption}: no event in the on and off regions", hint="widen the energy range")
    chosen, spectral, outcome, remark = _choose(datasets, shapes, absorbed)
    if not outcome.success:
        logger.warning("the fit of a %s to %s did not converge: %s", chosen.words, exposure.source, outcome.message)
    systematic = _systematic(counted, chosen, absorbed, energy_scale) if energy_scale else {}
    low, high = on_off.used_range(datasets)
    meta = meta_of(exposure)
    parameters = _parameter_table(spectral, systematic)
    residuals = residuals_of(datasets)
    covariance, derived = spectral_models.free_covariance(spectral), _derived_table(spectral, absorbed, low)
    n_free = len(parameters)
    if float(spectral.amplitude.value) < NO_FLUX:
        # Flux points scale the model in their bins, which no flux at all does not allow.
        _assign(datasets, spectral_models.power_law(), None)
    points = flux_points(datasets)
    # The last, for it gives models to the runs, of which those not stacked are the very ones that were fitted.
    contributions = contributions_of(runs, spectral, absorbed, groups)
    for table in (points, residuals, contributions):
        table.meta |= meta
    return SpectrumResult(
        exposure=exposure,
        model_name=chosen.key,
        parameters=parameters,
        covariance=covariance,
        derived=derived,
        flux_points=points,
        energy_range_tev=(low, high),
        statistic=float(outcome.total_stat),
        degrees_of_freedom=_used_bins(datasets) - n_free,
        converged=bool(outcome.success),
        joint_runs=len(datasets) == len(runs),
        n_on=total.n_on,
        n_off=total.n_off,
        excess=total.excess,
        significance=total.significance,
        residuals=residuals,
        contributions=contributions if groups else None,
        redshift=redshift,
        ebl=ebl if redshift is not None else "",
        energy_scale=energy_scale,
        remark=remark,
    )


def _choose(datasets: Any, shapes: Sequence[Shape], absorbed: Any) -> tuple[Shape, Any, Any, str]:
    """Fit the shapes, the simplest first; return the one taken, its model, gammapy's outcome, and why."""
    spectral, outcome = _fit_shape(datasets, shapes[0], absorbed)
    if len(shapes) == 1:
        return shapes[0], spectral, outcome, ""
    before = float(outcome.total_stat)
    curved, curved_outcome = _fit_shape(datasets, shapes[1], absorbed)
    sigma = float(np.sqrt(max(before - float(curved_outcome.total_stat), 0.0)))
    words = f"A {shapes[1].words} is preferred to a {shapes[0].words} by {sigma:.1f} σ"
    if sigma >= AUTO_SIGMA:
        return shapes[1], curved, curved_outcome, f"{words}."
    _assign(datasets, spectral, absorbed)
    return shapes[0], spectral, outcome, f"{words} only, so the simpler one is taken."


def _fit_shape(datasets: Any, shape: Shape, absorbed: Any) -> tuple[Any, Any]:
    """Fit a power law, then, if wanted, a shape that starts from it. Returns the model and gammapy's outcome."""
    spectral = spectral_models.power_law()
    _assign(datasets, spectral, absorbed)
    predicted = sum(float(dataset.npred_signal().data[dataset.mask].sum()) for dataset in datasets)
    excess = sum(float(dataset.excess.data[dataset.mask].sum()) for dataset in datasets)
    if predicted <= 0:
        raise InputError("no exposure in the chosen energy range: the model predicts no event at all")
    spectral.amplitude.value *= max(excess, 1.0) / predicted
    outcome = _minimise(datasets)
    if shape.key != "power_law":
        amplitude, slope = shape.first
        spectral = shape.build(**{amplitude: spectral.amplitude.value, slope: spectral.index.value})
        _assign(datasets, spectral, absorbed)
        outcome = _minimise(datasets)
    return spectral, outcome


def _assign(datasets: Any, spectral: Any, absorbed: Any) -> None:
    from gammapy.modeling.models import SkyModel

    seen = spectral if absorbed is None else spectral * absorbed
    datasets.models = [SkyModel(spectral_model=seen, name="source")]


def _minimise(datasets: Any) -> Any:
    from gammapy.modeling import Fit

    with of_few_events():
        return Fit().run(datasets)


def _systematic(counted: Any, shape: Shape, absorbed: Any, energy_scale: float) -> dict[str, float]:
    """Return half of the difference of each parameter between energies scaled up and down."""
    sides = []
    for factor in (1 + energy_scale, 1 - energy_scale):
        spectral, _ = _fit_shape(counted(factor)[1], shape, absorbed)
        sides.append({p.name: float(p.value) for p in spectral.parameters.free_parameters})
    return {name: abs(sides[0][name] - sides[1][name]) / 2 for name in sides[0]}


def _parameter_table(spectral: Any, systematic: Mapping[str, float]) -> Table:
    from astropy.table import Table

    free = spectral.parameters.free_parameters
    rows = [(p.name, float(p.value), float(p.error), systematic.get(p.name, np.nan), str(p.unit)) for p in free]
    return Table(rows=rows, names=["name", "value", "error", "systematic", "unit"])


def _derived_table(spectral: Any, absorbed: Any, low_tev: float) -> Table:
    """Integral flux above the range's start (to 100 TeV), as it arrives; beta for the decimal logarithm; cut-off."""
    import astropy.units as u
    from astropy.table import Table

    energy_tev = np.geomspace(low_tev, CEILING_TEV, 400)
    seen = spectral if absorbed is None else spectral * absorbed
    dnde = seen(energy_tev * u.TeV).to_value(FLUX_UNIT)
    gradient = np.trapezoid(dnde * spectral_models.log_slopes(spectral, energy_tev), energy_tev, axis=1)
    error = float(np.sqrt(gradient @ spectral_models.free_covariance(spectral) @ gradient))
    flux = float(np.trapezoid(dnde, energy_tev))
    rows = [(f"flux_above_{low_tev * 1e3:.0f}_gev", flux, error, "cm-2 s-1")]
    names = {p.name for p in spectral.parameters}
    if {"alpha", "beta"} <= names:
        rows.append(("beta_log10", LN10 * spectral.beta.value, LN10 * spectral.beta.error, ""))
    if "lambda_" in names and float(spectral.lambda_.value) > 0:
        rate = float(spectral.lambda_.value)
        rows.append(("cutoff_energy", 1 / rate, float(spectral.lambda_.error) / rate**2, "TeV"))
    return Table(rows=rows, names=["name", "value", "error", "unit"])


def _used_bins(datasets: Any) -> int:
    """Bins that add to the likelihood: inside the mask, with at least one on or off event."""
    return sum(int(((d.counts.data + d.counts_off.data) > 0)[d.mask].sum()) for d in datasets)
