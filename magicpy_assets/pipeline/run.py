"""Running a plan: what can run does, each product appears whole or not at all, and a record says how it went."""

from __future__ import annotations

import logging
import shutil
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from magicpy_assets.compute.base import Outcome, execute
from magicpy_assets.core import datalevels
from magicpy_assets.core.cell import Cell
from magicpy_assets.core.errors import MagicpyError
from magicpy_assets.core.progress import announce
from magicpy_assets.core.runs import parse_name
from magicpy_assets.mars.program import Program
from magicpy_assets.pipeline.plan import Plan, plan
from magicpy_assets.pipeline.report import Report, Row
from magicpy_assets.pipeline.runs import measure_pedestals
from magicpy_assets.pipeline.session import Session
from magicpy_assets.pipeline.tasks import Assessment, Task, assess, identity
from magicpy_assets.store.records import Record, fingerprint, product_lock, read_record, write_record

logger = logging.getLogger(__name__)

LOCK_POLL_S = 0.5
SCRATCH = ".making-"
INDEX_ENDING = "-index.fits.gz"
"""Index files list a whole folder, so each folder's are made in place, not moved there."""


def process(
    session: Session,
    source: str | None,
    cells: Iterable[Cell] | None = None,
    up_to: str = "spectra",
    *,
    runs: Sequence[int] | None = None,
    force: bool = False,
    forests: Mapping[Cell, Cell] | None = None,
    only: Callable[[Task], bool] = lambda task: True,
) -> Report:
    """Bring a source's cells up to a level: download, check the moon level of every run, then do what is missing.

    Parameters are those of `pipeline.plan.plan`. Runs whose measured pedestals belong to another moon level are
    planned again in the cell they really belong to, if that is among `cells`; without `cells` they always are.
    `only` chooses among the tasks.
    """
    cells = None if cells is None else list(cells)

    def planned() -> Plan:
        return plan(session, source, cells, up_to, runs=runs, force=force, forests=forests).where(only)

    report, current, got = Report(), planned(), set[Path]()
    # What is measured may move runs, and so call for other files: OFF data of another night, for example.
    while downloads := current.where(lambda task: task.stage == "calibrated" and task.product not in got):
        report += run(session, downloads)
        got.update(task.product for task in downloads)
        current = planned()
    return report if up_to == "calibrated" else report + run(session, current.without("calibrated"))


def run(session: Session, planned: Plan) -> Report:
    """Execute a plan and report on every task of it.

    A task that fails stops only what is made from it. Interrupting stops the children and leaves no half product.
    """
    return _Run(session, planned).execute()


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


class _Run:
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
        self._link()
        self._sweep()
        try:
            while self.ready or self.active or self.contended:
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

    def _settle(
        self, task: Task, found: Assessment, state: str, reason: str, *, seconds: float = 0.0, log: Path | None = None
    ) -> None:
        self.states.update(dict.fromkeys(task.products, found))
        self.report.add(Row.of(task, state, reason, seconds=seconds, log=log))
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
            return self.downloads.submit(self._download, task)
        shutil.rmtree(active.scratch, ignore_errors=True)
        active.scratch.mkdir(parents=True)
        active.log.parent.mkdir(parents=True, exist_ok=True)
        active.program = task.build(active.assessment.inputs, active.scratch)
        active.program.check()
        command = self.session.installation.command_for(active.program, log=active.log)
        return self.session.pool.submit(execute, command)

    def _download(self, task: Task) -> dict[str, Any]:
        assert task.remote is not None
        report = self.session.archive.fetch([(task.remote, task.product)])
        report.raise_if_failed()
        return {
            "remote": report.items[0].remote,
            "measured": measure_pedestals(task.product) if task.stage == "calibrated" else {},
            "simulated": _is_simulated(task.product),
        }

    # Finishing

    def _collect(self, future: Future[Any]) -> None:
        active = self.active.pop(future)
        try:
            result = future.result()
            if active.program is None:
                self._keep_download(active, result)
            else:
                self._keep_products(active, result)
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

    def _keep_download(self, active: _Active, result: dict[str, Any]) -> None:
        version = identity(result["remote"])
        record = self._record(active, "done", parameters=version, measured=result["measured"])
        known = fingerprint(active.task.stage, 1, version, [])
        write_record(active.task.product, record.replace(fingerprint=known, simulated=result["simulated"]))

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

    def _fail(self, active: _Active, error: MagicpyError) -> None:
        before = read_record(active.task.product)
        same = before is not None and before.fingerprint == active.assessment.fingerprint and before.outcome == "failed"
        # A server that is busy, or a file that is still on tape, does not use up an attempt.
        counts = error.permanent or active.program is not None
        attempts = (before.attempts if before is not None and same else 0) + counts
        reason = (error.message.splitlines() or [type(error).__name__])[0]
        failed = self._record(active, "failed", reason=reason, attempts=attempts)
        if active.task.remote is not None:
            failed = failed.replace(parameters=identity(active.task.remote))
        write_record(active.task.product, failed)
        active.lock.release()
        found = Assessment("set aside", reason)
        seconds = time.time() - active.started
        self._settle(active.task, found, "failed", str(error), seconds=seconds, log=error.log_path or active.log)

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
            "program_version": self.session.installation.version if active.program else "",
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


def _is_simulated(path: Path) -> bool:
    from magicpy_assets.formats.calibrated import CalibratedFile
    from magicpy_assets.formats.star import read_header

    if parse_name(path).level != datalevels.Calibrated:
        return read_header(path).simulated
    with CalibratedFile(path) as file:
        return bool(file.info.simulated)
