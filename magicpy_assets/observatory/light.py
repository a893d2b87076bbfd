"""From charged tracks to photo-electrons in the two cameras.

The key step: the Cherenkov light of a short track seen from a distant telescope is a ring of the Cherenkov angle around
the track, blurred by scattering; its expected number in a mirror is known in closed form and only the
photo-electrons that are really seen are drawn. Lengths in m, times in ns, angles in rad, camera in mm.

An *array* of K cores is evaluated at once: `cores` (K, 2) are the shower cores relative to the telescopes, east and
north; `frame` (3, 3) holds pointing, direction of rising altitude, direction of rising azimuth. `counts` and `times`
(K, 2, 1039) take photo-electrons and the sum of their arrival times.
"""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from magicpy_assets.observatory.atmosphere import GROUND_M, refraction_delay_m, transmission
from magicpy_assets.science.camera import FOCAL_MM, pixel_of
from magicpy_assets.science.site import MIRROR_AREA_M2, TELESCOPES_EAST_NORTH_M

Floats = NDArray[np.float64]

LIGHT_SPEED_M_NS = 0.299792458
PHOTONS_PER_M = 2 * math.pi / 137.036 * (1 / 300e-9 - 1 / 600e-9)
"""Photons of 300-600 nm per metre of track and sin² of the Cherenkov angle."""
MIRROR_RADIUS_M = 8.5
PSF_MM = FOCAL_MM * math.radians(0.036)
"""Point-spread function, Gaussian width per axis."""
MIRROR_BLUR_M2 = 18.06
"""Blur by the size of the mirror disc: (4.25 m)², divided by distance squared."""
ROULETTE_PHE = 0.10
_RING_SIGMAS = 3.3


@njit(cache=True, fastmath=True)
def bessel_i0e(x: float) -> float:
    """Return exp(-x) I0(x) for x >= 0: Abramowitz & Stegun 9.8.1, and 9.8.2 to the fourth power, within 1.7 %."""
    if x < 3.75:
        t = (x / 3.75) ** 2
        series = 0.2659732 + t * (0.0360768 + t * 0.0045813)
        return math.exp(-x) * (1 + t * (3.5156229 + t * (3.0899424 + t * (1.2067492 + t * series))))
    t = 3.75 / x
    series = 0.00225319 + t * (-0.00157565 + t * 0.00916281)
    return (0.39894228 + t * (0.01328592 + t * series)) / math.sqrt(x)


@njit(cache=True, fastmath=True)
def plane_delay_ns(east: float, north: float, frame: Floats) -> float:
    """Return the time by which a plane wave from the pointing is later at a place than at the origin, negated."""
    return (east * frame[0, 0] + north * frame[0, 1]) / LIGHT_SPEED_M_NS


@njit(cache=True, fastmath=True)
def record_photon(
    x: float, y: float, z: float, time: float, k: int, tel: int, frame: Floats, counts: Floats, times: Floats
) -> None:
    """Put a photo-electron into the pixel that looks along (x, y, z), from the telescope to where it was emitted."""
    along = x * frame[0, 0] + y * frame[0, 1] + z * frame[0, 2]
    if along == 0.0:
        return
    up = x * frame[1, 0] + y * frame[1, 1] + z * frame[1, 2]
    side = x * frame[2, 0] + y * frame[2, 1] + z * frame[2, 2]
    pixel = pixel_of(
        FOCAL_MM * up / along + PSF_MM * np.random.normal(), FOCAL_MM * side / along + PSF_MM * np.random.normal()
    )
    if pixel >= 0:
        counts[k, tel, pixel] += 1.0
        times[k, tel, pixel] += time


@njit(cache=True, fastmath=True)
def poisson(mean: float) -> int:
    """Draw a Poisson number, fast for small means."""
    if mean < 0.05:
        return 1 if np.random.random() < mean else 0
    return int(np.random.poisson(mean))


