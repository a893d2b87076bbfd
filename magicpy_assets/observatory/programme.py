"""The observing programme: which field was tracked when, at which wobble position; all of it public knowledge.

A table says what the observers meant to do (night, field, range of zenith distance, number of runs, wobble angles,
state of the cameras); the start times follow from the sky: the runs of a field are taken while it rises, in the east,
through the middle of the range. What the sky held (fluxes, brightness) is not known here; see ``sky``.
"""

from __future__ import annotations

import csv
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from importlib.resources import files
from itertools import cycle, islice, pairwise

import numpy as np
from numpy.typing import NDArray

from magicpy_assets.core.errors import ConfigError, OutOfRangeError
from magicpy_assets.core.runs import Wobble
from magicpy_assets.observatory import sky
from magicpy_assets.observatory.run_plans import MONO, Observation, RunPlan
from magicpy_assets.science.pointing import altaz_of
from magicpy_assets.science.site import LATITUDE_DEG, LONGITUDE_DEG

Floats = NDArray[np.float64]

RUN_DURATION_S = 900.0
WOBBLE_OFFSET_DEG = 0.40
GAP_S = 30.0
"""Time between two runs of a wobble pair: the telescopes move to the other position."""

# Run numbers of public MAGIC file names, two nights in the period: about twenty stereo runs a night.
_ANCHOR_DATE, _ANCHOR_RUN = date(2020, 11, 19), 5_093_174
_RUNS_PER_NIGHT = 19.9
MAX_RUNS_PER_NIGHT = 19
_MONO_OFFSET = 5_000_000
_NIGHT_H = (-6.0, 7.5)
"""Hours after 0 h UTC between which a night's runs are looked for."""
_MJD_OF_ORDINAL = 678_576
"""``date.toordinal()`` minus the Modified Julian Day of that date's 0 h UTC."""


def standard_programme() -> tuple[Observation, ...]:
    """Return the programme of the observatory's table: the season of period ST0316, and a few nights after it."""
    text = files("magicpy_assets.observatory").joinpath("tables", "programme.csv").read_text(encoding="utf-8")
    return tuple(
        Observation(
            date=date.fromisoformat(row["date"]),
            source=row["source"],
            zd_low_deg=float(row["zd_low_deg"]),
            zd_high_deg=float(row["zd_high_deg"]),
            wobble_angle_deg=angle,
            hv=row["hv"],
            filter=row["filter"],
            mode=row["mode"],
        )
        for row in csv.DictReader(text.splitlines())
        for angle in islice(cycle(map(int, row["wobble_angles_deg"].split("|"))), int(row["runs"]))
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
    seed: int,
    *,
    nights: Collection[date] | None = None,
    extra_nights: Sequence[Observation] = (),
    duration_s: float = RUN_DURATION_S,
) -> tuple[RunPlan, ...]:
    """Return every run that was taken, in order of time; it depends on the arguments alone.

    Of the standard programme only ``nights`` are observed (MAGIC dates; all if None), ``extra_nights`` besides it;
    ``duration_s`` is the length of each run. Raises ConfigError when two runs would overlap, OutOfRangeError when a
    field never rises through its range at night.
    """
    chosen = None if nights is None else tuple(sorted(set(nights)))
    return _programme(seed, chosen, tuple(extra_nights), float(duration_s))


@lru_cache(maxsize=8)
def _programme(
    seed: int, nights: tuple[date, ...] | None, extra_nights: tuple[Observation, ...], duration_s: float
) -> tuple[RunPlan, ...]:
    if duration_s <= 0.0:
        raise ConfigError(f"A run must take time; duration_s is {duration_s}.")
    by_night: dict[date, list[Observation]] = {}
    for observation in standard_programme():
        if nights is None or observation.date in nights:
            by_night.setdefault(observation.date, []).append(observation)
    if nights is not None and (unknown_nights := sorted(set(nights) - set(by_night))):
        raise ConfigError(f"The programme has no night to {unknown_nights[0]}.")
    standard = set(by_night)
    for observation in extra_nights:
        if observation.date in standard:
            raise ConfigError(
                f"The night to {observation.date} is already in the programme; its runs cannot change.",
                hint="Observe the further runs in another night.",
            )
        by_night.setdefault(observation.date, []).append(observation)
    for night, observations in by_night.items():
        if len(observations) > MAX_RUNS_PER_NIGHT:
            raise ConfigError(f"The night to {night} has {len(observations)} runs; numbers: {MAX_RUNS_PER_NIGHT}.")
    blocks = [block for night in sorted(by_night) for block in _blocks(seed, by_night[night])]
    runs = _laid_out(blocks, duration_s)
    plans = _plans(runs, duration_s, standard)
    for before, after in pairwise(plans):
        if before.start_mjd + before.duration_s / 86400.0 > after.start_mjd:
            raise ConfigError(
                f"Runs {before.run} ({before.source}) and {after.run} ({after.source}) of {after.date} overlap.",
                hint="Move one of them to another range of zenith distance or another night.",
            )
    return plans


@dataclass(frozen=True)
class _Block:
    """Runs of one field that follow each other in a night, around the middle of one range of zenith distance."""

    observations: tuple[Observation, ...]
    jitter_s: int

    @property
    def first(self) -> Observation:
        """The first of the block's runs."""
        return self.observations[0]

    @property
    def middle_zd_deg(self) -> float:
        """Zenith distance around which the runs lie."""
        return 0.5 * (self.first.zd_low_deg + self.first.zd_high_deg)


def first_run_of(night: date) -> int:
    """Return the first stereo run number of a night, on the scale of the public run numbers of late 2020."""
    return _ANCHOR_RUN + round(_RUNS_PER_NIGHT * (night - _ANCHOR_DATE) / timedelta(days=1))


