"""Counting: θ² distributions with simultaneous off regions, excess, and the significance of Li & Ma.

Events come as tangent-plane offsets from the pointing, so that an off region is a rotation of the source about the
centre of the camera. Selections (LE, FR, HE) are a table, ``tables/selections.csv``.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from magicpy_assets.core.errors import InputError, OutOfRangeError, unknown
from magicpy_assets.science.exposure import Exposure, of_observations
from magicpy_assets.science.results import Result, plain

if TYPE_CHECKING:
    from astropy.table import Table

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Selection:
    """Cuts that define a θ² count: θ² in deg², sizes in phe (both telescopes), energies in GeV."""

    name: str
    meaning: str
    theta2_max_deg2: float
    hadronness_max: float = 1.0
    size_min_phe: float = 0.0
    energy_min_gev: float = 0.0
    energy_max_gev: float = float("inf")
    source: str = "user"

    @property
    def text(self) -> str:
        """The cuts in words, for captions."""
        cuts = [f"θ² < {self.theta2_max_deg2:g} deg²"]
        if self.hadronness_max < 1:
            cuts.append(f"hadronness < {self.hadronness_max:g}")
        if self.size_min_phe > 0:
            cuts.append(f"size > {self.size_min_phe:g} phe")
        if self.energy_min_gev > 0:
            cuts.append(f"E > {self.energy_min_gev:g} GeV")
        if np.isfinite(self.energy_max_gev):
            cuts.append(f"E < {self.energy_max_gev:g} GeV")
        return f"{self.name}: " + ", ".join(cuts)

    def with_cuts(self, **cuts: float) -> Selection:
        """Return a selection of the same kind with some cuts changed."""
        return replace(self, name=f"{self.name} (changed)", source="user", **cuts)  # type: ignore[arg-type]

    def passes(self, events: Any) -> NDArray[np.bool_]:
        """Tell which events of a melibea table pass; a cut on a column that is absent is an :class:`InputError`."""
        limits = (
            ("hadronness", -np.inf, self.hadronness_max if self.hadronness_max < 1 else np.inf),
            ("size_phe_1", self.size_min_phe or -np.inf, np.inf),
            ("size_phe_2", self.size_min_phe or -np.inf, np.inf),
            ("energy_gev", self.energy_min_gev or -np.inf, self.energy_max_gev),
        )
        kept = np.ones(len(events), dtype=bool)
        for column, low, high in limits:
            if np.isinf(low) and np.isinf(high):
                continue
            if column not in events:
                raise InputError(f"{self.text}: these events have no column {column!r} to cut on")
            values = np.asarray(events[column], dtype=np.float64)
            kept &= (values > low) & (values < high)
        return kept


@cache
def selections() -> dict[str, Selection]:
    """Return the standard selections by name."""
    text = resources.files("magicpy_assets.science").joinpath("tables/selections.csv").read_text()
    rows = csv.DictReader(text.splitlines())
    return {
        row["name"]: Selection(
            name=row["name"],
            meaning=row["meaning"],
            theta2_max_deg2=float(row["theta2_max_deg2"]),
            hadronness_max=float(row["hadronness_max"]),
            size_min_phe=float(row["size_min_phe"]),
            energy_min_gev=float(row["energy_min_gev"]),
            source=row["source"],
        )
        for row in rows
    }


def selection(name: str) -> Selection:
    """Return the selection of that name (LE, FR or HE, any case)."""
    table = selections()
    if name.upper() not in table:
        raise unknown("selection", name, table)
    return table[name.upper()]


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
        document = {"numbers": numbers, "selection": self.selection.text, "off_regions": self.n_off_regions}
        return dict(plain({**document, "exposure": self.exposure.to_dict()}))


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
