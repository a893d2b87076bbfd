"""What the observatory's data server offers: folders, the files in them, and how a file is made when first asked for.

Listing the tree makes nothing but run reports. Files come in groups that are made together (all files of a run, a pair
of Monte Carlo files, a run report) and are kept in the cache folder, which several servers may share. Nothing here
knows of HTTP.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from functools import partial
from pathlib import Path, PurePosixPath

from filelock import FileLock

from magicpy_assets.core.datalevels import Calibrated
from magicpy_assets.core.runs import night_folder
from magicpy_assets.formats.runreport import report_name
from magicpy_assets.observatory import library, montecarlo, nights, reports
from magicpy_assets.observatory.programme import RUN_DURATION_S, Observation, RunPlan, programme

logger = logging.getLogger(__name__)

RESULTS_VERSION = 1
"""Raised when the files of the observatory change: files of another version are never taken from the cache."""

DATA_VERSION = "v1"
MC_MADE_ON = date(2021, 2, 1)
MAKERS = 2
"""How many groups one server makes at a time: a run takes 300 MB of memory while it is made."""


@dataclass(frozen=True)
class Group:
    """Files that are made together: their names, and the call that writes them all into a folder.

    Those that are ``small`` are made as soon as somebody wants to know their size.
    """

    name: str
    members: tuple[str, ...]
    make: Callable[[Path], None]
    small: bool = False


@dataclass(frozen=True)
class ServedFile:
    """A file of the server: its path there, the time it was last modified (UTC) and the group it is made with."""

    path: PurePosixPath
    modified: datetime
    group: Group

    @property
    def name(self) -> str:
        """The file's own name."""
        return self.path.name


class Tree:
    """The observatory's files by server path. ``files`` and ``folders`` are complete from the start and cost nothing.

    Attributes
    ----------
    files
        Every file by its server path, ``/Data/…``, ``/MC/…`` or ``/CCdata/…``.
    folders
        The names inside every folder; those of folders end with a slash.
    """

    def __init__(
        self,
        cache: Path,
        seed: int,
        *,
        duration_s: float = RUN_DURATION_S,
        extra_nights: Sequence[Observation] = (),
    ) -> None:
        self.seed = seed
        self.plans = programme(seed, extra_nights=extra_nights, duration_s=duration_s)
        self.identity = _identity(seed, duration_s)
        self._folder = cache / self.identity
        self._makers = threading.BoundedSemaphore(MAKERS)
        self.files = {file.path: file for file in (*self._data(), *self._mc(), *self._reports())}
        self.folders = _folders(self.files)

    def local(self, file: ServedFile) -> Path:
        """Return where the file lies in the cache, made if need be; then it and its group are complete."""
        target = self._target(file)
        if not target.exists():
            self._make(file)
        return target

    def size(self, file: ServedFile) -> int | None:
        """Return the size in bytes of a file that has been made, None of one that has not and is not small."""
        if file.group.small:
            return self.local(file).stat().st_size
        try:
            return self._target(file).stat().st_size
        except FileNotFoundError:
            return None

    def etag(self, file: ServedFile) -> str:
        """Return the entity tag of a file that has been made, the same on every server of this cache."""
        text = f"{self.identity}|{file.path}|{self.size(file)}"
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def _target(self, file: ServedFile) -> Path:
        return self._folder.joinpath(*file.path.parts[1:])

    def _make(self, file: ServedFile) -> None:
        """Make the group of a file: written into a folder of its own, then moved into place one by one."""
        folder = self._target(file).parent
        folder.mkdir(parents=True, exist_ok=True)
        group = file.group
        with FileLock(folder / f".{group.name}.lock"):
            if all((folder / member).exists() for member in group.members):
                return
            for leftover in folder.glob(f".{group.name}.making-*"):
                shutil.rmtree(leftover)
            logger.info("making %s", ", ".join(group.members))
            with (
                self._makers,
                tempfile.TemporaryDirectory(prefix=f".{group.name}.making-", dir=folder) as work,
            ):
                group.make(Path(work))
                for member in group.members:
                    made = Path(work) / member
                    stamp = file.modified.timestamp()
                    os.utime(made, (stamp, stamp))
                    made.replace(folder / member)

    def _data(self) -> list[ServedFile]:
        served = []
        for plan in self.plans:
            folder = PurePosixPath("/Data", Calibrated.name, DATA_VERSION, plan.source, night_folder(plan.date))
            names = tuple(
                plan.file(telescope, subrun).name for telescope in (1, 2) for subrun in range(1, plan.subruns + 1)
            )
            group = Group(f"{plan.run:08d}", names, partial(nights.make_run, plan, self.plans, self.seed))
            served += [ServedFile(folder / name, _noon(plan.date), group) for name in names]
        return served

    def _mc(self) -> list[ServedFile]:
        served = []
        for pair in montecarlo.production():
            folder = PurePosixPath("/MC", Calibrated.name, DATA_VERSION, pair.period, pair.zenith, pair.use)
            names = tuple(pair.file(telescope).name for telescope in (1, 2))
            group = Group(str(pair.run), names, partial(montecarlo.make_pair, pair, self.seed))
            served += [ServedFile(folder / name, _noon(MC_MADE_ON), group) for name in names]
        return served

    def _reports(self) -> list[ServedFile]:
        served = []
        for night in sorted({plan.date for plan in self.plans}):
            plans = tuple(plan for plan in self.plans if plan.date == night)
            name = report_name(night)
            group = Group(name, (name,), partial(self._write_report, plans), small=True)
            served.append(ServedFile(PurePosixPath("/CCdata", night_folder(night), name), _noon(night), group))
        return served

    def _write_report(self, plans: tuple[RunPlan, ...], folder: Path) -> None:
        text = reports.night_report(plans, self.seed)
        (folder / report_name(plans[0].date)).write_text(text, encoding="utf-8")


def _identity(seed: int, duration_s: float) -> str:
    """Return what decides the content of the files, as the name of their folder in the cache."""
    return f"v{RESULTS_VERSION}-seed{seed}-{duration_s:g}s-{library.library_id()}"


def _noon(day: date) -> datetime:
    return datetime.combine(day, time(12), tzinfo=UTC)


def _folders(files: dict[PurePosixPath, ServedFile]) -> dict[PurePosixPath, tuple[str, ...]]:
    names: dict[PurePosixPath, set[str]] = {PurePosixPath("/"): set()}
    for path in files:
        names.setdefault(path.parent, set()).add(path.name)
        for folder in path.parents[:-1]:
            names.setdefault(folder.parent, set()).add(f"{folder.name}/")
    return {folder: tuple(sorted(members)) for folder, members in names.items()}
