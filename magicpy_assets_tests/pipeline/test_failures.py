"""What goes wrong stays where it is, is reported, and costs nothing that was done before."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from magicpy_assets.core.cell import Cell
from magicpy_assets.pipeline.plan import plan
from magicpy_assets.pipeline.run import process, run
from magicpy_assets.pipeline.session import open_session
from magicpy_assets.pipeline.tasks import assess
from magicpy_assets.store.records import read_record, write_record
from magicpy_assets_tests.conftest import CELL, settings_for

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("chain")]

SMALL = Cell.parse("ST0316/za35to50/moderate")


@pytest.fixture
def session(environment, tmp_path):
    with open_session(settings_for(tmp_path / "store")) as opened:
        opened.catalogue.refresh()
        yield opened


def test_a_broken_subrun_fails_its_own_run_only(session):
    got = process(session, "CrabNebula", [CELL], "calibrated")
    victim = got.products("calibrated")[0]
    victim.write_bytes(victim.read_bytes()[:50_000])
    # As if the server itself held a file cut short: its record calls it whole.
    write_record(victim, read_record(victim))
    report = process(session, "CrabNebula", [CELL], "superstar")
    table = report.table
    star = table[table["stage"] == "star"]
    assert (star["state"] == "failed").sum() == 1
    assert (table[table["stage"] == "superstar"]["state"].value_counts().to_dict()) == {"done": 3, "blocked": 1}
    failed = report.failed
    last = failed[failed["state"] == "failed"].iloc[0]["last_lines"]
    assert "ERROR: star" in last
    assert victim.name in last
    assert not any(".making-" in path.name for path in session.layout.root.rglob("*"))
    with pytest.raises(RuntimeError, match="1 of"):
        report.raise_if_failed()


def test_what_failed_is_tried_three_times_and_then_set_aside(session):
    got = process(session, "CrabNebula", [SMALL], "calibrated")
    victim = got.products("calibrated")[0]
    victim.write_bytes(b"not a ROOT file")
    write_record(victim, read_record(victim))
    reasons = []
    for _ in range(4):
        planned = plan(session, "CrabNebula", [SMALL], "star").only("star")
        row = planned.to_table().set_index("product").loc[victim.name.replace("_Y_", "_I_")]
        reasons.append((row["state"], row["reason"].split(":")[0]))
        run(session, planned)
    assert reasons[0] == ("to do", "new")
    assert reasons[1] == ("to do", "failed before")
    assert reasons[3] == ("set aside", "failed 3 of 3 times")


def test_killed_at_any_moment_it_goes_on(environment, tmp_path):
    store = tmp_path / "store"
    env = os.environ | {"MAGICPY_STORE": str(store)}
    command = [sys.executable, "-m", "magicpy_assets.cli", "star", "CrabNebula", "--cell", SMALL.text]
    child = subprocess.Popen(
        command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not list(store.rglob("star/*/*/.records/*.json")):
        time.sleep(0.02)
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    finished = {path.stem for path in store.rglob("star/*/*/.records/*.json")}
    assert finished, "the first star product should have been made before the kill"
    with open_session(settings_for(store)) as session:
        report = process(session, "CrabNebula", [SMALL], "star")
        again = process(session, "CrabNebula", [SMALL], "star")
    states = dict(zip(report.table["product"].map(lambda name: Path(name).name), report.table["state"], strict=True))
    assert all(states[name] == "cached" for name in finished)
    assert set(states.values()) == {"done", "cached"}
    assert again.counts["cached"] == len(again)
    assert not any(".making-" in path.name for path in store.rglob("*"))


def test_without_off_data_the_forest_is_blocked_with_its_reason(session):
    empty = Cell.parse("ST0316/za50to62/weak")
    planned = plan(session, None, [empty], "random_forest")
    row = planned.to_table().set_index("stage").loc["random_forest"]
    assert row["state"] == "blocked"
    assert row["reason"] in ("no OFF data", "no MC train data")


def test_an_unknown_level_is_refused_with_the_near_ones(session):
    with pytest.raises(LookupError, match="did you mean superstar"):
        plan(session, "CrabNebula", [CELL], "superstars")


def test_a_busy_server_uses_up_no_attempt_and_a_new_file_is_tried_again(session):
    planned = plan(session, "CrabNebula", [SMALL], "calibrated")
    task = planned.tasks[0]
    session.archive.offline = True
    for _ in range(4):
        assert run(session, planned).counts["blocked"] == len(planned)
    assert read_record(task.product).attempts == 0
    session.archive.offline = False
    write_record(task.product, read_record(task.product).replace(attempts=3))
    assert assess(task, {}).state == "set aside"
    newer = replace(task, remote=replace(task.remote, modified="2031-01-01T00:00:00+00:00"))
    found = assess(newer, {})
    assert found.state == "to do"
    assert found.reason.startswith("changed on the server: modified")
