"""What starts by itself, and what can be started with one click: the sensor for new nights, the schedule, the jobs."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import dagster as dg

from magicpy_assets.core.cell import Cell
from magicpy_assets.defs.resources import Magic
from magicpy_assets.pipeline.runs import known_runs
from magicpy_assets.store.records import fingerprint

if TYPE_CHECKING:
    # Dagster exports the function that makes these, but not their type.
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition as Job

MOST_REQUESTS = 20
CATALOGUE = dg.AssetSelection.assets(dg.AssetKey(["run_catalogue"]))


def chain_of(source: str) -> dg.AssetSelection:
    """Return everything that a source's spectra are made from, forests and Monte Carlo included."""
    spectra = dg.AssetSelection.assets(dg.AssetKey([source, "spectra"]))
    return spectra.upstream() - CATALOGUE


def jobs(sources: Sequence[str]) -> list["Job"]:
    """Return the jobs: the whole chain of each source, the forests alone."""
    forests = dg.AssetSelection.assets(dg.AssetKey(["random_forest"])).upstream() - CATALOGUE
    made = [
        dg.define_asset_job("train_random_forests", forests),
        dg.define_asset_job("refresh_catalogue", CATALOGUE),
    ]
    return made + [dg.define_asset_job(analysis_job(source), chain_of(source)) for source in sources]


def analysis_job(source: str) -> str:
    """Return the name of a source's job."""
    return f"analyse_{''.join(sign if sign.isalnum() else '_' for sign in source)}"


def new_nights(sources: Sequence[str], periods: Sequence[str], made: Sequence["Job"]) -> dg.SensorDefinition:
    """Return the sensor that looks for new nights, and late runs of old ones, and asks for just the affected cells."""

    @dg.sensor(
        name="new_nights",
        jobs=list(made),
        minimum_interval_seconds=300,
        description="Refreshes the run catalogue; each cell of a source that has gained runs is analysed.",
    )
    def sensor(context: dg.SensorEvaluationContext, magic: Magic) -> dg.SensorResult:
        with magic.session() as session:
            session.catalogue.refresh()
            runs = known_runs(session)
        known: dict[str, str] = json.loads(context.cursor) if context.cursor else {}
        requests: list[dg.RunRequest] = []
        for (source, text), table in runs[runs["cell"] != ""].groupby(["source", "cell"]):
            cell = Cell.parse(str(text))
            if source not in sources or cell.period.name not in periods:
                continue
            name = f"{source}|{cell.key}"
            version = fingerprint("runs", 1, {"runs": sorted(map(int, table["run"]))}, [])[:16]
            if known.get(name) == version or len(requests) >= MOST_REQUESTS:
                continue
            known[name] = version
            requests.append(
                dg.RunRequest(run_key=f"{name}|{version}", job_name=analysis_job(str(source)), partition_key=cell.key)
            )
        return dg.SensorResult(run_requests=requests, cursor=json.dumps(known, sort_keys=True))

    return sensor


def nightly(job: "Job") -> dg.ScheduleDefinition:
    """Return the schedule that refreshes the catalogue every morning, after the night's data have been transferred."""
    return dg.ScheduleDefinition(
        name="nightly_catalogue", job=job, cron_schedule="0 10 * * *", execution_timezone="UTC"
    )
