"""Image cleaning: which pixels hold shower light. Charges in phe, times in readout slices, images (1039,).

Two levels as in MARS: core pixels, found by their own charge or by the summed charge of compact groups of two, three
and four pixels that arrive together, then boundary pixels beside them. Written after the public description of the
same steps in magic-cta-pipe. Bad pixels are to be filled before, see science.bad_pixels.
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


@njit(cache=True)
def _together(charge: Floats, time: Floats, groups: Indices, g: int, level: float, clip: float, window: float) -> bool:
    """Tell whether the clipped charges of a group exceed the level per pixel and all arrive near their mean time."""
    size = groups.shape[1]
    total = moment = 0.0
    for n in range(size):
        i = groups[g, n]
        q = min(float(charge[i]), clip)
        total += q
        moment += q * time[i]
    if not total > level * size:
        return False
    mean = moment / total
    for n in range(size):  # noqa: SIM110 - numba knows no generators
        if not abs(time[groups[g, n]] - mean) < window:
            return False
    return True


@njit(cache=True)
def _listed(mask: Mask, pixels: Indices) -> int:
    """List the pixels of a mask in the order of their numbers; returns how many."""
    n = 0
    for i in range(N_PIXELS):
        if mask[i]:
            pixels[n] = i
            n += 1
    return n


@njit(cache=True)
def _listed_above(charge: Floats, level: float, pixels: Indices) -> int:
    """List the pixels above a level in the order of their numbers; returns how many."""
    n = 0
    for i in range(N_PIXELS):
        if charge[i] > level:
            pixels[n] = i
            n += 1
    return n


@njit(cache=True)
def _add_pairs(charge: Floats, time: Floats, level1: float, seeds: Indices, core: Mask) -> None:
    """Mark the pixels of pairs; one of a pair must exceed the level itself."""
    level = SUM_FACTORS[0] * level1
    clip = SUM_CLIPS[0] * level
    for i in seeds:
        if not charge[i] > level:
            continue
        q = min(float(charge[i]), clip)
        for j in NEIGHBOURS[i]:
            if j < 0 or (core[i] and core[j]):
                continue
            other = min(float(charge[j]), clip)
            if not q + other > 2 * level:  # so put that what is not a number makes no pair
                continue
            mean = (q * time[i] + other * time[j]) / (q + other)
            if abs(time[i] - mean) < SUM_WINDOWS[0] and abs(time[j] - mean) < SUM_WINDOWS[0]:
                core[i] = core[j] = True


@njit(cache=True)
def _least(size: int, level1: float) -> float:
    """Return what each pixel of a group of three or four must hold, if all others are clipped."""
    clipped = (size - 1) * SUM_CLIPS[size - 2]
    return (size - clipped) * SUM_FACTORS[size - 2] * level1 * _ROUNDING


@njit(cache=True)
def _add_groups(
    charge: Floats,
    time: Floats,
    level1: float,
    seeds: Indices,
    groups: Indices,
    starts: NDArray[np.int64],
    core: Mask,
) -> None:
    """Mark the pixels of groups of three or four; most groups have a pixel with too little and need no closer look."""
    size = groups.shape[1]
    level = SUM_FACTORS[size - 2] * level1
    least = _least(size, level1)
    for i in seeds:
        if not charge[i] > least:
            continue
        for g in range(starts[i], starts[i + 1]):
            if not (charge[groups[g, 1]] > least and charge[groups[g, size - 1]] > least):
                continue
            if _together(charge, time, groups, g, level, SUM_CLIPS[size - 2] * level, SUM_WINDOWS[size - 2]):
                for n in range(size):
                    core[groups[g, n]] = True


@njit(cache=True)
def label_islands(pixels: Indices, used: Mask, label: Indices, stack: Indices) -> int:
    """Number the islands of a mask from 1, in the order of their first pixels; returns how many.

    `pixels` lists the pixels of the mask; labels of others are left as they are. `stack` is room to work in.
    """
    for i in pixels:
        label[i] = 0
    count = 0
    for first in pixels:
        if label[first]:
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
def _drop_late(
    charge: Floats, time: Floats, level1: float, pixels: Indices, core: Mask, label: Indices, stack: Indices
) -> None:
    """Drop core pixels that arrive away from the brightest island, whose time is weighted with squared charges."""
    islands = label_islands(pixels, core, label, stack)
    size = np.zeros(islands + 1)
    for i in pixels:
        size[label[i]] += charge[i]
    brightest = 1 + np.argmax(size[1:])
    weight = moment = 0.0
    for i in pixels:
        if label[i] == brightest:
            weight += float(charge[i]) ** 2
            moment += float(charge[i]) ** 2 * time[i]
    mean = moment / weight
    for i in pixels:
        off = abs(time[i] - mean)
        bright = charge[i] > 2 * level1
        faint = charge[i] < 2 * level1
        if (bright and off > 2 * MAX_TIME_OFF) or (faint and off > MAX_TIME_OFF):
            core[i] = False


@njit(cache=True)
def _drop_lonely(charge: Floats, pixels: Indices, core: Mask, lonely: Indices) -> tuple[int, float]:
    """Drop core pixels without a core pixel beside them, all at once; returns how many and their charge."""
    n = 0
    size = 0.0
    for i in pixels:
        alone = core[i]
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
    pixels: Indices,
    label: Indices,
    stack: Indices,
) -> tuple[int, int, float]:
    """Clean one image: fill the masks of core and of all used pixels, and list the used ones in order.

    Returns the number of used pixels, and number and charge of the core pixels dropped for having no other beside
    them. `label` and `stack` (1039, int16) are room to work in.
    """
    level1, level2, use_sum, use_time = cuts
    core[:] = False
    if use_sum:
        n = _listed_above(charge, _least(4, level1), pixels)
        seeds = pixels[:n]
        _add_pairs(charge, time, level1, seeds, core)
        _add_groups(charge, time, level1, seeds, TRIPLES, _TRIPLE_STARTS, core)
        _add_groups(charge, time, level1, seeds, QUADS, _QUAD_STARTS, core)
        n = _listed(core, pixels)
    else:
        n = _listed_above(charge, level1, pixels)
        for i in pixels[:n]:
            core[i] = True
    if use_time and n > 0:
        _drop_late(charge, time, level1, pixels[:n], core, label, stack)
    n_lonely, size_lonely = _drop_lonely(charge, pixels[:n], core, stack)
    used[:] = core
    for i in pixels[:n]:
        if not core[i]:
            continue
        for j in NEIGHBOURS[i]:
            if j < 0 or used[j] or not charge[j] > level2:
                continue
            if not use_time or abs(time[i] - time[j]) < MAX_TIME_DIFF:
                used[j] = True
    return _listed(used, pixels), n_lonely, size_lonely


def clean(charge_phe: Floats, time_slices: Floats, cuts: CleaningCuts) -> tuple[Mask, Mask]:
    """Clean images (n, 1039); returns the masks of core pixels and of all pixels kept."""
    core = np.zeros(charge_phe.shape, dtype=np.bool_)
    used = np.zeros(charge_phe.shape, dtype=np.bool_)
    pixels, label, stack = np.empty((3, N_PIXELS), np.int16)
    for i in range(len(charge_phe)):
        clean_into(charge_phe[i], time_slices[i], cuts.numbers, core[i], used[i], pixels, label, stack)
    return core, used
