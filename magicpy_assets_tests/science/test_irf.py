"""Cuts, effective area, energy dispersion and background from toy gammas whose truth is known."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from magicpy_assets.core.errors import InputError, OutOfRangeError
from magicpy_assets.science.background import ENERGY_EDGES_GEV, OFFSET_EDGES_DEG, field_background
from magicpy_assets.science.cuts import CutRules, Cuts, find_cuts
from magicpy_assets.science.field import open_share
from magicpy_assets.science.irf import (
    MIGRATION_EDGES,
    TRUE_EDGES_GEV,
    Gammas,
    Thrown,
    effective_area,
    make_responses,
    trusted_range,
)

AREA_M2 = np.pi * 300.0**2
CENTRES = np.sqrt(TRUE_EDGES_GEV[1:] * TRUE_EDGES_GEV[:-1])


def thrown_showers(n, seed, low=50.0, high=30e3):
    rng = np.random.default_rng(seed)
    energy = 1 / (1 / low - rng.uniform(size=n) * (1 / low - 1 / high))
    zd = np.degrees(np.arccos(rng.uniform(np.cos(np.radians(35)), np.cos(np.radians(5)), n)))
    return Thrown(energy, zd, AREA_M2)


def share_seen(energy_gev):
    return 0.3 / (1 + (120 / energy_gev) ** 4)


def seen(thrown, seed, resolution=0.15, bias=0.0):
    rng = np.random.default_rng(seed)
    kept = rng.uniform(size=len(thrown.energy_gev)) < share_seen(thrown.energy_gev)
    true = thrown.energy_gev[kept]
    reco = true * np.exp(bias + rng.normal(0, resolution, kept.sum()))
    theta = np.hypot(*rng.normal(0, 0.06, (2, kept.sum())))
    return Gammas(true, reco, theta, rng.uniform(size=kept.sum()), thrown.zd_deg[kept])


@pytest.mark.parametrize(("n", "error"), [(20_000, 0.05), (300_000, 0.015)])
def test_the_effective_area_is_the_truth_within_its_statistics(n, error):
    thrown = thrown_showers(n, seed=n)
    gammas = seen(thrown, seed=1)
    area = effective_area(gammas, thrown, 20.0)
    inside = (CENTRES > 100) & (CENTRES < 20e3)
    truth = AREA_M2 * share_seen(CENTRES)
    ratio = area[inside] / truth[inside]
    # What a knot of the spline (a fifth of a decade) can know: the gammas of an E^-2 sample that are near it.
    expected = np.histogram(gammas.true_energy_gev, TRUE_EDGES_GEV)[0][inside] * 4
    assert np.all(np.abs(ratio - 1) < 5 / np.sqrt(np.maximum(expected, 1)) + 0.02)
    assert np.median(np.abs(ratio - 1)) < 2 * error
    assert np.all(area[CENTRES < 50] == 0)
    assert np.all(area[CENTRES > 30e3] == 0)


def test_a_steep_threshold_is_followed():
    """From where a thousandth of the plateau is seen: the area rises tenfold in a quarter of a decade."""
    thrown = thrown_showers(400_000, seed=12)
    area = effective_area(seen(thrown, seed=13), thrown, 20.0)
    truth = AREA_M2 * share_seen(CENTRES)
    low = (CENTRES > 55) & (CENTRES < 150)
    assert area[low] / truth[low] == pytest.approx(1.0, abs=0.15)


def dispersion_at(gammas, thrown, zd_deg=20.0):
    cuts = Cuts(ENERGY_EDGES_GEV, np.full(len(ENERGY_EDGES_GEV) - 1, 2.0), np.full(len(ENERGY_EDGES_GEV) - 1, 9.0))
    return make_responses(gammas, thrown, cuts, zd_deg).dispersion


def test_the_energy_dispersion_has_the_width_and_bias_put_in():
    thrown = thrown_showers(60_000, seed=3)
    density = dispersion_at(seen(thrown, seed=4, resolution=0.2, bias=0.1), thrown)
    widths, middles = np.diff(MIGRATION_EDGES), np.sqrt(MIGRATION_EDGES[1:] * MIGRATION_EDGES[:-1])
    filled = density.sum(axis=1) > 0
    assert np.all((density * widths).sum(axis=1)[filled] == pytest.approx(1.0))
    for energy in (200.0, 1000.0, 5000.0):
        row = density[np.argmin(np.abs(CENTRES - energy))] * widths
        mean = (row * np.log(middles)).sum()
        spread = np.sqrt((row * (np.log(middles) - mean) ** 2).sum())
        assert mean == pytest.approx(0.1, abs=5 * 0.2 / np.sqrt(400))
        assert spread == pytest.approx(0.2, abs=5 * 0.2 / np.sqrt(800) + 0.01)


def test_a_bias_that_changes_with_energy_is_followed_where_gammas_are_few():
    """Near the threshold estimated energies stay where gammas can be seen at all: the ratio falls with energy."""
    thrown = thrown_showers(40_000, seed=21)
    gammas = seen(thrown, seed=22)
    slope = -0.8
    reco = gammas.energy_gev * (gammas.true_energy_gev / 100.0) ** slope
    density = dispersion_at(replace(gammas, energy_gev=reco), thrown)
    widths, middles = np.diff(MIGRATION_EDGES), np.sqrt(MIGRATION_EDGES[1:] * MIGRATION_EDGES[:-1])
    for energy in (80.0, 120.0, 200.0):
        row = density[np.argmin(np.abs(CENTRES - energy))] * widths
        assert (row * np.log(middles)).sum() == pytest.approx(slope * np.log(energy / 100.0), abs=0.08)


def test_trusted_energies_stay_away_from_the_ends_of_what_was_thrown():
    thrown = thrown_showers(10_000, seed=8)
    flat = np.where((CENTRES > 50) & (CENTRES < 30e3), 1e5, 0.0)
    low, high = trusted_range(flat, thrown.energy_gev)
    assert low == pytest.approx(1.3 * thrown.energy_gev.min())
    assert high == pytest.approx(thrown.energy_gev.max() / 1.3)
    rising = AREA_M2 * share_seen(CENTRES)
    low, _ = trusted_range(np.where(CENTRES > 20, rising, 0), np.array([20.0, 30e3]))
    assert share_seen(low * 10**0.1) > 0.03 > share_seen(low * 10**-0.1)


def test_cuts_keep_the_share_of_gammas_asked_for():
    gammas = seen(thrown_showers(200_000, seed=5), seed=6)
    rules = CutRules(0.7, 0.68, hadronness_range=(0.0, 1.0), theta2_range_deg2=(0.0, 1.0))
    cuts = find_cuts(gammas.energy_gev, gammas.hadronness, gammas.theta_deg, rules)
    kept = cuts.keep_gammas(gammas.energy_gev, gammas.hadronness)
    assert kept.mean() == pytest.approx(0.7, abs=0.01)
    inside = cuts.keep_directions(gammas.energy_gev, gammas.theta_deg)
    assert inside[kept].mean() == pytest.approx(0.68, abs=0.01)
    # a two-dimensional Gaussian holds 68 % inside sigma * sqrt(-2 ln 0.32)
    assert np.median(cuts.theta_max_deg) == pytest.approx(0.06 * np.sqrt(-2 * np.log(0.32)), rel=0.05)


@settings(max_examples=25)
@given(efficiency=st.floats(0.05, 1.0), seed=st.integers(0, 5))
def test_cuts_stay_in_their_ranges_and_hold_everywhere(efficiency, seed):
    gammas = seen(thrown_showers(40_000, seed), seed)
    cuts = find_cuts(gammas.energy_gev, gammas.hadronness, gammas.theta_deg, CutRules(efficiency, efficiency))
    assert np.all((cuts.hadronness_max >= 0.15) & (cuts.hadronness_max <= 0.95))
    assert np.all((cuts.theta_max_deg**2 >= 0.01 - 1e-12) & (cuts.theta_max_deg**2 <= 0.05 + 1e-12))


def test_cuts_never_keep_what_is_not_a_number_or_out_of_range():
    cuts = Cuts(np.array([100.0, 1000.0]), np.array([0.5]), np.array([0.1]))
    energy = np.array([50.0, 500.0, 500.0, np.nan, 2000.0, 1000.0])
    assert cuts.keep_gammas(energy, np.array([0, 0.1, np.nan, 0, 0, 0])).tolist() == [False, True] + [False] * 4
    assert (
        cuts.keep_directions(energy, np.array([0, 0.2, 0.05, 0, 0, 0])).tolist() == [False, False, True] + [False] * 3
    )


def test_the_identity_of_cuts_is_that_of_their_numbers():
    first = Cuts(np.array([1.0, 2.0]), np.array([0.5]), np.array([0.1]))
    same = Cuts(np.array([1.0, 2.0]), np.array([0.5]), np.array([0.1]))
    other = Cuts(np.array([1.0, 2.0]), np.array([0.5]), np.array([0.11]))
    assert first.identity == same.identity != other.identity


def test_impossible_requests_are_refused():
    with pytest.raises(OutOfRangeError, match=r"hadronness_efficiency.*1\.2"):
        CutRules(hadronness_efficiency=1.2)
    with pytest.raises(InputError, match="no energy bin holds 20"):
        find_cuts(np.full(5, 300.0), np.zeros(5), np.zeros(5))
    empty = Gammas(*(np.array([]) for _ in range(5)))
    wide = Cuts(ENERGY_EDGES_GEV, np.ones(20), np.full(20, 9.0))
    with pytest.raises(InputError, match="0 of 500 simulated gammas pass the cuts: too few"):
        make_responses(empty, thrown_showers(500, seed=1), wide, 20.0)
    gammas = seen(thrown_showers(3000, seed=2), 2)
    tight = Cuts(ENERGY_EDGES_GEV, np.zeros(20), np.full(20, 0.1))
    with pytest.raises(InputError, match="0 of"):
        make_responses(gammas, thrown_showers(3000, seed=2), tight, 20.0)


def test_a_flat_field_gives_a_flat_background_with_the_source_taken_out():
    rng = np.random.default_rng(4)
    n, seconds, reach = 300_000, 1000.0, 2.0
    radius, angle = reach * np.sqrt(rng.uniform(size=n)), rng.uniform(0, 2 * np.pi, n)
    x, y = radius * np.cos(angle), radius * np.sin(angle)
    bright = rng.normal([0.4, 0.0], 0.05, (5000, 2))
    x, y = np.r_[x, bright[:, 0]], np.r_[y, bright[:, 1]]
    found = field_background(np.full(len(x), 200.0), x, y, seconds, [(0.4, 0.0, 0.3)])
    energy_bin = np.searchsorted(ENERGY_EDGES_GEV, 200.0) - 1
    width_mev = 1e3 * np.diff(ENERGY_EDGES_GEV)[energy_bin]
    expected = n / (np.pi * np.radians(reach) ** 2) / seconds / width_mev
    rings = n * np.diff(OFFSET_EDGES_DEG**2) / reach**2 * open_share(OFFSET_EDGES_DEG, [(0.4, 0.0, 0.3)])
    assert np.all(np.abs(found.rate[energy_bin] / expected - 1) < 5 / np.sqrt(rings) + 1e-3)
    assert found.rate[energy_bin + 1].sum() == 0


def test_the_share_of_a_ring_that_is_open():
    assert np.all(open_share(OFFSET_EDGES_DEG, ()) == 1)
    around = open_share(np.array([0.0, 0.3, 1.0]), [(0.0, 0.0, 0.3)])
    assert around == pytest.approx([0, 1], abs=0.02)
    rng = np.random.default_rng(1)
    radius = np.sqrt(rng.uniform(0.25**2, 0.5**2, 200_000))
    angle = rng.uniform(0, 2 * np.pi, 200_000)
    away = np.hypot(radius * np.cos(angle) - 0.4, radius * np.sin(angle)) > 0.3
    assert open_share(np.array([0.25, 0.5]), [(0.4, 0.0, 0.3)])[0] == pytest.approx(away.mean(), abs=0.01)
