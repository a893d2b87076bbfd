"""Killed in the middle of work: a run, the daemon, the observatory. Nothing lost, nothing twice, nothing stuck."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest

from magicpy_assets.core import datalevels
from magicpy_assets.defs.lost_runs import fail_lost_runs
from magicpy_assets.store.records import PENDING, RECORDS, Record
from magicpy_assets_tests.conftest import CELL, settings_for
from magicpy_assets_tests.small_world import SmallWorld, metadata_of

ROOT = Path(__file__).parents[2]
SOURCE = "CrabNebula"

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("chain")]


def records(store: Path, stage: str) -> dict[str, Record]:
    """The records of a stage by product."""
    folder = store / SOURCE / stage
    found = (
        [Record.from_json(path.read_text()) for path in folder.rglob(f"{RECORDS}/*.json")] if folder.exists() else []
    )
    return {record.product: record for record in found}


def wait_until(true: Callable[[], bool], what: str, seconds: float = 240.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"waited {seconds:g} s for {what}"
        time.sleep(0.1)


def finish(store: Path) -> dict[str, dict[str, int]]:
    """Materialise up to superstar; what was done and cached, by level."""
    with SmallWorld(settings_for(store)) as world:
        result = world.materialize(CELL.key, datalevels.SuperStar.key)
        assert result.success
        return {level: metadata_of(result, f"{SOURCE}/{level}") for level in ("calibrated", "star", "superstar")}


def nothing_is_half(store: Path) -> None:
    left = [path for path in store.rglob("*") if PENDING in path.name and path.is_file()]
    assert not left, left


WORKER = f"""
import sys
from pathlib import Path
from magicpy_assets_tests.conftest import CELL, settings_for
from magicpy_assets_tests.small_world import SmallWorld
with SmallWorld(settings_for(Path(sys.argv[1]))) as world:
    world.materialize(CELL.key, {datalevels.SuperStar.key!r})
"""


@pytest.mark.parametrize("stage", ["calibrated", "star"])
def test_a_run_that_is_killed_is_taken_up_where_it_was(environment, tmp_path, stage):
    """kill -9 of the run and all its children while it works: what is done stays, what was begun is made again."""
    worker = subprocess.Popen([sys.executable, "-c", WORKER, str(tmp_path)], cwd=ROOT, start_new_session=True)
    try:
        wait_until(lambda: len(records(tmp_path, stage)) > 0, f"the first {stage} product")
    finally:
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()
    before = records(tmp_path, stage)
    told = finish(tmp_path)
    after = records(tmp_path, stage)
    assert all(after[name] == before[name] for name in before), "what was done has been done again"
    assert all(record.outcome == "done" for record in after.values())
    assert told[stage]["cached"] >= len(before) - 2
    assert told["superstar"]["failed"] == told["superstar"]["blocked"] == 0
    nothing_is_half(tmp_path)
    again = finish(tmp_path)
    assert all(numbers["done"] == 0 for numbers in again.values())


def test_the_observatory_goes_away_and_comes_back(environment, observatory, tmp_path):
    """Downloads that find no server fail by name; when it is there again, only they are done."""
    settings = settings_for(tmp_path)
    with SmallWorld(settings) as world:
        first = world.materialize(CELL.key, "calibrated")
    whole = metadata_of(first, f"{SOURCE}/calibrated")["done"]
    victim = next(iter((tmp_path / SOURCE / "calibrated").rglob("*_Y_*.root")))
    victim.unlink()
    away = settings.model_copy(
        update={"archive": settings.archive.model_copy(update={"url": "http://127.0.0.1:9/", "offline": False})}
    )
    with SmallWorld(away) as world:
        failed = world.materialize(CELL.key, "calibrated", raise_on_error=False)
        assert not failed.success
    assert records(tmp_path, "calibrated")
    with SmallWorld(settings) as world:
        back = metadata_of(world.materialize(CELL.key, "calibrated"), f"{SOURCE}/calibrated")
    assert (back["done"], back["cached"]) == (1, whole - 1)


@pytest.fixture
def home(environment, tmp_path) -> Path:
    """A DAGSTER_HOME of its own."""
    folder = tmp_path / "home"
    folder.mkdir()
    shutil.copy(ROOT / "dagster.yaml", folder / "dagster.yaml")
    with dg.DagsterInstance.from_config(str(folder)) as instance:
        instance.get_runs()  # its tables are made now: two processes that make them at once get in each other's way
    return folder


@contextlib.contextmanager
def daemon(home: Path, store: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The daemon with its code server, in a process group of its own; killed in the end if it is still there."""
    env = os.environ | {"DAGSTER_HOME": str(home), "DAGSTER_DISABLE_TELEMETRY": "1", "MAGICPY_STORE": str(store)}
    command = [sys.executable, "-m", "dagster._daemon", "run", "-w", str(ROOT / "workspace.yaml")]
    with (home / "daemon.log").open("ab") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=log, stderr=log, start_new_session=True)
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
                process.wait(30)


