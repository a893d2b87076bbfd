"""Particles through the atmosphere: one shower, from the first interaction to the light in both cameras.

A small Monte Carlo of our own (not CORSIKA, not MAGIC's official simulation). Electrons and photons are followed one by
one down to the parameter `e_par`; below it each becomes a light source with tabulated emission (`emission`).
With `e_par` = 0 everything is followed: the reference. No particle is ever thinned. Hadronic interactions are a toy
vertex tuned on SIBYLL 2.3d. Energies in GeV, depths in g/cm², lengths in m, times in ns.
"""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from magicpy_assets.observatory.atmosphere import GROUND_DEPTH_G_CM2, GROUND_M, density_at, height_of, refractivity
from magicpy_assets.observatory.emission import source_light
from magicpy_assets.observatory.light import LIGHT_SPEED_M_NS, PHOTONS_PER_M, deflected, muon_light, segment_light
from magicpy_assets.observatory.matter import (
    ELECTRON_GEV,
    HARD_PHOTON_GEV,
    MUON_GEV,
    PHOTON_CUT_GEV,
    PION_GEV,
    RADIATION_LENGTH,
    compton_share,
    hard_bremsstrahlung,
    hard_photon_share,
    pair_share,
    photon_interaction,
)
from magicpy_assets.science.site import MAGNETIC_FIELD_T

Floats = NDArray[np.float64]

PHOTON, ELECTRON, POSITRON, PION, NUCLEON, NEUTRAL_PION, MUON = range(7)
HELIUM = 7
STACK_SIZE = 400_000
STACK_COLUMNS = 10  # kind, energy, x, y, z, depth, direction u v w, time
TOP_DEPTH = 0.3
_PION_DECAY_M = 7.804
_MUON_DECAY_M = 658.6
_HELIUM_LENGTH = 46.0
_MUON_MIN_GEV = 4.4
_CLOSE_MUON_M = 3000.0
_FLATTEST = -0.1


@njit(cache=True, fastmath=True)
def _push(
    stack: Floats,
    n: int,
    kind: int,
    energy: float,
    x: float,
    y: float,
    z: float,
    depth: float,
    u: float,
    v: float,
    w: float,
    time: float,
) -> int:
    if n >= stack.shape[0]:
        return n
    row = stack[n]
    row[0], row[1], row[2], row[3], row[4] = kind, energy, x, y, z
    row[5], row[6], row[7], row[8], row[9] = depth, u, v, w, time
    return n + 1


@njit(cache=True, fastmath=True)
def _push_turned(stack: Floats, n: int, kind: int, energy: float, angle: float, parent: Floats) -> int:
    """Push a particle at the place of `parent`, turned away from its direction by an angle to a random side."""
    phi = 6.2831853 * np.random.random()
    u, v, w = deflected(parent[6], parent[7], parent[8], angle * math.cos(phi), angle * math.sin(phi))
    return _push(stack, n, kind, energy, parent[2], parent[3], parent[4], parent[5], u, v, w, parent[9])


@njit(cache=True, fastmath=True)
def _transverse_gev() -> float:
    """Draw a transverse momentum: sum of two exponentials of 0.185 GeV."""
    return -0.185 * (math.log(np.random.random()) + math.log(np.random.random()))


@njit(cache=True, fastmath=True)
def _hadron_vertex(stack: Floats, n: int, parent: Floats) -> int:
    """Break up a nucleon or charged pion: a leading particle, and pions with momentum shares (1-z)^2.5."""
    energy = parent[1]
    if parent[0] == NUCLEON:
        leading_share, neutral_leading, neutral = 0.05 + 0.76 * np.random.random(), 0.0, 0.37
    else:
        leading_share, neutral_leading, neutral = 0.66 * np.random.random() ** 0.8, 0.2, 0.28
    leading = leading_share * energy
    if leading > 1.0:
        angle = _transverse_gev() / leading
        if angle < 0.7:
            kind = NEUTRAL_PION if np.random.random() < neutral_leading else int(parent[0])
            n = _push_turned(stack, n, kind, leading, angle, parent)
    left = 0.97 * (energy - leading)  # the rest goes into nuclear break-up
    while left > 0.5:
        share = (1.0 - np.random.random() ** (1.0 / 3.5)) * left
        left -= share
        if share < 0.25:
            continue
        angle = _transverse_gev() / share
        if angle > 0.7:
            continue
        n = _push_turned(stack, n, NEUTRAL_PION if np.random.random() < neutral else PION, share, angle, parent)
    return n


