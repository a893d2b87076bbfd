"""Killed in the middle of work: a run, the daemon, the observatory. Nothing lost, nothing twice, nothing stuck."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.scheduler import instigation as dg_instigator

from magicpy_assets.core import datalevels
from magicpy_assets.core.settings import load_settings
from magicpy_assets.defs import level
from magicpy_assets.defs.lost_runs import fail_lost_runs
from magicpy_assets.store.records import PENDING, RECORDS, Record
from magicpy_assets_tests.conftest import CELL, Chain, settings_for
from magicpy_assets_tests.processes import ROOT, answers, free_port, kill, kill_all_with, start, wait_until
from magicpy_assets_tests.small_world import SmallWorld, metadata_of

SOURCE = "CrabNebula"

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("reliability")]


def records(store: Path, stage: str) -> dict[str, Record]:
    """The records of a stage by product."""
    folder = store / SOURCE / stage
    found = (
        [Record.from_json(path.read_text()) for path in folder.rglob(f"{RECORDS}/*.json")] if folder.exists() else []
    )
    return {record.product: record for record in found}


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
from magicpy_assets_tests.conftest import CELL, Chain, settings_for
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
        kill(worker)
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


SKY = """
import sys
from datetime import date
from pathlib import Path
from magicpy_assets.observatory.server import serve
from magicpy_assets_tests.conftest import FIRST_NIGHTS, RUN_S, SEED
import signal
with serve(Path(sys.argv[1]), SEED, nights=FIRST_NIGHTS, duration_s=RUN_S, port=int(sys.argv[2]),
           password=sys.argv[3], mc_pairs=1):
    print("open", flush=True)
    signal.pause()
"""


@contextlib.contextmanager
def sky(folder: Path, port: int, password: str) -> Iterator[subprocess.Popen[str]]:
    """The observatory's data server as a process of its own."""
    command = [sys.executable, "-c", SKY, str(folder), str(port), password]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "open\n"
            yield process
        finally:
            process.kill()


def test_the_observatory_is_killed_and_comes_back(tmp_path, monkeypatch):
    """Downloads that find no server any more fail; when it is there again, on the same port, only they are done."""
    port, password = free_port(), secrets.token_urlsafe(8)
    monkeypatch.setattr(level, "RETRY_S", 1.0)  # a step waits so long before it is tried again
    monkeypatch.setenv("MAGICPY_ARCHIVE_PASSWORD", password)
    settings = load_settings(
        store=str(tmp_path / "store"),
        archive={"url": f"http://127.0.0.1:{port}", "user": "magic", "concurrency": 1},
        compute={"workers": 2},
    )
    outcome: list[bool] = []

    def materialise() -> None:
        with SmallWorld(settings) as world:
            outcome.append(world.materialize(CELL.key, "calibrated", raise_on_error=False).success)

    with sky(tmp_path / "sky", port, password) as server:
        working = threading.Thread(target=materialise)
        working.start()
        wait_until(lambda: len(records(tmp_path / "store", "calibrated")) > 1, "downloads")
        server.kill()
        working.join(240)
        assert outcome
    before = {
        name: record for name, record in records(tmp_path / "store", "calibrated").items() if record.outcome == "done"
    }
    assert before
    nothing_is_half(tmp_path / "store")
    with sky(tmp_path / "sky", port, password), SmallWorld(settings) as world:
        back = metadata_of(world.materialize(CELL.key, "calibrated"), f"{SOURCE}/calibrated")
    after = records(tmp_path / "store", "calibrated")
    assert all(after[name] == before[name] for name in before), "what was done has been done again"
    assert (back["done"], back["cached"], back["failed"]) == (len(after) - len(before), len(before), 0)
    assert back["done"] > 0


