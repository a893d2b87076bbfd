"""Which runs there are, and in which cell each belongs once its pedestals have been measured."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from magicpy_assets.core import datalevels, moons, periods
from magicpy_assets.core.runs import CELL_COLUMNS, DataFile, night_of, parse_name, with_cells
from magicpy_assets.core.sources import is_off_candidate
from magicpy_assets.store.records import RECORDS, pending, read_record

if TYPE_CHECKING:
    import pandas as pd

    from magicpy_assets.pipeline.session import Session
    from magicpy_assets.store.layout import Layout

PEDESTAL_MEAN = "pedestal_mean_phe"
PEDESTAL_RMS = "pedestal_rms_phe"
Folders = tuple[tuple[Path, int], ...]
OBSERVED = "observed.json"
"""File beside the catalogue: the sources of each of its nights."""

_known: WeakKeyDictionary[Session, tuple[object, pd.DataFrame]] = WeakKeyDictionary()
"""The table that each session has asked for last, and of what it was made."""


def known_runs(session: Session, *, source: str | None = None) -> pd.DataFrame:
    """Return the run table of the catalogue, each run in the cell that its measured pedestals call for.

    Beside the columns of `core.runs.RUN_COLUMNS`: `nsb_catalogue`, the estimate, where `nsb` is what was measured, if
    anything was; `pedestal_mean_phe` and `pedestal_rms_phe`, NaN where nothing has been downloaded; `off` (bool),
    whether the field may serve as OFF data.
    """
    folders = _measured_folders(session.layout)
    version = (session.catalogue.version, folders, session.settings.sources)
    known = _known.get(session)
    if known is None or known[0] != version:
        known = _known[session] = (version, _placed(session, folders))
    runs = known[1]
    return runs.copy() if source is None else runs[runs["source"] == source].reset_index(drop=True)


def _placed(session: Session, folders: Folders) -> pd.DataFrame:
    """Return all runs, each in its cell."""
    runs = session.catalogue.runs()
    runs["nsb_catalogue"] = runs["nsb"]
    fields = {name: _may_be_off(name) and name not in session.settings.sources for name in runs["source"].unique()}
    runs["off"] = runs["source"].map(fields).astype(bool)
    levels = _levels(folders)
    if not levels:
        return runs.assign(**{PEDESTAL_MEAN: float("nan"), PEDESTAL_RMS: float("nan")})
    runs[PEDESTAL_MEAN] = runs["run"].map({run: level.mean_phe for run, level in levels.items()}).astype(float)
    runs[PEDESTAL_RMS] = runs["run"].map({run: level.rms_phe for run, level in levels.items()}).astype(float)
    known = runs[PEDESTAL_RMS].notna()
    if not known.any():
        return runs
    placed = runs[known].copy()
    placed["nsb"] = [
        moons.from_pedestal(row.pedestal_mean_phe, row.pedestal_rms_phe, row.hv, row.filter)[0]
        for row in placed[[PEDESTAL_MEAN, PEDESTAL_RMS, "hv", "filter"]].itertuples()
    ]
    for name, values in with_cells(placed)[["nsb", *(column.name for column in CELL_COLUMNS)]].items():
        runs.loc[known, name] = values
    return runs


@lru_cache(maxsize=4096)
def _may_be_off(name: str) -> bool:
    """Ask the table of sources once for each name: a name that it does not know takes a while."""
    return is_off_candidate(name)


@dataclass(frozen=True)
class Pedestal:
    """The pedestal of a run: mean and RMS (phe), averaged over its calibrated files."""

    mean_phe: float
    rms_phe: float


def measured_levels(layout: Layout) -> dict[int, Pedestal]:
    """Return the pedestals of all runs of which calibrated files have been measured, by run number."""
    return _levels(_measured_folders(layout))


def _measured_folders(layout: Layout) -> Folders:
    """Return the folders with records of calibrated files, and when each has last changed."""
    found = sorted(layout.root.glob(f"*/{datalevels.Calibrated.key}/*/{RECORDS}"))
    return tuple((folder, folder.stat().st_mtime_ns) for folder in found)


def _levels(folders: Folders) -> dict[int, Pedestal]:
    found: dict[int, list[tuple[float, float]]] = {}
    for folder, changed_ns in folders:
        for run, mean, rms in _levels_of(folder, changed_ns):
            found.setdefault(run, []).append((mean, rms))
    return {
        run: Pedestal(sum(mean for mean, _ in files) / len(files), sum(rms for _, rms in files) / len(files))
        for run, files in found.items()
    }


@lru_cache(maxsize=4096)
def _levels_of(folder: Path, changed_ns: int) -> tuple[tuple[int, float, float], ...]:
    """Read the pedestals that the records of a night hold; read again only when a record has been written."""
    found = []
    for path in sorted(folder.glob("*_Y_*.json")):
        record = read_record(folder.parent / path.stem)
        name = (
            parse_name(path.stem) if record and record.outcome == "done" and PEDESTAL_RMS in record.measured else None
        )
        if record is not None and isinstance(name, DataFile):
            found.append((name.run, record.measured[PEDESTAL_MEAN], record.measured[PEDESTAL_RMS]))
    return tuple(found)


def catalogued(runs: pd.DataFrame) -> pd.DataFrame:
    """Return known runs as the catalogue's estimates alone would place them."""
    return with_cells(runs.assign(nsb=runs["nsb_catalogue"]))


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


def periods_observed(layout: Layout) -> dict[str, tuple[str, ...]]:
    """Return the periods in which each source was observed, as far as the store's catalogue knows.

    What the nights hold is kept in `observed.json` beside them, so that only those that have changed are read.
    """
    nights: dict[str, set[date]] = {}
    for night, names in _sources_by_night(layout).items():
        for name in names:
            nights.setdefault(name, set()).add(night)
    found = {night: _period_of(night) for night in set().union(*nights.values())}
    order = {period.name: position for position, period in enumerate(periods.all_periods())}
    return {
        name: tuple(sorted({period for night in days if (period := found[night])}, key=order.__getitem__))
        for name, days in nights.items()
    }


def _period_of(night: date) -> str:
    return next((period.name for period in periods.all_periods() if night in period), "")


def _sources_by_night(layout: Layout) -> dict[date, list[str]]:
    """Return the sources that each night of the catalogue holds."""
    folder = layout.catalogue(date.min).parent
    kept = folder / OBSERVED
    known: dict[str, list[str]] = {}
    with contextlib.suppress(OSError, ValueError):
        known = dict(json.loads(kept.read_text(encoding="utf-8")))
    found: dict[str, list[str]] = {}
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(".parquet"):
                state = entry.stat()
                key = f"{entry.name}|{state.st_mtime_ns}|{state.st_size}"
                found[key] = known.get(key) or _sources_in(Path(entry.path))
    if found.keys() != known.keys():
        with contextlib.suppress(OSError), pending(kept) as temporary:  # a store that cannot be written is read again
            temporary.write_text(json.dumps(found, sort_keys=True), encoding="utf-8")
    return {night_of(key.partition(".")[0]): names for key, names in found.items()}


def _sources_in(path: Path) -> list[str]:
    import pyarrow.parquet as pq

    # Not read_table: that loads pandas, which is half of the time that the page takes to load.
    return sorted(set(pq.ParquetFile(path).read(columns=["source"])["source"].to_pylist()))
