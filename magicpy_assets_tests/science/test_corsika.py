"""The frame of CORSIKA and ours, there and back, and as the public reader turns one into the other."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from magicpy_assets.science.corsika import (
    DECLINATION_DEG,
    azimuth_deg,
    core_from_corsika_m,
    core_to_corsika_cm,
    phi_rad,
)

cores = st.floats(-1000.0, 1000.0)


@given(st.floats(0.0, 360.0, exclude_max=True))
def test_azimuth_there_and_back(azimuth):
    phi = phi_rad(azimuth)
    assert -np.pi <= phi <= np.pi
    off = (azimuth_deg(phi) - azimuth + 180) % 360 - 180
    assert abs(off) < 1e-9


@given(st.floats(-10.0, 10.0))
def test_azimuths_are_between_0_and_360_and_run_against_phi(phi):
    azimuth = azimuth_deg(phi)
    assert 0 <= azimuth < 360
    assert np.cos(np.radians(azimuth)) == pytest.approx(np.cos(np.radians(180 + DECLINATION_DEG) - phi), abs=1e-9)


@given(cores, cores)
def test_cores_there_and_back(east_m, north_m):
    assert core_from_corsika_m(*core_to_corsika_cm(east_m, north_m)) == pytest.approx((east_m, north_m), abs=1e-9)


@given(cores, cores)
def test_distances_are_kept_in_centimetres(east_m, north_m):
    x, y = core_to_corsika_cm(east_m, north_m)
    assert np.hypot(x, y) == pytest.approx(100 * np.hypot(east_m, north_m), abs=1e-6)


def test_the_axis_x_points_to_magnetic_north_seven_degrees_west_of_true():
    """On La Palma a needle pointed 7 degrees west of north."""
    east, north = core_from_corsika_m(100.0, 0.0)
    assert np.degrees(np.arctan2(east, north)) == pytest.approx(DECLINATION_DEG)
    east, north = core_from_corsika_m(0.0, 100.0)
    assert np.degrees(np.arctan2(east, north)) == pytest.approx(DECLINATION_DEG - 90.0)


@given(st.floats(-np.pi, np.pi), st.floats(10.0, 1000.0))
def test_directions_and_cores_turn_together(phi, distance_m):
    """A particle moving along phi lies, seen from where it came, opposite: a core along -phi is in its azimuth."""
    east, north = core_from_corsika_m(-100 * distance_m * np.cos(phi), -100 * distance_m * np.sin(phi))
    azimuth = np.degrees(np.arctan2(east, north))
    off = (azimuth - azimuth_deg(phi) + 180) % 360 - 180
    assert abs(off) < 1e-6


def test_whole_arrays_are_turned_as_the_public_reader_turns_them():
    """ctapipe-io-magic: azimuth = 180° - phi + declination, and a rotation of the core by the same angle."""
    rng = np.random.default_rng(1)
    phi = rng.uniform(-np.pi, np.pi, 1000)
    expected = (np.pi - phi + np.radians(DECLINATION_DEG)) % (2 * np.pi)
    np.testing.assert_allclose(np.radians(azimuth_deg(phi)), expected, atol=1e-12)
