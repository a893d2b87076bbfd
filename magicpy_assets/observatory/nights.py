"""Runs as files: the showers of a run, seen by both telescopes, read out and written as calibrated files.

A run is made in one go, all files of both telescopes together, and is the same every time for the same seed. Hadrons
are taken from the event library without replacement, each run its own slice of a shard's sky time; the gamma rays of a
source that shines are simulated for the run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
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
from magicpy_assets.observatory import library, sky
from magicpy_assets.observatory.daq import TICKS_PER_S, Recording, record
from magicpy_assets.observatory.gammas import gamma_rays
from magicpy_assets.observatory.library import Shard
from magicpy_assets.observatory.lidar import laser_columns
from magicpy_assets.observatory.programme import RunPlan
from magicpy_assets.observatory.showers import ShowerImages
from magicpy_assets.observatory.telescopes import N_SLICES, SAMPLING_MHZ, expose, noise_at, pedestal_events
from magicpy_assets.science.camera import N_PIXELS

Floats = NDArray[np.float32]

DRIVE_INTERVAL_S = 1.0
PEDESTALS_PER_UPDATE = 500
EVENTS_PER_BASKET = 1000
N_BAD_PIXELS = 6
_TICKS_PER_MS = TICKS_PER_S // 1000
_NS_PER_TICK = 100
_MARS_DAY_ENDS_S = 13 * 3600
"""MARS counts the hours of a day from -11 to 13, so that a night has one day (MTime of the public class library)."""


@dataclass(frozen=True)
class _Taken:
    """A run as recorded: the readout's events, and their charges (phe) and times (slices), (n, 1039) per telescope."""

    plan: RunPlan
    recording: Recording
    charge_phe: tuple[Floats, Floats]
    time_slices: tuple[Floats, Floats]


def hadron_shard(plan: RunPlan) -> Shard:
    """Return the shard of the event library from which a run's hadrons are taken."""
    return library.find(use=sky.field(plan.source).library, zd_deg=plan.zd_deg)


def hadron_slice_s(plan: RunPlan, plans: Sequence[RunPlan]) -> tuple[float, float]:
    """Return which slice (s) of its shard's sky time a run takes: the runs of a shard, one after the other.

    Runs of further nights come after all of the standard programme, so that a further night changes no other.
    """
    shard = hadron_shard(plan).name
    before = (other for other in plans if (other.further, other.run) < (plan.further, plan.run))
    begin = sum(other.duration_s for other in before if hadron_shard(other).name == shard)
    return begin, begin + plan.duration_s


def make_run(plan: RunPlan, plans: Sequence[RunPlan], seed: int, folder: Path) -> None:
    """Write all calibrated files of a run into a folder.

    Parameters
    ----------
    plan, plans
        The run, and the whole programme it belongs to.
    seed
        The observatory's seed.

    Raises
    ------
    MissingInputError, InputError
        If the event library has no shard for the run or not enough sky time in it.
    """
    taken = _take(plan, plans, seed)
    for telescope in (1, 2):
        for subrun in range(1, plan.subruns + 1):
            _write(folder, taken, telescope, subrun, seed)


def bad_pixels(seed: int, telescope: int) -> NDArray[np.bool_]:
    """Return the pixels (1039,) of a telescope's camera that are broken in this observatory; they hold no charge."""
    broken = np.zeros(N_PIXELS, dtype=np.bool_)
    broken[sky.stream(seed, telescope, "broken pixels").choice(N_PIXELS, N_BAD_PIXELS, replace=False)] = True
    return broken


def _showers(plan: RunPlan, plans: Sequence[RunPlan], seed: int) -> tuple[ShowerImages, NDArray[np.int64]]:
    """Return everything that lights both cameras during a run, and when (ticks since its start)."""
    shard = hadron_shard(plan)
    begin_s, end_s = hadron_slice_s(plan, plans)
    hadrons, hadron_s = library.sky_slice(shard, begin_s, end_s)
    like = library.find(use="mc_train", zenith=shard.zenith)
    gammas, gamma_s = gamma_rays(plan, sky.field(plan.source), seed, like)
    images = ShowerImages.joined([hadrons, gammas])
    seconds = np.concatenate([hadron_s - begin_s, gamma_s])
    order = np.argsort(seconds, kind="stable")
    return images.take(order), np.floor(seconds[order] * TICKS_PER_S).astype(np.int64)


