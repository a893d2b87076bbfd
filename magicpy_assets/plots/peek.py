"""A first look: one run, or one source, in a figure."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import numpy as np

from magicpy_assets.core import moons
from magicpy_assets.plots.camera import draw_camera
from magicpy_assets.plots.canvas import captioned, stamp_simulated
from magicpy_assets.plots.hours import draw_hours
from magicpy_assets.plots.style import FIT_COLOUR, OFF_COLOUR, ON_COLOUR, REFERENCE_COLOUR
from magicpy_assets.plots.theta2 import draw_growth

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from magicpy_assets.pipeline.run_look import RunLook
    from magicpy_assets.science.theta2 import Theta2Result

COLOURS = {1: ON_COLOUR, 2: FIT_COLOUR}
MOON_COLOURS = dict(
    zip((moon.key for moon in moons.ALL), ("#1f4e79", "#2f9e9e", "#8ab17d", "#e9b44c", "#d1495b"), strict=True)
)
RATE_STEPS = 24


def run_figure(look: RunLook) -> Figure:
    """Rate and pedestals with time, where images lie in the cameras, image parameters, hadronness."""
    caption = (
        "Images that the cleaning leaves, of each telescope and of both; bars: Poisson errors. Pedestal RMS: of the "
        "median good pixel. Maps: centres of images, as a share of the mean over the pixels of the trigger region; "
        "holes and hot spots show in them."
    )
    if look.notes:
        caption += f" Not there: {'; '.join(look.notes)}."
    wide, high = 15.0, 8.2
    figure, bottom = captioned(caption, simulated=look.simulated, size=(wide, high))
    foot, height = bottom + 0.03, (0.78 - bottom) / 2
    panels = [
        figure.add_axes((0.045 + 0.237 * column, foot + (1 - row) * (height + 0.105), 0.185, height))
        for row in (0, 1)
        for column in range(4)
    ]
    _draw_rates(panels[0], look)
    _draw_pedestals(panels[1], look)
    for axes, telescope in zip(panels[2:4], (1, 2), strict=True):
        _draw_centres(axes, look, telescope)
    _draw_parameters(panels[4:7], look)
    _draw_hadronness(panels[7], look)
    row, said = look.run, " (simulated)" if look.simulated else ""
    figure.suptitle(
        f"{look.files.source}{said}, run {look.files.run}, {look.files.cell.text}: zenith distance "
        f"{row['za_deg']:.1f}°, {row['duration_s']:.0f} s, sky {row['nsb']:.1f} × dark, {row['wobble']}",
        fontsize=12, x=0.02, ha="left",
    )  # fmt: skip
    return stamp_simulated(figure, look.simulated)


def _draw_rates(axes: Axes, look: RunLook) -> None:
    drawn = {f"M{telescope}": (table["mjd"], COLOURS[telescope]) for telescope, table in look.images.items()}
    if look.stereo is not None:
        drawn["both"] = (look.stereo_mjd, REFERENCE_COLOUR)
    last = max(float(look.minutes(mjd).max()) for mjd, _ in drawn.values())
    edges = np.linspace(0.0, max(last, 1e-3), RATE_STEPS + 1)
    seconds = 60.0 * np.diff(edges)
    for name, (mjd, colour) in drawn.items():
        counts = np.histogram(look.minutes(mjd), edges)[0]
        centre = 0.5 * (edges[1:] + edges[:-1])
        axes.errorbar(centre, counts / seconds, yerr=np.sqrt(counts) / seconds, fmt="o", ms=3, color=colour, label=name)
    axes.set_ylim(bottom=0)
    _words(axes, "Time (min)", "Rate of images (Hz)", "Rates")


def _draw_pedestals(axes: Axes, look: RunLook) -> None:
    for telescope, (mjd, rms) in look.pedestals.items():
        axes.plot(look.minutes(mjd), rms, ".", ms=4, color=COLOURS[telescope], label=f"M{telescope}")
    _words(axes, "Time (min)", "Pedestal RMS (phe)", "Pedestals")
    if look.pedestals:
        axes.set_ylim(0, 1.3 * max(float(rms.max()) for _, rms in look.pedestals.values()))
    else:
        _nothing(axes, "no calibrated files kept")


def _draw_centres(axes: Axes, look: RunLook, telescope: int) -> None:
    from magicpy_assets.science.camera import N_PIXELS, TRIGGER_REGION, pixels_of

    axes.set_title(f"M{telescope}: centres of images", fontsize=10)
    if telescope not in look.images:
        _nothing(axes, f"no star files of M{telescope}")
        return
    table = look.images[telescope]
    pixel = pixels_of(table["mean_x_mm"].to_numpy(np.float64), table["mean_y_mm"].to_numpy(np.float64))
    counts = np.bincount(pixel[pixel >= 0], minlength=N_PIXELS).astype(np.float64)
    share = counts / max(float(counts[TRIGGER_REGION].mean()), 1e-9)
    limits = (0.0, max(2.0, float(np.percentile(share, 99.5))))
    draw_camera(axes, share, label="images / mean", limits=limits, mm="x", degrees="")


def _draw_parameters(panels: list[Axes], look: RunLook) -> None:
    shown = (
        ("size_phe", "Size (phe)", np.geomspace(30, 1e5, 41)),
        ("width_mm", "Width (mm)", np.linspace(0, 80, 41)),
        ("length_mm", "Length (mm)", np.linspace(0, 180, 41)),
    )
    for axes, (column, label, edges) in zip(panels, shown, strict=True):
        for telescope, table in look.images.items():
            axes.hist(
                table[column].to_numpy(), edges.tolist(), histtype="step", lw=1.4, color=COLOURS[telescope],
                label=f"M{telescope}",
            )  # fmt: skip
        if column == "size_phe":
            axes.set_xscale("log")
            axes.set_yscale("log")
        _words(axes, label, "Images", label.split(" (")[0])


def _draw_hadronness(axes: Axes, look: RunLook) -> None:
    table = look.stereo
    if table is None or "hadronness" not in table or not table["hadronness"].notna().any():
        _words(axes, "Hadronness", "Events", "Hadronness")
        _nothing(axes, "melibea has not been run")
        return
    values = table["hadronness"].dropna().to_numpy()
    axes.hist(values, np.linspace(0, 1, 41).tolist(), histtype="step", lw=1.4, color=REFERENCE_COLOUR, label="all")
    near = table.loc[table["theta2_deg2"] < 0.03, "hadronness"].dropna().to_numpy()
    axes.hist(near, np.linspace(0, 1, 41).tolist(), color=OFF_COLOUR, label="θ² < 0.03 deg²")
    axes.set_yscale("log")
    _words(axes, "Hadronness", "Events", "Hadronness")


def _words(axes: Axes, x: str, y: str, title: str) -> None:
    axes.set_xlabel(x, fontsize=9)
    axes.set_ylabel(y, fontsize=9)
    axes.set_title(title, fontsize=10)
    axes.tick_params(which="both", direction="in", labelsize=8)
    if axes.get_legend_handles_labels()[1]:
        axes.legend(frameon=False, fontsize=8)


def _nothing(axes: Axes, text: str) -> None:
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", fontsize=9, color=REFERENCE_COLOUR)


def source_figure(
    name: str,
    runs: pd.DataFrame,
    *,
    hours: pd.DataFrame,
    flow: pd.DataFrame,
    theta2: Theta2Result | None = None,
    no_signal: str = "no DL3 files yet",
    period: str | None = None,
    simulated: bool = False,
) -> Figure:
    """Hours, trigger rates, sky brightness, what became of the runs, and the growth of the signal.

    Parameters
    ----------
    runs
        The selected runs, columns as in `core.runs.RUN_COLUMNS`.
    hours
        Hours by moon level (rows) and zenith range (columns).
    flow
        Steps in order: `step`, `runs`, `hours` that are left.
    theta2
        Counts of what has been brought to DL3, or None.
    no_signal
        Why there are no counts.
    """
    caption = (
        f"Selected runs of {name}, {period or 'all periods'}: {len(runs)} runs, {runs['duration_s'].sum() / 3600:.2f} "
        "h. L3: stereo trigger rate by the run reports. Sky: measured from pedestals where runs have been downloaded, "
        "else the estimate of the catalogue; bands: moon levels. Steps: runs that are left after each."
    )
    if theta2 is not None:
        caption += f" Signal: {theta2.selection.text}; significance after Li & Ma (1983), eq. 17."
    wide, high = 14.5, 8.6
    figure, bottom = captioned(caption, simulated=simulated, size=(wide, high))
    foot, height = bottom + 0.03, (0.78 - bottom) / 2
    panels = [
        figure.add_axes((0.06 + 0.325 * column, foot + (1 - row) * (height + 0.11), 0.255, height))
        for row in (0, 1)
        for column in range(3)
    ]
    _draw_hours(panels[0], hours)
    _draw_trigger(panels[1], runs, "za_deg", "Zenith distance (deg)", "Rate and zenith distance")
    _draw_trigger(panels[2], runs, "date", "Night", "Rate with time")
    _draw_sky(panels[3], runs)
    _draw_flow(panels[4], flow)
    _draw_growth(panels[5], theta2, no_signal)
    figure.suptitle(f"{name}{' (simulated)' if simulated else ''}, {period or 'all periods'}", fontsize=13)
    return stamp_simulated(figure, simulated)


def _draw_hours(axes: Axes, hours: pd.DataFrame) -> None:
    if hours.empty:
        _nothing(axes, "no run with a cell")
        return
    draw_hours(axes, hours)
    axes.set_title("Hours", fontsize=10)
    axes.tick_params(labelsize=8)


def _draw_trigger(axes: Axes, runs: pd.DataFrame, column: str, label: str, title: str) -> None:
    for level, colour in MOON_COLOURS.items():
        here = runs[runs["moon_level"] == level]
        if len(here):
            axes.plot(here[column], here["L3_rate"], "o", ms=4, alpha=0.8, color=colour, label=level)
    elsewhere = runs[~runs["moon_level"].isin(list(MOON_COLOURS))]
    if len(elsewhere):
        axes.plot(elsewhere[column], elsewhere["L3_rate"], "x", ms=4, color=REFERENCE_COLOUR, label="no cell")
    _words(axes, label, "L3 rate (Hz)", title)
    axes.set_ylim(bottom=0)
    if column == "date":
        _dates(axes)


def _draw_sky(axes: Axes, runs: pd.DataFrame) -> None:
    top = 1.15 * max(2.0, float(runs["nsb"].max()))
    for moon in moons.ALL:
        if moon.nsb_low < top:
            high = min(moon.nsb_high, top)
            axes.axhspan(moon.nsb_low, high, color=MOON_COLOURS[moon.key], alpha=0.13, lw=0)
            axes.text(0.99, 0.5 * (moon.nsb_low + high), moon.key, transform=axes.get_yaxis_transform(), fontsize=7,
                      ha="right", va="center", color=REFERENCE_COLOUR)  # fmt: skip
    axes.plot(runs["date"], runs["nsb"], "o", ms=4, color=ON_COLOUR)
    _words(axes, "Night", "Sky (× dark)", "Moon")
    axes.set_ylim(0, top)
    _dates(axes)


def _draw_flow(axes: Axes, flow: pd.DataFrame) -> None:
    place = np.arange(len(flow))[::-1]
    axes.barh(place, flow["runs"].to_numpy(), color=OFF_COLOUR, height=0.7)
    for row, at in zip(flow.itertuples(), place, strict=True):
        axes.text(0, at, f"  {row.step}: {row.runs} runs, {row.hours:.2f} h", va="center", fontsize=8)
    axes.set_yticks([])
    axes.set_xlim(0, max(1, int(flow["runs"].max())))
    _words(axes, "Runs", "", "What became of the runs")


def _draw_growth(axes: Axes, theta2: Theta2Result | None, why_not: str) -> None:
    if theta2 is None or theta2.growth is None:
        _words(axes, "Live time (h)", "Significance (σ)", "Signal")
        _nothing(axes, "\n".join(textwrap.wrap(why_not, 44)))
        return
    draw_growth(axes, theta2.growth)
    _words(axes, "Live time (h)", "Significance so far (σ)", f"Signal: {theta2.significance:.1f} σ")


def _dates(axes: Axes) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(minticks=3, maxticks=6)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
