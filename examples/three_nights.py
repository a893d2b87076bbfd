"""Three nights at the embedded observatory, and Dagster does the rest.

A data server with one dark night and its OFF data is started, and Dagster's daemon with the sensor for new nights.
Then the observatory observes three more nights, one after the other. Each time the sensor sees the new run reports and
asks for the affected cells. After each night it is checked that every level has products of every new run, that the
results of the cell and over cells are new, and that nothing else was made again; if not, it says what and ends with 1.
All of it is simulated; everything lies in a folder that is removed at the end (or kept with --keep FOLDER).

    python examples/three_nights.py [--keep FOLDER] [--nights 3]
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path

import dagster as dg

from magicpy_assets.observatory.run_plans import Observation
from magicpy_assets.observatory.server import Server, serve
from magicpy_assets.store.records import RECORDS, read_record

ROOT = Path(__file__).parents[1]
FIRST = date(2020, 11, 16)
NEW = date(2020, 12, 18)
RUN_S = 20.0
PATIENCE_S = 1800
QUIET_S = 100
"""As long as nothing has to happen until nothing more will: sensors look once a minute at least."""
LEVELS = ("calibrated", "star", "superstar", "melibea", "dl3")
RESULTS = ("spectra", "combined", "report")
"""What is made of all runs of a cell, or of all cells, and so is new after every night."""
Products = dict[str, tuple[int, str]]


def main() -> int:
    """Run the demonstration; return 0 if every night was analysed at every level and nothing was made twice."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", type=Path, help="work in this folder and leave it")
    parser.add_argument("--nights", type=int, default=3)
    given = parser.parse_args()
    folder = (given.keep or Path(tempfile.mkdtemp(prefix="three-nights-"))).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with serve(folder / "observatory", 316, nights=[FIRST], duration_s=RUN_S, trouble=()) as server:
            return watch(server, folder, given.nights)
    finally:
        if given.keep is None:
            shutil.rmtree(folder, ignore_errors=True)


def watch(server: Server, folder: Path, nights: int) -> int:
    """Observe night by night, and wait each time until Dagster has nothing more to do."""
    home = folder / "dagster"
    home.mkdir(exist_ok=True)
    shutil.copy(ROOT / "dagster.yaml", home / "dagster.yaml")
    os.environ |= {
        "DAGSTER_HOME": str(home),
        "DAGSTER_DISABLE_TELEMETRY": "1",
        "MAGICPY_STORE": str(folder / "store"),
        "MAGICPY_ARCHIVE__URL": server.url,
        "MAGICPY_ARCHIVE__USER": server.user,
        "MAGICPY_ARCHIVE_PASSWORD": server.password,
        "MAGICPY_NIGHT_CHECK_S": "10",
    }
    with daemon(folder / "daemon.log"), dg.DagsterInstance.get() as instance:
        told: set[str] = set()
        say(f"the night to {FIRST} lies in the archive; the sensor has not looked yet")
        settle(instance, told, at_least=1)
        before, faults = products(folder), []
        say(f"{len(before)} products")
        for number in range(nights):
            night = NEW + timedelta(days=number)
            zenith = (24.0, 28.0) if number % 2 == 0 else (40.0, 44.0)
            plans = server.observe(*(Observation(night, "CrabNebula", *zenith, angle) for angle in (35, 215)))
            say(f"the night to {night} is over: runs {', '.join(str(plan.run) for plan in plans)}")
            settle(instance, told, at_least=len(told) + 1)
            after = products(folder)
            found = [*missing(before, after, [plan.run for plan in plans]), *made_again(before, after)]
            say(f"{len(after) - len(before)} new products; {'; '.join(found) or 'each level new, nothing made twice'}")
            faults += found
            before = after
    failed = [name for name in told if name.endswith("FAILURE")]
    say(f"{len(told)} runs of Dagster, {len(failed)} failed; {len(faults)} faults")
    return 1 if failed or faults else 0


def missing(before: Products, after: Products, runs: list[int]) -> list[str]:
    """Return what ought to be there after a night and is not: products of each run at each level, new results."""
    new = {path for path, made in after.items() if before.get(path) != made}
    faults = [
        f"run {run} has no new product in {level}"
        for run in runs
        for level in LEVELS
        if not any(path.startswith(f"CrabNebula/{level}/") and f"{run}" in path for path in new)
    ]
    return faults + [
        f"no new result in {folder}"
        for folder in RESULTS
        if not any(path.startswith(f"CrabNebula/{folder}/") for path in new)
    ]


def made_again(before: Products, after: Products) -> list[str]:
    """Return the products that were made again though nothing that they are made from is new, or that are gone."""
    return [
        f"{path} was made again" if path in after else f"{path} is gone"
        for path, made in before.items()
        if after.get(path) != made and not path.startswith(tuple(f"CrabNebula/{folder}/" for folder in RESULTS))
    ]


def settle(instance: dg.DagsterInstance, told: set[str], at_least: int) -> None:
    """Wait until some number of runs have ended and none is left, telling of each as it ends."""
    deadline, quiet_since = time.monotonic() + PATIENCE_S, None
    while time.monotonic() < deadline:
        records = instance.get_run_records()
        ended = [record for record in records if record.dagster_run.is_finished]
        for record in ended:
            run = record.dagster_run
            name = f"{run.run_id} {run.status.value}"
            if name not in told:
                told.add(name)
                seconds = (record.end_time or 0) - (record.start_time or 0)
                partition = run.tags.get("dagster/partition", "")
                say(f"  {run.job_name} {partition}: {run.status.value} after {seconds:.0f} s")
        if len(told) >= at_least and len(ended) == len(records):
            quiet_since = quiet_since or time.monotonic()
            if time.monotonic() - quiet_since > QUIET_S:
                return
        else:
            quiet_since = None
        time.sleep(2)
    raise SystemExit(f"nothing more happened within {PATIENCE_S} s; see the log of the daemon")


def products(folder: Path) -> Products:
    """Return every product that a record calls done, with the times of the product and of the task that made it."""
    store, found = folder / "store", {}
    for path in store.rglob(f"{RECORDS}/*.json"):
        product = path.parent.parent / path.name.removesuffix(".json")
        record = read_record(product)
        if record is not None and record.outcome == "done" and product.exists():
            found[str(product.relative_to(store))] = (product.stat().st_mtime_ns, record.start)
    return found


@contextmanager
def daemon(log: Path) -> Iterator[None]:
    """Start Dagster's daemon with the sensors switched on; both end with us."""
    python = [sys.executable, "-m"]
    workspace = ["-w", str(ROOT / "workspace.yaml")]
    with log.open("w") as file:
        subprocess.run(
            [*python, "dagster", "sensor", "start", "--start-all", *workspace],
            check=True, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT,
        )  # fmt: skip
        child = subprocess.Popen(
            [*python, "dagster._daemon", "run", *workspace], cwd=ROOT, stdout=file, stderr=subprocess.STDOUT
        )
    try:
        yield
    finally:
        child.terminate()
        try:
            child.wait(30)
        except subprocess.TimeoutExpired:
            child.kill()


def say(text: str) -> None:
    """Print a line with the time of day."""
    print(f"{time.strftime('%H:%M:%S')}  {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
