"""Data used where they lie: a folder of this machine that looks like the data server, such as at PIC.

Nothing is copied. A file's place in the store becomes a link to it, so that records and logs lie in the store, and
everything else is as with files that were fetched. The folder may be read-only; nothing is ever written there.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from magicpy_assets.archive.base import FetchItem, FetchReport, RemoteFile
from magicpy_assets.archive.tree import ArchiveTree, Content
from magicpy_assets.core.errors import ArchiveError, ConfigError, unknown
from magicpy_assets.core.progress import announce
from magicpy_assets.store.records import product_lock

DATA = "Data"


class InPlaceArchive(ArchiveTree):
    """A folder of this machine as an archive.

    Parameters
    ----------
    folder
        The folder `Data`, or the one that holds `Data`, `MC` and `CCdata`.

    Raises
    ------
    ConfigError
        If it is neither.
    """

    offline = False
    as_of: datetime | None = None
    copies = False

    def __init__(self, folder: Path, *, concurrency: int = 4) -> None:
        super().__init__(concurrency)
        folder = folder.expanduser().absolute()
        self.root = folder if (folder / DATA).is_dir() else folder.parent
        if not (self.root / DATA).is_dir() or folder not in (self.root, self.root / DATA):
            raise ConfigError(
                f"archive.in_place: {folder} is no folder {DATA}, and holds none",
                hint=f"give the folder that holds {DATA}, MC and CCdata as on the data server",
            )

    def __repr__(self) -> str:
        return f"InPlaceArchive({self.root})"

    def close(self) -> None:
        """Nothing is ever under way here."""

    def _list(self, folder: str) -> Content:
        path = self.root / folder.strip("/")
        try:
            with os.scandir(path) as found:
                entries = sorted((entry for entry in found if not entry.name.startswith(".")), key=lambda e: e.name)
        except FileNotFoundError as error:
            there = [entry.name for entry in os.scandir(path.parent)] if path.parent.is_dir() else []
            raise ArchiveError(f"there is no {path}", hint=unknown("name", path.name, there).hint) from error
        except OSError as error:
            raise ArchiveError(f"{path} cannot be listed: {error.strerror}") from error
        files = [_described(f"{folder.rstrip('/')}/{entry.name}", entry) for entry in entries if entry.is_file()]
        return files, [entry.name for entry in entries if entry.is_dir()]

    def read_text(self, remote: RemoteFile) -> str:
        """Return the content of a small text file."""
        try:
            return self._place(remote).read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            raise ArchiveError(f"{remote.path} cannot be read: {error.strerror}") from error

    def fetch(self, wanted: Iterable[tuple[RemoteFile, Path]]) -> FetchReport:
        """Link files into places."""
        pairs, report = list(wanted), FetchReport()
        for remote, target in pairs:
            report.items.append(self.fetch_one(remote, target))
            announce(len(pairs), len(report.items), "link")
        return report

    def fetch_one(self, remote: RemoteFile, target: Path) -> FetchItem:
        """Let a place in the store lead to a file."""
        started, place = time.monotonic(), self._place(remote)
        try:
            with place.open("rb"):
                found = place.stat()
            linked = target.is_symlink() and target.readlink() == place
            if not linked:
                _link(target, place)
        except OSError as error:
            message = f"{place} cannot be used: {error.strerror}"
            return FetchItem(remote, target, "failed", 0, time.monotonic() - started, message)
        known = RemoteFile(remote.path, found.st_size, _time(found))
        status = "cached" if linked else "fetched"
        return FetchItem(known, target, status, found.st_size, time.monotonic() - started)

    def _place(self, remote: RemoteFile) -> Path:
        return self.root / remote.path.lstrip("/")


def _link(target: Path, place: Path) -> None:
    temporary = target.with_name(f".{target.name}.link")
    with product_lock(temporary):
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(place)
        temporary.replace(target)


def _described(path: str, entry: os.DirEntry[str]) -> RemoteFile:
    found = entry.stat()
    return RemoteFile(path, found.st_size, _time(found))


def _time(found: os.stat_result) -> str:
    return datetime.fromtimestamp(found.st_mtime, UTC).isoformat()
