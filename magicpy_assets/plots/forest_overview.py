"""The quality of a cell's forests in one figure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from magicpy_assets.plots.canvas import captioned, stamp_simulated
from magicpy_assets.plots.style import FIT_COLOUR, OFF_COLOUR, ON_COLOUR, REFERENCE_COLOUR

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def forest_figure(report: Mapping[str, Any], *, title: str = "Forests", simulated: bool | None = None) -> Figure:
    """Quality of a cell's forests from the training report: separation, resolutions by energy, what matters.

    `simulated` says whether the OFF data is; by default as the report says.
    """
    if simulated is None:
        simulated = report.get("provenance", {}).get("simulated") == "yes"
    caption = (
        f"{report['model'].replace('_', ' ')}: {report['gamma_events']} simulated gammas ({report['gamma_showers']} "
        f"showers), {report['off_events']} OFF events; every event judged by forests that have not seen it. "
        "Resolutions of all events that can be reconstructed, by true energy, before any cut; energy resolution: half "
        "of the central 68 %."
    )
    figure, bottom = captioned(caption, simulated=simulated, size=(10.5, 7.0))
    low, height = bottom + 0.04, 0.90 - bottom
    separation, angular, energy, matters = (
        figure.add_axes((left, low + up * (height + 0.03) / 2, width, 0.42 * height))
        for left, up, width in ((0.08, 1, 0.37), (0.58, 1, 0.39), (0.58, 0, 0.39), (0.17, 0, 0.28))
    )
    _draw_separation(separation, report)
    _draw_resolutions(angular, energy, report)
    _draw_importance(matters, report)
    figure.suptitle(title, fontsize=13)
    return stamp_simulated(figure, simulated)


def _draw_separation(axes: Axes, report: Mapping[str, Any]) -> None:
    kept, off = (np.asarray(report["roc"][name], dtype=np.float64) for name in ("gamma_kept", "off_kept"))
    axes.plot(kept, np.maximum(off, 1e-4), color=ON_COLOUR)
    axes.set_yscale("log")
    axes.set_ylim(1e-4, 1.5)
    axes.set_xlim(0, 1)
    axes.set_xlabel("Share of gammas kept")
    axes.set_ylabel("Share of OFF kept")
    axes.text(0.04, 0.9, f"area under the curve {report['auc']:.3f}", transform=axes.transAxes, fontsize=9)


def _draw_resolutions(angular: Axes, energy: Axes, report: Mapping[str, Any]) -> None:
    rows = report["by_energy"]
    low, high = (np.array([row[name] for row in rows]) / 1e3 for name in ("energy_low_gev", "energy_high_gev"))
    centre = np.sqrt(low * high)
    width = np.array([centre - low, high - centre])
    events = np.array([row["events"] for row in rows], dtype=np.float64)

    def draw(axes: Axes, name: str, colour: str, marker: str, label: str) -> None:
        values = np.array([row[name] for row in rows])
        error = np.abs(values) / np.sqrt(2 * events) if name != "energy_bias" else None
        axes.errorbar(centre, values, xerr=width, yerr=error, fmt=marker, ms=4, color=colour, label=label)

    draw(angular, "theta68_deg", OFF_COLOUR, "s", "68 % containment")
    draw(angular, "theta39_deg", ON_COLOUR, "o", "39 % containment")
    draw(energy, "energy_resolution", ON_COLOUR, "o", "resolution")
    draw(energy, "energy_bias", FIT_COLOUR, "D", "bias (median)")
    energy.axhline(0, color=REFERENCE_COLOUR, lw=0.8)
    angular.set_ylim(bottom=0)
    angular.set_ylabel("Angle to the true direction (deg)")
    energy.set_ylabel("ΔE / E")
    for axes in (angular, energy):
        axes.set_xscale("log")
        axes.set_xlabel("True energy (TeV)")
        axes.legend(frameon=False, fontsize=8)


def _draw_importance(axes: Axes, report: Mapping[str, Any], shown: int = 8) -> None:
    found = sorted(report["importance"]["hadronness"].items(), key=lambda item: -item[1])[:shown]
    axes.barh([name.replace("_", " ") for name, _ in found][::-1], [value for _, value in found][::-1], color=ON_COLOUR)
    axes.tick_params(labelsize=8)
    axes.set_xlabel("Importance for hadronness")
