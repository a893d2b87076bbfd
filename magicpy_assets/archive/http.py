"""The data server over HTTP: list, fetch in parallel, resume, verify. Nothing is fetched twice, nothing lies half done.

Passwords go into the authentication header only: never into a log, a message or a record.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import threading
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import quote, urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from magicpy_assets.archive.base import ONLINE, FetchItem, FetchReport, RemoteFile
from magicpy_assets.archive.listing import parse_listing
from magicpy_assets.core.datalevels import DataLevel
from magicpy_assets.core.errors import AccessDeniedError, ArchiveError, ConfigError, unknown
from magicpy_assets.core.progress import announce
from magicpy_assets.store.records import pending

logger = logging.getLogger(__name__)

CHUNK = 1 << 16
"""Bytes written at a time: so much at most is lost when a connection breaks."""
TRIES = 4
CONNECT_S, READ_S = 10.0, 120.0
FREE_SPACE_MARGIN = 1.05


class HttpArchive:
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

    Raises
    ------
    ConfigError
        If the address has a password in it: addresses are shown and logged.
    """

    def __init__(
        self,
        url: str,
        *,
        user: str | None = None,
        password: str | None = None,
        concurrency: int = 4,
        offline: bool = False,
        listings: Path | None = None,
    ) -> None:
        if urlsplit(url).password is not None:
            raise ConfigError(
                "the address of the data server has a password in it",
                hint="set archive.user, and the password in MAGICPY_ARCHIVE_PASSWORD, netrc or keyring",
            )
        self.url = url.rstrip("/")
        self.offline = offline
        self.concurrency = concurrency
        self._auth = (user, password or "") if user else None
        self._listings = listings
        self._local = threading.local()

    def __repr__(self) -> str:
        return f"HttpArchive({self.url}{', offline' if self.offline else ''})"

    # What there is

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
        """Return the files of a source in a night."""
        return self._list(f"{self._data_folder(level)}/{source}/{night}")[0]

    def mc_files(self, period: str, zenith: str, use: str) -> list[RemoteFile]:
        """Return the Monte Carlo of a period and zenith range; empty where the server has none."""
        folder = f"/MC/Calibrated/{self._version('/MC/Calibrated')}"
        for name in (period, zenith, use):
            if name not in self._folders(folder):
                return []
            folder = f"{folder}/{name}"
        return self._list(folder)[0]

    def reports(self) -> list[RemoteFile]:
        """Return the run reports of all nights."""
        return [
            remote
            for night in self._folders("/CCdata")
            for remote in self._list(f"/CCdata/{night}")[0]
            if remote.name.endswith(".run")
        ]

    def _data_folder(self, level: DataLevel) -> str:
        return f"/Data/{level.name}/{self._version(f'/Data/{level.name}')}"

    def _version(self, folder: str) -> str:
        """Return the newest processing version of a tree: the highest of v1, v2, ..."""
        found = [name for name in self._folders(folder) if name[:1] == "v" and name[1:].isdigit()]
        if not found:
            raise ArchiveError(f"the data server has no processing version in {folder}")
        return max(found, key=lambda name: int(name[1:]))

    def _folders(self, folder: str) -> list[str]:
        return self._list(folder)[1]

    def _list(self, folder: str) -> tuple[list[RemoteFile], list[str]]:
        """Return files and folders of a folder, from the server or, if it cannot be reached, from the last listing."""
        if self.offline:
            return self._last_listing(folder)
        answer = self._get(folder + "/")
        files, folders = parse_listing(answer.text, folder)
        self._keep_listing(folder, files, folders)
        return files, folders

    def _listing_path(self, folder: str) -> Path | None:
        if self._listings is None:
            return None
        host = urlsplit(self.url).hostname or "server"
        return self._listings / host / (folder.strip("/").replace("/", "~") + ".json")

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

    def _last_listing(self, folder: str) -> tuple[list[RemoteFile], list[str]]:
        path = self._listing_path(folder)
        if path is None or not path.is_file():
            raise ArchiveError(f"offline, and {folder} has never been listed", hint="set archive.offline to false once")
        content = json.loads(path.read_text(encoding="utf-8"))
        logger.info("offline: listing of %s is of %s", folder, content["at"])
        return [RemoteFile(**file) for file in content["files"]], list(content["folders"])

    # Getting

    def read_text(self, remote: RemoteFile) -> str:
        """Return the content of a small text file."""
        if self.offline:
            raise ArchiveError(f"offline: {remote.name} cannot be read")
        return self._get(remote.path).text

    def fetch(self, wanted: Iterable[tuple[RemoteFile, Path]]) -> FetchReport:
        """Get files into places, several at a time; a file that fails stops no other.

        Raises
        ------
        ArchiveError
            If the disk is too full for all of them, before the first byte.
        AccessDeniedError
            If the server does not let us in.
        """
        pairs = list(wanted)
        self._check_space(pairs)
        report = FetchReport()
        with ThreadPoolExecutor(self.concurrency) as pool:
            for item in pool.map(lambda pair: self._fetch_one(*pair), pairs):
                report.items.append(item)
                announce(len(pairs), len(report.items), "download")
        return report

    def _check_space(self, pairs: list[tuple[RemoteFile, Path]]) -> None:
        needed = sum(remote.size or 0 for remote, target in pairs if not target.exists())
        if not pairs or not needed:
            return
        folder = next(parent for parent in pairs[0][1].absolute().parents if parent.exists())
        free = shutil.disk_usage(folder).free
        if needed * FREE_SPACE_MARGIN > free:
            raise ArchiveError(
                f"{needed / 1e9:.1f} GB are to be fetched, but {folder} has {free / 1e9:.1f} GB free",
                hint="choose another store, or fewer runs",
            )

    def _fetch_one(self, remote: RemoteFile, target: Path) -> FetchItem:
        started = time.monotonic()
        if (self.offline or remote.state != ONLINE) and target.is_file() and target.stat().st_size == remote.size:
            return FetchItem(remote, target, "cached", remote.size)
        if self.offline:
            return FetchItem(remote, target, "failed", message="offline")
        if remote.state != ONLINE:
            return FetchItem(
                remote, target, "waiting", message=f"{remote.name} is on tape ({remote.state}); ask again later"
            )
        try:
            known = self._head(remote)
            if target.is_file() and known.size is not None and target.stat().st_size == known.size:
                return FetchItem(known, target, "cached", known.size)
            size = self._transfer(known, target)
        except AccessDeniedError:
            raise
        except (ArchiveError, requests.RequestException, OSError) as error:
            message = error.message if isinstance(error, ArchiveError) else f"{type(error).__name__}: {error}"
            return FetchItem(remote, target, "failed", seconds=time.monotonic() - started, message=message)
        return FetchItem(known, target, "fetched", size, time.monotonic() - started)

    def _head(self, remote: RemoteFile) -> RemoteFile:
        answer = self._ask("HEAD", remote.path)
        size = answer.headers.get("Content-Length")
        modified = answer.headers.get("Last-Modified")
        return replace(
            remote,
            size=int(size) if size else remote.size,
            modified=parsedate_to_datetime(modified).isoformat() if modified else remote.modified,
            etag=(answer.headers.get("ETag") or "").strip('"') or None,
        )

    def _transfer(self, remote: RemoteFile, target: Path) -> int:
        """Fetch a file beside its place, going on where an earlier try stopped, and rename it when it is whole."""
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name}.part")
        mark = part.with_name(part.name + ".etag")
        if part.exists() and (not remote.etag or not mark.exists() or mark.read_text() != remote.etag):
            part.unlink()
        if remote.etag:
            mark.write_text(remote.etag)
        for attempt in range(TRIES):
            try:
                self._append(remote, part)
            except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
                if attempt == TRIES - 1:
                    raise ArchiveError(
                        f"the connection broke {TRIES} times while {remote.name} was fetched ({type(error).__name__})",
                        permanent=False,
                    ) from error
                time.sleep(0.2 * 2**attempt)
                continue
            size = part.stat().st_size
            if remote.size is None or size == remote.size:
                break
            if size > remote.size:
                part.unlink()
        else:
            raise ArchiveError(
                f"{remote.name} has another size than the server says ({remote.size} bytes)", permanent=False
            )
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(target)
        mark.unlink(missing_ok=True)
        return target.stat().st_size

    def _append(self, remote: RemoteFile, part: Path) -> None:
        have = part.stat().st_size if part.exists() else 0
        if remote.size is not None and have == remote.size:
            return
        headers = {"Accept-Encoding": "identity"}
        if have:
            headers["Range"] = f"bytes={have}-"
            if remote.etag:
                headers["If-Range"] = f'"{remote.etag}"'
        with self._ask("GET", remote.path, headers=headers, stream=True) as answer:
            # 200 to a range means that the server starts over, because it cannot resume or the file has changed.
            resumed = answer.status_code == requests.codes.partial_content
            if resumed and not answer.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
                raise ArchiveError(f"the data server sends another part of {remote.name} than it was asked for")
            mode = "ab" if resumed else "wb"
            with part.open(mode) as file:
                for chunk in answer.iter_content(CHUNK):
                    file.write(chunk)

    # Asking

    def _get(self, path: str) -> requests.Response:
        return self._ask("GET", path)

    def _ask(
        self, method: str, path: str, *, headers: dict[str, str] | None = None, stream: bool = False
    ) -> requests.Response:
        address = self.url + quote(path)
        try:
            answer = self._session().request(
                method, address, headers=headers, stream=stream, timeout=(CONNECT_S, READ_S), allow_redirects=False
            )
        except requests.exceptions.RetryError as error:
            raise ArchiveError(f"the data server is busy: {path} was refused {TRIES} times", permanent=False) from error
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
            if stream:
                raise
            raise ArchiveError(
                f"the data server {self.url} cannot be reached, or broke off, when asked for {path}",
                hint="archive.offline uses what is here",
                permanent=False,
            ) from error
        self._check(answer, path)
        return answer

    def _check(self, answer: requests.Response, path: str) -> None:
        code = answer.status_code
        if code in (401, 403):
            who = f"user {self._auth[0]}" if self._auth else "nobody"
            raise AccessDeniedError(
                f"the data server {self.url} does not let {who} read {path} (answer {code})",
                hint="set archive.user, and the password in MAGICPY_ARCHIVE_PASSWORD, netrc or keyring",
            )
        if code == requests.codes.not_found:
            raise ArchiveError(f"the data server has no {path}")
        if code == requests.codes.requested_range_not_satisfiable or code >= 300:
            raise ArchiveError(f"the data server answers {code} for {path}", permanent=code < 500)

    def _session(self) -> requests.Session:
        """Return the session of this thread: one connection each, with retries for what can pass."""
        found: requests.Session | None = getattr(self._local, "session", None)
        if found is None:
            found = requests.Session()
            found.trust_env = False
            found.auth = self._auth
            retry = Retry(
                total=TRIES,
                backoff_factor=0.2,
                status_forcelist=(429, 500, 502, 503, 504),
                allowed_methods=("GET", "HEAD"),
                respect_retry_after_header=True,
            )
            adapter = HTTPAdapter(max_retries=retry)
            found.mount("http://", adapter)
            found.mount("https://", adapter)
            self._local.session = found
        return found
