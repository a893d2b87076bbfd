"""Runs whose process is gone are failed; those that live, or are of another machine, are left alone."""

import json
import os
import subprocess
import sys

import dagster as dg
import pytest

from magicpy_assets.defs.lost_runs import PROCESS_TAG, fail_lost_runs, note_process, process_of


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
