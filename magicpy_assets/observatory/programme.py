"""The observing programme: which field was tracked when, at which wobble position; all of it public knowledge.

A table says what the observers meant to do (night, field, range of zenith distance, wobble angle); the start times
follow from the sky: the runs of a field are taken while it rises, in the east, through the middle of the range. What
the sky held (fluxes, brightness) is not known here; see ``sky``.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from importlib.resources import files
from itertools import pairwise

import numpy as np

from magicpy_assets.core.datalevels import Calibrated
from magicpy_assets.core.errors import ConfigError, OutOfRangeError
from magicpy_assets.core.runs import DataFile, Wobble
from magicpy_assets.observatory import sky
from magicpy_assets.science.pointing import altaz_of

RUN_DURATION_S = 125.0
N_SUBRUNS = 2
WOBBLE_OFFSET_DEG = 0.40
GAP_S = 30.0
"""Time between two runs of a wobble pair: the telescopes move to the other position."""

# Run numbers of public MAGIC file names, two nights in the period: about twenty stereo runs a night.
_ANCHOR_DATE, _ANCHOR_RUN = date(2020, 11, 19), 5_093_174
_RUNS_PER_NIGHT = 19.9
_MJD_OF_ORDINAL = 678_576
"""``date.toordinal()`` minus the Modified Julian Day of that date's 0 h UTC."""


@dataclass(frozen=True)
class Observation:
    """What the observers meant to do: one run of a field in a range of zenith distance, rising, at a wobble angle."""

    date: date
    source: str
    zd_low_deg: float
    zd_high_deg: float
    wobble_angle_deg: int


