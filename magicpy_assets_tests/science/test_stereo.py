"""Stereo geometry: toy showers without noise come back exactly, in every direction."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from magicpy_assets.science.camera import FOCAL_MM
from magicpy_assets.science.pointing import camera_of, sky_of
from magicpy_assets.science.site import TELESCOPES_EAST_NORTH_M
from magicpy_assets.science.stereo import camera_basis, camera_points, crossing, geometry, vectors

TELESCOPES = [np.array([east, north, 0.0]) for east, north in TELESCOPES_EAST_NORTH_M]


def toy(seed, n=50, zd_deg=(5.0, 60.0)):
    """Showers that are lines of light: pointing, direction, core, height, and the line's ends in both cameras."""
    rng = np.random.default_rng(seed)
    pointing = rng.uniform(*zd_deg, n), rng.uniform(0, 360, n)
    basis = camera_basis(*pointing)
    direction = vectors(rng.uniform(-250, 250, n), rng.uniform(-250, 250, n), basis)
    core = np.stack([rng.uniform(-150, 150, n), rng.uniform(-150, 150, n), np.zeros(n)], axis=1)
    height = rng.uniform(4000, 12000, n)
    centres, deltas = [], []
    for telescope in TELESCOPES:
        points = []
        for z in (height, 1.2 * height):
            seen = core + direction * (z / direction[:, 2])[:, None] - telescope
            points.append(camera_points(seen / np.linalg.norm(seen, axis=1, keepdims=True), basis))
        (x, y), (x_far, y_far) = points
        centres.append((x, y))
        deltas.append(np.arctan2(y_far - y, x_far - x))
    return basis, direction, core, height, centres, deltas


def well_placed(basis, direction, core):
    """Showers that are neither in line with both telescopes nor on top of one: their planes cross at 3 degrees."""
    normals = []
    for telescope in TELESCOPES:
        normal = np.cross(core - telescope, direction)
        normals.append(normal / np.linalg.norm(normal, axis=1, keepdims=True))
    return np.linalg.norm(np.cross(*normals), axis=1) > 0.05


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_showers_without_noise_are_recovered_exactly(seed):
    basis, direction, core, height, centres, deltas = toy(seed)
    good = well_placed(basis, direction, core)
    x, y = zip(*centres, strict=True)
    found, crosses = crossing(x, y, deltas, basis)
    assert crosses[good].all()
    off = np.degrees(np.arccos(np.clip((found * direction).sum(axis=1), -1, 1)))
    assert off[good].max() < 1e-5
    shower = geometry(direction, tuple(vectors(*centre, basis) for centre in centres))
    np.testing.assert_allclose(shower.core_east_m[good], core[good, 0], atol=1e-4)
    np.testing.assert_allclose(shower.core_north_m[good], core[good, 1], atol=1e-4)
    np.testing.assert_allclose(shower.max_height_m[good], height[good], rtol=1e-6)
    for telescope, impact in zip(TELESCOPES, shower.impact_m, strict=True):
        expected = np.linalg.norm(np.cross(core - telescope, direction), axis=1)
        np.testing.assert_allclose(impact[good], expected[good], atol=1e-4)


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_turning_an_axis_around_changes_nothing(seed):
    """An axis has no head: delta and delta + 180 degrees are the same line."""
    basis, _, _, _, centres, deltas = toy(seed, n=10)
    x, y = zip(*centres, strict=True)
    once, crosses = crossing(x, y, deltas, basis)
    again, still = crossing(x, y, (deltas[0] + np.pi, deltas[1]), basis)
    np.testing.assert_array_equal(crosses, still)
    np.testing.assert_allclose(once[crosses], again[crosses], atol=1e-6)


@given(st.floats(1, 80), st.floats(0, 360), st.floats(-700, 700), st.floats(-700, 700))
def test_camera_to_vectors_and_back(zd_deg, az_deg, x_mm, y_mm):
    basis = camera_basis(zd_deg, az_deg)
    direction = vectors([x_mm], [y_mm], basis)
    assert np.linalg.norm(direction) == pytest.approx(1)
    x, y = camera_points(direction, basis)
    assert (x[0], y[0]) == pytest.approx((x_mm, y_mm), abs=1e-6)


@given(st.floats(1, 80), st.floats(0, 360), st.floats(-700, 700), st.floats(-700, 700))
def test_vectors_agree_with_the_angles_of_pointing(zd_deg, az_deg, x_mm, y_mm):
    direction = vectors([x_mm], [y_mm], camera_basis(zd_deg, az_deg))[0]
    zd, az = (np.radians(angle) for angle in sky_of(x_mm, y_mm, zd_deg, az_deg))
    expected = np.sin(zd) * np.sin(az), np.sin(zd) * np.cos(az), np.cos(zd)
    np.testing.assert_allclose(direction, expected, atol=1e-12)
    assert camera_of(np.degrees(zd), np.degrees(az), zd_deg, az_deg) == pytest.approx((x_mm, y_mm), abs=1e-6)


@given(st.floats(1, 80), st.floats(0, 360))
def test_the_basis_is_orthonormal(zd_deg, az_deg):
    basis = camera_basis(zd_deg, az_deg)[0]
    np.testing.assert_allclose(basis @ basis.T, np.eye(3), atol=1e-12)


def test_parallel_axes_do_not_cross():
    basis = camera_basis([20.0], [180.0])
    _, crosses = crossing(([10.0], [50.0]), ([0.0], [0.0]), ([0.0], [0.0]), basis)
    assert not crosses.any()
    direction, crosses = crossing(([100.0], [0.0]), ([0.0], [100.0]), ([0.0], [np.pi / 2]), basis)
    assert crosses.all()
    np.testing.assert_allclose(direction, basis[:, 0], atol=1e-12)


def test_everything_is_finite_whatever_the_images():
    """Random centres and axes, also such as no shower has."""
    rng = np.random.default_rng(8)
    n = 2000
    basis = camera_basis(rng.uniform(1, 80, n), rng.uniform(0, 360, n))
    x, y, delta = (tuple(rng.uniform(-scale, scale, (2, n))) for scale in (500, 500, np.pi / 2))
    direction, _ = crossing(x, y, delta, basis)
    shower = geometry(direction, tuple(vectors(a, b, basis) for a, b in zip(x, y, strict=True)))
    for values in (direction, shower.core_east_m, shower.core_north_m, *shower.impact_m, shower.max_height_m):
        assert np.isfinite(values).all()
    assert shower.max_height_m.min() >= 0
    assert FOCAL_MM == 17_000.0
