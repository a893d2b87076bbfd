"""HTCondor: our jobs in its queue, how they are taken back, and what a job is told."""

from __future__ import annotations

from typing import Any

from magicpy_assets.compute import queues
from magicpy_assets.compute.health import QueueState
from magicpy_assets.compute.queues import Job, State
from magicpy_assets.core.compute_settings import ComputeSettings, Request

CLUSTER = "HTCondorCluster"
# The numbers of JobStatus in the manual's appendix "Job ClassAd Attributes".
_STATES: dict[str, State] = {
    "1": "waiting",
    "2": "running",
    "3": "ending",
    "4": "ending",
    "5": "held",
    "6": "running",
    "7": "waiting",
}


def queue_state(settings: ComputeSettings) -> QueueState:
    """Return whether the pool answers, and what our jobs do."""
    return queues.state_of("htcondor", our_jobs)


def our_jobs(name: str = "") -> list[Job]:
    """Return our jobs in the queue whose name begins so.

    Raises
    ------
    ProgramError
        If the pool does not answer.
    """
    jobs = []
    # The reason comes last, for it can be of any length and hold anything.
    for line in queues.ask("condor_q", "-af:j", "JobStatus", "JobBatchName", "HoldReason").splitlines():
        number, state, batch, reason = [*line.split(None, 3), "", ""][:4]
        jobs.append(Job(number, batch, _STATES.get(state, "running"), "" if reason == "undefined" else reason))
    return [job for job in jobs if job.name.startswith(name)]


def remove(jobs: list[Job]) -> None:
    """Take jobs back, running or not; some may be gone already."""
    if jobs:
        queues.ask("condor_rm", *(job.number for job in jobs), fine=(0, 1))


def options(settings: ComputeSettings, request: Request) -> dict[str, Any]:
    """Return what `dask_jobqueue` is told of jobs besides what all farms are told.

    The environment of ours is not handed on: there are secrets in it.
    """
    directives: dict[str, str | None] = {
        "transfer_executable": "False",
        "periodic_remove": f"JobStatus == 2 && time() - EnteredCurrentStatus > {round(request.walltime_h * 3600)}",
        "accounting_group": settings.queue,
        "accounting_group_user": settings.account,
    }
    for line in settings.directives:
        key, _, value = line.partition("=")
        directives[key.strip()] = value.strip()
    known = {key: value for key, value in directives.items() if value is not None}
    return {"disk": f"{settings.disk_gb} GB", "job_extra_directives": known}
