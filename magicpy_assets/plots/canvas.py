"""The paper that figures are drawn on: size, caption, and the stamp on what is simulated."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def stamp_simulated(figure: Figure, simulated: bool) -> Figure:
    """Print SIMULATED across a figure of simulated data; the one place where this is done."""
    if simulated:
        figure.text(
            0.5, 0.55, "SIMULATED", fontsize=44, color="#c0392b", alpha=0.13, rotation=25, ha="center", va="center",
            weight="bold", zorder=0,
        )  # fmt: skip
    return figure


def new_figure(caption: str, *, simulated: bool, size: tuple[float, float] = (7.2, 5.4)) -> tuple[Figure, Axes]:
    """Return a figure with one axes above a caption, stamped if simulated."""
    figure, bottom = captioned(caption, simulated=simulated, size=size)
    left = 0.95 / size[0]
    axes = figure.add_axes((left, bottom + 0.02, 0.97 - left, 0.90 - bottom))
    axes.tick_params(which="both", direction="in", top=True, right=True)
    return stamp_simulated(figure, simulated), axes


def captioned(caption: str, *, simulated: bool, size: tuple[float, float]) -> tuple[Figure, float]:
    """Return an empty figure with its caption, and how far up (share of the height) axes must stay clear of it."""
    from matplotlib.figure import Figure

    if simulated:
        caption += " Simulated data."
    lines = textwrap.wrap(caption, width=round(size[0] * 15))
    figure = Figure(figsize=size, dpi=110)
    bottom = (0.62 + 0.16 * len(lines)) / size[1]
    figure.text(0.02, 0.08 / size[1], "\n".join(lines), fontsize=8, va="bottom", ha="left", color="#333333")
    return figure, bottom
