"""The validation page: known answers, what came out, and figures, from the products in a store.

    python examples/validation.py --store FOLDER [--docs]

Without --docs the table is printed only. A store with the Crab Nebula in many cells is made by examples/moonlight.py.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import magicpy_assets as mp
from magicpy_assets.analysis.validating import Validation
from magicpy_assets.core.settings import load_settings
from magicpy_assets.plots.forest_overview import forest_figure
from magicpy_assets.plots.forests import ForestReport
from magicpy_assets.plots.maps import skymap_figure
from magicpy_assets.plots.sed import sed_figure

DOCS = Path(__file__).parents[1] / "docs"
REMARKS = {
    "theta39, energy_resolution": (
        "The event library of the embedded observatory keeps images of at least 300 photo-electrons in both telescopes,"
        " or it would not fit into the package: below 400 GeV these are of the brighter gamma rays."
    ),
}


def page_of(found: Validation, caption: str, figures: dict[str, str]) -> list[str]:
    """Return the lines of the page."""
    lines = [
        "# Validation: known answers",
        "",
        f"Made by `examples/validation.py --docs` with `Source.validate()`: {caption}.",
        "**The data are simulated; expectations are those of the real telescopes.**" if found.simulated else "",
        "",
        "| question | found | expected | allowed | | source |",
        "|---|---|---|---|---|---|",
    ]
    for row in found.table.itertuples():
        value = f"{row.value:.4g} ± {row.error:.2g} {row.unit}" if row.value == row.value else "—"
        slack = {"relative": f"± {row.tolerance:.0%}", "absolute": f"± {row.tolerance:g}"}.get(row.kind, row.kind)
        lines.append(f"| {row.meaning} | {value} | {row.expected:.4g} | {slack} | {_verdict(row)} | {row.source} |")
    told = [f"* *{name}*: {words}" for name, words in REMARKS.items() if found.simulated]
    lines += ["", "Three statistical errors are allowed beside what the table says.", "", *told, ""]
    for name, words in figures.items():
        lines += [f"![{words}](figures/validation_{name}.png)", "", f"*{words}*", ""]
    return lines


def _verdict(row: Any) -> str:
    """Return the verdict; where there is none, why."""
    return f"{row.verdict}: {row.remark}" if row.remark else str(row.verdict)


def main() -> int:
    """Validate the Crab Nebula of a store."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--docs", action="store_true", help="write the page of the documentation")
    given = parser.parse_args()
    settings = load_settings(store=str(given.store), archive={"offline": True})
    with mp.analysis.Source("CrabNebula", period=mp.periods.ST0316, settings=settings, quiet=True) as crab:
        found = crab.validate()
        print(found)
        if not given.docs:
            return 0
        cell = crab.cells[0]
        report = ForestReport.read(crab.session.layout.forest(cell), cell.text).report
        spectrum = crab.spectrum()
        drawn = {
            "sed": (sed_figure(spectrum), "The spectrum of all cells, with that of MAGIC 2015."),
            "skymap": (skymap_figure(crab.skymap()), "The field: significances beside the source are nearly normal."),
            "forests": (forest_figure(report, title=cell.text), f"Separation and resolutions in {cell.text}."),
        }
        for name, (figure, _) in drawn.items():
            figure.savefig(DOCS / "figures" / f"validation_{name}.png", dpi=75)
        words = {name: text for name, (_, text) in drawn.items()}
        (DOCS / "validation.md").write_text(
            "\n".join(page_of(found, spectrum.exposure.caption, words)), encoding="utf-8"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
