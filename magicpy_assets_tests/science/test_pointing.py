"""Directions: sky, horizon and camera, there and back; the camera's frame as astropy and ctapipe have it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from magicpy_assets.science.camera import FOCAL_MM
from magicpy_assets.science.pointing import (
    altaz_of,
    camera_of,
    circular_mean_deg,
    north_angle,
    radec_in_camera,
    radec_of,
    sky_of,
)
from magicpy_assets.science.site import HEIGHT_M, LATITUDE_DEG, LONGITUDE_DEG

MJD = 60_000.97
ARCSEC = 1 / 3600
CRAB = 83.63308, 22.01450

zeniths = st.floats(1.0, 75.0)
azimuths = st.floats(0.0, 360.0, exclude_max=True)
offsets = st.floats(-700.0, 700.0)


def apart_deg(first, second):
    """Angle between directions given as (longitude, latitude) in degrees."""
    (lon1, lat1), (lon2, lat2) = (np.radians(np.asarray(pair, dtype=float)) for pair in (first, second))
    half = np.sin((lat1 - lat2) / 2) ** 2 + np.cos(lat1) * np.cos(lat2) * np.sin((lon1 - lon2) / 2) ** 2
    return np.degrees(2 * np.arcsin(np.sqrt(half)))


@given(zeniths, azimuths, offsets, offsets)
def test_camera_to_horizon_and_back(zd_deg, az_deg, x_mm, y_mm):
    found = camera_of(*sky_of(x_mm, y_mm, zd_deg, az_deg), zd_deg, az_deg)
    assert found == pytest.approx((x_mm, y_mm), abs=1e-6)


@given(zeniths, azimuths)
def test_the_pointing_is_the_centre_of_the_camera(zd_deg, az_deg):
    assert camera_of(zd_deg, az_deg, zd_deg, az_deg) == pytest.approx((0, 0), abs=1e-9)
    zd, az = sky_of(0.0, 0.0, zd_deg, az_deg)
    assert apart_deg((az, 90 - zd), (az_deg, 90 - zd_deg)) < 1e-9


@given(zeniths, azimuths)
def test_x_grows_with_altitude_and_y_with_azimuth(zd_deg, az_deg):
    x, y = camera_of(zd_deg - 0.1, az_deg, zd_deg, az_deg)
    assert (x, y) == pytest.approx((FOCAL_MM * np.tan(np.radians(0.1)), 0.0), abs=1e-6)
    x, y = camera_of(zd_deg, az_deg + 0.01, zd_deg, az_deg)
    assert y == pytest.approx(FOCAL_MM * np.radians(0.01) * np.sin(np.radians(zd_deg)), rel=1e-3)


@given(zeniths, azimuths, offsets, offsets)
def test_distances_in_the_camera_are_tangents_of_angles_in_the_sky(zd_deg, az_deg, x_mm, y_mm):
    zd, az = sky_of(x_mm, y_mm, zd_deg, az_deg)
    angle = apart_deg((az, 90 - zd), (az_deg, 90 - zd_deg))
    assert FOCAL_MM * np.tan(np.radians(angle)) == pytest.approx(np.hypot(x_mm, y_mm), abs=1e-5)


@settings(max_examples=15, deadline=None)
@given(st.floats(5.0, 70.0), azimuths, st.floats(57_000, 61_000))
def test_sky_to_horizon_and_back(zd_deg, az_deg, mjd):
    ra, dec = radec_of(zd_deg, az_deg, mjd)
    zd, az = altaz_of(ra, dec, mjd)
    assert apart_deg((az, 90 - zd), (az_deg, 90 - zd_deg)) < 0.01 * ARCSEC


def test_the_pole_stands_at_the_latitude_of_the_site_in_the_north():
    """Within half a degree: precession since J2000, nutation and aberration move it less."""
    zd, az = altaz_of(0.0, 90.0, MJD)
    assert zd == pytest.approx(90 - LATITUDE_DEG, abs=0.3)
    assert min(az, 360 - az) < 0.3


def test_horizontal_directions_are_those_of_astropy():
    import astropy.units as u
    from astropy.coordinates import AltAz, EarthLocation, SkyCoord
    from astropy.time import Time
    from astropy.utils import iers

    site = EarthLocation(lon=LONGITUDE_DEG * u.deg, lat=LATITUDE_DEG * u.deg, height=HEIGHT_M * u.m)
    mjd = MJD + np.linspace(0, 0.1, 5)
    with iers.conf.set_temp("auto_download", False):
        frame = AltAz(obstime=Time(mjd, format="mjd", scale="utc"), location=site)
        expected = SkyCoord(*CRAB, unit="deg").transform_to(frame)
        offset = SkyCoord(CRAB[0] + 0.3, CRAB[1] - 0.2, unit="deg").transform_to(frame)
        zd, az = altaz_of(*CRAB, mjd)
        np.testing.assert_allclose(apart_deg((az, 90 - zd), (expected.az.deg, expected.alt.deg)), 0, atol=1e-9)
        tangent = offset.transform_to(expected.skyoffset_frame())
        x, y = camera_of(90 - offset.alt.deg, offset.az.deg, zd, az)
        # The offset frame has longitudes to the east of the pointing and latitudes up, both as angles.
        up = FOCAL_MM * np.tan(tangent.lat.rad) / np.cos(tangent.lon.rad)
        np.testing.assert_allclose(x, up, atol=1e-6)
        np.testing.assert_allclose(y, FOCAL_MM * np.tan(tangent.lon.rad), atol=1e-6)


@settings(max_examples=15, deadline=None)
@given(st.floats(5.0, 65.0), st.floats(5.0, 355.0), st.floats(-500, 500), st.floats(-500, 500))
def test_the_tangent_plane_agrees_with_the_whole_way_through_the_horizon(zd_deg, az_deg, x_mm, y_mm):
    """To two arcseconds: light is aberrated differently across the camera, no more."""
    ra, dec = radec_of(zd_deg, az_deg, MJD)
    exact = radec_of(*sky_of(x_mm, y_mm, zd_deg, az_deg), MJD)
    fast = radec_in_camera(x_mm, y_mm, ra, dec, north_angle(ra, dec, MJD))
    assert apart_deg(fast, exact) < 2 * ARCSEC


def test_celestial_north_is_up_in_the_south_and_turns_around_the_pole():
    south = radec_of(30.0, 180.0, MJD)
    north = radec_of(80.0, 0.0, MJD)  # below the pole, where north is up again
    above = radec_of(40.0, 0.0, MJD)  # above the pole: north is down
    assert north_angle(*south, MJD) == pytest.approx(0.0, abs=0.5)
    assert north_angle(*north, MJD) == pytest.approx(0.0, abs=0.5)
    assert abs(north_angle(*above, MJD)) == pytest.approx(180.0, abs=0.6)


def test_the_mean_of_angles_on_both_sides_of_zero_is_between_them():
    assert circular_mean_deg([359.9, 0.1, 0.3]) == pytest.approx(0.1)
    assert circular_mean_deg([359.7, 359.9]) == pytest.approx(359.8)
    assert circular_mean_deg(np.full(5, 83.6)) == pytest.approx(83.6)
