"""Figures of θ² distributions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from magicpy_assets.core.errors import InputError
from magicpy_assets.plots.canvas import new_figure
from magicpy_assets.plots.style import FIT_COLOUR, OFF_COLOUR, ON_COLOUR, box

if TYPE_CHECKING:
    from astropy.table import Table
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from magicpy_assets.science.theta2 import Theta2Result


def theta2_figure(result: Theta2Result) -> Figure:
    """θ² of the source and of its off regions, with the cut, the counts and the significance."""
    figure, axes = new_figure(f"{result.caption} Bars: Poisson errors.", simulated=result.simulated)
    centre = 0.5 * (result.edges_deg2[1:] + result.edges_deg2[:-1])
    background = result.alpha * result.off
    axes.stairs(background, result.edges_deg2, fill=True, color=OFF_COLOUR, alpha=0.45, label="off")
    axes.errorbar(
        centre, background, yerr=result.alpha * np.sqrt(result.off), fmt="none", ecolor=OFF_COLOUR, elinewidth=1
    )
    axes.errorbar(
        centre, result.on, yerr=np.sqrt(result.on), xerr=0.5 * np.diff(result.edges_deg2), fmt="o", ms=3.5,
        color=ON_COLOUR, elinewidth=1, label="on",
    )  # fmt: skip
    cut = result.selection.theta2_max_deg2
    axes.axvline(cut, color=FIT_COLOUR, ls="--", lw=1.2, label=f"θ² < {cut:g} deg²")
    axes.set_xlabel("θ² (deg²)")
    axes.set_ylabel(f"Events per {np.diff(result.edges_deg2)[0]:.2g} deg²")
    axes.set_xlim(0, result.edges_deg2[-1])
    axes.set_ylim(0, 1.25 * max(1.0, float((result.on + np.sqrt(result.on)).max())))
    axes.set_title(f"{result.exposure.source}: θ², {result.selection.name}")
    words = (
        f"time = {result.live_time_s / 60:.1f} min\n"
        f"N$_{{on}}$ = {result.n_on}, N$_{{off}}$ = {result.n_off} × {result.alpha:.3g}\n"
        f"excess = {result.excess:.1f} ± {result.excess_error:.1f}\n"
        f"significance = {result.significance:.1f} σ"
    )
    axes.text(0.97, 0.95, words, transform=axes.transAxes, ha="right", va="top", fontsize=10, bbox=box())
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(handles[::-1], labels[::-1], loc="center right", frameon=False, fontsize=9)
    return figure


def draw_growth(axes: Axes, growth: Table) -> None:
    """Draw significance with live time, run by run, and the course of a steady source."""
    hours, significance = (np.asarray(growth[name], dtype=np.float64) for name in ("time", "significance"))
    axes.step(hours, significance, where="post", color=ON_COLOUR, label="significance")
    axes.plot(hours, significance, "o", ms=3.5, color=ON_COLOUR)
    steady = np.linspace(0, hours[-1], 100)
    axes.plot(
        steady, significance[-1] * np.sqrt(steady / hours[-1]), ls="--", color=FIT_COLOUR, label="steady: ∝ √time"
    )
    axes.set_xlim(0, 1.02 * hours[-1])
    axes.set_xlabel("Live time (h)")
    axes.set_ylabel("Significance so far (σ)")


def growth_figure(result: Theta2Result) -> Figure:
    """Significance and excess with live time; a steady source follows the square root of time."""
    table = result.growth
    if table is None:
        raise InputError("this θ² result does not say how the signal grew", hint="count it again from the runs")
    caption = f"{result.caption} Dashed: a steady source with the final significance."
    figure, axes = new_figure(caption, simulated=result.simulated)
    draw_growth(axes, table)
    axes.set_title(f"{result.exposure.source}: growth of the signal, {result.selection.name}")
    axes.legend(loc="upper left", frameon=False, fontsize=9)
    return figure
