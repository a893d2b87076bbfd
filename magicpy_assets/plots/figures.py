"""Figures of results: θ², spectrum, light curve, hours, quality of a forest.

Each function takes a plain result and returns a matplotlib Figure of its own: no global state, no display. Every figure
has a caption with the run selection, and what is simulated says so, see :mod:`magicpy_assets.plots.canvas`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from magicpy_assets.plots.canvas import captioned, new_figure, stamp_simulated

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from magicpy_assets.science.counts import Theta2Result
    from magicpy_assets.science.flux_points import FluxPointsResult
    from magicpy_assets.science.light_curve import LightCurveResult
    from magicpy_assets.science.spectrum import SpectrumResult

ON_COLOUR, OFF_COLOUR, FIT_COLOUR, REFERENCE_COLOUR = "#1f4e79", "#9aa5b1", "#c0392b", "#555555"
FLUX_WORDS = r"cm$^{-2}$ s$^{-1}$"
CRAB_NAMES = ("crabnebula", "crab", "m1")


def theta2_figure(result: Theta2Result) -> Figure:
    """θ² of the source and of its off regions, with the cut, the counts and the significance."""
    caption = (
        f"{result.exposure.caption}. Selection {result.selection.text}. Off: mean of {result.n_off_regions} regions "
        "turned about the camera centre; bars: Poisson errors; significance after Li & Ma (1983), eq. 17."
    )
    figure, axes = new_figure(caption, simulated=result.simulated)
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
    axes.text(0.97, 0.95, words, transform=axes.transAxes, ha="right", va="top", fontsize=10, bbox=_box())
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(handles[::-1], labels[::-1], loc="center right", frameon=False, fontsize=9)
    return figure


def sed_figure(result: SpectrumResult, *, reference: bool | None = None) -> Figure:
    """Spectral energy distribution: flux points and limits, fitted curve with its error band.

    `reference` draws MAGIC's Crab Nebula of 2015; by default only if the source is the Crab.
    """
    fit_words = "joint fit of the runs" if result.joint_runs else "fit to the stacked runs"
    caption = (
        f"{result.exposure.caption}. {fit_words.capitalize()} to {result.energy_range_tev[0]:.3g}-"
        f"{result.energy_range_tev[1]:.3g} TeV of estimated energy (forward folding, W statistic "
        f"{result.statistic:.1f} for {result.degrees_of_freedom} degrees of freedom); band: 1 σ, statistical. Points "
        f"with less than 2 σ are upper limits (95 %). {result.n_on} on events, excess {result.excess:.0f}, "
        f"{result.significance:.1f} σ."
    )
    if not result.converged:
        caption += " The fit did not converge."
    figure, axes = new_figure(caption, simulated=result.simulated)
    curve = result.butterfly
    energy, dnde = curve["energy"].to_value("TeV"), curve["dnde"].to_value("TeV-1 cm-2 s-1")
    sed = energy**2 * dnde
    spread = np.exp(np.minimum(curve["dnde_err"].to_value("TeV-1 cm-2 s-1") / np.maximum(dnde, 1e-40), 5.0))
    axes.fill_between(energy, sed / spread, sed * spread, color=FIT_COLOUR, alpha=0.2, lw=0)
    axes.plot(energy, sed, color=FIT_COLOUR, label=_fit_label(result))
    _draw_points(axes, result)
    if reference if reference is not None else is_crab(result.exposure.source):
        _draw_reference(axes)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_ylim(*_sed_limits(result, sed))
    axes.set_xlabel("Energy (TeV)")
    axes.set_ylabel(rf"E$^2$ dN/dE (TeV {FLUX_WORDS})")
    axes.set_title(f"{result.exposure.source}: spectral energy distribution")
    axes.legend(loc="lower left", frameon=False, fontsize=9)
    return figure


def flux_points_figure(result: FluxPointsResult, *, reference: bool | None = None) -> Figure:
    """Flux points and limits that another program has measured; no curve, for nothing was fitted here.

    `reference` draws MAGIC's Crab Nebula of 2015; by default only if the source is the Crab.
    """
    caption = f"{result.exposure.caption}. Points and limits of {result.origin}; nothing was fitted here."
    figure, axes = new_figure(caption, simulated=result.simulated)
    _draw_points(axes, result, label=f"{result.exposure.source}, {result.origin}")
    if reference if reference is not None else is_crab(result.exposure.source):
        _draw_reference(axes)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_ylim(*_sed_limits(result, np.empty(0)))
    axes.set_xlabel("Energy (TeV)")
    axes.set_ylabel(rf"E$^2$ dN/dE (TeV {FLUX_WORDS})")
    axes.set_title(f"{result.exposure.source}: spectral energy distribution")
    axes.legend(loc="lower left", frameon=False, fontsize=9)
    return figure


def _draw_points(axes: Axes, result: SpectrumResult | FluxPointsResult, label: str = "") -> None:
    points = result.flux_points
    energy, low, high = (np.asarray(points[name], dtype=np.float64) for name in ("e_ref", "e_min", "e_max"))
    value, error, limit = (np.asarray(points[name], dtype=np.float64) for name in ("e2dnde", "e2dnde_err", "e2dnde_ul"))
    is_limit = np.asarray(points["is_ul"], dtype=bool)
    width = np.array([energy - low, high - energy])
    style: dict[str, Any] = {"color": ON_COLOUR, "elinewidth": 1.2, "ms": 4.5}
    axes.errorbar(
        energy[~is_limit], value[~is_limit], yerr=error[~is_limit], xerr=width[:, ~is_limit], fmt="o",
        label=label or f"{result.exposure.source}, this analysis", **style,
    )  # fmt: skip
    drawn = is_limit & np.isfinite(limit) & (limit > 0)
    if drawn.any():
        axes.errorbar(
            energy[drawn], limit[drawn], yerr=0.35 * limit[drawn], xerr=width[:, drawn], uplims=True, fmt="none",
            ecolor=ON_COLOUR, elinewidth=1.2, capsize=2.5,
        )  # fmt: skip


def _draw_reference(axes: Axes) -> None:
    import astropy.units as u

    from magicpy_assets.science.spectral_models import FLUX_UNIT, crab_reference

    energy = np.geomspace(0.05, 30, 100)
    dnde = crab_reference()(energy * u.TeV).to_value(FLUX_UNIT)
    axes.plot(energy, energy**2 * dnde, color=REFERENCE_COLOUR, ls="--", lw=1.2, label="Crab Nebula, MAGIC 2015")


def _fit_label(result: SpectrumResult) -> str:
    words = rf"f$_0$ = {_with_error(*result.parameter('amplitude'))} TeV$^{{-1}}$ {FLUX_WORDS}"
    if result.model_name == "power_law":
        index, index_error = result.parameter("index")
        return f"power law, {words},\nindex {index:.2f} ± {index_error:.2f}"
    (alpha, alpha_error), (beta, beta_error) = result.parameter("alpha"), result.parameter("beta_log10")
    return (
        f"log-parabola, {words},\nα = {alpha:.2f} ± {alpha_error:.2f}, β = {beta:.2f} ± {beta_error:.2f} "
        r"(log$_{10}$, at 1 TeV)"
    )


def _sed_limits(result: SpectrumResult | FluxPointsResult, sed: Any) -> tuple[float, float]:
    points = result.flux_points
    shown = np.where(points["is_ul"], points["e2dnde_ul"], points["e2dnde"]).astype(np.float64)
    values = np.concatenate([shown[np.isfinite(shown) & (shown > 0)], sed[np.isfinite(sed) & (sed > 0)]])
    if values.size == 0:
        return 1e-13, 1e-10
    return max(0.15 * float(values.min()), 1e-4 * float(values.max())), 4 * float(values.max())


def light_curve_figure(result: LightCurveResult) -> Figure:
    """Integral flux with time, upper limits, the mean and, for the Crab, its known flux."""
    kept = "run" if result.binning == "run" else "night"
    caption = (
        f"{result.exposure.caption}. One point per {kept}, assumed spectrum: {result.spectrum_words}. Bars: 1 σ; "
        f"points below 2 σ are upper limits (95 %). Constant flux: χ² = {result.chi2_constant:.1f} for "
        f"{result.degrees_of_freedom} degrees of freedom, p = {result.p_constant:.2g}."
    )
    figure, axes = new_figure(caption, simulated=result.simulated)
    table = result.table
    start, stop, flux, error, limit = (
        np.asarray(table[name], dtype=np.float64) for name in ("start_mjd", "stop_mjd", "flux", "flux_err", "flux_ul")
    )
    is_limit = np.asarray(table["is_ul"], dtype=bool)
    origin = np.floor(start.min())
    time, width = 0.5 * (start + stop) - origin, 0.5 * (stop - start)
    axes.errorbar(
        time[~is_limit], flux[~is_limit], yerr=error[~is_limit], xerr=width[~is_limit], fmt="o", ms=4.5,
        color=ON_COLOUR, elinewidth=1.2, label=result.exposure.source,
    )  # fmt: skip
    if is_limit.any():
        axes.errorbar(
            time[is_limit], limit[is_limit], yerr=0.12 * limit.max(), xerr=width[is_limit], uplims=True, fmt="none",
            ecolor=ON_COLOUR, elinewidth=1.2, capsize=2.5,
        )  # fmt: skip
    mean, mean_error = result.mean_flux, result.mean_flux_error
    axes.axhline(mean, color=FIT_COLOUR, lw=1.2, label=f"mean {_with_error(mean, mean_error)} {FLUX_WORDS}")
    axes.axhspan(mean - mean_error, mean + mean_error, color=FIT_COLOUR, alpha=0.15, lw=0)
    if is_crab(result.exposure.source):
        axes.axhline(
            _crab_flux(result.energy_min_tev), color=REFERENCE_COLOUR, ls="--", lw=1.2, label="Crab Nebula, MAGIC 2015"
        )
    top = float(np.max(np.where(is_limit, limit, flux + error), initial=mean + mean_error))
    axes.set_ylim(min(0.0, float((flux - error).min())), 1.35 * top)
    axes.ticklabel_format(axis="y", style="sci", scilimits=(0, 0), useMathText=True)
    axes.set_xlabel(f"MJD - {origin:.0f} (d, UTC)")
    axes.set_ylabel(f"Flux above {1e3 * result.energy_min_tev:.0f} GeV ({FLUX_WORDS})")
    axes.set_title(f"{result.exposure.source}: light curve, {'run by run' if kept == 'run' else 'night by night'}")
    axes.legend(loc="upper right", frameon=False, fontsize=9)
    return figure


def hours_figure(table: pd.DataFrame, *, title: str = "Hours", caption: str = "", simulated: bool = False) -> Figure:
    """Hours by moon level (rows) and zenith range (columns), as numbers on a map."""
    rows, columns = [str(row) for row in table.index], [str(column) for column in table.columns]
    size = (2.6 + 1.15 * len(columns), 2.2 + 0.5 * len(rows))
    figure, axes = new_figure(caption or "Hours of observation.", simulated=simulated, size=size)
    values = table.to_numpy(dtype=np.float64)
    axes.imshow(values, cmap="Blues", aspect="auto", vmin=0, vmax=max(1e-9, 1.6 * float(np.nanmax(values, initial=0))))
    for (row, column), value in np.ndenumerate(values):
        axes.text(column, row, f"{value:.2f}" if value else "0", ha="center", va="center", fontsize=10)
    axes.set_xticks(range(len(columns)), columns)
    axes.set_yticks(range(len(rows)), rows)
    axes.tick_params(length=0)
    axes.set_xlabel("Zenith range")
    axes.set_ylabel("Moon level")
    axes.set_title(f"{title} ({np.nansum(values):.2f} h)", fontsize=11)
    return figure


def _with_error(value: float, error: float) -> str:
    """A number with its error and one power of ten."""
    power = int(np.floor(np.log10(abs(value)))) if value else 0
    return rf"({value / 10.0**power:.2f} ± {error / 10.0**power:.2f}) × 10$^{{{power}}}$"


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


def is_crab(source: str) -> bool:
    """Whether a source is the Crab Nebula by its name."""
    return "".join(letter for letter in source.lower() if letter.isalnum()) in CRAB_NAMES


def _crab_flux(energy_min_tev: float) -> float:
    import astropy.units as u

    from magicpy_assets.science.spectral_models import CEILING_TEV, crab_reference

    flux = crab_reference().integral(energy_min_tev * u.TeV, CEILING_TEV * u.TeV)
    return float(flux.to_value("cm-2 s-1"))


def _box() -> dict[str, Any]:
    return {"boxstyle": "round,pad=0.4", "facecolor": "white", "edgecolor": "#cccccc", "alpha": 0.9}
