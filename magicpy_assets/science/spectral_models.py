"""Spectral shapes as gammapy models, their error bands, and the Crab Nebula as the reference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from astropy.table import Table

Floats = NDArray[np.float64]

REFERENCE_TEV = 1.0
CEILING_TEV = 100.0
FLUX_UNIT = "cm-2 s-1 TeV-1"
LIMITS = {"amplitude": (0.0, np.nan), "index": (-1.0, 8.0), "alpha": (-1.0, 8.0), "beta": (-2.0, 2.0)}


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


def log_slopes(spectral: Any, energy_tev: NDArray[np.float64]) -> NDArray[np.float64]:
    """Derivative of ln(dN/dE) by each free parameter (rows) at each energy."""
    log_energy = np.log(energy_tev / REFERENCE_TEV)
    amplitude = max(float(spectral.amplitude.value), 1e-30)
    slopes = {"amplitude": np.full_like(log_energy, 1 / amplitude), "index": -log_energy, "alpha": -log_energy}
    slopes["beta"] = -(log_energy**2)
    return np.array([slopes[p.name] for p in spectral.parameters.free_parameters])


def free_covariance(spectral: Any) -> NDArray[np.float64]:
    """Covariance of the free parameters, in the order of the parameter table."""
    names = [p.name for p in spectral.parameters]
    free = [names.index(p.name) for p in spectral.parameters.free_parameters]
    matrix: NDArray[np.float64] = np.asarray(spectral.covariance.data, dtype=np.float64)[np.ix_(free, free)]
    return matrix
