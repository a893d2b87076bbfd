"""Spectral shapes as gammapy models, their error bands, absorption on the way, and the Crab Nebula as the reference."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from magicpy_assets.core.errors import OutOfRangeError, unknown

if TYPE_CHECKING:
    from astropy.table import Table

Floats = NDArray[np.float64]

REFERENCE_TEV = 1.0
CEILING_TEV = 100.0
FLUX_UNIT = "cm-2 s-1 TeV-1"
LIMITS = {
    "amplitude": (0.0, np.nan),
    "index": (-1.0, 8.0),
    "alpha": (-1.0, 8.0),
    "beta": (-2.0, 2.0),
    "lambda_": (0.0, 20.0),
    "index1": (-1.0, 8.0),
    "index2": (-1.0, 8.0),
    "ebreak": (0.05, 30.0),
}
CUTOFF_EXPONENTS = (0.5, 4.0)
EBL_MODELS = {
    "dominguez": "Domínguez et al. 2011, MNRAS 410, 2556",
    "franceschini": "Franceschini et al. 2008, A&A 487, 837",
    "finke": "Finke et al. 2010, ApJ 712, 238",
    "saldana-lopez": "Saldana-Lopez et al. 2021, MNRAS 507, 5144",
}
"""Models of the extragalactic background light, by their names in the package ebltable."""
MAX_REDSHIFT = 2.0


@dataclass(frozen=True)
class Shape:
    """A spectral shape.

    Attributes
    ----------
    key, words
        As settings and as people call it.
    formula
        For captions; energies in TeV.
    build
        Makes the gammapy model.
    first
        Parameters of a fitted power law (amplitude, index) with which the fit of this shape begins.
    late
        A parameter that is freed when the others have been fitted, for alone it would lead them astray.
    """

    key: str
    words: str
    formula: str
    build: Callable[..., Any]
    first: tuple[str, str]
    late: str = ""


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


def power_law_cutoff(amplitude: float = 3e-11, index: float = 2.2, lambda_: float = 0.1) -> Any:
    """Return a power law with an exponential cut-off as a gammapy model; `lambda_` is 1 / cut-off energy (1 / TeV)."""
    from gammapy.modeling.models import ExpCutoffPowerLawSpectralModel

    found = ExpCutoffPowerLawSpectralModel(
        index=index, amplitude=f"{amplitude} {FLUX_UNIT}", reference=f"{REFERENCE_TEV} TeV", lambda_=f"{lambda_} TeV-1"
    )
    return _limited(found)


def broken_power_law(
    amplitude: float = 3e-11, index1: float = 2.2, index2: float = 2.8, ebreak: float = REFERENCE_TEV
) -> Any:
    """Return a smoothly broken power law (smoothness 0.3, fixed) as a gammapy model; `ebreak` in TeV."""
    from gammapy.modeling.models import SmoothBrokenPowerLawSpectralModel

    found = SmoothBrokenPowerLawSpectralModel(
        index1=index1,
        index2=index2,
        amplitude=f"{amplitude} {FLUX_UNIT}",
        ebreak=f"{ebreak} TeV",
        reference=f"{REFERENCE_TEV} TeV",
        beta=0.3,
    )
    found.beta.frozen = True
    return _limited(found)


def power_law_super_cutoff(
    amplitude: float = 3e-11, index: float = 2.2, lambda_: float = 0.1, alpha: float = 1.0
) -> Any:
    """Return a power law with the cut-off exp(-(lambda E)^alpha) as a gammapy model; `lambda_` in 1 / TeV."""
    found = power_law_cutoff(amplitude, index, lambda_)
    found.alpha.value, found.alpha.frozen = alpha, False
    found.alpha.min, found.alpha.max = CUTOFF_EXPONENTS
    return found


@cache
def _log_parabola_cutoff_class() -> Any:
    """Class of a model that gammapy does not have; made when it is needed, for gammapy is not loaded before."""
    import astropy.units as u
    from gammapy.modeling import Parameter
    from gammapy.modeling.models import SpectralModel

    class LogParabolaCutoffSpectralModel(SpectralModel):  # type: ignore[misc]
        """Log-parabola with an exponential cut-off; parameters as in gammapy's models of either."""

        tag: ClassVar[list[str]] = ["LogParabolaCutoffSpectralModel", "lp-cutoff"]
        amplitude = Parameter("amplitude", 1e-12 * u.Unit(FLUX_UNIT), scale_method="scale10", interp="log")
        reference = Parameter("reference", REFERENCE_TEV * u.TeV, frozen=True)
        alpha = Parameter("alpha", 2.0)
        beta = Parameter("beta", 0.1)
        lambda_ = Parameter("lambda_", 0.1 / u.TeV)

        @staticmethod
        def evaluate(energy: Any, amplitude: Any, reference: Any, alpha: Any, beta: Any, lambda_: Any) -> Any:
            """dN/dE, in the units of the amplitude."""
            ratio = (energy / reference).to_value("")
            slope = alpha + beta * np.log(ratio)
            return amplitude * ratio ** (-slope) * np.exp(-(energy * lambda_).to_value(""))

    return LogParabolaCutoffSpectralModel