def _run_number(night: date, position: int, mode: str) -> int:
    """Return the number of the n-th run of a night; runs of M1 alone have numbers of their own (MARS: 1xxxxxxx)."""
    number = first_run_of(night) + position
    return number if mode != MONO else number + _MONO_OFFSET


def _blocks(seed: int, observations: list[Observation]) -> list[_Block]:
    """Return a night's blocks: runs of a field that share a range of zenith distance share its middle."""
    night = observations[0].date
    jitter_s = sky.stream(seed, night.toordinal(), "programme").integers(-60, 61, size=len(observations))
    groups: dict[tuple[str, float, float], list[Observation]] = {}
    for observation in observations:
        key = (observation.source, observation.zd_low_deg, observation.zd_high_deg)
        groups.setdefault(key, []).append(observation)
    return [_Block(tuple(members), int(jitter_s[k])) for k, members in enumerate(groups.values())]


def _laid_out(blocks: list[_Block], duration_s: float) -> list[tuple[float, Observation]]:
    """Return every run with its start (MJD), in order of time: a block's runs one after the other around its middle."""
    if not blocks:
        return []
    fields = [sky.field(block.first.source) for block in blocks]
    middles = _rising_through(
        np.array([field.ra_deg for field in fields]),
        np.array([field.dec_deg for field in fields]),
        [block.first.date for block in blocks],
        np.array([block.middle_zd_deg for block in blocks]),
    )
    timed: list[tuple[float, Observation]] = []
    for block, middle in zip(blocks, middles, strict=True):
        step = (duration_s + GAP_S) / 86400.0
        begin = middle + block.jitter_s / 86400.0 - 0.5 * len(block.observations) * step
        timed += [(begin + i * step, observation) for i, observation in enumerate(block.observations)]
    return sorted(timed, key=lambda pair: pair[0])


def _rising_through(ra_deg: Floats, dec_deg: Floats, nights: list[date], zd_deg: Floats) -> Floats:
    """Return the times (MJD) at which positions rise through zenith distances in the nights that end on given dates.

    A spherical triangle gives the hour angle; two steps with the exact positions take care of the rest.
    """
    latitude, dec = np.radians(LATITUDE_DEG), np.radians(dec_deg)
    cosine = (np.cos(np.radians(zd_deg)) - np.sin(latitude) * np.sin(dec)) / (np.cos(latitude) * np.cos(dec))
    midnight = np.array([night.toordinal() - _MJD_OF_ORDINAL for night in nights], dtype=np.float64)
    sidereal_deg = ra_deg - np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0)))
    # Sidereal time at 0 h UTC; a day of it is shorter than one of UTC by this ratio.
    at_midnight_deg = 280.46062 + 360.98564737 * (midnight - 51544.5) + LONGITUDE_DEG
    after = np.mod(sidereal_deg - at_midnight_deg + 180.0, 360.0) - 180.0
    mjd = midnight + after / 360.98564737
    for _ in range(2):
        zd, az = altaz_of(ra_deg, dec_deg, mjd)
        speed = -360.98564737 * np.cos(latitude) * np.sin(np.radians(az))
        mjd = mjd + (zd_deg - zd) / speed
    hours = 24.0 * (mjd - midnight)
    wrong = (np.abs(cosine) > 1.0) | (hours < _NIGHT_H[0]) | (hours > _NIGHT_H[1])
    if wrong.any():
        i = int(np.flatnonzero(wrong)[0])
        raise OutOfRangeError(
            f"The field at RA {ra_deg[i]:.3f}°, Dec {dec_deg[i]:.3f}° does not rise through {zd_deg[i]}° of zenith "
            f"distance in the night to {nights[i]}."
        )
    return mjd


def _plans(runs: list[tuple[float, Observation]], duration_s: float, standard: Collection[date]) -> tuple[RunPlan, ...]:
    """Return the runs with their numbers and pointings."""
    if not runs:
        return ()
    day, second = np.divmod(np.round(np.array([start for start, _ in runs]) * 86400.0).astype(np.int64), 86400)
    places = [_pointing(observation) for _, observation in runs]
    ra_deg, dec_deg = np.array(places).T
    mjd = day[:, None] + (second[:, None] + duration_s * np.array([0.0, 0.5, 1.0])) / 86400.0
    zd, az = altaz_of(ra_deg[:, None], dec_deg[:, None], mjd)
    simpson = np.array([1.0, 4.0, 1.0]) / 6.0
    position: dict[date, int] = {}
    plans = []
    for i, (_, observation) in enumerate(runs):
        night, field = observation.date, sky.field(observation.source)
        position[night] = position.get(night, -1) + 1
        plans.append(
            RunPlan(
                date=night,
                run=_run_number(night, position[night], observation.mode),
                source=field.name,
                source_ra_deg=field.ra_deg,
                source_dec_deg=field.dec_deg,
                wobble=Wobble(WOBBLE_OFFSET_DEG, observation.wobble_angle_deg),
                pointing_ra_deg=float(ra_deg[i]),
                pointing_dec_deg=float(dec_deg[i]),
                zd_low_deg=observation.zd_low_deg,
                zd_high_deg=observation.zd_high_deg,
                start_day=int(day[i]),
                start_s=int(second[i]),
                duration_s=duration_s,
                zd_deg=float(zd[i] @ simpson),
                az_deg=float(az[i] @ simpson),
                further=night not in standard,
                hv=observation.hv,
                filter=observation.filter,
                mode=observation.mode,
            )
        )
    return tuple(plans)


def _pointing(observation: Observation) -> tuple[float, float]:
    field = sky.field(observation.source)
    return wobble_position(field.ra_deg, field.dec_deg, WOBBLE_OFFSET_DEG, observation.wobble_angle_deg)
