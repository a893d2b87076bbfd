"""Sky maps: excess and significance around a position, with the background of a ring corrected for acceptance.

Events are counted in a disc around every point of a grid; the background there is what lies in a ring around it, scaled
with the acceptance of the camera, which is measured from the events themselves away from the source. No background
response is needed, so this works on DL3 of MAGIC's own making too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from magicpy_assets.core.errors import InputError
from magicpy_assets.science.background import EXCLUSION_RADIUS_DEG, open_share
from magicpy_assets.science.counts import tangent_plane
from magicpy_assets.science.exposure import Exposure, of_observations
from magicpy_assets.science.exposure import from_dict as exposure_from
from magicpy_assets.science.results import Result, plain

if TYPE_CHECKING:
    from astropy.table import Table

Floats = NDArray[np.float64]

PIXEL_DEG = 0.025
DISC_DEG = 0.1
RING_DEG = (0.35, 0.7)
FIELD_DEG = 1.25
"""Acceptance is measured, and maps are made, out to this distance from the pointing."""
RINGS = 10


@dataclass(frozen=True)
class SkymapResult(Result):
    """Maps (n, n), row by row from low to high declination, each row towards rising right ascension.

    `edges_deg` (n + 1,) are offsets from `centre_deg` (ra, dec ICRS) in the tangent plane. Pixels outside the field of
    view are not a number. `residual_mean` and `residual_rms` are of the significances outside the excluded circle
    around the source: 0 and 1 if the background is right.
    """

    name: ClassVar[str] = "skymap"
    exposure: Exposure
    centre_deg: tuple[float, float]
    energy_min_tev: float
    edges_deg: Floats = field(repr=False)
    on: Floats = field(repr=False)
    background: Floats = field(repr=False)
    significance: Floats = field(repr=False)
    residual_mean: float
    residual_rms: float

    @property
    def excess(self) -> Floats:
        """Events in the disc less the background in it."""
        return self.on - self.background

    @property
    def peak(self) -> tuple[float, float, float]:
        """Highest significance and where it is: offsets (deg) towards right ascension and declination."""
        row, column = np.unravel_index(int(np.nanargmax(self.significance)), self.significance.shape)
        middle = 0.5 * (self.edges_deg[1:] + self.edges_deg[:-1])
        return float(self.significance[row, column]), float(middle[column]), float(middle[row])

    def tables(self) -> dict[str, Table]:
        """Return the maps as one table, a row for every pixel."""
        from astropy.table import Table

        middle = 0.5 * (self.edges_deg[1:] + self.edges_deg[:-1])
        x, y = np.meshgrid(middle, middle)
        columns = {"x": x, "y": y, "on": self.on, "background": self.background, "significance": self.significance}
        table = Table({name: values.ravel() for name, values in columns.items()}, units={"x": "deg", "y": "deg"})
        table.meta = {"caption": self.exposure.caption, "simulated": self.simulated, "centre": list(self.centre_deg)}
        return {"skymap": table}

    def to_dict(self) -> dict[str, Any]:
        """Maps and numbers."""
        peak, peak_x, peak_y = self.peak
        document = {
            "centre": {"ra": self.centre_deg[0], "dec": self.centre_deg[1], "unit": "deg"},
            "energy_min": {"value": self.energy_min_tev, "unit": "TeV"},
            "peak": {"significance": peak, "x": peak_x, "y": peak_y, "unit": "deg"},
            "residual": {"mean": self.residual_mean, "rms": self.residual_rms},
            "edges": self.edges_deg,
            "on": self.on,
            "background": self.background,
            "significance": self.significance,
            "exposure": self.exposure.to_dict(),
        }
        return dict(plain(document))

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> SkymapResult:
        """Return the result from what :meth:`to_dict` gave."""
        maps = {name: np.array(document[name], dtype=np.float64) for name in ("on", "background", "significance")}
        return cls(
            exposure=exposure_from(document["exposure"]),
            centre_deg=(document["centre"]["ra"], document["centre"]["dec"]),
            energy_min_tev=document["energy_min"]["value"],
            edges_deg=np.array(document["edges"], dtype=np.float64),
            residual_mean=document["residual"]["mean"],
            residual_rms=document["residual"]["rms"],
            **maps,
        )


def skymap(
    observations: Sequence[Any],
    position_deg: tuple[float, float],
    *,
    energy_min_tev: float = 0.3,
    half_deg: float = 1.0,
) -> SkymapResult:
    """Make the sky map around `position_deg` (ra, dec ICRS), `half_deg` to each side.

    A circle of 0.3° around the position is left out of the background.

    Raises
    ------
    InputError
        If there are no observations, or too few events to measure the acceptance.
    """
    exposure = of_observations(observations)
    pixels = round(half_deg / PIXEL_DEG)
    edges = np.arange(-pixels, pixels + 1, dtype=np.float64) * PIXEL_DEG
    runs = [_run_of(observation, position_deg, energy_min_tev) for observation in observations]
    profile = _acceptance(runs)
    middle = 0.5 * (edges[1:] + edges[:-1])
    x, y = np.meshgrid(middle, middle)
    counts, accepted = np.zeros_like(x), np.zeros_like(x)
    for run in runs:
        inside = np.hypot(run.x - run.pointing[0], run.y - run.pointing[1]) < FIELD_DEG
        counts += np.histogram2d(run.y[inside], run.x[inside], [edges, edges])[0]
        distance = np.hypot(x - run.pointing[0], y - run.pointing[1])
        share = np.interp(distance, profile[0], profile[1]) * (distance < FIELD_DEG)
        accepted += share * max(int(inside.sum()), 1)
    on, background, significance = _ring_significance(x, y, counts, accepted)
    outside = np.isfinite(significance) & (np.hypot(x, y) > EXCLUSION_RADIUS_DEG + DISC_DEG)
    residual = significance[outside]
    return SkymapResult(
        exposure=exposure,
        centre_deg=position_deg,
        energy_min_tev=energy_min_tev,
        edges_deg=edges,
        on=on,
        background=background,
        significance=significance,
        residual_mean=float(residual.mean()) if residual.size else float("nan"),
        residual_rms=float(residual.std()) if residual.size else float("nan"),
    )


@dataclass(frozen=True)
class _Run:
    """Events of a run as offsets (deg) from the map's centre, and where the telescopes pointed in it."""

    x: Floats
    y: Floats
    pointing: tuple[float, float]


