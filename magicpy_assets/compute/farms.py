"""The farms by the setting `compute.kind`: one interface for what differs between them."""

from __future__ import annotations

from typing import Any, Protocol, cast

from magicpy_assets.compute import htcondor, slurm
from magicpy_assets.compute.health import QueueState
from magicpy_assets.compute.queues import Job
from magicpy_assets.core.compute_settings import ComputeKind, ComputeSettings, Request


class Farm(Protocol):
    """What a farm's module has."""

    CLUSTER: str
    """The class of `dask_jobqueue`."""

    def queue_state(self, settings: ComputeSettings) -> QueueState:
        """Return whether the farm answers, and what our jobs do."""

    def our_jobs(self, name: str = "") -> list[Job]:
        """Return our jobs in the queue whose name begins so."""

    def remove(self, jobs: list[Job]) -> None:
        """Take jobs back, running or not."""

    def options(self, settings: ComputeSettings, request: Request) -> dict[str, Any]:
        """Return what `dask_jobqueue` is told of jobs besides what all farms are told."""


def farm(kind: ComputeKind) -> Farm:
    """Return the farm of a name."""
    return cast(Farm, {"htcondor": htcondor, "slurm": slurm}[kind])
