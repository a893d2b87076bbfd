"""Which sources were observed, and for how long."""

from __future__ import annotations

from typing import TYPE_CHECKING

from magicpy_assets.core import sources

if TYPE_CHECKING:
    import pandas as pd

    from magicpy_assets.pipeline.session import Session


def with_hours(session: Session, table: pd.DataFrame) -> pd.DataFrame:
    """Return a table of sources (column `name`) with a column of hours for each period, and `hours` in all.

    The run catalogue is asked for new reports first. Runs that are in no period count in `hours` alone.
    """
    session.catalogue.refresh()
    runs = session.catalogue.runs()
    spent = runs.assign(hours=runs["duration_s"] / 3600.0)
    total = spent.groupby("source")["hours"].sum()
    by_period = spent[spent["period"] != ""].pivot_table(
        index="source", columns="period", values="hours", aggfunc="sum", fill_value=0.0
    )
    found = table.assign(hours=table["name"].map(total).fillna(0.0).round(2))
    for period in by_period.columns:
        found[f"hours_{period}"] = table["name"].map(by_period[period]).fillna(0.0).round(2)
    return found


def observed(session: Session) -> pd.DataFrame:
    """Return the sources that were observed, the longest first, with what the table of sources knows of them."""
    import pandas as pd

    session.catalogue.refresh()
    names = sorted(set(session.catalogue.runs()["source"]))
    known = sources.search()
    table = pd.DataFrame({"name": names}).merge(known, on="name", how="left")
    return with_hours(session, table).sort_values("hours", ascending=False, ignore_index=True)
