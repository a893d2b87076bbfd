"""The camera as a figure: its 1039 pixels as hexagons, a value each; axes in millimetres and degrees."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from magicpy_assets.science.camera import (
    FIRST_CORNER_DEG,
    FOCAL_MM,
    N_PIXELS,
    PITCH_MM,
    PIXEL_X_MM,
    PIXEL_Y_MM,
    degrees_of,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import PolyCollection

EMPTY = "#e9ecef"
"""Colour of pixels without a value."""
HALF_WIDTH_MM = 545.0


def hexagons() -> NDArray[np.float64]:
    """Return the corners of all pixels, (1039, 6, 2), in mm; neighbours share their edges."""
    # The lattice runs to the neighbours; the corners of a hexagon lie half-way between these directions.
    angle = np.radians(FIRST_CORNER_DEG + 30.0 + 60.0 * np.arange(6))
    corners = PITCH_MM / np.sqrt(3) * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    return np.asarray(np.stack([PIXEL_X_MM, PIXEL_Y_MM], axis=-1)[:, None, :] + corners[None])


def draw_camera(
    axes: Axes,
    values: ArrayLike,
    *,
    shown: ArrayLike | None = None,
    label: str = "",
    colours: str = "viridis",
    limits: tuple[float, float] | None = None,
    power: float = 1.0,
    mm: str = "xy",
    degrees: str = "xy",
) -> PolyCollection:
    """Draw a value for each pixel, with a colour bar.

    Parameters
    ----------
    values
        (1039,); NaN is drawn as empty.
    shown
        (1039,) bool: others are drawn as empty.
    label
        Of the colour bar: quantity and unit.
    limits
        Of the colours; by default from least to most of what is shown.
    power
        Colours go with this power of the value; 0.5 shows faint pixels beside bright ones.
    mm, degrees
        Which axes are labelled, in millimetres (below, left) and in degrees (above, right).

    Returns
    -------
    matplotlib.collections.PolyCollection
        The pixels.

    Raises
    ------
    ValueError
        For another number of pixels.
    """
    from matplotlib import colormaps
    from matplotlib.collections import PolyCollection
    from matplotlib.colors import Normalize, PowerNorm

    value = np.array(values, dtype=np.float64)
    if value.shape != (N_PIXELS,):
        raise ValueError(f"a camera has {N_PIXELS} pixels, not {value.shape}")
    if shown is not None:
        value[~np.asarray(shown, dtype=np.bool_)] = np.nan
    finite = value[np.isfinite(value)]
    low, high = limits or ((float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0))
    pixels = PolyCollection(
        list(hexagons()), array=np.ma.masked_invalid(value), cmap=colormaps[colours].with_extremes(bad=EMPTY),
        norm=Normalize(low, high) if power == 1.0 else PowerNorm(power, low, high, clip=True), edgecolors="face",
        linewidths=0.1,
    )  # fmt: skip
    axes.add_collection(pixels)
    frame_camera(axes, mm=mm, degrees=degrees)
    bar_axes = axes.inset_axes((1.12 if "y" in degrees else 1.025, 0.0, 0.035, 1.0))
    bar = axes.figure.colorbar(pixels, cax=bar_axes)
    bar.set_label(label, fontsize=8)
    bar_axes.tick_params(labelsize=7)
    return pixels


def frame_camera(axes: Axes, *, mm: str = "xy", degrees: str = "xy") -> None:
    """Give axes the frame of the camera and its scales, as on the sky: x with altitude, y with azimuth."""
    axes.set_xlim(-HALF_WIDTH_MM, HALF_WIDTH_MM)
    axes.set_ylim(-HALF_WIDTH_MM, HALF_WIDTH_MM)
    axes.set_aspect("equal")
    axes.tick_params(labelsize=7, direction="in", labelbottom="x" in mm, labelleft="y" in mm)
    if "x" in mm:
        axes.set_xlabel("x (mm), towards rising altitude", fontsize=8)
    if "y" in mm:
        axes.set_ylabel("y (mm), towards rising azimuth", fontsize=8)
    both = (degrees_of, lambda angle: np.radians(angle) * FOCAL_MM)
    scales = [axes.secondary_xaxis("top", functions=both)] if "x" in degrees else []
    scales += [axes.secondary_yaxis("right", functions=both)] if "y" in degrees else []
    for scale in scales:
        scale.tick_params(labelsize=7, direction="in", pad=1)
        scale.set_ticks([-1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5], ["−1.5", "−1", "−0.5", "0", "0.5", "1", "1.5°"])


def outline_pixels(axes: Axes, which: ArrayLike, *, colour: str, width: float = 0.8) -> None:
    """Draw the edges of some pixels, (1039,) bool."""
    from matplotlib.collections import PolyCollection

    chosen = hexagons()[np.asarray(which, dtype=np.bool_)]
    axes.add_collection(PolyCollection(list(chosen), facecolors="none", edgecolors=colour, linewidths=width))


def draw_ellipse(
    axes: Axes, centre_mm: tuple[float, float], half_axes_mm: tuple[float, float], angle_rad: float, *, colour: str
) -> None:
    """Draw a Hillas ellipse (half axes: length and width) with its long axis."""
    from matplotlib.patches import Ellipse

    length, width = half_axes_mm
    axes.add_patch(
        Ellipse(centre_mm, 2 * length, 2 * width, angle=float(np.degrees(angle_rad)), fill=False, color=colour, lw=1.3)
    )
    reach = np.array([-1.0, 1.0]) * 2 * HALF_WIDTH_MM
    line = [centre_mm[0] + reach * np.cos(angle_rad), centre_mm[1] + reach * np.sin(angle_rad)]
    axes.plot(*line, color=colour, lw=0.7, ls=":")


def mark(axes: Axes, point_mm: Sequence[float], sign: str, *, colour: str, label: str, size: float = 9.0) -> None:
    """Mark a point in the camera, if it is inside the frame."""
    if max(abs(point_mm[0]), abs(point_mm[1])) < HALF_WIDTH_MM:
        axes.plot(*point_mm, sign, ms=size, mew=1.6, color=colour, mfc="none", label=label, ls="none")
