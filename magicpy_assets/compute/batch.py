"""A batch farm: HTCondor or Slurm jobs that work through commands, by way of `dask_jobqueue`.

Each kind of job (cores, memory, time) is a cluster of its own, opened when the first work of its kind comes. A job
holds one worker that does one thing at a time. What goes between here and the jobs is encrypted, and both sides know
each other by a certificate made for this process.
"""

from __future__ import annotations

import atexit
import logging
import secrets
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from pathlib import Path
from types import FrameType
from typing import Any

from magicpy_assets.compute.base import Command, Workers
from magicpy_assets.compute.cluster import Cluster, cluster_class
from magicpy_assets.compute.farms import farm
from magicpy_assets.core.compute_settings import ComputeSettings, Request
from magicpy_assets.core.errors import ProgramError

logger = logging.getLogger(__name__)

GONE_S = 60.0
"""How long jobs that have been taken back may take to be gone."""
TERMINATED = 143


class BatchExecutor(Workers):
    """Jobs of a farm, kept up by a thread that asks the farm about them.

    Work whose job was killed is tried again as often as the settings say, then fails with a `ProgramError`. However
    this process ends, its jobs end too: they are taken back, or, if it is killed, end by themselves when they find it
    gone.

    Raises
    ------
    ProgramError
        If the farm cannot be used from here.
    """

    def __init__(self, settings: ComputeSettings, logs: Path) -> None:
        super().__init__()
        self.settings = settings
        self.farm = farm(settings.kind)
        self.logs = logs.absolute()
        self.name = f"magicpy-{secrets.token_hex(4)}"
        cluster_class(settings.kind)
        self.farm.our_jobs()
        self._clusters: dict[Request, Cluster] = {}
        self._lock = threading.Lock()
        self._closed = False
        self._stop = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="farm", daemon=True)
        self._keeper.start()
        self._before = _end_in_order()
        atexit.register(self.shutdown, cancel_futures=True)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Call a function, importable by name, in a job; the command among its arguments says which kind of job."""
        program = next((item.program for item in args if isinstance(item, Command)), "")
        with self._lock:
            if self._closed:
                raise RuntimeError("cannot schedule new futures after shutdown")
            cluster = self._cluster(self.settings.request(program))
            return cluster.submit(fn, args, kwargs)

    def _cluster(self, request: Request) -> Cluster:
        if request not in self._clusters:
            name = f"{self.name}-{len(self._clusters)}"
            self._clusters[request] = Cluster(self.settings, request, name, self.logs, self._note)
        return self._clusters[request]

    def _note(self, text: str) -> None:
        logger.warning(text)
        self.notes.append(text)

    def _keep(self) -> None:
        """Ask the farm about our jobs again and again, and let every cluster put itself right."""
        pause = min(0.2, self.settings.poll_s)
        while not self._stop.wait(pause):
            pause = self.settings.poll_s if self._clusters else 0.2
            try:
                before = {cluster: cluster.numbers() for cluster in list(self._clusters.values())}
                jobs = self.farm.our_jobs(self.name) if before else []
                for cluster, known in before.items():
                    cluster.put_right(known, jobs)
            except ProgramError as error:
                if not any(error.message in note for note in self.notes):
                    self._note(f"{error.message}; asking again")

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Stop: with `cancel_futures` all jobs are taken back at once, else when they have finished."""
        with self._lock:
            first, self._closed = not self._closed, True
        try:
            if wait and not cancel_futures:
                for cluster in self._clusters.values():
                    cluster.finish()
        finally:
            if first and (wait or cancel_futures):
                self._take_down()

    def _take_down(self) -> None:
        self._stop.set()
        self._keeper.join()
        for cluster in self._clusters.values():
            cluster.give_up(CancelledError())
        try:
            self._remove_jobs()
        except ProgramError as error:
            self._note(f"jobs cannot be taken back, but end by themselves: {error.message}")
        finally:
            for cluster in self._clusters.values():
                cluster.close()
            self._clusters.clear()
            if self._before is not None:
                signal.signal(signal.SIGTERM, self._before)
            atexit.unregister(self.shutdown)

    def _remove_jobs(self) -> None:
        """Take all our jobs back, and wait until the farm knows them no more: then none of them writes any more."""
        asked, until = set[str](), time.monotonic() + GONE_S
        while self._clusters:
            jobs = self.farm.our_jobs(self.name)
            self.farm.remove([job for job in jobs if job.number not in asked])
            asked |= {job.number for job in jobs}
            if not jobs:
                return
            if time.monotonic() > until:
                self._note(f"the farm has not ended job {', '.join(job.number for job in jobs)} within {GONE_S:g} s")
                return
            time.sleep(0.2)


def _end_in_order() -> Any:
    """Let SIGTERM end the process as an exit would, so that jobs are taken back; unless somebody deals with it."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        return None
    return signal.signal(signal.SIGTERM, _exit)


def _exit(number: int, frame: FrameType | None) -> None:
    raise SystemExit(TERMINATED)
