"""What one telescope can do of what two can: the same runs of the Crab Nebula, stereo and mono, on the observatory.

With --docs the page `docs/mono.md` and its figure are written. What has been made in the store is not made again.

    python examples/mono.py --store FOLDER [--off-hours 1] [--docs]
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

import magicpy_assets as mp
from magicpy_assets.analysis.source import Source
from magicpy_assets.core import datalevels
from magicpy_assets.core.settings import Settings, load_settings
from magicpy_assets.core.telescopes import Telescopes
from magicpy_assets.formats import melibea
from magicpy_assets.mars.programs import TRAINING_REPORT
from magicpy_assets.observatory import sky
from magicpy_assets.plots.canvas import captioned, stamp_simulated
from magicpy_assets.plots.style import OFF_COLOUR, ON_COLOUR, box
from magicpy_assets.science.known_answers import containment_deg, energy_bias, energy_resolution

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from magicpy_assets.science.light_curve import LightCurveResult
    from magicpy_assets.science.spectrum import SpectrumResult
    from magicpy_assets.science.theta2 import Theta2Result

DOCS = Path(__file__).parents[1] / "docs"
BEGIN, END = "<!-- made by examples/mono.py -->", "<!-- end -->"
SOURCE, CELL = "CrabNebula", "ST0316/za05to35/weak"
RUNS, ALONE = (5093118, 5093119), 10094231
"""Two runs of one night, and the run in which M1 alone took part."""
HADRONNESS = 0.28
CUTS = {"hadronness_max": HADRONNESS, "theta2_max_deg2": 0.02, "energy_min_gev": 300.0}
WIDE = {**CUTS, "theta2_max_deg2": 0.04}
BINS_GEV = ((250.0, 1000.0), (1000.0, 5000.0))


@dataclass(frozen=True)
class Found:
    """What one analysis gives: test Monte Carlo after the cut in hadronness, its training report, and the results."""

    telescopes: Telescopes
    gammas: pd.DataFrame
    kept: dict[tuple[float, float], float]
    report: dict[str, Any]
    counts: Theta2Result
    wide: Theta2Result
    spectrum: SpectrumResult
    curve: LightCurveResult


def analysed(settings: Settings, telescopes: tuple[int, ...], runs: tuple[int, ...]) -> Found:
    """Bring runs to DL3 and measure."""
    with Source(SOURCE, mp.periods.ST0316, settings=settings, quiet=True, telescopes=telescopes) as crab:
        crab.search()
        crab.filter({"run": list(runs)})
        report = crab.make(datalevels.DL3)
        report.raise_if_failed()
        (cell,) = crab.cells
        layout = crab.session.layout
        place = (cell.period.name, cell.zenith.name, "test", "any")
        folder = layout.mc(datalevels.Melibea, *place, moon=cell.moon.key).parent
        events = pd.concat([melibea.read_events(path) for path in sorted(folder.glob("*_Q_*.root"))])
        # Both telescopes triggered the runs, so of the gamma rays those count that they would have triggered on.
        events = events[(events["stereo_number_1"] > 0) & np.isfinite(events["theta2_deg2"])]
        good = events["hadronness"] < HADRONNESS
        return Found(
            telescopes=crab.telescopes,
            gammas=events[good],
            kept={edges: float(good[_inside(events, edges)].mean()) for edges in BINS_GEV},
            report=json.loads((layout.forest(cell) / TRAINING_REPORT).read_text(encoding="utf-8")),
            counts=crab.theta2(cuts=CUTS),
            wide=crab.theta2(cuts=WIDE),
            spectrum=crab.spectrum(model="log_parabola"),
            curve=crab.light_curve(by="run"),
        )


def _inside(events: pd.DataFrame, edges: tuple[float, float]) -> pd.Series[bool]:
    return (events["mc_energy_gev"] > edges[0]) & (events["mc_energy_gev"] < edges[1])


def table_of(stereo: Found, mono: Found) -> list[str]:
    """Return the comparison as a table of Markdown."""
    both = (stereo, mono)
    lines = [f"| | {stereo.telescopes.text} | {mono.telescopes.text} |", "|---|---|---|"]

    def row(name: str, values: list[str]) -> None:
        lines.append(f"| {name} | {' | '.join(values)} |")

    for edges in BINS_GEV:
        words = f"{edges[0] / 1e3:g}-{edges[1] / 1e3:g} TeV"
        parts = [one.gammas[_inside(one.gammas, edges)] for one in both]
        thetas = [np.sqrt(part["theta2_deg2"].to_numpy(dtype=np.float64)) for part in parts]
        ratios = [_ratio(part) for part in parts]
        row(f"gamma rays kept by hadronness < {HADRONNESS:g}, {words}", [f"{one.kept[edges]:.0%}" for one in both])
        for share in (0.39, 0.68):
            row(f"angle that holds {share:.0%}, {words}", [_said(containment_deg(it, share), "°", 3) for it in thetas])
        row(f"energy resolution, {words}", [_said(energy_resolution(it), "", 3) for it in ratios])
        row(f"energy bias, {words}", [_said(energy_bias(it), "", 3) for it in ratios])
    row("area under the curve, gamma/hadron", [f"{one.report['auc']:.3f}" for one in both])
    row("right end of the image", ["", f"{mono.report['head_tail']:.1%}"])
    for name, counts in (("0.02", [one.counts for one in both]), ("0.04", [one.wide for one in both])):
        minutes = [one.live_time_s / 60 for one in counts]
        cut = f"E > 300 GeV, θ² < {name} deg²"
        rates = [
            f"{one.alpha * one.n_off / time:.3f} ± {one.alpha * one.n_off**0.5 / time:.3f}"
            for one, time in zip(counts, minutes, strict=True)
        ]
        row(f"background per minute, {cut}", rates)
        excess = [f"{one.excess / t:.2f} ± {one.excess_error / t:.2f}" for one, t in zip(counts, minutes, strict=True)]
        row(f"excess per minute, {cut}", excess)
        row(f"significance (Li & Ma), {cut}", [f"{one.significance:.1f} σ" for one in counts])
    return lines


def _ratio(gammas: pd.DataFrame) -> Any:
    return (gammas["energy_gev"] / gammas["mc_energy_gev"]).to_numpy(dtype=np.float64)


def _said(answer: Any, unit: str, digits: int) -> str:
    return answer if isinstance(answer, str) else f"{answer[0]:.{digits}f} ± {answer[1]:.{digits}f}{unit}"


def spectra_of(stereo: Found, mono: Found) -> list[str]:
    """Return the spectra against what was put into the sky."""
    true = sky.field(SOURCE)
    grid = np.geomspace(0.3, 100.0, 4000)
    integral = float(np.trapezoid(true.flux_per_cm2_s_tev(grid), grid))
    lines = ["| log-parabola | stereo | mono, M1 | put in |", "|---|---|---|---|"]
    rows = (
        ("amplitude", "flux at 1 TeV (10⁻¹¹ cm⁻² s⁻¹ TeV⁻¹)", 1e11, true.flux_1tev_per_cm2_s_tev),
        ("alpha", "slope at 1 TeV", 1.0, true.alpha),
        ("beta", "curvature (natural logarithm)", 1.0, _beta(true)),
    )
    for name, meaning, scale, truth in rows:
        values = [one.spectrum.parameter(name) for one in (stereo, mono)]
        told = " | ".join(f"{scale * value:.2f} ± {scale * error:.2f}" for value, error in values)
        lines.append(f"| {meaning} | {told} | {scale * truth:.2f} |")
    curves = [f"{1e10 * one.curve.mean_flux:.2f} ± {1e10 * one.curve.mean_flux_error:.2f}" for one in (stereo, mono)]
    lines.append(f"| flux above 300 GeV (10⁻¹⁰ cm⁻² s⁻¹) | {' | '.join(curves)} | {1e10 * integral:.2f} |")
    return lines


def _beta(field: Any) -> float:
    """The sky has its curvature by decades, a fit by natural logarithms."""
    low, middle, high = np.log(field.flux_per_cm2_s_tev(np.exp(np.array([-0.01, 0.0, 0.01]))))
    return float(-(high - 2 * middle + low) / (2 * 0.01**2))


def figure_of(stereo: Found, mono: Found) -> Figure:
    """θ² of the same runs, with both telescopes and with one."""
    caption = (
        f"{SOURCE}, runs {', '.join(map(str, RUNS))}: hadronness < {HADRONNESS:g}, E > 300 GeV. Left with both"
        f" telescopes, right with M1 alone. Bars: Poisson errors."
    )
    simulated = stereo.counts.simulated or mono.counts.simulated
    figure, bottom = captioned(caption, simulated=simulated, size=(10.5, 4.6))
    top = 1.15 * max(float(stereo.counts.on.max()), float(mono.counts.on.max()))
    for left, found in ((0.07, stereo), (0.57, mono)):
        axes = figure.add_axes((left, bottom + 0.03, 0.41, 0.88 - bottom))
        counts = found.counts
        edges = counts.edges_deg2
        axes.stairs(counts.alpha * counts.off, edges, fill=True, color=OFF_COLOUR, alpha=0.45, label="off")
        axes.errorbar(
            0.5 * (edges[1:] + edges[:-1]), counts.on, yerr=np.sqrt(counts.on), xerr=0.5 * np.diff(edges), fmt="o",
            ms=3, color=ON_COLOUR, elinewidth=1, label="on",
        )  # fmt: skip
        axes.axvline(counts.selection.theta2_max_deg2, color="#333333", ls="--", lw=1)
        axes.set(xlim=(0, edges[-1]), ylim=(0, top), xlabel="θ² (deg²)", title=found.telescopes.text)
        axes.set_ylabel("Events")
        words = (
            f"N$_{{on}}$ = {counts.n_on}, background {counts.alpha * counts.n_off:.1f}\n"
            f"{counts.significance:.1f} σ in {counts.live_time_s / 60:.1f} min"
        )
        axes.text(0.97, 0.95, words, transform=axes.transAxes, ha="right", va="top", fontsize=10, bbox=box())
        axes.legend(loc="center right", frameon=False)
    return stamp_simulated(figure, simulated)


def lines_of(stereo: Found, mono: Found, alone: Found, off_hours: float) -> list[str]:
    """Return the measured part of the page."""
    counts = alone.counts
    return [
        BEGIN,
        "",
        f"Two runs of the Crab Nebula ({', '.join(map(str, RUNS))}; {stereo.counts.live_time_s / 60:.1f} min) in"
        f" {CELL}, analysed with both telescopes and with M1 of the same runs; forests trained with {off_hours:g} h of"
        " OFF data. Resolutions are of test Monte Carlo that both telescopes would have triggered on, after the cut in"
        " hadronness. **All of it is simulated.**",
        "",
        *table_of(stereo, mono),
        "",
        *spectra_of(stereo, mono),
        "",
        f"Run {ALONE}, in which M1 alone took part ({counts.live_time_s / 60:.1f} min): {counts.n_on} on,"
        f" {counts.alpha * counts.n_off:.1f} background, {counts.significance:.1f} σ with θ² < 0.02 deg²; flux above"
        f" 300 GeV ({1e10 * alone.curve.mean_flux:.2f} ± {1e10 * alone.curve.mean_flux_error:.2f})·10⁻¹⁰ cm⁻² s⁻¹.",
        "",
        "![θ² of the same runs with both telescopes and with one, simulated.](figures/mono_theta2.png)",
        "",
        END,
    ]


def main() -> int:
    """Analyse, measure, print; with --docs write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--off-hours", type=float, default=1.0)
    parser.add_argument("--docs", action="store_true", help="write the page of the documentation")
    given = parser.parse_args()
    settings = load_settings(store=str(given.store), forest={"off_hours": given.off_hours})
    stereo, mono = (analysed(settings, telescopes, RUNS) for telescopes in ((1, 2), (1,)))
    lines = lines_of(stereo, mono, analysed(settings, (1,), (ALONE,)), given.off_hours)
    print("\n".join(lines))
    figure = figure_of(stereo, mono)
    figure.savefig((DOCS / "figures" if given.docs else given.store) / "mono_theta2.png", dpi=75)
    if given.docs:
        page = DOCS / "mono.md"
        before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
        page.write_text(before + "\n".join(lines) + rest.partition(END)[2], encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
