"""The MAGIC camera: 1039 hexagonal pixels on a triangular lattice, made by rule.

The plane is the tangent plane around the pointing as seen on the sky: x grows with altitude, y with azimuth.
Layout and numbering regenerate the geometry table of the public reader ctapipe-io-magic to 6 micrometres.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

N_PIXELS = 1039
N_SLOTS = 1183
"""Length of the pixel arrays in MARS files; the slots beyond `N_PIXELS` are empty."""
PITCH_MM = 30.0
FOCAL_MM = 17_000.0
"""Nominal focal length, which MARS uses to turn millimetres into degrees."""
PIXEL_AREA_MM2 = PITCH_MM**2 * math.sqrt(3) / 2
N_RINGS = 19
CAMERA_RADIUS_PITCHES = 17.0 - 1e-6
TRIGGER_RADIUS_PITCHES = 12.55
FIRST_CORNER_DEG = -109.10660535
"""Direction of the corner at which every ring of the numbering starts; rings run clockwise."""

_STEPS = ((1, 0), (0, 1), (-1, 1), (-1, 0), (0, -1), (1, -1))
_REACH = N_RINGS + 2


def _rotated(q: NDArray[np.int64], r: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Turn lattice coordinates into x, y (mm): the axis of q points to the first corner, r follows clockwise."""
    along = q + 0.5 * r
    across = -math.sqrt(3) / 2 * r
    cos, sin = math.cos(math.radians(FIRST_CORNER_DEG)), math.sin(math.radians(FIRST_CORNER_DEG))
    return PITCH_MM * (along * cos - across * sin), PITCH_MM * (along * sin + across * cos)


def _numbered() -> list[tuple[int, int]]:
    """Return the lattice coordinates of all pixels in the order of their numbers."""
    pixels = [(0, 0)]
    for ring in range(1, N_RINGS + 1):
        q, r = ring, 0
        for step_q, step_r in ((-1, 1), (-1, 0), (0, -1), (1, -1), (1, 0), (0, 1)):
            for _ in range(ring):
                if math.sqrt(q * q + r * r + q * r) < CAMERA_RADIUS_PITCHES:
                    pixels.append((q, r))
                q, r = q + step_q, r + step_r
    return pixels


_LATTICE = np.array(_numbered(), dtype=np.int64)
_NUMBER = np.full((2 * _REACH + 1, 2 * _REACH + 1), -1, dtype=np.int64)
_NUMBER[_LATTICE[:, 0] + _REACH, _LATTICE[:, 1] + _REACH] = np.arange(len(_LATTICE))

PIXEL_X_MM, PIXEL_Y_MM = _rotated(_LATTICE[:, 0], _LATTICE[:, 1])
NEIGHBOURS = np.stack(
    [_NUMBER[_LATTICE[:, 0] + q + _REACH, _LATTICE[:, 1] + r + _REACH] for q, r in _STEPS], axis=1
).astype(np.int16)
"""Neighbours of each pixel, (1039, 6), in order around it; -1 where the camera ends."""
N_NEIGHBOURS = (NEIGHBOURS >= 0).sum(axis=1).astype(np.int16)
BORDER = N_NEIGHBOURS < 6
"""Outermost pixels: those with a neighbour missing."""
SECOND_BORDER = ~BORDER & np.array([BORDER[row[row >= 0]].any() for row in NEIGHBOURS])
"""Pixels next to the outermost ones."""
TRIGGER_REGION = np.hypot(PIXEL_X_MM, PIXEL_Y_MM) < TRIGGER_RADIUS_PITCHES * PITCH_MM

_COS = math.cos(math.radians(FIRST_CORNER_DEG))
_SIN = math.sin(math.radians(FIRST_CORNER_DEG))


@njit(cache=True)
def pixel_of(x_mm: float, y_mm: float) -> int:
    """Return the number of the pixel that a point (mm) falls into, or -1 outside the camera."""
    along = (x_mm * _COS + y_mm * _SIN) / PITCH_MM
    across = (-x_mm * _SIN + y_mm * _COS) / PITCH_MM
    r = -across * 1.1547005383792515
    q = along - 0.5 * r
    s = -q - r
    nearest_q, nearest_r, nearest_s = round(q), round(r), round(s)
    off_q, off_r, off_s = abs(nearest_q - q), abs(nearest_r - r), abs(nearest_s - s)
    if off_q > off_r and off_q > off_s:
        nearest_q = -nearest_r - nearest_s
    elif off_r > off_s:
        nearest_r = -nearest_q - nearest_s
    if abs(nearest_q) > _REACH or abs(nearest_r) > _REACH:
        return -1
    return int(_NUMBER[int(nearest_q) + _REACH, int(nearest_r) + _REACH])


@njit(cache=True)
def pixels_of(x_mm: NDArray[np.float64], y_mm: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the numbers of the pixels that points (mm) fall into, (n,); -1 outside the camera."""
    found = np.empty(len(x_mm), np.int64)
    for i in range(len(x_mm)):
        found[i] = pixel_of(x_mm[i], y_mm[i])
    return found


def degrees_of(length_mm: ArrayLike) -> NDArray[np.float64]:
    """Turn a length in the camera (mm) into degrees, linearly as MARS does: 0.0033703 deg/mm."""
    return np.degrees(np.asarray(length_mm, dtype=np.float64) / FOCAL_MM)
