"""What Dagster costs: loading, a cell with nothing to do, a sensor tick, memory. Ratios in one run; a backfill apart.

python -m benchmarks.bench_dagster [--full]        from the checkout

With --full also the seven levels of a small cell from nothing, which trains its forests.
"""

from __future__ import annotations

import argparse
import logging
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd

from magicpy_assets.core import sources
from magicpy_assets.core.cell import Cell
from magicpy_assets.core.runs import REPORT_COLUMNS
from magicpy_assets.core.settings import Settings, load_settings
from magicpy_assets.definitions import build_defs
from magicpy_assets.observatory.programme import programme
from magicpy_assets.observatory.reports import run_table
from magicpy_assets.observatory.server import serve
from magicpy_assets.pipeline.run import process
from magicpy_assets.pipeline.session import open_session
from magicpy_assets_tests.small_world import SmallWorld

CELL = Cell.parse("ST0316/za05to35/weak")
SMALL = Cell.parse("ST0316/za35to50/weak")
"""Cells of the small world, with four runs of two nights and two of one."""
NIGHTS = (date(2020, 11, 16), date(2020, 11, 24), date(2020, 12, 15), date(2020, 12, 23))
REPEATS = 5
YEARS = 10
LOADS = """
import time
begin = time.perf_counter()
import dagster
middle = time.perf_counter()
import magicpy_assets.definitions
print(middle - begin, time.perf_counter() - middle)
"""


def median_s(what: Callable[[], object], repeats: int = REPEATS) -> float:
    """Return the median time of a call, s."""
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        what()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def loading() -> None:
    """Print how long the definitions take to load, by number of sources, against the import of Dagster itself.

    Each time in a process of its own, with no catalogue yet and with one of ten years, which every source was in.
    """
    names = [source.name for source in sources.all_sources()]
    print(f"{'catalogue':>10} {'sources':>8} {'import dagster / s':>20} {'definitions / s':>16} {'ratio':>6}")
    with tempfile.TemporaryDirectory() as folder:
        ten_years(Path(folder) / "full", names[:50])
        for label, store in (("none", "none"), ("ten years", "full")):
            for count in (1, 10, 50):
                rows = []
                for _ in range(REPEATS):
                    chosen = {"MAGICPY_SOURCES": ",".join(names[:count]), "MAGICPY_STORE": str(Path(folder) / store)}
                    told = subprocess.check_output([sys.executable, "-c", LOADS], env=os.environ | chosen, text=True)
                    rows.append([float(word) for word in told.split()])
                whole, own = (statistics.median(column) for column in zip(*rows, strict=True))
                ratio = statistics.median(mine / theirs for theirs, mine in rows)
                print(f"{label:>10} {count:>8} {whole:>20.2f} {own:>16.2f} {ratio:>6.2f}", flush=True)


def materialise(definitions: dg.Definitions, wanted: list[Any], cell: str, instance: dg.DagsterInstance) -> None:
    """Materialise some assets in a cell."""
    result = dg.materialize(wanted, resources=definitions.resources, instance=instance, partition_key=cell)
    assert result.success


def cells(settings: Settings) -> None:
    """Print what a cell with nothing to do costs in the pipeline and in Dagster."""
    definitions = build_defs(settings)
    levels = [one for one in definitions.assets or [] if isinstance(one, dg.AssetsDefinition) if one.check_specs]
    mine = [one for one in levels if one.key.path[0] == "CrabNebula" and one.key.path[-1] not in ("spectrum",)]
    by_cell = [one for one in mine if isinstance(one.partitions_def, dg.MultiPartitionsDefinition)]
    superstar = [one for one in by_cell if one.key.path[-1] in ("calibrated", "star", "superstar")]
    with open_session(settings) as session:
        session.catalogue.refresh()
        bare = median_s(lambda: process(session, "CrabNebula", [CELL], "superstar"))
    with dg.DagsterInstance.local_temp() as own:
        shown = median_s(lambda: materialise(definitions, superstar, CELL.key, own))
        print(f"a cell with nothing to do, three levels: pipeline {bare:.2f} s, Dagster {shown:.2f} s,")
        print(f"  ratio {shown / bare:.1f}; {(shown - bare) / 3:.2f} s for each level")


