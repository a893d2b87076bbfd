"""The camera: the pixels of the public geometry table, whole rings, neighbours as others find them."""

from importlib.resources import files

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from magicpy_assets.science.camera import (
    BORDER,
    CAMERA_RADIUS_PITCHES,
    FOCAL_MM,
    N_NEIGHBOURS,
    N_PIXELS,
    N_RINGS,
    NEIGHBOURS,
    PITCH_MM,
    PIXEL_AREA_MM2,
    PIXEL_X_MM,
    PIXEL_Y_MM,
    SECOND_BORDER,
    TRIGGER_REGION,
    degrees_of,
    pixel_of,
)


@pytest.fixture(scope="module")
def public():
    """The geometry that ctapipe-io-magic ships."""
    from ctapipe.instrument import CameraGeometry

    return CameraGeometry.from_table(str(files("ctapipe_io_magic") / "resources/MAGICCam.camgeom.fits.gz"))


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
def test_pixels_lie_where_the_public_table_has_them(public):
    """The table's x and y are the readout's; ours are those of the sky, the same numbers."""
    assert len(public.pix_x) == N_PIXELS == len(PIXEL_X_MM)
    assert np.abs(public.pix_x.to_value("mm") - PIXEL_X_MM).max() < 0.010
    assert np.abs(public.pix_y.to_value("mm") - PIXEL_Y_MM).max() < 0.010
    np.testing.assert_allclose(public.pix_area.to_value("mm2"), PIXEL_AREA_MM2, rtol=1e-6)


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
def test_neighbours_are_those_that_ctapipe_finds(public):
    ours = np.zeros((N_PIXELS, N_PIXELS), dtype=bool)
    for i, row in enumerate(NEIGHBOURS):
        ours[i, row[row >= 0]] = True
    np.testing.assert_array_equal(ours, public.neighbor_matrix)
    np.testing.assert_array_equal(BORDER, public.get_border_pixel_mask(1))
    np.testing.assert_array_equal(BORDER | SECOND_BORDER, public.get_border_pixel_mask(2))


def test_neighbours_are_mutual_one_pitch_away_and_in_order_around():
    for i, row in enumerate(NEIGHBOURS):
        for side, j in enumerate(row):
            if j < 0:
                continue
            assert NEIGHBOURS[j, (side + 3) % 6] == i
            assert np.hypot(PIXEL_X_MM[i] - PIXEL_X_MM[j], PIXEL_Y_MM[i] - PIXEL_Y_MM[j]) == pytest.approx(PITCH_MM)
            after = NEIGHBOURS[i, (side + 1) % 6]
            if after >= 0:
                assert after in NEIGHBOURS[j]
    np.testing.assert_array_equal(N_NEIGHBOURS, (NEIGHBOURS >= 0).sum(axis=1))


def ring_of_each_pixel():
    """Steps from the central pixel, walked from neighbour to neighbour."""
    ring = np.full(N_PIXELS, -1)
    ring[0], reached, steps = 0, [0], 0
    while reached:
        steps += 1
        reached = sorted({int(j) for i in reached for j in NEIGHBOURS[i] if j >= 0 and ring[j] < 0})
        ring[reached] = steps
    return ring


def test_pixels_are_numbered_ring_by_ring_and_whole_rings_have_six_more_each():
    ring = ring_of_each_pixel()
    assert ring.max() == N_RINGS
    assert (np.diff(ring) >= 0).all()
    counts = np.bincount(ring)
    whole = int(CAMERA_RADIUS_PITCHES)  # the corners of the rings beyond are cut off
    assert counts[: whole - 1].tolist() == [1] + [6 * n for n in range(1, whole - 1)]
    assert all(counts[n] < 6 * n for n in range(whole + 1, N_RINGS + 1))
    assert counts.sum() == N_PIXELS


def test_trigger_region_and_scale():
    assert TRIGGER_REGION.sum() == (np.hypot(PIXEL_X_MM, PIXEL_Y_MM) < 12.55 * 30.0).sum()
    assert 500 < TRIGGER_REGION.sum() < 600
    assert degrees_of(FOCAL_MM) == pytest.approx(np.degrees(1.0))
    assert degrees_of([1.0, 30.0]) == pytest.approx([0.0033703, 0.101109], rel=1e-4)


@given(
    st.integers(0, N_PIXELS - 1),
    st.floats(0, 0.4999 * PITCH_MM),
    st.floats(0, 2 * np.pi),
)
def test_a_point_within_half_a_pitch_of_a_pixel_falls_into_it(pixel, distance_mm, angle_rad):
    x, y = PIXEL_X_MM[pixel] + distance_mm * np.cos(angle_rad), PIXEL_Y_MM[pixel] + distance_mm * np.sin(angle_rad)
    assert pixel_of(x, y) == pixel


@given(st.floats(-900, 900), st.floats(-900, 900))
def test_a_point_falls_into_the_nearest_pixel_or_outside_all(x_mm, y_mm):
    apart = np.hypot(PIXEL_X_MM - x_mm, PIXEL_Y_MM - y_mm)
    found = pixel_of(x_mm, y_mm)
    if found >= 0:
        assert apart[found] <= apart.min() + 1e-6
        assert apart[found] <= PITCH_MM / np.sqrt(3) + 1e-6
    else:
        assert apart.min() >= PITCH_MM / 2 - 1e-6


@pytest.mark.parametrize("point", [(1e9, 0.0), (0.0, -1e6), (-700.0, 700.0)])
def test_points_far_away_are_in_no_pixel(point):
    assert pixel_of(*point) == -1
