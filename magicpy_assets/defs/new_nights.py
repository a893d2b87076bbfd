"""The sensor for new nights, late runs of old ones, and cells of which something was left undone.

A cell is asked for when the fingerprint of its runs or of its OFF data changes, and again, a few times and ever later,
when its run failed or has left something that may be done later (files on tape, a server that was down).
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import dagster as dg

from magicpy_assets.core.settings import Settings
from magicpy_assets.defs.assets import archive
from magicpy_assets.defs.automation import DECLARATIVE, full_job
from magicpy_assets.defs.described import UNFINISHED_TAG
from magicpy_assets.defs.empty import MOST_EVENTS, Marked, marks, observed_cells, signature
from magicpy_assets.defs.names import asset_key
from magicpy_assets.defs.resources import Magic
from magicpy_assets.pipeline.runs import known_runs

if TYPE_CHECKING:
    import pandas as pd

    # Dagster exports the function that makes these, but not their type.
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition as Job

    from magicpy_assets.pipeline.session import Session

MOST_REQUESTS = 20
"""Runs that one tick asks for; what is left waits for the next."""
MOST_ATTEMPTS = 5
AGAIN_S = 600.0
"""A cell with something left is asked for so many times, first after that time, then always after twice as long."""
ENDED = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)


@dataclass
class Asked:
    """What was asked for a cell: the version, how often in all, how often for this version, and whether it is open."""

    version: str
    turn: int = 1
    attempt: int = 1
    is_open: bool = True

    def key(self, name: str) -> str:
        """Return the run key: another for every time, also when a version comes back."""
        return f"{name}|{self.version}|{self.turn}"


@dataclass
class Cursor:
    """What the sensor remembers: what was asked for each cell, versions that were observed, which marks are made."""

    asked: dict[str, Asked] = field(default_factory=dict)
    observed: dict[str, str] = field(default_factory=dict)
    marked: str = ""

    @classmethod
    def parse(cls, text: str | None) -> "Cursor":
        """Read a cursor; none, or one that cannot be read, is an empty one: the records keep work from being redone."""
        try:
            values = json.loads(text or "{}")
            asked = {str(name): Asked(*given) for name, given in values.get("asked", {}).items()}
            return cls(asked, dict(values.get("observed", {})), str(values.get("marked", "")))
        except (ValueError, AttributeError, TypeError):
            return cls()

    def dump(self) -> str:
        """Return the text to be kept."""
        asked = {name: [one.version, one.turn, one.attempt, one.is_open] for name, one in self.asked.items()}
        return json.dumps({"asked": asked, "observed": self.observed, "marked": self.marked}, sort_keys=True)


def new_nights(
    partitions: Mapping[str, dg.MultiPartitionsDefinition],
    groups: Sequence[Marked],
    made: Sequence["Job"],
    settings: Settings,
) -> dg.SensorDefinition:
    """Return the sensor that looks for new nights, and late runs of old ones, and asks for just the affected cells.

    Parameters
    ----------
    partitions
        The cells of each source, and of the OFF data and Monte Carlo.
    groups
        The assets whose cells without data are marked.
    made
        The jobs.
    settings
        `automation` says whether it asks for runs, or only reports what the archive holds; `night_check_s` how often.
    """

    @dg.sensor(
        name="new_nights",
        jobs=list(made),
        minimum_interval_seconds=settings.night_check_s,
        description="Refreshes the run catalogue; each cell that has gained runs or OFF data is analysed.",
    )
    def sensor(context: dg.SensorEvaluationContext, magic: Magic) -> dg.SensorResult:
        cursor = Cursor.parse(context.cursor)
        with magic.session() as session:
            session.catalogue.refresh()
            runs = known_runs(session)
            events = _observations(context, session, runs, partitions, cursor)
            requests = [] if settings.automation == DECLARATIVE else _requests(context, cursor, partitions, settings)
            observed = observed_cells(session, runs)
        if cursor.marked != (state := signature(groups, observed)):
            made_now = list(marks(context.instance, groups, observed))
            cursor.marked = state if len(made_now) < MOST_EVENTS else ""
            events += made_now
        return dg.SensorResult(run_requests=requests, asset_events=events, cursor=cursor.dump())

    return sensor


def _observations(
    context: dg.SensorEvaluationContext,
    session: "Session",
    runs: "pd.DataFrame",
    partitions: Mapping[str, dg.MultiPartitionsDefinition],
    cursor: Cursor,
) -> list[Any]:
    """Return what has changed in the archive, so many cells at most, and note it in the cursor."""
    events: list[Any] = []
    unknown: set[str] = set()
    for source in (*session.settings.sources, archive.OFF, archive.MC):
        for cell, version in archive.versions(session, runs, source).items():
            name = f"{source}|{cell.key}"
            if source not in partitions or not partitions[source].has_partition_key(cell.key):
                unknown.add(f"{source} in {cell.period.name}")
            elif cursor.observed.get(name) != version and len(events) < MOST_EVENTS:
                cursor.observed[name] = version
                tags = {"dagster/data_version": version}
                events.append(dg.AssetObservation(asset_key((source, "archive")), partition=cell.key, tags=tags))
    wanted = {name for name in unknown if name.rsplit(" ", 1)[-1] in session.settings.periods}
    if wanted:
        context.log.warning(
            "observed since the definitions were loaded, and made when they are loaded again: %s",
            ", ".join(sorted(wanted)),
        )
    return events


def _requests(
    context: dg.SensorEvaluationContext,
    cursor: Cursor,
    partitions: Mapping[str, dg.MultiPartitionsDefinition],
    settings: Settings,
) -> list[dg.RunRequest]:
    """Return a run for every cell that has changed or has something left, so many at most, and note it."""
    requests: list[dg.RunRequest] = []
    for name, version in sorted(cursor.observed.items()):
        source, _, key = name.partition("|")
        if source not in settings.sources or source not in partitions or not partitions[source].has_partition_key(key):
            continue
        wanted = ".".join(filter(None, (version, cursor.observed.get(f"{archive.OFF}|{key}", ""))))
        known = cursor.asked.get(name)
        if known is None:
            now = Asked(wanted)
        elif known.version != wanted:
            now = Asked(wanted, known.turn + 1)
        elif _is_to_be_asked_again(context.instance, known, name):
            now = Asked(wanted, known.turn + 1, known.attempt + 1)
        else:
            continue
        if len(requests) >= MOST_REQUESTS:
            break
        cursor.asked[name] = now
        requests.append(dg.RunRequest(run_key=now.key(name), job_name=full_job(source), partition_key=key))
    return requests


def _is_to_be_asked_again(instance: dg.DagsterInstance, asked: Asked, name: str) -> bool:
    """Tell whether the run of a cell has left something and it is time; one that has not is closed."""
    if not asked.is_open:
        return False
    records = instance.get_run_records(dg.RunsFilter(tags={"dagster/run_key": asked.key(name)}), limit=1)
    if not records or records[0].dagster_run.status not in ENDED:
        return False
    run = records[0].dagster_run
    is_left = run.status == dg.DagsterRunStatus.FAILURE or (run.is_success and UNFINISHED_TAG in run.tags)
    if not is_left or asked.attempt >= MOST_ATTEMPTS:
        asked.is_open = False
        return False
    return bool(time.time() - (records[0].end_time or 0.0) > AGAIN_S * 2 ** (asked.attempt - 1))
