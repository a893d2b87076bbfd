"""Two images of one shower: direction, core, impact, height of maximum. Arrays over events, no loops.

Directions are unit vectors (n, 3) in the site frame (east, north, up); cores in metres, camera in mm.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from magicpy_assets.science.camera import FOCAL_MM
from magicpy_assets.science.site import TELESCOPES_EAST_NORTH_M

Floats = NDArray[np.float64]

MIN_CROSSING_RAD = 1e-3
"""Below this angle between the image planes the crossing is not defined."""
MAX_CORE_M = 5000.0
MAX_HEIGHT_M = 60_000.0


@dataclass(frozen=True)
class Geometry:
    """Reconstructed showers: core (m east and north), impact at M1 and M2 (m), height of maximum over the site (m)."""

    core_east_m: Floats
    core_north_m: Floats
    impact_m: tuple[Floats, Floats]
    max_height_m: Floats


def camera_basis(zd_deg: ArrayLike, az_deg: ArrayLike) -> Floats:
    """Return pointing, direction of rising altitude and direction of rising azimuth as rows, (n, 3, 3)."""
    zd, az = np.radians(np.atleast_1d(zd_deg)), np.radians(np.atleast_1d(az_deg))
    zero = np.zeros_like(zd)
    return np.stack(
        [
            np.stack([np.sin(zd) * np.sin(az), np.sin(zd) * np.cos(az), np.cos(zd)], axis=-1),
            np.stack([-np.cos(zd) * np.sin(az), -np.cos(zd) * np.cos(az), np.sin(zd)], axis=-1),
            np.stack([np.cos(az), -np.sin(az), zero], axis=-1),
        ],
        axis=1,
    )


def vectors(x_mm: ArrayLike, y_mm: ArrayLike, basis: Floats) -> Floats:
    """Return the directions in the sky of points in the camera."""
    x, y = np.asarray(x_mm, dtype=np.float64)[:, None], np.asarray(y_mm, dtype=np.float64)[:, None]
    found = FOCAL_MM * basis[:, 0] + x * basis[:, 1] + y * basis[:, 2]
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True))


def camera_points(direction: Floats, basis: Floats) -> tuple[Floats, Floats]:
    """Return where directions are imaged (mm): the inverse of `vectors`."""
    along = np.einsum("ij,ij->i", direction, basis[:, 0])
    x = FOCAL_MM * np.einsum("ij,ij->i", direction, basis[:, 1]) / along
    y = FOCAL_MM * np.einsum("ij,ij->i", direction, basis[:, 2]) / along
    return x, y


def crossing(
    x_mm: tuple[ArrayLike, ArrayLike],
    y_mm: tuple[ArrayLike, ArrayLike],
    delta_rad: tuple[ArrayLike, ArrayLike],
    basis: Floats,
) -> tuple[Floats, NDArray[np.bool_]]:
    """Return where the planes through the long axes of both images cross, and whether they do.

    The plane of a telescope holds the telescope, the centre of its image and the image's long axis.
    """
    normals = []
    for x, y, delta in zip(x_mm, y_mm, delta_rad, strict=True):
        x, y, delta = (np.asarray(values, dtype=np.float64) for values in (x, y, delta))
        first = vectors(x, y, basis)
        second = vectors(x + 100.0 * np.cos(delta), y + 100.0 * np.sin(delta), basis)
        normal = np.cross(first, second)
        normals.append(normal / np.linalg.norm(normal, axis=1, keepdims=True))
    direction = np.cross(normals[0], normals[1])
    sine = np.linalg.norm(direction, axis=1)
    crosses = sine > MIN_CROSSING_RAD
    direction = direction / np.maximum(sine, 1e-12)[:, None]
    upward = np.where(direction[:, 2:] < 0, -direction, direction)
    return upward, crosses & (upward[:, 2] > 0.05)


def geometry(direction: Floats, centres: tuple[Floats, Floats]) -> Geometry:
    """Return core, impact and height of maximum for showers of known direction.

    Parameters
    ----------
    direction
        Where the shower comes from.
    centres
        Directions of the image centres of M1 and M2: the core lies where the planes that hold telescope, image centre
        and shower direction meet the ground; the maximum where the line of sight to the centre meets the axis.
    """
    normals = [np.cross(centre, direction) for centre in centres]
    right = [
        normal[:, 0] * position[0] + normal[:, 1] * position[1]
        for normal, position in zip(normals, TELESCOPES_EAST_NORTH_M, strict=True)
    ]
    determinant = normals[0][:, 0] * normals[1][:, 1] - normals[0][:, 1] * normals[1][:, 0]
    safe = np.where(np.abs(determinant) < 1e-15, 1e-15, determinant)
    east = np.clip((right[0] * normals[1][:, 1] - right[1] * normals[0][:, 1]) / safe, -MAX_CORE_M, MAX_CORE_M)
    north = np.clip((normals[0][:, 0] * right[1] - normals[1][:, 0] * right[0]) / safe, -MAX_CORE_M, MAX_CORE_M)
    impacts, heights = [], []
    for centre, (tel_east, tel_north) in zip(centres, TELESCOPES_EAST_NORTH_M, strict=True):
        apart = np.stack([east - tel_east, north - tel_north, np.zeros_like(east)], axis=-1)
        along = np.einsum("ij,ij->i", apart, direction)
        impact = np.linalg.norm(apart - along[:, None] * direction, axis=1)
        angle = np.arccos(np.clip(np.einsum("ij,ij->i", centre, direction), -1, 1))
        distance = impact / np.maximum(np.tan(angle), 1e-6)
        impacts.append(impact)
        # The distance counts from the point of the axis nearest to the telescope, which is not on the ground.
        heights.append(np.clip((distance - along) * direction[:, 2], 0.0, MAX_HEIGHT_M))
    return Geometry(east, north, (impacts[0], impacts[1]), 0.5 * (heights[0] + heights[1]))
