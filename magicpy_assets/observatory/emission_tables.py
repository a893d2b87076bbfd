"""Making of the tables of light of low-energy cascades, which :mod:`magicpy_assets.observatory.emission` draws from.

`build` follows cascades through air of uniform density with a field of 35 µT across, one node of the tables after the
other, and notes where their light comes from and where it goes.
"""

import math
from pathlib import Path

import numpy as np
from numba import njit
from numpy.typing import NDArray

from magicpy_assets.observatory.atmosphere import DENSITY_KG_M3, GROUND_M, HEIGHT_M, refractivity
from magicpy_assets.observatory.emission import (
    DENSITIES_KG_M3,
    ENERGIES_GEV,
    N_ANGLES,
    N_DENSITIES,
    N_DEPTHS,
    N_ENERGIES,
    N_POINTS,
    WIDEST_RAD,
)
from magicpy_assets.observatory.light import PHOTONS_PER_M, deflected
from magicpy_assets.observatory.matter import (
    ELECTRON_GEV,
    HARD_PHOTON_GEV,
    PHOTON_CUT_GEV,
    RADIATION_LENGTH,
    compton_share,
    hard_bremsstrahlung,
    hard_photon_share,
    pair_share,
    photon_interaction,
)

Floats = NDArray[np.float64]


FIELD_ACROSS_T = 35e-6
SEED = 1
_END_DEPTH = 3.0 + 2.2 * np.log(1 + ENERGIES_GEV / 0.02)  # of the profile, radiation lengths


@njit(cache=True, fastmath=True)
def _shine(kind: int, energy0: float, density: float, stack: Floats, records: NDArray[np.float64], used: int) -> int:
    """Follow one cascade through uniform air; a row of `records` for each shining step, from row `used` on.

    Columns: depth (g/cm²), x, y (m), slopes in x and y, photons, Cherenkov angle, path minus depth along the axis (m).
    """
    n = 1
    stack[0, 0], stack[0, 1], stack[0, 2], stack[0, 3], stack[0, 4] = kind, energy0, 0.0, 0.0, 0.0
    stack[0, 5], stack[0, 6], stack[0, 7], stack[0, 8] = 0.0, 0.0, 1.0, 0.0
    excess = refractivity(density)
    threshold = ELECTRON_GEV / math.sqrt(2 * excess)
    first = kind == 0
    while n > 0:
        n -= 1
        species, energy = int(stack[n, 0]), stack[n, 1]
        x, y, z = stack[n, 2], stack[n, 3], stack[n, 4]
        u, v, w, path = stack[n, 5], stack[n, 6], stack[n, 7], stack[n, 8]
        if species == 0:
            if (energy < PHOTON_CUT_GEV and not first) or w < 0.1:
                continue
            pair, total = photon_interaction(energy)
            length = 0.0 if first else -math.log(np.random.random()) / total / density * 10.0
            first = False
            x, y, z, path = x + u * length, y + v * length, z + w * length, path + length
            if np.random.random() * total < pair:
                share = pair_share()
                n = _keep(stack, n, 1, share * energy, x, y, z, u, v, w, path)
                n = _keep(stack, n, 1, (1 - share) * energy, x, y, z, u, v, w, path)
            else:
                share = compton_share(energy)
                n = _keep(stack, n, 1, energy * (1 - share), x, y, z, u, v, w, path)
                if share * energy > PHOTON_CUT_GEV:
                    n = _keep(stack, n, 0, energy * share, x, y, z, u, v, w, path)
            continue
        field = (FIELD_ACROSS_T if np.random.random() < 0.5 else -FIELD_ACROSS_T) * 0.299792458
        while energy > threshold and w > 0.1:
            step, loss, hard = hard_bremsstrahlung(energy)
            length = step / density * 10.0
            after = energy - step * loss
            if after < 0.005:
                break
            middle = 0.5 * (energy + after)
            theta0 = 0.0148 / middle * math.sqrt(step / RADIATION_LENGTH)
            nu, nv, nw = deflected(u, v, w, theta0 * np.random.normal(), theta0 * np.random.normal())
            bend = field * length / middle
            nv, nw = nv + bend * w, nw - bend * v
            norm = 1.0 / math.sqrt(nu * nu + nv * nv + nw * nw)
            nu, nv, nw = nu * norm, nv * norm, nw * norm
            mu, mv, mw = 0.5 * (u + nu), 0.5 * (v + nv), 0.5 * (w + nw)
            norm = 1.0 / math.sqrt(mu * mu + mv * mv + mw * mw)
            mu, mv, mw = mu * norm, mv * norm, mw * norm
            next_x, next_y, next_z = x + mu * length, y + mv * length, z + mw * length
            sine2 = 2 * excess - (ELECTRON_GEV / middle) ** 2
            if sine2 > 0 and used < records.shape[0]:
                depth_m, blur = 0.5 * (z + next_z), theta0 / 2.449
                row = records[used]
                row[0], row[1], row[2] = depth_m * density / 10.0, 0.5 * (x + next_x), 0.5 * (y + next_y)
                row[3], row[4] = mu / mw + blur * np.random.normal(), mv / mw + blur * np.random.normal()
                row[5], row[6] = PHOTONS_PER_M * sine2 * length, math.sqrt(sine2)
                row[7] = path + 0.5 * length - depth_m
                used += 1
            x, y, z, u, v, w, energy = next_x, next_y, next_z, nu, nv, nw, after
            path += length
            if hard and energy > HARD_PHOTON_GEV:
                photon = hard_photon_share(energy) * energy
                if photon > PHOTON_CUT_GEV:
                    n = _keep(stack, n, 0, photon, x, y, z, u, v, w, path)
                energy -= photon
    return used


