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


@dataclass(frozen=True)
class FieldBackground:
    """Rate in s⁻¹ MeV⁻¹ sr⁻¹, shape (n_energy, n_offset), with its edges in GeV and deg."""

    energy_edges_gev: Floats
    offset_edges_deg: Floats
    rate: Floats


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
    rate is per time of observation, not of live time, as GADF has it.
    """
    import astropy.units as u
    from astropy.table import QTable
    from pyirf.irf import background_2d

    share = open_share(OFFSET_EDGES_DEG, source_offset_deg)
    outside = np.ones(len(energy_gev), dtype=bool)
    if source_offset_deg is not None:
        outside = source_distance_deg >= EXCLUSION_RADIUS_DEG
    ring = np.clip(np.searchsorted(OFFSET_EDGES_DEG, offset_deg, side="right") - 1, 0, len(share) - 1)
    weight = np.where(share > 0.05, 1 / np.maximum(share, 0.05), 0.0)[ring]
    events = QTable(
        {
            "reco_energy": energy_gev[outside] * u.GeV,
            "reco_source_fov_offset": offset_deg[outside] * u.deg,
            "weight": weight[outside],
        }
    )
    rate = background_2d(events, ENERGY_EDGES_GEV * u.GeV, OFFSET_EDGES_DEG * u.deg, on_time_s * u.s)
    return FieldBackground(ENERGY_EDGES_GEV, OFFSET_EDGES_DEG, rate.to_value("s-1 MeV-1 sr-1"))
