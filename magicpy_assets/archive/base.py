"""What an archive is to the rest of the package: files with states, and a way to get them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from magicpy_assets.core.datalevels import DataLevel
from magicpy_assets.core.errors import ArchiveError

if TYPE_CHECKING:
    import pandas as pd

ONLINE, TAPE, READING = "online", "tape", "reading"
STATUSES = ("fetched", "cached", "waiting", "offline", "failed")
OFFLINE_HINT = "set archive.offline to false when the data server can be reached"


class WaitingError(ArchiveError):
    """A file is on tape, and is being read.

    Attributes
    ----------
    until
        When it is worth asking again (UTC).
    """

    def __init__(self, message: str, until: datetime | None = None) -> None:
        super().__init__(message, permanent=False)
        self.until = until


class OfflineError(ArchiveError):
    """A file is not here, and the data server is not to be asked."""


@dataclass(frozen=True)
class RemoteFile:
    """A file on the server, as its listing or its headers describe it; None where they say nothing.

    `modified` is ISO text (UTC), `size` in bytes, `state` one of `online`, `tape` and `reading`.
    """

    path: str
    size: int | None = None
    modified: str | None = None
    etag: str | None = None
    state: str = ONLINE

    @property
    def name(self) -> str:
        """The file name."""
        return self.path.rsplit("/", 1)[-1]


@dataclass(frozen=True)
class FetchItem:
    """What became of one file: `fetched`, `cached` (was there), `waiting` (on tape), `offline` or `failed`.

    `until` says of a file on tape when it is worth asking again (UTC).
    """

    remote: RemoteFile
    target: Path
    status: str
    size: int = 0
    seconds: float = 0.0
    message: str = ""
    until: datetime | None = None

    def raise_if_missing(self) -> None:
        """Raise if the file could not be had.

        Raises
        ------
        WaitingError, OfflineError, ArchiveError
        """
        if self.status == "waiting":
            raise WaitingError(self.message, self.until)
        if self.status == "offline":
            raise OfflineError(self.message, hint=OFFLINE_HINT, permanent=False)
        if self.status == "failed":
            raise ArchiveError(self.message, permanent=False)


@dataclass
class FetchReport:
    """What became of the files that were asked for."""

    items: list[FetchItem] = field(default_factory=list)

    @property
    def table(self) -> pd.DataFrame:
        """A row per file: `name`, `status`, `bytes`, `seconds`, `message`, `path`, `url_path`."""
        import pandas as pd

        rows = [
            (item.remote.name, item.status, item.size, item.seconds, item.message, str(item.target), item.remote.path)
            for item in self.items
        ]
        return pd.DataFrame(rows, columns=["name", "status", "bytes", "seconds", "message", "path", "url_path"])

    def raise_if_failed(self) -> None:
        """Raise for files that could not be had.

        Raises
        ------
        ArchiveError
            Naming the first of them.
        """
        bad = [item for item in self.items if item.status in ("failed", "waiting", "offline")]
        if bad:
            more = f" and {len(bad) - 1} more" if len(bad) > 1 else ""
            raise ArchiveError(f"{bad[0].remote.name}{more}: {bad[0].message}", permanent=False)

    def __str__(self) -> str:
        counts = {status: sum(item.status == status for item in self.items) for status in STATUSES}
        words = ", ".join(f"{number} {status}" for status, number in counts.items() if number)
        total = sum(item.size for item in self.items if item.status == "fetched")
        return f"{len(self.items)} files: {words or 'none'}; {total / 1e6:.1f} MB fetched"


class Archive(Protocol):
    """A data server, or a folder like one.

    Attributes
    ----------
    offline
        Answer from what was listed last, and fetch nothing.
    as_of
        Offline: time of the oldest listing that has been used (UTC); None otherwise.
    copies
        Whether what is fetched takes up space here.
    """

    offline: bool
    as_of: datetime | None
    copies: bool

    def offered_nights(self, level: DataLevel, source: str) -> list[str]:
        """Return the night folders of a source; none where the server does not offer the level, or not of it."""

    def sources(self, level: DataLevel) -> list[str]:
        """Return the sources that have files of a level."""

    def nights(self, level: DataLevel, source: str) -> list[str]:
        """Return the night folders of a source."""

    def files(self, level: DataLevel, source: str, night: str) -> list[RemoteFile]:
        """Return the files of a source in a night."""

    def mc_files(self, period: str, zenith: str, use: str) -> list[RemoteFile]:
        """Return the Monte Carlo of a period and zenith range, for `train` or `test`."""

    def reports(self) -> list[RemoteFile]:
        """Return the run reports of all nights."""

    def runbooks(self) -> list[RemoteFile]:
        """Return the runbooks of all nights; none where the server has none."""

    def fetch(self, wanted: Iterable[tuple[RemoteFile, Path]]) -> FetchReport:
        """Get files into places."""

    def fetch_one(self, remote: RemoteFile, target: Path) -> FetchItem:
        """Get one file into its place."""

    def read_text(self, remote: RemoteFile) -> str:
        """Return the content of a small text file."""

    def close(self) -> None:
        """Stop what is being fetched."""


def age_text(as_of: datetime | None) -> str:
    """Return how old a listing is, for people; nothing if it is not an old one."""
    if as_of is None:
        return ""
    hours = (datetime.now(UTC) - as_of).total_seconds() / 3600.0
    age = f"{hours / 24:.1f} days" if hours >= 48 else f"{hours:.1f} hours"
    return f"offline: listings of the data server are as of {as_of:%Y-%m-%d %H:%M} UTC, {age} ago"