def launch(home: Path, store: Path) -> None:
    """Put a run of one cell into the queue."""
    env = os.environ | {"DAGSTER_HOME": str(home), "DAGSTER_DISABLE_TELEMETRY": "1", "MAGICPY_STORE": str(store)}
    period, zenith_moon = CELL.key.split("|")
    tags = {
        "dagster/partition": CELL.key,
        "dagster/partition/period": period,
        "dagster/partition/zenith_moon": zenith_moon,
    }
    words = ["-w", str(ROOT / "workspace.yaml"), "-j", f"fast_analysis__{SOURCE}", "--tags", json.dumps(tags)]
    subprocess.run([sys.executable, "-m", "dagster", "job", "launch", *words], cwd=ROOT, env=env, check=True)


def test_a_run_whose_machine_went_down_is_failed_and_tried_again(home, tmp_path):
    """kill -9 of daemon, code server and run at once; the next daemon must not wait for the dead run for ever."""
    store = tmp_path / "store"
    with daemon(home, store) as first:
        launch(home, store)
        wait_until(lambda: len(records(store, "calibrated")) > 0, "the run to work")
        os.killpg(first.pid, signal.SIGKILL)
        first.wait()
    kill_all_with(str(store))
    done_before = set(records(store, "calibrated"))
    with dg.DagsterInstance.from_config(str(home)) as instance:
        (stuck,) = instance.get_runs()
        assert stuck.status == dg.DagsterRunStatus.STARTED
        assert list(fail_lost_runs(instance)) == [stuck.run_id]
        assert list(fail_lost_runs(instance)) == []
        found = instance.get_run_by_id(stuck.run_id)
        assert found is not None
        assert found.status == dg.DagsterRunStatus.FAILURE
    told = finish(store)
    assert told["calibrated"]["cached"] >= len(done_before)
    nothing_is_half(store)


def test_a_run_that_is_cancelled_stops_its_programs_and_leaves_nothing_half(home, tmp_path):
    store = tmp_path / "store"
    with daemon(home, store):
        launch(home, store)
        wait_until(lambda: len(records(store, "calibrated")) > 0, "the run to work")
        with dg.DagsterInstance.from_config(str(home)) as instance:
            (run,) = instance.get_runs()
            assert instance.run_launcher.terminate(run.run_id)

            def ended() -> bool:
                found = instance.get_run_by_id(run.run_id)
                return found is not None and found.status == dg.DagsterRunStatus.CANCELED

            wait_until(ended, "the run to be cancelled")
        wait_until(lambda: not working_in(store), "the programs to stop", 30.0)
    done_before = set(records(store, "calibrated"))
    told = finish(store)
    assert told["calibrated"]["cached"] >= len(done_before)
    nothing_is_half(store)


def working_in(store: Path) -> list[str]:
    """Command lines of programs that are at work in a store."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if "magicpy_assets.engine" in words and str(store) in words:
                found.append(words)
    return found


def kill_all_with(text: str) -> None:
    """kill -9 of every process that was started with that text in its environment."""
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if text.encode() in (place / "environ").read_bytes() and int(place.name) != os.getpid():
                os.kill(int(place.name), signal.SIGKILL)


def test_a_run_that_lives_is_left_alone(home):
    """A run whose process is there is not lost, though its code server answers no more."""
    from dagster._core.events import EngineEventData
    from dagster._core.storage.tags import GRPC_INFO_TAG

    with dg.DagsterInstance.from_config(str(home)) as instance:
        gone = json.dumps({"socket": str(home / "no-such-socket")})
        run = instance.create_run_for_job(
            dg.job(name="nothing")(lambda: None), tags={GRPC_INFO_TAG: gone}, status=dg.DagsterRunStatus.STARTED
        )
        instance.report_engine_event("started", run, EngineEventData({"pid": dg.MetadataValue.text(str(os.getpid()))}))
        assert list(fail_lost_runs(instance)) == []
        instance.report_run_canceled(run)
        assert list(fail_lost_runs(instance)) == []
