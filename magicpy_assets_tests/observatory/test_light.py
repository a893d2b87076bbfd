"""From tracks to photo-electrons: all the light arrives, where and when geometry says, in the right pixels."""

import math

import numpy as np
import pytest
from scipy.special import i0e

from magicpy_assets.observatory import cascade, emission, emission_tables
from magicpy_assets.observatory.atmosphere import (
    GROUND_DEPTH_G_CM2,
    GROUND_M,
    density_at,
    height_of,
    refractivity,
    transmission,
)
from magicpy_assets.observatory.light import PSF_MM, bessel_i0e, deflected, record_photon, segment_light
from magicpy_assets.observatory.showers import direction, frame
from magicpy_assets.science.camera import N_PIXELS, PIXEL_X_MM, PIXEL_Y_MM
from magicpy_assets.science.pointing import camera_of
from magicpy_assets.science.site import MIRROR_AREA_M2, TELESCOPES_EAST_NORTH_M

POINTING = (20.0, 100.0)


def cameras(k=1):
    return np.zeros((k, 2, N_PIXELS)), np.zeros((k, 2, N_PIXELS))


def grid(half_m, step_m):
    """Cores that put M1 on a square grid around the origin."""
    side = np.arange(-half_m, half_m + 0.5 * step_m, step_m)
    places = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    return np.ascontiguousarray(TELESCOPES_EAST_NORTH_M[0] - places)


def test_bessel_function():
    x = np.concatenate([np.linspace(0, 5, 200), np.geomspace(5, 1e4, 100)])
    np.testing.assert_allclose([bessel_i0e(v) for v in x], i0e(x), rtol=0.017)


@pytest.mark.parametrize("vector", [(0.0, 0.0, -1.0), (0.3, -0.2, -math.sqrt(0.87)), (1e-8, 0.0, -1.0)])
def test_deflection_turns_by_the_angle(vector):
    turned = np.array(deflected(*vector, 0.003, -0.004))
    assert np.linalg.norm(turned) == pytest.approx(1.0)
    assert np.arccos(turned @ vector) == pytest.approx(0.005, rel=1e-3)


@pytest.mark.parametrize("offset_deg", [(0.8, 0.0), (0.0, 2.0), (-0.5, -1.0)])
def test_light_lands_where_pointing_puts_it(offset_deg):
    zd, az = POINTING[0] + offset_deg[0], POINTING[1] + offset_deg[1]
    counts, times = cameras()
    for _ in range(2000):
        record_photon(*(10_000.0 * direction(zd, az)), 5.0, 0, 0, frame(*POINTING), counts, times)
    x, y = camera_of(zd, az, *POINTING)
    n = counts[0, 0].sum()
    assert n == 2000
    assert times.sum() == pytest.approx(5.0 * n)
    # The mean over pixels is off by up to half a per cent of the pitch, its error is the point-spread function's.
    assert counts[0, 0] @ PIXEL_X_MM / n == pytest.approx(x, abs=5 * (PSF_MM + 9) / math.sqrt(n))
    assert counts[0, 0] @ PIXEL_Y_MM / n == pytest.approx(y, abs=5 * (PSF_MM + 9) / math.sqrt(n))


def test_light_outside_the_camera_is_lost():
    counts, times = cameras()
    record_photon(*(10_000.0 * direction(POINTING[0] + 3.0, POINTING[1])), 5.0, 0, 0, frame(*POINTING), counts, times)
    assert counts.sum() == 0


@pytest.mark.parametrize(("blur", "photons"), [(3e-3, 2e4), (4.5e-3, 2e4), (4.5e-3, 40.0)])
def test_all_the_light_of_a_segment_reaches_the_ground(blur, photons):
    """Mirrors all over the ground collect what was emitted; for faint segments too, which are drawn at random."""
    depth = 350.0
    z = height_of(depth)
    height = z - GROUND_M
    start, end = np.array([0.0, 0.0, z + 20.0]), np.array([0.0, 0.0, z - 20.0])
    cherenkov = math.sqrt(2 * refractivity(density_at(z)))
    step = 8.0
    cores = grid(height * (cherenkov + 4 * blur), step)
    counts, times = cameras(len(cores))
    down = np.array([0.0, 0.0, -1.0])
    repeats = round(4e5 / photons) if photons < 1000 else 40
    view = frame(0.0, 0.0)
    for _ in range(repeats):
        segment_light(start, end, down, depth, 0.0, blur**2, cherenkov, photons, cores, view, 0.1, counts, times)
    collected = counts[:, 0].sum() * step**2 / MIRROR_AREA_M2
    expected = repeats * photons * 0.1 * transmission(depth, height, math.cos(cherenkov))
    # A mirror of 17 m on a grid of 8 m: photons are counted by several mirrors, so the error is that of the counts
    # times their weight; roulette adds the spread of the segments that survive it.
    seen = counts[:, 0].sum()
    error = 1 / math.sqrt(seen) + (0.0 if photons > 1000 else 3 / math.sqrt(repeats))
    assert collected / expected == pytest.approx(1.0, abs=0.03 + 4 * error)