def _take(plan: RunPlan, plans: Sequence[RunPlan], seed: int) -> _Taken:
    """Take a run's data: light, noise, trigger, readout; broken pixels emptied."""
    images, ticks = _showers(plan, plans, seed)
    noise = noise_at(sky.nsb_of_run(seed, plan.date, plan.run))
    charge, time, triggered = expose(images, noise, sky.stream(seed, plan.run, "noise"))
    stereo = np.flatnonzero(triggered.all(axis=1))
    phase = float(sky.stream(seed, plan.run, "pedestal clock").uniform())
    recording = record(ticks[stereo], plan.duration_s, plan.subruns, phase)
    pedestal = recording.is_pedestal
    charges, times = [], []
    for telescope in (1, 2):
        q = np.empty((len(pedestal), N_PIXELS), dtype=np.float32)
        t = np.empty_like(q)
        of_event = stereo[recording.source[~pedestal]]
        q[~pedestal], t[~pedestal] = charge[of_event, telescope - 1], time[of_event, telescope - 1]
        rng = sky.stream(seed, plan.run, f"pedestals of M{telescope}")
        q[pedestal], t[pedestal] = pedestal_events(int(pedestal.sum()), noise, rng)
        broken = bad_pixels(seed, telescope)
        q[:, broken] = t[:, broken] = 0.0
        charges.append(q)
        times.append(t)
    return _Taken(plan, recording, (charges[0], charges[1]), (times[0], times[1]))


def _write(folder: Path, taken: _Taken, telescope: int, subrun: int, seed: int) -> None:
    plan = taken.plan
    here = np.flatnonzero(taken.recording.subrun == subrun)
    shard = hadron_shard(plan)
    info = RunInfo(
        run=plan.run,
        subrun=subrun,
        telescope=telescope,
        run_type=RUN_TYPE_DATA,
        source_name=plan.source,
        source_ra_deg=plan.source_ra_deg,
        source_dec_deg=plan.source_dec_deg,
        observation_mode="Wobble",
        project="Simulated",
        sampling_mhz=SAMPLING_MHZ,
        n_samples=N_SLICES,
        cards=library.cards(shard) | {"SEED": str(seed)},
    )
    night, seconds = _clock(plan)
    conditions = sky.conditions(plan.date)
    write_calibrated(
        folder / plan.file(telescope, subrun).name,
        info,
        _chunks(taken, telescope, here),
        bad_pixels=bad_pixels(seed, telescope),
        pedestals=_pedestal_updates(taken, telescope, here),
        drive=_drive(plan, taken.recording.ticks[here]),
        laser=laser_columns(night, seconds, plan.duration_s, plan.zd_deg, plan.az_deg, conditions.transmission_9km),
    )


def _clock(plan: RunPlan) -> tuple[int, int]:
    """Return the day of a night in MARS's count and the start of the run in seconds of it: negative before midnight."""
    night = plan.start_day + (1 if plan.start_s > _MARS_DAY_ENDS_S else 0)
    return night, plan.start_s - 86_400 * (night - plan.start_day)


def _chunks(taken: _Taken, telescope: int, here: NDArray[np.int64]) -> Iterator[EventChunk]:
    recording = taken.recording
    night, seconds = _clock(taken.plan)
    for first in range(0, len(here), EVENTS_PER_BASKET):
        these = here[first : first + EVENTS_PER_BASKET]
        ticks = seconds * TICKS_PER_S + recording.ticks[these]
        yield EventChunk(
            charge_phe=taken.charge_phe[telescope - 1][these],
            time_slices=taken.time_slices[telescope - 1][these],
            event={
                "stereo_number": recording.stereo_number[these],
                "daq_number": recording.daq_number[these],
                "trigger": recording.pattern[these],
                "time_diff_s": recording.time_diff_s[these],
                "mjd_day": np.full(len(these), night),
                "milliseconds": ticks // _TICKS_PER_MS,
                "nanoseconds": ticks % _TICKS_PER_MS * _NS_PER_TICK,
            },
        )


def _pedestal_updates(taken: _Taken, telescope: int, here: NDArray[np.int64]) -> Pedestals:
    """Measure the pedestals of a subrun from its pedestal events, several hundred at a time."""
    events = here[taken.recording.is_pedestal[here]]
    groups = np.array_split(events, max(1, len(events) // PEDESTALS_PER_UPDATE))
    charge = taken.charge_phe[telescope - 1]
    ends = np.array([taken.recording.ticks[group[-1]] for group in groups])
    return Pedestals(
        mjd=taken.plan.start_mjd + ends / TICKS_PER_S / 86_400.0,
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