def log_parabola_cutoff(amplitude: float = 3e-11, alpha: float = 2.3, beta: float = 0.05, lambda_: float = 0.05) -> Any:
    """Return a log-parabola with an exponential cut-off as a gammapy model; `lambda_` in 1 / TeV."""
    found = _log_parabola_cutoff_class()()
    for name, value in {"amplitude": amplitude, "alpha": alpha, "beta": beta, "lambda_": lambda_}.items():
        getattr(found, name).value = value
    return _limited(found)


def fixed(spectral: Any, values: Mapping[str, float]) -> Any:
    """Fix parameters of a model at values, and return it.

    Raises
    ------
    UnknownNameError
        If the model has no parameter of that name.
    """
    names = [p.name for p in spectral.parameters if p.name != "reference"]
    for name, value in values.items():
        if name not in names:
            raise unknown("parameter", name, names)
        spectral.parameters[name].value = value
        spectral.parameters[name].frozen = True
    return spectral


SHAPES = {
    shape.key: shape
    for shape in (
        Shape(
            "log_parabola",
            "log-parabola",
            "dN/dE = amplitude (E / 1 TeV)^(-alpha - beta ln(E / 1 TeV))",
            log_parabola,
            ("amplitude", "alpha"),
        ),
        Shape(
            "power_law",
            "power law",
            "dN/dE = amplitude (E / 1 TeV)^(-index)",
            power_law,
            ("amplitude", "index"),
        ),
        Shape(
            "power_law_cutoff",
            "power law with exponential cut-off",
            "dN/dE = amplitude (E / 1 TeV)^(-index) exp(-lambda E)",
            power_law_cutoff,
            ("amplitude", "index"),
        ),
        Shape(
            "power_law_super_cutoff",
            "power law with super-exponential cut-off",
            "dN/dE = amplitude (E / 1 TeV)^(-index) exp(-(lambda E)^alpha)",
            power_law_super_cutoff,
            ("amplitude", "index"),
            "alpha",
        ),
        Shape(
            "log_parabola_cutoff",
            "log-parabola with exponential cut-off",
            "dN/dE = amplitude (E / 1 TeV)^(-alpha - beta ln(E / 1 TeV)) exp(-lambda E)",
            log_parabola_cutoff,
            ("amplitude", "alpha"),
        ),
        Shape(
            "broken_power_law",
            "smoothly broken power law",
            "dN/dE = amplitude (E / 1 TeV)^(-index1) (1 + (E / ebreak)^((index2 - index1) / 0.3))^(-0.3)",
            broken_power_law,
            ("amplitude", "index1"),
        ),
    )
}


def shape(key: str) -> Shape:
    """Return the shape of that name; a name that is none is an :class:`UnknownNameError`."""
    if key not in SHAPES:
        raise unknown("spectral model", key, SHAPES)
    return SHAPES[key]


