"""The background of a field from few and from many events, with errors that are honest about it."""

import numpy as np
import pytest

from magicpy_assets.science.background import ENERGY_EDGES_GEV, MANY_EVENTS, OFFSET_EDGES_DEG, field_background

SECONDS = 1000.0


def flat_field(n, seed, radius_deg=1.5):
    rng = np.random.default_rng(seed)
    return 80 * rng.uniform(size=n) ** (-1 / 1.7), radius_deg * np.sqrt(rng.uniform(size=n))


def events_in(found):
    """Events that a background predicts over the whole field."""
    solid_angle = 2 * np.pi * -np.diff(np.cos(np.radians(OFFSET_EDGES_DEG)))
    width_mev = np.diff(ENERGY_EDGES_GEV)[:, np.newaxis] * 1e3
    return (found.rate * width_mev * solid_angle * SECONDS).sum()


@pytest.mark.parametrize("n", [200, 3 * MANY_EVENTS])
def test_as_many_events_come_out_as_went_in(n):
    energy, offset = flat_field(n, seed=n)
    found = field_background(energy, offset, np.zeros(n), SECONDS, ())
    assert found.separable is (n < MANY_EVENTS)
    assert found.n_events == n
    assert events_in(found) == pytest.approx(n, rel=1e-9)


def test_errors_are_those_seen_from_run_to_run():
    found = [field_background(*flat_field(400, seed), np.zeros(400), SECONDS, ()) for seed in range(200)]
    rates = np.array([item.rate for item in found])
    cell = np.s_[6, 3]  # some hundred GeV, in the middle of the field
    assert ENERGY_EDGES_GEV[6] > 100
    seen = rates[(slice(None), *cell)].std() / rates[(slice(None), *cell)].mean()
    told = np.mean([item.relative_error[cell] for item in found])
    assert seen == pytest.approx(told, rel=0.25)
    assert np.isnan(found[0].relative_error[0, 0])  # nothing at 10 GeV: nothing is known about it


def test_a_ring_that_the_source_hides_takes_the_rate_of_the_next():
    energy, offset = flat_field(4000, seed=3)
    found = field_background(energy, offset, np.zeros(4000), SECONDS, [(0.0, 0.0, 0.3)])
    np.testing.assert_array_equal(found.rate[:, 0], found.rate[:, 1])
    density = 4000 / (2 * np.pi * (1 - np.cos(np.radians(1.5)))) / SECONDS
    width_mev = np.diff(ENERGY_EDGES_GEV) * 1e3
    total = (found.rate[:, :6] * width_mev[:, np.newaxis]).sum(axis=0)
    # the second ring is open in part only; 4000 events: each ring has some hundred
    assert total == pytest.approx(density, rel=0.2)
