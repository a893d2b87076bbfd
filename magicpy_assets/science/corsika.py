"""The frame of CORSIKA, in which MARS Monte Carlo is written, and ours.

As the public reader ctapipe-io-magic has it: azimuth = 180° - phi + declination of the magnetic field (-7°), and cores
turned by the same angle, x to magnetic north and y to magnetic west. Our cores are metres to the east and north.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

DECLINATION_DEG = -7.0
_COS = math.cos(math.radians(DECLINATION_DEG))
_SIN = math.sin(math.radians(DECLINATION_DEG))


def azimuth_deg(phi_rad: ArrayLike) -> Floats:
    """Return the azimuth (deg, from north through east, 0-360) of a CORSIKA angle."""
    return np.asarray((180.0 - np.degrees(np.asarray(phi_rad, dtype=np.float64)) + DECLINATION_DEG) % 360.0)


def phi_rad(azimuth: ArrayLike) -> Floats:
    """Return the CORSIKA angle (rad, -pi to pi) of an azimuth (deg): the inverse of `azimuth_deg`."""
    degrees = 180.0 + DECLINATION_DEG - np.asarray(azimuth, dtype=np.float64)
    return np.asarray(np.radians((degrees + 180.0) % 360.0 - 180.0))


def core_to_corsika_cm(east_m: ArrayLike, north_m: ArrayLike) -> tuple[Floats, Floats]:
    """Return a core in the frame of CORSIKA (x, y in cm)."""
    north, west = np.asarray(north_m, dtype=np.float64), -np.asarray(east_m, dtype=np.float64)
    return 100.0 * (north * _COS - west * _SIN), 100.0 * (north * _SIN + west * _COS)


def core_from_corsika_m(x_cm: ArrayLike, y_cm: ArrayLike) -> tuple[Floats, Floats]:
    """Return a core in metres east and north: the inverse of `core_to_corsika_cm`."""
    x, y = np.asarray(x_cm, dtype=np.float64) / 100.0, np.asarray(y_cm, dtype=np.float64) / 100.0
    north, west = x * _COS + y * _SIN, -x * _SIN + y * _COS
    return -west, north
