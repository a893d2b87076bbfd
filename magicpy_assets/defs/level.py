"""What every level's asset does: plan its part of a cell, run it, say how it went.

What belongs here: the one body shared by all levels, and how they plan. What an event says is in `defs.described`, the
levels are in `defs/assets/`.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from magicpy_assets.core import datalevels
from magicpy_assets.core.cell import Cell
from magicpy_assets.core.errors import MagicpyError
from magicpy_assets.defs.described import data_version, describe, made, note_makers, note_unfinished
from magicpy_assets.defs.names import asset_key, plain
from magicpy_assets.defs.partitions import cell_of
from magicpy_assets.defs.resources import Magic
from magicpy_assets.pipeline.plan import Plan, plan
from magicpy_assets.pipeline.quality import Verdict
from magicpy_assets.pipeline.report import Report
from magicpy_assets.pipeline.run import download, run
from magicpy_assets.pipeline.runs import known_runs
from magicpy_assets.pipeline.session import Session
from magicpy_assets.pipeline.tasks import Task
from magicpy_assets.pipeline.versions import needed_cells
from magicpy_assets.store.records import fingerprint

Check = Callable[[Session, Report], dg.AssetCheckResult]
Question = Callable[[Session, Report], Verdict]
Extra = Callable[[Session, Cell, Report], dict[str, Any]]
Planner = Callable[[Session, Cell], Plan]


OWNERS = ["team:magic"]
POOL = "programs"
"""Steps that run programs share this pool, so that runs beside each other do not ask too much of one machine."""
MOST_RETRIES = 2
RETRY_S = 60.0
"""How often, and how long after, a step is tried again that a busy server or a killed worker has stopped."""

logger = logging.getLogger(__name__)


def code_reference(home: str) -> dict[str, Any]:
    """Return metadata by which the page links an asset to the file that describes it."""
    if not home:
        return {}
    reference = dg.LocalFileCodeReference(file_path=home, line_number=1)
    return {"dagster/code_references": dg.CodeReferencesMetadataValue(code_references=[reference])}


def code_version(results_version: int, parameters: Mapping[str, Any]) -> str:
    """Return the code version of an asset: the program's results version, and a fingerprint of settings that matter."""
    return f"{results_version}-{fingerprint('code', 1, parameters, [])[:8]}" if parameters else str(results_version)


@contextmanager
def retried(context: dg.AssetExecutionContext | dg.OpExecutionContext) -> Iterator[None]:
    """Let Dagster try a step again, a few times, if what stopped it can change: a server that is down."""
    try:
        yield
    except MagicpyError as error:
        if error.permanent:
            raise
        context.log.warning("tried again later: %s", error)
        raise dg.RetryRequested(max_retries=MOST_RETRIES, seconds_to_wait=RETRY_S * 2**context.retry_number) from error


def no_data(cell: Cell) -> str:
    """Return what is said of a cell that holds no run."""
    return f"no data: the catalogue holds no run in {cell.text}"


def _asked(question: Question, session: Session, report: Report) -> dg.AssetCheckResult:
    """Ask a question; what goes wrong in answering it, such as a file that cannot be read, answers it with no."""
    try:
        verdict = question(session, report)
    except MagicpyError as error:
        verdict = Verdict(False, {"reason": error.message})
    except Exception as error:
        logger.exception("%s could not be answered", question.__name__)
        verdict = Verdict(False, {"reason": f"could not be answered: {type(error).__name__}: {error}"})
    return dg.AssetCheckResult(
        check_name=question.__name__,
        passed=verdict.passed,
        metadata=verdict.numbers,
        severity=dg.AssetCheckSeverity.WARN,
    )