def crab_reference() -> Any:
    """Return the Crab Nebula's log-parabola of MAGIC (Aleksić et al. 2015, JHEAp 5-6, 30) as a gammapy model."""
    from gammapy.modeling.models import create_crab_spectral_model

    return create_crab_spectral_model("magic_lp")


@cache
def _optical_depths(model: str) -> Any:
    from ebltable.tau_from_model import OptDepth

    return OptDepth.readmodel(model=model)


def absorption(redshift: float, model: str = "dominguez") -> Any:
    """Return what the extragalactic background light leaves of the gamma rays of a source, as a gammapy model.

    Raises
    ------
    UnknownNameError
        If the model is not one of :data:`EBL_MODELS`.
    OutOfRangeError
        For a redshift that is not between 0 and 2.
    """
    import astropy.units as u
    from gammapy.modeling.models import EBLAbsorptionNormSpectralModel

    if model not in EBL_MODELS:
        raise unknown("model of the extragalactic background light", model, EBL_MODELS)
    if not 0 < redshift <= MAX_REDSHIFT:
        raise OutOfRangeError(f"a redshift of {redshift:g} is not between 0 and {MAX_REDSHIFT:g}")
    energy_tev = np.geomspace(0.02, CEILING_TEV, 120)
    redshifts = redshift * np.array([0.98, 1.0, 1.02])
    depth = np.asarray(_optical_depths(model).opt_depth(redshifts, energy_tev), dtype=np.float64)
    left = np.exp(-np.clip(depth, 0.0, 200.0))
    return EBLAbsorptionNormSpectralModel(
        energy=energy_tev * u.TeV, param=redshifts, data=left, redshift=redshift, alpha_norm=1.0
    )


def _limited(spectral: Any) -> Any:
    """Keep the fit out of where the likelihood overflows: no negative fluxes, no absurd slopes and curvatures."""
    for parameter in spectral.parameters:
        if parameter.name in LIMITS:
            parameter.min, parameter.max = LIMITS[parameter.name]
    return spectral


def butterfly(spectral: Any, low_tev: float, high_tev: float) -> Table:
    """Curve, error and energies as columns dnde, dnde_err, energy."""
    import astropy.units as u
    from astropy.table import QTable

    energy_tev = np.geomspace(low_tev, high_tev, 60)
    dnde = spectral(energy_tev * u.TeV).to_value(FLUX_UNIT)
    slopes = log_slopes(spectral, energy_tev)
    error = dnde * np.sqrt(np.einsum("ie,ij,je->e", slopes, free_covariance(spectral), slopes))
    unit = u.Unit(FLUX_UNIT)
    return QTable({"energy": energy_tev * u.TeV, "dnde": dnde * unit, "dnde_err": error * unit})


def log_slopes(spectral: Any, energy_tev: Floats) -> Floats:
    """Derivative of ln(dN/dE) by each free parameter (rows) at each energy, from central differences."""
    import astropy.units as u

    energy = energy_tev * u.TeV
    rows = []
    for parameter in spectral.parameters.free_parameters:
        value = float(parameter.value)
        step = max(1e-4 * abs(value), 1e-16 if parameter.name == "amplitude" else 1e-5)
        sides = []
        for moved in (value + step, value - step):
            parameter.value = moved
            sides.append(np.log(np.maximum(spectral(energy).to_value(FLUX_UNIT), 1e-300)))
        parameter.value = value
        rows.append((sides[0] - sides[1]) / (2 * step))
    return np.array(rows)


def free_covariance(spectral: Any) -> Floats:
    """Covariance of the free parameters, in the order of the parameter table."""
    names = [p.name for p in spectral.parameters]
    free = [names.index(p.name) for p in spectral.parameters.free_parameters]
    matrix: Floats = np.asarray(spectral.covariance.data, dtype=np.float64)[np.ix_(free, free)]
    return matrix
