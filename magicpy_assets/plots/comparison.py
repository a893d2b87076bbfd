"""Two analyses side by side, drawn: energies, directions, and the excess of every run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from magicpy_assets.plots.canvas import captioned, stamp_simulated
from magicpy_assets.plots.style import FIT_COLOUR, ON_COLOUR, REFERENCE_COLOUR
from magicpy_assets.science.comparison import limits

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from magicpy_assets.science.comparison import ComparisonResult


def comparison_figure(result: ComparisonResult) -> Figure:
    """Draw ratio of energies, distance of directions, and ratio of excesses run by run, with what is allowed."""
    figure, bottom = captioned(f"{result.caption} {result.verdict}", simulated=result.simulated, size=(11.0, 4.4))
    height = 0.88 - bottom
    energies, directions, runs = (
        figure.add_axes((left, bottom + 0.08, width, height - 0.06))
        for left, width in ((0.06, 0.24), (0.37, 0.24), (0.69, 0.29))
    )
    ratio = np.asarray(result.events["energy_2"]) / np.asarray(result.events["energy_1"])
    energies.hist(ratio, np.linspace(0.5, 1.5, 61).tolist(), color=ON_COLOUR)
    energies.axvline(1, color=REFERENCE_COLOUR, lw=0.8)
    energies.set_xlabel("Energy, second / first")
    energies.set_ylabel("Common events")
    directions.hist(np.asarray(result.events["distance"]), np.linspace(0, 0.2, 41).tolist(), color=ON_COLOUR)
    directions.set_yscale("log")
    directions.set_xlabel("Distance of directions (deg)")
    table = result.runs_table
    place = np.arange(len(table))
    runs.errorbar(
        place, np.asarray(table["ratio"], dtype=np.float64), yerr=np.asarray(table["error"], dtype=np.float64), fmt="o",
        ms=4, color=ON_COLOUR,
    )  # fmt: skip
    allowed = limits()["flux_run"].limit
    runs.axhspan(1 - allowed, 1 + allowed, color=FIT_COLOUR, alpha=0.12, lw=0, label=f"± {allowed:.0%}")
    runs.axhline(1, color=REFERENCE_COLOUR, lw=0.8)
    runs.set_xlabel("Run, in order of number")
    runs.set_ylabel("Excess, second / first")
    runs.legend(frameon=False, fontsize=8)
    figure.suptitle(f"{result.names[0]} and {result.names[1]}", fontsize=12)
    return stamp_simulated(figure, result.simulated)
