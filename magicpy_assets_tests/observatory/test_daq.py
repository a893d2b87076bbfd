"""The readout: dead time, numbers, pedestal clock."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from magicpy_assets.observatory.daq import DEAD_TIME_TICKS, TICKS_PER_S, record


def lost_one_by_one(ticks: np.ndarray) -> np.ndarray:
    free, last = [], -DEAD_TIME_TICKS
    for tick in ticks:
        free.append(tick - last >= DEAD_TIME_TICKS)
        if free[-1]:
            last = tick
    return np.array(free, dtype=bool)


@given(st.lists(st.integers(0, 3_000), max_size=60))
def test_triggers_during_the_dead_time_are_lost_and_no_others(ticks):
    recording = record(np.array(ticks, dtype=np.int64), 1e-3, 1, phase=0.9)
    expected = np.sort(np.array(ticks, dtype=np.int64))
    np.testing.assert_array_equal(recording.ticks, expected[lost_one_by_one(expected)])


def test_numbers_times_and_pedestals_of_a_run():
    rng = np.random.default_rng(1)
    triggers = rng.integers(0, 10 * TICKS_PER_S, 600)
    recording = record(triggers, 10.0, 2, phase=0.3)
    pedestal = recording.is_pedestal
    assert pedestal.sum() in range(249, 251)  # 25 Hz; one may fall into the dead time of a shower
    assert np.all(np.diff(recording.ticks[pedestal]) % (TICKS_PER_S // 25) == 0)
    assert set(recording.pattern[pedestal]) == {8}
    assert set(recording.pattern[~pedestal]) == {128}

    assert np.all(np.diff(recording.ticks) >= DEAD_TIME_TICKS)
    np.testing.assert_allclose(np.cumsum(recording.time_diff_s), recording.ticks / TICKS_PER_S, atol=1e-9)
    np.testing.assert_array_equal(recording.ticks[~pedestal], triggers[recording.source[~pedestal]])

    np.testing.assert_array_equal(recording.stereo_number[~pedestal], np.arange(1, (~pedestal).sum() + 1))
    assert not recording.stereo_number[pedestal].any()
    for subrun in (1, 2):
        here = recording.subrun == subrun
        np.testing.assert_array_equal(recording.daq_number[here], np.arange(1, here.sum() + 1))
    assert abs((recording.subrun == 1).sum() - (recording.subrun == 2).sum()) <= 1


def test_the_fraction_of_lost_triggers_is_that_of_the_dead_time():
    rng = np.random.default_rng(2)
    rate_hz, duration_s = 2000.0, 20.0
    triggers = rng.integers(0, int(duration_s * TICKS_PER_S), rng.poisson(rate_hz * duration_s))
    recording = record(triggers, duration_s, 1, phase=0.0)
    recorded = (~recording.is_pedestal).sum()
    expected = len(triggers) / (1.0 + (rate_hz + 25.0) * 26e-6)
    assert abs(recorded - expected) < 4.0 * np.sqrt(len(triggers) - expected)
