"""This machine: worker processes, of which one may die without harm to the others.

Workers are started afresh, not forked, so that threads and compiled kernels of the parent cannot hurt them, and each
keeps to one thread.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from magicpy_assets.core.errors import ProgramError

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
_ATTEMPTS = 2


def _become_worker() -> None:
    """Prepare a worker: one thread, and no answer to Ctrl-C, which the parent deals with."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Asked to end, a worker first stops the program that it has started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    for name in _THREAD_VARIABLES:
        os.environ[name] = "1"


class LocalExecutor(Executor):
    """Worker processes, each a pool of its own that a thread here looks after.

    In a common pool the death of one worker ends the work of all. Here it is known whose work it was: that is tried
    once more in a fresh worker, then fails with a `ProgramError`, and nobody else takes notice.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="worker")
        self._mine = threading.local()
        self._lock = threading.Lock()
        self._open: set[ProcessPoolExecutor] = set()
        self._cancelled = False

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run a function in a worker."""
        return self._threads.submit(self._run, fn, args, kwargs)

    def _run(self, fn: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Run a function in the worker of this thread, and wait for it."""
        for _ in range(_ATTEMPTS):
            try:
                return self._start(fn, args, kwargs).result()
            except BaseException as error:
                if self._cancelled:
                    raise CancelledError from error
                if not isinstance(error, BrokenProcessPool):
                    raise
                with self._lock:
                    self._forget()
        raise ProgramError(
            "a worker process was killed twice on the same work",
            hint="most likely memory ran out: use fewer workers (compute.workers)",
            permanent=False,
        )

    def _start(self, fn: Callable[..., Any], args: Any, kwargs: Any) -> Future[Any]:
        # Under the lock, so that no worker starts after all have been killed.
        with self._lock:
            if self._cancelled:
                raise CancelledError
            try:
                return self._worker().submit(fn, *args, **kwargs)
            except BrokenProcessPool:  # it was killed while it had nothing to do
                self._forget()
                return self._worker().submit(fn, *args, **kwargs)

    def _worker(self) -> ProcessPoolExecutor:
        found: ProcessPoolExecutor | None = getattr(self._mine, "worker", None)
        if found is None:
            context = multiprocessing.get_context("spawn")
            found = self._mine.worker = ProcessPoolExecutor(1, mp_context=context, initializer=_become_worker)
            self._open.add(found)
        return found

    def _forget(self) -> None:
        self._open.discard(self._mine.worker)
        self._mine.worker = None

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Stop: with `cancel_futures` the workers are killed, else they finish first."""
        if cancel_futures:
            with self._lock:
                self._cancelled = True
                for worker in self._open:
                    kill(worker)
        self._threads.shutdown(wait=wait, cancel_futures=cancel_futures)
        if wait:
            for worker in self._open:
                worker.shutdown()
            self._open.clear()


def kill(pool: ProcessPoolExecutor) -> None:
    """End the workers of a pool and whatever they started."""
    for process in list((getattr(pool, "_processes", None) or {}).values()):
        with contextlib.suppress(ProcessLookupError, AttributeError, OSError):
            os.kill(process.pid, signal.SIGTERM)


def open_local(workers: int | None = None) -> LocalExecutor:
    """Open a pool of workers on this machine, by default one for each core that we may use."""
    return LocalExecutor(workers or len(os.sched_getaffinity(0)))