@njit(cache=True, fastmath=True)
def _decay_neutral_pion(stack: Floats, n: int, parent: Floats) -> int:
    share = np.random.random()
    angle = 0.13498 / parent[1]
    first = second = 0.0
    if 0.01 < share < 0.99:
        first, second = angle * math.sqrt((1 - share) / share), angle * math.sqrt(share / (1 - share))
    phi = 6.2831853 * np.random.random()
    for energy, tilt in ((share * parent[1], first), ((1 - share) * parent[1], -second)):
        if abs(tilt) < 0.7:
            u, v, w = deflected(parent[6], parent[7], parent[8], tilt * math.cos(phi), tilt * math.sin(phi))
            n = _push(stack, n, PHOTON, energy, parent[2], parent[3], parent[4], parent[5], u, v, w, parent[9])
    return n


@njit(cache=True, fastmath=True)
def _step_hadron(stack: Floats, n: int, parent: Floats) -> int:
    """Carry a nucleon or charged pion to its interaction, or a pion to its decay into a muon."""
    energy, w = parent[1], parent[8]
    is_pion = parent[0] == PION
    if w > _FLATTEST or energy < (1.0 if is_pion else 3.0):
        return n
    path_depth = -math.log(np.random.random()) * (120.0 if is_pion else 90.0) * (energy / 100.0) ** -0.04
    depth = parent[5] - path_depth * w
    path = 1e9
    if depth < GROUND_DEPTH_G_CM2:
        path = (parent[4] - height_of(depth)) / (-w)
    if is_pion:
        decay = -math.log(np.random.random()) * _PION_DECAY_M * energy / PION_GEV
        if decay < path:
            height = parent[4] + w * decay
            if height < GROUND_M:
                return n
            muon = energy * (0.573 + 0.427 * np.random.random())
            parent[2] += parent[6] * decay
            parent[3] += parent[7] * decay
            parent[4] = height
            parent[9] += decay / LIGHT_SPEED_M_NS
            return _push_turned(stack, n, MUON, muon, 0.03 * math.sqrt(np.random.random()) / energy, parent)
    if path > 1e8:
        return n
    parent[2] += parent[6] * path
    parent[3] += parent[7] * path
    parent[4] = parent[4] + w * path
    parent[5] = depth
    parent[9] += path / LIGHT_SPEED_M_NS
    return _hadron_vertex(stack, n, parent)


@njit(cache=True, fastmath=True)
def _step_photon(
    stack: Floats,
    n: int,
    parent: Floats,
    e_par: float,
    tables: tuple[Floats, ...],
    cores: Floats,
    frame: Floats,
    efficiency: float,
    counts: Floats,
    times: Floats,
) -> int:
    """Carry a photon to its pair production or Compton scattering."""
    energy, w = parent[1], parent[8]
    if energy < PHOTON_CUT_GEV or w > _FLATTEST:
        return n
    pair, total = photon_interaction(energy)
    depth = parent[5] + math.log(np.random.random()) / total * w
    if depth > GROUND_DEPTH_G_CM2:
        return n
    height = height_of(depth)
    path = (parent[4] - height) / (-w)
    parent[2] += parent[6] * path
    parent[3] += parent[7] * path
    parent[4], parent[5] = height, depth
    parent[9] += path / LIGHT_SPEED_M_NS
    if energy < e_par:
        source_light(0, parent, tables, cores, frame, efficiency, counts, times)
        return n
    x, y, z, u, v, time = parent[2], parent[3], parent[4], parent[6], parent[7], parent[9]
    if np.random.random() * total < pair:
        share = pair_share()
        n = _push(stack, n, ELECTRON, share * energy, x, y, z, depth, u, v, w, time)
        return _push(stack, n, POSITRON, (1 - share) * energy, x, y, z, depth, u, v, w, time)
    share = compton_share(energy)
    n = _push(stack, n, ELECTRON, energy * (1 - share), x, y, z, depth, u, v, w, time)
    if share * energy > PHOTON_CUT_GEV:
        n = _push(stack, n, PHOTON, energy * share, x, y, z, depth, u, v, w, time)
    return n


