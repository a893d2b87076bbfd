"""Added noise: dark pedestals reach those of moonlight, bright pixels only become wider."""

from dataclasses import replace

import numpy as np
import pytest

from magicpy_assets.core import moons
from magicpy_assets.observatory.telescopes import noise_at, pedestal_events
from magicpy_assets.science.camera import N_PIXELS
from magicpy_assets.science.cleaning import CleaningCuts
from magicpy_assets.science.noise import DARK_PEDESTAL_PHE, TRANSITION_SIGMA, add_noise, empty_events

N_EVENTS = 300
TRANSITION_PHE = DARK_PEDESTAL_PHE[0] + TRANSITION_SIGMA * DARK_PEDESTAL_PHE[1]
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
    add_noise(charge, bias, spread, np.random.default_rng(2), pedestal_phe=(now.mean_phe, now.rms_phe))
    real = pedestal_events(N_EVENTS, wanted, np.random.default_rng(3))
    for more in ({}, PLAIN):
        cuts = CleaningCuts(row.level1_phe, row.level2_phe, **more)
        got, true = empty_events(charge, time, good, cuts), empty_events(*real, good, cuts)
        assert got.rms_phe == pytest.approx(row.pedestal_rms_phe, rel=0.02)
        assert got.mean_phe == pytest.approx(row.pedestal_mean_phe, rel=0.02)
        for share, known in zip((*got.above, got.kept), (*true.above, true.kept), strict=True):
            # Half a per cent of the pixels is where the bias has faded a little.
            assert abs(share - known) < 4 * np.hypot(got.error(share), true.error(known)) + 0.005 * known
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


@pytest.mark.parametrize(("charge_phe", "share"), [(0.0, 1.0), (TRANSITION_PHE, 0.5), (40.0, 0.0), (1000.0, 0.0)])
def test_the_bias_fades_with_the_light_and_the_width_does_not(charge_phe, share):
    charge = np.full((N_EVENTS, N_PIXELS), charge_phe, dtype=np.float32)
    add_noise(charge, 3.0, 2.0, np.random.default_rng(3))
    sigma = 2.0 / np.sqrt(N_VALUES)
    assert charge.mean(dtype=np.float64) - charge_phe == pytest.approx(3.0 * share, abs=5 * sigma + 0.02)
    assert charge.std(dtype=np.float64) == pytest.approx(2.0, abs=5 * sigma / np.sqrt(2) + 1e-3)


def test_nothing_to_add_changes_nothing():
    charge, _ = pedestal_events(2, noise_at(1.0), np.random.default_rng(4))
    before = charge.copy()
    add_noise(charge, 0.0, 0.0, np.random.default_rng(5))
    np.testing.assert_array_equal(charge, before)


def test_the_same_seed_adds_the_same_noise_to_every_pixel_its_own():
    results = []
    for seed in (6, 6, 7):
        charge = np.zeros((3, N_PIXELS), dtype=np.float32)
        add_noise(charge, 1.0, 1.0, np.random.default_rng(seed))
        results.append(charge)
    np.testing.assert_array_equal(results[0], results[1])
    assert (results[0] != results[2]).all(axis=1).any()
    correlation = np.corrcoef(results[0])
    assert np.abs(correlation[np.triu_indices(3, 1)]).max() < 5 / np.sqrt(N_PIXELS)
    assert charge.dtype == np.float32
