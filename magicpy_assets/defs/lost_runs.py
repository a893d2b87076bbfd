"""Runs that nobody works on any more: their process was killed, or the machine went down; Dagster still waits for them.

Dagster notices by itself when a run's process ends while the code server lives. When both are gone, nobody tells it,
and the run would stay in the queue's way for ever. So every run notes which process works on it: machine, start of the
machine, process and start of the process, because numbers of processes are given again. Each machine judges its own.

And runs that failed and were to be tried again, but are not: Dagster's daemon forgets a failure for good that it hears
of in the moment between the event and the state of the run. It is told of it again.
"""

import contextlib
import json
import os
import socket
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
from dagster._core.storage.tags import AUTO_RETRY_RUN_ID_TAG, GRPC_INFO_TAG, WILL_RETRY_TAG

UNDER_WAY = (dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING)
PROCESS_TAG = "magicpy/process"
WAIT_S = 5.0
START_S = 600.0
"""A run that has not noted its process after that long has none, if nothing of it is found here."""
RETRY_WITHIN_S = 30.0
"""Dagster's daemon tries a failed run again within seconds, or never."""
AS_OLD_AS = timedelta(days=1)
TOLD_AGAIN_TAG = "magicpy/told_again"
"""On a failed run of which the daemon has been told a second time; there is no third."""


def note_process(instance: dg.DagsterInstance, run_id: str) -> None:
    """Note on a run that this process works on it."""
    if instance.has_run(run_id):
        instance.add_run_tags(run_id, {PROCESS_TAG: json.dumps(process_of(os.getpid()))})


def process_of(pid: int) -> dict[str, str]:
    """Return what tells a process from all others: `host`, `boot` (id of the machine's start), `pid`, `start`."""
    return {"host": socket.gethostname(), "boot": _boot(), "pid": str(pid), "start": _start_of(pid)}


def lost_runs() -> dg.SensorDefinition:
    """Return the sensor that fails runs whose processes are gone, so that they are tried again, and block no other."""

    @dg.sensor(
        name="lost_runs",
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Fails runs whose process is gone, as after a power cut; what they had made stays made.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        found, forgotten = list(fail_lost_runs(context.instance)), list(tell_again(context.instance))
        told = f"{len(found)} lost runs" + "".join(f", {run_id}" for run_id in found)
        return dg.SkipReason(told + "".join(f"; to be tried again: {run_id}" for run_id in forgotten))

    return sensor


def fail_lost_runs(instance: dg.DagsterInstance) -> Iterator[str]:
    """Fail every run under way whose process on this machine is gone; yields their ids."""
    for record in instance.get_run_records(filters=dg.RunsFilter(statuses=list(UNDER_WAY))):
        run = record.dagster_run
        noted = run.tags.get(PROCESS_TAG)
        began = record.start_time or record.create_timestamp.timestamp()
        if _is_lost(json.loads(noted)) if noted else time.time() - began > START_S and _has_nobody(instance, run):
            instance.report_run_failed(
                run, "The process of this run is gone; what it had made stays made, and the run may be tried again."
            )
            yield run.run_id


def tell_again(instance: dg.DagsterInstance) -> Iterator[str]:
    """Tell the daemon again of each failed run that was to be tried again and has not been; yields their ids."""
    now = datetime.now(UTC)
    wanted = dg.RunsFilter(
        statuses=[dg.DagsterRunStatus.FAILURE], tags={WILL_RETRY_TAG: "true"}, updated_after=now - AS_OLD_AS
    )
    for record in instance.get_run_records(filters=wanted):
        run = record.dagster_run
        if (now.timestamp() - (record.end_time or 0.0)) < RETRY_WITHIN_S:
            continue
        if AUTO_RETRY_RUN_ID_TAG in run.tags or TOLD_AGAIN_TAG in run.tags:
            continue
        instance.add_run_tags(run.run_id, {TOLD_AGAIN_TAG: "true"})
        instance.report_run_failed(run, "Told again: this run was to be tried again, and nothing has come of it.")
        yield run.run_id


def _is_lost(noted: Mapping[str, str]) -> bool:
    """Tell whether a process was of this machine and is gone."""
    if noted["host"] != socket.gethostname():
        return False
    return (
        noted["boot"] != _boot() or not _is_there(int(noted["pid"])) or _start_of(int(noted["pid"])) != noted["start"]
    )


def _boot() -> str:
    """Return what changes with every start of the machine; nothing where the system does not tell."""
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return ""


def _start_of(pid: int) -> str:
    """Return when a process began, in ticks since the machine did; nothing where the system does not tell."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    return ""


def _has_nobody(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Tell whether of a run that has noted nothing neither the code server nor a process can be found here."""
    return _server_is_gone(run.tags.get(GRPC_INFO_TAG)) and not _process_lives(instance, run.run_id)


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
