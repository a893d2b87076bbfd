"""Pixels that cannot be used: finding hot ones, filling bad ones from their neighbours, before images are cleaned."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from magicpy_assets.science.camera import NEIGHBOURS

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

GOOD_NEIGHBOURS = 3
"""How many good neighbours a bad pixel needs to be filled from them."""
NO_TIME = -1e6
"""Arrival time (slices) of a pixel without signal: in coincidence with nothing."""
_IN_ORDER = np.sort(NEIGHBOURS, axis=1)


@njit(cache=True)
def _closest_pair_mean(times: Floats) -> float:
    """Return the mean of the two times that lie closest together; of equally close pairs, of the first."""
    mean, least = 0.0, np.inf
    for j in range(1, len(times)):
        for k in range(j):
            difference = abs(times[j] - times[k])
            if difference < least:
                least = difference
                mean = 0.5 * (times[j] + times[k])
    return mean


@njit(cache=True)
def interpolate_bad(charge: Floats, time: Floats, bad: NDArray[np.int64], is_bad: Mask) -> None:
    """Fill bad pixels of images (n, 1039), in place, from their good neighbours; three are needed.

    The charge becomes the mean of theirs, the time that of the two of them that arrive closest together. A pixel with
    fewer good neighbours is emptied: no charge, and a time that is in coincidence with nothing.
    """
    near = np.empty((len(bad), 6), np.int64)
    good = np.zeros(len(bad), np.int64)
    for b in range(len(bad)):
        for j in _IN_ORDER[bad[b]]:
            if j >= 0 and not is_bad[j]:
                near[b, good[b]] = j
                good[b] += 1
    times = np.empty(6, np.float32)
    for event in range(charge.shape[0]):
        for b in range(len(bad)):
            if good[b] < GOOD_NEIGHBOURS:
                charge[event, bad[b]], time[event, bad[b]] = 0.0, NO_TIME
                continue
            total = 0.0
            for n in range(good[b]):
                total += charge[event, near[b, n]]
                times[n] = time[event, near[b, n]]
            charge[event, bad[b]] = total / good[b]
            time[event, bad[b]] = _closest_pair_mean(times[: good[b]])


def hot_pixels(rms_phe: Floats) -> Mask:
    """Find pixels whose pedestal RMS (1039,) stands out: by more than 4.5 standard deviations, or a factor of 400.

    In two passes as the public reader ctapipe-io-magic does it: the mean of all between 0 and 200 phe, then mean and
    spread of those between half and one and a half times that.
    """
    rms = rms_phe.astype(np.float64)
    sane = rms[(rms > 0) & (rms < 200)]
    if len(sane) == 0:
        return np.zeros(len(rms), dtype=np.bool_)
    inner = rms[(rms > 0.5 * sane.mean()) & (rms < 1.5 * sane.mean())]
    if len(inner) == 0:
        return np.zeros(len(rms), dtype=np.bool_)
    mean, limit = inner.mean(), 4.5 * inner.std() + 1e-6 * inner.mean()
    return np.asarray((np.abs(rms - mean) > limit) | (rms < mean / 400) | (rms > mean * 400))
