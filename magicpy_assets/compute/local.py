"""This machine: a pool of worker processes that lives through the death of one of them.

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
from concurrent.futures import Executor, Future, ProcessPoolExecutor
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
    """A process pool. What was running when a worker died is tried once more, one at a time, in a fresh pool.

    A piece of work that kills its worker twice fails with a `ProgramError`; the others end as if nothing had happened.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._lock = threading.RLock()
        self._pool: ProcessPoolExecutor | None = None
        self._closed = False

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run a function in a worker."""
        outer: Future[Any] = Future()
        self._try(outer, fn, args, kwargs, _ATTEMPTS)
        return outer

    def _try(self, outer: Future[Any], fn: Callable[..., Any], args: Any, kwargs: Any, attempts: int) -> None:
        with self._lock:
            if self._closed:
                outer.cancel()
                return
            pool = self._open()
            try:
                inner = pool.submit(fn, *args, **kwargs)
            except BrokenProcessPool:
                self._pool = None
                inner = self._open().submit(fn, *args, **kwargs)
                pool = self._open()

        def finished(done: Future[Any]) -> None:
            if done.cancelled():
                outer.cancel()
                return
            error = done.exception()
            if isinstance(error, BrokenProcessPool):
                self._replace(pool)
                if attempts > 1:
                    self._try(outer, fn, args, kwargs, attempts - 1)
                    return
                error = ProgramError(
                    "a worker process was killed twice on the same work",
                    hint="most likely memory ran out: use fewer workers (compute.workers)",
                    permanent=False,
                )
            if error is not None:
                outer.set_exception(error)
            else:
                outer.set_result(done.result())

        inner.add_done_callback(finished)

    def _open(self) -> ProcessPoolExecutor:
        if self._pool is None:
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self.workers, mp_context=context, initializer=_become_worker)
        return self._pool

    def _replace(self, broken: ProcessPoolExecutor) -> None:
        with self._lock:
            if self._pool is broken:
                self._pool = None

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Stop: with `cancel_futures` the workers are killed, else they finish first."""
        with self._lock:
            self._closed = True
            pool, self._pool = self._pool, None
        if pool is None:
            return
        if cancel_futures:
            kill(pool)
        pool.shutdown(wait=wait, cancel_futures=cancel_futures)


def kill(pool: ProcessPoolExecutor) -> None:
    """Kill the workers of a pool and whatever they started."""
    for process in list((getattr(pool, "_processes", None) or {}).values()):
        with contextlib.suppress(ProcessLookupError, AttributeError, OSError):
            os.kill(process.pid, signal.SIGTERM)


def open_local(workers: int | None = None) -> LocalExecutor:
    """Open a pool of workers on this machine, by default one for each core that we may use."""
    return LocalExecutor(workers or len(os.sched_getaffinity(0)))
