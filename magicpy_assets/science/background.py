"""The background of a field of view: rate of gamma-like events by energy and offset, measured beside the source."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from magicpy_assets.science.cuts import ENERGY_EDGES_GEV

Floats = NDArray[np.float64]

OFFSET_EDGES_DEG: Floats = np.arange(0.0, 2.01, 0.25)
EXCLUSION_RADIUS_DEG = 0.3
"""Around the source; also around other sources of the field, if they are given."""


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


def open_share(offset_edges_deg: Floats, source_offset_deg: float | None) -> Floats:
    """Share of each ring that lies outside a circle of 0.3° around a source at that offset (1 without a source)."""
    radius = np.linspace(offset_edges_deg[:-1], offset_edges_deg[1:], 101)
    radius = 0.5 * (radius[1:] + radius[:-1])
    if source_offset_deg is None:
        return np.ones(radius.shape[1])
    if source_offset_deg < 1e-6:
        covered = (radius < EXCLUSION_RADIUS_DEG).astype(np.float64)
    else:
        cosine = (radius**2 + source_offset_deg**2 - EXCLUSION_RADIUS_DEG**2) / (2 * radius * source_offset_deg)
        covered = np.arccos(np.clip(cosine, -1, 1)) / np.pi
    return np.asarray(1 - (covered * radius).sum(axis=0) / radius.sum(axis=0), dtype=np.float64)


def field_background(
    energy_gev: Floats,
    offset_deg: Floats,
    source_distance_deg: Floats,
    on_time_s: float,
    source_offset_deg: float | None,
) -> FieldBackground:
    """Measure the background from events (n,) that passed the gamma/hadron cut.

    `offset_deg` is the distance from the pointing, `source_distance_deg` from the source; events within 0.3° of the
    source are left out and their area is corrected for. Without a source (an off field) give None for its offset. The
    rate is per time of observation, not of live time, as GADF has it. A ring that the circle hides takes the rate of
    the next one.
    """
    from astropy import units as u
    from pyirf.utils import cone_solid_angle

    share = open_share(OFFSET_EDGES_DEG, source_offset_deg)
    outside = np.ones(len(energy_gev), dtype=bool)
    if source_offset_deg is not None:
        outside = source_distance_deg >= EXCLUSION_RADIUS_DEG
    seen = share > LEAST_SHARE
    edges = [ENERGY_EDGES_GEV, OFFSET_EDGES_DEG]
    counts = np.histogram2d(energy_gev[outside], offset_deg[outside], edges)[0] * seen
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
