"""A whole moonlight analysis: CrabNebula over all zenith ranges and moon levels, from search to spectra.

The embedded observatory serves a part of its season, with the troubles that are planted in it; every step is shown with
what it prints. With --docs the page `docs/moonlight_analysis.md` and its figures are written.

    python examples/moonlight.py [--run-seconds 300] [--off-hours 0.5] [--keep FOLDER] [--docs]
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd

import magicpy_assets as mp
from magicpy_assets.core.cell import Cell
from magicpy_assets.core.errors import MagicpyError
from magicpy_assets.core.settings import Settings, load_settings
from magicpy_assets.observatory import sky
from magicpy_assets.observatory.server import serve
from magicpy_assets.science.on_off import peak_energy_tev
from magicpy_assets.science.spectral_models import butterfly

DOCS = Path(__file__).parents[1] / "docs"
PAGE = "moonlight_analysis"
NIGHTS = tuple(
    date.fromisoformat(text)
    for text in (
        "2020-10-31", "2020-11-04", "2020-11-06", "2020-11-12", "2020-11-13", "2020-11-14", "2020-11-15", "2020-11-17",
        "2020-11-23", "2020-11-25", "2020-11-26", "2020-12-12", "2021-01-09", "2021-01-21",
    )
)  # fmt: skip
"""Nights with the Crab Nebula in every cell of the season, OFF data for each zenith range, and most of the troubles."""
REFERENCE_TEV = 0.5
MOST_LINES = 12


@dataclass
class Page:
    """Collects what was typed, what came back, and figures; prints as it goes."""

    lines: list[str] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)
    quiet: bool = False

    def text(self, words: str) -> None:
        """Add a paragraph."""
        self.lines += [words, ""]

    def step(self, code: str, result: object) -> None:
        """Add lines of code and what they return."""
        self.lines += ["```python", code, "```", "", "```", str(result).rstrip(), "```", ""]
        if not self.quiet:
            print(f">>> {code}\n{result}\n", flush=True)

    def figure(self, figure: Any, name: str, caption: str) -> None:
        """Add a figure."""
        self.figures[name] = figure
        self.lines += [f"![{caption}](figures/{PAGE}_{name}.png)", "", f"*{caption}*", ""]

    def write(self, folder: Path, hidden: Path) -> Path:
        """Write the page and its figures, without the path of the folder in which it was made; return its path."""
        (folder / "figures").mkdir(parents=True, exist_ok=True)
        for name, figure in self.figures.items():
            figure.savefig(folder / "figures" / f"{PAGE}_{name}.png", dpi=90)
        path = folder / f"{PAGE}.md"
        text = "\n".join(line.rstrip() for line in "\n".join(self.lines).splitlines())
        path.write_text(text.replace(str(hidden), "…") + "\n", encoding="utf-8")
        return path


@dataclass(frozen=True)
class Outcome:
    """What the analysis found, from the cuts to the fluxes at 500 GeV by moon level."""

    cuts: Any
    check: Any
    books: Any
    forests: Any
    cells: pd.DataFrame
    moons: pd.DataFrame


def analyse(settings: Settings, page: Page, also: Mapping[str, Any] | None = None) -> Outcome:
    """Do the analysis, step by step, and write it down; ``also`` are further conditions on the runs."""
    with mp.analysis.Source("CrabNebula", period=mp.periods.ST0316, settings=settings, quiet=True) as crab:
        page.text("## What there is")
        page.step("crab.search()", crab.search())
        wanted = {"sum_trigger": "No_Sumt", "stereo": True, "L1_rate": ">0.0"}
        page.step(f"crab.filter({wanted})".replace("'", '"'), crab.filter({**wanted, **(also or {})}))
        page.text("## Downloads, and what the pedestals say")
        page.step("crab.get_data(mp.datalevels.Calibrated)", brief(crab.get_data(mp.datalevels.Calibrated)))
        check = crab.moon_check()
        page.step("check = crab.moon_check()\ncheck.before", check.before)
        page.step("check.after", check.after)
        page.step("check.moved", check.moved.round(2).to_string(index=False))
        page.text("## Images, run by run with the cleaning of its own sky")
        page.step("crab.run_star()", brief(crab.run_star()))
        page.step("crab.run_superstar()", brief(crab.run_superstar()))
        forests = _train(crab, page)
        page.text("## Forests applied, and instrument responses")
        told: list[str] = []
        report = crab.apply_rfs(say=told.append)
        page.step("crab.apply_rfs()", "\n".join([*told, brief(report)]))
        page.step("crab.dl3()", brief(crab.dl3()))
        page.text("## The books: hours in, hours out")
        books = crab.balance()
        page.step("books = crab.balance()\nbooks.by_cell", books)
        page.step("books.by_level", books.by_level.round(3))
        page.step("books.set_aside", books.set_aside.round(2).to_string(index=False))
        cells = _cells(crab, page)
        return Outcome(crab.selection, check, books, forests, cells, _by_moon(crab, cells, page))


def _train(crab: Any, page: Page) -> Any:
    page.text("## Forests for every cell, from OFF data as dark or darker, with noise added")
    first = max(crab.cells)
    off = mp.analysis.Off(first.period, first.zenith, first.moon, session=crab.session, quiet=True)
    page.step(f"off = mp.analysis.Off({first.period}, {first.zenith}, {first.moon.name})\noff.search()", off.search())
    trained = mp.analysis.train_random_forests(crab.period, crab.cells, session=crab.session, quiet=True)
    page.step("mp.analysis.train_random_forests(mp.periods.ST0316, crab.cells)", trained)
    return trained


def _cells(crab: Any, page: Page) -> pd.DataFrame:
    """Return what was measured in each cell: events, significance, threshold, flux at 500 GeV."""
    rows = []
    for cell in crab.cells:
        row: dict[str, Any] = {"cell": cell.text, "remark": ""}
        rows.append(row)
        try:
            row["threshold_gev"] = 1000 * peak_energy_tev(crab.observations([cell]))
            theta2 = crab.theta2([cell])
            row |= {"minutes": theta2.live_time_s / 60, "on": theta2.n_on, "excess": theta2.excess}
            row["sigma"] = theta2.significance
            row["flux_500gev"], row["flux_error"] = flux_at(crab.spectrum([cell], model="power_law"), REFERENCE_TEV)
        except MagicpyError as error:
            row["remark"] = error.message
    table = pd.DataFrame(rows).set_index("cell")
    table["remark"] = table.pop("remark")
    page.text("## Every cell by itself")
    page.text(
        "The energy threshold is where the rate of gamma rays with the spectrum of the Crab Nebula peaks, after all"
        f" cuts. Fluxes at 500 GeV per TeV s cm², from a power law; put in was {truth_at(REFERENCE_TEV):.2e}. Where the"
        " threshold is above 500 GeV they are extrapolated, and a power law is not what was put in."
    )
    page.step("results by cell", _shown(table))
    return table


def _by_moon(crab: Any, cells: pd.DataFrame, page: Page) -> pd.DataFrame:
    """Fit all cells of a moon level together, and everything together."""
    from magicpy_assets.plots.hours import hours_figure
    from magicpy_assets.plots.sed import sed_figure
    from magicpy_assets.plots.theta2 import theta2_figure

    page.text("## Moon levels, and everything together")
    page.text("The flux at 500 GeV by moon level, from the cells whose threshold is below that energy.")
    low = [Cell.parse(text) for text in cells.index[cells["threshold_gev"] < 1000 * REFERENCE_TEV]]
    rows = []
    for moon in sorted({cell.moon for cell in low}):
        mine = [cell for cell in low if cell.moon == moon]
        try:
            spectrum = crab.spectrum(mine, model="power_law")
        except MagicpyError as error:
            rows.append({"moon": moon.key, "remark": error.message})
            continue
        flux, error = flux_at(spectrum, REFERENCE_TEV)
        rows.append(
            {"moon": moon.key, "sigma": spectrum.significance, "flux_500gev": flux, "flux_error": error, "remark": ""}
        )
    table = pd.DataFrame(rows).set_index("moon")
    page.step("crab.spectrum(cells of one moon level)", _shown(table))
    theta2, spectrum = crab.theta2(), crab.spectrum()
    page.step("crab.theta2()", f"{theta2.n_on} on, {theta2.n_off} off: {theta2.significance:.1f} sigma (Li & Ma)")
    page.figure(theta2_figure(theta2), "theta2", "θ² of all cells together, simulated.")
    page.step("crab.spectrum().parameters", _parameters(spectrum.parameters))
    page.figure(sed_figure(spectrum), "sed", "The spectrum of all cells together, simulated.")
    page.figure(
        hours_figure(crab.hours().to_table(), title="CrabNebula: hours", simulated=True),
        "hours", "Hours by zenith range and measured moon level, simulated.",
    )  # fmt: skip
    return table


def _shown(table: pd.DataFrame) -> str:
    formats = {name: "{:.2e}".format for name in table.columns if name.startswith("flux")}
    formats |= {name: "{:.1f}".format for name in ("minutes", "excess", "sigma") if name in table.columns}
    formats |= {name: "{:.0f}".format for name in ("on", "threshold_gev") if name in table.columns}
    return str(table.to_string(formatters=formats, na_rep="-"))


def _parameters(rows: Iterable[Mapping[str, Any]]) -> str:
    return "\n".join(f"{row['name']} = {row['value']:.4g} +- {row['error']:.2g} {row['unit']}" for row in rows)


def brief(report: Any) -> str:
    """Return a report without the end of each log."""
    lines = [line for line in str(report).splitlines() if not line.lstrip().startswith("|")]
    return "\n".join(lines[:MOST_LINES] + [f"  … and {len(lines) - MOST_LINES} more"] * (len(lines) > MOST_LINES))


def flux_at(spectrum: Any, energy_tev: float) -> tuple[float, float]:
    """Return the fitted flux and its error at an energy, per TeV s cm²; linear, as a slope may be hardly known."""
    curve = butterfly(spectrum.model, energy_tev, energy_tev * 1.01)[0]
    return float(curve["dnde"].to_value("TeV-1 s-1 cm-2")), float(curve["dnde_err"].to_value("TeV-1 s-1 cm-2"))


def truth_at(energy_tev: float) -> float:
    """Return the flux that was put into the sky, per TeV s cm²."""
    import numpy as np

    return float(sky.field("CrabNebula").flux_per_cm2_s_tev(np.array([energy_tev]))[0])


def main() -> int:
    """Run the analysis from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run-seconds", type=float, default=300.0)
    parser.add_argument("--off-hours", type=float, default=0.5)
    parser.add_argument("--keep", type=Path, help="work in this folder and leave it")
    parser.add_argument("--docs", action="store_true", help="write the page of the documentation")
    given = parser.parse_args()
    folder = (given.keep or Path(tempfile.mkdtemp(prefix="moonlight-"))).absolute()
    started, fresh = time.monotonic(), not (folder / "store").exists()
    page = Page()
    page.text("# A moonlight analysis, executed")
    page.text(
        f"Made by `examples/moonlight.py --docs` on the embedded observatory, with runs of {given.run_seconds:g} s and"
        f" {given.off_hours:g} h of OFF data for each cell. **Everything here is simulated.**"
    )
    try:
        with serve(folder / "observatory", 316, nights=NIGHTS, duration_s=given.run_seconds) as server:
            import os

            os.environ["MAGICPY_ARCHIVE_PASSWORD"] = server.password
            settings = load_settings(
                store=str(folder / "store"),
                archive={"url": server.url, "user": server.user},
                forest={"off_hours": given.off_hours},
            )
            analyse(settings, page)
        if fresh:
            page.text(f"All of it took {(time.monotonic() - started) / 60:.0f} minutes.")
        if given.docs:
            print(page.write(DOCS, folder))
    finally:
        if given.keep is None:
            shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
