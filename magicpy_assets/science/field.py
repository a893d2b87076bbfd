"""What a field of view holds beside the source: other known ones, and the circles that are no background."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from magicpy_assets.core import sources
from magicpy_assets.science.pointing import tangent_plane

Circle = tuple[float, float, float]
"""Centre as offsets towards right ascension and declination, and radius, all in deg."""

SAME_PLACE_DEG = 0.05
"""A source of the table this near to a position is the one at that position."""
EXCLUSION_RADIUS_DEG = 0.3
"""Around the source nothing is taken for background."""
OTHER_RADIUS_DEG = 0.2
"""Around other known sources nothing is taken for background: twice the radius of the disc in which a map counts."""
REACH_DEG = 2.5


@dataclass(frozen=True)
class Neighbour:
    """A known source beside the one that is looked at (ICRS, deg)."""

    name: str
    ra_deg: float
    dec_deg: float


def neighbours(position_deg: tuple[float, float], reach_deg: float = REACH_DEG) -> tuple[Neighbour, ...]:
    """Return the known sources within `reach_deg` of a position (ra, dec ICRS), the nearest first, without its own."""
    found = sources.search(ra_deg=position_deg[0], dec_deg=position_deg[1], radius_deg=reach_deg)
    beside = found[found["distance_deg"] > SAME_PLACE_DEG]
    return tuple(
        Neighbour(str(name), float(ra), float(dec))
        for name, ra, dec in zip(beside["name"], beside["ra_deg"], beside["dec_deg"], strict=True)
    )


def excluded(
    position_deg: tuple[float, float], centre_deg: tuple[float, float], others: Iterable[Neighbour]
) -> tuple[Circle, ...]:
    """Return the circles that are no background, as seen from a centre: around a source, and around other sources."""
    places = [(*position_deg, EXCLUSION_RADIUS_DEG), *((one.ra_deg, one.dec_deg, OTHER_RADIUS_DEG) for one in others)]
    found = []
    for ra, dec, radius in places:
        x, y = tangent_plane(np.array(ra), np.array(dec), *centre_deg)
        found.append((float(x), float(y), radius))
    return tuple(found)


def outside(
    x_deg: NDArray[np.float64], y_deg: NDArray[np.float64], circles: Sequence[Circle], margin_deg: float = 0.0
) -> NDArray[np.bool_]:
    """Tell which points lie outside all circles, by a margin more if one is given."""
    found = np.ones(np.shape(x_deg), dtype=bool)
    for x, y, radius in circles:
        found &= np.hypot(x_deg - x, y_deg - y) >= radius + margin_deg
    return found


def open_share(offset_edges_deg: NDArray[np.float64], circles: Sequence[Circle]) -> NDArray[np.float64]:
    """Share of each ring around the centre that lies outside all circles, from points spread evenly over its area."""
    steps = (np.arange(60) + 0.5) / 60
    square = offset_edges_deg[:-1, np.newaxis] ** 2 + np.diff(offset_edges_deg**2)[:, np.newaxis] * steps
    angle = 2 * np.pi * (np.arange(240) + 0.5) / 240
    radius = np.sqrt(square)[:, :, np.newaxis]
    return np.asarray(outside(radius * np.cos(angle), radius * np.sin(angle), circles).mean(axis=(1, 2)))
