"""What the online analysis (MOLA) has seen in OFF fields: fields with a signal cannot serve."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from magicpy_assets.core.errors import InputError
from magicpy_assets.plots.off_table import OffTable

if TYPE_CHECKING:
    import pandas as pd

    from magicpy_assets.pipeline.session import Session

SIGNAL_SIGMA = 3.5
"""A field whose combined result is above this is refused: among forty results without signal, one would be so large in
one case of a hundred."""
RESULTS = ("le_sigma", "he_sigma")


def combined_results(session: Session, runs: pd.DataFrame) -> pd.DataFrame:
    """Return the combined online results of the fields of OFF runs, the least significant first.

    Columns `source`, `runs`, `hours`, `with_noise` of the runs, what the runbooks of their nights give, and `verdict`.
    """
    combined_mola = import_module("magicpy_assets.analysis.runbooks").combined_mola
    found: pd.DataFrame = combined_mola(
        session, sorted(set(runs["source"])), sorted({day.date() for day in runs["date"]})
    )
    found = found if "source" in found else found.reset_index(names="source")
    if lacking := [name for name in RESULTS if name not in found]:
        raise InputError(f"the combined online results have no {', '.join(lacking)}")
    summary = OffTable(runs).to_table().drop(index="Total").reset_index(names="source")
    table = summary.merge(found, on="source", how="left", suffixes=("", "_mola"))
    seen = signals(table)
    table["verdict"] = [seen.get(name, "may serve") for name in table["source"]]
    strongest = table[list(RESULTS)].abs().max(axis=1)
    order = table.assign(strongest=strongest).sort_values(["strongest", "source"], ignore_index=True)
    return order.drop(columns="strongest")


def signals(table: pd.DataFrame) -> dict[str, str]:
    """Return the fields of such a table that show a signal, and how strong it is."""
    strongest = table[list(RESULTS)].max(axis=1)
    return {
        source: f"MOLA sees {sigma:.1f} sigma, more than {SIGNAL_SIGMA:g}"
        for source, sigma in zip(table["source"], strongest, strict=True)
        if sigma > SIGNAL_SIGMA
    }
