"""Gamma/hadron and direction cuts that depend on the estimated energy, found from simulated gammas.

The cuts are a product of their own: they are found once for a set of simulations, applied to data and simulations
alike, and written into every file made with them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from magicpy_assets.core.errors import InputError, OutOfRangeError

Floats = NDArray[np.float64]

ENERGY_EDGES_GEV: Floats = np.geomspace(10.0, 1e5, 21)
"""Bins of estimated energy: 5 per decade from 10 GeV to 100 TeV, as in MAGIC's own DL3 files."""
MIN_EVENTS = 20
"""A bin with fewer gammas takes the cut of its neighbours."""


@dataclass(frozen=True)
class CutRules:
    """How cuts are found: the share of gammas that each keeps, and the range that each may take.

    The shares are those usual for MAGIC spectra (from memory), the hadronness range is the default of MARS's flute. θ²
    may not fall below MAGIC's default lower end, and not rise above 0.05 deg², so that three off regions at 0.4° never
    overlap. A range whose ends are equal is a fixed cut.
    """

    hadronness_efficiency: float = 0.9
    theta_efficiency: float = 0.75
    hadronness_range: tuple[float, float] = (0.15, 0.95)
    theta2_range_deg2: tuple[float, float] = (0.01, 0.05)

    def __post_init__(self) -> None:
        for name in ("hadronness_efficiency", "theta_efficiency"):
            if not 0 < getattr(self, name) <= 1:
                raise OutOfRangeError(f"{name} is a share of events between 0 and 1, not {getattr(self, name)}")


@dataclass(frozen=True)
class Cuts:
    """Cuts per bin of estimated energy: an event is kept if hadronness < `hadronness_max` (n,), θ < `theta_max_deg`.

    `energy_edges_gev` has n + 1 entries. Events outside the edges are never kept.
    """

    energy_edges_gev: Floats
    hadronness_max: Floats
    theta_max_deg: Floats
    min_size_phe: float = 0.0
    rules: CutRules = field(default_factory=CutRules)

    @property
    def text(self) -> str:
        """The rules in words, short enough for a header card."""
        had, theta2 = self.rules.hadronness_range, self.rules.theta2_range_deg2
        words = f"had < {had[0]:g}" if had[0] == had[1] else f"had eff {self.rules.hadronness_efficiency:g}"
        words += (
            f", theta2 < {theta2[0]:g}" if theta2[0] == theta2[1] else f", theta eff {self.rules.theta_efficiency:g}"
        )
        return words + (f", size > {self.min_size_phe:g}" if self.min_size_phe > 0 else "")

    @property
    def identity(self) -> str:
        """Twelve hexadecimal digits that are the same for the same numbers."""
        numbers = np.concatenate(
            [self.energy_edges_gev, self.hadronness_max, self.theta_max_deg, [self.min_size_phe]]
        ).round(9)
        return hashlib.sha256(numbers.astype("<f8").tobytes()).hexdigest()[:12]

    def bins(self, energy_gev: Floats) -> NDArray[np.int64]:
        """Energy bin of each event; -1 outside."""
        index = np.searchsorted(self.energy_edges_gev, energy_gev, side="right") - 1
        inside = (index >= 0) & (index < len(self.hadronness_max)) & np.isfinite(energy_gev)
        return np.where(inside, index, -1).astype(np.int64)

    def keep_gammas(self, energy_gev: Floats, hadronness: Floats) -> NDArray[np.bool_]:
        """Tell which events pass the gamma/hadron cut; not-a-number never passes."""
        index = self.bins(energy_gev)
        kept: NDArray[np.bool_] = (index >= 0) & (hadronness < self.hadronness_max[index])
        return kept

    def keep_directions(self, energy_gev: Floats, theta_deg: Floats) -> NDArray[np.bool_]:
        """Tell which events lie inside the on radius of their energy."""
        index = self.bins(energy_gev)
        kept: NDArray[np.bool_] = (index >= 0) & (theta_deg < self.theta_max_deg[index])
        return kept


def find_cuts(
    energy_gev: Floats,
    hadronness: Floats,
    theta_deg: Floats,
    rules: CutRules | None = None,
    *,
    energy_edges_gev: Floats = ENERGY_EDGES_GEV,
    min_size_phe: float = 0.0,
) -> Cuts:
    """Find cuts that keep the wanted share of simulated gammas in each bin of estimated energy.

    The direction cut is found from the gammas that pass the hadronness cut. Both are kept in the ranges of the rules;
    bins with fewer than 20 gammas take the value of the nearest bin that has enough.

    Raises
    ------
    InputError
        If no bin holds enough gammas.
    """
    rules = rules or CutRules()
    hadronness_max = _percentile_per_bin(
        hadronness, energy_gev, energy_edges_gev, rules.hadronness_efficiency, rules.hadronness_range
    )
    cuts = Cuts(energy_edges_gev, hadronness_max, np.full_like(hadronness_max, np.inf), min_size_phe, rules)
    kept = cuts.keep_gammas(energy_gev, hadronness)
    low, high = np.sqrt(rules.theta2_range_deg2)
    theta_max = _percentile_per_bin(
        theta_deg[kept], energy_gev[kept], energy_edges_gev, rules.theta_efficiency, (float(low), float(high))
    )
    return Cuts(energy_edges_gev, hadronness_max, theta_max, min_size_phe, rules)


def _percentile_per_bin(
    values: Floats, energy_gev: Floats, edges_gev: Floats, share: float, allowed: tuple[float, float]
) -> Floats:
    """Value below which `share` of the events lies, per energy bin, kept in range; poor bins copy the nearest."""
    from pyirf.cuts import calculate_percentile_cut

    usable = np.isfinite(values) & np.isfinite(energy_gev)
    table = calculate_percentile_cut(
        values[usable].astype(np.float64),
        energy_gev[usable].astype(np.float64),
        edges_gev,
        fill_value=np.nan,
        percentile=100 * share,
        min_value=allowed[0],
        max_value=allowed[1],
        min_events=MIN_EVENTS,
    )
    cut = np.asarray(table["cut"], dtype=np.float64)
    filled = np.flatnonzero(np.isfinite(cut))
    if filled.size == 0:
        raise InputError(f"no energy bin holds {MIN_EVENTS} simulated gammas: no cuts can be found from them")
    nearest = filled[np.abs(np.arange(len(cut))[:, np.newaxis] - filled).argmin(axis=1)]
    return np.asarray(cut[nearest], dtype=np.float64)
