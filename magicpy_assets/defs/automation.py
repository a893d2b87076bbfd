"""What can be started with one click, and what starts by itself: jobs, sensors, the schedule.

Two ways lead from a new night to new results. By default the sensor `new_nights` asks for one run per affected cell;
with the setting `automation = "declarative"` it only observes the archive, and the conditions of the assets do the
rest. Either way the records decide what really has to be made.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import dagster as dg

from magicpy_assets.core.cell import Cell
from magicpy_assets.core.settings import Settings
from magicpy_assets.defs.level import no_data
from magicpy_assets.defs.names import asset_key, plain
from magicpy_assets.defs.resources import Magic
from magicpy_assets.pipeline.runs import cell_versions, known_runs
from magicpy_assets.pipeline.status import write_broken

if TYPE_CHECKING:
    # Dagster exports the function that makes these, but not their type.
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition as Job

MOST_REQUESTS = 20
"""Runs that one tick asks for; what is left waits for the next."""
MOST_EVENTS = 200
"""Cells without data that one tick marks as empty."""
CATALOGUE = dg.AssetSelection.assets(dg.AssetKey(["run_catalogue"]))
CELL_RESULTS = ("spectra", "theta2", "light_curve", "skymap")
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


def jobs(sources: Sequence[str]) -> list["Job"]:
    """Return the jobs: of each source the fast and the full analysis, and what is over cells; forests; refresh."""
    made = [
        dg.define_asset_job("train_random_forests", _upstream(["random_forest"]), description="Forests of a cell."),
        dg.define_asset_job("refresh", CATALOGUE, description="Asks the data server for new run reports."),
    ]
    for source in sources:
        made += [
            dg.define_asset_job(
                fast_job(source), _upstream([source, "spectra"]), description=f"{source}: a cell up to its spectrum."
            ),
            dg.define_asset_job(
                full_job(source),
                _upstream(*([source, name] for name in CELL_RESULTS)),
                description=f"{source}: everything of a cell.",
            ),
            dg.define_asset_job(
                combine_job(source),
                dg.AssetSelection.assets(*(asset_key((source, name)) for name in ("period_spectrum", "report"))),
                description=f"{source}: one fit over all cells of a period, and the report.",
            ),
        ]
    return made


def _upstream(*keys: Sequence[str]) -> dg.AssetSelection:
    wanted = dg.AssetSelection.assets(*(asset_key(key) for key in keys))
    return wanted.upstream() - CATALOGUE


@dataclass
class Cursor:
    """What the sensor remembers: the version of every cell that was asked for, and the cells marked as empty."""

    asked: dict[str, str] = field(default_factory=dict)
    empty: list[str] = field(default_factory=list)

    @classmethod
    def parse(cls, text: str | None) -> "Cursor":
        """Read a cursor; none, or one that cannot be read, is an empty one: the records keep work from being redone."""
        try:
            values = json.loads(text or "{}")
            return cls(dict(values.get("asked", {})), list(values.get("empty", [])))
        except (ValueError, AttributeError):
            return cls()

    def dump(self) -> str:
        """Return the text to be kept."""
        return json.dumps({"asked": self.asked, "empty": self.empty}, sort_keys=True)


def new_nights(
    partitions: Mapping[str, dg.MultiPartitionsDefinition],
    keys: Mapping[str, Sequence[dg.AssetKey]],
    made: Sequence["Job"],
    settings: Settings,
) -> dg.SensorDefinition:
    """Return the sensor that looks for new nights, and late runs of old ones, and asks for just the affected cells.

    Parameters
    ----------
    partitions
        The cells of each source.
    keys
        The assets of each source that have those cells.
    made
        The jobs.
    settings
        `automation` says whether it asks for runs, or only reports what the archive holds; `night_check_s` how often.
    """

    @dg.sensor(
        name="new_nights",
        jobs=list(made),
        minimum_interval_seconds=settings.night_check_s,
        description="Refreshes the run catalogue; each cell of a source that has gained runs is analysed.",
    )
    def sensor(context: dg.SensorEvaluationContext, magic: Magic) -> dg.SensorResult:
        with magic.session() as session:
            session.catalogue.refresh()
            runs = known_runs(session)
        cursor = Cursor.parse(context.cursor)
        requests: list[dg.RunRequest] = []
        events: list[Any] = []
        for source, cells in partitions.items():
            versions = cell_versions(runs, source)
            for cell, version in versions.items():
                name = f"{source}|{cell.key}"
                known = cursor.asked.get(name) == version or not cells.has_partition_key(cell.key)
                if known or len(requests) >= MOST_REQUESTS:
                    continue
                cursor.asked[name] = version
                events.append(_observed(source, cell, version))
                requests.append(
                    dg.RunRequest(run_key=f"{name}|{version}", job_name=full_job(source), partition_key=cell.key)
                )
            events += _empty_cells(source, cells, set(versions), keys[source], cursor)
        return dg.SensorResult(
            run_requests=[] if settings.automation == DECLARATIVE else requests,
            asset_events=events,
            cursor=cursor.dump(),
        )

    return sensor


def _observed(source: str, cell: Cell, version: str) -> dg.AssetObservation:
    return dg.AssetObservation(
        asset_key((source, "archive")), partition=cell.key, tags={"dagster/data_version": version}
    )


def _empty_cells(
    source: str,
    cells: dg.MultiPartitionsDefinition,
    observed: set[Cell],
    keys: Sequence[dg.AssetKey],
    cursor: Cursor,
) -> Iterator[dg.AssetMaterialization]:
    """Mark the cells in which nothing was observed, once, so that they do not look like work to do."""
    marked = set(cursor.empty)
    for key in cells.get_partition_keys():
        name = f"{source}|{key}"
        if Cell.parse(key) in observed or name in marked or len(cursor.empty) - len(marked) >= MOST_EVENTS // len(keys):
            continue
        cursor.empty.append(name)
        for asset in keys:
            yield dg.AssetMaterialization(asset, partition=key, metadata={"empty": no_data(Cell.parse(key))})


def combine_when_done(sources: Sequence[str], made: Sequence["Job"]) -> dg.SensorDefinition:
    """Return the sensor that fits a source over its cells when one of them has been made anew."""
    by_name = {job.name: job for job in made}
    combining = {combine_job(source): by_name[combine_job(source)] for source in sources}
    analysing = {name: source for source in sources for name in _analyses(source)}

    @dg.run_status_sensor(
        name="combine_when_done",
        run_status=dg.DagsterRunStatus.SUCCESS,
        monitored_jobs=[job for job in made if job.name in analysing],
        request_jobs=list(combining.values()),
        minimum_interval_seconds=60,
        description="Fits a source over all cells of a period when the analysis of one of them has ended well.",
    )
    def sensor(context: dg.RunStatusSensorContext) -> dg.RunRequest | dg.SkipReason:
        run = context.dagster_run
        partition = run.tags.get("dagster/partition", "")
        if run.job_name not in analysing or "|" not in partition:
            return dg.SkipReason(f"run {run.run_id} is not of one cell")
        return dg.RunRequest(
            run_key=f"combine|{run.run_id}",
            job_name=combine_job(analysing[run.job_name]),
            partition_key=Cell.parse(partition).period.name,
        )

    return sensor


def _analyses(source: str) -> tuple[str, str]:
    return fast_job(source), full_job(source)


def what_is_broken() -> dg.SensorDefinition:
    """Return the sensor that writes down what is broken now, whenever a run fails."""

    @dg.run_failure_sensor(
        name="what_is_broken",
        minimum_interval_seconds=60,
        description="Writes `broken.md` into the store when a run fails: what is broken, why, where the log is.",
    )
    def sensor(context: dg.RunFailureSensorContext, magic: Magic) -> None:
        run = context.dagster_run
        heading = f"Run {run.run_id} of {run.job_name} {run.tags.get('dagster/partition', '')} failed."
        with magic.session() as session:
            path = write_broken(session.layout, heading, context.failure_event.message or "")
        context.log.info("%s", path)

    return sensor


def nightly(job: "Job") -> dg.ScheduleDefinition:
    """Return the schedule that refreshes the catalogue every morning, after the night's data have been transferred."""
    return dg.ScheduleDefinition(name="nightly_refresh", job=job, cron_schedule="0 10 * * *", execution_timezone="UTC")


def condition_of(settings: Settings) -> dg.AutomationCondition | None:
    """Return the condition under which assets are made by themselves; none if the sensor asks for runs."""
    return dg.AutomationCondition.eager() if settings.automation == DECLARATIVE else None
