"""Three nights at the embedded observatory, and Dagster does the rest.

A data server with one dark night and its OFF data is started, and Dagster's daemon with the sensor for new nights.
Then the observatory observes three more nights, one after the other. Each time the sensor sees the new run reports and
asks for the affected cells; what was made before is not made again. At the end a table shows which run of Dagster made
what. All of it is simulated; everything lies in a folder that is removed at the end (or kept with --keep FOLDER).

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

from magicpy_assets.observatory.programme import Observation
from magicpy_assets.observatory.server import Server, serve

ROOT = Path(__file__).parents[1]
FIRST = date(2020, 11, 16)
NEW = date(2020, 12, 18)
RUN_S = 20.0
PATIENCE_S = 900


def main() -> int:
    """Run the demonstration; return 0 if every night was analysed once and nothing twice."""
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
        before = products(folder)
        for number in range(nights):
            night = NEW + timedelta(days=number)
            zenith = (24.0, 28.0) if number % 2 == 0 else (40.0, 44.0)
            plans = server.observe(*(Observation(night, "CrabNebula", *zenith, angle) for angle in (35, 215)))
            say(f"the night to {night} is over: runs {', '.join(str(plan.run) for plan in plans)}")
            settle(instance, told, at_least=len(told) + 1)
            after = products(folder)
            redone = [path for path, made in before.items() if after.get(path) != made and "_DL3_" in path]
            say(f"{len(after) - len(before)} new products; DL3 files made again: {len(redone)}")
            if redone:
                return 1
            before = after
    failed = [name for name in told if name.endswith("FAILURE")]
    say(f"{len(told)} runs of Dagster, {len(failed)} failed; no run was made twice")
    return 1 if failed else 0


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
            if time.monotonic() - quiet_since > 45:  # long enough for the sensors to look again
                return
        else:
            quiet_since = None
        time.sleep(2)
    raise SystemExit(f"nothing more happened within {PATIENCE_S} s; see the log of the daemon")


def products(folder: Path) -> dict[str, int]:
    """Return every product of the source with the time it was made."""
    store = folder / "store" / "CrabNebula"
    found = [path for path in store.rglob("*") if path.suffix in (".root", ".fits") and path.is_file()]
    return {str(path.relative_to(store)): path.stat().st_mtime_ns for path in found}


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
