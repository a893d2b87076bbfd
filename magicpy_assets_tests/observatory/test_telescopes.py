"""The readout: pedestals as the cleaning table says, signals without bias, the trigger's rule."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from magicpy_assets.core import moons
from magicpy_assets.observatory.showers import ShowerImages
from magicpy_assets.observatory.telescopes import (
    GAIN_SPREAD,
    NOISE_WINDOW_NS,
    SIGNAL_SLICE,
    SLICES_PER_NS,
    _three_neighbours,
    expose,
    noise_at,
    pedestal_events,
)
from magicpy_assets.science.camera import N_PIXELS, NEIGHBOURS, TRIGGER_REGION

DARK = noise_at(1.0)


def events(n, pixels, phe, time_ns=0.0):
    """The same pixels lit in both telescopes, n times over."""
    lit = len(pixels)
    names = ("energy_gev", "pointing_zd_deg", "pointing_az_deg", "zd_deg", "az_deg", "core_east_m", "core_north_m")
    return ShowerImages(
        start=np.arange(n + 1, dtype=np.int64) * 2 * lit,
        split=np.full(n, lit, dtype=np.int32),
        pixel=np.tile(np.asarray(pixels, dtype=np.uint16), 2 * n),
        phe=np.full(2 * lit * n, phe, dtype=np.uint16),
        time_ns=np.full(2 * lit * n, time_ns, dtype=np.float32),
        kind=np.zeros(n, dtype=np.uint8),
        shower=np.arange(n),
        **{name: np.zeros(n, dtype=np.float32) for name in names},
    )


def test_dark_noise_is_that_of_the_table_and_moonlight_adds_to_it():
    dark = moons.cleaning(0.5)
    assert (DARK.mean_phe, DARK.rms_phe) == (dark.pedestal_mean_phe, dark.pedestal_rms_phe)
    assert DARK.fixed_phe == pytest.approx(np.sqrt(0.35 + 0.45))
    levels = [noise_at(nsb) for nsb in (1.0, 2.5, 4.0, 6.5)]
    for name in ("fixed_phe", "mean_phe", "rms_phe", "threshold_phe"):
        assert (np.diff([getattr(level, name) for level in levels]) > 0).all()


@pytest.mark.parametrize("nsb", [1.0, 2.5])
def test_the_night_sky_can_be_read_back_from_pedestals(nsb):
    noise = noise_at(nsb)
    charge, time = pedestal_events(200, noise, np.random.default_rng(1))
    assert charge.mean() == pytest.approx(noise.mean_phe, abs=0.01)
    assert charge.std() == pytest.approx(noise.rms_phe, rel=0.01)
    assert np.abs(time - SIGNAL_SLICE).max() <= NOISE_WINDOW_NS * SLICES_PER_NS + 1e-3
    estimate, moon = moons.from_pedestal(float(charge.mean()), float(charge.std()))
    assert estimate == pytest.approx(nsb, rel=0.1)
    assert moon.nsb_low <= nsb < moon.nsb_high


def test_pixels_without_light_are_like_pedestals():
    charge, time, _ = expose(events(300, [5], 60), DARK, np.random.default_rng(2))
    empty = np.delete(charge, 5, axis=2)
    assert empty.mean() == pytest.approx(DARK.mean_phe, abs=0.01)
    assert empty.std() == pytest.approx(DARK.rms_phe, rel=0.01)
    assert np.delete(time, 5, axis=2).std() == pytest.approx(
        2 * NOISE_WINDOW_NS * SLICES_PER_NS / np.sqrt(12), rel=0.01
    )
    # Noise of neighbouring pixels, and of the two telescopes, is independent.
    assert abs(np.corrcoef(empty[:, 0, 0], empty[:, 0, 1])[0, 1]) < 4 / np.sqrt(300)
    assert abs(np.corrcoef(empty[:, 0].ravel(), empty[:, 1].ravel())[0, 1]) < 0.01


@pytest.mark.parametrize("phe", [30, 400])
def test_signals_are_unbiased_and_spread_as_stated(phe):
    n = 3000
    charge, time, _ = expose(events(n, [7], phe, time_ns=2.0), DARK, np.random.default_rng(3))
    spread = np.sqrt(GAIN_SPREAD**2 * phe + DARK.fixed_phe**2)
    signal = charge[:, :, 7]
    assert signal.mean() == pytest.approx(phe, abs=4 * spread / np.sqrt(2 * n))
    assert signal.std() == pytest.approx(spread, rel=0.05)
    resolution_ns = np.sqrt(0.15**2 + 0.81 / phe)
    assert time[:, :, 7].mean() == pytest.approx(SIGNAL_SLICE + 2.0 * SLICES_PER_NS, abs=0.05)
    assert time[:, :, 7].std() == pytest.approx(resolution_ns * SLICES_PER_NS, rel=0.06)


def test_one_generator_one_result():
    images = events(20, [0, 1, 2], 40)
    first, second = (expose(images, DARK, np.random.default_rng(4)) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


def test_bright_triples_trigger_and_noise_does_not():
    triple = [0, *(int(i) for i in NEIGHBOURS[0][:2])]
    assert expose(events(200, triple, 12), DARK, np.random.default_rng(5))[2].all()
    assert not expose(events(500, [3], 1), DARK, np.random.default_rng(6))[2].any()
    outside = int(np.flatnonzero(~TRIGGER_REGION & (NEIGHBOURS >= 0).all(axis=1))[-1])
    ring = [outside, *(int(i) for i in NEIGHBOURS[outside] if not TRIGGER_REGION[i])]
    assert not expose(events(50, ring, 100), DARK, np.random.default_rng(7))[2].any()


def test_moonlight_raises_the_threshold():
    triple = [0, *(int(i) for i in NEIGHBOURS[0][:2])]
    shares = [
        expose(events(400, triple, 6), noise_at(nsb), np.random.default_rng(8))[2].mean() for nsb in (1.0, 2.5, 6.5)
    ]
    assert shares[0] > shares[1] > shares[2]


@settings(max_examples=60, deadline=None)
@given(st.sets(st.sampled_from([*range(30), *range(560, 640)]), max_size=40))
def test_the_trigger_wants_three_mutual_neighbours(lit):
    charge = np.zeros(N_PIXELS, dtype=np.float32)
    charge[list(lit)] = 10.0
    near = [{int(j) for j in NEIGHBOURS[i] if j >= 0} for i in range(N_PIXELS)]
    inside = {i for i in lit if TRIGGER_REGION[i]}
    expected = any(near[a] & near[b] & inside for a in inside for b in near[a] & inside)
    assert _three_neighbours(charge, 5.0) == expected
