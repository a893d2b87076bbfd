"""Added noise: dark pedestals reach those of moonlight, and pixels with light look as they would under the moon."""

from dataclasses import replace

import numpy as np
import pytest

from magicpy_assets.core import moons
from magicpy_assets.observatory.telescopes import noise_at, pedestal_events
from magicpy_assets.science.camera import N_PIXELS
from magicpy_assets.science.cleaning import CleaningCuts
from magicpy_assets.science.noise import AddedNoise, empty_events

N_EVENTS = 300
DARK_PHE = 2.0, 1.0
N_LIT, LIT_SLICE = 40, -100.0
N_VALUES = N_EVENTS * N_PIXELS


PLAIN = {"use_sum": False, "use_time": False}


TARGETS = [moons.target(moon) for moon in moons.ALL[1:]]
STEPS = [(moons.cleaning(nsb), row) for nsb in (0.5, 2.5) for row in TARGETS if row.nsb_low > nsb]


@pytest.mark.parametrize(("before", "row"), STEPS, ids=lambda row: f"nsb{row.nsb_low:g}")
def test_empty_events_with_noise_are_like_those_of_brighter_skies(before, row):
    """RMS and mean within 2 %, and as many pixels above the levels, and kept, as statistics allow."""
    good = np.ones(N_PIXELS, dtype=bool)
    wanted, now = (_noise(item) for item in (row, before))
    charge, time = pedestal_events(N_EVENTS, now, np.random.default_rng(1))
    spread = np.sqrt(row.pedestal_rms_phe**2 - before.pedestal_rms_phe**2)
    bias = row.pedestal_mean_phe - before.pedestal_mean_phe
    AddedNoise(bias, spread, (now.mean_phe, now.rms_phe), (2,)).add(charge, time)
    real = pedestal_events(N_EVENTS, wanted, np.random.default_rng(3))
    for more in ({}, PLAIN):
        cuts = CleaningCuts(row.level1_phe, row.level2_phe, **more)
        got, true = empty_events(charge, time, good, cuts), empty_events(*real, good, cuts)
        assert got.rms_phe == pytest.approx(row.pedestal_rms_phe, rel=0.02)
        assert got.mean_phe == pytest.approx(row.pedestal_mean_phe, rel=0.02)
        for share, known in zip((*got.above, got.kept), (*true.above, true.kept), strict=True):
            assert abs(share - known) < 4 * np.hypot(got.error(share), true.error(known))
    assert got.above[0] > 0


def test_without_the_noise_they_are_not():
    """The test above can fail: dark events cleaned for a bright sky keep nothing of the noise."""
    row, good = moons.target(moons.StrongMoon), np.ones(N_PIXELS, dtype=bool)
    cuts = CleaningCuts(row.level1_phe, row.level2_phe, **PLAIN)
    dark = empty_events(*pedestal_events(N_EVENTS, noise_at(1.0), np.random.default_rng(1)), good, cuts)
    real = empty_events(*pedestal_events(N_EVENTS, _noise(row), np.random.default_rng(3)), good, cuts)
    assert real.above[0] - dark.above[0] > 4 * np.hypot(real.error(real.above[0]), dark.error(dark.above[0]))


def test_no_events_are_no_error():
    cuts = CleaningCuts()
    none = empty_events(
        np.empty((0, N_PIXELS), np.float32), np.empty((0, N_PIXELS), np.float32), np.ones(1039, bool), cuts
    )
    assert none.pixels == 0
    assert np.isnan(none.rms_phe)


def _noise(row):
    return replace(noise_at(1.0), mean_phe=row.pedestal_mean_phe, rms_phe=row.pedestal_rms_phe)


@pytest.mark.parametrize("light_phe", [3.0, 5.0, 8.0, 15.0, 60.0])
@pytest.mark.parametrize("row", TARGETS, ids=lambda row: f"nsb{row.nsb_low:g}")
def test_pixels_with_light_are_like_those_under_a_brighter_sky(light_phe, row):
    """Dark pixels brought to a level have the mean charge of pixels read out at that level, whatever their light."""
    dark, bright = noise_at(1.0), noise_at(moons.middle_nsb(row), row.hv)
    now, wanted = (dark.mean_phe, dark.rms_phe), (bright.mean_phe, bright.rms_phe)
    charge, time = _read_out(light_phe, dark, np.random.default_rng(1))
    AddedNoise(wanted[0] - now[0], np.sqrt(wanted[1] ** 2 - now[1] ** 2), now, (2,)).add(charge, time)
    real, real_time = _read_out(light_phe, bright, np.random.default_rng(3))
    got, true = charge[:, :N_LIT].mean(dtype=np.float64), real[:, :N_LIT].mean(dtype=np.float64)
    assert got == pytest.approx(true, abs=0.15 * bright.rms_phe)
    assert (time[:, :N_LIT] == LIT_SLICE).mean() == pytest.approx((real_time[:, :N_LIT] == LIT_SLICE).mean(), abs=0.08)


def _read_out(light_phe, noise, rng):
    """Charge and time where the first pixels have light: the larger of light with noise and of a window's noise."""
    charge, time = pedestal_events(N_EVENTS, noise, rng)
    lit = light_phe + noise.fixed_phe * rng.standard_normal(charge.shape)
    wins = (lit > charge) & (np.arange(N_PIXELS) < N_LIT)
    return np.where(wins, lit, charge).astype(np.float32), np.where(wins, LIT_SLICE, time).astype(np.float32)


def test_nothing_to_add_changes_nothing():
    charge, time = pedestal_events(2, noise_at(1.0), np.random.default_rng(4))
    before = charge.copy(), time.copy()
    AddedNoise(0.0, 0.0, DARK_PHE, (5,)).add(charge, time)
    np.testing.assert_array_equal(charge, before[0])
    np.testing.assert_array_equal(time, before[1])


def test_the_same_seed_adds_the_same_noise_to_every_pixel_its_own():
    results = []
    for seed in (6, 6, 7):
        charge = np.zeros((3, N_PIXELS), dtype=np.float32)
        AddedNoise(1.0, 1.0, DARK_PHE, (seed,)).add(charge, charge.copy())
        results.append(charge)
    np.testing.assert_array_equal(results[0], results[1])
    assert (results[0] != results[2]).all(axis=1).any()
    correlation = np.corrcoef(results[0])
    assert np.abs(correlation[np.triu_indices(3, 1)]).max() < 5 / np.sqrt(N_PIXELS)
    assert charge.dtype == np.float32
