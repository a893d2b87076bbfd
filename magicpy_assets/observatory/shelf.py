"""Where the observatory's files lie once somebody has asked for them: in groups, by version, on tape.

What is known about a file beyond its content is written beside it in hidden marks, so that every server of a folder
says the same of it. Nothing here knows of HTTP, nor what the files are.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import tempfile
import threading
import time
import zlib
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path, PurePosixPath

from filelock import FileLock

from magicpy_assets.store.records import pending

logger = logging.getLogger(__name__)

MAKERS = 2
"""How many groups one server makes at a time: a run takes some hundred MB of memory while it is made."""
BETWEEN_VERSIONS = timedelta(days=1)
ONLINE, TAPE, READING = "Online", "Tape", "Reading from tape"


@dataclass(frozen=True)
class Group:
    """Files that are made together.

    Attributes
    ----------
    name, members
        A name for the group, and the names of its files, all of one folder.
    make
        Writes all of them into a folder, as of a version.
    inputs
        Files of other groups that must be there first.
    small
        Made as soon as somebody wants to know their size.
    """

    name: str
    members: tuple[str, ...]
    make: Callable[[Path, int], None]
    inputs: tuple[ServedFile, ...] = ()
    small: bool = False


@dataclass(frozen=True)
class ServedFile:
    """A file of the server.

    Attributes
    ----------
    path
        Where it is on the server.
    modified
        When its version 0 was last modified (UTC).
    group
        What it is made with.
    tape_s
        How long it takes to be read from tape (s); None if it is not on tape.
    improves
        Whether a newer version takes its place once it has been sent.
    """

    path: PurePosixPath
    modified: datetime
    group: Group
    tape_s: float | None = None
    improves: bool = False

    @property
    def name(self) -> str:
        """The file's own name."""
        return self.path.name


class Shelf:
    """A folder of files that are made when first asked for. Several servers, in several processes, may share it.

    Parameters
    ----------
    folder
        Where it is; made when something is put there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._makers = threading.BoundedSemaphore(MAKERS)
        self._sums: dict[tuple[PurePosixPath, int, int], tuple[bytes, int]] = {}

    def place(self, file: ServedFile) -> Path:
        """Return where a file lies, or will lie."""
        return self.folder.joinpath(*file.path.parts[1:])

    def local(self, file: ServedFile) -> Path:
        """Return where the newest version of a file lies, made if need be; then it and its group are complete."""
        if not self._is_made(file):
            self._make(file)
        return self.place(file)

    def size(self, file: ServedFile) -> int | None:
        """Return the size in bytes of a file that has been made, None of one that has not and is not small."""
        if file.group.small:
            return self.local(file).stat().st_size
        return self.place(file).stat().st_size if self._is_made(file) else None

    # Versions

    def version(self, file: ServedFile) -> int:
        """Return how often a file has been replaced."""
        return self._version(self.place(file))

    def modified(self, file: ServedFile) -> datetime:
        """Return when the newest version of a file was last modified (UTC)."""
        return file.modified + self.version(file) * BETWEEN_VERSIONS

    def replace(self, file: ServedFile) -> int:
        """Let a newer version take the place of a file, and return its number; it is made when it is asked for."""
        place = self.place(file)
        with self._lock(place, file.name):
            version = self._version(place) + 1
            with pending(_mark(place, "version")) as mark:
                mark.write_text(f"{version}\n", encoding="ascii")
        return version

    def was_sent(self, file: ServedFile) -> None:
        """Take note that somebody has got a file to its end."""
        if file.improves and self.version(file) == 0:
            self.replace(file)

    def _version(self, place: Path) -> int:
        try:
            return int(_mark(place, "version").read_text(encoding="ascii"))
        except FileNotFoundError:
            return 0

    # Tape

    def state(self, file: ServedFile) -> str:
        """Return whether a file is online, on tape, or being read from tape."""
        left_s = self._left_s(file)
        if left_s is None:
            return TAPE
        return READING if left_s > 0.0 else ONLINE

    def ask(self, file: ServedFile) -> float:
        """Have a file read from tape if it is there; return in how many seconds it will be online, 0 if it is."""
        left_s = self._left_s(file)
        if left_s is None:
            mark = _mark(self.place(file), "asked")
            mark.parent.mkdir(parents=True, exist_ok=True)
            mark.touch()
            left_s = self._left_s(file)
        return left_s or 0.0

    def _left_s(self, file: ServedFile) -> float | None:
        """Return in how many seconds a file is online, 0 if it is; None if it is on tape and nobody asked for it."""
        if file.tape_s is None:
            return 0.0
        try:
            asked = _mark(self.place(file), "asked").stat().st_mtime
        except FileNotFoundError:
            return None
        return max(0.0, asked + file.tape_s - time.time())

    # What identifies a file that has been made

    def etag(self, file: ServedFile) -> str:
        """Return the entity tag, the same on every server of this folder."""
        text = f"{self.folder.name}|{file.path}|{self.version(file)}|{self.size(file)}"
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def checksums(self, file: ServedFile) -> tuple[bytes, int]:
        """Return SHA-256 and Adler-32 of a file, made if need be; they are worked out once for each version."""
        place = self.local(file)
        found = place.stat()
        key = (file.path, found.st_size, found.st_mtime_ns)
        if key not in self._sums:
            content = place.read_bytes()
            self._sums[key] = hashlib.sha256(content).digest(), zlib.adler32(content)
        return self._sums[key]

    # Making

    def _is_made(self, file: ServedFile) -> bool:
        return self._is_there(self.place(file), file.modified)

    def _is_there(self, place: Path, modified: datetime) -> bool:
        try:
            found = place.stat().st_mtime
        except FileNotFoundError:
            return False
        return abs(found - self._stamp(place, modified)) < 1.0

    def _stamp(self, place: Path, modified: datetime) -> float:
        return (modified + self._version(place) * BETWEEN_VERSIONS).timestamp()

    def _lock(self, place: Path, name: str) -> FileLock:
        place.parent.mkdir(parents=True, exist_ok=True)
        return FileLock(place.with_name(f".{name}.lock"))

    def _make(self, file: ServedFile) -> None:
        """Make the group of a file: written into a folder of its own, then moved into place one by one."""
        group, folder = file.group, self.place(file).parent
        with self._lock(self.place(file), group.name):
            stale = defaultdict(list)
            for member in group.members:
                if not self._is_there(folder / member, file.modified):
                    stale[self._version(folder / member)].append(member)
            if not stale:
                return
            for needed in group.inputs:
                self.local(needed)
            for leftover in folder.glob(f".{group.name}.making-*"):
                shutil.rmtree(leftover)
            for version, members in stale.items():
                logger.info("making %s, version %d", ", ".join(members), version)
                with (
                    self._makers,
                    tempfile.TemporaryDirectory(prefix=f".{group.name}.making-", dir=folder) as work,
                ):
                    group.make(Path(work), version)
                    for member in members:
                        stamp = (file.modified + version * BETWEEN_VERSIONS).timestamp()
                        os.utime(Path(work, member), (stamp, stamp))
                        Path(work, member).replace(folder / member)


def _mark(place: Path, what: str) -> Path:
    return place.with_name(f".{place.name}.{what}")