def _run_of(observation: Any, position_deg: tuple[float, float], energy_min_tev: float) -> _Run:
    table = observation.events.table
    kept = table["ENERGY"].quantity.to_value("TeV") > energy_min_tev
    ra_deg, dec_deg = (table[name].quantity.to_value("deg").astype(np.float64)[kept] for name in ("RA", "DEC"))
    x, y = tangent_plane(ra_deg, dec_deg, *position_deg)
    pointing_x, pointing_y = tangent_plane(
        np.array(float(table.meta["RA_PNT"])), np.array(float(table.meta["DEC_PNT"])), *position_deg
    )
    return _Run(x, y, (float(pointing_x), float(pointing_y)))


def _acceptance(runs: Sequence[_Run]) -> tuple[Floats, Floats]:
    """Relative acceptance by distance from the pointing: centres (deg) and events per area outside the source."""
    edges = FIELD_DEG * np.sqrt(np.linspace(0, 1, RINGS + 1))
    events, area = np.zeros(RINGS), np.zeros(RINGS)
    for run in runs:
        away = np.hypot(run.x, run.y) > EXCLUSION_RADIUS_DEG
        distance = np.hypot(run.x - run.pointing[0], run.y - run.pointing[1])
        events += np.histogram(distance[away], edges)[0]
        area += open_share(edges, float(np.hypot(*run.pointing)))
    if events.sum() < RINGS:
        raise InputError(
            f"{events.sum():.0f} events outside the source: too few to measure the acceptance of the camera"
        )
    density = events / np.maximum(area, 0.05)
    centres = np.sqrt(0.5 * (edges[1:] ** 2 + edges[:-1] ** 2))
    return centres, np.maximum(density / density.max(), 1e-3)


def _ring_significance(x: Floats, y: Floats, counts: Floats, accepted: Floats) -> tuple[Floats, Floats, Floats]:
    """On counts in discs, background in them from rings, and the significance after Li & Ma 1983, eq. 17."""
    from gammapy.stats import WStatCountsStatistic
    from scipy.signal import fftconvolve

    reach = int(RING_DEG[1] / PIXEL_DEG) + 1
    step = np.arange(-reach, reach + 1) * PIXEL_DEG
    distance = np.hypot(*np.meshgrid(step, step))
    disc = (distance < DISC_DEG).astype(np.float64)
    ring = ((distance > RING_DEG[0]) & (distance < RING_DEG[1])).astype(np.float64)
    open_sky = np.hypot(x, y) > EXCLUSION_RADIUS_DEG

    def around(values: Floats, kernel: Floats) -> Floats:
        return np.maximum(fftconvolve(values, kernel, mode="same"), 0.0)

    on, off = np.rint(around(counts, disc)), np.rint(around(counts * open_sky, ring))
    on_accepted, off_accepted = around(accepted, disc), around(accepted * open_sky, ring)
    usable = (on_accepted > 0.02 * on_accepted.max()) & (off_accepted > 1e-3 * off_accepted.max())
    alpha = np.where(usable, on_accepted / np.maximum(off_accepted, 1e-12), 1.0)
    significance = np.full_like(on, np.nan)
    seen = usable & (on + off > 0)
    significance[seen] = WStatCountsStatistic(on[seen], off[seen], alpha[seen]).sqrt_ts
    missing = np.where(usable, 0.0, np.nan)
    return on + missing, alpha * off + missing, significance
