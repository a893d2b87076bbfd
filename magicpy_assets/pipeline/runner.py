"""The machine that runs a plan: starts what can start, keeps what comes out, writes a record of each task."""

from __future__ import annotations

import logging
import shutil
import socket
import time
from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from magicpy_assets.archive.base import OfflineError, WaitingError
from magicpy_assets.compute.base import Outcome, execute
from magicpy_assets.core.errors import AccessDeniedError, MagicpyError
from magicpy_assets.core.progress import announce
from magicpy_assets.mars.program import Program
from magicpy_assets.pipeline.downloads import Fetched, fetch, is_waiting
from magicpy_assets.pipeline.plan import Plan
from magicpy_assets.pipeline.report import Report, Row
from magicpy_assets.pipeline.session import Session
from magicpy_assets.pipeline.tasks import Assessment, Task, assess, identity
from magicpy_assets.store.records import Record, fingerprint, product_lock, read_record, write_record

logger = logging.getLogger(__name__)

LOCK_POLL_S = 0.5
SCRATCH = ".making-"
INDEX_ENDING = "-index.fits.gz"
"""Index files list a whole folder, so each folder's are made in place, not moved there."""


@dataclass
class _Active:
    """A task at work: what it was given, where it writes, and the lock that keeps others away."""

    task: Task
    assessment: Assessment
    lock: Any
    started: float
    scratch: Path
    log: Path
    program: Program | None = None


