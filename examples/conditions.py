"""What the conditions of a run cost: the same gamma rays of a bright source, seen better and worse.

A source of sixty times the flux of the Crab Nebula is observed in runs of one cell, from showers to melibea, each time
with the same gamma rays: under a clear dark sky with whole cameras, then with what the observatory's own nights have
(brighter sky, haze, broken pixels), one at a time; and they are written as Monte Carlo is. What differs is counted, in
bins of estimated energy, after cuts. So it is seen that data and Monte Carlo of the observatory are alike, and by how
much fluxes are off that know nothing of the conditions. With --docs the page `docs/conditions.md` is written.

    python examples/conditions.py [--runs 6] [--store STORE] [--keep FOLDER] [--docs]
"""

from __future__ import annotations

import argparse
import logging
import math
import shutil
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
from closure_study import CELL, CLEAR_AND_DARK, DOCS, SEED, Sky, as_far_as_melibea, plans_for, prepared

from magicpy_assets.formats.melibea import FOR_COUNTING, MELIBEA, read_events
from magicpy_assets.observatory import montecarlo, nights
from magicpy_assets.observatory.gammas import gamma_rays, thrown_gammas
from magicpy_assets.observatory.programme import programme
from magicpy_assets.observatory.shards import find

RUN_S = 300.0
SOURCE = Sky(0, flux=60.0, slope=2.4, beta=0.0, cutoff_tev=math.inf, flare=1.0)
ALIKE = "as Monte Carlo"
BEST = "clear, dark, whole cameras"
SEEN_IN = {
    BEST: CLEAR_AND_DARK,
    "sky 1.7 times dark": replace(CLEAR_AND_DARK, nsb=1.7),
    "2 % of the light lost to haze": replace(CLEAR_AND_DARK, transmission=0.98),
    "broken pixels of the observatory": replace(CLEAR_AND_DARK, has_broken_pixels=True),
}
EDGES_TEV = (0.2, 0.4, 0.8, 1.6, 20.0)
HADRONNESS, THETA2_DEG2, SIZE_PHE = 0.3, 0.02, 50.0
"""Cuts that leave nearly all gamma rays, and of so bright a source little else."""


