"""Sky maps: excess and significance around a position, with the background of a ring corrected for acceptance.

Events are counted in a disc around every point of a grid; the background there is what lies in a ring around it, scaled
with the acceptance of the camera, which is measured from the events themselves away from known sources: one profile for
the runs of a cell, times the live time of each. No background response is needed, so this works on DL3 of MAGIC's own
making too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from magicpy_assets.core.errors import InputError
from magicpy_assets.science.exposure import Exposure, of_observations
from magicpy_assets.science.exposure import from_dict as exposure_from
from magicpy_assets.science.field import Circle, Neighbour, excluded, neighbours, open_share, outside
from magicpy_assets.science.pointing import tangent_plane
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
RING_EDGES_DEG = FIELD_DEG * np.sqrt(np.linspace(0, 1, RINGS + 1))
CENTRES_DEG = np.sqrt(0.5 * (RING_EDGES_DEG[1:] ** 2 + RING_EDGES_DEG[:-1] ** 2))
"""Rings of equal area around the pointing, and the middle of each."""
PROFILE_EVENTS = 300
"""A cell with fewer events outside the circles has the profile of all cells together, at its own rate."""


@dataclass(frozen=True)
class SkymapResult(Result):
    """Maps (n, n), row by row from low to high declination, each row towards rising right ascension.

    `edges_deg` (n + 1,) are offsets from `centre_deg` (ra, dec ICRS) in the tangent plane. Pixels outside the field of
    view are not a number. `excluded` are the circles that are no background: around the source and other known ones.
    `residual_mean` and `residual_rms` are of the significances outside them: 0 and 1 if the background is right.
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
    excluded: tuple[Circle, ...] = ()

    @property
    def beside(self) -> NDArray[np.bool_]:
        """Pixels whose disc lies outside the excluded circles, and that have a significance."""
        middle = 0.5 * (self.edges_deg[1:] + self.edges_deg[:-1])
        away = outside(*np.meshgrid(middle, middle), self.excluded, DISC_DEG)
        return np.asarray(away & np.isfinite(self.significance))

    @property
    def marked(self) -> list[Neighbour]:
        """What the map shows: its own source at the centre, and the known ones that lie in it."""
        reach = float(self.edges_deg[-1])
        found = [Neighbour(self.exposure.source, *self.centre_deg)]
        for other in neighbours(self.centre_deg, 1.5 * reach):
            x, y = tangent_plane(np.array(other.ra_deg), np.array(other.dec_deg), *self.centre_deg)
            if max(abs(float(x)), abs(float(y))) < reach:
                found.append(other)
        return found

    @property
    def gammapy(self) -> dict[str, Any]:
        """Return the maps as gammapy WcsNDMap by name: significance, excess, on, background (TAN, ICRS)."""
        import astropy.units as u
        from astropy.coordinates import SkyCoord
        from gammapy.maps import WcsGeom, WcsNDMap

        step = float(self.edges_deg[1] - self.edges_deg[0])
        centre = SkyCoord(*self.centre_deg, unit="deg", frame="icrs")
        geom = WcsGeom.create(
            skydir=centre, npix=self.significance.shape[::-1], binsz=step * u.deg, proj="TAN", frame="icrs"
        )
        images = {name: getattr(self, name) for name in ("significance", "excess", "on", "background")}
        # Columns of a WCS image run towards smaller right ascension.
        return {name: WcsNDMap(geom, data=np.ascontiguousarray(image[:, ::-1])) for name, image in images.items()}

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
        columns = {"x": x, "y": y} | {
            name: getattr(self, name) for name in ("on", "background", "excess", "significance")
        }
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
            "excluded": [{"x": x, "y": y, "radius": radius, "unit": "deg"} for x, y, radius in self.excluded],
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
        if "missing" in document:
            raise InputError(f"no sky map was made: {document['missing']}")
        residual = {name: np.nan if value is None else float(value) for name, value in document["residual"].items()}
        maps = {name: np.array(document[name], dtype=np.float64) for name in ("on", "background", "significance")}
        return cls(
            exposure=exposure_from(document["exposure"]),
            centre_deg=(document["centre"]["ra"], document["centre"]["dec"]),
            energy_min_tev=document["energy_min"]["value"],
            edges_deg=np.array(document["edges"], dtype=np.float64),
            residual_mean=residual["mean"],
            residual_rms=residual["rms"],
            excluded=tuple((one["x"], one["y"], one["radius"]) for one in document["excluded"]),
            **maps,
        )


def skymap(
    observations: Sequence[Any],
    position_deg: tuple[float, float],
    *,
    energy_min_tev: float = 0.3,
    half_deg: float = 1.0,
    groups: Mapping[int, str] | None = None,
    avoid: Sequence[Neighbour] | None = None,
) -> SkymapResult:
    """Make the sky map around `position_deg` (ra, dec ICRS), `half_deg` to each side.

    Circles around the position (0.3°) and around the sources `avoid` (0.2°), by default the known ones of the field,
    are left out of background and acceptance. `groups` gives the cell, or another name, of each run number: runs of a
    group have one acceptance.

    Raises
    ------
    InputError
        If there are no observations, or too few events to measure the acceptance.
    """
    exposure = of_observations(observations)
    others = neighbours(position_deg) if avoid is None else tuple(avoid)
    pixels = round(half_deg / PIXEL_DEG)
    edges = np.arange(-pixels, pixels + 1, dtype=np.float64) * PIXEL_DEG
    runs = [_run_of(observation, position_deg, energy_min_tev, others, groups or {}) for observation in observations]
    profiles = _acceptances(runs)
    middle = 0.5 * (edges[1:] + edges[:-1])
    x, y = np.meshgrid(middle, middle)
    counts, accepted = np.zeros_like(x), np.zeros_like(x)
    for run in runs:
        inside = np.hypot(run.x - run.pointing[0], run.y - run.pointing[1]) < FIELD_DEG
        counts += np.histogram2d(run.y[inside], run.x[inside], [edges, edges])[0]
        distance = np.hypot(x - run.pointing[0], y - run.pointing[1])
        accepted += np.interp(distance, CENTRES_DEG, profiles[run.group]) * (distance < FIELD_DEG) * run.live_time_s
    circles = excluded(position_deg, position_deg, others)
    on, background, significance = _ring_significance(x, y, counts, accepted, circles)
    result = SkymapResult(
        exposure=exposure,
        centre_deg=position_deg,
        energy_min_tev=energy_min_tev,
        edges_deg=edges,
        on=on,
        background=background,
        significance=significance,
        residual_mean=float("nan"),
        residual_rms=float("nan"),
        excluded=circles,
    )
    residual = significance[result.beside]
    if residual.size == 0:
        return result
    return replace(result, residual_mean=float(residual.mean()), residual_rms=float(residual.std()))


