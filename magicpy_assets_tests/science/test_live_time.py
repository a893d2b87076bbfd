"""Good time and dead time from event times."""

import numpy as np
import pytest

from magicpy_assets.core.errors import InputError
from magicpy_assets.science.live_time import good_time_intervals, measure

DEAD_S = 26e-6


def record(rate_hz, seconds, seed, dead_s=DEAD_S):
    """Times (s) of events recorded by a readout that is busy for `dead_s` after each."""
    rng = np.random.default_rng(seed)
    steps = dead_s + rng.exponential(1 / rate_hz, int(1.2 * rate_hz * seconds) + 50)
    times = np.cumsum(steps)
    return times[times < seconds]


def test_live_time_is_that_of_the_readout():
    rate_hz, seconds = 300.0, 400.0
    times = record(rate_hz, seconds, seed=2, dead_s=1e-3)  # a long dead time, so that it can be measured
    found = measure(59000.2 + times / 86400, np.diff(times, prepend=0.0), dead_time_s=1e-3)
    n = len(times)
    assert found.source == "time differences"
    assert found.on_time_s == pytest.approx(seconds, abs=0.1)
    # events over true rate is the live time, with an error of 1/sqrt(n)
    assert found.live_time_s == pytest.approx(n / rate_hz, rel=5 / np.sqrt(n))
    assert found.dead_fraction == pytest.approx(n * 1e-3 / seconds, rel=0.02)


def test_the_trigger_rate_is_seen_though_most_events_were_cut_away():
    times = record(250.0, 200.0, seed=3)
    since = np.diff(times, prepend=0.0)
    kept = np.random.default_rng(1).random(len(times)) < 0.1
    found = measure(59000.2 + times[kept] / 86400, since[kept])
    assert found.trigger_rate_hz == pytest.approx(250.0, rel=5 / np.sqrt(kept.sum()))
    assert found.dead_fraction == pytest.approx(250 * DEAD_S, rel=0.05)


def test_without_time_differences_the_events_are_counted():
    times = record(100.0, 60.0, seed=4)
    found = measure(59000.2 + times / 86400, None)
    assert found.source == "counted events"
    assert found.trigger_rate_hz == pytest.approx(len(times) / 60, rel=0.01)


def test_numbers_of_the_readout_come_first_and_are_checked_with_the_time_differences():
    times = record(100.0, 60.0, seed=5)
    since = np.diff(times, prepend=0.0)
    found = measure(59000.2 + times / 86400, since, n_triggers=len(times))
    assert found.source == "numbers of the readout"
    assert found.consistency == pytest.approx(1.0, abs=5 / np.sqrt(len(times)))
    wrong = measure(59000.2 + times / 86400, since, n_triggers=2 * len(times))
    assert wrong.consistency == pytest.approx(2.0, rel=0.1)
    assert wrong.dead_fraction == pytest.approx(2 * found.dead_fraction)


def test_a_pause_splits_the_good_time():
    times = record(200.0, 100.0, seed=6)
    times = times[(times < 40) | (times > 70)]
    intervals = good_time_intervals(59000.2 + times / 86400)
    lengths = np.diff(intervals, axis=1).ravel() * 86400
    assert lengths == pytest.approx([40, 30], abs=0.2)


def test_a_steady_rate_is_one_interval():
    assert len(good_time_intervals(59000 + record(40.0, 1200.0, seed=7) / 86400)) == 1


def test_one_event_is_no_observation():
    with pytest.raises(InputError, match="1 events with a time"):
        good_time_intervals(np.array([59000.0, np.nan]))


def test_effective_time_is_measured_without_start_and_end():
    rate_hz, seconds = 250.0, 300.0
    times = record(rate_hz, seconds, seed=11, dead_s=1e-3)
    found = measure(59000.2 + times / 86400, np.diff(times, prepend=0.0), dead_time_s=1e-3)
    assert found.effective_time_s == pytest.approx(len(times) / rate_hz, rel=5 / np.sqrt(len(times)))
    assert found.effective_time_s == pytest.approx(found.live_time_s, abs=5 * found.effective_error_s)
    assert found.closes


def test_a_pause_does_not_change_the_effective_time():
    times = record(200.0, 200.0, seed=12)
    kept = (times < 60) | (times > 130)
    found = measure(59000.2 + times[kept] / 86400, None)
    assert found.effective_time_s == pytest.approx(130.0, abs=5 * found.effective_error_s)
    assert found.closes


def test_events_written_twice_or_lost_in_bursts_do_not_close():
    times = record(200.0, 300.0, seed=13)
    doubled = np.sort(np.concatenate([times, times + 2e-4]))
    assert not measure(59000.2 + doubled / 86400, None).closes
    bursts = times[(times % 0.2) < 0.1]
    assert not measure(59000.2 + bursts / 86400, None).closes


def test_few_events_say_nothing_about_the_effective_time():
    found = measure(59000.2 + np.arange(50) / 86400, None)
    assert np.isnan(found.effective_time_s)
    assert found.closes
