"""Runs as files: the showers of a run, seen by both telescopes, read out and written as calibrated files.

A run is the same every time for the same seed. Hadrons are taken from the event library, each run its own slice of a
shard's sky time; the gamma rays of a source that shines are simulated for the run. Charges and times are held for one
subrun at a time: the whole run goes through the trigger first, and what was recorded is exposed again, file by file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from magicpy_assets.formats.calibrated import (
    RUN_TYPE_DATA,
    Drive,
    EventChunk,
    Pedestals,
    RunInfo,
    write_calibrated,
)
from magicpy_assets.formats.calibrated_tables import L3_STANDARD, L3_SUM_TRIGGER
from magicpy_assets.observatory import library, shards, sky
from magicpy_assets.observatory.daq import TICKS_PER_S, Recording, record
from magicpy_assets.observatory.gammas import gamma_rays
from magicpy_assets.observatory.lidar import laser_columns
from magicpy_assets.observatory.run_plans import MONO, STEREO, SUM_TRIGGER, RunPlan
from magicpy_assets.observatory.shards import Shard
from magicpy_assets.observatory.showers import ShowerImages
from magicpy_assets.observatory.telescopes import N_SLICES, SAMPLING_MHZ, Noise, expose, noise_at, pedestal_events
from magicpy_assets.science.camera import N_PIXELS

Floats = NDArray[np.float32]

L3_TABLES = {STEREO: L3_STANDARD, SUM_TRIGGER: L3_SUM_TRIGGER, MONO: None}
DRIVE_INTERVAL_S = 1.0
PEDESTALS_PER_UPDATE = 500
EVENTS_PER_BASKET = 1000
N_BAD_PIXELS = 6
_TICKS_PER_MS = TICKS_PER_S // 1000
_NS_PER_TICK = 100
_MARS_DAY_ENDS_S = 13 * 3600
"""MARS counts the hours of a day from -11 to 13, so that a night has one day (MTime of the public class library)."""


FILTER_TRANSMISSION = 0.5
"""Share of Cherenkov light that the UV-pass filters let through: 40-50 % in the moonlight performance paper
(arXiv:1704.00906), from memory."""
_BATCH = 2048
"""Showers that are exposed together, with random numbers of their own."""


@dataclass(frozen=True)
class Conditions:
    """How well a run could see.

    Attributes
    ----------
    nsb
        Brightness of the sky, in units of a dark one.
    transmission
        Share of the light of a clear night that reaches the cameras: clouds and filters take the rest.
    has_broken_pixels
        Whether those pixels are broken that are so in this observatory.
    """

    nsb: float
    transmission: float = 1.0
    has_broken_pixels: bool = True


def conditions_of(plan: RunPlan, seed: int) -> Conditions:
    """Return the conditions of a run in this observatory."""
    return Conditions(sky.nsb_of_run(seed, plan.date, plan.run), transmission(plan))


@dataclass(frozen=True)
class _Exposure:
    """What the cameras see of the showers of a run, batch by batch; the same at every call."""

    plan: RunPlan
    seed: int
    images: ShowerImages
    noise: Noise
    transmission: float
    has_broken_pixels: bool = True

    def broken(self, telescope: int) -> NDArray[np.bool_]:
        """Return the pixels (1039,) that hold no charge."""
        return bad_pixels(self.seed, telescope) if self.has_broken_pixels else np.zeros(N_PIXELS, dtype=np.bool_)

    def batch(self, k: int) -> tuple[Floats, Floats, NDArray[np.bool_]]:
        """Return charges, times and triggers of the k-th `_BATCH` showers, as `expose` does."""
        these = self.images.take(np.arange(k * _BATCH, min((k + 1) * _BATCH, len(self.images))))
        return expose(these, self.noise, sky.stream(self.seed, self.plan.run, f"noise {k}"), self.transmission)

    def triggered(self) -> NDArray[np.bool_]:
        """Return which showers trigger the telescopes that took part, all of them together."""
        cameras = [telescope - 1 for telescope in self.plan.telescopes]
        parts = [self.batch(k)[2][:, cameras].all(axis=1) for k in range(-(-len(self.images) // _BATCH))]
        return np.concatenate(parts) if parts else np.zeros(0, dtype=np.bool_)

    def of_showers(self, index: NDArray[np.int64]) -> tuple[Floats, Floats]:
        """Return charge and time of showers in rising order, (n, 2, 1039) each."""
        parts = []
        for k in np.unique(index // _BATCH):
            charge, time, _ = self.batch(int(k))
            here = index[index // _BATCH == k] - k * _BATCH
            parts.append((charge[here], time[here]))
        if not parts:
            return np.empty((0, 2, N_PIXELS), dtype=np.float32), np.empty((0, 2, N_PIXELS), dtype=np.float32)
        return np.concatenate([charge for charge, _ in parts]), np.concatenate([time for _, time in parts])


@dataclass(frozen=True)
class _Subrun:
    """One subrun as recorded by one telescope: the readout's events, their charges (phe) and times (slices)."""

    plan: RunPlan
    number: int
    recording: Recording
    charge_phe: Floats
    time_slices: Floats


