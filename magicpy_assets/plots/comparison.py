"""Two analyses side by side, drawn: events, excess or fluxes of every run, θ², and spectra."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from magicpy_assets.plots.canvas import captioned, stamp_simulated
from magicpy_assets.plots.style import FIT_COLOUR, FLUX_WORDS, ON_COLOUR, REFERENCE_COLOUR
from magicpy_assets.science.agreement import limits

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from magicpy_assets.science.comparison import ComparisonResult

COLOURS = (ON_COLOUR, "#d98200")
"""Of the first and the second analysis."""
SHIFT = 0.12
"""How far apart points of the same run are drawn."""


def comparison_figure(result: ComparisonResult) -> Figure:
    """Draw energies and directions of common events, run by run excess or fluxes and their ratio, θ² and spectra."""
    caption = f"{result.caption} {result.verdict} Bars: 1 σ; of ratios: of what the two do not share."
    figure, bottom = captioned(caption, simulated=result.simulated, size=(12.0, 8.2))
    rows = (0.94 - bottom - 0.16) / 2
    low, high = bottom + 0.06, bottom + 0.06 + rows + 0.10
    places = [(left, base, 0.26, rows) for base in (high, low) for left in (0.065, 0.395, 0.725)]
    energies, directions, theta2, fluxes, ratios, spectra = (figure.add_axes(place) for place in places)
    for axes in figure.axes:
        axes.tick_params(which="both", direction="in", top=True, right=True, labelsize=9)
    _draw_energies(energies, result)
    _draw_directions(directions, result)
    _draw_theta2(theta2, result)
    _draw_runs(fluxes, result)
    _draw_ratios(ratios, result)
    _draw_spectra(spectra, result)
    figure.suptitle(f"{result.names[0]} and {result.names[1]}", fontsize=12, y=0.985)
    return stamp_simulated(figure, result.simulated)


def _draw_energies(axes: Axes, result: ComparisonResult) -> None:
    """Scatter of the energies of common events."""
    axes.set_xlabel(f"Energy, {result.names[0]} (TeV)")
    axes.set_ylabel(f"Energy, {result.names[1]} (TeV)")
    events = result.parts["events"]
    if not len(events):
        _say(axes, "no common events")
        return
    one, other = (np.asarray(events[f"energy_{side}"], dtype=np.float64) / 1e3 for side in "12")
    axes.plot(one, other, ".", ms=3, color=ON_COLOUR, alpha=0.4, rasterized=True)
    ends = np.array([min(one.min(), other.min()), max(one.max(), other.max())]) * [0.8, 1.25]
    axes.plot(ends, ends, color=REFERENCE_COLOUR, lw=0.8)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(*ends)
    axes.set_ylim(*ends)


def _draw_directions(axes: Axes, result: ComparisonResult) -> None:
    axes.set_xlabel("Distance of the directions of an event (deg)")
    axes.set_ylabel("Common events")
    distance = np.asarray(result.parts["events"]["distance"], dtype=np.float64)
    if not len(distance):
        _say(axes, "no common events")
        return
    axes.hist(np.minimum(distance, 0.199), np.linspace(0, 0.2, 41).tolist(), color=ON_COLOUR)
    axes.set_yscale("log")
    axes.axvline(limits()["direction_median"].limit, color=FIT_COLOUR, ls="--", lw=1, label="allowed for the median")
    axes.legend(frameon=False, fontsize=8)


def _draw_theta2(axes: Axes, result: ComparisonResult) -> None:
    """Excess by distance from the source, of both."""
    table = result.parts["theta2"]
    edges = np.append(np.asarray(table["theta2_min"]), table["theta2_max"][-1])
    width = np.diff(edges)
    for side, name, colour, way in zip("12", result.names, COLOURS, (-1, 1), strict=True):
        on, excess = (np.asarray(table[f"{column}_{side}"], dtype=np.float64) for column in ("n_on", "excess"))
        error = np.sqrt(on + (on - excess) / 3)
        axes.stairs(excess / width / 1e2, edges, color=colour, lw=1.4, label=name)
        middle = edges[:-1] + width * (0.5 + 0.08 * way)
        axes.errorbar(middle, excess / width / 1e2, yerr=error / width / 1e2, fmt="none", ecolor=colour, elinewidth=1)
    axes.axhline(0, color=REFERENCE_COLOUR, lw=0.8)
    axes.set_xlim(0, edges[-1])
    axes.set_xlabel("θ² (deg²)")
    axes.set_ylabel("Excess per 0.01 deg²")
    axes.legend(frameon=False, fontsize=8)


def _draw_runs(axes: Axes, result: ComparisonResult) -> None:
    """Fluxes of the runs of both; where there are none, their excess."""
    fluxes = result.parts.get("fluxes")
    runs = result.parts["runs"] if fluxes is None else fluxes
    place = np.arange(len(runs))
    for side, name, colour, way in zip("12", result.names, COLOURS, (-1, 1), strict=True):
        if fluxes is not None:
            value, error = (np.asarray(fluxes[f"{column}_{side}"], dtype=np.float64) for column in ("flux", "error"))
        else:
            on, value = (np.asarray(runs[f"{column}_{side}"], dtype=np.float64) for column in ("n_on", "excess"))
            error = np.sqrt(on + (on - value) / 3)
        axes.errorbar(place + way * SHIFT, value, yerr=error, fmt="o", ms=3.5, color=colour, elinewidth=1, label=name)
    axes.axhline(0, color=REFERENCE_COLOUR, lw=0.8)
    axes.set_ylim(top=1.25 * axes.get_ylim()[1])
    axes.set_ylabel(f"Flux ({FLUX_WORDS})" if fluxes is not None else "Excess")
    _name_runs(axes, runs)
    axes.legend(frameon=False, fontsize=8)


def _draw_ratios(axes: Axes, result: ComparisonResult) -> None:
    """Ratio of the second to the first, run by run, with what is allowed."""
    fluxes = result.parts.get("fluxes")
    table = result.parts["runs"] if fluxes is None else fluxes
    first = np.asarray(table["excess_1" if fluxes is None else "flux_1"], dtype=np.float64)
    ratio, error = (np.asarray(table[name], dtype=np.float64) for name in ("ratio", "error"))
    seen = np.isfinite(ratio) & (first > 0)
    place = np.arange(len(table))
    axes.errorbar(
        place[seen], ratio[seen], yerr=error[seen] / first[seen], fmt="o", ms=4, color=ON_COLOUR, elinewidth=1
    )
    allowed = limits()["flux_run"].limit
    axes.axhspan(1 - allowed, 1 + allowed, color=FIT_COLOUR, alpha=0.12, lw=0, label=f"± {allowed:.0%}")
    axes.axhline(1, color=REFERENCE_COLOUR, lw=0.8)
    reach = max(2 * allowed, 1.1 * float(np.max(np.abs(ratio[seen] - 1) + error[seen] / first[seen], initial=0.0)))
    axes.set_ylim(max(1 - reach, -1.0), min(1 + reach, 4.0))
    axes.set_ylabel(f"{'Excess' if fluxes is None else 'Flux'}, second / first")
    _name_runs(axes, table)
    axes.legend(frameon=False, fontsize=8)


def _name_runs(axes: Axes, table: object) -> None:
    """Put run numbers below the axis where they fit."""
    runs = [str(run) for run in table["group"]]  # type: ignore[index]
    axes.set_xlim(-0.6, len(runs) - 0.4)
    if len(runs) <= 8:
        axes.set_xticks(range(len(runs)), runs, rotation=30, ha="right", fontsize=7)
    else:
        axes.set_xlabel(f"Run, from {runs[0]} to {runs[-1]}")


def _draw_spectra(axes: Axes, result: ComparisonResult) -> None:
    """Fitted curves with their bands and flux points of both."""
    axes.set_xlabel("Energy (TeV)")
    axes.set_ylabel(rf"E$^2$ dN/dE (TeV {FLUX_WORDS})")
    if not result.spectra:
        _say(axes, "no spectra")
        return
    tops = []
    for spectrum, name, colour in zip(result.spectra, result.names, COLOURS, strict=True):
        curve = spectrum.butterfly
        energy, dnde = curve["energy"].to_value("TeV"), curve["dnde"].to_value("TeV-1 cm-2 s-1")
        sed = energy**2 * dnde
        spread = np.exp(np.minimum(curve["dnde_err"].to_value("TeV-1 cm-2 s-1") / np.maximum(dnde, 1e-40), 3.0))
        axes.fill_between(energy, sed / spread, sed * spread, color=colour, alpha=0.2, lw=0)
        axes.plot(energy, sed, color=colour, lw=1.2, label=name)
        points = spectrum.flux_points
        shown = ~np.asarray(points["is_ul"], dtype=bool)
        where, value, error = (
            np.asarray(points[column], dtype=np.float64)[shown] for column in ("e_ref", "e2dnde", "e2dnde_err")
        )
        axes.errorbar(where, value, yerr=error, fmt="o", ms=3.5, color=colour, elinewidth=1)
        tops.append(float(sed.max()))
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_ylim(max(tops) / 300, max(tops) * 4)
    axes.legend(frameon=False, fontsize=8, loc="lower left")


def _say(axes: Axes, words: str) -> None:
    axes.text(0.5, 0.5, words, transform=axes.transAxes, ha="center", va="center", fontsize=10, color=REFERENCE_COLOUR)
