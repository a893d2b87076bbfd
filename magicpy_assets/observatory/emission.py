"""Light of the low-energy part of a cascade, from tables.

An electron or photon below the energy at which particles are no longer followed becomes a light source along its own
axis. How much it shines, how far and at which angles was tabulated once, see
:mod:`magicpy_assets.observatory.emission_tables`. The tables ship with the package as `library/emission.npz`.

Axes: kind (photon, electron), energy node, density node, depth bin, angle bin. Angles are those between the axis and
the direction to the telescope, lateral distance included.
"""

import math
from functools import cache
from importlib import resources
from pathlib import Path

import numpy as np
from numba import njit
from numpy.typing import NDArray

from magicpy_assets.core.errors import MissingInputError
from magicpy_assets.observatory.atmosphere import (
    GROUND_DEPTH_G_CM2,
    GROUND_M,
    density_at,
    height_of,
    refraction_delay_m,
    transmission,
)
from magicpy_assets.observatory.light import LIGHT_SPEED_M_NS, plane_delay_ns, poisson, record_photon
from magicpy_assets.observatory.matter import RADIATION_LENGTH
from magicpy_assets.science.site import MIRROR_AREA_M2, TELESCOPES_EAST_NORTH_M

Floats = NDArray[np.float64]
Tables = tuple[NDArray[np.float32], ...]

N_ENERGIES, LOWEST_GEV, HIGHEST_GEV = 14, 0.022, 600.0
ENERGIES_GEV = np.geomspace(LOWEST_GEV, HIGHEST_GEV, N_ENERGIES)
_LOG_STEP = math.log(HIGHEST_GEV / LOWEST_GEV) / (N_ENERGIES - 1)
DENSITIES_KG_M3 = np.array([0.10, 0.20, 0.32, 0.45, 0.58, 0.72, 0.88])
N_DENSITIES = len(DENSITIES_KG_M3)
N_DEPTHS, N_ANGLES, N_POINTS = 12, 40, 12
WIDEST_RAD = 0.40
ROULETTE_PHE = 0.08
_FAINTEST_PHE = 4e-4
FILE = "emission.npz"


def _place() -> Path:
    return Path(str(resources.files("magicpy_assets.observatory").joinpath("library", FILE)))


def is_there() -> bool:
    """Tell whether the tables have been made."""
    return _place().is_file()


@cache
def tables() -> Tables:
    """Load the tables that ship with the package, in the order that `source_light` takes them."""
    if not is_there():
        raise MissingInputError(
            f"the emission tables {_place()} are missing", hint="make them with `magicpy observatory library build`"
        )
    with np.load(_place()) as found:
        arrays = [
            np.ascontiguousarray(found[name], dtype=np.float32) for name in ("light", "angles", "points", "spread")
        ]
    return arrays[0], arrays[1], arrays[2], arrays[1].max(axis=-1), arrays[3]


def no_tables() -> Tables:
    """Return empty tables, for showers in which every particle is followed."""
    shape = (2, N_ENERGIES, N_DENSITIES)
    empty = [(*shape, 1), (*shape, 1, 1), (*shape, 1, 1, 1, 3), (*shape, 1), (*shape, 2)]
    light, angles, points, peak, spread = (np.zeros(sizes, dtype=np.float32) for sizes in empty)
    return light, angles, points, peak, spread


@njit(cache=True, fastmath=True)
def _energy_node(energy: float) -> tuple[int, float]:
    """Pick one of the two neighbouring energy nodes at random, unbiased, and the factor from its light to ours."""
    place = math.log(energy / LOWEST_GEV) / _LOG_STEP
    if place < 0.0:
        return 0, (energy / LOWEST_GEV) ** 2
    node = min(int(place + np.random.random()), N_ENERGIES - 1)
    return node, energy / ENERGIES_GEV[node]


@njit(cache=True, fastmath=True)
def _density_node(density: float, stochastic: bool) -> int:
    node = 0
    while node < N_DENSITIES - 2 and DENSITIES_KG_M3[node + 1] < density:
        node += 1
    if stochastic:
        between = (density - DENSITIES_KG_M3[node]) / (DENSITIES_KG_M3[node + 1] - DENSITIES_KG_M3[node])
        if np.random.random() < between:
            node += 1
    return node