@lru_cache(maxsize=4096)
def hadron_shard(plan: RunPlan) -> Shard:
    """Return the shard of the event library from which a run's hadrons are taken."""
    return shards.find(use=sky.field(plan.source).library, zd_deg=plan.zd_deg)


def hadron_slice_s(plan: RunPlan, plans: Sequence[RunPlan]) -> tuple[float, float]:
    """Return which slice (s) of its shard's sky time a run takes: the runs of a shard, one after the other.

    Runs of further nights come after all of the standard programme, so that a further night changes no other.
    """
    shard = hadron_shard(plan).name
    before = (other for other in plans if (other.further, other.run) < (plan.further, plan.run))
    begin = sum(other.duration_s for other in before if hadron_shard(other).name == shard)
    return begin, begin + plan.duration_s


def make_run(
    plan: RunPlan,
    plans: Sequence[RunPlan],
    seed: int,
    folder: Path,
    *,
    gain: float = 1.0,
    drive_reports: bool = True,
    field: sky.Field | None = None,
    conditions: Conditions | None = None,
) -> None:
    """Write all calibrated files of a run into a folder.

    Parameters
    ----------
    plan, plans
        The run, and the whole programme it belongs to.
    seed
        The observatory's seed.
    gain
        Factor of all charges, for a calibration that went wrong.
    drive_reports
        Whether the files have any.
    field
        What shines there, if it is not what the sky of this observatory holds: for studies of another truth.
    conditions
        Those of the run, if they are not what they are in this observatory: likewise for studies.

    Raises
    ------
    MissingInputError, InputError
        If the event library has no shard for the run or not enough sky time in it.
    """
    images, ticks = _showers(plan, plans, seed, field)
    found = conditions or conditions_of(plan, seed)
    noise = noise_at(found.nsb, plan.hv, plan.filter)
    exposure = _Exposure(plan, seed, images, noise, found.transmission, found.has_broken_pixels)
    seen = np.flatnonzero(exposure.triggered())
    phase = float(sky.stream(seed, plan.run, "pedestal clock").uniform())
    recording = record(ticks[seen], plan.duration_s, plan.subruns, phase, stereo=plan.stereo)
    for number in range(1, plan.subruns + 1):
        part = recording.part(number)
        charge, time = exposure.of_showers(seen[part.source[~part.is_pedestal]])
        for telescope in plan.telescopes:
            camera = telescope - 1
            subrun = _with_pedestals(exposure, number, part, telescope, charge[:, camera], time[:, camera])
            subrun.charge_phe[:] *= np.float32(gain)
            _write(folder, subrun, exposure, telescope, drive_reports=drive_reports)


def transmission(plan: RunPlan) -> float:
    """Return the share of the light of a clear night that reaches the cameras: clouds and filters take the rest."""
    clear = min(1.0, sky.conditions(plan.date).transmission_9km / sky.CLEAR_TRANSMISSION_9KM)
    return clear * (FILTER_TRANSMISSION if plan.filter == "UV" else 1.0)


def bad_pixels(seed: int, telescope: int) -> NDArray[np.bool_]:
    """Return the pixels (1039,) of a telescope's camera that are broken in this observatory; they hold no charge."""
    broken = np.zeros(N_PIXELS, dtype=np.bool_)
    broken[sky.stream(seed, telescope, "broken pixels").choice(N_PIXELS, N_BAD_PIXELS, replace=False)] = True
    return broken


def _showers(
    plan: RunPlan, plans: Sequence[RunPlan], seed: int, field: sky.Field | None = None
) -> tuple[ShowerImages, NDArray[np.int64]]:
    """Return everything that lights both cameras during a run, and when (ticks since its start)."""
    shard = hadron_shard(plan)
    begin_s, end_s = hadron_slice_s(plan, plans)
    hadrons, hadron_s = library.sky_slice(shard, begin_s, end_s)
    like = shards.find(use="mc_train", zenith=shard.zenith)
    gammas, gamma_s = gamma_rays(plan, field or sky.field(plan.source, plan.date), seed, like)
    images = ShowerImages.joined([hadrons, gammas])
    seconds = np.concatenate([hadron_s - begin_s, gamma_s])
    order = np.argsort(seconds, kind="stable")
    return images.take(order), np.floor(seconds[order] * TICKS_PER_S).astype(np.int64)


