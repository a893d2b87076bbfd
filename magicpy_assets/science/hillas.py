"""Image parameters: Hillas ellipse and what goes with it. Lengths in mm, charges in phe, times in slices.

All numbers of one image come from one pass over its pixels; `PARAMETERS` names them in order.
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
)
from magicpy_assets.science.cleaning import CleaningCuts, clean_into, label_islands

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


@njit(cache=True)
def _signed_root(value: float) -> float:
    return math.copysign(abs(value) ** (1.0 / 3.0), value)


@njit(cache=True)
def _describe(
    charge: Floats,
    time: Floats,
    core: NDArray[np.bool_],
    used: NDArray[np.bool_],
    label: NDArray[np.int16],
    stack: NDArray[np.int16],
    out: NDArray[np.float64],
) -> bool:
    """Fill the parameters of one cleaned image; False if it is too small to have any."""
    n = 0
    size = mx = my = 0.0
    for i in range(N_PIXELS):
        if used[i]:
            n += 1
            size += charge[i]
            mx += charge[i] * PIXEL_X_MM[i]
            my += charge[i] * PIXEL_Y_MM[i]
    if n < MIN_PIXELS or size <= 0:
        return False
    mx /= size
    my /= size
    xx = yy = xy = 0.0
    for i in range(N_PIXELS):
        if used[i]:
            dx, dy = PIXEL_X_MM[i] - mx, PIXEL_Y_MM[i] - my
            xx += charge[i] * dx * dx
            yy += charge[i] * dy * dy
            xy += charge[i] * dx * dy
    xx /= size
    yy /= size
    xy /= size
    root = math.sqrt((xx - yy) * (xx - yy) + 4 * xy * xy)
    delta = 0.5 * math.atan2(2 * xy, xx - yy)
    cos, sin = math.cos(delta), math.sin(delta)
    out[0] = size
    out[1] = math.sqrt(max(0.5 * (xx + yy + root), 0.0))
    out[2] = math.sqrt(max(0.5 * (xx + yy - root), 0.0))
    out[3], out[4], out[5] = delta, mx, my
    _describe_along(charge, time, core, used, size, cos, sin, out)
    _describe_islands(charge, used, label, stack, out)
    return True


@njit(cache=True)
def _describe_along(
    charge: Floats,
    time: Floats,
    core: NDArray[np.bool_],
    used: NDArray[np.bool_],
    size: float,
    cos: float,
    sin: float,
    out: NDArray[np.float64],
) -> None:
    """Everything that needs the axis: third moments, time fit, leakage, concentration."""
    mx, my = out[4], out[5]
    m3_long = m3_trans = leak1 = leak2 = first = second = near = inner = 0.0
    at_first = farthest = 0.0
    sum_l = sum_ll = sum_t = sum_lt = sum_tt = 0.0
    n_used = n_core = 0
    for i in range(N_PIXELS):
        if not used[i]:
            continue
        q = float(charge[i])
        dx, dy = PIXEL_X_MM[i] - mx, PIXEL_Y_MM[i] - my
        along, across = dx * cos + dy * sin, dy * cos - dx * sin
        m3_long += q * along**3
        m3_trans += q * across**3
        sum_l += q * along
        sum_ll += q * along * along
        sum_t += q * time[i]
        sum_lt += q * along * time[i]
        sum_tt += q * time[i] * time[i]
        farthest = max(farthest, math.hypot(dx, dy))
        if BORDER[i]:
            leak1 += q
        if BORDER[i] or SECOND_BORDER[i]:
            leak2 += q
        if q > first:
            second, first, at_first = first, q, along
        elif q > second:
            second = q
        if dx * dx + dy * dy < PITCH_MM * PITCH_MM:
            near += q
        if core[i]:
            n_core += 1
            inner += q
        n_used += 1
    out[6], out[7] = _signed_root(m3_long / size), _signed_root(m3_trans / size)
    out[8], out[9] = at_first, farthest
    mean_time = sum_t / size
    spread2 = sum_ll - sum_l * sum_l / size
    slope = (sum_lt - sum_l * mean_time) / spread2 if spread2 > 0 else 0.0
    out[10], out[11] = slope, mean_time - slope * sum_l / size
    out[12] = math.sqrt(max(sum_tt / size - mean_time * mean_time, 0.0))
    out[13] = mean_time
    out[14], out[15] = leak1 / size, leak2 / size
    out[16], out[17], out[18], out[19] = (first + second) / size, first / size, near / size, inner / size
    out[20], out[21] = n_used * PIXEL_AREA_MM2, n_core * PIXEL_AREA_MM2
    out[22], out[23] = n_used, n_core


@njit(cache=True)
def _describe_islands(
    charge: Floats,
    used: NDArray[np.bool_],
    label: NDArray[np.int16],
    stack: NDArray[np.int16],
    out: NDArray[np.float64],
) -> None:
    islands = label_islands(used, label, stack)
    size = np.zeros(islands + 1)
    for i in range(N_PIXELS):
        if used[i]:
            size[label[i]] += charge[i]
    main = size[1:].max()
    single = 0
    size_single = 0.0
    for i in range(N_PIXELS):
        if not used[i]:
            continue
        alone = True
        for j in NEIGHBOURS[i]:
            if j >= 0 and used[j]:
                alone = False
                break
        if alone:
            single += 1
            size_single += charge[i]
    out[24], out[25], out[26] = islands, single, size_single
    out[27], out[28] = out[0] - main, main


@njit(cache=True, nogil=True)
def _all_images(
    charge: Floats,
    time: Floats,
    cuts: tuple[float, float, bool, bool],
    parameters: NDArray[np.float64],
    valid: NDArray[np.bool_],
) -> None:
    core, used = np.empty(N_PIXELS, np.bool_), np.empty(N_PIXELS, np.bool_)
    label, stack = np.empty(N_PIXELS, np.int16), np.empty(N_PIXELS, np.int16)
    for i in range(charge.shape[0]):
        valid[i] = clean_into(charge[i], time[i], cuts, core, used, label, stack) > 0 and _describe(
            charge[i], time[i], core, used, label, stack, parameters[i]
        )


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
    """
    parameters = np.zeros((len(charge_phe), N_PARAMETERS))
    valid = np.zeros(len(charge_phe), dtype=np.bool_)
    _all_images(charge_phe, time_slices, cuts.numbers, parameters, valid)
    return parameters, valid


