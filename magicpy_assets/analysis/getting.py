"""Downloading whole data levels of a source's runs, saying how many files there are and where they go."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from magicpy_assets.core import datalevels
from magicpy_assets.core.datalevels import DataLevel
from magicpy_assets.core.errors import UnknownNameError
from magicpy_assets.core.telescopes import STEREO, Telescopes
from magicpy_assets.pipeline.downloads import archived_superstar, check_disk
from magicpy_assets.pipeline.plan import Plan, plan
from magicpy_assets.pipeline.report import Report
from magicpy_assets.pipeline.run import fetch_level, process
from magicpy_assets.pipeline.session import Session
from magicpy_assets.store.layout import ARCHIVED

if TYPE_CHECKING:
    import pandas as pd

Say = Callable[[str], object]

DEFAULT = (datalevels.SuperStar, datalevels.Calibrated)
"""What is fetched if no level is named."""


def levels_of(wanted: DataLevel | Iterable[DataLevel] | None, telescopes: Telescopes = STEREO) -> tuple[DataLevel, ...]:
    """Return the levels that are meant: one, several, or the default ones.

    Raises
    ------
    UnknownNameError
        For a level that no archive holds.
    """
    default = DEFAULT[1:] if telescopes.is_mono else DEFAULT
    levels = default if wanted is None else (wanted,) if isinstance(wanted, DataLevel) else tuple(wanted)
    for level in levels:
        if level not in DEFAULT:
            held = " and ".join(str(known) for known in DEFAULT)
            raise UnknownNameError(
                f"the archive holds no data of level {level}", hint=f"{held} are what can be downloaded"
            )
    return levels


def get_levels(
    session: Session, source: str, runs: pd.DataFrame, levels: Sequence[DataLevel], *, wait_min: float, say: Say
) -> Report:
    """Download levels of some runs, and measure the pedestals of calibrated files.

    A level of which the server has nothing is said and passed over. Whether everything fits on the disk is known
    before the first file is asked for.
    """
    planned = [(level, _planned(session, source, runs, level)) for level in levels]
    check_disk(session, (task for _, tasks in planned for task in tasks or ()))
    report = Report()
    for level, tasks in planned:
        if tasks is None:
            say(f"The data server offers no data of {source} at level {level}: passed over.")
            continue
        for line in lines(session, source, level, tasks):
            say(line)
        if level == datalevels.Calibrated:
            numbers = runs["run"].tolist()
            report += process(session, source, None, level.key, runs=numbers, wait_min=wait_min)
        else:
            report += fetch_level(session, tasks, wait_min)
    return report


def _planned(session: Session, source: str, runs: pd.DataFrame, level: DataLevel) -> Plan | None:
    """Return the downloads of a level; None if the server has nothing of it."""
    if level == datalevels.SuperStar:
        return archived_superstar(session, source, runs) or None
    offered = session.archive.offered_nights(level, source)
    return plan(session, source, None, level.key, runs=runs["run"].tolist()) if offered else None


def lines(session: Session, source: str, level: DataLevel, planned: Plan) -> list[str]:
    """Return what is said before a level is downloaded: where it goes, how many files there are, from where."""
    place = session.layout.root / source / ARCHIVED[level]
    wanted = [task.remote for task in planned.to_do if task.remote is not None]
    here = sum(planned.state(task).state == "up to date" for task in planned)
    if not wanted:
        return [f"Data at level {level} are in {place}: {_number(here, 'file')}, nothing to download."]
    folders = len({remote.path.rpartition("/")[0] for remote in wanted})
    already = f" {_number(here, 'file')} {'is' if here == 1 else 'are'} here already." if here else ""
    verb = "Downloading" if session.archive.copies else "Linking"
    return [
        f"{verb} data at level {level} to {place}",
        f"{verb} {_number(len(wanted), 'file')} from {_number(folders, 'directory', 'directories')}.{already}",
    ]


def _number(count: int, one: str, many: str | None = None) -> str:
    return f"{count} {one if count == 1 else many or one + 's'}"
