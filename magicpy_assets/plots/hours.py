"""The distribution of hours as a figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from magicpy_assets.plots.canvas import new_figure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def hours_figure(table: pd.DataFrame, *, title: str = "Hours", caption: str = "", simulated: bool = False) -> Figure:
    """Hours by moon level (rows) and zenith range (columns), as numbers on a map."""
    rows, columns = [str(row) for row in table.index], [str(column) for column in table.columns]
    size = (2.6 + 1.15 * len(columns), 2.2 + 0.5 * len(rows))
    figure, axes = new_figure(caption or "Hours of observation.", simulated=simulated, size=size)
    draw_hours(axes, table)
    axes.set_title(f"{title} ({np.nansum(table.to_numpy(dtype=np.float64)):.2f} h)", fontsize=11)
    return figure


def draw_hours(axes: Axes, table: pd.DataFrame) -> None:
    """Draw hours as numbers on a map: moon level down, zenith range across."""
    rows, columns = [str(row) for row in table.index], [str(column) for column in table.columns]
    values = table.to_numpy(dtype=np.float64)
    axes.imshow(values, cmap="Blues", aspect="auto", vmin=0, vmax=max(1e-9, 1.6 * float(np.nanmax(values, initial=0))))
    for (row, column), value in np.ndenumerate(values):
        axes.text(column, row, f"{value:.2f}" if value else "0", ha="center", va="center", fontsize=10)
    axes.set_xticks(range(len(columns)), columns)
    axes.set_yticks(range(len(rows)), rows)
    axes.tick_params(length=0)
    axes.set_xlabel("Zenith range")
    axes.set_ylabel("Moon level")
