"""Sky maps as figures: significance and excess on the sky, and the distribution of significances beside the source."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from magicpy_assets.plots.canvas import captioned, stamp_simulated

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from magicpy_assets.science.skymap import SkymapResult


def skymap_figure(result: SkymapResult) -> Figure:
    """Significance around the source, excess, and how significances are distributed outside the excluded circle.

    Known sources in the field are marked.
    """
    from magicpy_assets.science.skymap import DISC_DEG, RING_DEG

    peak, peak_x, peak_y = result.peak
    caption = (
        f"{result.exposure.caption}. E > {1e3 * result.energy_min_tev:.0f} GeV; events within {DISC_DEG:g}° of each "
        f"point, background from a ring of {RING_DEG[0]:g}-{RING_DEG[1]:g}° corrected for acceptance, without the "
        "dashed circles around known sources. Significance after Li & Ma (1983), eq. 17; "
        f"highest {peak:.1f} σ at ({peak_x:+.2f}°, {peak_y:+.2f}°). Crosses: sources of the table of sources."
    )
    figure, bottom = captioned(caption, simulated=result.simulated, size=(14.6, 5.4))
    height = 0.88 - bottom
    maps = (
        ("Significance (σ)", result.significance, -4.0, max(6.0, peak)),
        ("Excess (events)", result.excess, *_span(result)),
    )
    for left, (label, values, low, high) in zip((0.055, 0.40), maps, strict=True):
        axes = figure.add_axes((left, bottom + 0.03, 0.27, height))
        image = axes.pcolormesh(result.edges_deg, result.edges_deg, values, cmap="inferno", vmin=low, vmax=high)
        figure.colorbar(image, ax=axes, fraction=0.046, pad=0.03)
        axes.set_title(label, fontsize=10)
        _sky(axes, result)
    axes = figure.add_axes((0.805, bottom + 0.03, 0.185, height))
    _distribution(axes, result)
    figure.suptitle(f"{result.exposure.source}: sky map")
    return stamp_simulated(figure, result.simulated)


def _span(result: SkymapResult) -> tuple[float, float]:
    seen = result.excess[np.isfinite(result.excess)]
    return float(seen.min()), float(max(seen.max(), 1.0))


def _sky(axes: Axes, result: SkymapResult) -> None:
    """Axes of the sky with the excluded circles and the known sources."""
    turn = np.linspace(0, 2 * np.pi, 100)
    for x, y, radius in result.excluded:
        axes.plot(x + radius * np.cos(turn), y + radius * np.sin(turn), color="white", ls="--", lw=0.9)
    for name, x, y in known_sources(result):
        axes.plot(x, y, marker="+", color="white", ms=10, ls="none")
        axes.annotate(name, (x, y), xytext=(6, 6), textcoords="offset points", color="white", fontsize=8)
    edges = result.edges_deg
    axes.set_xlim(edges[-1], edges[0])
    axes.set_ylim(edges[0], edges[-1])
    axes.set_aspect("equal")
    axes.set_xlabel(f"Offset in right ascension from {result.centre_deg[0]:.3f}° (deg)")
    axes.set_ylabel(f"Offset in declination from {result.centre_deg[1]:.3f}° (deg)")


def known_sources(result: SkymapResult) -> list[tuple[str, float, float]]:
    """Return name and offsets (deg) of what a map shows: its own source at the centre, and others of the table."""
    from magicpy_assets.science.pointing import tangent_plane

    found = []
    for one in result.marked:
        x, y = tangent_plane(np.array(one.ra_deg), np.array(one.dec_deg), *result.centre_deg)
        found.append((one.name, float(x), float(y)))
    return found


def _distribution(axes: Axes, result: SkymapResult) -> None:
    steps = np.linspace(-5, 5, 41)
    values = result.significance[result.beside]
    axes.hist(values, steps.tolist(), density=True, color="#9aa5b1", label="beside the source")
    axes.plot(steps, np.exp(-0.5 * steps**2) / np.sqrt(2 * np.pi), color="#c0392b", label="normal")
    axes.set_xlabel("Significance (σ)")
    axes.set_ylabel("Density")
    axes.set_title(f"mean {result.residual_mean:.2f}, rms {result.residual_rms:.2f}", fontsize=10)
    axes.legend(frameon=False, fontsize=8, loc="upper left")