class Runner:
    """Runs one plan, once."""

    def __init__(self, session: Session, planned: Plan) -> None:
        self.session = session
        self.plan = planned
        self.report = Report()
        self.states: dict[Path, Assessment] = {}
        self.active: dict[Future[Any], _Active] = {}
        self.ready: deque[Task] = deque()
        self.contended: deque[Task] = deque()
        self.waiting_for: dict[Path, int] = {}
        self.dependents: dict[Path, list[Task]] = {}
        self.downloads = ThreadPoolExecutor(session.settings.archive.concurrency, thread_name_prefix="download")

    def execute(self) -> Report:
        """Run everything that can be run, and report on every task."""
        self._link()
        self._sweep()
        try:
            while self.ready or self.active or self.contended:
                self.session.watch()
                self._start_what_can()
                if self.active:
                    finished, _ = wait(self.active, timeout=LOCK_POLL_S, return_when=FIRST_COMPLETED)
                    for future in finished:
                        self._collect(future)
                elif self.contended:
                    time.sleep(LOCK_POLL_S)
                self.ready.extend(self.contended)
                self.contended.clear()
        except BaseException:
            self._abandon()
            raise
        finally:
            self.downloads.shutdown(wait=True, cancel_futures=True)
        return self.report

    # What waits for what

    def _link(self) -> None:
        planned = {product: task for task in self.plan for product in task.products}
        for task in self.plan:
            upstream = {planned[path].product for path in task.all_inputs() if path in planned}
            self.waiting_for[task.product] = len(upstream)
            for product in upstream:
                self.dependents.setdefault(product, []).append(task)
            if not upstream:
                self.ready.append(task)
        self.ready = deque(sorted(self.ready, key=is_waiting))

    def _sweep(self) -> None:
        """Remove what killed runs have left beside the products of this plan, unless somebody is at work there."""
        scratches = {_scratch_of(task): task for task in self.plan}
        for folder in {task.folder for task in self.plan if task.folder.is_dir()}:
            for left in folder.glob(f"{SCRATCH}*"):
                if left not in scratches:
                    continue
                lock = product_lock(scratches[left].product)
                if lock.try_acquire():
                    shutil.rmtree(left, ignore_errors=True)
                    lock.release()

    def _start_what_can(self) -> None:
        while self.ready:
            task = self.ready.popleft()
            found = self._assess(task)
            if found.state == "to do":
                self._start(task)
            else:
                self._settle(task, found, "cached" if found.state == "up to date" else found.state, found.reason)

    def _assess(self, task: Task) -> Assessment:
        return assess(task, self.states, force=task.product in self.plan.forced)

    def _settle(self, task: Task, found: Assessment, state: str, reason: str, **more: Any) -> None:
        self.states.update(dict.fromkeys(task.products, found))
        self.report.add(Row.of(task, state, reason, **more))
        announce(len(self.plan), len(self.report), f"{task.stage} {task.unit}")
        for dependent in self.dependents.get(task.product, ()):
            self.waiting_for[dependent.product] -= 1
            if self.waiting_for[dependent.product] == 0:
                self.ready.append(dependent)

    # Starting

    def _start(self, task: Task) -> None:
        task.folder.mkdir(parents=True, exist_ok=True)
        lock = product_lock(task.product)
        if not lock.try_acquire():
            self.contended.append(task)
            return
        found = self._assess(task)
        if found.state != "to do":
            lock.release()
            self.ready.append(task)
            return
        log = task.folder / ".logs" / f"{task.product.stem}.log"
        active = _Active(task, found, lock, time.time(), _scratch_of(task), log)
        try:
            future = self._submit(active)
        except MagicpyError as error:
            self._fail(active, error)
            return
        self.active[future] = active

    def _submit(self, active: _Active) -> Future[Any]:
        task = active.task
        if task.build is None:
            return self.downloads.submit(fetch, self.session, task)
        shutil.rmtree(active.scratch, ignore_errors=True)
        active.scratch.mkdir(parents=True)
        active.log.parent.mkdir(parents=True, exist_ok=True)
        active.program = task.build(active.assessment.inputs, active.scratch)
        active.program.check()
        command = self.session.installation.command_for(active.program, log=active.log)
        return self.session.pool.submit(execute, command)

    # Finishing

    def _collect(self, future: Future[Any]) -> None:
        active = self.active.pop(future)
        try:
            result = future.result()
            if active.program is None:
                self._keep_download(active, result)
            else:
                self._keep_products(active, result)
        except (WaitingError, OfflineError) as error:
            self._put_off(active, error)
            return
        except MagicpyError as error:
            self._fail(active, error)
            return
        except Exception as error:
            logger.debug("task %s", active.task.product.name, exc_info=True)
            self._fail(active, MagicpyError(f"{active.task.product.name}: {type(error).__name__}: {error}"))
            return
        finally:
            shutil.rmtree(active.scratch, ignore_errors=True)
        done = Assessment("up to date", "done", {}, active.assessment.fingerprint)
        active.lock.release()
        seconds = time.time() - active.started
        self._settle(active.task, done, "done", active.assessment.reason, seconds=seconds, log=active.log)

    def _keep_download(self, active: _Active, fetched: Fetched) -> None:
        version = identity(fetched.remote)
        record = self._record(active, "done", parameters=version, measured=fetched.measured)
        known = fingerprint(active.task.stage, 1, version, [])
        write_record(active.task.product, record.replace(fingerprint=known, simulated=fetched.simulated))

    def _keep_products(self, active: _Active, outcome: Outcome) -> None:
        assert active.program is not None
        task = active.task
        active.program.accept(outcome)
        simulated = any(
            record.simulated for path in _flat(active.assessment.inputs.values()) if (record := read_record(path))
        )
        record = self._record(active, "done", command=outcome.argv, simulated=simulated, host=outcome.host)
        self._move_products(active)
        for product in task.products:
            write_record(product, record)
        if task.finish is not None:
            task.finish(task.folder)

    def _move_products(self, active: _Active) -> None:
        """Put what was made in its place, and the run card that was used beside the log."""
        task = active.task
        for made in sorted(active.scratch.rglob("*")):
            if made.is_dir() or made.name.endswith(INDEX_ENDING):
                continue
            place = task.folder / made.relative_to(active.scratch)
            if made.suffix == ".rc":
                place = active.log.parent / f"{task.product.stem}.rc"
            place.parent.mkdir(parents=True, exist_ok=True)
            made.replace(place)

    def _put_off(self, active: _Active, error: WaitingError | OfflineError) -> None:
        """Leave a file for another time: it is on tape, or the server is not to be asked."""
        before = read_record(active.task.product)
        if before is None or before.outcome != "done":  # an older version that is here stays in use
            self._keep_failure(active, error.message, attempts=0)
        active.lock.release()
        waiting = isinstance(error, WaitingError)
        until = error.until if isinstance(error, WaitingError) else None
        found = Assessment("blocked", error.message)
        self._settle(active.task, found, "waiting" if waiting else "blocked", str(error), until=until)

    def _fail(self, active: _Active, error: MagicpyError) -> None:
        before = read_record(active.task.product)
        same = before is not None and before.fingerprint == active.assessment.fingerprint and before.outcome == "failed"
        # A server that is busy, or does not let us in, does not use up an attempt.
        counts = active.program is not None or (error.permanent and not isinstance(error, AccessDeniedError))
        attempts = (before.attempts if before is not None and same else 0) + counts
        reason = (error.message.splitlines() or [type(error).__name__])[0]
        self._keep_failure(active, reason, attempts)
        active.lock.release()
        found = Assessment("set aside", reason)
        seconds = time.time() - active.started
        self._settle(active.task, found, "failed", str(error), seconds=seconds, log=error.log_path or active.log)

    def _keep_failure(self, active: _Active, reason: str, attempts: int) -> None:
        failed = self._record(active, "failed", reason=reason, attempts=attempts)
        if active.task.remote is not None:
            failed = failed.replace(parameters=identity(active.task.remote))
        write_record(active.task.product, failed)

    def _record(self, active: _Active, outcome: str, **values: Any) -> Record:
        task = active.task
        inputs = [
            (path.name, known.fingerprint)
            for path in _flat(active.assessment.inputs.values())
            if (known := read_record(path)) is not None
        ]
        defaults: dict[str, Any] = {
            "fingerprint": active.assessment.fingerprint,
            "stage": task.stage,
            "product": task.product.name,
            "inputs": inputs,
            "program": active.program.name if active.program else "download",
            "program_version": self.session.installation.version_of(active.program.name) if active.program else "",
            "results_version": task.results_version,
            "parameters": dict(task.parameters),
            "start": datetime.fromtimestamp(active.started, UTC).isoformat(timespec="seconds"),
            "duration_s": time.time() - active.started,
            "host": socket.gethostname(),
            "log": active.log.name if active.program else "",
            "outcome": outcome,
        }
        return Record(**(defaults | values))

    def _abandon(self) -> None:
        """Stop everything at once: called when the run is interrupted or breaks."""
        for future in self.active:
            future.cancel()
        self.session.close()
        for active in self.active.values():
            shutil.rmtree(active.scratch, ignore_errors=True)
            active.lock.release()


def _scratch_of(task: Task) -> Path:
    """Return the folder in which a task's program writes before its products are moved into place."""
    return task.folder / f"{SCRATCH}{task.product.stem}"


def _flat(groups: Iterable[Sequence[Path]]) -> list[Path]:
    return [path for paths in groups for path in paths]
