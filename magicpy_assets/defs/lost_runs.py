"""Runs that nobody works on any more: their process was killed, or the machine went down; Dagster still waits for them.

Dagster notices by itself when a run's process ends while the code server lives. When both are gone, nobody tells it,
and the run would stay in the queue's way for ever.
"""

import contextlib
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
from dagster._core.storage.tags import GRPC_INFO_TAG

UNDER_WAY = (dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING)
WAIT_S = 5.0


def lost_runs() -> dg.SensorDefinition:
    """Return the sensor that fails runs whose processes are gone, so that they are tried again, and block no other."""

    @dg.sensor(
        name="lost_runs",
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Fails runs whose process is gone, as after a power cut; what they had made stays made.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        found = list(fail_lost_runs(context.instance))
        return dg.SkipReason(f"{len(found)} lost runs" + "".join(f", {run_id}" for run_id in found))

    return sensor


def fail_lost_runs(instance: dg.DagsterInstance) -> Iterator[str]:
    """Fail every run under way whose code server and process are gone; yields their ids."""
    for run in instance.get_runs(filters=dg.RunsFilter(statuses=list(UNDER_WAY))):
        if _server_is_gone(run.tags.get(GRPC_INFO_TAG)) and not _process_lives(instance, run.run_id):
            instance.report_run_failed(
                run, "The process of this run is gone, and so is the server that had started it."
            )
            yield run.run_id


def _server_is_gone(text: str | None) -> bool:
    """Tell whether the code server that has started a run answers no more; False if it was none of this machine."""
    info = json.loads(text or "{}")
    if path := info.get("socket"):
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(WAIT_S)
            return line.connect_ex(path) != 0
    if info.get("port") and info.get("host") in ("localhost", "127.0.0.1"):
        with socket.socket() as line:
            line.settimeout(WAIT_S)
            return line.connect_ex((info["host"], int(info["port"]))) != 0
    return False


def _process_lives(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Tell whether one of the processes that have told of themselves in the log of a run is still there."""
    pids = set()
    for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT):
        if entry.dagster_event is not None:
            pids |= {
                int(value.value)
                for name, value in entry.dagster_event.engine_event_data.metadata.items()
                if name == "pid" and isinstance(value.value, int | str)
            }
    return any(_is_there(pid) for pid in pids)


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    with contextlib.suppress(OSError):
        # A process that has ended is listed until somebody asks how it ended; its state is Z.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return True