@njit(cache=True, fastmath=True)
def segment_light(
    start: Floats,
    end: Floats,
    direction: Floats,
    depth: float,
    time: float,
    blur2: float,
    cherenkov: float,
    photons: float,
    cores: Floats,
    frame: Floats,
    efficiency: float,
    counts: Floats,
    times: Floats,
) -> None:
    """Draw the photo-electrons of one straight track segment.

    `blur2` (rad²) is the variance of the track direction about its mean per axis, `cherenkov` the Cherenkov angle,
    `photons` the number emitted in 300-600 nm, `depth` the vertical depth of the middle (g/cm²), `time` that of the
    start. Segments that can give little are dropped at random and the others weighted up, which leaves means unbiased.
    """
    xm, ym, zm = 0.5 * (start[0] + end[0]), 0.5 * (start[1] + end[1]), 0.5 * (start[2] + end[2])
    dx, dy, dz = end[0] - start[0], end[1] - start[1], end[2] - start[2]
    length = math.sqrt(dx * dx + dy * dy + dz * dz)
    height = zm - GROUND_M
    along_axis = height / (-direction[2])
    sigma0 = math.sqrt(blur2 + MIRROR_BLUR_M2 / (along_axis * along_axis))
    peak = 1.0 / (6.2831853 * sigma0 * sigma0 + 15.75 * cherenkov * sigma0)
    bound = 1.3 * photons * MIRROR_AREA_M2 * efficiency * peak / (along_axis * along_axis)
    if bound < ROULETTE_PHE:
        if np.random.random() * ROULETTE_PHE > bound:
            return
        photons *= ROULETTE_PHE / bound
    ground_x, ground_y = xm + direction[0] * along_axis, ym + direction[1] * along_axis
    reach = along_axis * (cherenkov + _RING_SIGMAS * sigma0) / (-direction[2]) * 1.1 + 5.0
    for k in range(cores.shape[0]):
        for tel in range(2):
            tx = TELESCOPES_EAST_NORTH_M[tel, 0] - cores[k, 0]
            ty = TELESCOPES_EAST_NORTH_M[tel, 1] - cores[k, 1]
            if (ground_x - tx) ** 2 + (ground_y - ty) ** 2 > reach * reach:
                continue
            rx, ry = xm - tx, ym - ty
            distance2 = rx * rx + ry * ry + height * height
            distance = math.sqrt(distance2)
            cosine = -(rx * direction[0] + ry * direction[1] + height * direction[2]) / distance
            variance = blur2 + MIRROR_BLUR_M2 / distance2
            margin = _RING_SIGMAS * math.sqrt(variance)
            alpha = math.sqrt(max(0.0, 2.0 * (1.0 - cosine)))
            if abs(alpha - cherenkov) > margin:
                continue
            cos_pointing = (rx * frame[0, 0] + ry * frame[0, 1] + height * frame[0, 2]) / distance
            if cos_pointing < 0.99:
                continue
            ring = math.exp(-0.5 * (alpha - cherenkov) ** 2 / variance) * bessel_i0e(alpha * cherenkov / variance)
            density = ring / (6.2831853 * variance)
            cos_zenith = height / distance
            seen = density * MIRROR_AREA_M2 * cos_pointing / distance2 * efficiency
            n = poisson(photons * seen * transmission(depth, height, cos_zenith))
            if n == 0:
                continue
            delay = refraction_delay_m(depth, cos_zenith)
            offset = plane_delay_ns(tx, ty, frame)
            for _ in range(n):
                share = np.random.random()
                px, py, pz = start[0] + share * dx - tx, start[1] + share * dy - ty, start[2] + share * dz - GROUND_M
                path = share * length + math.sqrt(px * px + py * py + pz * pz) + delay
                record_photon(px, py, pz, time + path / LIGHT_SPEED_M_NS + offset, k, tel, frame, counts, times)


@njit(cache=True, fastmath=True)
def muon_light(
    start: Floats,
    end: Floats,
    direction: Floats,
    time: float,
    cherenkov: float,
    photons: float,
    cores: Floats,
    frame: Floats,
    efficiency: float,
    counts: Floats,
    times: Floats,
) -> None:
    """Draw the light of a muon segment close to the ground photon by photon: rings and arcs."""
    dx, dy, dz = end[0] - start[0], end[1] - start[1], end[2] - start[2]
    length = math.sqrt(dx * dx + dy * dy + dz * dz)
    tangent = math.tan(cherenkov)
    for k in range(cores.shape[0]):
        for tel in range(2):
            tx = TELESCOPES_EAST_NORTH_M[tel, 0] - cores[k, 0]
            ty = TELESCOPES_EAST_NORTH_M[tel, 1] - cores[k, 1]
            rx, ry, rz = tx - start[0], ty - start[1], GROUND_M - start[2]
            along = rx * direction[0] + ry * direction[1] + rz * direction[2]
            miss2 = rx * rx + ry * ry + rz * rz - along * along
            reach = cherenkov * max(along, 0.0) * 1.05 + MIRROR_RADIUS_M + 1.0
            if miss2 > reach * reach:
                continue
            offset = plane_delay_ns(tx, ty, frame)
            for _ in range(np.random.poisson(photons * efficiency * 0.95)):
                share = np.random.random()
                px, py, pz = start[0] + share * dx, start[1] + share * dy, start[2] + share * dz
                phi = 6.2831853 * np.random.random()
                u, v, w = deflected(
                    direction[0], direction[1], direction[2], tangent * math.cos(phi), tangent * math.sin(phi)
                )
                toward = u * frame[0, 0] + v * frame[0, 1] + w * frame[0, 2]
                if toward > -0.1:
                    continue
                to_plane = (tx - px) * frame[0, 0] + (ty - py) * frame[0, 1] + (GROUND_M - pz) * frame[0, 2]
                path = to_plane / toward
                if path < 0:
                    continue
                hx, hy, hz = px + path * u - tx, py + path * v - ty, pz + path * w - GROUND_M
                if hx * hx + hy * hy + hz * hz > MIRROR_RADIUS_M * MIRROR_RADIUS_M * 1.039:
                    continue
                arrival = time + (share * length + path) / LIGHT_SPEED_M_NS + offset
                record_photon(-u, -v, -w, arrival, k, tel, frame, counts, times)


@njit(cache=True, fastmath=True)
def deflected(u: float, v: float, w: float, a: float, b: float) -> tuple[float, float, float]:
    """Turn a unit vector by small angles a and b along two directions perpendicular to it; returns a unit vector."""
    across = math.sqrt(u * u + v * v)
    if across > 1e-6:
        e1u, e1v = v / across, -u / across
        e2u, e2v, e2w = -w * e1v, w * e1u, u * e1v - v * e1u
    else:
        e1u, e1v = 1.0, 0.0
        e2u, e2v, e2w = 0.0, 1.0, 0.0
    nu, nv, nw = u + a * e1u + b * e2u, v + a * e1v + b * e2v, w + b * e2w
    norm = 1.0 / math.sqrt(nu * nu + nv * nv + nw * nw)
    return nu * norm, nv * norm, nw * norm
