"""Added noise: dark pedestals reach those of moonlight, bright pixels only become wider."""

import numpy as np
import pytest

from magicpy_assets.observatory.telescopes import noise_at, pedestal_events
from magicpy_assets.science.camera import N_PIXELS
from magicpy_assets.science.noise import TRANSITION_PHE, add_noise

N_EVENTS = 300
N_VALUES = N_EVENTS * N_PIXELS


@pytest.mark.parametrize("nsb", [1.5, 2.5, 4.0])
def test_dark_pedestals_with_noise_reach_those_of_moonlight(nsb):
    """To 5 sigma of the counting, the level itself also to 5 % of the bias, which fades a little."""
    dark, bright = noise_at(1.0), noise_at(nsb)
    charge, _ = pedestal_events(N_EVENTS, dark, np.random.default_rng(1))
    bias, rms = bright.mean_phe - dark.mean_phe, np.sqrt(bright.rms_phe**2 - dark.rms_phe**2)
    add_noise(charge, bias, rms, np.random.default_rng(2))
    sigma = bright.rms_phe / np.sqrt(N_VALUES)
    # The fading of the bias, averaged over the dark pedestal, is what theory says is missing of it.
    at = dark.mean_phe + dark.rms_phe * np.linspace(-6, 6, 2001)
    weight = np.exp(-0.5 * ((at - dark.mean_phe) / dark.rms_phe) ** 2)
    fading = np.average(1 / (1 + np.exp((at - TRANSITION_PHE) / 1.5)), weights=weight)
    assert charge.mean() == pytest.approx(dark.mean_phe + bias * fading, abs=5 * sigma)
    assert charge.mean() == pytest.approx(bright.mean_phe, abs=5 * sigma + 0.05 * bias)
    assert charge.std() == pytest.approx(bright.rms_phe, abs=5 * sigma / np.sqrt(2) + 0.05 * bias)


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
