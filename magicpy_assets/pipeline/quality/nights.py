"""Whether what the observatory says of itself can be worked with: run catalogue, runbooks, archive."""

from __future__ import annotations

from typing import TYPE_CHECKING

from magicpy_assets.core import datalevels
from magicpy_assets.core.cell import Cell
from magicpy_assets.core.errors import MagicpyError
from magicpy_assets.core.runs import night_folder, parse_name
from magicpy_assets.pipeline.quality.verdict import Verdict, listed
from magicpy_assets.pipeline.runbooks import runbooks_of
from magicpy_assets.pipeline.runs import known_runs

if TYPE_CHECKING:
    from magicpy_assets.pipeline.session import Session

FEWEST_STANDARD = 0.5
"""Share of the runbooks in the standard form: from the others no online results can be read."""


def runs_make_sense(session: Session) -> Verdict:
    """The catalogue holds runs, with durations, zenith distances and rates that can be."""
    runs = known_runs(session)
    bad = {
        "no duration": ~(runs["duration_s"] > 0),
        "zenith distance": ~runs["za_deg"].between(0, 90),
        "no triggers": runs["stereo"] & ~(runs["L3_rate"] > 0),
    }
    faults = [f"{int(run)}: {what}" for what, rows in bad.items() for run in runs.loc[rows, "run"]]
    placed = int((runs["cell"] != "").sum())
    return Verdict(
        len(runs) > 0 and not faults,
        {"runs": len(runs), "without_a_cell": len(runs) - placed, "faults": listed(faults)},
    )


def runbooks_can_be_read(session: Session) -> Verdict:
    """Most runbooks are in the standard form, from which online results can be read."""
    books = runbooks_of(session)
    strange = [str(night) for night in books.nights if not books.read(night).standard]
    nights = len(books.nights)
    return Verdict(
        nights > 0 and 1 - len(strange) / nights >= FEWEST_STANDARD,
        {"nights": nights, "not_standard": len(strange), "which": listed(strange)},
    )


def runs_are_listed(session: Session, source: str | None, cell: Cell) -> Verdict:
    """Of every run that the catalogue has in the cell, the data server lists calibrated files of all its telescopes."""
    runs = known_runs(session)
    mine = runs[(runs["cell"] == cell.text) & (runs["off"] if source is None else runs["source"] == source)]
    faults = []
    for (name, day), table in mine.groupby(["source", "date"]):
        try:
            files = session.archive.files(datalevels.Calibrated, str(name), night_folder(day.date()))
        except MagicpyError as error:
            faults.append(f"{name} {day.date()}: {error.message}")
            continue
        listed_of = {(parsed.run, parsed.telescope) for parsed in (parse_name(file.name) for file in files)}
        for run in table[["run", "stereo"]].itertuples(index=False):
            wanted = (1, 2) if run.stereo else (1,)
            faults += [f"{run.run}: no file of M{one}" for one in wanted if (run.run, one) not in listed_of]
    return Verdict(not faults, {"runs": len(mine), "faults": listed(faults)})
