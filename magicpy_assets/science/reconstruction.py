"""From two images to direction, energy and hadronness: the features that the forests see, and how answers combine.

Features never hold the place of an image in the camera or its distance from an assumed source: simulated gamma rays
come from one distance to the pointing only, and a forest would learn that. Tables are mappings of columns as in
superstar files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from magicpy_assets.science import stereo
from magicpy_assets.science.camera import FOCAL_MM
from magicpy_assets.science.energy_table import EnergyTable
from magicpy_assets.science.forest import Forest

Floats = NDArray[np.float64]
Table = Mapping[str, Any]

DISP_FEATURES = (
    "log_size",
    "length",
    "width",
    "width_over_length",
    "leakage1",
    "abs_time_gradient",
    "conc",
    "impact",
    "max_height",
    "sine_crossing",
    "zenith",
    "distance_to_crossing",
)
EVENT_FEATURES = (
    "log_size_1",
    "log_size_2",
    "length_1",
    "length_2",
    "width_1",
    "width_2",
    "impact_1",
    "impact_2",
    "max_height",
    "leakage1_1",
    "leakage1_2",
    "disp_difference",
    "conc_1",
    "conc_2",
    "time_gradient_1",
    "time_gradient_2",
    "m3_long_1",
    "m3_long_2",
    "distance_1",
    "distance_2",
)
"""What hadronness is judged by. Not by zenith distance: OFF data have few pointings, which a forest would learn."""
ENERGY_FEATURES = (*EVENT_FEATURES, "zenith")
MAX_DISTANCE_MM = 900.0


@dataclass(frozen=True)
class Direction:
    """Directions by disp: camera position (mm), disp of each telescope (mm), distance of the chosen pair (mm)."""

    x_mm: Floats
    y_mm: Floats
    disp_mm: tuple[Floats, Floats]
    points_mm: tuple[tuple[Floats, Floats], tuple[Floats, Floats]]
    difference_mm: Floats


def column(table: Table, name: str) -> Floats:
    """Return a column as float64."""
    return np.asarray(table[name], dtype=np.float64)


def stacked(columns: list[Floats]) -> NDArray[np.float32]:
    """Return features as a forest takes them, (n, features); what is not a number becomes 0."""
    return np.asarray(np.nan_to_num(np.stack(columns, axis=1)), dtype=np.float32)


def disp_columns(table: Table, telescope: int) -> NDArray[np.float32]:
    """Return the features of one telescope's disp forest, (n, `DISP_FEATURES`)."""
    n = telescope
    cross_x, cross_y = (np.tan(np.radians(column(table, f"direction_{axis}_deg"))) * FOCAL_MM for axis in ("x", "y"))
    apart = np.hypot(cross_x - column(table, f"mean_x_mm_{n}"), cross_y - column(table, f"mean_y_mm_{n}"))
    length, width = column(table, f"length_mm_{n}"), column(table, f"width_mm_{n}")
    found = [
        np.log10(column(table, f"size_phe_{n}")),
        length,
        width,
        width / np.maximum(length, 1e-3),
        column(table, f"leakage1_{n}"),
        np.abs(column(table, f"time_gradient_slices_per_mm_{n}")),
        column(table, f"conc_{n}"),
        np.clip(column(table, f"impact_cm_{n}"), 0, 1e5),
        column(table, "max_height_cm"),
        np.abs(np.sin(column(table, "delta_rad_1") - column(table, "delta_rad_2"))),
        column(table, "pointing_zd_deg_1"),
        np.clip(apart, 0, MAX_DISTANCE_MM),
    ]
    return stacked(found)


def true_disp_mm(table: Table, telescope: int) -> Floats:
    """Return the distance (mm) along the long axis between image centre and the true direction."""
    n = telescope
    dx = column(table, f"source_x_mm_{n}") - column(table, f"mean_x_mm_{n}")
    dy = column(table, f"source_y_mm_{n}") - column(table, f"mean_y_mm_{n}")
    delta = column(table, f"delta_rad_{n}")
    return np.asarray(np.abs(dx * np.cos(delta) + dy * np.sin(delta)))


