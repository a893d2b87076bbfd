"""Runs that are cancelled end, also where the signal has been lost."""

from __future__ import annotations

import threading
import time

import dagster as dg
import pytest
from sqlalchemy.exc import OperationalError

from magicpy_assets.defs import cancelling
from magicpy_assets.defs.cancelling import PATIENCE_S, Watch
from magicpy_assets.store.records import PENDING
from magicpy_assets_tests.conftest import CELL, settings_for
from magicpy_assets_tests.small_world import SmallWorld


@pytest.fixture
def clock(monkeypatch):
    """A clock that a test sets."""
    now = [1000.0]
    monkeypatch.setattr(cancelling.time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def run():
    with dg.instance_for_test() as instance:
        yield (
            instance,
            instance.create_run_for_job(dg.job(name="nothing")(lambda: None), status=dg.DagsterRunStatus.STARTED),
        )


def test_a_run_that_is_wanted_goes_on(run, clock, monkeypatch):
    instance, one = run
    asked = []
    ask = instance.get_run_by_id
    monkeypatch.setattr(instance, "get_run_by_id", lambda run_id: asked.append(ask(run_id)) or asked[-1])
    watch = Watch(instance, one.run_id)
    for _ in range(10):
        watch()
        clock[0] += PATIENCE_S
    assert [found.status for found in asked] == [dg.DagsterRunStatus.STARTED] * 10


def test_a_database_that_is_away_stops_nothing(run, clock, monkeypatch):
    instance, one = run
    watch = Watch(instance, one.run_id)

    def away(run_id):
        raise OperationalError("select", {}, Exception("database is locked"))

    with monkeypatch.context() as patch:
        patch.setattr(instance, "get_run_by_id", away)
        watch()
    instance.report_run_canceling(one)
    clock[0] += PATIENCE_S
    watch()
    clock[0] += PATIENCE_S
    with pytest.raises(dg.DagsterExecutionInterruptedError):
        watch()


def test_a_cancelled_run_has_time_to_heed_the_signal_and_is_ended_then(run, clock):
    instance, one = run
    watch = Watch(instance, one.run_id)
    instance.report_run_canceling(one)
    watch()
    clock[0] += 0.9 * PATIENCE_S
    watch()
    clock[0] += PATIENCE_S
    with pytest.raises(dg.DagsterExecutionInterruptedError):
        watch()


def test_a_run_that_somebody_has_marked_as_cancelled_ends_too(run, clock):
    instance, one = run
    instance.report_run_canceled(one)
    watch = Watch(instance, one.run_id)
    watch()
    clock[0] += PATIENCE_S
    with pytest.raises(dg.DagsterExecutionInterruptedError):
        watch()


def test_the_state_is_not_asked_for_at_every_turn(run, clock, monkeypatch):
    instance, one = run
    asked = []
    monkeypatch.setattr(instance, "get_run_by_id", lambda run_id: asked.append(run_id))
    watch = Watch(instance, one.run_id)
    for _ in range(100):
        watch()
    assert asked == [one.run_id]


@pytest.mark.slow
@pytest.mark.xdist_group("chain")
def test_work_ends_without_a_signal_and_leaves_nothing_half(environment, tmp_path, monkeypatch):
    """The state of the run alone says that it is cancelled, while star works."""
    monkeypatch.setattr(cancelling, "EVERY_S", 0.0)
    monkeypatch.setattr(cancelling, "PATIENCE_S", 0.0)
    with SmallWorld(settings_for(tmp_path)) as world:

        def cancel() -> None:
            while not list(tmp_path.rglob("*_I_*.root")):
                time.sleep(0.05)
            (one,) = world.instance.get_runs()
            world.instance.report_run_canceling(one)

        canceller = threading.Thread(target=cancel)
        canceller.start()
        with pytest.raises(dg.DagsterExecutionInterruptedError):
            world.materialize(CELL.key, "star")
        canceller.join()
        (one,) = world.instance.get_runs()
        assert one.status == dg.DagsterRunStatus.CANCELED
        assert not [path for path in tmp_path.rglob("*") if PENDING in path.name and path.is_file()]
        assert world.materialize(CELL.key, "star").success
