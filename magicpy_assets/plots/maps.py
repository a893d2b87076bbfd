"""Sky maps as figures: significance on the sky, and its distribution beside the source."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from magicpy_assets.plots.canvas import captioned, stamp_simulated

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from magicpy_assets.science.skymap import SkymapResult


def skymap_figure(result: SkymapResult) -> Figure:
    """Significance around the source (left), and how it is distributed outside the excluded circle (right)."""
    from magicpy_assets.science.background import EXCLUSION_RADIUS_DEG
    from magicpy_assets.science.skymap import DISC_DEG, RING_DEG

    peak, peak_x, peak_y = result.peak
    caption = (
        f"{result.exposure.caption}. E > {1e3 * result.energy_min_tev:.0f} GeV; events within {DISC_DEG:g}° of each "
        f"point, background from a ring of {RING_DEG[0]:g}-{RING_DEG[1]:g}° corrected for acceptance, without the "
        f"circle of {EXCLUSION_RADIUS_DEG:g}° around the source (dashed). Significance after Li & Ma (1983), eq. 17; "
        f"highest {peak:.1f} σ at ({peak_x:+.2f}°, {peak_y:+.2f}°)."
    )
    figure, bottom = captioned(caption, simulated=result.simulated, size=(10.5, 5.6))
    axes = figure.add_axes((0.08, bottom + 0.03, 0.45, 0.88 - bottom))
    edges = result.edges_deg
    image = axes.pcolormesh(edges, edges, result.significance, cmap="inferno", vmin=-4, vmax=max(6.0, peak))
    bar = figure.colorbar(image, ax=axes, fraction=0.046, pad=0.03)
    bar.set_label("Significance (σ)")
    turn = np.linspace(0, 2 * np.pi, 100)
    axes.plot(EXCLUSION_RADIUS_DEG * np.cos(turn), EXCLUSION_RADIUS_DEG * np.sin(turn), color="white", ls="--", lw=0.9)
    axes.plot(0, 0, marker="+", color="white", ms=10, label=result.exposure.source, ls="none")
    axes.set_xlim(edges[-1], edges[0])
    axes.set_ylim(edges[0], edges[-1])
    axes.set_aspect("equal")
    axes.set_xlabel(f"Offset in right ascension from {result.centre_deg[0]:.3f}° (deg)")
    axes.set_ylabel(f"Offset in declination from {result.centre_deg[1]:.3f}° (deg)")
    axes.legend(loc="upper right", fontsize=9, labelcolor="white", facecolor="black", framealpha=0.4)
    side = figure.add_axes((0.70, bottom + 0.03, 0.27, 0.88 - bottom))
    middle = 0.5 * (edges[1:] + edges[:-1])
    outside = np.isfinite(result.significance) & (
        np.hypot(*np.meshgrid(middle, middle)) > EXCLUSION_RADIUS_DEG + DISC_DEG
    )
    values = result.significance[outside]
    steps = np.linspace(-5, 5, 41)
    side.hist(values, steps.tolist(), density=True, color="#9aa5b1", label="beside the source")
    side.plot(steps, np.exp(-0.5 * steps**2) / np.sqrt(2 * np.pi), color="#c0392b", label="normal")
    side.set_xlabel("Significance (σ)")
    side.set_ylabel("Density")
    side.set_title(f"mean {result.residual_mean:.2f}, rms {result.residual_rms:.2f}", fontsize=10)
    side.legend(frameon=False, fontsize=8, loc="upper left")
    figure.suptitle(f"{result.exposure.source}: sky map")
    return stamp_simulated(figure, result.simulated)
