"""What every level's asset does: plan its part of a cell, run it, say how it went.

What belongs here: the one body shared by all levels, and how they plan. What an event says is in `defs.described`, the
levels are in `defs/assets/`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from magicpy_assets.core import datalevels
from magicpy_assets.core.cell import Cell
from magicpy_assets.core.errors import MagicpyError
from magicpy_assets.defs.checks import Checks
from magicpy_assets.defs.described import data_version, describe, note_makers, note_unfinished
from magicpy_assets.defs.names import asset_key, plain
from magicpy_assets.defs.partitions import cell_of
from magicpy_assets.defs.resources import Magic
from magicpy_assets.pipeline.plan import Plan, plan
from magicpy_assets.pipeline.quality.verdict import Question
from magicpy_assets.pipeline.report import Report
from magicpy_assets.pipeline.run import download, run
from magicpy_assets.pipeline.runs import known_runs
from magicpy_assets.pipeline.session import Session
from magicpy_assets.pipeline.tasks import Task
from magicpy_assets.pipeline.versions import needed_cells
from magicpy_assets.store.records import fingerprint

Extra = Callable[[Session, Cell, Report], dict[str, Any]]
Planner = Callable[[Session, Cell], Plan]


SAME_CELL = dg.IdentityPartitionMapping()
"""A cell is made from the same cell of what comes before; what all sources share has more cells than one of them."""
OWNERS = ["team:magic"]
POOL = "programs"
"""Steps that run programs share this pool, so that runs beside each other do not ask too much of one machine."""
MOST_RETRIES = 2
RETRY_S = 60.0
"""How often, and how long after, a step is tried again that a busy server or a killed worker has stopped."""


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
        Questions of `pipeline.quality`; each is an asset check under its own name, described by its docstring. What is
        made from this level waits for `checks` to pass; `watches` only warn.
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
    checks: Sequence[Question] = ()
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

        # Not @dg.asset: only of this one can checks be asked without making the asset.
        @dg.multi_asset(
            name="__".join(asset_key(self.key).path),
            specs=[
                dg.AssetSpec(
                    asset_key(self.key),
                    group_name=plain(self.group),
                    description=self.description,
                    deps=[dg.AssetDep(asset_key(key), partition_mapping=SAME_CELL) for key in self.deps],
                    kinds=set(self.kinds),
                    owners=OWNERS,
                    tags={"level": self.key[-1]},
                    metadata=code_reference(self.home),
                    code_version=code_version(self.results_version, self.parameters),
                    automation_condition=condition,
                    skippable=True,
                )
            ],
            partitions_def=partitions,
            check_specs=self._checks.specs(partitions),
            can_subset=True,
            pool=POOL,
        )
        def level(
            context: dg.AssetExecutionContext, magic: Magic
        ) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
            with retried(context), magic.session() as session:
                session.catalogue.refresh()
                if self._checks.wants_asset(context):
                    yield from self.materialise(context, session)
                else:
                    yield from self._checks.alone(context, session, self._planned_at)

        return level

    @property
    def _checks(self) -> Checks:
        return Checks(self.key, self.checks, self.watches)

    def _planned_at(self, session: Session, partition: str | None) -> Plan:
        return self.planned(session, Cell.parse(partition or ""))

    def materialise(
        self, context: dg.AssetExecutionContext, session: Session
    ) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
        """Bring one cell up to date, report, and ask the checks.

        A cell without data is materialised as empty, with the reason. Products that fail are reported; what is made
        from this level stops only where a check says that going on would be wrong.
        """
        cell = cell_of(context)
        report = self._made(session, cell)
        note_makers(report, context.run.run_id)
        note_unfinished(context, report)
        metadata = describe(session, report)
        if len(report):
            metadata |= self.extra(session, cell, report) if self.extra else {}
        else:
            metadata["empty"] = metadata["why"] = no_data(cell)
        context.log.info("%s", report)
        yield dg.MaterializeResult(
            asset_key=asset_key(self.key),
            metadata=metadata,
            data_version=dg.DataVersion(data_version(report)),
        )
        yield from self._checks.answers(context, session, report)

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
