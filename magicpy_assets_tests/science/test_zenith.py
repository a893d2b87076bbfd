"""Responses at a zenith distance: an instrument that changes with it is recovered at each."""

from dataclasses import replace

import numpy as np
import pytest

from magicpy_assets.science.cuts import CutRules, find_cuts
from magicpy_assets.science.irf import (
    FULL_ENCLOSURE,
    MIGRATION_EDGES,
    POINT_LIKE,
    RAD_EDGES_DEG,
    TRUE_EDGES_GEV,
    Gammas,
    Thrown,
    make_responses,
)

AREA_M2 = np.pi * 300.0**2
CENTRES = np.sqrt(TRUE_EDGES_GEV[1:] * TRUE_EDGES_GEV[:-1])


def share(cosine):
    """Share of the showers that are seen: falls by a factor of three from the zenith to 50°."""
    return 0.3 * np.exp((cosine - 1) * 3)


def bias(cosine):
    return 0.5 * (1 - cosine)


def simulations(n, seed=1, zd_range=(5.0, 50.0)):
    rng = np.random.default_rng(seed)
    energy = 1 / (1 / 100 - rng.uniform(size=n) * (1 / 100 - 1 / 20e3))
    cosine = rng.uniform(*np.cos(np.radians(zd_range[::-1])), n)
    zd = np.degrees(np.arccos(cosine))
    seen = rng.uniform(size=n) < share(cosine)
    count = int(seen.sum())
    reco = energy[seen] * np.exp(bias(cosine[seen]) + rng.normal(0, 0.12, count))
    theta = np.hypot(*rng.normal(0, 0.05, (2, count)))
    return Gammas(energy[seen], reco, theta, rng.uniform(size=count), zd[seen]), Thrown(energy, zd, AREA_M2)


@pytest.fixture(scope="module")
def made():
    gammas, thrown = simulations(120_000)
    rules = CutRules(hadronness_efficiency=1.0, hadronness_range=(1.0, 1.0), theta2_range_deg2=(0.0225, 0.0225))
    return gammas, thrown, find_cuts(gammas.energy_gev, gammas.hadronness, gammas.theta_deg, rules)


@pytest.mark.parametrize("zd_deg", [22.0, 30.0, 38.0])
def test_area_and_dispersion_are_those_of_the_zenith_distance(made, zd_deg):
    found = make_responses(*made, zd_deg)
    cosine = float(np.cos(np.radians(zd_deg)))
    assert (found.zd_deg, found.n_gammas) == (zd_deg, pytest.approx(0.99 * len(made[0]), rel=0.01))
    inside = (CENTRES > 150) & (CENTRES < 3e3)
    contained = 1 - np.exp(-0.0225 / (2 * 0.05**2))
    # 20 000 gammas over the zenith range: their mean over a decade of energy is good to 1 %
    assert np.mean(found.area_m2[inside] / (AREA_M2 * share(cosine) * contained)) == pytest.approx(1.0, abs=0.03)
    rows = found.dispersion[inside] * np.diff(MIGRATION_EDGES)
    mean = (rows * np.log(np.sqrt(MIGRATION_EDGES[1:] * MIGRATION_EDGES[:-1]))).sum(axis=1)
    assert rows.sum(axis=1) == pytest.approx(1.0)
    assert np.mean(mean) == pytest.approx(bias(cosine), abs=0.02)


def test_nothing_is_extrapolated(made):
    gammas, thrown, cuts = made
    for zd_deg, end_deg in ((2.0, thrown.zd_deg.min()), (60.0, thrown.zd_deg.max())):
        found = make_responses(gammas, thrown, cuts, zd_deg)
        assert found.zd_deg == end_deg
        np.testing.assert_array_equal(found.area_m2, make_responses(gammas, thrown, cuts, end_deg).area_m2)


def test_simulations_of_one_zenith_distance_serve_for_it(made):
    gammas, thrown = simulations(30_000, seed=4)
    at = Thrown(thrown.energy_gev, np.full_like(thrown.zd_deg, 20.0), thrown.area_m2)
    found = make_responses(replace(gammas, zd_deg=np.full(len(gammas), 20.0)), at, made[2], 20.0)
    inside = (CENTRES > 150) & (CENTRES < 3e3)
    seen = len(gammas) / len(thrown.energy_gev)
    contained = 1 - np.exp(-0.0225 / (2 * 0.05**2))
    assert np.mean(found.area_m2[inside]) == pytest.approx(AREA_M2 * seen * contained, rel=0.05)


def test_without_the_direction_cut_there_is_a_psf_that_holds_all_gammas(made):
    full, point = make_responses(*made, 30.0, FULL_ENCLOSURE), make_responses(*made, 30.0)
    assert (full.kind, point.kind) == (FULL_ENCLOSURE, POINT_LIKE)
    inside = (CENTRES > 150) & (CENTRES < 3e3)
    share_of_angle = full.psf[inside] * np.pi * np.diff(np.radians(RAD_EDGES_DEG) ** 2)
    assert share_of_angle.sum(axis=1) == pytest.approx(1.0, rel=1e-3)
    radius = [np.interp(0.68, np.r_[0, np.cumsum(row)], RAD_EDGES_DEG) for row in share_of_angle]
    # two Gaussian axes of 0.05°: 68 % inside 1.51 of them; bins of 0.02° and 150 gammas or more
    assert np.mean(radius) == pytest.approx(0.0755, abs=0.004)
    # what the direction cut of 0.15° takes is what the PSF says
    taken = share_of_angle[:, RAD_EDGES_DEG[1:] < 0.141].sum(axis=1).mean()
    ratio = np.mean(point.area_m2[inside] / full.area_m2[inside])
    assert taken - 0.02 < ratio < 1.0


def test_identities_follow_the_numbers(made):
    first, again = make_responses(*made, 30.0), make_responses(*made, 30.0)
    assert first.identity == again.identity
    assert (
        len(
            {first.identity, make_responses(*made, 31.0).identity, make_responses(*made, 30.0, FULL_ENCLOSURE).identity}
        )
        == 3
    )
