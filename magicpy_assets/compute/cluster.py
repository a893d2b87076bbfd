"""Jobs of one kind: a dask cluster whose workers are the jobs of a farm, as many as there is work for."""

from __future__ import annotations

import shlex
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from magicpy_assets.compute.farms import farm
from magicpy_assets.compute.local import ONE_THREAD
from magicpy_assets.compute.queues import EXTRA, Job
from magicpy_assets.core.compute_settings import ComputeKind, ComputeSettings, Request
from magicpy_assets.core.errors import ProgramError

IDLE_S = 30.0
"""How long a job may have nothing to do before it is given back."""
BARREN = 3
"""So many jobs, and twice those wanted, may be lost one after the other without anything done; then all fails."""
JOB_WORKER = "magicpy_assets.compute.job.JobWorker"
_KILLED = "most likely memory or time ran out: see compute.memory_gb and compute.walltime_h, or compute.programs"


def cluster_class(kind: ComputeKind) -> Any:
    """Return the class of a farm's clusters, whose jobs remember why they could not be submitted.

    Raises
    ------
    ProgramError
        If the packages for farms are not installed.
    """
    try:
        import dask
        import dask_jobqueue
        from distributed.core import Status
    except ImportError as error:
        raise ProgramError(f"farms need a package that is not installed: {error.name}", hint=EXTRA) from error
    # We find out ourselves, from the farm, that a job is lost.
    dask.config.set({"distributed.deploy.lost-worker-timeout": "1000 days"})
    base: Any = getattr(dask_jobqueue, farm(kind).CLUSTER)

    async def start(job: Any) -> None:
        try:
            await base.job_cls.start(job)
        except (RuntimeError, ValueError, OSError) as error:
            job.refused = str(error)
            job.status = Status.running

    async def close(job: Any) -> None:
        await base.job_cls.close(job)
        job.status = Status.closed

    job_class = type(base.job_cls.__name__, (base.job_cls,), {"refused": "", "start": start, "close": close})
    return type(base.__name__, (base,), {"job_cls": job_class})


@dataclass(eq=False)
class _Work:
    """A call, the future of what comes of it, and how often a job has died of it."""

    fn: Callable[..., Any]
    args: Any
    kwargs: Any
    future: Future[Any] = field(default_factory=Future)
    attempts: int = 0

    def settle(self, result: Any, error: BaseException | None) -> None:
        """Say what came of it, unless nobody wants to know any more."""
        if self.future.done() or not self.future.set_running_or_notify_cancel():
            return
        if error is not None:
            self.future.set_exception(error)
        else:
            self.future.set_result(result)


