"""What changes when a cell has something new to be made from: its runs, or the OFF data of its forests.

What belongs here: fingerprints for whoever asks for work by itself. Whether something really has to be made is decided
by the records.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING

from magicpy_assets.core.cell import Cell
from magicpy_assets.core.errors import MagicpyError
from magicpy_assets.core.runs import REPORT_COLUMNS
from magicpy_assets.pipeline.off_data import off_runs
from magicpy_assets.store.records import fingerprint

if TYPE_CHECKING:
    import pandas as pd

    from magicpy_assets.pipeline.session import Session

LENGTH = 16


def run_versions(runs: pd.DataFrame, source: str) -> dict[Cell, str]:
    """Return a fingerprint of the runs of a source in each cell, by all that their reports say; others change nothing.

    Parameters
    ----------
    runs
        As `pipeline.runs.known_runs` returns them.
    """
    mine = runs[(runs["source"] == source) & (runs["cell"] != "")]
    return {Cell.parse(str(text)): _version("runs", table) for text, table in mine.groupby("cell")}


def off_versions(session: Session, runs: pd.DataFrame) -> dict[Cell, str]:
    """Return a fingerprint of the OFF runs that each needed cell is trained with; others are left out."""
    by_period: dict[Hashable, pd.DataFrame] = dict(iter(runs[runs["off"]].groupby("period")))
    found: dict[Cell, str] = {}
    for cell in sorted(needed_cells(session, runs)):
        if cell.period.name not in by_period:
            continue
        try:
            chosen = off_runs(session, by_period[cell.period.name], cell)
        except MagicpyError:
            # A selection that cannot be used is told by the plan of the cell.
            continue
        if len(chosen):
            found[cell] = _version("off", chosen)
    return found


def needed_cells(session: Session, runs: pd.DataFrame) -> set[Cell]:
    """Return the cells in which a source of the settings has runs: they need OFF data, Monte Carlo, forests."""
    mine = runs[runs["source"].isin(session.settings.sources) & (runs["cell"] != "")]
    return {Cell.parse(str(text)) for text in mine["cell"].unique()}


def _version(what: str, runs: pd.DataFrame) -> str:
    """Return a fingerprint of some runs; the sky brightness counts as the catalogue estimates it, not as measured."""
    columns = [column.name for column in REPORT_COLUMNS]
    table = runs.assign(nsb=runs["nsb_catalogue"])[columns].sort_values("run")
    told = [[str(value) for value in row] for row in table.itertuples(index=False)]
    return fingerprint(what, 1, {"runs": told}, [])[:LENGTH]
