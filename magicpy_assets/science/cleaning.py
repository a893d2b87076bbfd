"""Image cleaning: which pixels hold shower light. Charges in phe, times in readout slices, images (1039,).

Two levels as in MARS: core pixels, found by their own charge or by the summed charge of compact groups of two, three
and four pixels that arrive together, then boundary pixels beside them. Written after the public description of the
same steps in magic-cta-pipe. Bad pixels are dealt with here, too, since cleaning is what they would spoil.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from magicpy_assets.science.camera import N_PIXELS, NEIGHBOURS

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
Indices = NDArray[np.int16]

SUM_FACTORS = (1.8, 1.3, 1.0)
"""Thresholds per pixel for groups of 2, 3 and 4, in units of the core level."""
SUM_CLIPS = (2.2, 1.05, 1.05)
"""What a single pixel can at most add to a group of 2, 3 and 4, in units of the threshold per pixel."""
SUM_WINDOWS = (0.82, 1.15, 1.80)
"""Largest distance in time (slices) of a pixel of a group from the mean of the group."""
CLIP_PHE = 750.0
"""Largest charge that a pixel brings into image parameters."""
MAX_TIME_OFF = 4.5
"""Largest distance in time (slices) of a core pixel from the brightest island; twice that for bright pixels."""
MAX_TIME_DIFF = 1.5
"""Largest distance in time (slices) of a boundary pixel from a core pixel beside it."""
GOOD_NEIGHBOURS = 3
"""How many good neighbours a bad pixel needs to be filled from them."""
NO_TIME = -1e6
"""Arrival time (slices) of a pixel without signal: in coincidence with nothing."""
_ROUNDING = 1 - 1e-6


@dataclass(frozen=True)
class CleaningCuts:
    """Levels (phe), whether groups and times are used, and the charge at which pixels are clipped (phe).

    Plain two-level cleaning uses neither groups nor times.
    """

    level1_phe: float = 6.0
    level2_phe: float = 3.5
    use_sum: bool = True
    use_time: bool = True
    clip_phe: float = CLIP_PHE

    @property
    def numbers(self) -> tuple[float, float, bool, bool]:
        """As the kernels take them."""
        return self.level1_phe, self.level2_phe, self.use_sum, self.use_time


def _groups() -> tuple[Indices, Indices, Indices]:
    """Return all compact groups of two, three and four pixels, each in the order of its pixels' numbers, sorted."""
    near = [{int(j) for j in row if j >= 0} for row in NEIGHBOURS]
    pairs = [(i, j) for i in range(N_PIXELS) for j in sorted(near[i]) if j > i]
    triples = {tuple(sorted((i, j, k))) for i, j in pairs for k in near[i] & near[j]}
    quads = {tuple(sorted((i, j, k, m))) for i, j in pairs for k, m in combinations(sorted(near[i] & near[j]), 2)}
    two, three, four = (np.array(sorted(group), dtype=np.int16) for group in (pairs, triples, quads))
    return two, three, four


def _starts(groups: Indices) -> NDArray[np.int64]:
    """Return where the groups whose first pixel is i begin, (1040,)."""
    return np.searchsorted(groups[:, 0], np.arange(N_PIXELS + 1))


PAIRS, TRIPLES, QUADS = _groups()
_TRIPLE_STARTS, _QUAD_STARTS = _starts(TRIPLES), _starts(QUADS)
_IN_ORDER = np.sort(NEIGHBOURS, axis=1)


@njit(cache=True)
def _together(charge: Floats, time: Floats, group: Indices, level: float, clip: float, window: float) -> bool:
    """Tell whether the clipped charges of a group exceed the level per pixel and all arrive near their mean time."""
    total = moment = 0.0
    for i in group:
        q = min(float(charge[i]), clip)
        total += q
        moment += q * time[i]
    if not total > level * len(group):  # so put that what is not a number makes no group
        return False
    mean = moment / total
    for i in group:  # noqa: SIM110 - numba knows no generators
        if not abs(time[i] - mean) < window:
            return False
    return True


@njit(cache=True)
def _add_pairs(charge: Floats, time: Floats, level1: float, core: Mask) -> None:
    """Mark the pixels of pairs; one of a pair must exceed the level itself."""
    level = SUM_FACTORS[0] * level1
    pair = np.empty(2, np.int16)
    for i in range(N_PIXELS):
        if not charge[i] > level:
            continue
        for j in NEIGHBOURS[i]:
            if j < 0:
                continue
            pair[0], pair[1] = min(i, j), max(i, j)
            if _together(charge, time, pair, level, SUM_CLIPS[0] * level, SUM_WINDOWS[0]):
                core[i] = core[j] = True