class Operation:
    """One instance and one store, with a daemon and a web server that can be killed; work is left where files are."""

    def __init__(self, folder: Path, chain: Chain) -> None:
        self.store, self.home = folder / "store", folder / "home"
        shutil.copytree(chain.session.layout.root, self.store, copy_function=os.link)
        self.home.mkdir()
        shutil.copy(ROOT / "dagster.yaml", self.home / "dagster.yaml")
        self.instance = dg.DagsterInstance.from_config(str(self.home))
        self.instance.get_runs()  # its tables are made now: two processes that make them at once disturb each other
        self.env = os.environ | {
            "DAGSTER_HOME": str(self.home),
            "DAGSTER_DISABLE_TELEMETRY": "1",
            "MAGICPY_STORE": str(self.store),
            "MAGICPY_NIGHT_CHECK_S": "30",
        }
        self.port = free_port()
        self.daemon: subprocess.Popen[bytes] | None = None

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        """Start a program of Dagster in a process group of its own."""
        workspace = ("-w", str(ROOT / "workspace.yaml"))
        return start(sys.executable, "-m", *words, *workspace, log=self.home / "log", env=self.env)

    def start_daemon(self) -> subprocess.Popen[bytes]:
        if self.daemon is None or self.daemon.poll() is not None:
            self.daemon = self.start("dagster._daemon", "run")
        return self.daemon

    def take_away(self, *stages: str) -> None:
        """Take away products of the source, so that there is work."""
        for stage in stages:
            shutil.rmtree(self.store / SOURCE / stage)

    def launch(self) -> str:
        """Put a run of the cell into the queue; return its id."""
        known = {run.run_id for run in self.instance.get_runs()}
        period, zenith_moon = CELL.key.split("|")
        tags = {
            "dagster/partition": CELL.key,
            "dagster/partition/period": period,
            "dagster/partition/zenith_moon": zenith_moon,
        }
        words = ["-w", str(ROOT / "workspace.yaml"), "-j", f"fast_analysis__{SOURCE}", "--tags", json.dumps(tags)]
        launch = [sys.executable, "-m", "dagster", "job", "launch", *words]
        subprocess.run(launch, cwd=ROOT, env=self.env, check=True, stdout=subprocess.DEVNULL)
        (new,) = {run.run_id for run in self.instance.get_runs()} - known
        return new

    def status(self, run_id: str) -> dg.DagsterRunStatus:
        found = self.instance.get_run_by_id(run_id)
        assert found is not None
        return found.status

    def wait_for(self, run_id: str, *statuses: dg.DagsterRunStatus) -> None:
        wait_until(lambda: self.status(run_id) in statuses, f"{statuses}")

    def workers(self) -> list[int]:
        """Worker processes of the programs that are at work in the store."""
        found = []
        for place in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                words = (place / "cmdline").read_bytes()
                if b"compute.worker" in words and str(self.store).encode() in (place / "environ").read_bytes():
                    found.append(int(place.name))
        return found

    def done(self, stage: str) -> dict[str, Record]:
        return {name: one for name, one in records(self.store, stage).items() if one.outcome == "done"}

    def kill_all(self) -> None:
        """kill -9 of everything that works with the store."""
        kill_all_with(str(self.store))
        if self.daemon is not None:
            self.daemon.wait()

    def close(self) -> None:
        self.instance.dispose()
        self.kill_all()


@pytest.fixture(scope="module")
def operation(chain: Chain, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operation]:
    made = Operation(tmp_path_factory.mktemp("operation"), chain)
    try:
        yield made
    finally:
        made.close()


SUCCESS, FAILURE, CANCELED = dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED


@pytest.mark.parametrize("stage", ["star", "random_forest"])
def test_a_run_that_is_cancelled_stops_its_programs_and_leaves_nothing_half(operation, stage):
    """While the programs work: star file by file, or coach, which takes long for one product."""
    operation.start_daemon()
    if stage == "star":
        operation.take_away("star", "superstar")
    else:
        shutil.rmtree(operation.store / "RFs")
    run_id = operation.launch()
    if stage == "star":
        wait_until(lambda: len(operation.done("star")) > 0, "star to work")
    else:
        wait_until(lambda: any(operation.store.glob("RFs/**/*.log")), "coach to work")
    assert operation.workers(), "no program is at work: there is nothing to be stopped"
    assert operation.instance.run_launcher.terminate(run_id)
    operation.wait_for(run_id, CANCELED)
    wait_until(lambda: not operation.workers(), "the programs to stop", 30.0)
    nothing_is_half(operation.store)
    if stage == "random_forest":
        assert not list(operation.store.glob("RFs/**/RF.root"))


def test_a_run_goes_on_when_the_daemon_alone_is_killed(operation):
    """kill -9 of the daemon while a run works: the run ends well, and the next daemon leaves it alone."""
    operation.start_daemon()
    operation.take_away("star", "superstar")
    run_id = operation.launch()
    wait_until(lambda: len(operation.done("star")) > 0, "star to work")
    before = operation.done("star")
    process = operation.start_daemon()
    process.kill()
    process.wait()
    operation.start_daemon()
    operation.wait_for(run_id, SUCCESS, FAILURE)
    assert operation.status(run_id) == SUCCESS
    after = operation.done("star")
    assert all(after[name] == before[name] for name in before), "what was done has been done again"
    assert len([run for run in operation.instance.get_runs() if run.tags.get("dagster/root_run_id") == run_id]) == 0


