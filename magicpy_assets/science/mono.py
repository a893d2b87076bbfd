"""From one image to direction, energy and hadronness: the features of a telescope alone, and how answers combine.

The direction lies on the long axis of the image, at a distance (disp) that follows from its shape. On which side is
told by its skewness and by the course of its arrival times, which for a shower seen from the side runs away from the
source of the gamma rays; a forest weighs both. As in stereo, no feature holds the place of an image in the camera.
Tables are mappings of columns as in superstar files, with those of one telescope only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from magicpy_assets.science.forest import Forest
from magicpy_assets.science.reconstruction import MAX_DISTANCE_MM, Table, column, stacked

Floats = NDArray[np.float64]

SHAPE_FEATURES = ("log_size", "length", "width", "width_over_length", "leakage1", "conc", "n_islands")
DISP_FEATURES = (*SHAPE_FEATURES, "abs_time_gradient", "abs_m3_long", "abs_asym", "zenith")
HEAD_TAIL_FEATURES = ("m3_long", "asym", "time_gradient", *SHAPE_FEATURES, "zenith")
"""The first three change their sign with the direction along the axis."""
SIGNED = 3
EVENT_FEATURES = (*SHAPE_FEATURES, "time_gradient", "m3_long", "asym", "distance", "head_tail")
"""What hadronness is judged by: not by zenith distance, see `science.reconstruction`."""
ENERGY_FEATURES = (*EVENT_FEATURES, "zenith")


@dataclass(frozen=True)
class MonoDirection:
    """Directions by disp: camera position and disp (mm), chosen side (1 or -1 along the axis) and its probability."""

    x_mm: Floats
    y_mm: Floats
    disp_mm: Floats
    side: Floats
    probability: Floats


def _shape(table: Table, n: int) -> dict[str, Floats]:
    length, width = column(table, f"length_mm_{n}"), column(table, f"width_mm_{n}")
    return {
        "log_size": np.log10(column(table, f"size_phe_{n}")),
        "length": length,
        "width": width,
        "width_over_length": width / np.maximum(length, 1e-3),
        "leakage1": column(table, f"leakage1_{n}"),
        "conc": column(table, f"conc_{n}"),
        "n_islands": column(table, f"n_islands_{n}"),
        "zenith": column(table, "pointing_zd_deg_1"),
    }


def _signed(table: Table, n: int) -> dict[str, Floats]:
    """Return what has a sign along the axis: positive where it grows with the cosine and sine of delta."""
    return {
        "m3_long": column(table, f"m3_long_mm_{n}"),
        "asym": column(table, f"asym_mm_{n}"),
        "time_gradient": column(table, f"time_gradient_slices_per_mm_{n}"),
    }


def disp_columns(table: Table, telescope: int) -> NDArray[np.float32]:
    """Return the features of the disp forest, (n, `DISP_FEATURES`)."""
    signed = {f"abs_{name}": np.abs(values) for name, values in _signed(table, telescope).items()}
    values = _shape(table, telescope) | signed
    return stacked([values[name] for name in DISP_FEATURES])


def head_tail_columns(table: Table, telescope: int) -> NDArray[np.float32]:
    """Return the features by which the ends of an image are told, (n, `HEAD_TAIL_FEATURES`)."""
    values = _shape(table, telescope) | _signed(table, telescope)
    return stacked([values[name] for name in HEAD_TAIL_FEATURES])


def turned(columns: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the features of the same images with their axes pointing the other way."""
    found = columns.copy()
    found[:, :SIGNED] *= -1
    return found


def true_side(table: Table, telescope: int) -> Floats:
    """Return on which side of the image the true direction lies: 1 along the axis, -1 against it."""
    n = telescope
    dx = column(table, f"source_x_mm_{n}") - column(table, f"mean_x_mm_{n}")
    dy = column(table, f"source_y_mm_{n}") - column(table, f"mean_y_mm_{n}")
    delta = column(table, f"delta_rad_{n}")
    return np.where(dx * np.cos(delta) + dy * np.sin(delta) >= 0, 1.0, -1.0)


def probability_of_head(forest: Forest, columns: NDArray[np.float32]) -> Floats:
    """Return the probability that the direction lies along the axis: that of a turned image is one minus it."""
    return 0.5 * (forest.predict(columns) + 1.0 - forest.predict(turned(columns)))


def direction(table: Table, telescope: int, disp_mm: Floats, probability: Floats) -> MonoDirection:
    """Return the point at the distance `disp_mm` on the more probable side of the image."""
    x, y, delta = (column(table, f"{name}_{telescope}") for name in ("mean_x_mm", "mean_y_mm", "delta_rad"))
    side = np.where(probability >= 0.5, 1.0, -1.0)
    along = side * disp_mm
    chosen = np.maximum(probability, 1.0 - probability)
    return MonoDirection(x + along * np.cos(delta), y + along * np.sin(delta), disp_mm, side, chosen)


def event_columns(
    table: Table, telescope: int, found: MonoDirection, features: tuple[str, ...] = EVENT_FEATURES
) -> NDArray[np.float32]:
    """Return the features of the gamma/hadron forest or, with `ENERGY_FEATURES`, of the energy forest."""
    values = _shape(table, telescope)
    values |= {name: found.side * value for name, value in _signed(table, telescope).items()}
    values |= {"distance": np.clip(found.disp_mm, 0, MAX_DISTANCE_MM), "head_tail": found.probability}
    return stacked([values[name] for name in features])


def usable(table: Table, telescope: int, min_size_phe: float = 50.0) -> NDArray[np.bool_]:
    """Tell which events can be reconstructed: an image that is large enough and has an axis."""
    size, length = column(table, f"size_phe_{telescope}"), column(table, f"length_mm_{telescope}")
    return np.asarray((size > max(min_size_phe, 0.0)) & (length > 0))


@dataclass(frozen=True)
class MonoForests:
    """The forests of a cell for one telescope: disp (mm), end of the image, log10 of energy (GeV), hadronness."""

    telescope: int
    disp: Forest
    head_tail: Forest
    energy: Forest
    hadronness: Forest

    def locate(self, table: Table) -> MonoDirection:
        """Reconstruct directions."""
        disp = self.disp.predict(disp_columns(table, self.telescope))
        head = probability_of_head(self.head_tail, head_tail_columns(table, self.telescope))
        return direction(table, self.telescope, disp, head)

    def judge(self, table: Table, found: MonoDirection) -> tuple[Floats, Floats]:
        """Return energy (GeV) and hadronness (0 gamma, 1 hadron)."""
        energy = 10.0 ** self.energy.predict(event_columns(table, self.telescope, found, ENERGY_FEATURES))
        return energy, self.hadronness.predict(event_columns(table, self.telescope, found))