@njit(cache=True, fastmath=True)
def _follow_electron(
    stack: Floats,
    n: int,
    parent: Floats,
    e_par: float,
    tables: tuple[Floats, ...],
    cores: Floats,
    frame: Floats,
    efficiency: float,
    counts: Floats,
    times: Floats,
) -> int:
    """Follow an electron or positron until it is too slow to shine, falls below `e_par` or reaches the ground."""
    charge = -1.0 if parent[0] == ELECTRON else 1.0
    energy, x, y, z, depth = parent[1], parent[2], parent[3], parent[4], parent[5]
    u, v, w, time = parent[6], parent[7], parent[8], parent[9]
    bx, by, bz = MAGNETIC_FIELD_T[0], MAGNETIC_FIELD_T[1], MAGNETIC_FIELD_T[2]
    start, end, direction = np.empty(3), np.empty(3), np.empty(3)
    while True:
        if w > _FLATTEST or energy < ELECTRON_GEV / math.sqrt(2 * refractivity(density_at(z))):
            return n
        if energy < e_par:
            parent[1], parent[2], parent[3], parent[4], parent[5] = energy, x, y, z, depth
            parent[6], parent[7], parent[8], parent[9] = u, v, w, time
            source_light(1, parent, tables, cores, frame, efficiency, counts, times)
            return n
        step, loss, hard = hard_bremsstrahlung(energy)
        next_depth = depth - step * w
        landed = next_depth > GROUND_DEPTH_G_CM2
        if landed:
            next_depth, hard = GROUND_DEPTH_G_CM2, False
            step = (GROUND_DEPTH_G_CM2 - depth) / (-w)
        next_z = height_of(next_depth)
        path = (z - next_z) / (-w)
        after = energy - step * loss
        if after < 0.005:
            return n
        middle = 0.5 * (energy + after)
        theta0 = 0.0148 / middle * math.sqrt(step / RADIATION_LENGTH)
        nu, nv, nw = deflected(u, v, w, theta0 * np.random.normal(), theta0 * np.random.normal())
        bend = 0.299792458 * charge * path / middle  # rad per tesla
        nu, nv, nw = nu + bend * (v * bz - w * by), nv + bend * (w * bx - u * bz), nw + bend * (u * by - v * bx)
        norm = 1.0 / math.sqrt(nu * nu + nv * nv + nw * nw)
        nu, nv, nw = nu * norm, nv * norm, nw * norm
        mu, mv, mw = 0.5 * (u + nu), 0.5 * (v + nv), 0.5 * (w + nw)
        norm = 1.0 / math.sqrt(mu * mu + mv * mv + mw * mw)
        mu, mv, mw = mu * norm, mv * norm, mw * norm
        next_x, next_y = x + mu * path, y + mv * path
        sine2 = 2 * refractivity(density_at(0.5 * (z + next_z))) - (ELECTRON_GEV / middle) ** 2
        if sine2 > 0:
            turned2 = (nu - u) ** 2 + (nv - v) ** 2 + (nw - w) ** 2
            start[0], start[1], start[2] = x, y, z
            end[0], end[1], end[2] = next_x, next_y, next_z
            direction[0], direction[1], direction[2] = mu, mv, mw
            segment_light(
                start,
                end,
                direction,
                0.5 * (depth + next_depth),
                time,
                theta0 * theta0 / 6 + turned2 / 24 + 1e-7,
                math.sqrt(sine2),
                PHOTONS_PER_M * sine2 * path,
                cores,
                frame,
                efficiency,
                counts,
                times,
            )
        x, y, z, depth, u, v, w, energy = next_x, next_y, next_z, next_depth, nu, nv, nw, after
        time += path / LIGHT_SPEED_M_NS
        if landed:
            return n
        if hard and energy > HARD_PHOTON_GEV:
            photon = hard_photon_share(energy) * energy
            if photon > PHOTON_CUT_GEV:
                n = _push(stack, n, PHOTON, photon, x, y, z, depth, u, v, w, time)
            energy -= photon


