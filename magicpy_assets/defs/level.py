"""What every level's asset does: plan its part of a cell, run it, say how it went.

What belongs here: the one body shared by all levels, and the metadata it leaves. The levels are in `defs/assets/`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg

from magicpy_assets.core.cell import Cell
from magicpy_assets.defs.checks import Checks
from magicpy_assets.defs.names import asset_key, plain
from magicpy_assets.defs.partitions import cell_of
from magicpy_assets.defs.resources import Magic
from magicpy_assets.pipeline.plan import Plan, plan
from magicpy_assets.pipeline.quality.verdict import Question
from magicpy_assets.pipeline.report import Report
from magicpy_assets.pipeline.run import run
from magicpy_assets.pipeline.session import Session
from magicpy_assets.pipeline.tasks import Task
from magicpy_assets.store.events import note_runs
from magicpy_assets.store.records import RECORDS, Record, fingerprint, read_record

Extra = Callable[[Session, Cell, Report], dict[str, Any]]
Planner = Callable[[Session, Cell], Plan]


OWNERS = ["team:magic"]
MOST_FINGERPRINTS = 12
"""Fingerprints of products that an event names; all are in the folder of records."""
POOL = "programs"
"""Steps that run programs share this pool, so that runs beside each other do not ask too much of one machine."""


def code_reference(home: str) -> dict[str, Any]:
    """Return metadata by which the page links an asset to the file that describes it."""
    if not home:
        return {}
    reference = dg.LocalFileCodeReference(file_path=home, line_number=1)
    return {"dagster/code_references": dg.CodeReferencesMetadataValue(code_references=[reference])}


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
    results_version
        The program's results version, shown as code version.
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
                    deps=[asset_key(key) for key in self.deps],
                    kinds=set(self.kinds),
                    owners=OWNERS,
                    tags={"level": self.key[-1]},
                    metadata=code_reference(self.home),
                    code_version=str(self.results_version),
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
            with magic.session() as session:
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
        report = run(session, self.planned(session, cell))
        note_makers(report, context.run.run_id)
        metadata = describe(report)
        if len(report):
            metadata |= self.extra(session, cell, report) if self.extra else {}
        else:
            metadata["empty"] = no_data(cell)
        context.log.info("%s", report)
        yield dg.MaterializeResult(
            asset_key=asset_key(self.key),
            metadata=metadata,
            data_version=dg.DataVersion(data_version(report)),
        )
        yield from self._checks.answers(context, session, report)


def note_makers(report: Report, run_id: str) -> None:
    """Note beside the records which products this run has made, so that their history leads to its event."""
    made_now: dict[Path, dict[str, str]] = {}
    for row in report.rows:
        record = read_record(Path(row.product)) if row.state == "done" else None
        if record is not None:
            made_now.setdefault(Path(row.product).parent, {})[record.fingerprint] = run_id
    for folder, runs in made_now.items():
        note_runs(folder, runs)


def of_source(source: str, stage: str) -> Planner:
    """Plan one level of one source."""
    return lambda session, cell: plan(session, source, [cell], stage).where(
        lambda task: task.stage == stage and task.source == source
    )


def of_off(stage: str) -> Planner:
    """Plan one level of the OFF data that a cell's forests are trained with."""

    def belongs(task: Task) -> bool:
        return task.stage == stage and not task.source.startswith("MC/")

    return lambda session, cell: plan(session, None, [cell], "random_forest").where(belongs)


def of_mc(stage: str, uses: Sequence[str] = ("train", "test")) -> Planner:
    """Plan one level of the Monte Carlo of a cell."""

    def planned(session: Session, cell: Cell) -> Plan:
        plans = [plan(session, f"MC/{use}", [cell], stage) for use in uses]
        joined = sum(plans[1:], start=plans[0])
        return joined.where(lambda task: task.stage == stage and task.source.startswith("MC/"))

    return planned


def forests_of_cell(session: Session, cell: Cell) -> Plan:
    """Plan the forests of a cell."""
    return plan(session, None, [cell], "random_forest").only("random_forest")


def data_version(report: Report) -> str:
    """Return one fingerprint over all products that are there now."""
    found = [(record.product, record.fingerprint) for record in _records(report)]
    return fingerprint("asset", 1, {}, sorted(found))


def describe(report: Report) -> dict[str, Any]:
    """Describe a report as metadata: counts that the page plots over time, the table of tasks, a command line."""
    metadata: dict[str, Any] = {name.replace(" ", "_"): number for name, number in report.counts.items()}
    records = _records(report)
    metadata["bytes"] = sum(record.size or 0 for record in records)
    metadata["simulated"] = any(record.simulated for record in records)
    if records:
        products = [Path(row.product) for row in report.rows if read_record(Path(row.product)) is not None]
        metadata["records"] = dg.MetadataValue.path(str(products[0].parent / RECORDS))
        first = [record.fingerprint[:12] for record in records[:MOST_FINGERPRINTS]]
        metadata["fingerprints"] = ", ".join(first) + (" …" if len(records) > len(first) else "")
    table = report.table
    if not table.empty:
        metadata["seconds"] = float(table["seconds"].sum())
        shown = table[["unit", "source", "state", "reason", "log"]].sort_values(["state", "unit"])
        metadata["tasks"] = dg.MetadataValue.md(_markdown(shown.astype(str).values.tolist(), list(shown.columns)))
    commands = [" ".join(record.command) for record in records if record.command]
    if commands:
        metadata["command"] = dg.MetadataValue.md(f"```\n{commands[0]}\n```")
    return metadata


def _records(report: Report) -> list[Record]:
    found = (read_record(Path(row.product)) for row in report.rows)
    return [record for record in found if record is not None]


def _markdown(rows: Sequence[Sequence[str]], columns: Sequence[str]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(_in_cell(cell) for cell in line) + " |" for line in lines)


def _in_cell(text: str) -> str:
    """Return text that stays in one cell of a table."""
    return " / ".join(text.splitlines()).replace("|", "\\|")