def source_parameters(
    image: dict[str, NDArray[np.float64]], source_x_mm: NDArray[np.float64], source_y_mm: NDArray[np.float64]
) -> dict[str, NDArray[np.float64]]:
    """Return the parameters of images with respect to a source position (mm), as MARS defines them.

    `alpha_deg`: angle between the long axis and the line to the source, -90 to 90. `dist_mm`: distance of centre and
    source. `cos_delta_alpha`: cosine of the angle between the axis and that line. `dca_mm`: distance of closest
    approach of the axis to the source, signed. `dca_delta_deg`: angle of the axis there.
    """
    dx, dy = image["mean_x_mm"] - source_x_mm, image["mean_y_mm"] - source_y_mm
    cos, sin = np.cos(image["delta_rad"]), np.sin(image["delta_rad"])
    dist = np.hypot(dx, dy)
    along, across = cos * dx + sin * dy, cos * dy - sin * dx
    with np.errstate(invalid="ignore", divide="ignore"):
        cosine = np.where(dist > 0, along / dist, 1.0)
        alpha = np.degrees(np.arcsin(np.clip(np.where(dist > 0, across / dist, 0.0), -1, 1)))
    return {
        "alpha_deg": np.where(along < 0, -alpha, alpha),
        "dist_mm": dist,
        "cos_delta_alpha": cosine,
        "dca_mm": -across,
        "dca_delta_deg": np.degrees(np.arctan2(sin, cos)),
    }
