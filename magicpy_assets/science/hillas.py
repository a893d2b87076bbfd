"""Image parameters: Hillas ellipse and what goes with it. Lengths in mm, charges in phe, times in slices.

All numbers of one image come from one pass over its pixels; `PARAMETERS` names them in order. Definitions are those of
MARS as its public early version has them (MHillas, MHillasExt, MHillasSrc, MNewImagePar).
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from magicpy_assets.science.camera import (
    BORDER,
    N_PIXELS,
    NEIGHBOURS,
    PITCH_MM,
    PIXEL_AREA_MM2,
    PIXEL_X_MM,
    PIXEL_Y_MM,
    SECOND_BORDER,
    pixel_of,
)
from magicpy_assets.science.cleaning import CleaningCuts, clean_into, label_islands
from magicpy_assets.science.timing import line_of_times

Floats = NDArray[np.float32]

PARAMETERS = (
    "size_phe",
    "length_mm",
    "width_mm",
    "delta_rad",
    "mean_x_mm",
    "mean_y_mm",
    "m3_long_mm",
    "m3_trans_mm",
    "asym_mm",
    "max_distance_mm",
    "time_gradient_slices_per_mm",
    "time_const_slices",
    "time_spread_slices",
    "mean_time_slices",
    "leakage1",
    "leakage2",
    "conc",
    "conc1",
    "conc_cog",
    "conc_core",
    "used_area_mm2",
    "core_area_mm2",
    "n_used",
    "n_core",
    "n_islands",
    "n_single",
    "size_single_phe",
    "size_sub_islands_phe",
    "size_main_island_phe",
)
N_PARAMETERS = len(PARAMETERS)
MIN_PIXELS = 3
_THINNEST_MM = 1e-3


@njit(cache=True)
def _signed_root(value: float) -> float:
    return math.copysign(abs(value) ** (1.0 / 3.0), value)


@njit(cache=True)
def _ellipse(charge: Floats, pixels: NDArray[np.int16], out: NDArray[np.float64]) -> bool:
    """Fill size, length, width, angle and centre (0 to 5); False if there is no charge."""
    size = mx = my = 0.0
    for i in pixels:
        size += charge[i]
        mx += charge[i] * PIXEL_X_MM[i]
        my += charge[i] * PIXEL_Y_MM[i]
    if size <= 0:
        return False
    mx /= size
    my /= size
    xx = yy = xy = 0.0
    for i in pixels:
        dx, dy = PIXEL_X_MM[i] - mx, PIXEL_Y_MM[i] - my
        xx += charge[i] * dx * dx
        yy += charge[i] * dy * dy
        xy += charge[i] * dx * dy
    xx /= size
    yy /= size
    xy /= size
    root = math.sqrt((xx - yy) * (xx - yy) + 4 * xy * xy)
    out[0] = size
    out[1] = math.sqrt(max(0.5 * (xx + yy + root), 0.0))
    out[2] = math.sqrt(max(0.5 * (xx + yy - root), 0.0))
    out[3], out[4], out[5] = 0.5 * math.atan2(2 * xy, xx - yy), mx, my
    return True


@njit(cache=True)
def _along_the_axis(charge: Floats, time: Floats, pixels: NDArray[np.int16], out: NDArray[np.float64]) -> None:
    """Fill third moments, asymmetry, extent, times, leakage and the brightest pixels' share (6 to 17)."""
    size, mx, my = out[0], out[4], out[5]
    cos, sin = math.cos(out[3]), math.sin(out[3])
    m3_long = m3_trans = leak1 = leak2 = first = second = at_first = farthest = 0.0
    place = np.empty(len(pixels))
    for n in range(len(pixels)):
        i = pixels[n]
        q = float(charge[i])
        dx, dy = PIXEL_X_MM[i] - mx, PIXEL_Y_MM[i] - my
        along, across = dx * cos + dy * sin, dy * cos - dx * sin
        place[n] = along
        m3_long += q * along**3
        m3_trans += q * across**3
        farthest = max(farthest, dx * dx + dy * dy)
        if BORDER[i]:
            leak1 += q
        if BORDER[i] or SECOND_BORDER[i]:
            leak2 += q
        if q > first:
            second, first, at_first = first, q, along
        elif q > second:
            second = q
    out[6], out[7] = _signed_root(m3_long / size), _signed_root(m3_trans / size)
    out[8], out[9] = -at_first, math.sqrt(farthest)
    out[10], out[11], out[12], out[13] = line_of_times(charge, time, pixels, place)
    out[14], out[15] = leak1 / size, leak2 / size
    out[16], out[17] = (first + second) / size, first / size


@njit(cache=True)
def _near_centre(charge: Floats, clip: float, pixels: NDArray[np.int16], mx: float, my: float) -> float:
    """Return the clipped charge of the three pixels of the camera nearest to a point, used or not."""
    centre = pixel_of(mx, my)
    if centre < 0:  # in a notch of the camera's edge
        least = np.inf
        for i in pixels:
            distance = math.hypot(PIXEL_X_MM[i] - mx, PIXEL_Y_MM[i] - my)
            if distance < least:
                least, centre = distance, i
    first, second = -1, -1
    d_first = d_second = np.inf
    for j in NEIGHBOURS[centre]:
        if j < 0:
            continue
        distance = math.hypot(PIXEL_X_MM[j] - mx, PIXEL_Y_MM[j] - my)
        if distance < d_first:
            d_second, second = d_first, first
            d_first, first = distance, j
        elif distance < d_second:
            d_second, second = distance, j
    return max(min(charge[centre], clip) + min(charge[first], clip) + min(charge[second], clip), 0.0)


