"""Directions: sky, horizon and camera. Angles in degrees, azimuth from north through east, camera in mm.

No refraction: neither the simulation nor drive reports of true pointings have any.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from magicpy_assets.science.camera import FOCAL_MM
from magicpy_assets.science.site import HEIGHT_M, LATITUDE_DEG, LONGITUDE_DEG

if TYPE_CHECKING:
    from astropy.coordinates import AltAz

Floats = NDArray[np.float64]


def _horizon(mjd: ArrayLike) -> AltAz:
    import astropy.units as u
    from astropy.coordinates import AltAz, EarthLocation
    from astropy.time import Time

    site = EarthLocation(lon=LONGITUDE_DEG * u.deg, lat=LATITUDE_DEG * u.deg, height=HEIGHT_M * u.m)
    return AltAz(obstime=Time(np.asarray(mjd, dtype=np.float64), format="mjd", scale="utc"), location=site)


def _offline() -> Any:
    """Keep astropy from asking the network for Earth rotation data; those it ships with are good to an arcsecond."""
    from astropy.utils import iers

    return iers.conf.set_temp("auto_download", False)


def altaz_of(ra_deg: ArrayLike, dec_deg: ArrayLike, mjd: ArrayLike) -> tuple[Floats, Floats]:
    """Return zenith distance and azimuth (deg) of ICRS positions at times (MJD, UTC); arguments broadcast."""
    import astropy.units as u
    from astropy.coordinates import SkyCoord

    with _offline():
        found = SkyCoord(np.asarray(ra_deg) * u.deg, np.asarray(dec_deg) * u.deg).transform_to(_horizon(mjd))
        return np.asarray(90.0 - found.alt.deg), np.asarray(found.az.deg)


def radec_of(zd_deg: ArrayLike, az_deg: ArrayLike, mjd: ArrayLike) -> tuple[Floats, Floats]:
    """Return the ICRS position (deg) of directions at times (MJD, UTC): the inverse of `altaz_of`."""
    import astropy.units as u
    from astropy.coordinates import SkyCoord

    with _offline():
        frame = _horizon(mjd)
        found = SkyCoord(az=np.asarray(az_deg) * u.deg, alt=(90.0 - np.asarray(zd_deg)) * u.deg, frame=frame).icrs
        return np.asarray(found.ra.deg), np.asarray(found.dec.deg)


def camera_of(
    zd_deg: ArrayLike, az_deg: ArrayLike, pointing_zd_deg: ArrayLike, pointing_az_deg: ArrayLike
) -> tuple[Floats, Floats]:
    """Return where a direction is imaged: x (mm, towards rising altitude) and y (mm, towards rising azimuth)."""
    zd, az, zd0, az0 = np.radians(np.broadcast_arrays(zd_deg, az_deg, pointing_zd_deg, pointing_az_deg))
    difference = az - az0
    along = np.cos(zd) * np.cos(zd0) + np.sin(zd) * np.sin(zd0) * np.cos(difference)
    up = np.cos(zd) * np.sin(zd0) - np.sin(zd) * np.cos(zd0) * np.cos(difference)
    side = np.sin(zd) * np.sin(difference)
    return FOCAL_MM * up / along, FOCAL_MM * side / along


def sky_of(
    x_mm: ArrayLike, y_mm: ArrayLike, pointing_zd_deg: ArrayLike, pointing_az_deg: ArrayLike
) -> tuple[Floats, Floats]:
    """Return zenith distance and azimuth (deg) of a point of the camera: the inverse of `camera_of`."""
    x, y = np.asarray(x_mm, dtype=np.float64) / FOCAL_MM, np.asarray(y_mm, dtype=np.float64) / FOCAL_MM
    zd0 = np.radians(np.asarray(pointing_zd_deg, dtype=np.float64))
    horizontal = np.sin(zd0) - x * np.cos(zd0)
    up = np.cos(zd0) + x * np.sin(zd0)
    zd = np.degrees(np.arctan2(np.hypot(horizontal, y), up))
    az = np.asarray(pointing_az_deg, dtype=np.float64) + np.degrees(np.arctan2(y, horizontal))
    return zd, az % 360.0


def north_angle(ra_deg: ArrayLike, dec_deg: ArrayLike, mjd: ArrayLike) -> Floats:
    """Return the direction of celestial north in the camera at a pointing: angle (deg) from x towards y."""
    zd, az = altaz_of(ra_deg, dec_deg, mjd)
    zd_north, az_north = altaz_of(ra_deg, np.asarray(dec_deg, dtype=np.float64) + 0.1, mjd)
    x, y = camera_of(zd_north, az_north, zd, az)
    return np.asarray(np.degrees(np.arctan2(y, x)))


def radec_in_camera(
    x_mm: ArrayLike, y_mm: ArrayLike, ra_deg: ArrayLike, dec_deg: ArrayLike, north_deg: ArrayLike
) -> tuple[Floats, Floats]:
    """Return the ICRS position (deg) of camera points for a pointing and its `north_angle`: tangent-plane geometry.

    Much faster than `radec_of` and equal to it within arcseconds. East lies 90 degrees from north towards falling
    x at north = y, that is against the sense from x to y.
    """
    x, y = np.asarray(x_mm, dtype=np.float64) / FOCAL_MM, np.asarray(y_mm, dtype=np.float64) / FOCAL_MM
    angle, dec0 = np.radians(np.asarray(north_deg)), np.radians(np.asarray(dec_deg))
    north = x * np.cos(angle) + y * np.sin(angle)
    east = x * np.sin(angle) - y * np.cos(angle)
    along = np.cos(dec0) - north * np.sin(dec0)
    ra = np.asarray(ra_deg) + np.degrees(np.arctan2(east, along))
    dec = np.degrees(np.arctan2(np.sin(dec0) + north * np.cos(dec0), np.hypot(along, east)))
    return ra % 360.0, dec


def tangent_plane(
    ra_deg: Floats, dec_deg: Floats, centre_ra_deg: float, centre_dec_deg: float
) -> tuple[Floats, Floats]:
    """Gnomonic offsets (deg) towards increasing right ascension and declination; NaN beyond 90° of the centre."""
    ra = np.radians(np.asarray(ra_deg, dtype=np.float64) - centre_ra_deg)
    dec, centre_dec = np.radians(np.asarray(dec_deg, dtype=np.float64)), np.radians(centre_dec_deg)
    depth = np.sin(centre_dec) * np.sin(dec) + np.cos(centre_dec) * np.cos(dec) * np.cos(ra)
    depth = np.where(depth > 0, depth, np.nan)
    x = np.cos(dec) * np.sin(ra) / depth
    y = (np.cos(centre_dec) * np.sin(dec) - np.sin(centre_dec) * np.cos(dec) * np.cos(ra)) / depth
    return np.degrees(x), np.degrees(y)


def circular_mean_deg(angles_deg: ArrayLike) -> float:
    """Return the mean of angles that lie near each other, 0 to 360°: also of those on both sides of 0°."""
    angles = np.radians(np.asarray(angles_deg, dtype=np.float64))
    return float(np.degrees(np.arctan2(np.sin(angles).mean(), np.cos(angles).mean())) % 360)
