"""One file from the data server to its place: gone on with where it broke off, verified, put in place when it is whole.

What is here of a file lies beside its place in a hidden `.part`, with a note of which version of the file it is a part
of. A lock keeps others away from it.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

import requests

from magicpy_assets.archive.base import RemoteFile
from magicpy_assets.archive.checksums import WANTED, disagreeing, given_checksums
from magicpy_assets.archive.connection import TRIES, BrokenConnectionError, Connection, RangeError
from magicpy_assets.core.errors import ArchiveError
from magicpy_assets.store.records import product_lock, put_in_place

FREE_SPACE_MARGIN = 1.05
LARGEST_BYTES = 1 << 36
"""No file is larger: one whose size the server does not say ends here, or when half of the free disk is full."""


@dataclass(frozen=True)
class Offer:
    """A file as the server offers it now.

    Attributes
    ----------
    remote
        The file, with what the headers say.
    version
        Header text that names this version of the file, for `If-Range`; empty if there is none.
    checksums
        Bytes by algorithm.
    modified
        Seconds since 1970, or None.
    """

    remote: RemoteFile
    version: str
    checksums: dict[str, bytes]
    modified: float | None

    def is_at(self, place: Path) -> bool:
        """Tell whether this very version of the file is here: of its size, and as old as the server's."""
        try:
            found = place.stat()
        except FileNotFoundError:
            return False
        if self.modified is not None and abs(found.st_mtime - self.modified) >= 1:
            return False
        known = self.remote.size is not None or self.modified is not None
        return known and self.remote.size in (None, found.st_size)


def offered(connection: Connection, remote: RemoteFile) -> Offer:
    """Ask the server for a file's size, version and checksums."""
    headers = connection.ask("HEAD", remote.path, headers=WANTED).headers
    size, tag, modified = headers.get("Content-Length", ""), headers.get("ETag", ""), _date(headers)
    known = replace(
        remote,
        size=int(size) if size.isdecimal() else remote.size,
        modified=modified.isoformat() if modified else remote.modified,
        etag=tag.strip('"') or None,
    )
    version = tag if tag.startswith('"') else headers.get("Last-Modified", "")  # weak tags do not go with ranges
    return Offer(known, version, given_checksums(headers), modified.timestamp() if modified else None)


def _date(headers: requests.structures.CaseInsensitiveDict[str]) -> datetime | None:
    try:
        return parsedate_to_datetime(headers["Last-Modified"])
    except (KeyError, TypeError, ValueError, IndexError):
        return None


def check_space(folder: Path, n_bytes: int) -> None:
    """Raise if something would not fit on the disk.

    Raises
    ------
    ArchiveError
        With the space that is needed and free.
    """
    free = free_bytes(folder)
    if n_bytes * FREE_SPACE_MARGIN > free:
        raise ArchiveError(
            f"{n_bytes / 1e9:.1f} GB are to be fetched, but {folder} has {free / 1e9:.1f} GB free",
            hint="choose another store, or fewer runs",
        )


def free_bytes(folder: Path) -> int:
    """Return how much is free on the disk of a folder that may still have to be made."""
    there = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
    return shutil.disk_usage(there).free


class Transfer:
    """The way of one file to its place.

    Parameters
    ----------
    connection
        The data server.
    target
        The place.
    stopped
        Asked again and again: true ends the transfer; what has come is kept for the next time.
    """

    def __init__(self, connection: Connection, target: Path, stopped: Callable[[], bool]) -> None:
        self.connection = connection
        self.target = target
        self.stopped = stopped
        self.part = target.with_name(f".{target.name}.part")
        self.note = target.with_name(f".{target.name}.part-of")

    def run(self, remote: RemoteFile) -> tuple[RemoteFile, bool]:
        """Bring the file to its place, unless it is there; return how the server describes it, and whether it came.

        Raises
        ------
        ArchiveError
            Nothing has changed at the place then.
        """
        self.target.parent.mkdir(parents=True, exist_ok=True)
        with product_lock(self.part):
            offer = offered(self.connection, remote)
            if offer.is_at(self.target):
                return offer.remote, False
            self._fetch(offer)
            if offer.modified is not None:
                os.utime(self.part, (time.time(), offer.modified))
            put_in_place(self.part, self.target)
            self.note.unlink(missing_ok=True)
        return offer.remote, True

    def _fetch(self, offer: Offer) -> None:
        """Complete the part, however often the connection breaks, up to `TRIES` times."""
        name = offer.remote.name
        if not offer.version or not self.note.exists() or self.note.read_text(encoding="utf-8") != offer.version:
            self.part.unlink(missing_ok=True)
        self.note.write_text(offer.version, encoding="utf-8")
        check_space(self.target.parent, (offer.remote.size or 0) - self._have())
        fault = ArchiveError("")
        for attempt in range(TRIES):
            if attempt:
                time.sleep(0.1 * 2**attempt)
            try:
                self._append(offer)
                self._verify(offer)
            except BrokenConnectionError:
                fault = ArchiveError(f"the connection broke {TRIES} times while {name} was fetched", permanent=False)
            except _OtherFileError as error:
                fault = error
                self.part.unlink(missing_ok=True)
            else:
                return
        raise fault

    def _have(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _append(self, offer: Offer) -> None:
        """Ask for what is missing, and write it behind what is here."""
        remote, have = offer.remote, self._have()
        if have and have == remote.size:
            return
        headers = {"Range": f"bytes={have}-", "If-Range": offer.version} if have else {}
        try:
            answer = self.connection.ask("GET", remote.path, headers=headers, stream=True)
        except RangeError as error:
            raise _OtherFileError(error.message, permanent=False) from error
        with answer:
            # Any answer but "partial" means that the server starts over: it cannot resume, or the file has changed.
            resumed = answer.status_code == requests.codes.partial_content
            if resumed and not answer.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
                raise ArchiveError(f"the data server sends another part of {remote.name} than it was asked for")
            longest = self._longest() if remote.size is None else remote.size
            with self.part.open("ab" if resumed else "wb") as file:
                for chunk in self.connection.body(answer, remote.path):
                    if self.stopped():
                        raise ArchiveError(f"{remote.name}: stopped", permanent=False)
                    file.write(chunk)
                    if file.tell() > longest:
                        raise _OtherFileError(f"{remote.name} does not end where it should", permanent=False)

    def _longest(self) -> int:
        """Return how long a file of unknown size may become: so that half of what is free stays free."""
        return min(LARGEST_BYTES, self._have() + free_bytes(self.target.parent) // 2)

    def _verify(self, offer: Offer) -> None:
        name, size, have = offer.remote.name, offer.remote.size, self._have()
        if size is not None and have != size:
            raise _OtherFileError(f"{name} is said to have {size} bytes, but {have} came", permanent=False)
        wrong = disagreeing(self.part, offer.checksums)
        if wrong:
            raise _OtherFileError(f"{name} has another {wrong} checksum than the data server gives", permanent=False)


class _OtherFileError(ArchiveError):
    """What has come is not the file that was offered: it is thrown away."""