def direction(table: Table, disp_mm: tuple[Floats, Floats]) -> Direction:
    """Combine the disp of both telescopes: of the four pairs of candidates, the one that agrees best.

    The position is the mean of the pair, weighted with the square root of the sizes.
    """
    candidates = []
    for n, disp in zip((1, 2), disp_mm, strict=True):
        x, y, delta = (column(table, f"{name}_{n}") for name in ("mean_x_mm", "mean_y_mm", "delta_rad"))
        candidates.append([(x + s * disp * np.cos(delta), y + s * disp * np.sin(delta)) for s in (1, -1)])
    weights = [np.sqrt(column(table, f"size_phe_{n}")) for n in (1, 2)]
    size = len(disp_mm[0])
    best = np.full(size, np.inf)
    chosen = np.zeros((2, 2, size))
    for first in candidates[0]:
        for second in candidates[1]:
            apart = np.hypot(first[0] - second[0], first[1] - second[1])
            better = apart < best
            best = np.where(better, apart, best)
            chosen[0] = np.where(better, first, chosen[0])
            chosen[1] = np.where(better, second, chosen[1])
    position = (weights[0] * chosen[0] + weights[1] * chosen[1]) / (weights[0] + weights[1])
    points = ((chosen[0, 0], chosen[0, 1]), (chosen[1, 0], chosen[1, 1]))
    return Direction(position[0], position[1], disp_mm, points, best)


def event_columns(table: Table, found: Direction, features: tuple[str, ...] = EVENT_FEATURES) -> NDArray[np.float32]:
    """Return the features of the gamma/hadron forest or, with `ENERGY_FEATURES`, of the energy forest."""
    basis = stereo.camera_basis(column(table, "pointing_zd_deg_1"), column(table, "pointing_az_deg_1"))
    centres = [stereo.vectors(column(table, f"mean_x_mm_{n}"), column(table, f"mean_y_mm_{n}"), basis) for n in (1, 2)]
    shower = stereo.geometry(stereo.vectors(found.x_mm, found.y_mm, basis), (centres[0], centres[1]))
    values = {
        "max_height": shower.max_height_m,
        "disp_difference": np.clip(found.difference_mm, 0, MAX_DISTANCE_MM),
        "zenith": column(table, "pointing_zd_deg_1"),
    }
    for n in (1, 2):
        dx, dy = found.x_mm - column(table, f"mean_x_mm_{n}"), found.y_mm - column(table, f"mean_y_mm_{n}")
        delta = column(table, f"delta_rad_{n}")
        toward = np.sign(dx * np.cos(delta) + dy * np.sin(delta))
        values |= {
            f"log_size_{n}": np.log10(column(table, f"size_phe_{n}")),
            f"length_{n}": column(table, f"length_mm_{n}"),
            f"width_{n}": column(table, f"width_mm_{n}"),
            f"impact_{n}": np.clip(shower.impact_m[n - 1], 0, 1000),
            f"leakage1_{n}": column(table, f"leakage1_{n}"),
            f"conc_{n}": column(table, f"conc_{n}"),
            f"time_gradient_{n}": column(table, f"time_gradient_slices_per_mm_{n}") * toward,
            f"m3_long_{n}": column(table, f"m3_long_mm_{n}") * toward,
            f"distance_{n}": np.clip(np.hypot(dx, dy), 0, MAX_DISTANCE_MM),
        }
    return stacked([values[name] for name in features])


def table_columns(events: NDArray[np.float32], telescope: int) -> tuple[Floats, Floats]:
    """Return what an energy table is asked with, out of `event_columns`: log10 of the size (phe), impact (m)."""
    size, impact = (EVENT_FEATURES.index(f"{name}_{telescope}") for name in ("log_size", "impact"))
    return events[:, size].astype(np.float64), events[:, impact].astype(np.float64)


def usable(table: Table, min_size_phe: float = 50.0) -> NDArray[np.bool_]:
    """Tell which events can be reconstructed: both images there, large enough, axes that cross."""
    sizes = np.minimum(column(table, "size_phe_1"), column(table, "size_phe_2"))
    return np.asarray((np.asarray(table["valid"]) > 0) & (sizes > min_size_phe))


@dataclass(frozen=True)
class Forests:
    """The forests of a cell: disp of M1 and M2 (mm), log10 of energy (GeV), probability of being a hadron.

    `tables` are the energy tables of M1 and M2, which may be missing.
    """

    disp: tuple[Forest, Forest]
    energy: Forest
    hadronness: Forest
    tables: tuple[EnergyTable, EnergyTable] | None = None

    def locate(self, table: Table) -> Direction:
        """Reconstruct directions."""
        first, second = (forest.predict(disp_columns(table, n)) for n, forest in zip((1, 2), self.disp, strict=True))
        return direction(table, (first, second))

    def judge(self, table: Table, found: Direction) -> tuple[Floats, Floats]:
        """Return energy (GeV) and hadronness (0 gamma, 1 hadron)."""
        energy = 10.0 ** self.energy.predict(event_columns(table, found, ENERGY_FEATURES))
        return energy, self.hadronness.predict(event_columns(table, found))
