"""What lies where on a data server: one tree, whether it is listed over HTTP or is a folder of this machine.

`/Data/<level>/<version>/<source>/<night>`, `/MC/Calibrated/<version>/<period>/<zenith>/<use>` and `/CCdata/<night>`.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor

from magicpy_assets.archive.base import RemoteFile
from magicpy_assets.core import datalevels
from magicpy_assets.core.datalevels import DataLevel
from magicpy_assets.core.errors import ArchiveError, InputError, unknown
from magicpy_assets.core.runs import parse_name

logger = logging.getLogger(__name__)

Content = tuple[list[RemoteFile], list[str]]
"""Files and names of folders of a folder."""


class ArchiveTree(ABC):
    """Finds its way through the folders of a data server.

    Attributes
    ----------
    concurrency
        Folders listed, or files fetched, at the same time.
    """

    def __init__(self, concurrency: int) -> None:
        self.concurrency = concurrency
        self._versions: dict[str, str] = {}

    @abstractmethod
    def _list(self, folder: str) -> Content:
        """Return files and folders of a folder."""

    def offered_nights(self, level: DataLevel, source: str) -> list[str]:
        """Return the night folders of a source; none where the server does not offer the level, or not of it."""
        if level.name not in self._folders("/Data") or source not in self.sources(level):
            return []
        return self.nights(level, source)

    def sources(self, level: DataLevel) -> list[str]:
        """Return the sources that have files of a level."""
        return self._folders(self._data_folder(level))

    def nights(self, level: DataLevel, source: str) -> list[str]:
        """Return the night folders of a source."""
        folder = self._data_folder(level)
        known = self._folders(folder)
        if source not in known:
            raise unknown("source on the data server", source, known)
        return self._folders(f"{folder}/{source}")

    def files(self, level: DataLevel, source: str, night: str) -> list[RemoteFile]:
        """Return the files of a source in a night; what else lies there is left out."""
        return self._files_of(level, f"{self._data_folder(level)}/{source}/{night}")

    def mc_files(self, period: str, zenith: str, use: str) -> list[RemoteFile]:
        """Return the Monte Carlo of a period and zenith range; empty where the server has none."""
        folder = f"/MC/Calibrated/{self._version('/MC/Calibrated')}"
        for name in (period, zenith, use):
            if name not in self._folders(folder):
                return []
            folder = f"{folder}/{name}"
        return self._files_of(datalevels.Calibrated, folder)

    def reports(self) -> list[RemoteFile]:
        """Return the run reports of all nights."""
        return self._nightly("/CCdata", ".run")

    def runbooks(self) -> list[RemoteFile]:
        """Return the runbooks of all nights; none where the server has no such folder."""
        return self._nightly("/Runbooks", ".txt") if "Runbooks" in self._folders("/") else []

    def _nightly(self, folder: str, suffix: str) -> list[RemoteFile]:
        nights = [f"{folder}/{night}" for night in self._folders(folder)]
        with ThreadPoolExecutor(self.concurrency) as pool:
            listed = list(pool.map(self._list, nights))
        return [remote for files, _ in listed for remote in files if remote.name.endswith(suffix)]

    def _files_of(self, level: DataLevel, folder: str) -> list[RemoteFile]:
        found = self._list(folder)[0]
        files = [remote for remote in found if _level_of(remote.name) == level]
        if len(files) < len(found):
            logger.info("%s also holds %d files that are no %s files", folder, len(found) - len(files), level.key)
        return files

    def _data_folder(self, level: DataLevel) -> str:
        return f"/Data/{level.name}/{self._version(f'/Data/{level.name}')}"

    def _version(self, folder: str) -> str:
        """Return the newest processing version of a tree: the highest of v1, v2, ... when it was first asked for."""
        if folder not in self._versions:
            found = [name for name in self._folders(folder) if name[:1] == "v" and name[1:].isdecimal()]
            if not found:
                raise ArchiveError(f"the data server has no processing version in {folder}")
            self._versions[folder] = max(found, key=lambda name: int(name[1:]))
        return self._versions[folder]

    def _folders(self, folder: str) -> list[str]:
        return self._list(folder)[1]


def _level_of(name: str) -> DataLevel | None:
    try:
        return parse_name(name).level
    except InputError:
        return None
