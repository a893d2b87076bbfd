"""What the observatory's data server offers: folders, the files in them, and how each file is made.

Listing the tree makes nothing but run reports. How files are kept once they have been made is in ``shelf``; nothing
here knows of HTTP.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime, time
from functools import cache, partial
from importlib.resources import files as package_files
from pathlib import Path, PurePosixPath

from magicpy_assets.core.datalevels import Calibrated, DataLevel, SuperStar
from magicpy_assets.core.errors import ConfigError, InputError, unknown
from magicpy_assets.core.runs import DataFile, night_folder
from magicpy_assets.formats.runbook import runbook_name
from magicpy_assets.formats.runreport import report_name
from magicpy_assets.observatory import library, montecarlo, nights, reports, runbooks, superstar, troubles
from magicpy_assets.observatory.montecarlo import Pair
from magicpy_assets.observatory.programme import RUN_DURATION_S, programme
from magicpy_assets.observatory.run_plans import Observation, RunPlan
from magicpy_assets.observatory.shelf import Group, ServedFile, Shelf
from magicpy_assets.observatory.troubles import Planted, Trouble
from magicpy_assets.store.records import pending, product_lock

RESULTS_VERSION = 4
"""Raised when the files of the observatory change: files of another version are never taken from the cache."""

DATA_VERSION = "v1"
MC_MADE_ON = date(2021, 2, 1)
RECALIBRATED = 1.02
"""By how much the charges of a file grow each time it is replaced by one that is calibrated anew."""
_FURTHER = "further_nights.json"


class Tree:
    """The observatory's files by server path. ``files`` and ``folders`` are complete from the start and cost nothing.

    Parameters
    ----------
    cache
        Folder for the files that have been made.
    seed
        Decides the programme and everything in the files.
    nights, extra_nights, duration_s
        As in ``programme``. Nights that were observed on command, here or elsewhere, come on top.
    trouble
        What went wrong.

    Attributes
    ----------
    plans
        Every run that was taken.
    files
        Every file by its server path, ``/Data/…``, ``/MC/…``, ``/CCdata/…`` or ``/Runbooks/…``.
    folders
        The names inside every folder; those of folders end with a slash.
    shelf
        Where the files lie.
    """

    def __init__(
        self,
        cache: Path,
        seed: int,
        *,
        nights: Collection[date] | None = None,
        duration_s: float = RUN_DURATION_S,
        mc_pairs: int = max(montecarlo.PAIRS.values()),
        extra_nights: Sequence[Observation] = (),
        trouble: Sequence[Trouble] | None = None,
    ) -> None:
        self.seed, self.mc_pairs = seed, mc_pairs
        self._nights, self._duration_s, self._extra_nights = nights, duration_s, tuple(extra_nights)
        self._trouble = troubles.listed() if trouble is None else tuple(trouble)
        self.identity = _identity(seed, nights, duration_s, self._trouble)
        self.shelf = Shelf(cache / self.identity)
        self._further = self.shelf.folder / _FURTHER
        self._further_seen: tuple[int, int] | None = None
        self._build(())
        self.refresh()

    # Nights on command

    def refresh(self) -> None:
        """Take note of nights that have been observed on command since."""
        try:
            found = self._further.stat()
        except FileNotFoundError:
            return
        seen = (found.st_mtime_ns, found.st_size)
        if seen != self._further_seen:
            self._build(_read_observations(self._further))
            self._further_seen = seen

    def observe(self, observations: Sequence[Observation]) -> tuple[RunPlan, ...]:
        """Observe a further night: its runs appear in every server of this cache. Return them.

        Raises
        ------
        ConfigError
            If that night has been observed, or runs would overlap.
        OutOfRangeError, InputError
            If a field does not rise through the range of zenith distance, or the event library does not reach there.
        """
        with product_lock(self._further):
            self.refresh()
            for observation in observations:
                if any(plan.date == observation.date for plan in self.plans):
                    raise ConfigError(
                        f"The night to {observation.date} has been observed; its runs cannot change.",
                        hint="Observe in another night.",
                    )
            known = _read_observations(self._further) if self._further.exists() else ()
            plans = self._programme((*known, *observations))
            taken = tuple(plan for plan in plans if plan.date in {item.date for item in observations})
            for plan in taken:
                nights.hadron_shard(plan)
            with pending(self._further) as temporary:
                rows = [asdict(item) for item in (*known, *observations)]
                temporary.write_text(json.dumps(rows, default=str, indent=1), encoding="utf-8")
            self.refresh()
        return taken

    def _programme(self, further: Sequence[Observation]) -> tuple[RunPlan, ...]:
        extra = (*self._extra_nights, *further)
        return programme(self.seed, nights=self._nights, extra_nights=extra, duration_s=self._duration_s)

    # What there is

    def replace(self, path: PurePosixPath) -> int:
        """Let a newer version, calibrated anew, take the place of a calibrated file; return the version's number.

        Raises
        ------
        UnknownNameError, InputError
            If there is no such file, or it is no calibrated file of a run.
        """
        if path not in self.files:
            raise unknown("file of the observatory", path.name, (other.name for other in self.files))
        if PurePosixPath("/Data", Calibrated.name) not in path.parents:
            raise InputError(f"{path} is not replaced: only calibrated files of runs are calibrated anew.")
        return self.shelf.replace(self.files[path])

    def _build(self, further: Sequence[Observation]) -> None:
        self.plans = self._programme(further)
        self.planted = Planted(self.plans, self._trouble)
        files = {file.path: file for file in (*self._data(), *self._mc(), *self._reports(), *self._runbooks())}
        # In this order, because others look at a folder first: whatever is in a folder, there is a file for it.
        self.files = files
        self.folders = _folders(files)

    def _data(self) -> Iterator[ServedFile]:
        table = reports.run_table(self.plans, self.seed, self.planted)
        for plan, nsb in zip(self.plans, table["nsb"], strict=True):
            calibrated = self._calibrated(plan)
            yield from calibrated
            if superstar.is_processed(plan, nsb) and not self.planted.of_files(plan):
                yield self._superstar(plan, calibrated)

    def _calibrated(self, plan: RunPlan) -> list[ServedFile]:
        every = [plan.file(telescope, n + 1) for telescope in plan.telescopes for n in range(plan.subruns)]
        names = [name for name in every if not self.planted.of_file(plan, name, troubles.MISSING)]
        group = Group(f"{plan.run:08d}", tuple(name.name for name in names), partial(self._make_run, plan, names))
        folder = _data_folder(Calibrated, plan)
        improves = bool(self.planted.of(plan, troubles.REPLACED))
        return [
            ServedFile(folder / name.name, _noon(plan.date), group, self._tape_s(plan, name), improves)
            for name in names
        ]

    def _tape_s(self, plan: RunPlan, name: DataFile) -> float | None:
        on_tape = self.planted.of_file(plan, name, troubles.TAPE)
        return on_tape.value if on_tape else None

    def _make_run(self, plan: RunPlan, names: Sequence[DataFile], folder: Path, version: int) -> None:
        at_first = self.planted.value(plan, troubles.REPLACED)
        known = 1 if at_first is None else 0
        gain = at_first if at_first is not None and version == 0 else RECALIBRATED ** (version - 1 + known)
        tracked = not self.planted.of(plan, troubles.NO_DRIVE)
        nights.make_run(plan, self.plans, self.seed, folder, gain=gain, drive_reports=tracked)
        for name in names:
            troubles.spoil(folder / name.name, plan, name, self.planted)

    def _superstar(self, plan: RunPlan, calibrated: Sequence[ServedFile]) -> ServedFile:
        name = plan.file(1, 1).at(SuperStar).name
        group = Group(name, (name,), partial(self._make_superstar, calibrated), inputs=tuple(calibrated))
        return ServedFile(_data_folder(SuperStar, plan) / name, _noon(plan.date), group)

    def _make_superstar(self, calibrated: Sequence[ServedFile], folder: Path, version: int) -> None:
        superstar.make_superstar([self.shelf.place(file) for file in calibrated], folder)

    def _mc(self) -> Iterator[ServedFile]:
        for pair in montecarlo.production():
            if pair.index >= self.mc_pairs:
                continue
            folder = PurePosixPath("/MC", Calibrated.name, DATA_VERSION, pair.period, pair.zenith, pair.use)
            names = tuple(pair.file(telescope).name for telescope in (1, 2))
            group = Group(f"{pair.period}-{pair.run}", names, partial(self._make_mc, pair))
            for name in names:
                yield ServedFile(folder / name, _noon(MC_MADE_ON), group)

    def _make_mc(self, pair: Pair, folder: Path, version: int) -> None:
        montecarlo.make_pair(pair, self.seed, folder)

    def _reports(self) -> Iterator[ServedFile]:
        for night in sorted({plan.date for plan in self.plans}):
            plans = tuple(plan for plan in self.plans if plan.date == night)
            name = report_name(night)
            group = Group(name, (name,), partial(self._write_report, plans), small=True)
            yield ServedFile(PurePosixPath("/CCdata", night_folder(night), name), _noon(night), group)

    def _write_report(self, plans: tuple[RunPlan, ...], folder: Path, version: int) -> None:
        text = reports.night_report(plans, self.seed, self.planted)
        (folder / report_name(plans[0].date)).write_text(text, encoding="utf-8")

    def _runbooks(self) -> Iterator[ServedFile]:
        for night in sorted({plan.date for plan in self.plans}):
            plans = tuple(plan for plan in self.plans if plan.date == night)
            if runbooks.is_there(night):
                name = runbook_name(night)
                group = Group(name, (name,), partial(self._write_runbook, plans), small=True)
                yield ServedFile(PurePosixPath("/Runbooks", night_folder(night), name), _noon(night), group)

    def _write_runbook(self, plans: tuple[RunPlan, ...], folder: Path, version: int) -> None:
        text = runbooks.night_runbook(plans, self.seed)
        (folder / runbook_name(plans[0].date)).write_text(text, encoding="utf-8")


def _data_folder(level: DataLevel, plan: RunPlan) -> PurePosixPath:
    return PurePosixPath("/Data", level.name, DATA_VERSION, plan.source, night_folder(plan.date))


def _read_observations(path: Path) -> tuple[Observation, ...]:
    rows = json.loads(path.read_text(encoding="utf-8"))
    return tuple(Observation(**(row | {"date": date.fromisoformat(row["date"])})) for row in rows)


def _identity(seed: int, nights: Collection[date] | None, duration_s: float, trouble: Sequence[Trouble]) -> str:
    """Return what decides the content of the files, as the name of their folder in the cache."""
    chosen = None if nights is None else sorted(set(nights))
    rest = hashlib.sha256(f"{_tables_id()}{chosen}{trouble}".encode()).hexdigest()[:12]
    return f"v{RESULTS_VERSION}-seed{seed}-{duration_s:g}s-{library.library_id()}-{rest}"


@cache
def _tables_id() -> str:
    """Return a hash over the observatory's tables: what is observed, and what the sky holds."""
    tables = package_files("magicpy_assets.observatory").joinpath("tables")
    contents = sorted((item.name, item.read_bytes()) for item in tables.iterdir() if item.name.endswith(".csv"))
    return hashlib.sha256(repr(contents).encode()).hexdigest()


def _noon(day: date) -> datetime:
    return datetime.combine(day, time(12), tzinfo=UTC)


def _folders(files: dict[PurePosixPath, ServedFile]) -> dict[PurePosixPath, tuple[str, ...]]:
    names: dict[PurePosixPath, set[str]] = {PurePosixPath("/"): set()}
    for path in files:
        names.setdefault(path.parent, set()).add(path.name)
    for lowest in list(names):
        for folder in (lowest, *lowest.parents[:-1]) if lowest.name else ():
            names.setdefault(folder.parent, set()).add(f"{folder.name}/")
    return {folder: tuple(sorted(members)) for folder, members in names.items()}
