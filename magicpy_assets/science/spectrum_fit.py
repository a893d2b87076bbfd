"""Spectra folded through the instrument and fitted to on/off counts.

The fit is a joint likelihood (W statistic: Poisson on and off counts, background profiled out) over runs, or over
stacks of runs of a kind, see :mod:`magicpy_assets.science.on_off` for the counts.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from magicpy_assets.core.errors import InputError
from magicpy_assets.science import on_off, spectral_models
from magicpy_assets.science.exposure import of_observations
from magicpy_assets.science.field import Neighbour
from magicpy_assets.science.fit_checks import contributions as contributions_of
from magicpy_assets.science.fit_checks import residuals as residuals_of
from magicpy_assets.science.results import meta_of
from magicpy_assets.science.sed_points import fitting, flux_points
from magicpy_assets.science.spectral_models import CEILING_TEV, FLUX_UNIT, Shape
from magicpy_assets.science.spectrum import SpectrumResult
from magicpy_assets.science.systematics import Systematics, of_parameters

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
    stack: bool = True,
    groups: Mapping[int, str] | None = None,
    redshift: float | None = None,
    ebl: str = "dominguez",
    systematics: Systematics | None = None,
    fixed: Mapping[str, float] | None = None,
    avoid: Sequence[Neighbour] | None = None,
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
    n_off, avoid
        Number of off regions; those that hold one of the sources `avoid`, by default the known ones of the field, are
        not used.
    stack
        Stack the runs of each group, or fit every run for itself, which is biased where off counts are few (see
        `on_off.stacked`). Runs of different groups are never stacked, but fitted jointly.
    groups
        The cell, or another name, of each run number. The result says what each group contributes.
    redshift, ebl
        If given, the shape is that of the source, and absorption on the way is put on it.
    systematics
        How wrong energies, fluxes and background may be; the fit is then repeated with energies and background scaled
        up and down.
    fixed
        Parameters of the shape that are not fitted, with their values.

    Raises
    ------
    InputError
        If there is nothing to fit: no observations, no energy in range, no counts.
    OutOfRangeError
        If the off regions overlap, or the redshift makes no sense.
    UnknownNameError
        If the model is not one of :data:`MODELS`, or has no parameter that is to be fixed.
    """
    shapes = [spectral_models.shape(key) for key in (("power_law", "log_parabola") if model == AUTO else (model,))]
    frozen, asked = dict(fixed or {}), systematics or Systematics()
    for one in shapes:
        spectral_models.fixed(one.build(), frozen)  # asks for the names before the work begins
    absorbed = None if redshift is None else spectral_models.absorption(redshift, ebl)

    def counted(factors: tuple[float, float]) -> Any:
        runs = on_off.reduce(
            observations, position_deg, energy_range_tev=energy_range_tev, n_off=n_off,
            factors=factors, avoid=avoid,
        )  # fmt: skip
        return runs, (on_off.stacked(runs, groups) if stack else runs)

    exposure = of_observations(observations)
    runs, datasets = counted((1.0, 1.0))
    total = on_off.totals(runs)
    if total.n_on + total.n_off == 0:
        raise InputError(f"{exposure.caption}: no event in the on and off regions", hint="widen the energy range")
    chosen, spectral, outcome, remark = _choose(datasets, shapes, absorbed, frozen)
    if not outcome.success:
        logger.warning("the fit of a %s to %s did not converge: %s", chosen.words, exposure.source, outcome.message)
    fits = [_fit_shape(counted(factors)[1], chosen, absorbed, frozen)[0] for factors in asked.variations()]
    shifted = _shifted_table(fits) if fits else None
    low, high = on_off.used_range(datasets)
    meta = meta_of(exposure)
    parameters = _parameter_table(spectral, shifted, asked)
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
    result = SpectrumResult(
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
        systematics=asked,
        shifted=shifted,
        fixed=frozen,
        remark=remark,
    )
    return result.with_systematic_points()


def _choose(
    datasets: Any, shapes: Sequence[Shape], absorbed: Any, frozen: Mapping[str, float]
) -> tuple[Shape, Any, Any, str]:
    """Fit the shapes, the simplest first; return the one taken, its model, gammapy's outcome, and why."""
    spectral, outcome = _fit_shape(datasets, shapes[0], absorbed, frozen)
    if len(shapes) == 1:
        return shapes[0], spectral, outcome, ""
    before = float(outcome.total_stat)
    curved, curved_outcome = _fit_shape(datasets, shapes[1], absorbed, frozen)
    sigma = float(np.sqrt(max(before - float(curved_outcome.total_stat), 0.0)))
    words = f"A {shapes[1].words} is preferred to a {shapes[0].words} by {sigma:.1f} σ"
    if sigma >= AUTO_SIGMA:
        return shapes[1], curved, curved_outcome, f"{words}."
    _assign(datasets, spectral, absorbed)
    return shapes[0], spectral, outcome, f"{words} only, so the simpler one is taken."


def _fit_shape(datasets: Any, shape: Shape, absorbed: Any, frozen: Mapping[str, float]) -> tuple[Any, Any]:
    """Fit a power law, then, if wanted, a shape that starts from it. Returns the model and gammapy's outcome."""
    spectral = spectral_models.power_law()
    _assign(datasets, spectral, absorbed)
    predicted = sum(float(dataset.npred_signal().data[dataset.mask].sum()) for dataset in datasets)
    excess = sum(float(dataset.excess.data[dataset.mask].sum()) for dataset in datasets)
    if predicted <= 0:
        raise InputError("no exposure in the chosen energy range: the model predicts no event at all")
    spectral.amplitude.value *= max(excess, 1.0) / predicted
    outcome = _minimise(datasets)
    if shape.key != "power_law" or frozen:
        amplitude, slope = shape.first
        spectral = shape.build(**{amplitude: spectral.amplitude.value, slope: spectral.index.value})
        spectral = spectral_models.fixed(spectral, frozen)
        if shape.late and shape.late not in frozen:
            spectral.parameters[shape.late].frozen = True
            _assign(datasets, spectral, absorbed)
            _minimise(datasets)
            spectral.parameters[shape.late].frozen = False
        _assign(datasets, spectral, absorbed)
        outcome = _minimise(datasets)
    return spectral, outcome


def _assign(datasets: Any, spectral: Any, absorbed: Any) -> None:
    from gammapy.modeling.models import SkyModel

    seen = spectral if absorbed is None else spectral * absorbed
    datasets.models = [SkyModel(spectral_model=seen, name="source")]


def _minimise(datasets: Any) -> Any:
    from gammapy.modeling import Fit

    with fitting():
        return Fit().run(datasets)


def _shifted_table(fits: Sequence[Any]) -> Table:
    """A row of parameters for each model that was fitted to shifted data."""
    from astropy.table import Table

    return Table(rows=[{p.name: float(p.value) for p in one.parameters.free_parameters} for one in fits])


def _parameter_table(spectral: Any, shifted: Table | None, asked: Systematics) -> Table:
    from astropy.table import Table

    free = spectral.parameters.free_parameters
    systematic = of_parameters({p.name: float(p.value) for p in free}, shifted, asked)
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
