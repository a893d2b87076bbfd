"""The atmosphere over the site: US standard temperatures, planar. Heights in m a.s.l., depths in g/cm² (vertical)."""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

GROUND_M = 2200.0
STEP_M = 50.0
TOP_M = 60_000.0
REFRACTIVITY_SEA_LEVEL = 2.83e-4
"""n - 1 at about 400 nm and 1.225 kg/m³; it goes with the density."""
SEA_LEVEL_DENSITY = 1.225
_GRAVITY = 9.80665
_GAS_CONSTANT = 287.053
# Base height (m), temperature there (K), gradient (K/m): US Standard Atmosphere 1976.
_LAYERS = (
    (0.0, 288.15, -6.5e-3),
    (11_000.0, 216.65, 0.0),
    (20_000.0, 216.65, 1.0e-3),
    (32_000.0, 228.65, 2.8e-3),
    (47_000.0, 270.65, 0.0),
    (51_000.0, 270.65, -2.8e-3),
)
_N_DEPTHS = 4000


def _columns() -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Integrate the hydrostatic equation: heights, vertical depths, densities (kg/m³)."""
    height = np.arange(0.0, TOP_M + STEP_M, STEP_M)
    temperature = np.empty_like(height)
    for base, at_base, gradient in _LAYERS:
        above = height >= base
        temperature[above] = at_base + gradient * (height[above] - base)
    inverse = 0.5 * (1 / temperature[1:] + 1 / temperature[:-1])
    log_pressure = np.concatenate([[0.0], np.cumsum(-_GRAVITY / _GAS_CONSTANT * inverse * STEP_M)])
    pressure = 101_325.0 * np.exp(log_pressure)
    return height, pressure / _GRAVITY * 0.1, pressure / (_GAS_CONSTANT * temperature)


HEIGHT_M, DEPTH_G_CM2, DENSITY_KG_M3 = _columns()
GROUND_DEPTH_G_CM2 = float(np.interp(GROUND_M, HEIGHT_M, DEPTH_G_CM2))
_LOG_TOP, _LOG_BOTTOM = math.log(DEPTH_G_CM2[-1]), math.log(DEPTH_G_CM2[0])
_HEIGHT_OF_LOG_DEPTH = np.interp(
    np.linspace(_LOG_TOP, _LOG_BOTTOM, _N_DEPTHS), np.log(DEPTH_G_CM2[::-1]), HEIGHT_M[::-1]
)


@njit(cache=True, fastmath=True)
def height_of(depth: float) -> float:
    """Return the height (m a.s.l.) above which lies a vertical depth (g/cm²)."""
    if depth <= 0.25:
        return 59_000.0
    place = (math.log(depth) - _LOG_TOP) / (_LOG_BOTTOM - _LOG_TOP) * (_N_DEPTHS - 1)
    i = int(place)
    if i < 0:
        return float(_HEIGHT_OF_LOG_DEPTH[0])
    if i >= _N_DEPTHS - 1:
        return float(_HEIGHT_OF_LOG_DEPTH[_N_DEPTHS - 1])
    return float(_HEIGHT_OF_LOG_DEPTH[i] + (place - i) * (_HEIGHT_OF_LOG_DEPTH[i + 1] - _HEIGHT_OF_LOG_DEPTH[i]))


@njit(cache=True, fastmath=True)
def density_at(height: float) -> float:
    """Return the density (kg/m³) at a height (m a.s.l.)."""
    place = height / STEP_M
    i = int(place)
    if i < 0:
        i = 0
    if i >= DENSITY_KG_M3.shape[0] - 1:
        return float(DENSITY_KG_M3[-1])
    return float(DENSITY_KG_M3[i] + (place - i) * (DENSITY_KG_M3[i + 1] - DENSITY_KG_M3[i]))


@njit(cache=True, fastmath=True)
def refractivity(density: float) -> float:
    """Return n - 1 at a density (kg/m³)."""
    return REFRACTIVITY_SEA_LEVEL * density / SEA_LEVEL_DENSITY


@njit(cache=True, fastmath=True)
def transmission(depth: float, above_ground: float, cos_zenith: float) -> float:
    """Return the share of light that reaches the ground from a depth (g/cm²) and height over the ground (m).

    Rayleigh scattering with an effective length of 2900 g/cm², and aerosols of optical depth 0.04 in a layer of
    1.2 km over the site.
    """
    rayleigh = (GROUND_DEPTH_G_CM2 - depth) / 2900.0
    aerosols = 0.04 * (1.0 - math.exp(-above_ground / 1200.0))
    return math.exp(-(rayleigh + aerosols) / cos_zenith)


@njit(cache=True, fastmath=True)
def refraction_delay_m(depth: float, cos_zenith: float) -> float:
    """Return the optical path that refraction adds between a depth (g/cm²) and the ground (m)."""
    return REFRACTIVITY_SEA_LEVEL / SEA_LEVEL_DENSITY * (GROUND_DEPTH_G_CM2 - depth) * 10.0 / cos_zenith
