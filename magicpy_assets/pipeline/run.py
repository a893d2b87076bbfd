"""Running a plan: what can run does, each product appears whole or not at all, and a record says how it went."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from magicpy_assets.core import datalevels
from magicpy_assets.core.cell import Cell
from magicpy_assets.pipeline.downloads import Patience, check_disk, held_up
from magicpy_assets.pipeline.plan import Plan, plan
from magicpy_assets.pipeline.report import Report
from magicpy_assets.pipeline.runner import Runner
from magicpy_assets.pipeline.session import Session
from magicpy_assets.pipeline.tasks import Task

Again = Callable[[bool, frozenset[str]], Report]
"""Does it once more: whether it comes again after that, and the products that have failed and are left alone."""


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
    wait_min: float = 0.0,
) -> Report:
    """Bring a source's cells up to a level: download, check the moon level of every run, then do what is missing.

    Parameters are those of `pipeline.plan.plan`. Runs whose measured pedestals belong to another moon level are
    planned again in the cell they really belong to, if that is among `cells`; without `cells` they always are.
    `only` chooses among the tasks. Files on tape are waited for up to `wait_min` minutes; meanwhile everything is done
    that does not need them.

    Raises
    ------
    ArchiveError
        If the disk is too full for all that is to be fetched. Nothing is begun then.
    """
    cells = None if cells is None else list(cells)

    def once(patient: bool, failed: frozenset[str]) -> Report:
        def planned() -> Plan:
            current = plan(session, source, cells, up_to, runs=runs, force=force, forests=forests)
            return current.where(lambda task: only(task) and str(task.product) not in failed)

        fetched, current = download(session, planned)
        if up_to == datalevels.Calibrated.key:
            return fetched
        held = held_up(current, [Path(row.product) for row in fetched.waiting] if patient else [])
        return fetched + run(session, current.without("calibrated").where(lambda task: task.product not in held))

    return _patiently(once, wait_min)


def download(session: Session, planned: Callable[[], Plan]) -> tuple[Report, Plan]:
    """Get the calibrated files of a plan, planning again as long as what is measured calls for others.

    Returns what became of them, and the plan that is left.
    """
    report, current, got = Report(), planned(), set[Path]()
    check_disk(session, current)
    # What is measured may move runs, and so call for other files: OFF data of another night, for example.
    while downloads := current.where(lambda task: task.stage == "calibrated" and task.product not in got):
        report += run(session, downloads)
        got.update(task.product for task in downloads)
        current = planned()
    return report, current


def fetch_level(session: Session, planned: Plan, wait_min: float = 0.0) -> Report:
    """Run a plan that is all downloads, waiting for files on tape up to some minutes."""

    def once(patient: bool, failed: frozenset[str]) -> Report:
        return run(session, planned.where(lambda task: str(task.product) not in failed))

    return _patiently(once, wait_min)


def _patiently(once: Again, wait_min: float) -> Report:
    """Do something again and again, as long as files on tape are waited for."""
    patience, report = Patience(wait_min), Report()
    while True:
        patient = patience.left_s > 0
        latest = once(patient, frozenset(row.product for row in report.rows if row.state == "failed"))
        report += latest
        if not latest.waiting or not patient:
            return report.merged()
        patience.pause(row.until for row in latest.waiting)


def run(session: Session, planned: Plan) -> Report:
    """Execute a plan and report on every task of it.

    A task that fails stops only what is made from it. Interrupting stops the children and leaves no half product.

    Raises
    ------
    ArchiveError
        If the disk is too full for all that is to be fetched. Nothing is begun then.
    """
    check_disk(session, planned)
    report = Runner(session, planned).execute()
    report.notes += [session.age] if session.age else []
    report.notes += session.take_notes()
    return report
