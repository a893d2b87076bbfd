"""Draws from the sky: spectra, directions and cores have the distributions they are said to have."""

import numpy as np
import pytest
from scipy import stats

from magicpy_assets.observatory.primaries import (
    CONE_DEG,
    HADRONS,
    HELIUM,
    PROTONS,
    disc_cores,
    hadrons,
    impact_m,
    power_law,
    reach,
    ring_gammas,
    throws_per_second,
    tilted,
    track_azimuth_deg,
)
from magicpy_assets.science.pointing import altaz_of

WINDOW = (24.0, 28.0)
ENERGIES = (150.0, 30_000.0)


def separation_deg(first, second):
    zd1, az1 = np.radians(first).T
    zd2, az2 = np.radians(second).T
    cosine = np.cos(zd1) * np.cos(zd2) + np.sin(zd1) * np.sin(zd2) * np.cos(az1 - az2)
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))


@pytest.mark.parametrize("ray", HADRONS)
def test_integral_flux_is_the_integral(ray):
    energy = np.geomspace(*ENERGIES, 20_001)
    flux = ray.norm * (energy / 1000.0) ** -ray.index
    assert ray.integral(*ENERGIES) == pytest.approx(np.trapezoid(flux, energy), rel=1e-5)


def test_helium_is_about_two_thirds_of_protons_at_a_tev():
    assert HELIUM.norm / PROTONS.norm == pytest.approx(0.75, abs=0.01)
    assert HELIUM.integral(*ENERGIES) / PROTONS.integral(*ENERGIES) == pytest.approx(0.70, abs=0.05)


@pytest.mark.parametrize("index", [1.0, 1.8, 2.7])
def test_power_law(index):
    drawn = power_law(100.0, 10_000.0, index, 5000, np.random.default_rng(1))

    def below(energy):
        if index == 1.0:
            return np.log(energy / 100.0) / np.log(100.0)
        g = 1.0 - index
        return (energy**g - 100.0**g) / (10_000.0**g - 100.0**g)

    assert stats.kstest(drawn, below).pvalue > 1e-3


@pytest.mark.parametrize("zd_deg", [12.0, 26.0, 44.0])
def test_the_track_is_that_of_a_rising_source_at_its_declination(zd_deg):
    mjd = np.arange(59_200.0, 59_201.0, 1.0 / 5760.0)
    zd, az = altaz_of(80.0, 22.0, mjd)  # right ascension of date and declination of date are within 0.15 deg
    rising = az < 180.0
    nearest = np.abs(np.where(rising, zd, 999.0) - zd_deg).argmin()
    assert track_azimuth_deg(np.array([zd_deg]))[0] == pytest.approx(az[nearest], abs=2.0 if zd_deg < 20 else 0.5)


def test_hadrons_have_natural_numbers_energies_and_angles():
    seconds = 20.0
    thrown = hadrons(seconds, WINDOW, ENERGIES, 525.0, 20, np.random.default_rng(2))
    radius, cone = reach(thrown.energy_gev)
    for ray in HADRONS:
        mine = thrown.kind == ray.kind
        # Each stands for one over its share of the full disc and cone; all together are what falls on the full ones.
        weight = 1.0 / (radius[mine] ** 2 * cone[mine] ** 2)
        expected = seconds * throws_per_second(ray, *ENERGIES, 525.0, 20)
        assert weight.sum() == pytest.approx(expected, abs=4 * np.sqrt((weight**2).sum()))
        high = mine & (thrown.energy_gev > 3000.0)  # beyond, disc and cone are full: the slope is the natural one
        g = 1.0 - ray.index
        low_end, high_end = 3000.0**g, ENERGIES[1] ** g
        below = (thrown.energy_gev[high] ** g - low_end) / (high_end - low_end)
        assert stats.kstest(below, "uniform").pvalue > 1e-3
    angle = separation_deg(thrown.pointing_deg, thrown.toward_deg)
    assert (angle <= CONE_DEG * cone + 1e-6).all()
    assert (
        stats.kstest((1 - np.cos(np.radians(angle))) / (1 - np.cos(np.radians(CONE_DEG * cone))), "uniform").pvalue
        > 1e-3
    )
    assert thrown.cores_m.shape == (len(thrown), 20, 2)
    assert thrown.pointing_deg[:, 0].min() >= WINDOW[0]
    assert thrown.pointing_deg[:, 0].max() <= WINDOW[1]


def test_gammas_come_from_the_ring_and_uniformly_from_the_sky():
    thrown = ring_gammas(4000, (5.0, 35.0), (60.0, 30_000.0), 1.8, 350.0, 5, np.random.default_rng(3))
    np.testing.assert_allclose(separation_deg(thrown.pointing_deg, thrown.toward_deg), 0.4, atol=1e-5)
    cosine = np.cos(np.radians(thrown.pointing_deg[:, 0]))
    low, high = np.cos(np.radians([35.0, 5.0]))
    assert stats.kstest((cosine - low) / (high - low), "uniform").pvalue > 1e-3
    assert stats.kstest(thrown.pointing_deg[:, 1] / 360.0, "uniform").pvalue > 1e-3


def test_gammas_near_the_track_keep_to_it():
    thrown = ring_gammas(4000, (9.0, 36.0), (100.0, 30_000.0), 2.0, 350.0, 1, np.random.default_rng(3), 5.0)
    away = thrown.pointing_deg[:, 1] - track_azimuth_deg(thrown.pointing_deg[:, 0])
    assert stats.kstest((away + 5.0) / 10.0, "uniform").pvalue > 1e-3


def test_cores_fill_a_disc_across_the_axis():
    rng = np.random.default_rng(4)
    toward = np.column_stack([np.full(1000, 40.0), rng.uniform(0, 360, 1000)])
    cores = disc_cores(toward, np.full(1000, 500.0), 3, rng)
    distance = impact_m(cores, toward)
    assert stats.kstest((distance.ravel() / 500.0) ** 2, "uniform").pvalue > 1e-3
    # On the ground the disc is an ellipse, long by 1 / cos(zd) towards the source.
    east, north = np.sin(np.radians(toward[:, 1])), np.cos(np.radians(toward[:, 1]))
    along = cores[..., 0] * east[:, None] + cores[..., 1] * north[:, None]
    across = cores[..., 0] * north[:, None] - cores[..., 1] * east[:, None]
    assert along.std() / across.std() == pytest.approx(1 / np.cos(np.radians(40.0)), rel=0.06)


def test_impact_is_the_distance_from_the_axis():
    rng = np.random.default_rng(5)
    toward = np.array([[35.0, 70.0]])
    zd, az = np.radians(toward[0])
    axis = np.array([np.sin(zd) * np.sin(az), np.sin(zd) * np.cos(az), np.cos(zd)])
    core = rng.uniform(-300, 300, (1, 2))
    exact = np.linalg.norm(np.cross(np.append(core[0], 0.0), axis))
    assert impact_m(core, toward)[0] == pytest.approx(exact)


def test_tilting_towards_altitude_and_azimuth():
    pointing = np.array([[30.0, 120.0], [30.0, 120.0]])
    up, side = tilted(pointing, np.radians([1.0, 1.0]), np.array([0.0, np.pi / 2]))
    np.testing.assert_allclose(up, [29.0, 120.0], atol=1e-9)
    assert side[0] == pytest.approx(30.0, abs=0.03)
    assert side[1] == pytest.approx(120.0 + 1.0 / np.sin(np.radians(30.0)), abs=0.05)