def _with_pedestals(
    exposure: _Exposure, number: int, part: Recording, telescope: int, charge: Floats, time: Floats
) -> _Subrun:
    """Put the pedestal events of a subrun between its showers, and empty the broken pixels."""
    pedestal = part.is_pedestal
    q = np.empty((len(pedestal), N_PIXELS), dtype=np.float32)
    t = np.empty_like(q)
    q[~pedestal], t[~pedestal] = charge, time
    rng = sky.stream(exposure.seed, exposure.plan.run, f"pedestals of M{telescope}, subrun {number}")
    q[pedestal], t[pedestal] = pedestal_events(int(pedestal.sum()), exposure.noise, rng)
    broken = exposure.broken(telescope)
    q[:, broken] = t[:, broken] = 0.0
    return _Subrun(exposure.plan, number, part, q, t)


def _write(folder: Path, subrun: _Subrun, exposure: _Exposure, telescope: int, *, drive_reports: bool) -> None:
    plan = subrun.plan
    info = RunInfo(
        run=plan.run,
        subrun=subrun.number,
        telescope=telescope,
        run_type=RUN_TYPE_DATA,
        source_name=plan.source,
        source_ra_deg=plan.source_ra_deg,
        source_dec_deg=plan.source_dec_deg,
        observation_mode="Wobble",
        project="Simulated",
        sampling_mhz=SAMPLING_MHZ,
        n_samples=N_SLICES,
        cards=library.cards(hadron_shard(plan)) | {"SEED": str(exposure.seed)},
    )
    night, seconds = _clock(plan)
    conditions = sky.conditions(plan.date)
    write_calibrated(
        folder / plan.file(telescope, subrun.number).name,
        info,
        _chunks(subrun),
        bad_pixels=exposure.broken(telescope),
        pedestals=_pedestal_updates(subrun),
        drive=_drive(plan, subrun.recording.ticks) if drive_reports else None,
        l3_table=L3_TABLES[plan.mode],
        laser=laser_columns(night, seconds, plan.duration_s, plan.zd_deg, plan.az_deg, conditions.transmission_9km),
    )


def _clock(plan: RunPlan) -> tuple[int, int]:
    """Return the day of a night in MARS's count and the start of the run in seconds of it: negative before midnight."""
    night = plan.start_day + (1 if plan.start_s > _MARS_DAY_ENDS_S else 0)
    return night, plan.start_s - 86_400 * (night - plan.start_day)


def _chunks(subrun: _Subrun) -> Iterator[EventChunk]:
    recording = subrun.recording
    night, seconds = _clock(subrun.plan)
    for first in range(0, len(recording.ticks), EVENTS_PER_BASKET):
        these = slice(first, first + EVENTS_PER_BASKET)
        ticks = seconds * TICKS_PER_S + recording.ticks[these]
        yield EventChunk(
            charge_phe=subrun.charge_phe[these],
            time_slices=subrun.time_slices[these],
            event={
                "stereo_number": recording.stereo_number[these],
                "daq_number": recording.daq_number[these],
                "trigger": recording.pattern[these],
                "time_diff_s": recording.time_diff_s[these],
                "mjd_day": np.full(len(ticks), night),
                "milliseconds": ticks // _TICKS_PER_MS,
                "nanoseconds": ticks % _TICKS_PER_MS * _NS_PER_TICK,
            },
        )


def _pedestal_updates(subrun: _Subrun) -> Pedestals:
    """Measure the pedestals of a subrun from its pedestal events, several hundred at a time."""
    events = np.flatnonzero(subrun.recording.is_pedestal)
    groups = np.array_split(events, max(1, len(events) // PEDESTALS_PER_UPDATE))
    charge = subrun.charge_phe
    ends = np.array([subrun.recording.ticks[group[-1]] for group in groups])
    return Pedestals(
        mjd=subrun.plan.start_mjd + ends / TICKS_PER_S / 86_400.0,
        mean_phe=np.array([charge[group].mean(axis=0) for group in groups], dtype=np.float32),
        rms_phe=np.array([charge[group].std(axis=0) for group in groups], dtype=np.float32),
    )


def _drive(plan: RunPlan, ticks: NDArray[np.int64]) -> Drive:
    """Return the drive's reports from just before to just after a subrun."""
    first, last = ticks[0] / TICKS_PER_S, ticks[-1] / TICKS_PER_S
    reports = np.arange(np.floor(first) - DRIVE_INTERVAL_S, last + 2.0 * DRIVE_INTERVAL_S, DRIVE_INTERVAL_S)
    mjd = plan.start_mjd + reports / 86_400.0
    zd_deg, az_deg = plan.pointing_at(mjd)
    n = len(mjd)
    return Drive(mjd, zd_deg, az_deg, np.full(n, plan.pointing_ra_deg / 15.0), np.full(n, plan.pointing_dec_deg))
