"""Counting: θ² distributions with simultaneous off regions, excess, and the significance of Li & Ma.

Events come as tangent-plane offsets from the pointing, so that an off region is a rotation of the source about the
centre of the camera. What is counted is said by a selection, see :mod:`magicpy_assets.science.selections`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from magicpy_assets.core.errors import InputError, OutOfRangeError
from magicpy_assets.science.exposure import Exposure, of_observations
from magicpy_assets.science.exposure import from_dict as exposure_from
from magicpy_assets.science.live_time import SECONDS_PER_DAY, measure
from magicpy_assets.science.results import Result, plain
from magicpy_assets.science.selections import Selection

if TYPE_CHECKING:
    import pandas as pd
    from astropy.table import Table

Floats = NDArray[np.float64]


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


def tangent_plane(
    ra_deg: Floats, dec_deg: Floats, centre_ra_deg: float, centre_dec_deg: float
) -> tuple[Floats, Floats]:
    """Gnomonic offsets (deg) towards increasing right ascension and declination; NaN beyond 90° of the centre."""
    ra = np.radians(np.asarray(ra_deg, dtype=np.float64) - centre_ra_deg)
    dec, centre_dec = np.radians(np.asarray(dec_deg, dtype=np.float64)), np.radians(centre_dec_deg)
    depth = np.sin(centre_dec) * np.sin(dec) + np.cos(centre_dec) * np.cos(dec) * np.cos(ra)
    depth = np.where(depth > 0, depth, np.nan)
    x = np.cos(dec) * np.sin(ra) / depth
    y = (np.cos(centre_dec) * np.sin(dec) - np.sin(centre_dec) * np.cos(dec) * np.cos(ra)) / depth
    return np.degrees(x), np.degrees(y)


@dataclass(frozen=True)
class Theta2Result(Result):
    """θ² histograms and the counts inside the cut. ``off`` is the sum over the off regions, not yet times alpha."""

    name: ClassVar[str] = "theta2"
    exposure: Exposure
    selection: Selection
    n_on: int
    n_off: int
    alpha: float
    excess: float
    excess_error: float
    significance: float
    edges_deg2: Floats
    on: NDArray[np.int64]
    off: NDArray[np.int64]

    @property
    def n_off_regions(self) -> int:
        """How many off regions were used at the same time."""
        return round(1 / self.alpha)

    @property
    def excess_per_minute(self) -> float:
        """Excess per minute of live time."""
        return self.excess / (self.live_time_s / 60) if self.live_time_s > 0 else float("nan")

    def tables(self) -> dict[str, Table]:
        """Return the histogram: θ² edges (deg²), on counts, off counts (summed), expected background."""
        from astropy.table import Table

        table = Table(
            {
                "theta2_min": self.edges_deg2[:-1],
                "theta2_max": self.edges_deg2[1:],
                "on": self.on,
                "off": self.off,
                "background": self.off * self.alpha,
            },
            units={"theta2_min": "deg2", "theta2_max": "deg2"},
            meta={"caption": self.exposure.caption, "selection": self.selection.text, "simulated": self.simulated},
        )
        return {"theta2": table}

    def to_dict(self) -> dict[str, Any]:
        """Counts as value, error and unit."""
        numbers = {
            "n_on": {"value": self.n_on, "error": np.sqrt(self.n_on), "unit": ""},
            "n_off": {"value": self.n_off, "error": np.sqrt(self.n_off), "unit": ""},
            "alpha": {"value": self.alpha, "error": None, "unit": ""},
            "excess": {"value": self.excess, "error": self.excess_error, "unit": ""},
            "significance": {"value": self.significance, "error": None, "unit": "sigma"},
            "excess_per_minute": {"value": self.excess_per_minute, "error": None, "unit": "1/min"},
        }
        document = {
            "numbers": numbers,
            "selection": {"text": self.selection.text, **asdict(self.selection)},
            "off_regions": self.n_off_regions,
            "histogram": {"unit": "deg2", "edges": self.edges_deg2, "on": self.on, "off": self.off},
            "exposure": self.exposure.to_dict(),
        }
        return dict(plain(document))

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> Theta2Result:
        """Return the result from what :meth:`to_dict` gave."""
        numbers = {name: entry["value"] for name, entry in document["numbers"].items()}
        cuts = {name: value for name, value in document["selection"].items() if name != "text" and value is not None}
        histogram = document["histogram"]
        return cls(
            exposure=exposure_from(document["exposure"]),
            selection=Selection(**cuts),
            n_on=numbers["n_on"],
            n_off=numbers["n_off"],
            alpha=numbers["alpha"],
            excess=numbers["excess"],
            excess_error=document["numbers"]["excess"]["error"],
            significance=numbers["significance"],
            edges_deg2=np.array(histogram["edges"], dtype=np.float64),
            on=np.array(histogram["on"], dtype=np.int64),
            off=np.array(histogram["off"], dtype=np.int64),
        )


def li_ma(n_on: int, n_off: int, alpha: float) -> float:
    """Significance of an excess in standard deviations, with the sign of the excess (Li & Ma 1983, eq. 17).

    `alpha` is the on/off ratio of exposure. No counts at all give 0.
    """
    from gammapy.stats import WStatCountsStatistic

    if n_on + n_off == 0:
        return 0.0
    return float(WStatCountsStatistic(n_on, n_off, alpha).sqrt_ts)


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
    chosen = selection or Selection("E > 300 GeV", "above 300 GeV", theta2_max_deg2=0.02, energy_min_gev=300.0)
    exposure = of_observations(observations)
    fields = [_field_of(observation, position_deg, chosen) for observation in observations]
    return count(fields, exposure, chosen, n_off=n_off)


def theta2_of_melibea(
    runs: Mapping[int, pd.DataFrame],
    position_deg: tuple[float, float],
    selection: Selection,
    *,
    source: str,
    simulated: bool,
    n_off: int = 3,
) -> Theta2Result:
    """θ² of melibea events, as odie makes it, around a position (ra, dec ICRS in deg).

    `runs` gives the events (columns as in melibea files) by run number; each run has one wobble position. The live time
    is that of all events before the cuts.
    """
    fields, times, zeniths = [], [], []
    for events in runs.values():
        pointing = (15.0 * float(events["pointing_ra_h_1"].median()), float(events["pointing_dec_deg_1"].median()))
        kept = events[selection.passes(events) & np.isfinite(events["reco_ra_deg"].to_numpy())]
        ra_deg, dec_deg = (kept[name].to_numpy(dtype=np.float64) for name in ("reco_ra_deg", "reco_dec_deg"))
        fields.append(FieldEvents.on_sky(ra_deg, dec_deg, pointing, position_deg))
        seconds = events["milliseconds_1"] * 1e-3 + events["nanoseconds_1"] * 1e-9
        mjd = (events["mjd_day_1"] + seconds / SECONDS_PER_DAY).to_numpy(dtype=np.float64)
        times.append(measure(mjd, events["time_diff_s_1"].to_numpy() if "time_diff_s_1" in events else None))
        zeniths.append(float(events["pointing_zd_deg_1"].mean()))
    exposure = Exposure(
        source=source,
        runs=tuple(runs),
        live_time_s=sum(one.live_time_s for one in times),
        start_mjd=min((float(one.intervals_mjd.min()) for one in times), default=0.0),
        stop_mjd=max((float(one.intervals_mjd.max()) for one in times), default=0.0),
        zd_range_deg=(min(zeniths), max(zeniths)) if zeniths else None,
        simulated=simulated,
    )
    return count(fields, exposure, selection, n_off=n_off)


def _field_of(observation: Any, position_deg: tuple[float, float], chosen: Selection) -> FieldEvents:
    """Events of one observation after the cuts that a DL3 list allows."""
    table = observation.events.table
    energy_gev = table["ENERGY"].quantity.to_value("GeV")
    kept = (energy_gev > chosen.energy_min_gev) & (energy_gev < chosen.energy_max_gev)
    if chosen.hadronness_max < 1 and "GAMMANESS" in table.colnames:
        kept &= 1 - np.asarray(table["GAMMANESS"]) < chosen.hadronness_max
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
) -> Theta2Result:
    """Histogram θ² around the source and around its off regions, and count inside the cut.

    The off regions are the source turned about the camera centre in equal steps. The histogram ends where neighbouring
    regions begin to touch, (offset · sin(π / (n_off + 1)))², so that no event counts twice.

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
    values = [np.concatenate([field.theta2_deg2(turn) for field in fields]) for turn in turns]
    inside = [int((value < chosen.theta2_max_deg2).sum()) for value in values]
    n_on, n_background, alpha = inside[0], sum(inside[1:]), 1 / n_off
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
    )
