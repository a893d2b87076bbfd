"""The run catalogue: what the data server knows of every run."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from magicpy_assets.defs.checks import check_of_all
from magicpy_assets.defs.empty import Marked, marks, observed_cells
from magicpy_assets.defs.figures import inline
from magicpy_assets.defs.level import OWNERS, code_reference, retried
from magicpy_assets.defs.resources import Magic
from magicpy_assets.pipeline.quality.nights import runs_make_sense
from magicpy_assets.pipeline.runs import known_runs
from magicpy_assets.plots.tables import HoursTable

if TYPE_CHECKING:
    import pandas as pd

DESCRIPTION = """
The run reports of the data server as one table: runs with source, wobble position, zenith distance, sky brightness,
rates. Everything else starts from it. Cells in which nothing was observed are marked as empty here.
"""
MOST_MARKS = 5000
MOST_TABLES = 30
"""Sources whose hours an event shows, those with the most first."""
MOST_FIGURES = 5
RESULTS_VERSION = 1


def of(groups: Sequence[Marked]) -> dg.AssetsDefinition:
    """Return the asset.

    Parameters
    ----------
    groups
        The assets whose cells without data are marked.
    """

    @dg.asset(
        key=["run_catalogue"],
        group_name="shared",
        description=DESCRIPTION,
        kinds={"parquet", "pandas"},
        owners=OWNERS,
        tags={"level": "catalogue"},
        metadata=code_reference(__file__),
        code_version=str(RESULTS_VERSION),
    )
    def run_catalogue(context: dg.AssetExecutionContext, magic: Magic) -> dg.MaterializeResult:
        """Read the run reports that are new or have changed."""
        with retried(context), magic.session() as session:
            nights = session.catalogue.refresh()
            runs, sources = known_runs(session), session.settings.sources
            simulated = session.catalogue.simulated(night.date() for night in runs["date"].unique())
            for mark in marks(context.instance, groups, observed_cells(session, runs), MOST_MARKS):
                context.log_event(mark)
        context.log.info("%d nights are new or have changed", len(nights))
        word = f"{len(nights)} nights are new or have changed" if nights else "nothing to do: no run report has changed"
        return dg.MaterializeResult(
            metadata={
                "why": word,
                "runs": len(runs),
                "nights_read": len(nights),
                "hours_in_all": float(runs["duration_s"].sum()) / 3600.0,
                "simulated": simulated,
                "hours": dg.MetadataValue.md(_tables(runs)),
                **_figures(runs, sources, simulated),
            }
        )

    return run_catalogue


def _tables(runs: "pd.DataFrame") -> str:
    longest = runs.groupby("source")["duration_s"].sum().sort_values(ascending=False).index
    shown = [
        f"**{source}**\n\n```\n{HoursTable(runs[runs['source'] == source])}\n```" for source in longest[:MOST_TABLES]
    ]
    left = len(longest) - len(shown)
    return "\n\n".join([*shown, *([f"… and {left} more sources"] if left > 0 else [])]) or "no runs"


def _figures(runs: "pd.DataFrame", sources: Sequence[str], simulated: bool) -> dict[str, Any]:
    """Return the hours of the first sources of the settings by moon level and zenith range, as figures."""
    from magicpy_assets.plots.hours import hours_figure

    found = {}
    for source in [name for name in sources if (runs["source"] == name).any()][:MOST_FIGURES]:
        mine = runs[(runs["source"] == source) & (runs["cell"] != "")]
        table = mine.pivot_table(
            index="moon_level", columns="za", values="duration_s", aggfunc="sum", fill_value=0.0, observed=True
        )
        figure = hours_figure(table / 3600.0, title=source, simulated=simulated)
        found[f"hours_of_{source}"] = inline(figure)
    return found


run_catalogue_check = check_of_all(("run_catalogue",), runs_make_sense)
