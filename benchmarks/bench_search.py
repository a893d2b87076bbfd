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

from magicpy_assets.core.runs import REPORT_COLUMNS
from magicpy_assets.core.selection import Selection
from magicpy_assets.core.settings import load_settings
from magicpy_assets.observatory.programme import programme
from magicpy_assets.observatory.reports import run_table
from magicpy_assets.pipeline.runs import known_runs
from magicpy_assets.pipeline.session import open_session
from magicpy_assets.plots.tables import HoursTable

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


def main() -> int:
    """Print the table."""
    print(f"{'runs':>8} {'first / ms':>11} {'known runs':>11} {'hours':>8} {'filter':>8} {'all, warm':>10}")
    for n_runs in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            catalogue(n_runs, Path(folder))
            with open_session(load_settings(store=folder, archive={"url": "http://127.0.0.1:9", "offline": True})) as s:
                begin = time.perf_counter()
                table = known_runs(s, source="CrabNebula")
                first = 1000 * (time.perf_counter() - begin)
                steps = [
                    timed(lambda s=s: known_runs(s, source="CrabNebula")),
                    timed(lambda table=table: str(HoursTable(table, "ST0316"))),
                    timed(lambda table=table: str(Selection.of(table).filter(FILTER))),
                ]
        print(f"{n_runs:>8} {first:>11.0f} {steps[0]:>11.1f} {steps[1]:>8.1f} {steps[2]:>8.1f} {sum(steps):>10.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