class Cluster:
    """Jobs that ask for the same; `note` is told of each that is lost."""

    def __init__(
        self, settings: ComputeSettings, request: Request, name: str, logs: Path, note: Callable[[str], None]
    ) -> None:
        import distributed

        client: Any = distributed.Client

        self.settings, self.request, self.name, self.note = settings, request, name, note
        logs.mkdir(parents=True, exist_ok=True)
        self._logs = logs
        self._waiting: deque[_Work] = deque()
        self._given: dict[_Work, Any] = {}
        self._lock = threading.Lock()
        self._barren = 0
        self._idle_since: float | None = None
        self._cluster = cluster_class(settings.kind)(**_options(settings, request, name, logs))
        self._client = client(self._cluster)
        self._watch()

    # Work: a worker is given the next thing only when it has nothing to do, so that none dies with another's work.

    def submit(self, fn: Callable[..., Any], args: Any, kwargs: Any) -> Future[Any]:
        """Hand work to the jobs."""
        work = _Work(fn, args, kwargs)
        with self._lock:
            self._waiting.append(work)
        self._hand_out()
        return work.future

    @property
    def unfinished(self) -> int:
        """How many pieces of work there are."""
        return len(self._waiting) + len(self._given)

    def _hand_out(self) -> None:
        """Give work to workers that have none."""
        with self._lock:
            while self._waiting and len(self._given) < len(self._cluster.scheduler.workers):
                work = self._waiting.popleft()
                if not work.future.cancelled():
                    theirs: Any = self._client.submit(work.fn, *work.args, pure=False, **work.kwargs)
                    self._given[work] = theirs
                    theirs.add_done_callback(partial(self._done, work))

    def _done(self, work: _Work, theirs: Any) -> None:
        from distributed import KilledWorker

        result: Any = None
        error: BaseException | None = None
        again = False
        try:
            result = theirs.result()
        except KilledWorker:
            error = self._killed(work)
            again = error is None
        except BaseException as raised:  # noqa: BLE001 - whatever it is, it belongs to whoever asked
            error = raised
        with self._lock:
            if self._given.pop(work, None) is None:
                return  # it has been given up
            if again:
                self._waiting.appendleft(work)
        if not again:
            self._barren = 0
            work.settle(result, error)
        self._hand_out()

    def _killed(self, work: _Work) -> ProgramError | None:
        """Count a death of work; return the error if there have been enough of them."""
        work.attempts += 1
        if work.attempts <= self.settings.retries:
            return None
        text = f"the farm has killed the jobs of the same work {work.attempts} times"
        return ProgramError(text, hint=_KILLED, log_path=self._logs, permanent=False)

    def finish(self) -> None:
        """Wait until all work is done."""
        while self.unfinished:
            time.sleep(0.05)

    def give_up(self, error: BaseException) -> None:
        """Let all work fail."""
        with self._lock:
            given, failed = dict(self._given), [*self._waiting, *self._given]
            self._waiting.clear()
            self._given.clear()
        self._client.cancel(list(given.values()), force=True)
        for work in failed:
            work.settle(None, error)

    def close(self) -> None:
        """Close what is on this side; the jobs are gone by now."""
        from distributed.core import Status

        async def forget() -> None:
            async with self._cluster._lock:  # nothing is being submitted
                for job in self._cluster.workers.values():
                    job.status = Status.closed
                self._cluster.workers.clear()
                self._cluster.worker_spec.clear()

        self._cluster.sync(forget)
        self._client.close()
        self._cluster.close()
        for part in ("ca_file", "cert", "key"):
            if file := getattr(self._cluster, f"_job_{part}", None):
                file.close()  # it is removed by that

    # Jobs

    def numbers(self) -> dict[str, str]:
        """Return the names of the workers whose jobs are with the farm, and the numbers of those jobs."""
        return {name: job.job_id for name, job in list(self._cluster.workers.items()) if job.job_id is not None}

    def put_right(self, known: dict[str, str], jobs: list[Job]) -> None:
        """Replace jobs that are lost, ask for more or give idle ones back.

        `known` are the numbers that we knew before the farm was asked, `jobs` its answer.
        """
        held = {job.number: job for job in jobs if job.state == "held"}
        there = {job.number for job in jobs} - set(held)
        lost = {name: number for name, number in known.items() if number not in there}
        refused = {name: job.refused for name, job in list(self._cluster.workers.items()) if job.refused}
        for number in lost.values():
            why = f"the farm holds it: {held[number].reason}" if number in held else "it was killed or has ended"
            self.note(f"job {number} is lost, {why}; its work is tried again")
        for why in set(refused.values()):
            self.note(f"the farm has taken no job: {why}")
        farm(self.settings.kind).remove([held[number] for number in lost.values() if number in held])
        if lost or refused:
            self._forget({*lost, *refused})
        self._barren += len(lost) + len(refused)
        wanted = min(self.settings.max_jobs, max(self.settings.min_jobs, self.unfinished))
        if self._barren > BARREN + 2 * wanted:
            text = f"{self._barren} jobs were lost one after the other, and nothing was done"
            self._barren = 0
            self.give_up(ProgramError(text, hint=_KILLED, log_path=self._logs, permanent=False))
            return
        if len(self._cluster.worker_spec) < wanted:
            self._cluster.scale(jobs=wanted)
        self._give_back(wanted)

    def _watch(self) -> None:
        """Hand out work as soon as a worker comes."""
        from distributed.diagnostics.plugin import SchedulerPlugin

        def came(plugin: Any, scheduler: Any, worker: str) -> None:
            threading.Thread(target=self._hand_out, daemon=True).start()

        plugin = type("Watch", (SchedulerPlugin,), {"add_worker": came})()
        self._cluster.scheduler.add_plugin(plugin, name="watch")

    def _forget(self, names: set[str]) -> None:
        from distributed.core import Status

        async def forget() -> None:
            for name in names:
                self._cluster.worker_spec.pop(name, None)
                if job := self._cluster.workers.pop(name, None):
                    job.status = Status.closed

        self._cluster.sync(forget)

    def _give_back(self, wanted: int) -> None:
        """Give idle jobs back that have not been wanted for some time."""
        excess = len(self._cluster.worker_spec) - wanted
        if excess <= 0:
            self._idle_since = None
            return
        self._idle_since = self._idle_since or time.monotonic()
        if time.monotonic() - self._idle_since < IDLE_S:
            return

        async def give_back() -> None:
            busy = {worker.name for worker in self._cluster.scheduler.workers.values() if worker.processing}
            idle = [name for name in self._cluster.worker_spec if name not in busy]
            await self._cluster.scale_down(idle[:excess])

        self._cluster.sync(give_back)


def _options(settings: ComputeSettings, request: Request, name: str, logs: Path) -> dict[str, Any]:
    """Return what dask_jobqueue is told of the jobs."""
    common = {
        "name": name,
        "job_name": name,
        "cores": request.cores,
        "processes": 1,
        "memory": f"{request.memory_gb} GB",
        "nanny": False,
        "security": True,
        "shared_temp_directory": str(logs),
        "log_directory": str(logs),
        "python": f"exec {shlex.quote(str(settings.python or sys.executable))}",
        "job_script_prologue": _prologue(settings, request),
        # One thing at a time; the memory is watched by the farm.
        "worker_extra_args": ["--nthreads=1", "--memory-limit=0", "--no-dashboard", f"--worker-class={JOB_WORKER}"],
        "scheduler_options": {
            "host": settings.host,
            "dashboard": False,
            "dashboard_address": ":0",
            "allowed_failures": 0,  # we try again ourselves
        },
        "silence_logs": "critical",
    }
    return common | farm(settings.kind).options(settings, request)


def _prologue(settings: ComputeSettings, request: Request) -> list[str]:
    ours = [
        path for path in sys.path if path and not path.startswith((sys.prefix, sys.base_prefix, sys.base_exec_prefix))
    ]
    lines = [f"export {name}={request.cores}" for name in ONE_THREAD]
    return [*lines, f"export PYTHONPATH={shlex.quote(':'.join(ours))}", *settings.setup]
