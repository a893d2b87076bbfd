"""The data server over HTTP: what there is, and getting it, several files at a time. Nothing is fetched twice."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

from magicpy_assets.archive.base import (
    OFFLINE_HINT,
    ONLINE,
    FetchItem,
    FetchReport,
    OfflineError,
    RemoteFile,
    age_text,
)
from magicpy_assets.archive.connection import BusyError, Connection, NotOnServerError, RangeError
from magicpy_assets.archive.listing import parse_listing
from magicpy_assets.archive.transfer import Transfer, check_space
from magicpy_assets.archive.tree import ArchiveTree, Content
from magicpy_assets.core.errors import AccessDeniedError, ArchiveError, unknown
from magicpy_assets.core.progress import announce
from magicpy_assets.store.records import pending

logger = logging.getLogger(__name__)

TAPE_PATIENCE_S = 5.0
"""A file that is not sent within this time is still on tape."""

AGAIN_S = 60.0
"""When to ask again for a file on tape if the server does not say."""


class HttpArchive(ArchiveTree):
    """A data server with HTML listings, basic authentication and ranges.

    Parameters
    ----------
    url
        Address of the server.
    user, password
        For basic authentication.
    concurrency
        Files fetched at the same time.
    offline
        Answer from the last listings, fetch nothing.
    listings
        Folder where the last listings are kept.
    tape_patience_s
        How long a file on tape is waited for before the others go on.

    Attributes
    ----------
    as_of
        Offline: time of the oldest listing that has been used (UTC); None otherwise.

    Raises
    ------
    ConfigError
        If the address has a password in it: addresses are shown and logged.
    """

    copies = True

    def __init__(
        self,
        url: str,
        *,
        user: str | None = None,
        password: str | None = None,
        concurrency: int = 4,
        offline: bool = False,
        listings: Path | None = None,
        tape_patience_s: float = TAPE_PATIENCE_S,
    ) -> None:
        super().__init__(concurrency)
        self.offline = offline
        self.as_of: datetime | None = None
        self._connection = Connection(url, user, password)
        self._listings = listings
        self._tape_patience_s = tape_patience_s
        self._closed = threading.Event()

    def __repr__(self) -> str:
        since = f", as of {self.as_of:%Y-%m-%d %H:%M} UTC" if self.as_of else ""
        return f"HttpArchive({self._connection.url}{', offline' if self.offline else ''}{since})"

    def close(self) -> None:
        """Stop what is being fetched; it can be gone on with."""
        self._closed.set()

    # What there is

    def _list(self, folder: str) -> Content:
        """Return files and folders of a folder, from the server, or offline from its last listing."""
        if self.offline:
            return self._last_listing(folder)
        try:
            files, folders = self._listed(folder)
        except NotOnServerError as error:
            raise self._with_near_names(error, folder) from error
        self._keep_listing(folder, files, folders)
        return files, folders

    def _listed(self, folder: str) -> Content:
        return parse_listing(self._connection.text(folder.rstrip("/") + "/"), folder)

    def _with_near_names(self, error: NotOnServerError, path: str) -> NotOnServerError:
        """Return an error that also says what lies nearest to a path that is not there."""
        folder = path.rstrip("/")
        while folder:
            folder, _, name = folder.rpartition("/")
            try:
                files, folders = self._listed(folder)
            except NotOnServerError:
                continue
            except ArchiveError:
                break
            hint = unknown("name", name, [*folders, *(file.name for file in files)]).hint
            return NotOnServerError(f"{error.message}; in {folder or '/'}: {hint}")
        return error

    # Listings for times without a server

    def _listing_path(self, folder: str) -> Path | None:
        if self._listings is None:
            return None
        return self._listings / self._connection.host / (folder.strip("/").replace("/", "~") + ".json")

    def _keep_listing(self, folder: str, files: list[RemoteFile], folders: list[str]) -> None:
        path = self._listing_path(folder)
        if path is not None:
            content = {
                "files": [asdict(file) for file in files],
                "folders": folders,
                "at": datetime.now(UTC).isoformat(),
            }
            with pending(path) as temporary:
                temporary.write_text(json.dumps(content), encoding="utf-8")

    def _last_listing(self, folder: str) -> Content:
        path = self._listing_path(folder)
        try:
            content = json.loads(path.read_text(encoding="utf-8") if path else "{}")
            files = [RemoteFile(**file) for file in content["files"]]
            folders, at = list(content["folders"]), datetime.fromisoformat(content["at"])
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise ArchiveError(f"offline, and {folder} has never been listed", hint=OFFLINE_HINT) from error
        if self.as_of is None:
            logger.warning("%s", age_text(at))
        self.as_of = min(at, self.as_of or at)
        return files, folders

    # Getting

    def read_text(self, remote: RemoteFile) -> str:
        """Return the content of a small text file."""
        if self.offline:
            raise OfflineError(f"offline: {remote.name} cannot be read", hint=OFFLINE_HINT)
        return self._connection.text(remote.path)

    def fetch(self, wanted: Iterable[tuple[RemoteFile, Path]]) -> FetchReport:
        """Get files into places, several at a time; a file that fails, or is still on tape, stops no other.

        Raises
        ------
        ArchiveError
            If the disk is too full for all of them, before the first byte.
        AccessDeniedError
            If the server does not let us in.
        """
        pairs = list(wanted)
        if pairs:
            check_space(pairs[0][1].parent, sum(remote.size or 0 for remote, target in pairs if not target.exists()))
        stop = threading.Event()
        order = sorted(range(len(pairs)), key=lambda n: pairs[n][0].state != ONLINE)
        items: dict[int, FetchItem] = {}
        with ThreadPoolExecutor(self.concurrency) as pool:
            futures = {pool.submit(self._fetch_one, *pairs[n], stop): n for n in order}
            try:
                for future in as_completed(futures):
                    items[futures[future]] = future.result()
                    announce(len(pairs), len(items), "download")
            except BaseException:
                stop.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return FetchReport([items[n] for n in range(len(pairs))])

    def fetch_one(self, remote: RemoteFile, target: Path) -> FetchItem:
        """Get one file into its place.

        Raises
        ------
        AccessDeniedError
            If the server does not let us in.
        """
        return self._fetch_one(remote, target, threading.Event())

    def _fetch_one(self, remote: RemoteFile, target: Path, stop: threading.Event) -> FetchItem:
        started = time.monotonic()

        def item(remote: RemoteFile, status: str, message: str = "", until: datetime | None = None) -> FetchItem:
            size = target.stat().st_size if status in ("fetched", "cached") else 0
            return FetchItem(remote, target, status, size, time.monotonic() - started, message, until)

        try:
            if self.offline or remote.state != ONLINE:
                if target.is_file() and target.stat().st_size == remote.size:
                    return item(remote, "cached")
                if self.offline:
                    return item(remote, "offline", "offline, and not in the store")
                until = self._ready_at(remote)
                if until is not None:
                    return item(remote, "waiting", f"on tape ({remote.state}), ask again {_clock(until)}", until)
            transfer = Transfer(self._connection, target, lambda: stop.is_set() or self._closed.is_set())
            known, came = transfer.run(remote)
        except AccessDeniedError:
            raise
        except NotOnServerError as error:
            return item(remote, "failed", self._with_near_names(error, remote.path).message)
        except ArchiveError as error:
            return item(remote, "failed", error.message)
        except OSError as error:
            return item(remote, "failed", f"{type(error).__name__}: {error}")
        return item(known, "fetched" if came else "cached")

    def _ready_at(self, remote: RemoteFile) -> datetime | None:
        """Ask for a file on tape, which makes the server read it; return when to ask again, None if it is there."""
        try:
            first_byte = {"Range": "bytes=0-0"}
            self._connection.ask(
                "GET", remote.path, headers=first_byte, stream=True, once_within_s=self._tape_patience_s
            ).close()
        except RangeError:
            return None
        except BusyError as error:
            return datetime.now(UTC) + timedelta(seconds=AGAIN_S if error.after_s is None else error.after_s)
        except ArchiveError as error:
            if error.permanent:
                raise
            return datetime.now(UTC) + timedelta(seconds=AGAIN_S)
        return None


def _clock(moment: datetime) -> str:
    """Return when to ask again, for people: a minute or more is worth a time of day."""
    near = moment - datetime.now(UTC) < timedelta(minutes=1)
    return "in less than a minute" if near else f"after {moment:%H:%M} UTC"
