"""The share of simulated gammas that is seen, as a smooth function of energy and zenith distance.

A binomial regression instead of bins: the logit of the share is a cubic spline in log10 E, plus the cosine of the
zenith distance times a coarser one. So every gamma tells something about its neighbours in energy, and those of all
zenith distances about each other; the statistical error of an effective area is a third of that in bins of a tenth of
a decade and of zenith distance.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

BINS_PER_DECADE = 40
ZENITH_BINS = 8
"""Counts are binned for speed only; the bins are much finer than what they resolve."""
KNOTS_PER_DECADE = 5
ZENITH_KNOTS_PER_DECADE = 1.5
FREEDOM = 100.0
"""Inverse strength of the ridge on the coefficients: so weak that it only tells where nothing is seen at all."""


def seen_share(
    seen_gev: Floats, seen_zd_deg: Floats, thrown_gev: Floats, thrown_zd_deg: Floats
) -> Callable[[Floats, float], Floats]:
    """Fit the share of the thrown gammas that is seen.

    Parameters
    ----------
    seen_gev, seen_zd_deg
        True energy and zenith distance of the gammas that are seen, (n,).
    thrown_gev, thrown_zd_deg
        The same of all that were thrown, (m,).

    Returns
    -------
    A function of true energies (GeV, any shape) and one zenith distance (deg): the share, 0 outside the energies
    thrown. Zenith distances outside those thrown are taken at their end: nothing is extrapolated.
    """
    from sklearn.linear_model import LogisticRegression

    low, high = float(thrown_gev.min()), float(thrown_gev.max())
    cosine = np.cos(np.radians(thrown_zd_deg))
    edges = np.geomspace(low, high * (1 + 1e-12), max(2, round(BINS_PER_DECADE * np.log10(high / low)) + 1))
    cosine_edges = np.unique(np.quantile(cosine, np.linspace(0, 1, ZENITH_BINS + 1)))
    if len(cosine_edges) < 2:
        cosine_edges = np.array([cosine.min() - 1e-6, cosine.max() + 1e-6])
    bins = (edges, cosine_edges)
    thrown = np.histogram2d(thrown_gev, cosine, bins)[0]
    seen = np.minimum(np.histogram2d(seen_gev, np.cos(np.radians(seen_zd_deg)), bins)[0], thrown)
    middle, spread = float(cosine.mean()), float(max(np.ptp(cosine), 1e-3)) / 2
    centres = np.sqrt(edges[1:] * edges[:-1])
    at_energy, at_cosine = (
        grid.ravel() for grid in np.meshgrid(centres, 0.5 * (cosine_edges[1:] + cosine_edges[:-1]), indexing="ij")
    )
    features = _Features(low, high, middle, spread)
    rows = features(at_energy, at_cosine)
    model = LogisticRegression(C=FREEDOM, solver="newton-cholesky", max_iter=200)
    outcome = np.repeat([1, 0], len(rows))
    model.fit(np.vstack([rows, rows]), outcome, np.concatenate([seen.ravel(), (thrown - seen).ravel()]))

    def share(energy_gev: Floats, zd_deg: float) -> Floats:
        at = float(np.clip(np.cos(np.radians(zd_deg)), cosine_edges[0], cosine_edges[-1]))
        inside = (energy_gev >= low) & (energy_gev <= high)
        found: Floats = np.zeros(np.shape(energy_gev))
        if inside.any():
            found[inside] = model.predict_proba(features(energy_gev[inside], np.full(int(inside.sum()), at)))[:, 1]
        return found

    return share


class _Features:
    """What the logit is linear in: a spline in energy, and a coarser one times the zenith distance."""

    def __init__(self, low_gev: float, high_gev: float, middle: float, spread: float) -> None:
        from sklearn.preprocessing import SplineTransformer

        self._middle, self._spread = middle, spread
        ends = np.log10([[low_gev], [high_gev]])
        decades = float(ends[1, 0] - ends[0, 0])
        self._fine, self._coarse = (
            SplineTransformer(n_knots=max(3, round(each * decades) + 1), extrapolation="constant").fit(ends)
            for each in (KNOTS_PER_DECADE, ZENITH_KNOTS_PER_DECADE)
        )

    def __call__(self, energy_gev: Floats, cosine: Floats) -> Floats:
        log_energy = np.log10(energy_gev)[:, np.newaxis]
        turn = ((cosine - self._middle) / self._spread)[:, np.newaxis]
        return np.hstack([self._fine.transform(log_energy), turn * self._coarse.transform(log_energy)])
