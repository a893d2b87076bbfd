"""When the light of an image arrives along its axis: a straight line through the pixels' arrival times (slices)."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True)
def line_of_times(
    charge: NDArray[np.float32],
    time: NDArray[np.float32],
    pixels: NDArray[np.int16],
    place: NDArray[np.float64],
) -> tuple[float, float, float, float]:
    """Fit time = const + gradient * place, weighted with the charges.

    Parameters
    ----------
    charge, time
        All pixels (1039,), phe and slices.
    pixels, place
        Numbers of the pixels that count, and where each lies along the axis (mm).

    Returns
    -------
    gradient (slices/mm), time at place 0, RMS and mean of the times (slices), all weighted with the charges
    """
    total = sum_l = sum_ll = sum_t = sum_lt = sum_tt = 0.0
    for n in range(len(pixels)):
        q, t, along = float(charge[pixels[n]]), float(time[pixels[n]]), place[n]
        total += q
        sum_l += q * along
        sum_ll += q * along * along
        sum_t += q * t
        sum_lt += q * along * t
        sum_tt += q * t * t
    mean = sum_t / total
    spread2 = sum_ll - sum_l * sum_l / total
    gradient = (sum_lt - sum_l * mean) / spread2 if spread2 > 0 else 0.0
    return (
        gradient,
        mean - gradient * sum_l / total,
        math.sqrt(max(sum_tt / total - mean * mean, 0.0)),
        mean,
    )