@njit(cache=True)
def _add_groups(
    charge: Floats, time: Floats, level1: float, groups: Indices, starts: NDArray[np.int64], core: Mask
) -> None:
    """Mark the pixels of groups of three or four.

    With all others clipped, a pixel of a group must itself hold what is then missing, so most groups need no look.
    """
    size = groups.shape[1]
    level = SUM_FACTORS[size - 2] * level1
    clip = SUM_CLIPS[size - 2] * level
    least = (size * level - (size - 1) * clip) * _ROUNDING
    for i in range(N_PIXELS):
        if charge[i] < least:
            continue
        for g in range(starts[i], starts[i + 1]):
            if charge[groups[g, 1]] < least or charge[groups[g, size - 1]] < least:
                continue
            if _together(charge, time, groups[g], level, clip, SUM_WINDOWS[size - 2]):
                for n in range(size):
                    core[groups[g, n]] = True


@njit(cache=True)
def label_islands(used: Mask, label: Indices, stack: Indices) -> int:
    """Number the islands of a mask from 1 in the order of their first pixels; 0 outside. Returns how many."""
    label[:] = 0
    count = 0
    for first in range(N_PIXELS):
        if not used[first] or label[first]:
            continue
        count += 1
        label[first] = count
        stack[0] = first
        n = 1
        while n > 0:
            n -= 1
            for j in NEIGHBOURS[stack[n]]:
                if j >= 0 and used[j] and label[j] == 0:
                    label[j] = count
                    stack[n] = j
                    n += 1
    return count


@njit(cache=True)
def _drop_late(charge: Floats, time: Floats, level1: float, core: Mask, label: Indices, stack: Indices) -> None:
    """Drop core pixels that arrive away from the brightest island, whose time is weighted with squared charges."""
    islands = label_islands(core, label, stack)
    size, weight, moment = np.zeros(islands + 1), np.zeros(islands + 1), np.zeros(islands + 1)
    for i in range(N_PIXELS):
        if core[i]:
            q = float(charge[i])
            size[label[i]] += q
            weight[label[i]] += q * q
            moment[label[i]] += q * q * time[i]
    brightest = 1
    for n in range(2, islands + 1):
        if size[n] > size[brightest]:
            brightest = n
    mean = moment[brightest] / weight[brightest]
    for i in range(N_PIXELS):
        if core[i]:
            off = abs(time[i] - mean)
            bright = charge[i] > 2 * level1
            faint = charge[i] < 2 * level1
            if (bright and off > 2 * MAX_TIME_OFF) or (faint and off > MAX_TIME_OFF):
                core[i] = False


@njit(cache=True)
def _drop_lonely(charge: Floats, core: Mask, lonely: Indices) -> tuple[int, float]:
    """Drop core pixels without a core pixel beside them, all at once; returns how many and their charge."""
    n = 0
    size = 0.0
    for i in range(N_PIXELS):
        if not core[i]:
            continue
        alone = True
        for j in NEIGHBOURS[i]:
            if j >= 0 and core[j]:
                alone = False
                break
        if alone:
            lonely[n] = i
            n += 1
            size += charge[i]
    for k in range(n):
        core[lonely[k]] = False
    return n, size


@njit(cache=True)
def clean_into(
    charge: Floats,
    time: Floats,
    cuts: tuple[float, float, bool, bool],
    core: Mask,
    used: Mask,
    label: Indices,
    stack: Indices,
) -> tuple[int, int, float]:
    """Clean one image: fill the masks of core and of all used pixels.

    Returns the number of core pixels, and number and charge of those dropped for having no core pixel beside them.
    `label` and `stack` (1039, int16) are room to work in.
    """
    level1, level2, use_sum, use_time = cuts
    if use_sum:
        core[:] = False
        _add_pairs(charge, time, level1, core)
        _add_groups(charge, time, level1, TRIPLES, _TRIPLE_STARTS, core)
        _add_groups(charge, time, level1, QUADS, _QUAD_STARTS, core)
    else:
        for i in range(N_PIXELS):
            core[i] = charge[i] > level1
    if use_time and core.any():
        _drop_late(charge, time, level1, core, label, stack)
    n_lonely, size_lonely = _drop_lonely(charge, core, stack)
    used[:] = core
    n_core = 0
    for i in range(N_PIXELS):
        if not core[i]:
            continue
        n_core += 1
        for j in NEIGHBOURS[i]:
            if j < 0 or used[j] or not charge[j] > level2:
                continue
            if not use_time or abs(time[i] - time[j]) < MAX_TIME_DIFF:
                used[j] = True
    return n_core, n_lonely, size_lonely


def clean(charge_phe: Floats, time_slices: Floats, cuts: CleaningCuts) -> tuple[Mask, Mask]:
    """Clean images (n, 1039); returns the masks of core pixels and of all pixels kept."""
    core = np.zeros(charge_phe.shape, dtype=np.bool_)
    used = np.zeros(charge_phe.shape, dtype=np.bool_)
    label, stack = np.empty(N_PIXELS, np.int16), np.empty(N_PIXELS, np.int16)
    for i in range(len(charge_phe)):
        clean_into(charge_phe[i], time_slices[i], cuts.numbers, core[i], used[i], label, stack)
    return core, used


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
