"""Getting files from the archive: which of a level, whether they fit on the disk, one file, and waiting for tapes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from magicpy_assets.archive.base import ONLINE, RemoteFile
from magicpy_assets.archive.transfer import check_space
from magicpy_assets.core import datalevels
from magicpy_assets.core.cell import Cell
from magicpy_assets.core.datalevels import DataLevel
from magicpy_assets.core.errors import UnknownNameError
from magicpy_assets.core.runs import night_folder, parse_name
from magicpy_assets.pipeline.images import data_name, download
from magicpy_assets.pipeline.plan import Plan, assess_all
from magicpy_assets.pipeline.runs import measure_pedestals
from magicpy_assets.pipeline.session import Session
from magicpy_assets.pipeline.tasks import Task, assess
from magicpy_assets.store.records import RECORDS, read_record

if TYPE_CHECKING:
    import pandas as pd

OFFERED = (datalevels.SuperStar, datalevels.Calibrated)
"""Levels that an archive of runs may hold, in the order in which they are fetched by default."""
SAMPLED = 50
"""So many records of a level are looked at to learn how large its files are."""
SHORTEST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 600.0


@dataclass(frozen=True)
class Fetched:
    """A file that has come: how the server describes it, and what was found in it."""

    remote: RemoteFile
    measured: dict[str, float]
    simulated: bool


def fetch(session: Session, task: Task) -> Fetched:
    """Get the file of a task.

    Raises
    ------
    WaitingError, OfflineError, ArchiveError
    """
    assert task.remote is not None
    item = session.archive.fetch_one(task.remote, task.product)
    item.raise_if_missing()
    measured = measure_pedestals(task.product) if task.stage == datalevels.Calibrated.key else {}
    return Fetched(item.remote, measured, _is_simulated(task.product))


def _is_simulated(path: Path) -> bool:
    from magicpy_assets.formats.calibrated import CalibratedFile
    from magicpy_assets.formats.star import read_header

    if parse_name(path).level != datalevels.Calibrated:
        return read_header(path).simulated
    with CalibratedFile(path) as file:
        return bool(file.info.simulated)


def is_waiting(task: Task) -> bool:
    """Tell whether a task's file has first to be read from tape: others go first."""
    return task.remote is not None and task.remote.state != ONLINE


# Which files


def level_plan(session: Session, source: str, runs: pd.DataFrame, level: DataLevel) -> Plan:
    """Plan the downloads of a level for some runs, as the server offers them; runs it has nothing of are left out.

    The archive's own superstar has a place of its own; what is made here from calibrated files lies elsewhere.

    Raises
    ------
    UnknownNameError
        If an archive never holds such a level.
    """
    if level not in OFFERED:
        held = " and ".join(str(known) for known in OFFERED)
        raise UnknownNameError(f"the archive holds no data of level {level}", hint=f"it may hold {held}")
    tasks = [
        download(source, _cell(run), remote, session.layout.downloaded(source, level, night, remote.name), level=level)
        for night, members in _by_night(runs)
        for remote in session.archive.files(level, source, night_folder(night))
        if (run := members.get(data_name(Path(remote.name)).run)) is not None
    ]
    return Plan(tuple(tasks), assess_all(tasks, frozenset()))


def _by_night(runs: pd.DataFrame) -> list[tuple[Any, dict[int, Any]]]:
    nights: dict[Any, dict[int, Any]] = {}
    for run in runs.itertuples(index=False):
        nights.setdefault(run.date.date(), {})[int(run.run)] = run
    return sorted(nights.items())


def _cell(run: Any) -> Cell | None:
    return Cell.parse(run.cell) if run.cell else None


def offered(session: Session, source: str, level: DataLevel, nights: Iterable[Any]) -> list[Any]:
    """Return those of some nights in which the server has files of a level; none if it has no such level."""
    archive = session.archive
    if not archive.offers(level) or source not in archive.sources(level):
        return []
    there = set(archive.nights(level, source))
    return [night for night in nights if night_folder(night) in there]


# Whether they fit


def check_disk(session: Session, tasks: Iterable[Task]) -> None:
    """Raise if what is to be fetched would not fit on the disk of the store, before anything is begun.

    A size that the server does not say is taken to be the mean of the same level: of the files whose size it says,
    else of those that are in the store. Where nothing is known, nothing is counted.

    Raises
    ------
    ArchiveError
        With the space that is needed and free.
    """
    wanted = [task for task in tasks if task.remote is not None and assess(task, {}).state == "to do"]
    if wanted and session.archive.copies and not session.archive.offline:
        check_space(session.layout.root, needed_bytes(session, wanted))


def needed_bytes(session: Session, wanted: Sequence[Task]) -> int:
    """Return how many bytes the files of some tasks will need, less what is here of them."""
    levels: dict[str, list[Task]] = {}
    for task in wanted:
        levels.setdefault(task.stage, []).append(task)
    total = 0.0
    for stage, tasks in levels.items():
        known = [task.remote.size for task in tasks if task.remote is not None and task.remote.size is not None]
        unknown = len(tasks) - len(known)
        total += sum(known) + (unknown * _mean(known or _sizes_in_store(session, stage)) if unknown else 0.0)
    return max(0, round(total) - sum(_bytes_of_part(task.product) for task in wanted))


def _mean(sizes: Sequence[int]) -> float:
    return fmean(sizes) if sizes else 0.0


def _sizes_in_store(session: Session, stage: str) -> list[int]:
    sizes: list[int] = []
    for path in session.layout.root.glob(f"*/{stage}*/*/{RECORDS}/*.json"):
        record = read_record(path.parents[1] / path.stem)
        if record is not None and record.size:
            sizes.append(record.size)
        if len(sizes) >= SAMPLED:
            break
    return sizes


def _bytes_of_part(product: Path) -> int:
    part = product.with_name(f".{product.name}.part")
    return part.stat().st_size if part.is_file() else 0


# Waiting for tapes


def held_up(planned: Plan, waiting: Iterable[Path]) -> set[Path]:
    """Return what is made, at any remove, from files that are being waited for."""
    held = set(waiting)
    for task in planned:
        if held.intersection(task.all_inputs()):
            held.update(task.products)
    return held


class Patience:
    """How long files on tape are waited for.

    Parameters
    ----------
    minutes
        From now on; 0 for not at all.
    """

    def __init__(self, minutes: float, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._end = time.monotonic() + 60.0 * minutes
        self._sleep = sleep

    @property
    def left_s(self) -> float:
        """What is left of it (s)."""
        return max(0.0, self._end - time.monotonic())

    def pause(self, until: Iterable[datetime | None]) -> None:
        """Sleep until the first of some files may have come, or patience ends."""
        now = datetime.now(UTC)
        due = min(((moment - now).total_seconds() for moment in until if moment is not None), default=LONGEST_PAUSE_S)
        self._sleep(min(max(due, SHORTEST_PAUSE_S), LONGEST_PAUSE_S, self.left_s))