def test_the_page_comes_back_when_the_web_server_is_killed(operation):
    """kill -9 of the web server while a run works: the run ends well, and a new server on the same port shows it."""
    operation.start_daemon()
    words = ("dagster_webserver", "-h", "127.0.0.1", "-p", str(operation.port))
    server = operation.start(*words)
    wait_until(lambda: answers(operation.port), "the page")
    operation.take_away("superstar")
    run_id = operation.launch()
    operation.wait_for(run_id, dg.DagsterRunStatus.STARTED)
    kill(server)
    assert not answers(operation.port)
    operation.wait_for(run_id, SUCCESS, FAILURE)
    assert operation.status(run_id) == SUCCESS
    server = operation.start(*words)
    try:
        wait_until(lambda: answers(operation.port), "the page again")
        query = json.dumps({"query": STATUS, "variables": {"id": run_id}})
        request = urllib.request.Request(
            f"http://127.0.0.1:{operation.port}/graphql", query.encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            assert json.load(answer)["data"]["runOrError"]["status"] == "SUCCESS"
    finally:
        kill(server)
    nothing_is_half(operation.store)


STATUS = "query($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"


def test_a_run_whose_machine_went_down_is_failed_and_tried_again_by_the_next_daemon(operation):
    """kill -9 of daemon, code server, run and workers at once; the next daemon fails the dead run and runs it again."""
    operation.start_daemon()
    operation.take_away("star", "superstar")
    run_id = operation.launch()
    wait_until(lambda: len(operation.done("star")) > 0, "star to work")
    operation.kill_all()
    before = operation.done("star")
    assert operation.status(run_id) == dg.DagsterRunStatus.STARTED
    operation.start_daemon()
    operation.wait_for(run_id, FAILURE)

    def again() -> list[dg.DagsterRun]:
        return [run for run in operation.instance.get_runs() if run.tags.get("dagster/root_run_id") == run_id]

    wait_until(lambda: bool(again()), "the run to be tried again")
    (second,) = again()
    operation.wait_for(second.run_id, SUCCESS, FAILURE)
    assert operation.status(second.run_id) == SUCCESS
    assert len(again()) == 1, "tried more than once"
    after = operation.done("star")
    assert all(after[name] == before[name] for name in before), "what was done has been done again"
    assert len(operation.done("superstar")) > 0
    nothing_is_half(operation.store)


def test_a_tick_that_is_killed_is_done_once_by_the_next_daemon(operation):
    """kill -9 of the daemon while the sensor for new nights is asked: every cell is asked for once in the end."""
    operation.kill_all()
    settings = (operation.home / "dagster.yaml").read_text()
    # Nothing is run here: what is asked for stays in the queue, where it can be counted.
    (operation.home / "dagster.yaml").write_text(settings.replace("max_concurrent_runs: 2", "max_concurrent_runs: 0"))
    words = ["sensor", "start", "new_nights", "-w", str(ROOT / "workspace.yaml")]
    subprocess.run([sys.executable, "-m", "dagster", *words], cwd=ROOT, env=operation.env, check=True)

    def ticks(*statuses: dg_instigator.TickStatus) -> list[dg_instigator.InstigatorTick]:
        (state,) = [one for one in operation.instance.all_instigator_state() if one.instigator_name == "new_nights"]
        found = operation.instance.get_ticks(state.instigator_origin_id, state.selector_id)
        return [tick for tick in found if tick.status in statuses]

    def asked() -> list[str]:
        jobs = [run for run in operation.instance.get_runs() if run.job_name == f"full_analysis__{SOURCE}"]
        return sorted(run.tags["dagster/run_key"] for run in jobs)

    operation.start_daemon()
    wait_until(lambda: bool(ticks(dg_instigator.TickStatus.STARTED)), "a tick to begin")
    operation.kill_all()
    assert len(ticks(dg_instigator.TickStatus.STARTED)) == 1, "the tick was over before it could be killed"
    operation.start_daemon()
    wait_until(lambda: bool(ticks(dg_instigator.TickStatus.SUCCESS)), "a tick to end")
    found = asked()
    assert len(found) == len(set(found)) == 4
    (operation.home / "dagster.yaml").write_text(settings)


def test_a_run_that_lives_is_left_alone(tmp_path):
    """A run whose process is there is not lost, though its code server answers no more."""
    from dagster._core.events import EngineEventData
    from dagster._core.storage.tags import GRPC_INFO_TAG

    with dg.instance_for_test(temp_dir=str(tmp_path)) as instance:
        gone = json.dumps({"socket": str(tmp_path / "no-such-socket")})
        run = instance.create_run_for_job(
            dg.job(name="nothing")(lambda: None), tags={GRPC_INFO_TAG: gone}, status=dg.DagsterRunStatus.STARTED
        )
        instance.report_engine_event("started", run, EngineEventData({"pid": dg.MetadataValue.text(str(os.getpid()))}))
        assert list(fail_lost_runs(instance)) == []
        instance.report_run_canceled(run)
        assert list(fail_lost_runs(instance)) == []
