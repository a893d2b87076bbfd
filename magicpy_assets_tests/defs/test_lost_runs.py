"""Runs whose process is gone are failed; those that live, or are of another machine, are left alone."""

import json
import os
import subprocess
import sys

import dagster as dg
import pytest
from dagster._core.storage.tags import AUTO_RETRY_RUN_ID_TAG, WILL_RETRY_TAG

from magicpy_assets.defs import lost_runs
from magicpy_assets.defs.lost_runs import PROCESS_TAG, fail_lost_runs, note_process, process_of, tell_again


@dg.job
def nothing() -> None:
    """Do nothing."""


def gone():
    """What a process that has ended had noted of itself."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        noted = process_of(process.pid)
        process.communicate(b"\n")
    return noted


@pytest.mark.parametrize(
    ("changed", "is_lost"),
    [
        ({}, False),
        ({"boot": "before the power cut"}, True),
        ({"start": "1"}, True),  # the number of the process was given again
        ({"host": "another-machine", "boot": "its own", "pid": "999999999"}, False),
    ],
)
def test_a_run_is_judged_by_the_process_that_it_has_noted(changed, is_lost):
    with dg.DagsterInstance.ephemeral() as instance:
        tags = {PROCESS_TAG: json.dumps(process_of(os.getpid()) | changed)}
        run = instance.create_run_for_job(nothing, tags=tags, status=dg.DagsterRunStatus.STARTED)
        assert list(fail_lost_runs(instance)) == ([run.run_id] if is_lost else [])
        status = instance.get_run_by_id(run.run_id).status
        assert status == (dg.DagsterRunStatus.FAILURE if is_lost else dg.DagsterRunStatus.STARTED)


def test_a_run_whose_process_has_ended_is_lost():
    with dg.DagsterInstance.ephemeral() as instance:
        tags = {PROCESS_TAG: json.dumps(gone())}
        run = instance.create_run_for_job(nothing, tags=tags, status=dg.DagsterRunStatus.STARTED)
        assert list(fail_lost_runs(instance)) == [run.run_id]


def test_a_run_that_has_just_begun_has_time_to_note_its_process():
    with dg.DagsterInstance.ephemeral() as instance:
        run = instance.create_run_for_job(nothing, status=dg.DagsterRunStatus.STARTED)
        assert list(fail_lost_runs(instance)) == []
        note_process(instance, run.run_id)
        noted = json.loads(instance.get_run_by_id(run.run_id).tags[PROCESS_TAG])
        assert noted == process_of(os.getpid())


@pytest.fixture
def forgotten():
    """An instance that tries failed runs again, and a run of which its daemon has heard too early."""
    with dg.instance_for_test(overrides={"run_retries": {"enabled": True, "max_retries": 1}}) as instance:
        run = instance.create_run_for_job(nothing, status=dg.DagsterRunStatus.STARTED)
        instance.report_run_failed(run)
        assert instance.get_run_by_id(run.run_id).tags[WILL_RETRY_TAG] == "true"
        yield instance, run.run_id


def failures(instance, run_id):
    return len(instance.all_logs(run_id, of_type=dg.DagsterEventType.RUN_FAILURE))


def test_a_failure_that_was_forgotten_is_told_once_more(forgotten, monkeypatch):
    instance, run_id = forgotten
    assert list(tell_again(instance)) == [], "the daemon has a while to try it again"
    monkeypatch.setattr(lost_runs, "RETRY_WITHIN_S", 0.0)
    assert list(tell_again(instance)) == [run_id]
    assert failures(instance, run_id) == 2
    assert instance.get_run_by_id(run_id).status == dg.DagsterRunStatus.FAILURE
    assert list(tell_again(instance)) == []
    assert failures(instance, run_id) == 2


def test_a_failure_that_was_heard_is_not_told_again(forgotten, monkeypatch):
    instance, run_id = forgotten
    monkeypatch.setattr(lost_runs, "RETRY_WITHIN_S", 0.0)
    instance.add_run_tags(run_id, {AUTO_RETRY_RUN_ID_TAG: "the run that was launched"})
    assert list(tell_again(instance)) == []
