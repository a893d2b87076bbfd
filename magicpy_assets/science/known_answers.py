"""What simulated gamma rays and off regions tell of an analysis: resolutions, isotropy, significances of nothing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from magicpy_assets.science.theta2 import li_ma

Floats = NDArray[np.float64]
Answer = tuple[float, float] | str
"""A value with its statistical error, or why there is none."""
FEWEST_RUNS = 5


def containment_deg(theta_deg: Floats, share: float) -> tuple[float, float]:
    """Return the angle within which a share of gamma rays lies, and its error as for a 2D Gaussian."""
    found = float(np.quantile(theta_deg, share))
    # Error of a quantile, with the density of a 2D Gaussian there.
    relative = float(np.sqrt(share / (1 - share) / max(len(theta_deg), 1)) / (-2 * np.log1p(-share)))
    return found, found * relative


def energy_resolution(ratio: Floats) -> tuple[float, float]:
    """Return half of the central 68 % of estimated over true energy, and its error."""
    low, high = np.quantile(ratio, [0.16, 0.84])
    width = float(high - low) / 2
    return width, width / float(np.sqrt(2 * len(ratio)))


def energy_bias(ratio: Floats) -> tuple[float, float]:
    """Return the median of estimated over true energy minus one, and its error."""
    width, _ = energy_resolution(ratio)
    return float(np.median(ratio)) - 1.0, 1.25 * width / float(np.sqrt(len(ratio)))


def isotropy(counts: NDArray[np.int64]) -> Answer:
    """Return the probability that all off regions hold the same number of events; counts are (runs, regions)."""
    from scipy.stats import chisquare

    totals = counts.sum(axis=0)
    if totals.sum() < 5 * len(totals):
        return "too few events in the off regions"
    return float(chisquare(totals).pvalue), 0.0


def null_significances(counts: NDArray[np.int64]) -> tuple[Floats, int] | str:
    """Return significances of each off region against the others of its run, and how many are independent.

    `counts` are (runs, regions); runs with less than two events a region are left out.
    """
    regions = counts.shape[1]
    kept = counts[counts.sum(axis=1) >= 2 * regions]
    if len(kept) < FEWEST_RUNS:
        return "too few runs with events in the off regions"
    alpha = 1 / (regions - 1)
    values = [li_ma(int(row[k]), int(row.sum() - row[k]), alpha) for row in kept for k in range(regions)]
    return np.array(values), len(kept) * (regions - 1)


def null_mean(counts: NDArray[np.int64]) -> Answer:
    """Return the mean significance of off regions, which should be 0."""
    found = null_significances(counts)
    if isinstance(found, str):
        return found
    return float(found[0].mean()), float(1 / np.sqrt(found[1]))


def null_rms(counts: NDArray[np.int64]) -> Answer:
    """Return the rms of the significances of off regions, which should be 1."""
    found = null_significances(counts)
    if isinstance(found, str):
        return found
    return float(found[0].std(ddof=1)), float(1 / np.sqrt(2 * found[1]))