def test_a_ring_lies_at_the_cherenkov_angle():
    depth = 500.0
    z = height_of(depth)
    height = z - GROUND_M
    cherenkov = math.sqrt(2 * refractivity(density_at(z)))
    radii = np.linspace(0, 2 * height * cherenkov, 60)
    cores = np.ascontiguousarray(TELESCOPES_EAST_NORTH_M[0] - np.column_stack([radii, np.zeros(60)]))
    counts, times = cameras(60)
    start, end = np.array([0.0, 0.0, z + 1.0]), np.array([0.0, 0.0, z - 1.0])
    down, view = np.array([0.0, 0.0, -1.0]), frame(0.0, 0.0)
    segment_light(start, end, down, depth, 0.0, 1e-6, cherenkov, 1e6, cores, view, 0.1, counts, times)
    brightest = radii[counts[:, 0].sum(axis=1).argmax()]
    assert brightest == pytest.approx(height * cherenkov, rel=0.06)
    # Light needs height / c, and the wave front is flat: what arrives later comes from further away.
    lit = counts[:, 0].sum(axis=1) > 50
    arrival = times[lit, 0].sum(axis=1) / counts[lit, 0].sum(axis=1)
    path = np.hypot(height, radii[lit])
    np.testing.assert_allclose(np.diff(arrival) * 0.299792458, np.diff(path), atol=0.6)


def test_tables_are_built_as_they_were(tmp_path):
    """A quick build from a small sample agrees with the tables that ship: light within its errors."""
    path = tmp_path / "emission.npz"
    emission_tables.build(path, records_wanted=1500, most_cascades=300, seed=9)
    with np.load(path) as found:
        fresh = found["light"].sum(axis=-1)
        spread = found["spread"][..., 0]
    shipped = emission.tables()[0].sum(axis=-1)
    per_gev = shipped / emission.ENERGIES_GEV[None, :, None]
    high = emission.ENERGIES_GEV > 0.5
    assert (np.diff(per_gev[:, high], axis=2) > 0).all()  # denser air: lower threshold, more light
    cascades = np.array([max(1.0, min(300, 1500 / (40 * energy))) for energy in emission.ENERGIES_GEV])
    error = np.maximum(spread, 0.05) / np.sqrt(cascades)[None, :, None]
    above = slice(3, None)  # from 0.2 GeV on cascades shine at every density
    pull = (fresh[:, above] / shipped[:, above] - 1) / error[:, above]
    assert np.abs(np.median(pull)) < 0.5
    assert (np.abs(pull) < 5).mean() > 0.97


def test_a_muon_through_the_mirror_makes_a_ring():
    energy, z = 20.0, GROUND_M + 1500.0
    counts, times = cameras()
    radii, widths, sums = [], [], []
    for _ in range(20):
        counts[:], times[:] = 0, 0
        particle = np.array([cascade.MUON, energy, 2.0, 1.0, z, GROUND_DEPTH_G_CM2 - 150, 0.0, 0.0, -1.0, 0.0])
        cores = TELESCOPES_EAST_NORTH_M[:1].copy()
        cascade._follow_muon(particle, cores, frame(0.0, 0.0), 0.092, counts, times)
        image = counts[0, 0]
        n = image.sum()
        if n == 0:  # decayed
            continue
        x, y = image @ PIXEL_X_MM / n, image @ PIXEL_Y_MM / n
        radius = np.degrees(np.hypot(PIXEL_X_MM - x, PIXEL_Y_MM - y) / 17_000.0)
        radii.append(image @ radius / n)
        lit = image > 0
        mean = times[0, 0][lit] / image[lit]
        widths.append(np.sqrt(np.average((mean - np.average(mean, weights=image[lit])) ** 2, weights=image[lit])))
        sums.append(n)
        assert counts[0, 1].sum() == 0  # M2 is 85 m away
    expected = np.degrees(math.sqrt(2 * refractivity(density_at(GROUND_M + 300.0)) - (0.105658 / energy) ** 2))
    assert len(radii) >= 15
    assert np.mean(radii) == pytest.approx(expected, rel=0.04)
    assert np.mean(sums) == pytest.approx(1200, rel=0.25)  # depends on where the mirror is hit
    assert np.mean(widths) < 0.15  # isochronous
