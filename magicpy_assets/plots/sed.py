"""Figures of spectra: spectral energy distributions, fitted or of other programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from magicpy_assets.plots.canvas import new_figure
from magicpy_assets.plots.reference import draw_reference, is_crab
from magicpy_assets.plots.style import FIT_COLOUR, FLUX_WORDS, ON_COLOUR, with_error

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from magicpy_assets.science.flux_points import FluxPointsResult
    from magicpy_assets.science.spectrum import SpectrumResult


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
        draw_reference(axes)
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
        draw_reference(axes)
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


def _fit_label(result: SpectrumResult) -> str:
    words = rf"f$_0$ = {with_error(*result.parameter('amplitude'))} TeV$^{{-1}}$ {FLUX_WORDS}"
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
