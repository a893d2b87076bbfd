"""Header cards of DL3 in GADF: what the headers of one run and of an index say, and the time in which they say it.

Times are seconds of terrestrial time since the reference date, so leap seconds cannot hurt.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from magicpy_assets.core.telescopes import STEREO, Telescopes
from magicpy_assets.science.site import HEIGHT_M, LATITUDE_DEG, LONGITUDE_DEG
from magicpy_assets.version import __version__

Floats = NDArray[np.float64]

HDUDOC = "https://github.com/open-gamma-ray-astro/gamma-astro-data-formats"
HDUVERS = "0.3"
TEXT_LENGTH, COMMENT_LENGTH = 68, 47
CREATOR = f"magicpy_assets {__version__}"
MJDREFI, MJDREFF = 51544, 0.5


@dataclass(frozen=True)
class RunCards:
    """What the headers of one run say. Angles in deg (ICRS), times in MJD (UTC).

    `extra` are cards of our own (name of at most eight letters to value and comment): forest, simulations, cuts,
    program, and whether the data is simulated.
    """

    obs_id: int
    source: str
    source_deg: tuple[float, float]
    pointing_deg: tuple[float, float]
    zd_deg: float
    az_deg: float
    intervals_mjd: Floats
    dead_fraction: float
    origin: str = "MAGIC"
    extra: Mapping[str, tuple[Any, str]] = field(default_factory=dict)
    telescopes: Telescopes = STEREO

    @property
    def on_time_s(self) -> float:
        """Sum of the good time intervals, in the time in which they are written."""
        edges = seconds(self.intervals_mjd)
        return float((edges[:, 1] - edges[:, 0]).sum())


def seconds(mjd_utc: Floats) -> Floats:
    """Seconds of terrestrial time from the reference date (J2000.0) to times in MJD (UTC)."""
    from astropy.time import Time

    days = Time(np.asarray(mjd_utc, dtype=np.float64), format="mjd", scale="utc").tt
    return np.asarray(((days.jd1 - 2400000.5 - MJDREFI) + (days.jd2 - MJDREFF)) * 86400.0, dtype=np.float64)


def observation_cards(cards: RunCards) -> dict[str, tuple[Any, str]]:
    """Cards of what was observed, and where the telescopes pointed."""
    return {
        "EQUINOX": (2000.0, "equinox"),
        "RADECSYS": ("ICRS", "reference frame"),
        "ORIGIN": (cards.origin, "who made the data"),
        "TELESCOP": ("MAGIC", "telescope"),
        "INSTRUME": (f"MAGIC {cards.telescopes.text}", "instrument"),
        "OBJECT": (cards.source, "observed source"),
        "RA_OBJ": (cards.source_deg[0], "[deg] source"),
        "DEC_OBJ": (cards.source_deg[1], "[deg] source"),
        "OBS_MODE": ("POINTING", "observation mode"),
        "RA_PNT": (cards.pointing_deg[0], "[deg] pointing"),
        "DEC_PNT": (cards.pointing_deg[1], "[deg] pointing"),
        "ALT_PNT": (90.0 - cards.zd_deg, "[deg] mean altitude"),
        "AZ_PNT": (cards.az_deg, "[deg] mean azimuth, from north through east"),
    }


def put_cards(header: Any, cards: Mapping[str, Any]) -> None:
    """Set cards so that each fits its 80 characters: a long comment is cut, then a long text."""
    for name, card in cards.items():
        value, comment = card if isinstance(card, tuple) else (card, "")
        if isinstance(value, str):
            while len(value) + value.count("'") > TEXT_LENGTH:  # FITS writes an apostrophe twice
                value = value[:-1]
            comment = comment[: max(0, TEXT_LENGTH - 3 - max(8, len(value) + value.count("'")))]
        header[name] = (value, comment[:COMMENT_LENGTH])


def response_cards(cards: RunCards) -> dict[str, Any]:
    """Cards of a response of a run."""
    return {
        "HDUVERS": (HDUVERS, "version of the format"),
        "DATE": (_now(), "when this was made"),
        "OBS_ID": (cards.obs_id, "run number"),
        "TELESCOP": "MAGIC",
        "INSTRUME": f"MAGIC {cards.telescopes.text}",
        **cards.extra,
    }


def _now() -> str:
    """Time of writing as FITS wants it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S")


def class_cards(kind: str) -> dict[str, tuple[str, str]]:
    """Cards of what a table is, by the format's words."""
    return {
        "HDUCLASS": ("GADF", "format"),
        "HDUDOC": (HDUDOC, "its description"),
        "HDUVERS": (HDUVERS, "its version"),
        "HDUCLAS1": (kind, "kind of table"),
        "CREATOR": (CREATOR, "program"),
        "DATE": (_now(), "when this was made"),
    }


def time_cards() -> dict[str, tuple[Any, str]]:
    """Cards of the reference date and scale of times."""
    return {
        "MJDREFI": (MJDREFI, "[d] reference date, whole part"),
        "MJDREFF": (MJDREFF, "[d] reference date, fraction"),
        "TIMEUNIT": ("s", "unit of times"),
        "TIMESYS": ("TT", "time scale"),
        "TIMEREF": ("LOCAL", "where times were taken"),
    }


def place_cards() -> dict[str, tuple[Any, str]]:
    """Cards of where the telescopes stand."""
    return {
        "GEOLON": (LONGITUDE_DEG, "[deg] longitude, east positive"),
        "GEOLAT": (LATITUDE_DEG, "[deg] latitude"),
        "ALTITUDE": (HEIGHT_M, "[m] above sea level"),
    }


def index_cards(kind: str) -> dict[str, Any]:
    """Cards of an index table: `kind` is HDU or OBS."""
    cards: dict[str, Any] = {**class_cards("INDEX"), "HDUCLAS2": kind}
    if kind == "OBS":
        cards |= {**time_cards(), **place_cards()}
    return cards
