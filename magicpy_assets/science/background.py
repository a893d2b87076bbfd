"""The background of a field of view: rate of gamma-like events by energy and offset, measured beside the source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from magicpy_assets.science.cuts import ENERGY_EDGES_GEV
from magicpy_assets.science.field import Circle, open_share, outside

Floats = NDArray[np.float64]

OFFSET_EDGES_DEG: Floats = np.arange(0.0, 2.01, 0.25)
LEAST_SHARE = 0.05
"""A ring of which less is open says nothing."""
MANY_EVENTS = 5000
"""With fewer events the background is the product of a spectrum and a radial profile."""


@dataclass(frozen=True)
class FieldBackground:
    """Rate in s⁻¹ MeV⁻¹ sr⁻¹, shape (n_energy, n_offset), with its edges in GeV and deg.

    `relative_error` has the same shape: statistical, not a number where no event was seen at all. `n_events` went in.
    `separable` says that energy and offset were taken to be independent, because events were few.
    """

    energy_edges_gev: Floats
    offset_edges_deg: Floats
    rate: Floats
    relative_error: Floats
    n_events: int
    separable: bool

    @property
    def text(self) -> str:
        """What it is made from, short enough for a header card."""
        return f"{self.n_events} events, " + ("spectrum times profile" if self.separable else "cell by cell")


def field_background(
    energy_gev: Floats, x_deg: Floats, y_deg: Floats, on_time_s: float, circles: Sequence[Circle]
) -> FieldBackground:
    """Measure the background from events (n,) that passed the gamma/hadron cut.

    `x_deg` and `y_deg` are their directions as offsets from the pointing. Events within `circles` (around the source
    and other known ones; none for an off field) are left out and their area is corrected for. The rate is per time of
    observation, not of live time, as GADF has it. A ring that the circles hide takes the rate of the next one.
    """
    from astropy import units as u
    from pyirf.utils import cone_solid_angle

    share = open_share(OFFSET_EDGES_DEG, circles)
    kept, offset_deg = outside(x_deg, y_deg, circles), np.hypot(x_deg, y_deg)
    seen = share > LEAST_SHARE
    edges = [ENERGY_EDGES_GEV, OFFSET_EDGES_DEG]
    counts = np.histogram2d(energy_gev[kept], offset_deg[kept], edges)[0] * seen
    total = int(counts.sum())
    by_energy, by_ring = counts.sum(axis=1)[:, np.newaxis], counts.sum(axis=0)[np.newaxis, :]
    separable = total < MANY_EVENTS
    expected = by_energy * by_ring / max(total, 1) if separable else counts
    with np.errstate(divide="ignore"):
        variance = 1 / by_energy + 1 / by_ring if separable else 1 / counts
    error = np.where(np.isfinite(variance), np.sqrt(variance), np.nan)
    solid_angle = np.diff(cone_solid_angle(OFFSET_EDGES_DEG * u.deg).to_value("sr"))
    width_mev = np.diff(ENERGY_EDGES_GEV)[:, np.newaxis] * 1e3
    rate = expected / (width_mev * on_time_s * solid_angle * np.where(seen, share, 1.0))
    nearest = _nearest(seen)
    return FieldBackground(ENERGY_EDGES_GEV, OFFSET_EDGES_DEG, rate[:, nearest], error[:, nearest], total, separable)


def _nearest(seen: NDArray[np.bool_]) -> NDArray[np.int64]:
    """For each ring the nearest that is seen, itself if it is; the outer of two."""
    rings = np.arange(len(seen))
    usable = rings[seen][::-1]
    return np.asarray(usable[np.abs(rings[:, np.newaxis] - usable).argmin(axis=1)], dtype=np.int64)
