"""This machine: worker processes, of which one may die without harm to the others.

Workers are fresh interpreters: no threads and compiled kernels of ours are copied into them, and the user's script is
not run again, as `multiprocessing` would. So what they are to call must be importable by name. Workers at rest are kept
for the next executor of this process, with all that they have imported and compiled, which takes them seconds.
"""

from __future__ import annotations

import atexit
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

from magicpy_assets.compute.base import Workers
from magicpy_assets.compute.health import QueueState
from magicpy_assets.compute.worker import GRACE_S, move
from magicpy_assets.core.compute_settings import ComputeSettings
from magicpy_assets.core.errors import ProgramError

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
ATTEMPTS = 2
WORKER_GB = 1.0
"""Memory that a worker should have at least: training the forests of a cell takes about as much."""
_MEMORY = "most likely memory ran out: use fewer workers (compute.workers)"


class WorkerDiedError(Exception):
    """A worker process has ended in the middle of its work."""


class Worker:
    """A worker process and the pipe to it, the only hold it has on life. Used by one thread at a time."""

    def __init__(self) -> None:
        self._pipe, theirs = Pipe()
        self._starter, self._path = os.getpid(), list(sys.path)
        self.is_at_work = False
        number = theirs.fileno()
        code = f"import sys; sys.path[:] = {self._path!r}; from magicpy_assets.compute.worker import main"
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-c", f"{code}; sys.exit(main({number}))"],
                stdin=subprocess.DEVNULL,
                env=os.environ | ONE_THREAD,
                pass_fds=[number],
            )

    def call(self, fn: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Call a function there, and return what it returns or raise what it raises.

        Raises
        ------
        WorkerDiedError
            If the worker does not live to answer.
        """
        call = pickle.dumps((fn, args, kwargs))
        try:
            self._pipe.send_bytes(call)
            answer = self._pipe.recv_bytes()
        except (EOFError, OSError) as error:
            raise WorkerDiedError from error
        succeeded, result = pickle.loads(answer)
        if not succeeded:
            raise result
        return result

    def move(self) -> bool:
        """Let the worker go on where a fresh one would begin, and tell whether it can."""
        if self._starter != os.getpid() or self._path != sys.path or self.process.poll() is not None:
            return False
        try:
            self.call(move, (os.environ | ONE_THREAD, str(Path.cwd())), {})
        except (WorkerDiedError, OSError):
            return False
        return True

    def close(self) -> None:
        """Let go of the worker and wait for its end; one that does not end is killed."""
        self._pipe.close()
        try:
            self.process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Bench:
    """Workers at rest, one for each core at most, until another executor of this process or its end."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._workers: list[Worker] = []
        atexit.register(self.clear)

    def take(self) -> Worker:
        """Return a worker: one at rest that can go on, else a fresh one."""
        while True:
            with self._lock:
                if not self._workers:
                    return Worker()
                found = self._workers.pop()
            if found.move():
                return found
            found.close()

    def put(self, worker: Worker) -> None:
        """Take a worker that has nothing to do."""
        with self._lock:
            if len(self._workers) < len(os.sched_getaffinity(0)):
                self._workers.append(worker)
                return
        worker.close()

    def clear(self) -> None:
        """Let all go."""
        with self._lock:
            while self._workers:
                self._workers.pop().close()


_bench = Bench()


class LocalExecutor(Workers):
    """Worker processes, each looked after by a thread here.

    So it is known whose work it was when one dies: that is tried once more in a fresh worker, then fails with a
    `ProgramError`, and nobody else takes notice.
    """

    def __init__(self, workers: int) -> None:
        super().__init__()
        self.workers = workers
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="worker")
        self._mine = threading.local()
        self._lock = threading.Lock()
        self._open: set[Worker] = set()
        self._stopped: set[Worker] = set()
        self._cancelled = False

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Call a function, importable by name, in a worker."""
        return self._threads.submit(self._run, fn, args, kwargs)

    def _run(self, fn: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Call a function in the worker of this thread, and wait for it."""
        for _ in range(ATTEMPTS):
            worker = self._worker()
            try:
                return worker.call(fn, args, kwargs)
            except WorkerDiedError:
                code = self._forget(worker)
                if self._cancelled:
                    raise CancelledError from None
                self.notes.append(f"worker process {worker.process.pid} ended with code {code} in the middle of work")
            finally:
                worker.is_at_work = False
        killed = code == -signal.SIGKILL
        raise ProgramError(
            f"a worker process {'was killed' if killed else f'ended with code {code}'} twice on the same work",
            hint=_MEMORY if killed else None,
            permanent=False,
        )

    def _worker(self) -> Worker:
        found: Worker | None = getattr(self._mine, "worker", None)
        if found is not None and found.process.poll() is not None:  # it was killed while it had nothing to do
            self._forget(found)
            found = None
        # Under the lock, so that no worker starts after all have been told to end.
        with self._lock:
            if self._cancelled:
                raise CancelledError
            if found is None:
                found = self._mine.worker = _bench.take()
                self._open.add(found)
            found.is_at_work = True
        return found

    def _forget(self, worker: Worker) -> int:
        """Part with a worker of this thread that has ended; returns its return code."""
        with self._lock:
            self._open.discard(worker)
        self._mine.worker = None
        worker.close()
        return worker.process.returncode

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Stop: with `cancel_futures` the workers and what they have started are stopped, else they finish first."""
        if cancel_futures:
            self._stop_workers()
        try:
            self._threads.shutdown(wait=wait, cancel_futures=cancel_futures)
        except BaseException:  # Ctrl-C while waiting
            self._stop_workers()
            self._threads.shutdown(wait=True, cancel_futures=True)
            raise
        finally:
            if wait:
                for worker in self._stopped:
                    worker.close()
                for worker in self._open - self._stopped:
                    _bench.put(worker)
                self._open.clear()

    def _stop_workers(self) -> None:
        with self._lock:
            self._cancelled = True
            for worker in self._open:
                if worker.is_at_work:
                    self._stopped.add(worker)
                    worker.process.terminate()


def _worker_count(workers: int | None, memory_gb: float) -> int:
    """Return how many workers there are: as many as wanted, else one for each core that we may use and has memory."""
    return workers or max(1, min(len(os.sched_getaffinity(0)), int(_memory_gb() / memory_gb)))


def _memory_gb() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9


def queue_state(settings: ComputeSettings) -> QueueState:
    """Return how many workers there would be, and whether each has memory enough."""
    workers = _worker_count(settings.workers, settings.memory_gb)
    each_gb = _memory_gb() / workers
    text = f"local: {workers} workers on {len(os.sched_getaffinity(0))} cores, {each_gb:.1f} GB of memory for each"
    return QueueState(each_gb >= min(settings.memory_gb, WORKER_GB), text, "set compute.workers to fewer")


def open_local(workers: int | None = None, memory_gb: float = WORKER_GB) -> LocalExecutor:
    """Open workers on this machine, by default one for each core, as far as memory goes; each needs `memory_gb`, GB."""
    return LocalExecutor(_worker_count(workers, memory_gb))
