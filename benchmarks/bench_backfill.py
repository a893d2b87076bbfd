"""A backfill of 24 cells through Dagster's daemon and queue: as from the page, first with work to do, then without.

python benchmarks/bench_backfill.py

The cells are all twenty of one source and four of another; some hold runs, most of a small observatory's do not. Only
the image levels are made, so that what is measured is the queue, not the forests.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

import dagster as dg

from magicpy_assets.defs.names import plain
from magicpy_assets.defs.partitions import cells
from magicpy_assets.observatory.server import serve

ROOT = Path(__file__).parents[1]
NIGHTS = (date(2020, 11, 16), date(2020, 11, 24), date(2020, 12, 15), date(2020, 12, 23))
PERIOD = "ST0316"
AMOUNTS = {"CrabNebula": 20, "S20109+22": 4}
CELLS = sum(AMOUNTS.values())
PATIENCE_S = 1800.0
IMAGES = f"""
import dagster as dg
from magicpy_assets.definitions import build_defs
from magicpy_assets.defs.names import asset_key, plain

def job(source):
    images = (asset_key((source, level)) for level in ("calibrated", "star", "superstar"))
    return dg.define_asset_job(f"images__{{plain(source)}}", dg.AssetSelection.assets(*images))

jobs = [job(source) for source in {tuple(AMOUNTS)}]
defs = dg.Definitions.merge(build_defs(), dg.Definitions(jobs=jobs))
"""


def main() -> int:
    """Print how long two backfills take."""
    with (
        tempfile.TemporaryDirectory() as place,
        serve(Path(place) / "sky", 316, nights=NIGHTS, duration_s=20, mc_pairs=1) as server,
    ):
        folder = Path(place)
        home = folder / "dagster"
        home.mkdir()
        shutil.copy(ROOT / "dagster.yaml", home / "dagster.yaml")
        (folder / "with_images.py").write_text(IMAGES, encoding="utf-8")
        os.environ |= {
            "DAGSTER_HOME": str(home),
            "DAGSTER_DISABLE_TELEMETRY": "1",
            "MAGICPY_STORE": str(folder / "store"),
            "MAGICPY_PERIODS": PERIOD,
            "MAGICPY_SOURCES": ",".join(AMOUNTS),
            "MAGICPY_ARCHIVE__URL": server.url,
            "MAGICPY_ARCHIVE__USER": server.user,
            "MAGICPY_ARCHIVE_PASSWORD": server.password,
        }
        with dg.DagsterInstance.get() as instance, (folder / "daemon.log").open("w") as log:
            instance.get_runs()  # its tables are made now: two processes that make them at once disturb each other
            daemon = subprocess.Popen(
                [sys.executable, "-m", "dagster._daemon", "run", "-f", str(folder / "with_images.py")],
                cwd=ROOT, stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip
            try:
                for label in ("with work to do", "with nothing to do"):
                    backfill(instance, folder / "with_images.py", label)
            finally:
                daemon.terminate()
                daemon.wait(60)
    return 0


def backfill(instance: dg.DagsterInstance, file: Path, label: str) -> None:
    """Ask for all cells, wait for them, and print."""
    before = {record.dagster_run.run_id for record in instance.get_run_records()}
    begin = time.monotonic()
    for source, amount in AMOUNTS.items():
        partitions = ",".join(cells([PERIOD]).get_partition_keys()[:amount])
        words = ["-f", str(file), "-j", f"images__{plain(source)}", "--partitions", partitions, "--noprompt"]
        command = [sys.executable, "-m", "dagster", "job", "backfill", *words]
        subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
    while True:
        records = [one for one in instance.get_run_records() if one.dagster_run.run_id not in before]
        if len(records) == CELLS and all(one.dagster_run.is_finished for one in records):
            break
        if time.monotonic() - begin > PATIENCE_S:
            raise SystemExit(f"{len(records)} of {CELLS} runs have appeared in {PATIENCE_S:.0f} s; see Dagster's log")
        time.sleep(1)
    spent = time.monotonic() - begin
    failed = sum(not one.dagster_run.is_success for one in records)
    own = statistics.median((one.end_time or 0) - (one.start_time or 0) for one in records)
    print(
        f"backfill of {CELLS} cells {label}: {spent:.0f} s, {spent / CELLS:.1f} s a cell; the median run "
        f"took {own:.1f} s; {failed} failed",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
