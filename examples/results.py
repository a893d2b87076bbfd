"""Figures of the page on results, from the products in a store.

    python examples/results.py --store FOLDER [--docs]

Without --docs they are drawn into the folder of plots of the store. A store with the Crab Nebula in many cells is made
by examples/moonlight.py.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import magicpy_assets as mp
from magicpy_assets.core.settings import load_settings
from magicpy_assets.plots.light_curve import light_curve_figure
from magicpy_assets.plots.sed import sed_figure
from magicpy_assets.plots.theta2 import growth_figure

DOCS = Path(__file__).parents[1] / "docs"


def main() -> int:
    """Draw the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--docs", action="store_true", help="draw for the documentation")
    given = parser.parse_args()
    settings = load_settings(store=str(given.store), archive={"offline": True})
    with mp.analysis.Source("CrabNebula", period=mp.periods.ST0316, settings=settings, quiet=True) as crab:
        low = [cell for cell in crab.cells if cell.zenith == mp.zeniths.za05to35]
        drawn = {
            "growth": growth_figure(crab.theta2(low, "LE")),
            "light_curve": light_curve_figure(crab.light_curve(low, by="10 min")),
            "sed": sed_figure(crab.spectrum()),
        }
        for name, figure in drawn.items():
            if given.docs:
                path = DOCS / "figures" / f"results_{name}.png"
                figure.savefig(path, dpi=80)
            else:
                path = crab.save_figure(figure, f"results_{name}")
            print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