def ten_years(store: Path, names: Sequence[str] = ()) -> int:
    """Write a catalogue of ten years, the season's nights again and again; returns how many nights.

    With names, the sources of the season take them in turn.
    """
    season = run_table(programme(316), 316)
    if names:
        season["source"] = [names[number % len(names)] for number in range(len(season))]
    parts = []
    for turn in range(YEARS * 4):
        part = season.copy()
        part["run"] += 20_000 * turn
        part["date"] += np.timedelta64(91 * turn, "D")
        parts.append(part)
    runs = pd.concat(parts, ignore_index=True).astype({column.name: column.dtype for column in REPORT_COLUMNS})
    (store / "catalogue").mkdir(parents=True)
    nights = runs.groupby(runs["date"].dt.strftime("%Y_%m_%d"))
    for night, table in nights:
        table.to_parquet(store / "catalogue" / f"{night}.parquet")
    return len(nights)


def tick() -> None:
    """Print the time of a tick of the sensor for new nights on a catalogue of ten years, against one of the season."""
    for label, fill in (("ten years", ten_years), ("one season", one_season)):
        with tempfile.TemporaryDirectory() as folder, serve(Path(folder) / "sky", 316) as server:
            store = Path(folder) / "store"
            count = fill(store)
            os.environ["MAGICPY_ARCHIVE_PASSWORD"] = server.password
            settings = load_settings(store=str(store), archive={"url": server.url, "user": server.user})
            definitions = build_defs(settings)
            (sensor,) = (one for one in definitions.sensors or [] if one.name == "new_nights")

            def once(sensor: Any = sensor, definitions: dg.Definitions = definitions) -> None:
                with dg.DagsterInstance.ephemeral() as instance:
                    given = dict(definitions.resources or {})
                    with dg.build_sensor_context(instance=instance, resources=given) as context:
                        sensor(context)

            begin = time.perf_counter()
            once()
            first = time.perf_counter() - begin
            print(
                f"sensor tick, {label} ({count} nights): first {first:.2f} s, then {median_s(once):.2f} s", flush=True
            )


def one_season(store: Path) -> int:
    """Write the season's catalogue; returns how many nights."""
    runs = run_table(programme(316), 316)
    runs = runs.astype({column.name: column.dtype for column in REPORT_COLUMNS})
    (store / "catalogue").mkdir(parents=True)
    nights = runs.groupby(runs["date"].dt.strftime("%Y_%m_%d"))
    for night, table in nights:
        table.to_parquet(store / "catalogue" / f"{night}.parquet")
    return len(nights)


@contextmanager
def small_world() -> Iterator[Settings]:
    """Give settings with a store of its own and an observatory of 20-second runs and little Monte Carlo."""
    with (
        tempfile.TemporaryDirectory() as folder,
        serve(Path(folder) / "sky", 316, nights=NIGHTS, duration_s=20, mc_pairs=1) as server,
    ):
        os.environ["MAGICPY_ARCHIVE_PASSWORD"] = server.password
        yield load_settings(
            store=str(Path(folder) / "store"),
            archive={"url": server.url, "user": server.user},
            compute={"workers": 2},
            periods=("ST0316", "ST0317"),
        )


def main() -> int:
    """Print all figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true")
    full = parser.parse_args().full
    logging.getLogger("dagster").setLevel(logging.ERROR)
    loading()
    tick()
    with small_world() as settings:
        with open_session(settings) as session:
            session.catalogue.refresh()
            begin = time.perf_counter()
            process(session, "CrabNebula", [CELL], "spectra" if full else "superstar")
            spent = time.perf_counter() - begin
            print(f"a small cell from nothing to {'spectra' if full else 'superstar'}: {spent:.1f} s in the pipeline")
        cells(settings)
    if full:
        with tempfile.TemporaryDirectory() as sky:
            SmallWorld.sky = Path(sky)
            for which in ("first world", "next, whose sky is made and whose workers have worked before"):
                for cell, runs in ((SMALL, 2), (CELL, 4)):
                    with SmallWorld() as world:
                        begin = time.perf_counter()
                        world.materialize(cell.key)
                        spent = time.perf_counter() - begin
                        print(f"seven levels of {runs} runs through materialize(), {which}: {spent:.1f} s", flush=True)
    own, children = (
        resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    print(f"memory: {own:.0f} MB here, {children:.0f} MB in the largest child")
    return 0


if __name__ == "__main__":
    sys.exit(main())
