"""The sensor for what is over cells: when the work on a source has come to rest, its periods are fitted again.

It looks at what was made, not at which job made it: cells made from the page or in a backfill count as well.
"""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import dagster as dg

from magicpy_assets.core.cell import Cell
from magicpy_assets.core.settings import Settings
from magicpy_assets.defs.automation import DECLARATIVE, OVER_CELLS, combine_job
from magicpy_assets.defs.names import asset_key, plain

if TYPE_CHECKING:
    # Dagster exports the function that makes these, but not their type.
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition as Job

MOST_EVENTS = 1000
"""Events of one source that a tick looks at; what is left waits for the next."""
UNDER_WAY = (
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
)


def combine_when_done(sources: Sequence[str], made: Sequence["Job"], settings: Settings) -> dg.SensorDefinition:
    """Return the sensor that fits a source over its cells once for all that have been made anew."""
    by_name = {job.name: job for job in made}

    @dg.sensor(
        name="combine_when_done",
        jobs=[by_name[combine_job(source)] for source in sources],
        minimum_interval_seconds=60,
        description="Fits a source over all cells of a period when cells have been made and no more are being made.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        if settings.automation == DECLARATIVE:
            return dg.SkipReason("the conditions of the assets ask for it")
        seen = _parsed(context.cursor)
        requests: list[dg.RunRequest] = []
        busy = _at_work(context.instance, sources)
        for source in sources:
            if source not in busy:
                requests += _requests(context.instance, source, seen)
        if not requests:
            return dg.SkipReason(f"still at work on {', '.join(sorted(busy))}" if busy else "no cell has been made")
        return dg.SensorResult(run_requests=requests, cursor=json.dumps(seen, sort_keys=True))

    return sensor


def _parsed(cursor: str | None) -> dict[str, int]:
    try:
        return {str(source): int(place) for source, place in json.loads(cursor or "{}").items()}
    except (ValueError, AttributeError, TypeError):
        return {}


def _at_work(instance: dg.DagsterInstance, sources: Sequence[str]) -> set[str]:
    """Return the sources of which cells are being made, or are in the queue."""
    found = set()
    for run in instance.get_runs(dg.RunsFilter(statuses=list(UNDER_WAY))):
        of_cells = {key.path[0] for key in run.asset_selection or () if key.path[-1] not in OVER_CELLS}
        found |= {
            source
            for source in sources
            if plain(source) in of_cells or (run.job_name.endswith(f"__{plain(source)}") and not _combines(run, source))
        }
    return found


def _combines(run: dg.DagsterRun, source: str) -> bool:
    return run.job_name == combine_job(source)


def _requests(instance: dg.DagsterInstance, source: str, seen: dict[str, int]) -> list[dg.RunRequest]:
    """Return a run for each period of which DL3 files were made since the last look."""
    found = instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key((source, "dl3")), after_storage_id=seen.get(source, 0)),
        limit=MOST_EVENTS,
        ascending=True,
    )
    newest: dict[str, int] = {}
    for record in found.records:
        seen[source] = max(seen.get(source, 0), record.storage_id)
        mark: Mapping[str, object] = record.asset_materialization.metadata if record.asset_materialization else {}
        if record.partition_key and "empty" not in mark:
            period = Cell.parse(record.partition_key).period.name
            newest[period] = max(newest.get(period, 0), record.storage_id)
    return [
        dg.RunRequest(run_key=f"{source}|{period}|{place}", job_name=combine_job(source), partition_key=period)
        for period, place in sorted(newest.items())
    ]
