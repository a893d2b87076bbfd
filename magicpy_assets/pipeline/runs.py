"""Which runs there are, and in which cell each belongs once its pedestals have been measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from magicpy_assets.core import moons
from magicpy_assets.core.runs import with_cells
from magicpy_assets.core.sources import is_off_candidate
from magicpy_assets.store.records import read_record

if TYPE_CHECKING:
    import pandas as pd

    from magicpy_assets.pipeline.session import Session

PEDESTAL_MEAN = "pedestal_mean_phe"
PEDESTAL_RMS = "pedestal_rms_phe"


def known_runs(session: Session, *, source: str | None = None) -> pd.DataFrame:
    """Return the run table of the catalogue, each run in the cell that its measured pedestals call for.

    Beside the columns of `core.runs.RUN_COLUMNS`: `nsb_catalogue`, the estimate; `pedestal_mean_phe` and
    `pedestal_rms_phe`, NaN where nothing has been downloaded; `off` (bool), whether the run may serve as OFF data.
    """
    runs = session.catalogue.runs(source=source).copy()
    runs["nsb_catalogue"] = runs["nsb"]
    runs["off"] = [is_off_candidate(name) and name not in session.settings.sources for name in runs["source"]]
    measured = [_measured(session, row.source, row.date, row.run) for row in runs.itertuples()]
    runs[PEDESTAL_MEAN] = [level.mean_phe for level in measured]
    runs[PEDESTAL_RMS] = [level.rms_phe for level in measured]
    known = runs[PEDESTAL_RMS].notna()
    for index, row in runs[known].iterrows():
        nsb, moon = moons.from_pedestal(row[PEDESTAL_MEAN], row[PEDESTAL_RMS], hv=row["hv"])
        if moon != moons.of_nsb(row["nsb"]):
            runs.loc[index, "nsb"] = nsb
    return with_cells(runs)


@dataclass(frozen=True)
class _Pedestal:
    mean_phe: float
    rms_phe: float


def _measured(session: Session, source: str, date: pd.Timestamp, run: int) -> _Pedestal:
    """Average what was measured in the calibrated files of a run; NaN if there are none."""
    folder = session.layout.calibrated(source, date.date(), "any").parent
    found = []
    for path in sorted(folder.glob(f"{date:%Y%m%d}_M?_{run:08d}.*_Y_*.root")) if folder.is_dir() else ():
        record = read_record(path)
        if record and record.outcome == "done" and PEDESTAL_RMS in record.measured:
            found.append((record.measured[PEDESTAL_MEAN], record.measured[PEDESTAL_RMS]))
    if not found:
        return _Pedestal(float("nan"), float("nan"))
    return _Pedestal(sum(mean for mean, _ in found) / len(found), sum(rms for _, rms in found) / len(found))


def moved_runs(before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    """Return the runs whose measured pedestals put them in another cell than the catalogue's estimate did.

    Columns `run`, `source`, `cell_before`, `cell_after`, `nsb_before`, `nsb_after`.
    """
    both = before[["run", "source", "cell", "nsb"]].merge(
        after[["run", "cell", "nsb"]], on="run", suffixes=("_before", "_after")
    )
    return both[both["cell_before"] != both["cell_after"]].reset_index(drop=True)


def measure_pedestals(path: Path) -> dict[str, float]:
    """Measure the pedestal level of a calibrated file, as it is kept in its record (phe)."""
    from magicpy_assets.formats.calibrated import pedestal_level

    mean, rms, _ = pedestal_level(path)
    return {PEDESTAL_MEAN: float(mean), PEDESTAL_RMS: float(rms)}


def select(runs: pd.DataFrame, source: str, wanted: Sequence[int] | None) -> pd.DataFrame:
    """Drop the runs of a source that are not among the wanted ones; other sources stay whole."""
    if wanted is None:
        return runs
    return runs[(runs["source"] != source) | runs["run"].isin(list(wanted))]


__all__ = ["PEDESTAL_MEAN", "PEDESTAL_RMS", "known_runs", "measure_pedestals", "moved_runs", "select"]
