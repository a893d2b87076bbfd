"""Figures of spectra: spectral energy distributions, fitted or of other programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from magicpy_assets.plots.canvas import captioned, new_figure, stamp_simulated
from magicpy_assets.plots.reference import draw_reference, is_crab
from magicpy_assets.plots.style import FIT_COLOUR, FLUX_WORDS, ON_COLOUR, with_error
from magicpy_assets.science.spectral_models import shape

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from magicpy_assets.science.flux_points import FluxPointsResult
    from magicpy_assets.science.spectrum import SpectrumResult

LABELS = {
    "power_law": (("index", "index", ""),),
    "log_parabola": (("alpha", "α", ""), ("beta_log10", "β", "")),
    "power_law_cutoff": (("index", "index", ""), ("lambda_", r"1/E$_{cut}$", " TeV$^{-1}$")),
    "power_law_super_cutoff": (
        ("index", "index", ""),
        ("lambda_", r"1/E$_{cut}$", " TeV$^{-1}$"),
        ("alpha", "to the power", ""),
    ),
    "log_parabola_cutoff": (("alpha", "α", ""), ("beta_log10", "β", ""), ("lambda_", r"1/E$_{cut}$", " TeV$^{-1}$")),
    "broken_power_law": (("index1", "index", ""), ("index2", "then", ""), ("ebreak", r"E$_{break}$", " TeV")),
}
"""What is said of each shape beside its flux: parameter, symbol, unit."""


def sed_figure(result: SpectrumResult, *, reference: bool | None = None) -> Figure:
    """Spectral energy distribution: flux points and limits, fitted curve with its error band.

    `reference` draws MAGIC's Crab Nebula of 2015; by default only if the source is the Crab.
    """
    bands = "statistical; the wider one with systematic errors" if result.systematics.any else "statistical"
    caption = f"{result.caption} Band: 1 σ, {bands}. Points with less than 2 σ are upper limits (95 %, one-sided)."
    figure, axes, lower = _panels(caption, result)
    if lower is not None:
        _draw_residuals(lower, result)
    curve = result.butterfly
    energy, dnde = curve["energy"].to_value("TeV"), curve["dnde"].to_value("TeV-1 cm-2 s-1")
    sed = energy**2 * dnde
    error = curve["dnde_err"].to_value("TeV-1 cm-2 s-1")
    errors = [error]
    if "dnde_systematic" in curve.colnames:
        errors.append(np.hypot(error, curve["dnde_systematic"].to_value("TeV-1 cm-2 s-1")))
    for one in errors:
        spread = np.exp(np.minimum(one / np.maximum(dnde, 1e-40), 5.0))
        axes.fill_between(energy, sed / spread, sed * spread, color=FIT_COLOUR, alpha=0.2, lw=0)
    axes.plot(energy, sed, color=FIT_COLOUR, label=_fit_label(result))
    if result.redshift is not None:
        unabsorbed = result.intrinsic_butterfly["dnde"].to_value("TeV-1 cm-2 s-1")
        axes.plot(energy, energy**2 * unabsorbed, color=FIT_COLOUR, ls=":", label=f"intrinsic, z = {result.redshift:g}")
    _draw_points(axes, result)
    if reference if reference is not None else is_crab(result.exposure.source):
        draw_reference(axes)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_ylim(*_sed_limits(result, sed))
    if lower is None:
        axes.set_xlabel("Energy (TeV)")
    else:
        axes.tick_params(labelbottom=False)
        lower.set_xlim(axes.get_xlim())
    axes.set_ylabel(rf"E$^2$ dN/dE (TeV {FLUX_WORDS})")
    axes.set_title(f"{result.exposure.source}: spectral energy distribution")
    axes.legend(loc="lower left", frameon=False, fontsize=9)
    return figure


def _panels(caption: str, result: SpectrumResult) -> tuple[Figure, Axes, Axes | None]:
    """Return a figure with room for residuals below the spectrum, if there are any."""
    if result.residuals is None or not len(result.residuals):
        return *new_figure(caption, simulated=result.simulated), None
    figure, bottom = captioned(caption, simulated=result.simulated, size=(7.2, 6.4))
    height = 0.92 - bottom
    axes = figure.add_axes((0.13, bottom + 0.02 + 0.27 * height, 0.84, 0.73 * height))
    lower = figure.add_axes((0.13, bottom + 0.02, 0.84, 0.24 * height))
    for each in (axes, lower):
        each.tick_params(which="both", direction="in", top=True, right=True)
    return stamp_simulated(figure, result.simulated), axes, lower


def _draw_residuals(axes: Axes, result: SpectrumResult) -> None:
    """Draw excess against prediction, in standard deviations, by estimated energy."""
    table = result.residuals
    assert table is not None
    low, high = (np.asarray(table[name], dtype=np.float64) for name in ("e_min", "e_max"))
    middle = np.sqrt(low * high)
    axes.errorbar(
        middle, np.asarray(table["residual"]), xerr=[middle - low, high - middle], yerr=1.0, fmt="o", ms=3.5,
        color=ON_COLOUR, elinewidth=1,
    )  # fmt: skip
    axes.axhline(0, color=FIT_COLOUR, lw=1)
    axes.set_xscale("log")
    reach = max(3.5, 1.2 + float(np.abs(np.asarray(table["residual"])).max()))
    axes.set_ylim(-reach, reach)
    axes.set_xlabel("Energy (TeV); below: estimated")
    axes.set_ylabel("Residual (σ)", fontsize=9)


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
    shown = [
        f"{symbol} = {_plain(*result.parameter(name))}{unit}"
        for name, symbol, unit in LABELS[result.model_name]
        if name not in result.fixed
    ]
    note = r" (log$_{10}$, at 1 TeV)" if result.model_name.startswith("log_parabola") else ""
    return f"{shape(result.model_name).words}, {words},\n{', '.join(shown)}{note}"


def _plain(value: float, error: float) -> str:
    return f"{value:.2f} ± {error:.2f}"


def _sed_limits(result: SpectrumResult | FluxPointsResult, sed: Any) -> tuple[float, float]:
    points = result.flux_points
    shown = np.where(points["is_ul"], points["e2dnde_ul"], points["e2dnde"]).astype(np.float64)
    values = np.concatenate([shown[np.isfinite(shown) & (shown > 0)], sed[np.isfinite(sed) & (sed > 0)]])
    if values.size == 0:
        return 1e-13, 1e-10
    return max(0.15 * float(values.min()), 1e-4 * float(values.max())), 4 * float(values.max())
