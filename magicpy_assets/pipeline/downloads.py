"""Getting files from the archive: which of a level, whether they fit on the disk, one file, and waiting for tapes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from magicpy_assets.archive.base import ONLINE, RemoteFile
from magicpy_assets.archive.transfer import check_space, free_bytes
from magicpy_assets.core import datalevels
from magicpy_assets.core.cell import Cell
from magicpy_assets.core.runs import night_folder, parse_name
from magicpy_assets.pipeline.file_names import data_name
from magicpy_assets.pipeline.images import download
from magicpy_assets.pipeline.plan import Plan, assess_all
from magicpy_assets.pipeline.runs import measure_pedestals
from magicpy_assets.pipeline.session import Session
from magicpy_assets.pipeline.tasks import Task, assess
from magicpy_assets.store.records import RECORDS, read_record

if TYPE_CHECKING:
    import pandas as pd

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


def archived_superstar(session: Session, source: str, runs: pd.DataFrame) -> Plan:
    """Plan the downloads of the archive's own superstar of some runs; runs of which it has none are left out.

    They have a place of their own in the store, apart from what is made here from calibrated files.
    """
    level, nights = datalevels.SuperStar, runs.groupby(runs["date"].dt.date)
    offered = session.archive.offered_nights(level, source) if len(runs) else []
    tasks = []
    for night, members in nights:
        if night_folder(night) not in offered:
            continue
        cells = dict(zip(members["run"], members["cell"], strict=True))
        for remote in session.archive.files(level, source, night_folder(night)):
            cell = cells.get(data_name(Path(remote.name)).run)
            if cell is not None:
                product = session.layout.downloaded(source, level, night, remote.name)
                tasks.append(download(source, Cell.parse(cell) if cell else None, remote, product, level=level))
    return Plan(tuple(tasks), assess_all(tasks, frozenset()), note=session.age)


# Whether they fit


@dataclass(frozen=True)
class Sizes:
    """What files need: how many are to come, how many have a known size, bytes in all (estimated), bytes free."""

    files: int
    known: int
    needed_bytes: int
    free_bytes: int

    def __str__(self) -> str:
        if not self.files:
            return "nothing to download"
        unsaid = self.files - self.known
        doubt = f", the size of {unsaid} of them estimated" if unsaid and self.needed_bytes else ""
        size = f"about {self.needed_bytes / 1e9:.1f} GB" if self.needed_bytes else "of unknown size"
        return f"{self.files} files to download, {size}{doubt}; {self.free_bytes / 1e9:.0f} GB free"


def sizes_of(session: Session, tasks: Iterable[Task]) -> Sizes:
    """Return what the downloads among some tasks need that are not here yet."""
    wanted = [task for task in tasks if task.remote is not None and assess(task, {}).state == "to do"]
    known = sum(task.remote is not None and task.remote.size is not None for task in wanted)
    return Sizes(len(wanted), known, needed_bytes(session, wanted), free_bytes(session.layout.root))


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
