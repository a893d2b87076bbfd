"""Adding noise to images, to bring dark data and Monte Carlo to the sky brightness of other data (charges in phe)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from magicpy_assets.science.cleaning import CleaningCuts, clean

Floats = NDArray[np.float32]

EMPTY_SIGMA = 2.0
"""A pixel less than this many RMS above the pedestal counts as empty."""
_GRID_POINTS, _REACH_SIGMA = 4096, 8.0


class AddedNoise:
    """Noise for the events of one file, in their order: the same for the same seed, in pieces of any size.

    Charges are the largest sum in a sliding window. Of a pixel without light that is the largest noise, so more noise
    shifts and widens it (by `bias_phe` and `rms_phe`); of a pixel with light it is its light, as long as no noise in
    the window is larger. So every charge becomes wider, and is then compared with a further peak of noise: the larger
    of the two stays. Where the noise wins, the time is that of another pixel of the event, if it is empty.

    The peaks are drawn so that empty pixels, which after the widening are distributed normally around the old mean,
    are so around the new one: the distribution of the larger of two independent numbers is the product of theirs.

    Parameters
    ----------
    bias_phe, rms_phe
        What is added to mean and (in quadrature) RMS of the pedestal.
    pedestal_phe
        Mean and RMS that it has now.
    seed
        Any whole numbers.
    """

    def __init__(self, bias_phe: float, rms_phe: float, pedestal_phe: tuple[float, float], seed: Sequence[int]) -> None:
        self.bias_phe, self.rms_phe, self.pedestal_phe = bias_phe, rms_phe, pedestal_phe
        self._widening, self._peaks, self._times = np.random.default_rng(list(seed)).spawn(3)
        self._share, self._peak_phe = self._distribution()
        self._empty_below_phe = pedestal_phe[0] + bias_phe + EMPTY_SIGMA * np.hypot(pedestal_phe[1], rms_phe)

    def add(self, charge_phe: Floats, time_slices: Floats) -> None:
        """Add noise to charges and arrival times (n, 1039), in place."""
        charge_phe += np.float32(self.rms_phe) * self._widening.standard_normal(charge_phe.shape, dtype=np.float32)
        if self.bias_phe <= 0.0:
            return
        peak = np.interp(self._peaks.random(charge_phe.shape), self._share, self._peak_phe).astype(np.float32)
        won = peak > charge_phe
        charge_phe[won] = peak[won]
        event, pixel = np.nonzero(won)
        other = self._times.integers(0, charge_phe.shape[1], len(event))
        noise = charge_phe[event, other] < self._empty_below_phe
        time_slices[event[noise], pixel[noise]] = time_slices[event[noise], other[noise]]

    def _distribution(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the distribution function of the peaks on a grid of charges."""
        from scipy.stats import norm

        mean, rms = self.pedestal_phe[0], float(np.hypot(self.pedestal_phe[1], self.rms_phe))
        reach = _REACH_SIGMA * rms
        grid = np.linspace(mean - reach, mean + self.bias_phe + reach, _GRID_POINTS)
        return np.exp(norm.logcdf(grid, mean + self.bias_phe, rms) - norm.logcdf(grid, mean, rms)), grid


@dataclass(frozen=True)
class EmptyEvents:
    """What events without light look like, after whatever has been done to them.

    Attributes
    ----------
    pixels
        Good pixels of all events together.
    mean_phe, rms_phe
        Of their charges.
    above
        Shares of them above the first and the second cleaning level.
    kept
        Share of them that passes the cleaning as a whole.
    """

    pixels: int
    mean_phe: float
    rms_phe: float
    above: tuple[float, float]
    kept: float

    def error(self, share: float) -> float:
        """Return the statistical error of a share: that of counting, of at least one pixel."""
        return float(np.sqrt(max(share * self.pixels, 1.0)) / max(self.pixels, 1))

    def __str__(self) -> str:
        first, second = (f"{1e3 * share:.2f}" for share in self.above)
        kept = f"{1e3 * self.kept:.2f} +- {1e3 * self.error(self.kept):.2f}"
        return (
            f"{self.mean_phe:.2f} +- {self.rms_phe:.2f} phe; of 1000 empty pixels {first} above the first level, "
            f"{second} above the second, {kept} kept"
        )


def empty_events(charge_phe: Floats, time_slices: Floats, good: NDArray[np.bool_], cuts: CleaningCuts) -> EmptyEvents:
    """Measure pedestal events, charges and times (n, 1039), on the pixels that are `good` (1039)."""
    inside = charge_phe[:, good].astype(np.float64)
    if not inside.size:
        return EmptyEvents(0, float("nan"), float("nan"), (float("nan"), float("nan")), float("nan"))
    _, used = clean(np.where(good, charge_phe, np.float32(0.0)), time_slices, cuts)
    above = float((inside > cuts.level1_phe).mean()), float((inside > cuts.level2_phe).mean())
    return EmptyEvents(inside.size, float(inside.mean()), float(inside.std()), above, float(used.sum() / inside.size))