def save_missing(why: str, folder: Path) -> Path:
    """Write into a folder that there is no map, and why, in place of what is there; returns the path."""
    for suffix in ("ecsv", "parquet"):
        (folder / f"{SkymapResult.name}.{suffix}").unlink(missing_ok=True)
    path = folder / f"{SkymapResult.name}.json"
    path.write_text(json.dumps({"missing": why}) + "\n", encoding="utf-8")
    return path


def why_missing(folder: Path) -> str:
    """Return why a folder of results has no map; an empty text if it has one."""
    path = folder / f"{SkymapResult.name}.json"
    return str(json.loads(path.read_text(encoding="utf-8")).get("missing", "")) if path.is_file() else "none was made"


@dataclass(frozen=True)
class _Run:
    """Events of a run as offsets (deg) from the map's centre, where the telescopes pointed, and what is left out."""

    x: Floats
    y: Floats
    pointing: tuple[float, float]
    live_time_s: float
    group: str
    circles: tuple[Circle, ...]

    def by_ring(self) -> tuple[Floats, Floats]:
        """Events in each ring around the pointing outside the circles, and the open share of it times live time."""
        from_x, from_y = self.x - self.pointing[0], self.y - self.pointing[1]
        kept = outside(from_x, from_y, self.circles)
        events = np.histogram(np.hypot(from_x, from_y)[kept], RING_EDGES_DEG)[0].astype(np.float64)
        return events, open_share(RING_EDGES_DEG, self.circles) * self.live_time_s


def _run_of(
    observation: Any,
    position_deg: tuple[float, float],
    energy_min_tev: float,
    others: Sequence[Neighbour],
    groups: Mapping[int, str],
) -> _Run:
    table = observation.events.table
    kept = table["ENERGY"].quantity.to_value("TeV") > energy_min_tev
    ra_deg, dec_deg = (table[name].quantity.to_value("deg").astype(np.float64)[kept] for name in ("RA", "DEC"))
    x, y = tangent_plane(ra_deg, dec_deg, *position_deg)
    pointing_deg = float(table.meta["RA_PNT"]), float(table.meta["DEC_PNT"])
    pointing_x, pointing_y = tangent_plane(np.array(pointing_deg[0]), np.array(pointing_deg[1]), *position_deg)
    return _Run(
        x,
        y,
        (float(pointing_x), float(pointing_y)),
        float(observation.observation_live_time_duration.to_value("s")),
        groups.get(int(observation.obs_id), ""),
        excluded(position_deg, pointing_deg, others),
    )


def _acceptances(runs: Sequence[_Run]) -> dict[str, Floats]:
    """Events per live time in a ring that is all open, by distance from the pointing, for each group of runs.

    A group with few events takes the profile of all runs, scaled to its own rate.
    """
    events: dict[str, Floats] = {}
    opened: dict[str, Floats] = {}
    for run in runs:
        seen, share = run.by_ring()
        events[run.group] = events.get(run.group, 0.0) + seen
        opened[run.group] = opened.get(run.group, 0.0) + share
    total, total_open = sum(events.values()), sum(opened.values())
    if np.sum(total) < RINGS:
        raise InputError(
            f"{np.sum(total):.0f} events outside the source: too few to measure the acceptance of the camera"
        )
    least = np.maximum(0.05 * sum(run.live_time_s for run in runs), 1e-9)
    common = total / np.maximum(total_open, least)
    found = {}
    for group, seen in events.items():
        if seen.sum() >= PROFILE_EVENTS:
            time_s = max(float(opened[group].max()), 1e-9)
            rate = seen / np.maximum(opened[group], 0.05 * time_s)
        else:
            rate = common * (seen.sum() / max(float((common * opened[group]).sum()), 1e-9))
        found[group] = np.maximum(rate, 1e-3 * max(float(rate.max()), 1e-9))
    return found


def _ring_significance(
    x: Floats, y: Floats, counts: Floats, accepted: Floats, circles: Sequence[Circle]
) -> tuple[Floats, Floats, Floats]:
    """On counts in discs, background in them from rings, and the significance after Li & Ma 1983, eq. 17."""
    from gammapy.stats import WStatCountsStatistic
    from scipy.signal import fftconvolve

    reach = int(RING_DEG[1] / PIXEL_DEG) + 1
    step = np.arange(-reach, reach + 1) * PIXEL_DEG
    distance = np.hypot(*np.meshgrid(step, step))
    disc = (distance < DISC_DEG).astype(np.float64)
    ring = ((distance > RING_DEG[0]) & (distance < RING_DEG[1])).astype(np.float64)
    open_sky = outside(x, y, circles)

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
