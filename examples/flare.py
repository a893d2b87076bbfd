"""A flare found: ten nights of PKS 1222+216 from search to light curves, against what was put into the sky.

With --docs the page `docs/flare.md` and its figures are written.

    python examples/flare.py [--run-seconds 600] [--keep FOLDER] [--docs]
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from datetime import date
from pathlib import Path

import numpy as np
from astropy.time import Time

import magicpy_assets as mp
from magicpy_assets.analysis.source import Source
from magicpy_assets.core.settings import load_settings
from magicpy_assets.observatory import sky
from magicpy_assets.observatory.server import serve
from magicpy_assets.plots.light_curve import light_curve_figure
from magicpy_assets.plots.maps import skymap_figure
from magicpy_assets.plots.sed import sed_figure
from magicpy_assets.plots.theta2 import theta2_figure
from magicpy_assets.science.light_curve import LightCurveResult

DOCS = Path(__file__).parents[1] / "docs"
SOURCE = "PKS1222+216"
NIGHTS = (*(date(2021, 3, day) for day in range(9, 19)), date(2021, 2, 7), date(2021, 2, 9), date(2021, 2, 10))
"""The nights of the source, and some with OFF data of the same zenith range."""
ENERGY_MIN_TEV = 0.3
MODEL = "power_law"


def true_flux(night: date) -> float:
    """Integral flux above 300 GeV that was put into the sky in a night, cm⁻² s⁻¹."""
    grid = np.geomspace(ENERGY_MIN_TEV, 100.0, 4000)
    return float(np.trapezoid(sky.field(SOURCE, night).flux_per_cm2_s_tev(grid), grid))


def night_of(mjd: float) -> date:
    """Return the MAGIC date (that of the morning) of a time."""
    found: date = Time(mjd + 0.5, format="mjd").to_datetime().date()
    return found


def nights_table(curve: LightCurveResult) -> list[str]:
    """Return a row for each night, measured and true, and how they agree."""
    rows, pulls = ["| night | flux above 300 GeV (10⁻¹² cm⁻² s⁻¹) | put in | pull |", "|---|---|---|---|"], []
    for point in curve.table:
        night = night_of(float(point["start_mjd"]))
        true = true_flux(night)
        pulls.append((float(point["flux"]) - true) / float(point["flux_err"]))
        rows.append(
            f"| {night} | {1e12 * point['flux']:.1f} ± {1e12 * point['flux_err']:.1f}"
            f"{' (limit ' + format(1e12 * point['flux_ul'], '.1f') + ')' if point['is_ul'] else ''} |"
            f" {1e12 * true:.1f} | {pulls[-1]:+.1f} |"
        )
    chi2 = float(np.sum(np.square(pulls)))
    return [*rows, "", f"χ² against what was put in: {chi2:.1f} for {len(pulls)} nights."]


def page_of(source: Source, run_s: float, figures: bool) -> list[str]:
    """Make the results; return the lines of the page."""
    theta2, spectrum, skymap = source.theta2(), source.spectrum(model=MODEL), source.skymap()
    nights, blocks = (source.light_curve(by=kind, model=spectrum.model) for kind in ("night", "blocks"))
    drawn = {
        "nights": light_curve_figure(nights),
        "blocks": light_curve_figure(blocks),
        "theta2": theta2_figure(theta2),
        "skymap": skymap_figure(skymap),
        "sed": sed_figure(spectrum),
    }
    if figures:
        for name, figure in drawn.items():
            figure.savefig(DOCS / "figures" / f"flare_{name}.png", dpi=70)
    true, index = sky.field(SOURCE), spectrum.parameter("index")
    parts = [
        f"from {night_of(float(row['start_mjd']))} to {night_of(float(row['stop_mjd']))}:"
        f" ({1e12 * row['flux']:.1f} ± {1e12 * row['flux_err']:.1f})·10⁻¹² cm⁻² s⁻¹"
        for row in blocks.table
    ]
    lines = [
        "# A flare, found",
        "",
        f"Made by `examples/flare.py --docs`: ten nights of {SOURCE} on the embedded observatory, two runs of {run_s:g}"
        " s in each, from search to light curves. The flare is invented: the flux rises to twenty times that of quiet"
        " nights, and falls. **Everything here is simulated.**",
        "",
        "```python",
        f'with mp.analysis.Source("{SOURCE}", period=mp.periods.ST0316) as source:',
        "    source.make(mp.datalevels.DL3)",
        '    source.light_curve(by="night")',
        '    source.light_curve(by="blocks")',
        "```",
        "",
        f"* {theta2.n_on} on, {theta2.alpha * theta2.n_off:.1f} background in {theta2.live_time_s / 3600:.2f} h:"
        f" {theta2.significance:.1f} σ (Li & Ma, eq. 17).",
        f"* Power law of index {index[0]:.2f} ± {index[1]:.2f} (put in {true.alpha:.2f}).",
        f"* Constant flux: χ² = {nights.chi2_constant:.1f} for {nights.degrees_of_freedom} degrees of freedom,"
        f" p = {nights.p_constant:.1e}; fractional variability {nights.variability:.2f} ±"
        f" {nights.variability_error:.2f}.",
        f"* Sky map: highest {skymap.peak[0]:.1f} σ at ({skymap.peak[1]:+.2f}°, {skymap.peak[2]:+.2f}°); beside the"
        f" source significances have mean {skymap.residual_mean:.2f} and rms {skymap.residual_rms:.2f}.",
        f"* Bayesian blocks: {len(blocks.table)}.",
        *(f"  * {part}" for part in parts),
        "",
        *nights_table(nights),
        "",
    ]
    captions = {
        "nights": "Night by night.", "blocks": "Bayesian blocks.", "theta2": "θ² of all nights.",
        "skymap": "Sky map.", "sed": "Spectrum of all nights together.",
    }  # fmt: skip
    for name, caption in captions.items():
        lines += [f"![{caption}](figures/flare_{name}.png)", "", f"*{caption} Simulated.*", ""]
    return lines


def main() -> int:
    """Run the analysis from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run-seconds", type=float, default=600.0)
    parser.add_argument("--keep", type=Path, help="work in this folder and leave it")
    parser.add_argument("--docs", action="store_true", help="write the page of the documentation")
    given = parser.parse_args()
    folder = (given.keep or Path(tempfile.mkdtemp(prefix="flare-"))).absolute()
    try:
        with serve(folder / "observatory", 316, nights=NIGHTS, duration_s=given.run_seconds) as server:
            os.environ["MAGICPY_ARCHIVE_PASSWORD"] = server.password
            settings = load_settings(
                store=str(folder / "store"), archive={"url": server.url, "user": server.user}, forest={"off_hours": 0.5}
            )
            with Source(SOURCE, period=mp.periods.ST0316, settings=settings, quiet=True) as source:
                source.search()
                source.make(mp.datalevels.DL3).raise_if_failed()
                page = page_of(source, given.run_seconds, given.docs)
        print("\n".join(page))
        if given.docs:
            (DOCS / "flare.md").write_text("\n".join(page).rstrip() + "\n", encoding="utf-8")
    finally:
        if given.keep is None:
            shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
