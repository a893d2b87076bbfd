"""Settings of where commands run: worker processes here, or jobs of a batch farm."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

ComputeKind = Literal["local", "htcondor", "slurm"]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RequestSettings(_Section):
    """What a job of one program asks for, where that is not what every job asks for."""

    cores: int | None = Field(default=None, ge=1, description="cores of a job")
    memory_gb: float | None = Field(default=None, gt=0, description="memory of a job, GB")
    walltime_h: float | None = Field(default=None, gt=0, description="time limit of a job, hours")


class ProgramRequests(_Section):
    """Programs whose jobs need more, or less, than others."""

    star: RequestSettings = RequestSettings()
    superstar: RequestSettings = RequestSettings()
    coach: RequestSettings = RequestSettings()
    melibea: RequestSettings = RequestSettings()
    dl3: RequestSettings = RequestSettings()


class Request(_Section):
    """What one job asks the farm for; jobs that ask for the same are of one kind."""

    cores: int
    memory_gb: float
    walltime_h: float


class ComputeSettings(_Section):
    """Where commands run."""

    kind: ComputeKind = Field(default="local", description="worker processes on this machine, or jobs of a farm")
    workers: int | None = Field(
        default=None, ge=1, description="worker processes; by default one for each core, as far as memory goes"
    )
    cores: int = Field(default=1, ge=1, description="cores of a job")
    memory_gb: float = Field(default=2.0, gt=0, description="memory of a job or worker process, GB")
    walltime_h: float = Field(default=4.0, gt=0, description="time limit of a job, hours")
    disk_gb: float = Field(default=1.0, gt=0, description="disk of a job where it runs, GB; HTCondor only")
    programs: ProgramRequests = ProgramRequests()
    min_jobs: int = Field(default=0, ge=0, description="jobs that are kept even when there is nothing to do")
    max_jobs: int = Field(default=50, ge=1, description="at most so many jobs of a kind at the same time")
    retries: int = Field(default=2, ge=0, le=20, description="how often work is tried again whose job was killed")
    queue: str | None = Field(default=None, description="Slurm's partition, or HTCondor's accounting group")
    account: str | None = Field(default=None, description="Slurm's account, or HTCondor's accounting user")
    directives: tuple[str, ...] = Field(
        default=(), description="more lines for the job: '--constraint=x' for Slurm, '+Name = value' for HTCondor"
    )
    setup: tuple[str, ...] = Field(
        default=(), description="shell lines that prepare a job before it starts, such as 'source env.sh'"
    )
    python: Path | None = Field(default=None, description="Python of the jobs; by default the one that runs us")
    logs: Path | None = Field(
        default=None, description="folder of the jobs' own logs, which jobs see too; by default .jobs in the store"
    )
    host: str | None = Field(default=None, description="name or address by which jobs reach this machine")
    poll_s: float = Field(default=10.0, gt=0, description="how often the farm is asked about our jobs, s")

    def request(self, program: str) -> Request:
        """Return what a job of a program asks for."""
        own: RequestSettings = getattr(self.programs, program, RequestSettings())
        common = {"cores": self.cores, "memory_gb": self.memory_gb, "walltime_h": self.walltime_h}
        return Request(**(common | own.model_dump(exclude_none=True)))
