"""Counting: θ² distributions with simultaneous off regions, excess, and the significance of Li & Ma.

Events come as tangent-plane offsets from the pointing, so that an off region is a rotation of the source about the
centre of the camera. What is counted is said by a selection, see :mod:`magicpy_assets.science.selections`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from magicpy_assets.core.errors import InputError, OutOfRangeError
from magicpy_assets.core.telescopes import STEREO, Telescopes
from magicpy_assets.science.exposure import Exposure, of_observations
from magicpy_assets.science.field import OTHER_RADIUS_DEG, neighbours
from magicpy_assets.science.live_time import measure, mjd_of
from magicpy_assets.science.pointing import circular_mean_deg, tangent_plane
from magicpy_assets.science.selections import Selection
from magicpy_assets.science.theta2 import Theta2Result, grown, li_ma

if TYPE_CHECKING:
    import pandas as pd

    from magicpy_assets.science.cuts import Cuts

logger = logging.getLogger(__name__)

Floats = NDArray[np.float64]


ABOVE_300_GEV = Selection("E > 300 GeV", "above 300 GeV", theta2_max_deg2=0.02, energy_min_gev=300.0)
"""What is counted from DL3 files if nothing else is said; their gamma/hadron cut has been made."""


@dataclass(frozen=True)
class FieldEvents:
    """Events of one pointing: directions (n,) and the source (scalar or (n,)) in deg from the camera centre."""

    x_deg: Floats
    y_deg: Floats
    source_x_deg: Floats
    source_y_deg: Floats

    @classmethod
    def on_sky(
        cls, ra_deg: Floats, dec_deg: Floats, pointing_deg: tuple[float, float], source_deg: tuple[float, float]
    ) -> FieldEvents:
        """Build from sky positions (ICRS, deg) around one pointing."""
        x_deg, y_deg = tangent_plane(ra_deg, dec_deg, *pointing_deg)
        source_x_deg, source_y_deg = tangent_plane(np.array(source_deg[0]), np.array(source_deg[1]), *pointing_deg)
        return cls(x_deg, y_deg, source_x_deg, source_y_deg)

    @property
    def offset_deg(self) -> float:
        """Distance of the source from the centre (mean over the events)."""
        return float(np.mean(np.hypot(self.source_x_deg, self.source_y_deg)))

    def theta2_deg2(self, turn_deg: float = 0.0) -> Floats:
        """Squared distance of each event from the source turned by `turn_deg` about the centre."""
        cosine, sine = np.cos(np.radians(turn_deg)), np.sin(np.radians(turn_deg))
        region_x = cosine * self.source_x_deg - sine * self.source_y_deg
        region_y = sine * self.source_x_deg + cosine * self.source_y_deg
        theta2: Floats = (self.x_deg - region_x) ** 2 + (self.y_deg - region_y) ** 2
        return theta2


def theta2(
    observations: Sequence[Any],
    position_deg: tuple[float, float],
    *,
    selection: Selection | None = None,
    n_off: int = 3,
) -> Theta2Result:
    """θ² of DL3 observations (gammapy) around a position (ra, dec ICRS in deg).

    The gamma/hadron cut of DL3 is already in the event list; of `selection` only θ², energy and, where the list has
    GAMMANESS, hadronness are applied. Default: E > 300 GeV, θ² < 0.02 deg².
    """
    chosen = selection or ABOVE_300_GEV
    exposure = of_observations(observations)
    in_time = sorted(observations, key=lambda one: float(one.gti.time_start.utc.mjd.min()))
    fields = [field_of(observation, position_deg, chosen) for observation in in_time]
    pointings = {(float(one.events.table.meta["RA_PNT"]), float(one.events.table.meta["DEC_PNT"])) for one in in_time}
    _warn_of_neighbours(pointings, position_deg, n_off)
    live = [float(observation.observation_live_time_duration.to_value("s")) for observation in in_time]
    return count(fields, exposure, chosen, n_off=n_off, live_times_s=live)


def theta2_of_melibea(
    runs: Mapping[int, pd.DataFrame],
    position_deg: tuple[float, float],
    selection: Selection,
    *,
    source: str,
    simulated: bool,
    n_off: int = 3,
    telescopes: Telescopes = STEREO,
) -> Theta2Result:
    """θ² of melibea events, as odie makes it, around a position (ra, dec ICRS in deg).

    `runs` gives the events (columns as in melibea files) by run number; each run has one wobble position. The live time
    is that of all events before the cuts.
    """
    fields, times, zeniths, pointings = [], [], [], set()
    for events in runs.values():
        right_ascension = circular_mean_deg(15.0 * events["pointing_ra_h_1"].to_numpy(dtype=np.float64))
        pointing = (right_ascension, float(events["pointing_dec_deg_1"].median()))
        pointings.add(pointing)
        kept = events[selection.passes(events, telescopes) & np.isfinite(events["reco_ra_deg"].to_numpy())]
        ra_deg, dec_deg = (kept[name].to_numpy(dtype=np.float64) for name in ("reco_ra_deg", "reco_dec_deg"))
        fields.append(FieldEvents.on_sky(ra_deg, dec_deg, pointing, position_deg))
        mjd = mjd_of(events)
        times.append(measure(mjd, events["time_diff_s_1"].to_numpy() if "time_diff_s_1" in events else None))
        zeniths.append(float(events["pointing_zd_deg_1"].mean()))
    _warn_of_neighbours(pointings, position_deg, n_off)
    exposure = Exposure(
        source=source,
        runs=tuple(runs),
        live_time_s=sum(one.live_time_s for one in times),
        start_mjd=min((float(one.intervals_mjd.min()) for one in times), default=0.0),
        stop_mjd=max((float(one.intervals_mjd.max()) for one in times), default=0.0),
        zd_range_deg=(min(zeniths), max(zeniths)) if zeniths else None,
        simulated=simulated,
        array=telescopes.text if telescopes.is_mono else "",
    )
    order = np.argsort([float(one.intervals_mjd.min()) for one in times])
    in_time, live = [fields[k] for k in order], [times[k].live_time_s for k in order]
    return count(in_time, exposure, selection, n_off=n_off, live_times_s=live)


def _warn_of_neighbours(
    pointings_deg: Iterable[tuple[float, float]], position_deg: tuple[float, float], n_off: int
) -> None:
    """Say which known sources lie in off regions; θ² keeps its regions, so that all runs have the same on/off ratio."""
    found = set()
    for pointing in pointings_deg:
        x, y = tangent_plane(np.array(position_deg[0]), np.array(position_deg[1]), *pointing)
        angles = 2 * np.pi * np.arange(1, n_off + 1) / (n_off + 1)
        off_x, off_y = np.cos(angles) * x - np.sin(angles) * y, np.sin(angles) * x + np.cos(angles) * y
        for other in neighbours(position_deg):
            other_x, other_y = tangent_plane(np.array(other.ra_deg), np.array(other.dec_deg), *pointing)
            if np.any(np.hypot(off_x - other_x, off_y - other_y) < OTHER_RADIUS_DEG):
                found.add(other.name)
    if found:
        logger.warning(
            "off regions are less than %g° from known sources, so the background of θ² may be too high: %s",
            OTHER_RADIUS_DEG, ", ".join(sorted(found)),
        )  # fmt: skip


def field_of(observation: Any, position_deg: tuple[float, float], chosen: Selection) -> FieldEvents:
    """Return the events of one observation (gammapy) after the cuts that a DL3 list allows."""
    table = observation.events.table
    energy_gev = table["ENERGY"].quantity.to_value("GeV")
    kept = (energy_gev > chosen.energy_min_gev) & (energy_gev < chosen.energy_max_gev)
    if chosen.hadronness_max < 1 and "GAMMANESS" in table.colnames:
        kept &= 1 - np.asarray(table["GAMMANESS"]) < chosen.hadronness_max
    return _field_of(table, kept, position_deg)


def off_count(
    observation: Any, position_deg: tuple[float, float], cuts: Cuts, energy_range_gev: tuple[float, float], n_off: int
) -> int:
    """Count the events of one observation (gammapy) in its off regions, all together, after cuts on each energy.

    The list of events must have GAMMANESS, and hold whatever the cuts let pass.
    """
    table = observation.events.table
    energy_gev = np.asarray(table["ENERGY"].quantity.to_value("GeV"), dtype=np.float64)
    kept = (energy_gev > energy_range_gev[0]) & (energy_gev < energy_range_gev[1])
    kept &= cuts.keep_gammas(energy_gev, 1 - np.asarray(table["GAMMANESS"], dtype=np.float64))
    field, turns = _field_of(table, kept, position_deg), 360.0 * np.arange(1, n_off + 1) / (n_off + 1)
    near = [cuts.keep_directions(energy_gev[kept], np.sqrt(field.theta2_deg2(turn))) for turn in turns]
    return int(np.sum(near))


def _field_of(table: Any, kept: NDArray[np.bool_], position_deg: tuple[float, float]) -> FieldEvents:
    pointing = (float(table.meta["RA_PNT"]), float(table.meta["DEC_PNT"]))
    ra_deg, dec_deg = (table[name].quantity.to_value("deg").astype(np.float64)[kept] for name in ("RA", "DEC"))
    return FieldEvents.on_sky(ra_deg, dec_deg, pointing, position_deg)


def count(
    fields: Iterable[FieldEvents],
    exposure: Exposure,
    chosen: Selection,
    *,
    n_off: int = 3,
    bins: int = 40,
    live_times_s: Sequence[float] | None = None,
) -> Theta2Result:
    """Histogram θ² around the source and around its off regions, and count inside the cut.

    The off regions are the source turned about the camera centre in equal steps. The histogram ends where neighbouring
    regions begin to touch, (offset · sin(π / (n_off + 1)))², so that no event counts twice. With the live times of the
    fields, the result tells how the signal grew.

    Raises
    ------
    OutOfRangeError
        If the source is at the centre, or the θ² cut makes the regions overlap.
    """
    fields = list(fields)
    if not fields:
        raise InputError("no events to count: the list of fields is empty")
    limit = (min(field.offset_deg for field in fields) * np.sin(np.pi / (n_off + 1))) ** 2
    if n_off < 1 or chosen.theta2_max_deg2 > limit:
        raise OutOfRangeError(
            f"{n_off} off regions overlap for θ² < {chosen.theta2_max_deg2:g} deg²: at this offset from the centre the "
            f"limit is {limit:.4f} deg²",
            hint="use fewer off regions or a smaller θ² cut",
        )
    edges = np.linspace(0, limit, bins + 1)
    turns = 360.0 * np.arange(n_off + 1) / (n_off + 1)
    each = [[field.theta2_deg2(turn) for field in fields] for turn in turns]
    inside = np.array([[int((value < chosen.theta2_max_deg2).sum()) for value in region] for region in each])
    values = [np.concatenate(region) for region in each]
    n_on, n_background, alpha = int(inside[0].sum()), int(inside[1:].sum()), 1 / n_off
    growth = None
    if live_times_s is not None:
        growth = grown(live_times_s, inside[0].tolist(), inside[1:].sum(axis=0).tolist(), alpha)
    histograms = [np.histogram(value[np.isfinite(value)], edges)[0].astype(np.int64) for value in values]
    return Theta2Result(
        exposure=exposure,
        selection=chosen,
        n_on=n_on,
        n_off=n_background,
        alpha=alpha,
        excess=n_on - alpha * n_background,
        excess_error=float(np.sqrt(n_on + alpha**2 * n_background)),
        significance=li_ma(n_on, n_background, alpha),
        edges_deg2=edges,
        on=histograms[0],
        off=np.sum(histograms[1:], axis=0),
        growth=growth,
    )
