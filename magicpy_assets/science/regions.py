"""Where events are counted: the on region around a source, and the off regions it is reflected to.

Point-like responses come with the radius of their on region, fixed or by energy. Full-enclosure responses have a PSF
instead; then one radius for all runs is chosen here, and the share of gamma rays within it is put into the exposure.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np

from magicpy_assets.core.errors import InputError, OutOfRangeError
from magicpy_assets.science.field import OTHER_RADIUS_DEG, Neighbour

logger = logging.getLogger(__name__)

PSF_SHARE, PSF_ENERGY_TEV = 0.75, 0.3
"""Full-enclosure: the on region holds three quarters of the gamma rays at 300 GeV, as the usual direction cut does."""
RADIUS_STEP_DEG = 0.01


def offset_deg(observation: Any, position_deg: tuple[float, float]) -> float:
    """Return the distance of a position (ra, dec ICRS) from the pointing of an observation."""
    return float(_sky(position_deg).separation(observation.get_pointing_icrs(observation.tmid)).deg)


def is_point_like(observation: Any) -> bool:
    """Tell whether the responses of an observation contain the cut on direction.

    Raises
    ------
    InputError
        If there is neither an on radius nor a PSF, so that nothing says which share of the gamma rays is counted.
    """
    if observation.aeff.is_pointlike:
        if observation.rad_max is None:
            raise InputError(f"run {observation.obs_id}: point-like responses, but no RAD_MAX, as HDU or as keyword")
        return True
    if observation.psf is None:
        raise InputError(
            f"run {observation.obs_id}: full-enclosure responses, but no PSF: the share of gamma rays in an on region "
            "is not known",
            hint="magicpy dl3 check says what a file lacks",
        )
    return False


def psf_radius_deg(observations: Sequence[Any], position_deg: tuple[float, float]) -> float | None:
    """Return the on radius for full-enclosure runs: median of the circles that hold 75 % at 300 GeV; None without any.

    Rounded to 0.01°. The PSF is taken at the offset of the source.
    """
    import astropy.units as u

    radii = [
        observation.psf.containment_radius(
            fraction=PSF_SHARE, energy_true=PSF_ENERGY_TEV * u.TeV, offset=offset_deg(observation, position_deg) * u.deg
        ).to_value("deg")
        for observation in observations
        if not is_point_like(observation)
    ]
    if not radii:
        return None
    found = float(np.nanmedian(radii)) if np.isfinite(radii).any() else 0.0
    if found <= 0:
        raise InputError(f"the PSF says nothing at {1e3 * PSF_ENERGY_TEV:.0f} GeV: no on region can be chosen")
    return max(RADIUS_STEP_DEG, RADIUS_STEP_DEG * round(found / RADIUS_STEP_DEG))


def on_region(observation: Any, position_deg: tuple[float, float], psf_radius: float | None) -> Any:
    """Return a point where the radius depends on energy, else a circle: of RAD_MAX, or of `psf_radius` (deg)."""
    import astropy.units as u
    from regions import CircleSkyRegion, PointSkyRegion

    position = _sky(position_deg)
    if not is_point_like(observation):
        return CircleSkyRegion(position, radius=psf_radius * u.deg)
    if observation.rad_max.is_fixed_rad_max:
        return CircleSkyRegion(position, radius=observation.rad_max.quantity[0, 0])
    return PointSkyRegion(position)


def with_off_counts(dataset: Any, observation: Any, n_off: int, neighbours: Sequence[Neighbour]) -> Any:
    """Return an on/off dataset: counts in `n_off` reflected regions, without those that hold a known source.

    Raises
    ------
    OutOfRangeError
        If the regions overlap, or all of them hold known sources.
    """
    from gammapy.makers import ReflectedRegionsBackgroundMaker, WobbleRegionsFinder

    mask = _exclusion(dataset.counts.geom.region, observation, neighbours)
    maker = ReflectedRegionsBackgroundMaker(region_finder=WobbleRegionsFinder(n_off), exclusion_mask=mask)
    found = maker.run(dataset, observation)
    names = ", ".join(one.name for one in neighbours)
    if found.counts_off is None:
        if mask is not None and maker.region_finder.run(dataset.counts.geom.region, _centre(observation))[0]:
            raise OutOfRangeError(
                f"run {observation.obs_id}: none of {n_off} off regions is usable beside {names}",
                hint="use another number of off regions",
            )
        raise OutOfRangeError(
            f"run {observation.obs_id}: {n_off} off regions overlap each other or the on region",
            hint="use fewer off regions or a higher minimum energy",
        )
    left = round(float(np.median(found.acceptance_off.data / np.maximum(found.acceptance.data, 1e-12))))
    if left < n_off:
        logger.warning(
            "run %s: %d of %d off regions are used, the others are too near to %s",
            observation.obs_id, left, n_off, names,
        )  # fmt: skip
    return found


def _exclusion(region: Any, observation: Any, neighbours: Sequence[Neighbour]) -> Any:
    """Mask (gammapy, True where background may be) without the circles around other sources; None without any.

    gammapy asks of a point only whether it lies inside, so for points the circles are larger by the on radius.
    """
    import astropy.units as u
    from gammapy.maps import WcsGeom
    from regions import CircleSkyRegion, PointSkyRegion

    if not neighbours:
        return None
    radius = OTHER_RADIUS_DEG * u.deg
    if isinstance(region, PointSkyRegion):
        radius = radius + np.median(observation.rad_max.quantity)
    width = 4 * region.center.separation(_centre(observation)) + 1 * u.deg
    geom = WcsGeom.create(skydir=_centre(observation), width=width, binsz=0.01 * u.deg, frame="icrs", proj="TAN")
    circles = [CircleSkyRegion(_sky((one.ra_deg, one.dec_deg)), radius) for one in neighbours]
    return geom.region_mask(circles, inside=False)


def _centre(observation: Any) -> Any:
    return observation.get_pointing_icrs(observation.tmid)


def _sky(position_deg: tuple[float, float]) -> Any:
    from astropy.coordinates import SkyCoord

    return SkyCoord(*position_deg, unit="deg", frame="icrs")
