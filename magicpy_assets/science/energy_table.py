"""Energies from a table: the mean energy of simulated gamma rays by image size and impact, each telescope alone.

The older of MARS's two ways to an energy. Forests do better; the table gives each telescope an energy of its own, with
an uncertainty.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LOG_SIZE_EDGES = np.arange(1.4, 6.01, 0.1)
IMPACT_EDGES_M = np.array([0, 25, 50, 75, 100, 120, 140, 160, 190, 230, 280, 350, 450, 600, 1000], dtype=np.float64)
FEWEST = 5
"""Bins with fewer events take over what their neighbours say."""


@dataclass(frozen=True)
class EnergyTable:
    """Mean and spread of log10 of the energy (GeV) by log10 of the size (phe) and impact (m), at the bin centres."""

    mean: Floats
    spread: Floats

    @property
    def identity(self) -> str:
        """A hash over everything that determines the answers."""
        return hashlib.sha256(self.mean.tobytes() + self.spread.tobytes()).hexdigest()[:16]

    def estimate(self, log_size: Floats, impact_m: Floats) -> tuple[Floats, Floats]:
        """Return energy and its uncertainty (GeV), interpolated between bins; beyond the table its edge counts."""
        from scipy.interpolate import RegularGridInterpolator

        centres = _centres(LOG_SIZE_EDGES), _centres(IMPACT_EDGES_M)
        place = np.column_stack(
            [np.clip(values, axis[0], axis[-1]) for values, axis in zip((log_size, impact_m), centres, strict=True)]
        )
        log_energy, spread = (RegularGridInterpolator(centres, grid)(place) for grid in (self.mean, self.spread))
        energy = 10.0**log_energy
        return energy, energy * np.log(10.0) * spread


def fill_table(log_size: Floats, impact_m: Floats, log_energy: Floats) -> EnergyTable:
    """Fill a table from simulated gamma rays: log10 of size (phe), impact (m), log10 of energy (GeV), (n,) each."""
    bins = [LOG_SIZE_EDGES, IMPACT_EDGES_M]
    count, total, squares = (
        np.histogram2d(log_size, impact_m, bins=bins, weights=weights)[0]
        for weights in (None, log_energy, log_energy**2)
    )
    known = count >= FEWEST
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(known, total / count, np.nan)
        variance = np.where(known, squares / count - (total / count) ** 2, np.nan)
    spread = np.sqrt(np.clip(variance, 0.0, None))
    return EnergyTable(_without_gaps(mean), _without_gaps(spread))


def combined(energies: tuple[Floats, Floats], uncertainties: tuple[Floats, Floats]) -> tuple[Floats, Floats]:
    """Return the mean of both telescopes' energies, weighted with the inverse variances, and its uncertainty (GeV)."""
    weights = [1.0 / np.maximum(value, 1e-9) ** 2 for value in uncertainties]
    total = weights[0] + weights[1]
    return (weights[0] * energies[0] + weights[1] * energies[1]) / total, 1.0 / np.sqrt(total)


def _centres(edges: Floats) -> Floats:
    return 0.5 * (edges[1:] + edges[:-1])


def _without_gaps(grid: Floats) -> Floats:
    """Fill unknown bins from the nearest known one: along impact first, then along size; all zero if none is known."""
    filled = np.array([_nearest(row) for row in grid])
    return np.nan_to_num(np.array([_nearest(column) for column in filled.T]).T)


def _nearest(values: Floats) -> Floats:
    known = np.flatnonzero(np.isfinite(values))
    if len(known) == 0:
        return values
    nearest = known[np.abs(np.arange(len(values))[:, None] - known).argmin(axis=1)]
    return values[nearest]