@njit(cache=True, fastmath=True)
def source_light(
    kind: int,
    particle: Floats,
    tables: Tables,
    cores: Floats,
    frame: Floats,
    efficiency: float,
    counts: Floats,
    times: Floats,
) -> None:
    """Draw the photo-electrons of everything that comes of one photon (kind 0) or electron (kind 1).

    `particle` is a row of the stack of `cascade`: kind, energy, x, y, z, depth, direction, time.
    """
    light, _, _, _, spread = tables
    x, y, z, depth = particle[2], particle[3], particle[4], particle[5]
    u, v, w = particle[6], particle[7], particle[8]
    ie, scale = _energy_node(particle[1])
    ir = _density_node(density_at(z), False)
    width = spread[kind, ie, ir, 0]
    if width > 0.02:
        shape = 1.0 / (width * width)
        scale *= np.random.gamma(shape, 1.0 / shape)
    width = spread[kind, ie, ir, 1]
    stretch = math.exp(width * np.random.normal() - 0.5 * width * width)
    bin_depth = (3.0 + 2.2 * math.log(1 + ENERGIES_GEV[ie] / 0.02)) / N_DEPTHS * RADIATION_LENGTH * stretch * (-w)
    upper_z, upper_depth = z, depth
    for j in range(N_DEPTHS):
        if upper_depth >= GROUND_DEPTH_G_CM2 - 1.0:
            return
        lower_depth = min(depth + (j + 1) * bin_depth, GROUND_DEPTH_G_CM2)
        lower_z = height_of(lower_depth)
        at_depth = upper_depth + (lower_depth - upper_depth) * np.random.random()
        at_z = height_of(at_depth)
        if at_z - GROUND_M < 50.0:
            return
        ir = _density_node(density_at(at_z), True)
        photons = light[kind, ie, ir, j] * scale * (lower_depth - upper_depth) / bin_depth
        if photons > 0:
            down = (z - at_z) / (-w)
            _slice_light(
                (kind, ie, ir, j),
                photons,
                (x + u * down, y + v * down, at_z),
                at_depth,
                (upper_z, lower_z),
                particle,
                tables,
                cores,
                frame,
                efficiency,
                counts,
                times,
            )
        upper_z, upper_depth = lower_z, lower_depth


@njit(cache=True, fastmath=True)
def _slice_light(
    node: tuple[int, int, int, int],
    photons: float,
    place: tuple[float, float, float],
    depth: float,
    span: tuple[float, float],
    particle: Floats,
    tables: Tables,
    cores: Floats,
    frame: Floats,
    efficiency: float,
    counts: Floats,
    times: Floats,
) -> None:
    """Draw the photo-electrons of one depth bin of a source, seen from its random middle `place`."""
    _, all_angles, all_points, peak, _ = tables
    angles = all_angles[node]
    points = all_points[node]
    u, v, w = particle[6], particle[7], particle[8]
    xm, ym, zm = place
    height = zm - GROUND_M
    along_axis = height / (-w)
    bound = photons * peak[node] * MIRROR_AREA_M2 * efficiency / (along_axis * along_axis)
    if bound < ROULETTE_PHE:
        if np.random.random() * ROULETTE_PHE > bound:
            return
        photons *= ROULETTE_PHE / bound
    strength = photons * MIRROR_AREA_M2 * efficiency * transmission(depth, height, -w)
    last = N_ANGLES - 1
    faintest = _FAINTEST_PHE * along_axis * along_axis / strength
    while last > 0 and angles[last] < faintest:
        last -= 1
    widest = WIDEST_RAD * ((last + 1.0) / N_ANGLES) ** 2
    reach = 1.06 * widest * along_axis / (-w)
    ground_x, ground_y = xm + u * along_axis, ym + v * along_axis
    delay = refraction_delay_m(depth, -w)
    per_depth = 10.0 / density_at(zm)
    for k in range(cores.shape[0]):
        for tel in range(2):
            tx = TELESCOPES_EAST_NORTH_M[tel, 0] - cores[k, 0]
            ty = TELESCOPES_EAST_NORTH_M[tel, 1] - cores[k, 1]
            if (ground_x - tx) ** 2 + (ground_y - ty) ** 2 > reach * reach:
                continue
            rx, ry = xm - tx, ym - ty
            distance2 = rx * rx + ry * ry + height * height
            down = -(rx * u + ry * v + height * w)
            angle2 = max(2.0 * (1.0 - down / math.sqrt(distance2)), 1e-12)
            if angle2 >= widest * widest:
                continue
            ia = int(N_ANGLES * math.sqrt(math.sqrt(angle2) / WIDEST_RAD))
            if ia >= N_ANGLES:
                continue
            n = poisson(strength * angles[ia] / distance2)
            if n == 0:
                continue
            # px: from the axis towards the telescope; qx: across
            px, py, pz = -rx - u * down, -ry - v * down, -height - w * down
            norm = 1.0 / (math.sqrt(px * px + py * py + pz * pz) + 1e-9)
            px, py, pz = px * norm, py * norm, pz * norm
            qx, qy, qz = v * pz - w * py, w * px - u * pz, u * py - v * px
            offset = plane_delay_ns(tx, ty, frame)
            for _ in range(n):
                z = span[0] + np.random.random() * (span[1] - span[0])
                travelled = (particle[4] - z) / (-w)
                point = points[ia, int(np.random.random() * N_POINTS)]
                to, across = point[0] * per_depth, point[1] * per_depth
                sx = particle[2] + u * travelled + to * px + across * qx - tx
                sy = particle[3] + v * travelled + to * py + across * qy - ty
                sz = z - GROUND_M + to * pz + across * qz
                if sx * frame[0, 0] + sy * frame[0, 1] + sz * frame[0, 2] < 10.0:
                    continue
                path = travelled + point[2] * per_depth + math.sqrt(sx * sx + sy * sy + sz * sz) + delay
                record_photon(sx, sy, sz, particle[9] + path / LIGHT_SPEED_M_NS + offset, k, tel, frame, counts, times)
