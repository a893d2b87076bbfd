"""Search and filter on a catalogue of 100,000 runs, against one of the season's 500; one process, medians, ratios.

python benchmarks/bench_search.py
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from magicpy_assets.analysis.source import Source
from magicpy_assets.core import periods
from magicpy_assets.core.runs import REPORT_COLUMNS
from magicpy_assets.core.settings import load_settings
from magicpy_assets.observatory.programme import programme
from magicpy_assets.observatory.reports import run_table

SIZES = (500, 10_000, 100_000)
REPEATS = 7
FILTER = {"za": ["za05to35", "za35to50"], "moon_level": "weak", "L1_rate": ">0.0", "nsb": (0.5, 1.8)}


def catalogue(n_runs: int, store: Path) -> None:
    """Write a catalogue of that many runs: the season's again and again, a year later each time."""
    season = run_table(programme(316), 316)
    parts = []
    for turn in range(-(-n_runs // len(season))):
        part = season.copy()
        part["run"] += 20_000 * turn
        part["date"] += np.timedelta64(365 * (turn % 4), "D")
        parts.append(part)
    runs = pd.concat(parts, ignore_index=True).head(n_runs)
    runs = runs.astype({column.name: column.dtype for column in REPORT_COLUMNS})
    (store / "catalogue").mkdir(parents=True)
    for night, table in runs.groupby(runs["date"].dt.strftime("%Y_%m_%d")):
        table.to_parquet(store / "catalogue" / f"{night}.parquet")


def timed(what: Callable[[], object]) -> float:
    """Return the median time in ms, once warm."""
    what()
    times = []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        what()
        times.append(1000 * (time.perf_counter() - begin))
    return statistics.median(times)


def shown(crab: Source) -> str:
    """Search as a user does, but for asking the server: the table of hours of all runs, as text."""
    crab._selection = None
    return str(crab.hours())


def filtered(crab: Source) -> str:
    """Filter, look at the cut flow, and go back."""
    flow = str(crab.filter(FILTER))
    crab.undo()
    return flow


def main() -> int:
    """Print the table."""
    print(f"{'runs':>8} {'cold / ms':>11} {'search':>10} {'filter':>10} {'both, warm':>10}")
    for n_runs in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            catalogue(n_runs, Path(folder))
            settings = load_settings(store=folder, archive={"url": "http://127.0.0.1:9", "offline": True})
            with Source("CrabNebula", periods.ST0316, settings=settings, quiet=True) as crab:
                begin = time.perf_counter()
                shown(crab)
                first = 1000 * (time.perf_counter() - begin)
                steps = [timed(lambda crab=crab: shown(crab)), timed(lambda crab=crab: filtered(crab))]
        print(f"{n_runs:>8} {first:>11.0f} {steps[0]:>10.1f} {steps[1]:>10.1f} {sum(steps):>10.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
