"""What can be started with one click, and what starts by itself: jobs, conditions, the schedule, what is broken.

Two ways lead from a new night to new results. By default the sensor of `defs.new_nights` asks for one run per affected
cell and that of `defs.combining` for what is over cells; with the setting `automation = "declarative"` only the archive
is observed, and the conditions of the assets do the rest. Either way the records decide what really has to be made.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import dagster as dg

from magicpy_assets.core.settings import Settings
from magicpy_assets.defs.names import asset_key, plain
from magicpy_assets.defs.resources import Magic
from magicpy_assets.defs.source_jobs import SourceJob
from magicpy_assets.pipeline.runs import known_runs
from magicpy_assets.pipeline.status import BROKEN, write_broken

if TYPE_CHECKING:
    # Dagster exports the function that makes these, but not their type.
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition as Job

CATALOGUE = dg.AssetSelection.assets(dg.AssetKey(["run_catalogue"]), dg.AssetKey(["runbooks"]))
CELL_RESULTS = ("spectra", "theta2", "light_curve", "skymap")
OVER_CELLS = ("period_spectrum", "spectrum", "report")
DECLARATIVE = "declarative"


def fast_job(source: str) -> str:
    """Return the name of the job that brings a cell of a source to its spectrum."""
    return f"fast_analysis__{plain(source)}"


def full_job(source: str) -> str:
    """Return the name of the job that makes everything of a cell of a source."""
    return f"full_analysis__{plain(source)}"


def combine_job(source: str) -> str:
    """Return the name of the job that fits a source over all cells of a period."""
    return f"combine__{plain(source)}"


def jobs(cells: Mapping[str, dg.PartitionsDefinition]) -> list["Job"]:
    """Return the jobs: of each source the fast and the full analysis, and what is over cells; forests; refresh.

    Parameters
    ----------
    cells
        Those of each source.
    """
    made = [
        dg.define_asset_job("train_random_forests", _upstream(["random_forest"]), description="Forests of a cell."),
        dg.define_asset_job(
            "refresh", CATALOGUE, description="Asks for new run reports and runbooks, marks empty cells."
        ),
    ]
    for source, of_source in cells.items():
        made += [
            SourceJob(
                fast_job(source),
                _upstream([source, "spectra"]),
                description=f"{source}: a cell up to its spectrum.",
                partitions_def=of_source,
            ),
            SourceJob(
                full_job(source),
                _upstream(*([source, name] for name in CELL_RESULTS)),
                description=f"{source}: everything of a cell.",
                partitions_def=of_source,
            ),
            dg.define_asset_job(
                combine_job(source),
                dg.AssetSelection.assets(*(asset_key((source, name)) for name in OVER_CELLS)),
                description=f"{source}: one fit over all cells of a period, the report, one fit over all periods.",
            ),
        ]
    return made


def _upstream(*keys: Sequence[str]) -> dg.AssetSelection:
    wanted = dg.AssetSelection.assets(*(asset_key(key) for key in keys))
    return wanted.upstream() - CATALOGUE


def analyses(source: str) -> tuple[str, str]:
    """Return the names of the jobs that analyse a cell of a source."""
    return fast_job(source), full_job(source)


def what_is_broken() -> list[dg.SensorDefinition]:
    """Return the sensors that write down what is broken now: when a run fails, and when one mends something."""

    @dg.run_failure_sensor(
        name="what_is_broken",
        minimum_interval_seconds=60,
        description="Writes `broken.md` into the store when a run fails: what is broken, why, where the log is.",
    )
    def failed(context: dg.RunFailureSensorContext, magic: Magic) -> None:
        run = context.dagster_run
        heading = f"Run {run.run_id} of {run.job_name} {run.tags.get('dagster/partition', '')} failed."
        with magic.session() as session:
            path = write_broken(session.layout, heading, context.failure_event.message or "", runs=known_runs(session))
        context.log.info("%s", path)

    @dg.run_status_sensor(
        name="what_is_mended",
        run_status=dg.DagsterRunStatus.SUCCESS,
        minimum_interval_seconds=60,
        description="Writes `broken.md` again, if it is there, when a run ends well: what was broken may be mended.",
    )
    def ended_well(context: dg.RunStatusSensorContext, magic: Magic) -> None:
        run = context.dagster_run
        with magic.session() as session:
            if (session.layout.root / BROKEN).is_file():
                heading = f"After run {run.run_id} of {run.job_name}, which ended well."
                write_broken(session.layout, heading, runs=known_runs(session))

    return [failed, ended_well]


def nightly(job: "Job") -> dg.ScheduleDefinition:
    """Return the schedule that refreshes the catalogue every morning, after the night's data have been transferred."""
    return dg.ScheduleDefinition(name="nightly_refresh", job=job, cron_schedule="0 10 * * *", execution_timezone="UTC")


def condition_of(settings: Settings) -> dg.AutomationCondition | None:
    """Return the condition under which cells are made by themselves; none if the sensor asks for runs.

    A cell is made when what it is made from has changed, and when it is missing though what it is made from is there,
    as all cells are in a fresh store. One that failed waits until something changes.
    """
    if settings.automation != DECLARATIVE:
        return None
    condition = dg.AutomationCondition
    missing = condition.missing() & ~condition.any_deps_missing() & ~condition.any_deps_in_progress()
    return condition.eager() | (missing & ~condition.in_progress() & ~condition.execution_failed())


def condition_over_cells(settings: Settings) -> dg.AutomationCondition | None:
    """Return the condition of what is over cells: made when one of them has changed, whichever are missing."""
    if settings.automation != DECLARATIVE:
        return None
    return dg.AutomationCondition.eager().without(~dg.AutomationCondition.any_deps_missing())