def see(number: int, store: Path, folder: Path) -> dict[str, np.ndarray]:
    """Take the gamma rays of a run, seen in every way, as far as melibea (kept), and count them."""
    logging.disable(logging.WARNING)
    plan, seed = plans_for(number // 2 + 1, RUN_S)[-1][number % 2], 7000 + number
    field, like = SOURCE.field(0), find(use="mc_train", zenith=CELL.zenith.name)

    def make_alike(place: Path) -> None:
        images, _ = gamma_rays(plan, field, seed, like)
        thrown, _ = thrown_gammas(plan, field, seed, like)
        test = next(pair for pair in montecarlo.production() if (pair.zenith, pair.use) == (CELL.zenith.name, "test"))
        shard = replace(test.shard, name=f"conditions{number}", cores=1)
        montecarlo.write_pair(replace(test, run=9_500_000 + number), shard, images, thrown, seed, place)

    def make(place: Path, seen_in: nights.Conditions) -> None:
        every = programme(SEED, duration_s=RUN_S)
        nights.make_run(plan, every, seed, place, field=field, conditions=seen_in)

    ways = {ALIKE: make_alike} | {way: partial(make, seen_in=seen_in) for way, seen_in in SEEN_IN.items()}
    return {way: counted(as_far_as_melibea(_place(folder, way, number), made, store)) for way, made in ways.items()}


def _place(folder: Path, way: str, number: int) -> Path:
    return folder / "".join(sign if sign.isalnum() else "_" for sign in way) / f"melibea{number:02d}"


def counted(files: list[Path]) -> np.ndarray:
    """Return how many events pass the cuts, in bins of estimated energy and (last) in all."""
    counts = np.zeros(len(EDGES_TEV))
    for path in files:
        table = read_events(path, (*FOR_COUNTING, *(branch for branch in MELIBEA if branch.column == "theta2_deg2")))
        kept = (table["hadronness"] < HADRONNESS) & (table["theta2_deg2"] < THETA2_DEG2)
        kept &= (table["size_phe_1"] > SIZE_PHE) & (table["size_phe_2"] > SIZE_PHE)
        inside = np.histogram(table["energy_gev"][kept] / 1e3, EDGES_TEV)[0]
        counts += [*inside, inside.sum()]
    return counts


def ratios(runs: np.ndarray, best: np.ndarray) -> list[tuple[float, float]]:
    """Return how many events there are for one in the best conditions, and the error by a jackknife over runs.

    Parameters
    ----------
    runs, best
        Counts by run and energy, of the same gamma rays.
    """
    whole = runs.sum(axis=0) / best.sum(axis=0)
    parts = (runs.sum(axis=0) - runs) / (best.sum(axis=0) - best)
    n = len(runs)
    errors = np.sqrt((n - 1) / n * np.square(parts - parts.mean(axis=0)).sum(axis=0))
    return list(zip(whole.tolist(), errors.tolist(), strict=True))


def page_of(counts: dict[str, np.ndarray]) -> list[str]:
    """Return the lines of the page."""
    best = counts[BEST]
    lines = [
        "# What the conditions of a run cost",
        "",
        f"Made by `examples/conditions.py --docs`: {len(best)} runs of {RUN_S:g} s in {CELL.text} of a source of"
        f" {SOURCE.flux:g} times the flux of the Crab Nebula at 1 TeV, slope {SOURCE.slope:g}, each with the same gamma"
        f" rays in every row: {best[:, -1].sum():.0f} events in the best conditions, after hadronness below"
        f" {HADRONNESS:g} and θ² below {THETA2_DEG2:g} deg². Errors are of the differences, by a jackknife over runs."
        " **Everything here is simulated.**",
        "",
        f"Events for one that is seen under a {BEST.replace(', whole', ' sky with whole')}:",
        "",
        "| seen | " + " | ".join(f"{low:g}-{high:g} TeV" for low, high in pairwise(EDGES_TEV)) + " | all |",
        "|" + "---|" * (len(EDGES_TEV) + 1),
    ]
    for way, runs in counts.items():
        if way != BEST:
            told = " | ".join(f"{ratio:.3f} ± {error:.3f}" for ratio, error in ratios(runs, best))
            lines.append(f"| {way} | {told} |")
    return [
        *lines,
        "",
        "The first row is what tells whether data and Monte Carlo of the observatory are alike, but for the dead time"
        " of the readout, which the data have and their effective time accounts for. The others are systematic errors"
        " of an analysis whose Monte Carlo is clear, dark and whole, as it is here in weak moon. All rows are divided"
        " by the same one, and share its noise.",
    ]


def main() -> int:
    """Run the study from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=6)
    parser.add_argument("--store", type=Path, help="a store with forests of the cell")
    parser.add_argument("--keep", type=Path, help="work in this folder, leave it, and go on where it was left")
    parser.add_argument("--docs", action="store_true", help="write the page of the documentation")
    given = parser.parse_args()
    folder = (given.keep or Path(tempfile.mkdtemp(prefix="conditions-"))).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        store = given.store.absolute() if given.store else prepared(folder, RUN_S)
        with ProcessPoolExecutor(2) as pool:
            runs = []
            for run in pool.map(partial(see, store=store, folder=folder), range(given.runs)):
                runs.append(run)
                print(f"{len(runs)} of {given.runs} runs", flush=True)
        page = page_of({way: np.array([run[way] for run in runs]) for way in runs[0]})
        print("\n".join(page))
        if given.docs:
            (DOCS / "conditions.md").write_text("\n".join(page) + "\n", encoding="utf-8")
    finally:
        if given.keep is None:
            shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