@njit(cache=True, fastmath=True)
def _keep(
    stack: Floats,
    n: int,
    kind: int,
    energy: float,
    x: float,
    y: float,
    z: float,
    u: float,
    v: float,
    w: float,
    path: float,
) -> int:
    if n >= stack.shape[0]:
        return n
    row = stack[n]
    row[0], row[1], row[2], row[3], row[4] = kind, energy, x, y, z
    row[5], row[6], row[7], row[8] = u, v, w, path
    return n + 1


@njit(cache=True, fastmath=True)
def _cascades(
    kind: int, energy: float, density: float, wanted: int, most: int, stack: Floats, records: Floats, summary: Floats
) -> tuple[int, int]:
    """Follow cascades until there are enough records; `summary` takes light and mean depth of each of the first."""
    used = showers = 0
    while used < wanted and showers < most:
        before = used
        used = _shine(kind, energy, density, stack, records, used)
        if showers < summary.shape[0]:
            light = moment = 0.0
            for i in range(before, used):
                light += records[i, 5]
                moment += records[i, 5] * records[i, 0]
            summary[showers, 0] = light
            summary[showers, 1] = moment / light if light > 0 else np.nan
        showers += 1
    return used, showers


@njit(cache=True, fastmath=True)
def _fill(
    records: Floats, n: int, density: float, distance: float, end: float, light: Floats, angles: Floats, points: Floats
) -> None:
    """Histogram the records of one node; `points` keeps a light-weighted sample of where the light came from."""
    for i in range(n):
        j = int(records[i, 0] / RADIATION_LENGTH / end * N_DEPTHS)
        if j >= N_DEPTHS or j < 0:
            continue
        light[j] += records[i, 5]
        start = np.random.random() * 6.2831853
        for m in range(6):
            phi = start + m * 1.0471976
            ax = records[i, 3] + records[i, 6] * math.cos(phi) + records[i, 1] / distance
            ay = records[i, 4] + records[i, 6] * math.sin(phi) + records[i, 2] / distance
            angle = math.sqrt(ax * ax + ay * ay)
            k = int(N_ANGLES * math.sqrt(angle / WIDEST_RAD))
            if k >= N_ANGLES:
                continue
            weight = records[i, 5] / 6
            angles[j, k] += weight
            cos, sin = ax / angle, ay / angle
            for s in range(N_POINTS):
                if np.random.random() * angles[j, k] < weight:
                    points[j, k, s, 0] = (records[i, 1] * cos + records[i, 2] * sin) * density / 10.0
                    points[j, k, s, 1] = (-records[i, 1] * sin + records[i, 2] * cos) * density / 10.0
                    points[j, k, s, 2] = records[i, 7] * density / 10.0


@njit(cache=True)
def _seed(seed: int) -> None:
    np.random.seed(seed)


def build(path: Path, records_wanted: int = 60_000, most_cascades: int = 20_000, seed: int = SEED) -> None:
    """Make the tables and write them; about half a minute of one core."""
    _seed(seed)
    shape = (2, N_ENERGIES, N_DENSITIES)
    light = np.zeros((*shape, N_DEPTHS))
    angles = np.zeros((*shape, N_DEPTHS, N_ANGLES))
    points = np.zeros((*shape, N_DEPTHS, N_ANGLES, N_POINTS, 3))
    spread = np.zeros((*shape, 2))
    stack, records = np.empty((200_000, 9)), np.empty((1_200_000, 8))
    edges = WIDEST_RAD * (np.arange(N_ANGLES + 1) / N_ANGLES) ** 2
    solid_angle = math.pi * (edges[1:] ** 2 - edges[:-1] ** 2)
    for kind, ie, ir in np.ndindex(*shape):
        density = float(DENSITIES_KG_M3[ir])
        height = np.interp(density, DENSITY_KG_M3[::-1], HEIGHT_M[::-1])
        distance = max(float(height) - GROUND_M, 300.0)
        summary = np.full((400, 2), np.nan)
        wanted = records_wanted if ENERGIES_GEV[ie] < 50 else 8 * records_wanted
        energy = float(ENERGIES_GEV[ie])
        used, cascades = _cascades(kind, energy, density, wanted, most_cascades, stack, records, summary)
        node = kind, ie, ir
        _fill(records, used, density, distance, float(_END_DEPTH[ie]), light[node], angles[node], points[node])
        inside = angles[node].sum(axis=1) / np.maximum(light[node], 1e-30)
        share = angles[node] / np.maximum(angles[node].sum(axis=1, keepdims=True), 1e-30)
        angles[node] = share / solid_angle * inside[:, None]
        light[node] /= cascades
        spread[node] = _spread(summary)
    np.savez_compressed(
        path,
        light=light.astype(np.float32),
        angles=angles.astype(np.float32).astype(np.float16),
        points=points.astype(np.float16),
        spread=spread.astype(np.float32),
        seed=seed,
    )


def _spread(summary: Floats) -> tuple[float, float]:
    """Return the relative spread of the light between cascades, and that of the logarithm of its mean depth."""
    light = summary[~np.isnan(summary[:, 0]), 0]
    depth = summary[~np.isnan(summary[:, 1]), 1]
    if light.sum() == 0:
        return 1.0, 1.0
    return float(light.std() / light.mean()), float(np.log(depth + 1.0).std())
