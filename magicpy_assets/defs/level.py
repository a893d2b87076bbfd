"""What every level's asset does: plan its part of a cell, run it, say how it went.

What belongs here: the one body shared by all levels, and the metadata it leaves. The levels are in `defs/assets/`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg

from magicpy_assets.core.cell import Cell
from magicpy_assets.core.errors import MagicpyError
from magicpy_assets.defs.names import asset_key, plain
from magicpy_assets.defs.partitions import cell_of
from magicpy_assets.defs.resources import Magic
from magicpy_assets.pipeline.plan import Plan, plan
from magicpy_assets.pipeline.quality import Verdict
from magicpy_assets.pipeline.report import Report
from magicpy_assets.pipeline.run import run
from magicpy_assets.pipeline.session import Session
from magicpy_assets.pipeline.tasks import Task
from magicpy_assets.store.events import note_runs
from magicpy_assets.store.records import RECORDS, Record, fingerprint, read_record

Check = Callable[[Session, Report], dg.AssetCheckResult]
Question = Callable[[Session, Report], Verdict]
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


def _asked(question: Question, session: Session, report: Report) -> dg.AssetCheckResult:
    """Ask a question; a file that cannot be read answers it with no."""
    try:
        verdict = question(session, report)
    except MagicpyError as error:
        verdict = Verdict(False, {"reason": error.message})
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
    checks: Sequence[Check] = ()
    watches: Sequence[Question] = ()
    home: str = ""
    kinds: frozenset[str] = frozenset()
    results_version: int = 1
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
            code_version=str(self.results_version),
            check_specs=self._specs(partitions),
            automation_condition=condition,
            pool=POOL,
        )
        def level(context: dg.AssetExecutionContext, magic: Magic) -> dg.MaterializeResult:
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
            report = run(session, self.planned(session, cell))
            note_makers(report, context.run.run_id)
            metadata = describe(report)
            if len(report):
                results = [check(session, report) for check in self.checks]
                results += [_asked(question, session, report) for question in self.watches]
                metadata |= self.extra(session, cell, report) if self.extra else {}
            else:
                metadata["empty"] = no_data(cell)
                checks = (*self.checks, *self.watches)
                results = [dg.AssetCheckResult(check_name=check.__name__, passed=True) for check in checks]
        context.log.info("%s", report)
        return dg.MaterializeResult(
            metadata=metadata, data_version=dg.DataVersion(data_version(report)), check_results=results
        )


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


def made(report: Report) -> list[Path]:
    """Return the products that are there now."""
    return [Path(row.product) for row in report.rows if row.state in ("done", "cached")]


def something_was_made(name: str, report: Report) -> dg.AssetCheckResult:
    """Pass a check if at least one product is there."""
    count = len(made(report))
    return dg.AssetCheckResult(check_name=name, passed=count > 0, metadata={"made": count, "planned": len(report)})


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
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
