"""Image cleaning: which pixels hold shower light. Charges in phe, times in readout slices, images (1039,).

Two levels as in MARS: core pixels, found by their own charge or by the summed charge of compact groups of two, three
and four pixels that arrive together, then boundary pixels beside them. Written after the public description of the
same steps in magic-cta-pipe.
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

SUM_FACTORS = (1.8, 1.3, 1.0)
"""Thresholds per pixel for groups of 2, 3 and 4, in units of the core level."""
SUM_WINDOWS = (0.82, 1.15, 1.80)
"""Largest distance in time (slices) of a pixel of a group from the mean of the group."""
CLIP_PHE = 750.0
MAX_TIME_OFF = 4.5
"""Largest distance in time (slices) of a core pixel from the brightest island; twice that for bright pixels."""
MAX_TIME_DIFF = 1.5
"""Largest distance in time (slices) of a boundary pixel from a core pixel beside it."""


@dataclass(frozen=True)
class CleaningCuts:
    """Levels (phe) and whether groups and times are used; plain two-level cleaning uses neither."""

    level1_phe: float = 6.0
    level2_phe: float = 3.5
    use_sum: bool = True
    use_time: bool = True

    @property
    def numbers(self) -> tuple[float, float, bool, bool]:
        """As the kernels take them."""
        return self.level1_phe, self.level2_phe, self.use_sum, self.use_time


def _groups() -> tuple[NDArray[np.int16], NDArray[np.int16], NDArray[np.int16]]:
    """Return all compact groups of two, three and four pixels."""
    near = [{int(j) for j in row if j >= 0} for row in NEIGHBOURS]
    pairs = [(i, j) for i in range(N_PIXELS) for j in sorted(near[i]) if j > i]
    triples = sorted({tuple(sorted((i, j, k))) for i, j in pairs for k in near[i] & near[j]})
    quads = {tuple(sorted((i, j, k, m))) for i, j in pairs for k, m in combinations(sorted(near[i] & near[j]), 2)}
    return tuple(np.array(group, dtype=np.int16) for group in (pairs, triples, sorted(quads)))  # type: ignore[return-value]


PAIRS, TRIPLES, QUADS = _groups()


@njit(cache=True, inline="always")
def _add_groups(
    charge: Floats, time: Floats, groups: NDArray[np.int16], level: float, window: float, core: Mask
) -> None:
    size = groups.shape[1]
    for g in range(groups.shape[0]):
        total = mean = 0.0
        for n in range(size):
            pixel = groups[g, n]
            total += min(charge[pixel], CLIP_PHE)
            mean += time[pixel]
        if total <= level * size:
            continue
        mean /= size
        together = True
        for n in range(size):
            if abs(time[groups[g, n]] - mean) >= window:
                together = False
                break
        if together:
            for n in range(size):
                core[groups[g, n]] = True


@njit(cache=True)
def _add_pixels(charge: Floats, level: float, core: Mask) -> None:
    for i in range(N_PIXELS):
        if charge[i] > level:
            for j in NEIGHBOURS[i]:
                if j >= 0 and charge[j] > level:
                    core[i] = True
                    break


@njit(cache=True)
def label_islands(used: Mask, label: NDArray[np.int16], stack: NDArray[np.int16]) -> int:
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
def _drop_late(
    charge: Floats, time: Floats, level1: float, core: Mask, label: NDArray[np.int16], stack: NDArray[np.int16]
) -> None:
    """Drop core pixels that arrive away from the brightest island."""
    islands = label_islands(core, label, stack)
    size = np.zeros(islands + 1)
    moment = np.zeros(islands + 1)
    for i in range(N_PIXELS):
        if core[i]:
            size[label[i]] += charge[i]
            moment[label[i]] += charge[i] * time[i]
    brightest = 1
    for n in range(2, islands + 1):
        if size[n] > size[brightest]:
            brightest = n
    mean = moment[brightest] / size[brightest]
    for i in range(N_PIXELS):
        if core[i]:
            off = abs(time[i] - mean)
            bright = charge[i] > 2 * level1
            faint = charge[i] < 2 * level1
            if (bright and off > 2 * MAX_TIME_OFF) or (faint and off > MAX_TIME_OFF):
                core[i] = False


@njit(cache=True)
def _drop_lonely(core: Mask, label: NDArray[np.int16]) -> None:
    """Drop core pixels without a core pixel beside them; all are found before any is dropped."""
    for i in range(N_PIXELS):
        label[i] = 0
        if core[i]:
            label[i] = 1
            for j in NEIGHBOURS[i]:
                if j >= 0 and core[j]:
                    label[i] = 0
                    break
    for i in range(N_PIXELS):
        if label[i]:
            core[i] = False


@njit(cache=True)
def clean_into(
    charge: Floats,
    time: Floats,
    cuts: tuple[float, float, bool, bool],
    core: Mask,
    used: Mask,
    label: NDArray[np.int16],
    stack: NDArray[np.int16],
) -> int:
    """Clean one image; fills the masks of core and of all used pixels, returns the number of core pixels.

    `label` and `stack` (1039, int16) are room to work in.
    """
    level1, level2, use_sum, use_time = cuts
    core[:] = False
    if use_sum:
        _add_groups(charge, time, PAIRS, SUM_FACTORS[0] * level1, SUM_WINDOWS[0], core)
        _add_groups(charge, time, TRIPLES, SUM_FACTORS[1] * level1, SUM_WINDOWS[1], core)
        _add_groups(charge, time, QUADS, SUM_FACTORS[2] * level1, SUM_WINDOWS[2], core)
    else:
        _add_pixels(charge, level1, core)
    if use_time and core.any():
        _drop_late(charge, time, level1, core, label, stack)
        _drop_lonely(core, label)
    n = 0
    for i in range(N_PIXELS):
        used[i] = core[i]
        n += core[i]
    for i in range(N_PIXELS):
        if core[i] or charge[i] <= level2:
            continue
        for j in NEIGHBOURS[i]:
            if j >= 0 and core[j] and (not use_time or abs(time[i] - time[j]) < MAX_TIME_DIFF):
                used[i] = True
                break
    return n


def clean(charge_phe: Floats, time_slices: Floats, cuts: CleaningCuts) -> tuple[Mask, Mask]:
    """Clean images (n, 1039); returns the masks of core pixels and of all pixels kept."""
    core = np.zeros(charge_phe.shape, dtype=np.bool_)
    used = np.zeros(charge_phe.shape, dtype=np.bool_)
    label, stack = np.empty(N_PIXELS, np.int16), np.empty(N_PIXELS, np.int16)
    for i in range(len(charge_phe)):
        clean_into(charge_phe[i], time_slices[i], cuts.numbers, core[i], used[i], label, stack)
    return core, used


@njit(cache=True)
def interpolate_bad(charge: Floats, time: Floats, bad: NDArray[np.int64], is_bad: Mask) -> None:
    """Replace bad pixels of images (n, 1039), in place, by the mean of their good neighbours; three are needed.

    A bad pixel with fewer is emptied.
    """
    for event in range(charge.shape[0]):
        for i in bad:
            total = moment = 0.0
            good = 0
            for j in NEIGHBOURS[i]:
                if j >= 0 and not is_bad[j]:
                    total += charge[event, j]
                    moment += time[event, j]
                    good += 1
            charge[event, i] = total / good if good >= 3 else 0.0
            time[event, i] = moment / good if good >= 3 else 0.0


def hot_pixels(rms_phe: Floats) -> Mask:
    """Find pixels whose pedestal RMS (1039,) lies more than 4.5 standard deviations from the others, in two passes.

    The spread is taken over pixels between half and one and a half times the mean, as the public reader does.
    """
    with np.errstate(invalid="ignore"):
        mean = rms_phe[(rms_phe > 0) & (rms_phe < 400 * np.median(rms_phe))].mean()
        inner = rms_phe[(rms_phe > 0.5 * mean) & (rms_phe < 1.5 * mean)]
    if len(inner) < 2:
        return np.zeros(len(rms_phe), dtype=np.bool_)
    mean, spread = inner.mean(), inner.std()
    return np.asarray(np.abs(rms_phe - mean) > 4.5 * spread)