@njit(cache=True, fastmath=True)
def _follow_muon(
    parent: Floats, cores: Floats, frame: Floats, efficiency: float, counts: Floats, times: Floats
) -> None:
    """Follow a muon until it decays, is too slow to shine or reaches the ground."""
    energy, x, y, z = parent[1], parent[2], parent[3], parent[4]
    u, v, w, time = parent[6], parent[7], parent[8], parent[9]
    start, end, direction = np.empty(3), np.empty(3), np.empty(3)
    while energy > _MUON_MIN_GEV and w < _FLATTEST:
        density = density_at(z)
        close = z - GROUND_M < _CLOSE_MUON_M
        path = 150.0 if close else 400.0
        if np.random.random() < path / (_MUON_DECAY_M * energy / MUON_GEV):
            return
        next_z = z + w * path
        landed = next_z < GROUND_M
        if landed:
            path, next_z = (z - GROUND_M) / (-w), GROUND_M
        step = density * path * 0.1
        theta0 = 0.0136 / energy * math.sqrt(max(step, 1e-6) / RADIATION_LENGTH)
        nu, nv, nw = deflected(u, v, w, theta0 * np.random.normal(), theta0 * np.random.normal())
        next_x, next_y = x + u * path, y + v * path
        sine2 = 2 * refractivity(density) - (MUON_GEV / energy) ** 2
        if sine2 > 0:
            start[0], start[1], start[2] = x, y, z
            end[0], end[1], end[2] = next_x, next_y, next_z
            direction[0], direction[1], direction[2] = u, v, w
            angle, photons = math.sqrt(sine2), PHOTONS_PER_M * sine2 * path
            if close:
                muon_light(start, end, direction, time, angle, photons, cores, frame, efficiency, counts, times)
            else:
                depth = GROUND_DEPTH_G_CM2 * math.exp(-(z - GROUND_M) / 7500.0)
                blur2 = theta0 * theta0 / 4 + 1e-7
                segment_light(
                    start, end, direction, depth, time, blur2, angle, photons, cores, frame, efficiency, counts, times
                )
        x, y, z, u, v, w, energy = next_x, next_y, next_z, nu, nv, nw, energy - 0.0023 * step
        time += path / LIGHT_SPEED_M_NS
        if landed:
            return


@njit(cache=True, fastmath=True)
def _start(stack: Floats, kind: int, energy: float, toward: Floats) -> int:
    """Put the primary at the top of the atmosphere; helium as four nucleons set free at one depth."""
    u, v, w = -toward[0], -toward[1], -toward[2]
    top = height_of(TOP_DEPTH)
    path = (top - GROUND_M) / toward[2]
    x, y, time = toward[0] * path, toward[1] * path, -path / LIGHT_SPEED_M_NS
    if kind != HELIUM:
        return _push(stack, 0, kind, energy, x, y, top, TOP_DEPTH, u, v, w, time)
    depth = TOP_DEPTH - math.log(np.random.random()) * _HELIUM_LENGTH * toward[2]
    height = height_of(depth)
    down = (top - height) / toward[2]
    n = 0
    for _ in range(4):
        n = _push(
            stack,
            n,
            NUCLEON,
            energy / 4,
            x + u * down,
            y + v * down,
            height,
            depth,
            u,
            v,
            w,
            time + down / LIGHT_SPEED_M_NS,
        )
    return n


@njit(cache=True, fastmath=True)
def shower(
    kind: int,
    energy: float,
    toward: Floats,
    cores: Floats,
    frame: Floats,
    efficiency: float,
    e_par: float,
    tables: tuple[Floats, ...],
    stack: Floats,
    counts: Floats,
    times: Floats,
    seed: int,
) -> None:
    """Simulate one shower and add its photo-electrons to `counts` and `times` (K, 2, 1039).

    `kind` is one of the constants above, `toward` (3,) the unit vector from the ground to where it comes from,
    `cores` (K, 2) the places of the shower core. Everything follows from `seed`.
    """
    np.random.seed(seed)
    n = _start(stack, kind, energy, toward)
    parent = np.empty(STACK_COLUMNS)
    while n > 0:
        n -= 1
        parent[:] = stack[n]
        species = int(parent[0])
        if species == PHOTON:
            n = _step_photon(stack, n, parent, e_par, tables, cores, frame, efficiency, counts, times)
        elif species in (ELECTRON, POSITRON):
            n = _follow_electron(stack, n, parent, e_par, tables, cores, frame, efficiency, counts, times)
        elif species == MUON:
            _follow_muon(parent, cores, frame, efficiency, counts, times)
        elif species == NEUTRAL_PION:
            n = _decay_neutral_pion(stack, n, parent)
        else:
            n = _step_hadron(stack, n, parent)
