"""One event as a figure: both cameras, as read and as cleaned, charges and arrival times."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from magicpy_assets.plots.camera import draw_camera, draw_ellipse, mark, outline_pixels
from magicpy_assets.plots.canvas import captioned, stamp_simulated
from magicpy_assets.plots.style import FIT_COLOUR, box

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from magicpy_assets.pipeline.events import Event
    from magicpy_assets.science.event_image import EventImage

ELLIPSE, SOURCE, BAD = "#e8590c", "black", "#adb5bd"
CAPTION = (
    "Charges and arrival times as calibrated (left) and of the pixels that the cleaning keeps (right), the times after "
    "their mean. Orange: Hillas ellipse (one standard deviation of the charge) and its axis; black star: source; red "
    "cross: reconstructed direction, in the camera of M1. Outlined in grey: pixels filled from their neighbours. "
    "Colours of charges end at the brightest pixel."
)


def event_figure(event: Event) -> Figure:
    """Both telescopes' images of an event (rows), raw and cleaned charge and time (columns), and its numbers."""
    wide, high = 15.0, 8.6
    figure, bottom = captioned(CAPTION, simulated=event.simulated, size=(wide, high))
    side = (0.77 - bottom) / 2
    for row, image in enumerate(event.images):
        foot = bottom + 0.01 + (1 - row) * (side + 0.065)
        panels = [
            figure.add_axes(
                (0.045 + 0.232 * column, foot, side * high / wide, side), label=f"M{image.telescope} {column}"
            )
            for column in range(4)
        ]
        _draw_telescope(panels, event, image)
    said = " (simulated)" if event.simulated else ""
    figure.suptitle(
        f"{event.source}{said}, run {event.run}, event {event.number}, {event.cell.text}",
        fontsize=13,
        x=0.02,
        ha="left",
    )
    figure.text(
        0.985, 0.988, _in_columns(event.lines), fontsize=8, va="top", ha="right", multialignment="left",
        family="monospace", linespacing=1.3, bbox=box(),
    )  # fmt: skip
    return stamp_simulated(figure, event.simulated)


def _in_columns(lines: list[str]) -> str:
    """Set lines in two columns."""
    half = (len(lines) + 1) // 2
    left, right = lines[:half], lines[half:] + [""] * (2 * half - len(lines))
    width = max(map(len, left)) + 3
    return "\n".join(f"{first:<{width}}{second}" for first, second in zip(left, right, strict=True))


def _draw_telescope(panels: list[Axes], event: Event, image: EventImage) -> None:
    used = image.used
    brightest = max(1.0, float(image.charge_phe.max()))
    reached = image.time_ns[used]
    spread = max(1.5, float(np.percentile(np.abs(reached), 98))) if used.any() else 5.0
    name = f"M{image.telescope}"
    charge: dict[str, Any] = {"limits": (0.0, brightest), "power": 0.5, "label": "charge (phe)"}
    time: dict[str, Any] = {"colours": "coolwarm", "label": "arrival time (ns)"}
    draws: tuple[tuple[str, Any, Any, dict[str, Any]], ...] = (
        ("charge, as calibrated", image.charge_phe, None, charge),
        ("charge, cleaned", image.charge_phe, used, charge),
        ("time, as calibrated", image.time_ns, None, time | {"limits": (-4 * spread, 4 * spread)}),
        ("time, cleaned", image.time_ns, used, time | {"limits": (-spread, spread)}),
    )
    for column, (axes, (title, values, shown, how)) in enumerate(zip(panels, draws, strict=True)):
        mm = ("x" if image.telescope == 2 else "") + ("y" if column == 0 else "")
        degrees = ("x" if image.telescope == 1 else "") + ("y" if column == 3 else "")
        draw_camera(axes, values, shown=shown, mm=mm, degrees=degrees, **how)
        outline_pixels(axes, image.bad, colour=BAD)
        axes.set_title(f"{name}: {title}", fontsize=9, pad=4)
        _mark(axes, event, image)
    if panels[1].get_legend_handles_labels()[1]:
        panels[1].legend(loc="lower left", fontsize=6.5, framealpha=0.8, borderpad=0.3, handletextpad=0.2)


def _mark(axes: Axes, event: Event, image: EventImage) -> None:
    found = image.parameters
    if found:
        centre = found["mean_x_mm"], found["mean_y_mm"]
        draw_ellipse(axes, centre, (found["length_mm"], found["width_mm"]), found["delta_rad"], colour=ELLIPSE)
    mark(axes, event.source_mm(image.telescope), "*", colour=SOURCE, label="source", size=10)
    if event.direction_mm is not None:
        mark(axes, event.direction_mm, "x", colour=FIT_COLOUR, label=f"direction (by {event.direction_by})", size=7)