@dataclass(frozen=True)
class Level:
    """One asset: a data level of a source, of the OFF data, of the Monte Carlo, or the shared forests.

    Attributes
    ----------
    key
        Asset key, for example `["CrabNebula", "star"]`.
    group
        The group it is shown in.
    description
        What a newcomer should know about it.
    planned
        Plans this asset's tasks of one cell.
    deps
        Keys of the assets it is made from, same cell.
    checks, watches
        Functions of session and report; each is an asset check under its own name, described by its docstring. What is
        made from this level waits for `checks` to pass; `watches`, questions of `pipeline.quality`, only warn.
    home
        File in which the level is described, for the page's link to the code.
    kinds
        Technologies, shown as icons.
    results_version, parameters
        The program's results version, and the settings that change its results: together the code version.
    extra
        Adds metadata: figures, tables.
    """

    key: Sequence[str]
    group: str
    description: str
    planned: Planner
    deps: Sequence[Sequence[str]] = ()
    checks: Sequence[Check] = ()
    watches: Sequence[Question] = ()
    home: str = ""
    kinds: frozenset[str] = frozenset()
    results_version: int = 1
    parameters: Mapping[str, Any] = field(default_factory=dict)
    extra: Extra | None = None

    def asset(
        self, partitions: dg.PartitionsDefinition, condition: dg.AutomationCondition | None = None
    ) -> dg.AssetsDefinition:
        """Make the Dagster asset; with a condition, the daemon materialises it by itself."""

        @dg.asset(
            key=asset_key(self.key),
            group_name=plain(self.group),
            description=self.description,
            deps=[asset_key(key) for key in self.deps],
            partitions_def=partitions,
            kinds=set(self.kinds),
            owners=OWNERS,
            tags={"level": self.key[-1]},
            metadata=code_reference(self.home),
            code_version=code_version(self.results_version, self.parameters),
            check_specs=self._specs(partitions),
            automation_condition=condition,
            pool=POOL,
        )
        def level(context: dg.AssetExecutionContext, magic: Magic) -> dg.MaterializeResult:
            with retried(context):
                return self.materialise(context, magic)

        return level

    def _specs(self, partitions: dg.PartitionsDefinition) -> list[dg.AssetCheckSpec]:
        return [
            dg.AssetCheckSpec(
                check.__name__,
                asset=asset_key(self.key),
                blocking=check in self.checks,
                description=check.__doc__,
                partitions_def=partitions,
            )
            for check in (*self.checks, *self.watches)
        ]

    def materialise(self, context: dg.AssetExecutionContext, magic: Magic) -> dg.MaterializeResult:
        """Bring one cell up to date and report.

        A cell without data is materialised as empty, with the reason. Products that fail are reported; what is made
        from this level stops only where a check says that going on would be wrong.
        """
        cell = cell_of(context)
        with magic.session() as session:
            session.catalogue.refresh()
            report = self._made(session, cell)
            note_makers(report, context.run.run_id)
            note_unfinished(context, report)
            metadata = describe(session, report)
            if len(report):
                results = [check(session, report) for check in self.checks]
                results += [_asked(question, session, report) for question in self.watches]
                metadata |= self.extra(session, cell, report) if self.extra else {}
            else:
                metadata["empty"] = metadata["why"] = no_data(cell)
                checks = (*self.checks, *self.watches)
                results = [dg.AssetCheckResult(check_name=check.__name__, passed=True) for check in checks]
        context.log.info("%s", report)
        return dg.MaterializeResult(
            metadata=metadata, data_version=dg.DataVersion(data_version(report)), check_results=results
        )

    def _made(self, session: Session, cell: Cell) -> Report:
        """Make what is missing; what is downloaded may move runs, and so call for other files."""
        if self.key[-1] == datalevels.Calibrated.key:
            return download(session, lambda: self.planned(session, cell))[0].merged()
        return run(session, self.planned(session, cell))


def of_source(source: str, stage: str) -> Planner:
    """Plan one level of one source."""
    return lambda session, cell: plan(session, source, [cell], stage).where(
        lambda task: task.stage == stage and task.source == source
    )


def of_off(stage: str) -> Planner:
    """Plan one level of the OFF data that a cell's forests are trained with."""

    def belongs(task: Task) -> bool:
        return task.stage == stage and not task.source.startswith("MC/")

    return lambda session, cell: _if_needed(session, cell, lambda: plan(session, None, [cell], "random_forest")).where(
        belongs
    )


def of_mc(stage: str, uses: Sequence[str] = ("train", "test")) -> Planner:
    """Plan one level of the Monte Carlo of a cell."""

    def planned(session: Session, cell: Cell) -> Plan:
        def whole() -> Plan:
            plans = [plan(session, f"MC/{use}", [cell], stage) for use in uses]
            return sum(plans[1:], start=plans[0])

        return _if_needed(session, cell, whole).where(
            lambda task: task.stage == stage and task.source.startswith("MC/")
        )

    return planned


def forests_of_cell(session: Session, cell: Cell) -> Plan:
    """Plan the forests of a cell."""
    return _if_needed(session, cell, lambda: plan(session, None, [cell], "random_forest")).only("random_forest")


def _if_needed(session: Session, cell: Cell, planned: Callable[[], Plan]) -> Plan:
    """Plan what sources share, unless no source of the settings has runs in the cell."""
    return planned() if cell in needed_cells(session, known_runs(session)) else Plan((), {})


def something_was_made(name: str, report: Report) -> dg.AssetCheckResult:
    """Pass a check if at least one product is there."""
    count = len(made(report))
    return dg.AssetCheckResult(check_name=name, passed=count > 0, metadata={"made": count, "planned": len(report)})
