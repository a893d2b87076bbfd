"""The gamma rays of a source during a run: thrown on the fly with its true spectrum, at its place of each moment."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from magicpy_assets.observatory.library import TIME_STEP_NS
from magicpy_assets.observatory.primaries import Thrown, disc_cores
from magicpy_assets.observatory.run_plans import RunPlan
from magicpy_assets.observatory.shards import Shard
from magicpy_assets.observatory.showers import ShowerImages, shoot
from magicpy_assets.observatory.sky import Field, stream
from magicpy_assets.science.pointing import altaz_of

Floats = NDArray[np.float64]

_GRID_POINTS = 2001


def thrown_gammas(plan: RunPlan, field: Field, seed: int, like: Shard) -> tuple[Thrown, Floats]:
    """Draw the gamma rays that arrive during a run, and when they do (s since its start), in order of time.

    They fall on the disc, and have the energies, for which the Monte Carlo shard ``like`` was thrown: what lies beyond
    is hardly ever recorded.
    """
    rng = stream(seed, plan.run, "gamma rays")
    area_cm2 = np.pi * (100.0 * like.radius_m) ** 2
    energy_gev = np.geomspace(*like.energy_gev, _GRID_POINTS)
    flux = field.flux_per_cm2_s_tev(energy_gev / 1000.0) / 1000.0
    steps = 0.5 * (flux[1:] * energy_gev[1:] + flux[:-1] * energy_gev[:-1]) * np.diff(np.log(energy_gev))
    integral = np.concatenate([[0.0], np.cumsum(steps)])
    n = int(rng.poisson(integral[-1] * area_cm2 * plan.duration_s))
    energies = np.exp(np.interp(rng.uniform(0.0, integral[-1], n), integral, np.log(energy_gev)))
    arrival_s = np.sort(rng.uniform(0.0, plan.duration_s, n))
    mjd = plan.start_mjd + arrival_s / 86400.0
    pointing = np.column_stack(plan.pointing_at(mjd))
    toward = np.column_stack(altaz_of(field.ra_deg, field.dec_deg, mjd))
    cores = disc_cores(toward, np.full(n, like.radius_m), 1, rng)
    return Thrown(np.full(n, "gamma"), energies, pointing, toward, cores), arrival_s


@lru_cache(maxsize=1)
def gamma_rays(plan: RunPlan, field: Field, seed: int, like: Shard) -> tuple[ShowerImages, Floats]:
    """Return the images of a run's gamma rays that both telescopes see, and when they arrive (s), in order of time.

    Those of the last run are kept: to simulate showers takes longest, and a run may be made again in another way.
    """
    if not field.shines:
        return ShowerImages.empty(), np.empty(0)
    thrown, arrival_s = thrown_gammas(plan, field, seed, like)
    shower_seed = int(stream(seed, plan.run, "gamma-ray showers").integers(2**31))
    images = shoot(thrown.kind, thrown.energy_gev, thrown.pointing_deg, thrown.toward_deg, thrown.cores_m, shower_seed)
    return as_stored(images), arrival_s[images.shower]


def as_stored(images: ShowerImages) -> ShowerImages:
    """Round times as the library does, so that nothing tells the gamma rays of data from those of Monte Carlo."""
    steps = np.clip(np.round(images.time_ns / TIME_STEP_NS), -127, 127)
    return replace(images, time_ns=(steps * TIME_STEP_NS).astype(np.float32))
