"""The run catalogue: what the data server knows of every run."""

import dagster as dg

from magicpy_assets.defs.checks import check_of_all
from magicpy_assets.defs.resources import Magic
from magicpy_assets.pipeline.quality.nights import runs_make_sense
from magicpy_assets.pipeline.runs import known_runs
from magicpy_assets.plots.tables import HoursTable

DESCRIPTION = """
The run reports of the data server as one table: runs with source, wobble position, zenith distance, sky brightness,
rates. Everything else starts from it.
"""


@dg.asset(
    key=["run_catalogue"],
    group_name="shared",
    description=DESCRIPTION,
    kinds={"parquet", "pandas"},
    owners=["team:magic"],
)
def run_catalogue(context: dg.AssetExecutionContext, magic: Magic) -> dg.MaterializeResult:
    """Read the run reports that are new or have changed."""
    with magic.session() as session:
        nights = session.catalogue.refresh()
        runs = known_runs(session)
    context.log.info("%d nights are new or have changed", len(nights))
    hours = "\n\n".join(f"**{source}**\n\n```\n{HoursTable(table)}\n```" for source, table in runs.groupby("source"))
    return dg.MaterializeResult(
        metadata={"runs": len(runs), "nights_read": len(nights), "hours": dg.MetadataValue.md(hours or "no runs")}
    )


run_catalogue_check = check_of_all(("run_catalogue",), runs_make_sense)
