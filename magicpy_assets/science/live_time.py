"""Good time intervals and dead time from the times of events."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from magicpy_assets.core.errors import InputError

Floats = NDArray[np.float64]

DEAD_TIME_S = 26e-6
"""Dead time per event of the MAGIC readout (deadTimePerEvent of the standard run cards)."""
SECONDS_PER_DAY = 86400.0
GAP_IN_MEAN_INTERVALS = 30.0
SHORTEST_GAP_S = 1.0
CLOSURE_TOLERANCE = 0.03
"""How far the effective time may be off because the rate of triggers changes slowly during a run."""
FEWEST_STEPS = 100


def mjd_of(table: Mapping[str, Any], suffix: str = "_1") -> Floats:
    """Return the times of events (MJD, n) from the columns of MARS files; those of a telescope end in `suffix`."""
    day, milliseconds, nanoseconds = (
        np.asarray(table[f"{name}{suffix}"], dtype=np.float64) for name in ("mjd_day", "milliseconds", "nanoseconds")
    )
    return np.asarray(day + (milliseconds * 1e-3 + nanoseconds * 1e-9) / SECONDS_PER_DAY)


@dataclass(frozen=True)
class LiveTime:
    """On time of a run and how much of it was live.

    `intervals_mjd` has shape (k, 2). `trigger_rate_hz` is the rate of recorded triggers behind the dead time, `source`
    says what it was measured from. `consistency` is the ratio of two measures of that rate (1 when they agree, or when
    there is only one). `effective_time_s` and its statistical error are measured without the intervals, see
    :func:`effective_time`.
    """

    intervals_mjd: Floats
    dead_fraction: float
    trigger_rate_hz: float
    source: str
    consistency: float
    effective_time_s: float = math.nan
    effective_error_s: float = math.nan

    @property
    def closure(self) -> float:
        """Effective time from the differences of event times over the live time; not a number with few events."""
        return self.effective_time_s / self.live_time_s if self.live_time_s > 0 else math.nan

    @property
    def closes(self) -> bool:
        """Whether the two agree within 3 % and four standard deviations; also if it cannot be told."""
        if not math.isfinite(self.closure):
            return True
        return abs(self.closure - 1) <= CLOSURE_TOLERANCE + 4 * self.effective_error_s / self.live_time_s

    @property
    def on_time_s(self) -> float:
        """Sum of the good time intervals."""
        return float(np.diff(self.intervals_mjd, axis=1).sum() * SECONDS_PER_DAY)

    @property
    def live_time_s(self) -> float:
        """On time less dead time."""
        return self.on_time_s * (1 - self.dead_fraction)


def good_time_intervals(mjd: Floats) -> Floats:
    """Intervals (k, 2) in MJD from the first to the last event, split where no event came for long.

    Long is 30 mean intervals, at least 1 s: at a steady rate such a gap is not due to chance (e^-30).

    Raises
    ------
    InputError
        If there are fewer than two events with a time.
    """
    times = np.sort(mjd[np.isfinite(mjd)])
    if times.size < 2:
        raise InputError(f"{times.size} events with a time: the length of the observation is unknown")
    steps = np.diff(times)
    usual = np.median(steps) / np.log(2)
    gap = max(GAP_IN_MEAN_INTERVALS * usual, SHORTEST_GAP_S / SECONDS_PER_DAY)
    breaks = np.flatnonzero(steps > gap)
    starts, stops = np.r_[times[0], times[breaks + 1]], np.r_[times[breaks], times[-1]]
    real = stops > starts
    return np.column_stack([starts[real], stops[real]])


def measure(
    mjd: Floats, time_since_trigger_s: Floats | None, dead_time_s: float = DEAD_TIME_S, n_triggers: int | None = None
) -> LiveTime:
    """Live time of a run from its events.

    A readout that is blind for τ after each recorded trigger is live for 1 - r τ of the time, r being the rate of
    recorded triggers. That rate is `n_triggers` over the on time if the number is known. `time_since_trigger_s`, each
    event's distance from the trigger before it, whether or not that one is among these events, gives it a second time
    (1 / mean), as a check, or as the only measure. Without either the events themselves are counted.
    """
    intervals = good_time_intervals(mjd)
    on_time_s = float(np.diff(intervals, axis=1).sum() * SECONDS_PER_DAY)
    rates: dict[str, float] = {}
    if n_triggers:
        rates["numbers of the readout"] = n_triggers / on_time_s
    since = np.array([]) if time_since_trigger_s is None else _within_runs(time_since_trigger_s, dead_time_s)
    if since.size >= max(2, 0.5 * len(mjd)):
        rates["time differences"] = 1 / float(since.mean())
    rates["counted events"] = max(len(mjd) - len(intervals), 1) / on_time_s
    (source, rate_hz), *others = rates.items()
    consistency = rate_hz / others[0][1] if len(rates) == 3 else 1.0
    dead_fraction = min(rate_hz * dead_time_s, 1.0)
    return LiveTime(intervals, dead_fraction, rate_hz, source, consistency, *effective_time(mjd, dead_time_s))


def effective_time(mjd: Floats, dead_time_s: float = DEAD_TIME_S) -> tuple[float, float]:
    """Effective time (s) of a run and its error from the differences of its event times alone: events over true rate.

    Differences between events of a steady source fall exponentially with the true rate, whatever is lost to dead time
    and pauses. The rate is that of the tail, from half of the mean difference on, where nothing is lost. Missing
    or doubled events and wrong clocks change the tail and the count in different ways, and so show.
    Not a number with fewer than 100 differences.
    """
    steps = np.diff(np.sort(mjd[np.isfinite(mjd)])) * SECONDS_PER_DAY
    usual = float(np.median(steps)) / math.log(2) if steps.size else 0.0
    steps = steps[steps < max(GAP_IN_MEAN_INTERVALS * usual, SHORTEST_GAP_S)]
    if steps.size < FEWEST_STEPS:
        return math.nan, math.nan
    begin = max(dead_time_s, 0.5 * float(steps.mean()))
    tail = steps[steps > begin] - begin
    if tail.size < 2:
        return math.nan, math.nan
    time_s = len(steps) * float(tail.mean())
    return time_s, time_s / math.sqrt(tail.size)


def _within_runs(time_since_trigger_s: Floats, dead_time_s: float) -> Floats:
    """Time differences that can be real: not shorter than the dead time, not across a pause."""
    values = time_since_trigger_s[np.isfinite(time_since_trigger_s)]
    values = values[values >= dead_time_s]
    if values.size == 0:
        return values
    longest = max(SHORTEST_GAP_S, GAP_IN_MEAN_INTERVALS * float(np.median(values)))
    return np.asarray(values[values < longest], dtype=np.float64)
