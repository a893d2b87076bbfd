"""Real queues on this machine, Slurm's and HTCondor's: the chain runs there, jobs are killed, nothing is left."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import farm_work
import pytest
from farm_work import Pool

from magicpy_assets.compute.batch import BatchExecutor
from magicpy_assets.compute.health import queue_state
from magicpy_assets.core.cell import Cell
from magicpy_assets.core.compute_settings import ComputeSettings
from magicpy_assets.core.errors import ProgramError
from magicpy_assets.core.settings import load_settings
from magicpy_assets.pipeline.plan import plan
from magicpy_assets.pipeline.run import process
from magicpy_assets.pipeline.session import Session, open_session

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("pools")]
CELL = Cell.parse("ST0316/za05to35/weak")


def until(ready: Callable[[], object], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.fixture
def workers(pool: Pool, tmp_path: Path) -> Iterator[BatchExecutor]:
    with BatchExecutor(ComputeSettings(**pool.compute(retries=1)), tmp_path / "logs") as executor:
        yield executor


def test_star_to_superstar_with_a_job_killed_on_the_way(pool, environment, tmp_path):
    killed = []

    def kill(store: Path) -> None:
        """Kill a job as soon as star is at work in one."""
        until(lambda: next(store.rglob(".making-*/*.root"), None) or list(store.rglob(".making-*")), 120.0)
        until(lambda: [job for job in pool.farm.our_jobs() if job.state == "running"])
        time.sleep(1.5)
        killed.extend([job for job in pool.farm.our_jobs() if job.state == "running"][:1])
        pool.farm.remove(killed)

    given = _from_the_text(pool, tmp_path)
    if pool.kind == "htcondor":  # as at PIC: data in place, products in an area of one's own
        with open_session(store=str(tmp_path / "away")) as session:
            session.catalogue.refresh()
            process(session, "CrabNebula", [CELL], "calibrated")
            _lay_out(session, tmp_path / "pic")
        given["archive"] = {"in_place": str(tmp_path / "pic" / "Data")}
    store = tmp_path / "store"
    with open_session(store=str(store), **given) as session:
        session.catalogue.refresh()
        killer = threading.Thread(target=kill, args=(store,))
        killer.start()
        report = process(session, "CrabNebula", [CELL], "superstar")
        killer.join()
    assert killed
    assert {row.state for row in report.rows} == {"done"}, str(report)
    assert len([row for row in report.rows if row.stage == "superstar"]) >= 2
    assert any(f"job {killed[0].number} is lost" in note for note in report.notes)
    assert pool.farm.our_jobs() == []
    assert not list(tmp_path.rglob(".making-*"))
    links = [path.is_symlink() for path in store.rglob("*_Y_*.root")]
    assert links
    assert set(links) == {pool.kind == "htcondor"}


def _from_the_text(pool: Pool, folder: Path) -> dict[str, dict[str, object]]:
    """The settings that the documents show, but for what a small pool cannot give."""
    text = (Path(__file__).parents[2] / "docs" / f"{pool.kind}.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    file = folder / "magicpy.toml"
    file.write_text(block)
    shown = load_settings(file).compute
    assert shown.kind == pool.kind
    assert shown.request("coach").memory_gb > shown.request("star").memory_gb
    return {"compute": tomllib.loads(block)["compute"] | pool.compute()}


def _lay_out(session: Session, root: Path) -> None:
    """Put files of the data server into a folder like the server's."""
    for task in plan(session, "CrabNebula", [CELL], "calibrated"):
        place = root / task.remote.path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.hardlink_to(task.product)
    for remote in session.archive.reports():
        place = root / remote.path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(session.archive.read_text(remote))


def test_work_that_is_killed_again_and_again_fails_alone(pool, workers, tmp_path):
    killer = workers.submit(farm_work.die, tmp_path / "deaths")
    others = [workers.submit(farm_work.square, number) for number in range(20)]
    with pytest.raises(ProgramError, match="killed the jobs of the same work 2 times") as caught:
        killer.result(120)
    assert not caught.value.permanent
    assert [other.result(120) for other in others] == [number**2 for number in range(20)]
    assert len((tmp_path / "deaths").read_text().splitlines()) == 2
    assert len(workers.notes) >= 2


def test_jobs_see_no_secret_and_what_they_raise_comes_back(pool, workers, monkeypatch):
    monkeypatch.setenv("MAGICPY_ARCHIVE_PASSWORD", "hush")
    assert workers.submit(farm_work.secret).result(60) is None
    with pytest.raises(KeyError, match="wrong"):
        workers.submit(farm_work.fail).result(60)


def test_jobs_that_cannot_begin_make_all_work_fail_and_say_so(pool, tmp_path):
    broken = ComputeSettings(**pool.compute(python="/no/such/python", max_jobs=1))
    with BatchExecutor(broken, tmp_path) as executor:
        with pytest.raises(ProgramError, match="lost one after the other") as caught:
            executor.submit(farm_work.square, 3).result(180)
        assert caught.value.log_path == tmp_path
    assert pool.farm.our_jobs() == []


def test_a_job_that_the_pool_holds_is_replaced(pool, workers, tmp_path):
    if pool.kind != "htcondor":
        pytest.skip("Slurm holds no job that runs")
    file = tmp_path / "seen"
    running = workers.submit(farm_work.linger_once, file)
    until(file.exists)
    (job,) = pool.farm.our_jobs()
    subprocess.run(["condor_hold", "-reason", "much memory, more than asked for", job.number], check=True)
    assert running.result(60) == "done"
    assert any(job.number in note and "much memory, more than asked for" in note for note in workers.notes)


def test_doctor_is_told_of_the_queue(pool, workers):
    assert workers.submit(farm_work.square, 3).result(60) == 9
    state = queue_state(workers.settings)
    assert state.good
    assert f"{pool.kind} answers; our jobs: 1 running, 0 waiting" in state.text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_nothing_outlives_a_process_that_is_stopped(pool, tmp_path, number):
    env = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    program = [sys.executable, farm_work.__file__, str(tmp_path), ComputeSettings(**pool.compute()).model_dump_json()]
    process = subprocess.Popen(program, env=env, preexec_fn=farm_work.heed_interrupts)
    try:
        until((tmp_path / "pid").exists)
        until((tmp_path / "pid").read_text)
        child = int((tmp_path / "pid").read_text())
        assert Path(f"/proc/{child}").exists()
        process.send_signal(number)
        process.wait(60)
    finally:
        process.kill()
    if number == signal.SIGKILL:  # nobody takes jobs back: each finds us gone, one that starts only now as well
        until(lambda: not pool.farm.our_jobs(), 180.0)
    assert pool.farm.our_jobs() == []
    until(lambda: not Path(f"/proc/{child}").exists(), 15.0)
