"""Plans of runs: what the observers meant to do, and a run as it was taken.

Which there are is the matter of :mod:`magicpy_assets.observatory.programme`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from magicpy_assets.core.datalevels import Calibrated
from magicpy_assets.core.runs import DataFile, Wobble
from magicpy_assets.science.pointing import altaz_of

Floats = NDArray[np.float64]


SUBRUN_DURATION_S = 112.5
MIN_SUBRUNS = 2
STEREO, SUM_TRIGGER, MONO = "stereo", "sumt", "mono"
"""Modes of a run: both telescopes with the standard trigger, with the sum trigger, or M1 alone."""


@dataclass(frozen=True)
class Observation:
    """What the observers meant to do: one run of a field in a range of zenith distance, rising, at a wobble angle.

    ``hv`` is nominal or reduced, ``filter`` No_Filter or UV, ``mode`` stereo, sumt or mono.
    """

    date: date
    source: str
    zd_low_deg: float
    zd_high_deg: float
    wobble_angle_deg: int
    hv: str = "nominal"
    filter: str = "No_Filter"
    mode: str = STEREO


@dataclass(frozen=True)
class RunPlan:
    """A run as it was taken. Angles in degrees (ICRS; azimuth from north through east); zd and az are the run's means.

    ``start_day`` and ``start_s`` give the start exactly: the Modified Julian Day and whole seconds of UTC in it.
    ``hv`` and ``filter`` are the state of the cameras. ``further`` is true of runs beyond the standard programme.
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
    hv: str = "nominal"
    filter: str = "No_Filter"
    mode: str = STEREO

    @property
    def subruns(self) -> int:
        """Number of files per telescope."""
        return max(MIN_SUBRUNS, round(self.duration_s / SUBRUN_DURATION_S))

    @property
    def stereo(self) -> bool:
        """Whether both telescopes took part."""
        return self.mode != MONO

    @property
    def telescopes(self) -> tuple[int, ...]:
        """The telescopes that took part."""
        return (1, 2) if self.stereo else (1,)

    @property
    def sum_trigger(self) -> str:
        """The sum trigger as central control writes it: Sumt or No_Sumt."""
        return "Sumt" if self.mode == SUM_TRIGGER else "No_Sumt"

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

    def pointing_at(self, mjd: Floats) -> tuple[Floats, Floats]:
        """Return zenith distance and azimuth (deg) of the tracked position at the given times."""
        zd_deg, az_deg = altaz_of(self.pointing_ra_deg, self.pointing_dec_deg, mjd)
        return np.asarray(zd_deg), np.asarray(az_deg)
