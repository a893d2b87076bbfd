"""Slurm: our jobs in its queue, how they are taken back, and what a job is told."""

from __future__ import annotations

import math
from typing import Any

from magicpy_assets.compute import queues
from magicpy_assets.compute.health import QueueState
from magicpy_assets.compute.queues import Job, State
from magicpy_assets.core.compute_settings import ComputeSettings, Request

CLUSTER = "SLURMCluster"
# From "JOB STATE CODES" in the manual of squeue; what is not here is running, or will be said to be gone.
_STATES: dict[str, State] = {
    "PENDING": "waiting",
    "CONFIGURING": "waiting",
    "REQUEUED": "waiting",
    "COMPLETING": "ending",
    "REQUEUE_HOLD": "held",
    "SPECIAL_EXIT": "held",
}
_HELD = ("JobHeldAdmin", "JobHeldUser")


def queue_state(settings: ComputeSettings) -> QueueState:
    """Return whether the controller answers, and what our jobs do."""
    return queues.state_of("slurm", our_jobs)


def our_jobs(name: str = "") -> list[Job]:
    """Return our jobs in the queue whose name begins so.

    Raises
    ------
    ProgramError
        If the controller does not answer.
    """
    jobs = []
    for line in queues.ask("squeue", "--me", "--noheader", "-o", "%i|%T|%r|%j").splitlines():
        number, state, reason, given = line.split("|", 3)
        found = "held" if reason in _HELD else _STATES.get(state, "running")
        jobs.append(Job(number, given, found, reason))
    return [job for job in jobs if job.name.startswith(name)]


def remove(jobs: list[Job]) -> None:
    """Take jobs back, running or not; some may be gone already."""
    if jobs:
        queues.ask("scancel", *(job.number for job in jobs), fine=(0, 1))


def options(settings: ComputeSettings, request: Request) -> dict[str, Any]:
    """Return what `dask_jobqueue` is told of jobs besides what all farms are told.

    Of our environment only names and paths are handed on: there are secrets in it. A job that is lost is replaced by
    us, not started anew by Slurm.
    """
    hours, minutes = divmod(max(1, math.ceil(request.walltime_h * 60)), 60)
    return {
        "queue": settings.queue,
        "account": settings.account,
        "walltime": f"{hours}:{minutes:02}:00",
        "job_extra_directives": ["--export=HOME,USER,LOGNAME,PATH,LANG", "--no-requeue", *settings.directives],
    }
