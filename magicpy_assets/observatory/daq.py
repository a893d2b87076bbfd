"""The readout: which triggers are recorded, with what numbers and times. Arrays of times in, arrays of numbers out.

Both telescopes record the same stereo triggers and, at the same moments, the interleaved pedestal triggers; a trigger
that comes while the readout is busy with the one before is lost in both.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

TICKS_PER_S = 10_000_000
"""Times are whole multiples of 100 ns, which public readers keep exactly."""

DEAD_TIME_TICKS = 260
"""The readout is busy for 26 µs after each recorded event (public users' run cards, ``deadTime``)."""

PEDESTAL_RATE_HZ = 25.0
STEREO_PATTERN, MONO_PATTERN, PEDESTAL_PATTERN = 128, 1, 8


@dataclass(frozen=True)
class Recording:
    """The events of a run in the order of time; arrays of one length n.

    Attributes
    ----------
    ticks
        Time since the start of the run in units of 100 ns (int64).
    source
        Index of the trigger's event among those offered, -1 for a pedestal (int64).
    stereo_number
        Number given by the stereo trigger, from 1 over the whole run; 0 for a pedestal, and where there was no stereo
        trigger (int64).
    subrun, daq_number
        Subrun, from 1, and the number of the event in it, from 1 (int64).
    time_diff_s
        Seconds since the event before; for the first one since the start of the run (float64).
    """

    ticks: NDArray[np.int64]
    source: NDArray[np.int64]
    stereo_number: NDArray[np.int64]
    subrun: NDArray[np.int64]
    daq_number: NDArray[np.int64]
    time_diff_s: NDArray[np.float64]

    @property
    def is_pedestal(self) -> NDArray[np.bool_]:
        """Which events are interleaved pedestals."""
        return np.asarray(self.source < 0)

    @property
    def pattern(self) -> NDArray[np.uint8]:
        """Trigger pattern of every event: 128 stereo, 1 of one telescope alone, 8 pedestal."""
        shower = np.where(self.stereo_number > 0, STEREO_PATTERN, MONO_PATTERN)
        return np.where(self.is_pedestal, PEDESTAL_PATTERN, shower).astype(np.uint8)

    def part(self, subrun: int) -> Recording:
        """Return what was recorded in one subrun."""
        here = self.subrun == subrun
        return Recording(**{item.name: getattr(self, item.name)[here] for item in fields(self)})


def record(
    trigger_ticks: NDArray[np.int64], duration_s: float, n_subruns: int, phase: float, *, stereo: bool = True
) -> Recording:
    """Run the readout over one run.

    Parameters
    ----------
    trigger_ticks
        Times of the triggers since the start of the run, in any order (units of 100 ns).
    duration_s
        Length of the run in s.
    n_subruns
        Into how many files the run is cut, of equal numbers of events up to one.
    phase
        Phase of the pedestal clock, 0 to 1.
    stereo
        Whether the triggers are those of both telescopes, which are numbered.
    """
    period = TICKS_PER_S / PEDESTAL_RATE_HZ
    pedestals = np.arange(phase * period, duration_s * TICKS_PER_S, period).astype(np.int64)
    ticks = np.concatenate([trigger_ticks, pedestals])
    source = np.concatenate([np.arange(len(trigger_ticks)), np.full(len(pedestals), -1)])
    order = np.argsort(ticks, kind="stable")
    ticks, source = ticks[order], source[order]
    recorded = _not_busy(ticks)
    ticks, source = ticks[recorded], source[recorded]
    numbered = (source >= 0) & stereo
    per_subrun = max(1, -(-len(ticks) // n_subruns))
    position = np.arange(len(ticks))
    return Recording(
        ticks=ticks,
        source=source,
        stereo_number=np.where(numbered, np.cumsum(numbered), 0),
        subrun=position // per_subrun + 1,
        daq_number=position % per_subrun + 1,
        time_diff_s=np.diff(ticks, prepend=0) / TICKS_PER_S,
    )


def _not_busy(ticks: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which of the sorted times find the readout free; a lost trigger does not make it busy for longer."""
    free = np.ones(len(ticks), dtype=bool)
    last_recorded = 0
    for i in np.flatnonzero(np.diff(ticks) < DEAD_TIME_TICKS) + 1:
        if free[i - 1]:
            last_recorded = int(ticks[i - 1])
        free[i] = ticks[i] - last_recorded >= DEAD_TIME_TICKS
    return free
