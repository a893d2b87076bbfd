"""Figures of light curves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from magicpy_assets.plots.canvas import new_figure
from magicpy_assets.plots.reference import crab_flux, is_crab
from magicpy_assets.plots.style import FIT_COLOUR, FLUX_WORDS, ON_COLOUR, REFERENCE_COLOUR, with_error

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from magicpy_assets.science.light_curve import LightCurveResult

WORDS = {"run": "run by run", "night": "night by night", "blocks": "Bayesian blocks", "bins": "in bins of time"}


def light_curve_figure(result: LightCurveResult) -> Figure:
    """Integral flux with time, upper limits, the mean and, for the Crab, its known flux."""
    caption = f"{result.caption} Bars: 1 σ."
    figure, axes = new_figure(caption, simulated=result.simulated)
    table = result.table
    start, stop, flux, error, limit = (
        np.asarray(table[name], dtype=np.float64) for name in ("start_mjd", "stop_mjd", "flux", "flux_err", "flux_ul")
    )
    is_limit = np.asarray(table["is_ul"], dtype=bool)
    origin = np.floor(start.min())
    time, width = 0.5 * (start + stop) - origin, 0.5 * (stop - start)
    extrapolated = (
        np.asarray(table["extrapolated"], dtype=bool) if "extrapolated" in table.colnames else is_limit & False
    )
    for open_ones, fill in ((False, ON_COLOUR), (True, "white")):
        these = ~is_limit & (extrapolated == open_ones)
        if these.any():
            axes.errorbar(
                time[these], flux[these], yerr=error[these], xerr=width[these], fmt="o", ms=4.5, color=ON_COLOUR,
                mfc=fill, elinewidth=1.2, label=f"{result.exposure.source}{', extrapolated' if open_ones else ''}",
            )  # fmt: skip
    drawn = is_limit & np.isfinite(limit)
    if drawn.any():
        axes.errorbar(
            time[drawn], limit[drawn], yerr=0.12 * limit[drawn].max(), xerr=width[drawn], uplims=True, fmt="none",
            ecolor=ON_COLOUR, elinewidth=1.2, capsize=2.5,
        )  # fmt: skip
    mean, mean_error = result.mean_flux, result.mean_flux_error
    axes.axhline(mean, color=FIT_COLOUR, lw=1.2, label=f"mean {with_error(mean, mean_error)} {FLUX_WORDS}")
    axes.axhspan(mean - mean_error, mean + mean_error, color=FIT_COLOUR, alpha=0.15, lw=0)
    if is_crab(result.exposure.source):
        axes.axhline(
            crab_flux(result.energy_min_tev), color=REFERENCE_COLOUR, ls="--", lw=1.2, label="Crab Nebula, MAGIC 2015"
        )
    shown = np.where(is_limit, limit, flux + error)
    top = float(np.nanmax([mean + mean_error, *shown[np.isfinite(shown)]]))
    axes.set_ylim(min(0.0, float(np.nanmin([0.0, *(flux - error)]))), 1.35 * top)
    axes.ticklabel_format(axis="y", style="sci", scilimits=(0, 0), useMathText=True)
    axes.set_xlabel(f"MJD - {origin:.0f} (d, UTC)")
    axes.set_ylabel(f"Flux above {1e3 * result.energy_min_tev:.0f} GeV ({FLUX_WORDS})")
    axes.set_title(f"{result.exposure.source}: light curve, {WORDS[result.binning]}")
    axes.legend(loc="upper right", frameon=False, fontsize=9)
    return figure