@njit(cache=True)
def _concentration(
    charge: Floats, pixels: NDArray[np.int16], core: NDArray[np.bool_], out: NDArray[np.float64]
) -> None:
    """Fill the share of light in the ellipse, areas and numbers of pixels (19 to 23)."""
    size, mx, my = out[0], out[4], out[5]
    length, width = max(out[1], _THINNEST_MM), max(out[2], _THINNEST_MM)
    cos, sin = math.cos(out[3]), math.sin(out[3])
    inside = 0.0
    n_core = 0
    for i in pixels:
        n_core += core[i]
        dx, dy = PIXEL_X_MM[i] - mx, PIXEL_Y_MM[i] - my
        distance = math.sqrt(dx * dx + dy * dy)
        along, across = (dx * cos + dy * sin) / length, (dy * cos - dx * sin) / width
        scaled = math.sqrt(along * along + across * across)
        if scaled == 0 or distance / scaled > distance - PITCH_MM / 2:
            inside += charge[i]
    out[19] = inside / size
    out[20], out[21] = len(pixels) * PIXEL_AREA_MM2, n_core * PIXEL_AREA_MM2
    out[22], out[23] = len(pixels), n_core


@njit(cache=True)
def _islands(
    charge: Floats,
    pixels: NDArray[np.int16],
    used: NDArray[np.bool_],
    label: NDArray[np.int16],
    stack: NDArray[np.int16],
    out: NDArray[np.float64],
) -> None:
    """Fill number of islands, and the charge of the brightest and of all others (24, 27, 28)."""
    islands = label_islands(pixels, used, label, stack)
    size = np.zeros(islands + 1)
    for i in pixels:
        size[label[i]] += charge[i]
    main = size[1:].max()
    out[24], out[27], out[28] = islands, out[0] - main, main


@njit(cache=True, nogil=True)
def _all_images(
    charge: Floats,
    time: Floats,
    cuts: tuple[float, float, bool, bool],
    clip: float,
    parameters: NDArray[np.float64],
    valid: NDArray[np.bool_],
) -> None:
    core, used = np.empty(N_PIXELS, np.bool_), np.empty(N_PIXELS, np.bool_)
    listed, label, stack = np.empty(N_PIXELS, np.int16), np.empty(N_PIXELS, np.int16), np.empty(N_PIXELS, np.int16)
    image = np.empty(N_PIXELS, np.float32)
    for event in range(charge.shape[0]):
        out = parameters[event]
        n, n_lonely, size_lonely = clean_into(charge[event], time[event], cuts, core, used, listed, label, stack)
        pixels = listed[:n]
        for i in pixels:
            image[i] = min(charge[event, i], clip)
        if n < MIN_PIXELS or not _ellipse(image, pixels, out):
            continue
        _along_the_axis(image, time[event], pixels, out)
        _concentration(image, pixels, core, out)
        out[18] = _near_centre(charge[event], clip, pixels, out[4], out[5]) / out[0]
        _islands(image, pixels, used, label, stack, out)
        out[25], out[26] = n_lonely, size_lonely
        valid[event] = True


def parametrise(
    charge_phe: Floats, time_slices: Floats, cuts: CleaningCuts
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Clean and describe images.

    Parameters
    ----------
    charge_phe, time_slices
        (n, 1039) float32.

    Returns
    -------
    parameters
        (n, `N_PARAMETERS`), in the order of `PARAMETERS`.
    valid
        (n,), False where nothing, or fewer than three pixels, was left.

    Notes
    -----
    `asym_mm`: distance from the brightest pixel to the centre along the axis. `conc`, `conc1`: share of the brightest
    two, one. `conc_cog`: of the three pixels nearest to the centre. `conc_core`: of the pixels that the ellipse
    touches. `leakage1`, `leakage2`: of the outermost and the two outermost rings. `n_single`, `size_single_phe`: core
    pixels that cleaning dropped for standing alone.
    """
    parameters = np.zeros((len(charge_phe), N_PARAMETERS))
    valid = np.zeros(len(charge_phe), dtype=np.bool_)
    _all_images(charge_phe, time_slices, cuts.numbers, cuts.clip_phe, parameters, valid)
    return parameters, valid


def source_parameters(
    image: dict[str, NDArray[np.float64]], source_x_mm: NDArray[np.float64], source_y_mm: NDArray[np.float64]
) -> dict[str, NDArray[np.float64]]:
    """Return the parameters of images with respect to a source position (mm), as MHillasSrc defines them.

    `alpha_deg`: angle between the long axis and the line from the source to the centre, -90 to 90. `dist_mm`: its
    length. `cos_delta_alpha`: cosine of the angle between the two, its sign tells head from tail. `dca_mm`: distance
    of closest approach of the axis to the source, signed. `dca_delta_deg`: direction of the axis, away from the
    point of closest approach, 0 to 360.
    """
    dx, dy = image["mean_x_mm"] - source_x_mm, image["mean_y_mm"] - source_y_mm
    cos, sin = np.cos(image["delta_rad"]), np.sin(image["delta_rad"])
    dist = np.hypot(dx, dy)
    along, across = cos * dx + sin * dy, cos * dy - sin * dx
    nonzero = np.where(dist > 0, dist, 1.0)
    return {
        "alpha_deg": np.degrees(np.arcsin(np.clip(across / nonzero, -1, 1))),
        "dist_mm": dist,
        "cos_delta_alpha": np.where(dist > 0, along / nonzero, 0.0),
        "dca_mm": np.where(along < 0, -across, across),
        "dca_delta_deg": np.degrees(np.arctan2(along * sin, along * cos)) % 360.0,
    }