@dataclass(frozen=True)
class RunPlan:
    """A run as it was taken. Angles in degrees (ICRS; azimuth from north through east); zd and az are the run's means.

    ``start_day`` and ``start_s`` give the start exactly: the Modified Julian Day and whole seconds of UTC in it.
    ``further`` is true of runs beyond the standard programme.
    """

    date: date
    run: int
    source: str
    source_ra_deg: float
    source_dec_deg: float
    wobble: Wobble
    pointing_ra_deg: float
    pointing_dec_deg: float
    zd_low_deg: float
    zd_high_deg: float
    start_day: int
    start_s: int
    duration_s: float
    zd_deg: float
    az_deg: float
    further: bool
    subruns: int = N_SUBRUNS

    @property
    def start_mjd(self) -> float:
        """Start of the run, UTC, as Modified Julian Day."""
        return self.start_day + self.start_s / 86400.0

    def file(self, telescope: int, subrun: int) -> DataFile:
        """Return the identity of one of the run's calibrated files."""
        return DataFile(
            date=self.date,
            telescope=telescope,
            run=self.run,
            subrun=subrun,
            level=Calibrated,
            source=self.source,
            wobble=self.wobble,
        )

    def pointing_at(self, mjd: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return zenith distance and azimuth (deg) of the tracked position at the given times."""
        zd_deg, az_deg = altaz_of(self.pointing_ra_deg, self.pointing_dec_deg, mjd)
        return np.asarray(zd_deg), np.asarray(az_deg)


def standard_programme() -> tuple[Observation, ...]:
    """Return the programme of the observatory's table: four nights of period ST0316."""
    text = files("magicpy_assets.observatory").joinpath("tables", "programme.csv").read_text(encoding="utf-8")
    return tuple(
        Observation(
            date=date.fromisoformat(row["date"]),
            source=row["source"],
            zd_low_deg=float(row["zd_low_deg"]),
            zd_high_deg=float(row["zd_high_deg"]),
            wobble_angle_deg=int(row["wobble_angle_deg"]),
        )
        for row in csv.DictReader(text.splitlines())
    )


def wobble_position(ra_deg: float, dec_deg: float, offset_deg: float, angle_deg: float) -> tuple[float, float]:
    """Return right ascension and declination of a wobble pointing.

    The angle runs from increasing right ascension towards increasing declination. That this is what MAGIC's file names
    mean can be read from published DL3 files: ``CrabNebula-W0.40+035`` points to (83.983, 22.244) deg.
    """
    offset, position_angle = np.radians(offset_deg), np.radians(90.0 - angle_deg)
    dec = np.radians(dec_deg)
    sin_dec = np.sin(dec) * np.cos(offset) + np.cos(dec) * np.sin(offset) * np.cos(position_angle)
    east = np.sin(position_angle) * np.sin(offset) * np.cos(dec)
    delta_ra = np.arctan2(east, np.cos(offset) - np.sin(dec) * sin_dec)
    return float(np.mod(ra_deg + np.degrees(delta_ra), 360.0)), float(np.degrees(np.arcsin(sin_dec)))


def programme(
    seed: int, *, extra_nights: Sequence[Observation] = (), duration_s: float = RUN_DURATION_S
) -> tuple[RunPlan, ...]:
    """Return every run that was taken, in the order of run numbers; it depends on the arguments alone.

    ``extra_nights`` are observed besides the standard programme, ``duration_s`` is the length of each run. Raises
    ConfigError when two runs would overlap, OutOfRangeError when a field never rises through its range at night.
    """
    return _programme(seed, tuple(extra_nights), float(duration_s))


@lru_cache(maxsize=8)
def _programme(seed: int, extra_nights: tuple[Observation, ...], duration_s: float) -> tuple[RunPlan, ...]:
    if duration_s <= 0.0:
        raise ConfigError(f"A run must take time; duration_s is {duration_s}.")
    by_night: dict[date, list[Observation]] = {}
    for observation in standard_programme():
        by_night.setdefault(observation.date, []).append(observation)
    standard = set(by_night)
    for observation in extra_nights:
        if observation.date in standard:
            raise ConfigError(
                f"The night to {observation.date} is already in the programme; its runs cannot change.",
                hint="Observe the further runs in another night.",
            )
        by_night.setdefault(observation.date, []).append(observation)
    return tuple(
        plan
        for night in sorted(by_night)
        for plan in _night(seed, night, by_night[night], duration_s, further=night not in standard)
    )


def first_run_of(night: date) -> int:
    """Return the first stereo run number of a night, on the scale of the public run numbers of late 2020."""
    return _ANCHOR_RUN + round(_RUNS_PER_NIGHT * (night - _ANCHOR_DATE) / timedelta(days=1))


def _night(
    seed: int, night: date, observations: list[Observation], duration_s: float, *, further: bool
) -> list[RunPlan]:
    """Lay the runs of one night one after the other; runs that share a range of zenith distance share its middle."""
    jitter_s = sky.stream(seed, night.toordinal(), "programme").integers(-60, 61, size=len(observations))
    groups: dict[tuple[str, float, float], list[Observation]] = {}
    for observation in observations:
        key = (observation.source, observation.zd_low_deg, observation.zd_high_deg)
        groups.setdefault(key, []).append(observation)
    timed: list[tuple[float, Observation]] = []
    for k, members in enumerate(groups.values()):
        first = members[0]
        field = sky.field(first.source)
        middle = _rising_through(field.ra_deg, field.dec_deg, night, 0.5 * (first.zd_low_deg + first.zd_high_deg))
        begin = middle + (jitter_s[k] - 0.5 * len(members) * (duration_s + GAP_S)) / 86400.0
        timed += [(begin + i * (duration_s + GAP_S) / 86400.0, member) for i, member in enumerate(members)]
    timed.sort(key=lambda pair: pair[0])
    plans = [
        _run(first_run_of(night) + i, start, observation, duration_s, further=further)
        for i, (start, observation) in enumerate(timed)
    ]
    for before, after in pairwise(plans):
        if before.start_mjd + before.duration_s / 86400.0 > after.start_mjd:
            raise ConfigError(
                f"Runs {before.run} ({before.source}) and {after.run} ({after.source}) of {night} overlap in time.",
                hint="Move one of them to another range of zenith distance or another night.",
            )
    return plans


def _rising_through(ra_deg: float, dec_deg: float, night: date, zd_deg: float) -> float:
    """Return the time (MJD) at which a position rises through a zenith distance in the night that ends on ``night``."""
    midnight = night.toordinal() - _MJD_OF_ORDINAL
    mjd = midnight + np.arange(-6.0, 7.5, 1.0 / 12.0) / 24.0
    zd, az = altaz_of(ra_deg, dec_deg, mjd)
    rising = np.flatnonzero((zd[:-1] >= zd_deg) & (zd[1:] < zd_deg) & (az[:-1] < 180.0))
    if len(rising) == 0:
        raise OutOfRangeError(
            f"The field at RA {ra_deg:.3f}°, Dec {dec_deg:.3f}° does not rise through {zd_deg}° of zenith distance "
            f"in the night to {night}; it is seen between {zd.min():.1f}° and {zd.max():.1f}°."
        )
    i = int(rising[0])
    return float(mjd[i] + (mjd[i + 1] - mjd[i]) * (zd[i] - zd_deg) / (zd[i] - zd[i + 1]))


def _run(run: int, start_mjd: float, observation: Observation, duration_s: float, *, further: bool) -> RunPlan:
    field = sky.field(observation.source)
    wobble = Wobble(WOBBLE_OFFSET_DEG, observation.wobble_angle_deg)
    ra_deg, dec_deg = wobble_position(field.ra_deg, field.dec_deg, wobble.offset_deg, observation.wobble_angle_deg)
    day, second = divmod(round(start_mjd * 86400.0), 86400)
    mjd = day + (second + np.linspace(0.0, duration_s, 11)) / 86400.0
    zd, az = altaz_of(ra_deg, dec_deg, mjd)
    return RunPlan(
        date=observation.date,
        run=run,
        source=field.name,
        source_ra_deg=field.ra_deg,
        source_dec_deg=field.dec_deg,
        wobble=wobble,
        pointing_ra_deg=ra_deg,
        pointing_dec_deg=dec_deg,
        zd_low_deg=observation.zd_low_deg,
        zd_high_deg=observation.zd_high_deg,
        start_day=day,
        start_s=second,
        duration_s=duration_s,
        zd_deg=float(np.mean(zd)),
        az_deg=float(np.mean(az)),
        further=further,
    )
