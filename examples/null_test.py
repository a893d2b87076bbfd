"""Nothing found where there is nothing: fields without a source, analysed as if each held one.

Runs of the OFF fields of the observatory, of one cell and none of those that its forests were trained with, go through
every program to DL3 and are counted around the middle of the field. With --docs the page `docs/null_test.md` and its
figure are written.

    python examples/null_test.py [--runs 2] [--off-hours 0.5] [--keep FOLDER] [--docs]
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import chi2, norm

import magicpy_assets as mp
from magicpy_assets.core import datalevels
from magicpy_assets.core.cell import Cell
from magicpy_assets.core.settings import Settings, load_settings
from magicpy_assets.pipeline.off_data import off_runs
from magicpy_assets.pipeline.runs import known_runs
from magicpy_assets.pipeline.session import open_session
from magicpy_assets.science.counts import ABOVE_300_GEV, field_of
from magicpy_assets.science.known_answers import null_mean, null_rms, null_significances
from magicpy_assets.science.theta2 import Theta2Result, li_ma

DOCS = Path(__file__).parents[1] / "docs"
CELL = Cell.parse("ST0316/za05to35/weak")
OFF_REGIONS = 3


@dataclass(frozen=True)
class Looked:
    """What a field gave: counts at its middle, those in each off region of each run, significances of its map."""

    name: str
    theta2: Theta2Result
    regions: np.ndarray
    map_mean: float
    map_rms: float


def fields(settings: Settings, most: int) -> dict[str, list[int]]:
    """Return runs by OFF field: of the cell, not trained with, at most so many of each field."""
    with open_session(settings) as session:
        session.catalogue.refresh()
        runs = known_runs(session)
        trained = set(off_runs(session, runs, CELL)["run"])
        mine = runs[runs["off"] & (runs["cell"] == CELL.text) & ~runs["run"].isin(trained)]
    return {str(name): group["run"].tolist()[:most] for name, group in mine.groupby("source")}


def look(name: str, runs: list[int], settings: Settings) -> Looked:
    """Analyse a field as if it held a source in its middle."""
    with mp.analysis.Source(name, period=CELL.period, settings=settings, quiet=True) as source:
        source.filter({"run": runs})
        source.make(datalevels.DL3)
        counted, sky = source.theta2(), source.skymap()
        turns = [360.0 * k / (OFF_REGIONS + 1) for k in range(1, OFF_REGIONS + 1)]
        seen = [field_of(one, source.position_deg, ABOVE_300_GEV) for one in source.observations()]
        inside = [
            [int((one.theta2_deg2(turn) < counted.selection.theta2_max_deg2).sum()) for turn in turns] for one in seen
        ]
    return Looked(name, counted, np.array(inside), sky.residual_mean, sky.residual_rms)


def page_of(found: list[Looked]) -> list[str]:
    """Return the lines of the page."""
    each = np.array([one.theta2.significance for one in found])
    on, off = sum(one.theta2.n_on for one in found), sum(one.theta2.n_off for one in found)
    hours = sum(one.theta2.live_time_s for one in found) / 3600
    counts = np.concatenate([one.regions for one in found])
    (mean, mean_error), (rms, rms_error) = null_mean(counts), null_rms(counts)
    rows = [
        f"| {one.name} | {len(one.theta2.exposure.runs)} | {one.theta2.live_time_s / 3600:.2f} | {one.theta2.n_on} |"
        f" {one.theta2.alpha * one.theta2.n_off:.1f} | {one.theta2.significance:+.1f} |"
        f" {one.map_mean:+.2f}, {one.map_rms:.2f} |"
        for one in found
    ]
    n, square = len(each), float((each**2).sum())
    return [
        "# Nothing where there is nothing",
        "",
        f"Made by `examples/null_test.py --docs`: {n} fields without a source, {hours:.1f} h of {CELL.text}, analysed"
        " as if each held one in its middle; none of these runs was used to train the forests. **Everything here is"
        " simulated.**",
        "",
        "| field | runs | live time (h) | on | background | σ (Li & Ma) | map beside it: mean, rms (σ) |",
        "|---|---|---|---|---|---|---|",
        *rows,
        "",
        f"* All together: {on} on, {off / OFF_REGIONS:.1f} background, {li_ma(on, off, 1 / OFF_REGIONS):+.1f} σ.",
        f"* Significances of the {n} fields: mean {each.mean():+.2f} ± {1 / np.sqrt(n):.2f}, rms"
        f" {np.sqrt(square / n):.2f} ± {1 / np.sqrt(2 * n):.2f}; χ² = {square:.1f} for {n} degrees of freedom,"
        f" p = {float(chi2.sf(square, n)):.2g}.",
        f"* Off regions taken as signal, each run and region: mean {mean:+.2f} ± {mean_error:.2f}, rms {rms:.2f} ±"
        f" {rms_error:.2f}.",
        "",
        "![Significances of nothing](figures/null_test.png)",
        "",
        "*Significances at the middle of the fields, and of off regions taken as signal, with the normal distribution."
        " Simulated.*",
    ]


def figure_of(found: list[Looked]) -> Any:
    """Draw the significances."""
    from magicpy_assets.plots.canvas import captioned, stamp_simulated

    regions = null_significances(np.concatenate([one.regions for one in found]))
    caption = f"Significances (Li & Ma) above 300 GeV of {len(found)} fields without a source; line: normal."
    figure, bottom = captioned(caption, simulated=True, size=(9.0, 4.2))
    steps, grid = np.linspace(-4, 4, 17), np.linspace(-4, 4, 200)
    shown = {
        "middle of the fields": np.array([one.theta2.significance for one in found]),
        "off regions, run by run": np.array([] if isinstance(regions, str) else regions[0]),
    }
    for left, (label, values) in zip((0.08, 0.57), shown.items(), strict=True):
        axes = figure.add_axes((left, bottom + 0.06, 0.40, 0.86 - bottom))
        axes.hist(values, steps.tolist(), color="#1f4e79", alpha=0.7)
        axes.plot(grid, norm.pdf(grid) * len(values) * (steps[1] - steps[0]), color="#c0392b")
        axes.set_xlabel("significance (σ)")
        axes.set_ylabel("number")
        axes.set_title(f"{label}: mean {values.mean():+.2f}, rms {np.sqrt((values**2).mean()):.2f}", fontsize=10)
    return stamp_simulated(figure, True)


def main() -> int:
    """Run the test from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=2, help="of each field, of 900 s")
    parser.add_argument("--off-hours", type=float, default=0.5)
    parser.add_argument("--keep", type=Path, help="work in this store, leave it, and go on where it was left")
    parser.add_argument("--docs", action="store_true", help="write the page of the documentation")
    given = parser.parse_args()
    store = (given.keep or Path(tempfile.mkdtemp(prefix="null-test-"))).absolute()
    settings = load_settings(store=str(store), forest={"off_hours": given.off_hours})
    try:
        found = []
        for name, runs in fields(settings, given.runs).items():
            found.append(look(name, runs, settings))
            print(f"{name}: {found[-1].theta2.significance:+.1f} sigma", flush=True)
        page = page_of(found)
        print("\n".join(page))
        if given.docs:
            figure_of(found).savefig(DOCS / "figures" / "null_test.png", dpi=80)
            (DOCS / "null_test.md").write_text("\n".join(page) + "\n", encoding="utf-8")
    finally:
        if given.keep is None:
            shutil.rmtree(store, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
