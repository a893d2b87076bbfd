"""Asking the data server: sessions, retries for what can pass, and clear errors for what cannot.

Passwords go into the authentication header only: never into a log, a message or a record.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from urllib.parse import quote, urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.response import BaseHTTPResponse
from urllib3.util import Retry

from magicpy_assets.core.credentials import Secret
from magicpy_assets.core.errors import AccessDeniedError, ArchiveError, ConfigError

TRIES = 4
CONNECT_S, READ_S = 10.0, 120.0
LONGEST_PAUSE_S = 60.0
"""However long a busy server asks us to stay away, it is asked again after this time."""
LONGEST_PAGE_BYTES, LONGEST_PAGE_S = 64 << 20, 600.0
CHUNK = 1 << 16
"""Bytes taken at a time: so much at most is lost when a connection breaks."""
CREDENTIALS = "set archive.user, and the password in MAGICPY_ARCHIVE_PASSWORD, netrc or keyring"
_BROKEN = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)


class BrokenConnectionError(ArchiveError):
    """The data server could not be reached, or broke off."""


class NotOnServerError(ArchiveError):
    """The data server has no such file or folder."""


class RangeError(ArchiveError):
    """The data server has nothing of the part of a file that was asked for."""


class BusyError(ArchiveError):
    """The data server asks us to come again later.

    Attributes
    ----------
    after_s
        In how many seconds, if it says so.
    """

    def __init__(self, message: str, after_s: float | None = None) -> None:
        super().__init__(message, permanent=False)
        self.after_s = after_s


class BoundedRetry(Retry):
    """Retries that do not wait for ever because a server says so."""

    def get_retry_after(self, response: BaseHTTPResponse) -> float | None:
        """Return how many seconds to stay away, if the server says so."""
        wanted = super().get_retry_after(response)
        return None if wanted is None else min(wanted, LONGEST_PAUSE_S)


class Connection:
    """A data server as one user sees it, for several threads.

    Parameters
    ----------
    url
        Address of the server.
    user, password
        For basic authentication.

    Raises
    ------
    ConfigError
        If the address has a password in it (addresses are shown and logged), or is none.
    """

    def __init__(self, url: str, user: str | None = None, password: str | None = None) -> None:
        parts = urlsplit(url)
        if parts.password is not None:
            raise ConfigError("the address of the data server has a password in it", hint=CREDENTIALS)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(f"{url!r} is no address of a data server", hint="archive.url = 'http://...'")
        self.url = url.rstrip("/")
        self.host = parts.hostname
        self._auth = (user, Secret(password or "")) if user else None
        self._local = threading.local()

    def ask(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        stream: bool = False,
        once_within_s: float | None = None,
    ) -> requests.Response:
        """Return the server's answer.

        Parameters
        ----------
        stream
            Leave the body to the caller, who closes the answer.
        once_within_s
            Ask only once, and wait for so long at most.

        Raises
        ------
        BrokenConnectionError, NotOnServerError, RangeError, AccessDeniedError, ArchiveError
        """
        session = self._session(patient=once_within_s is None)
        timeout = (CONNECT_S, READ_S if once_within_s is None else once_within_s)
        address = self.url + quote(path)
        try:
            answer = session.request(
                method, address, headers=headers, stream=stream, timeout=timeout, allow_redirects=False
            )
        except requests.exceptions.RetryError as error:
            raise ArchiveError(
                f"the data server is busy: {path} was refused {TRIES} times", permanent=False
            ) from _bare(error)
        except _BROKEN as error:
            raise self._broken(path) from _bare(error)
        try:
            self._check(answer, path)
        except ArchiveError:
            answer.close()
            raise
        return answer

    def text(self, path: str) -> str:
        """Return the content of a page or a small text file.

        Raises
        ------
        ArchiveError
            Also if it does not come to an end.
        """
        started, content = time.monotonic(), bytearray()
        with self.ask("GET", path, stream=True) as answer:
            for chunk in self.body(answer, path):
                content += chunk
                if len(content) > LONGEST_PAGE_BYTES or time.monotonic() - started > LONGEST_PAGE_S:
                    raise ArchiveError(f"the data server's answer for {path} does not come to an end")
        return content.decode(answer.encoding or "utf-8", errors="replace")

    def body(self, answer: requests.Response, path: str) -> Iterator[bytes]:
        """Return the body of an answer, a chunk at a time."""
        try:
            yield from answer.iter_content(CHUNK)
        except _BROKEN as error:
            raise self._broken(path) from _bare(error)

    def _broken(self, path: str) -> BrokenConnectionError:
        return BrokenConnectionError(
            f"the data server {self.url} cannot be reached, or broke off, when asked for {path}",
            hint="archive.offline uses what is here",
            permanent=False,
        )

    def _check(self, answer: requests.Response, path: str) -> None:
        code = answer.status_code
        if code in (requests.codes.unauthorized, requests.codes.forbidden):
            who = f"user {self._auth[0]}" if self._auth else "nobody"
            raise AccessDeniedError(
                f"the data server {self.url} does not let {who} read {path} (answer {code})", hint=CREDENTIALS
            )
        if code == requests.codes.not_found:
            raise NotOnServerError(f"the data server has no {path}")
        if code == requests.codes.requested_range_not_satisfiable:
            raise RangeError(f"the data server has another size of {path} than it said", permanent=False)
        if code in (requests.codes.accepted, requests.codes.service_unavailable):  # accepted: it will be there later
            raise BusyError(f"the data server answers {code} for {path}", _after_s(answer))
        if code not in (requests.codes.ok, requests.codes.partial_content):
            raise ArchiveError(f"the data server answers {code} for {path}", permanent=code < 500)

    def _session(self, *, patient: bool) -> requests.Session:
        """Return a session of this thread: one that tries again what can pass, or one that does not."""
        name = "patient" if patient else "hasty"
        found: requests.Session | None = getattr(self._local, name, None)
        if found is None:
            found = requests.Session()
            found.trust_env = False
            found.auth = self._auth
            found.headers["Accept-Encoding"] = "identity"
            retry = BoundedRetry(
                total=TRIES if patient else 0,
                backoff_factor=0.2,
                status_forcelist=(429, 500, 502, 503, 504) if patient else (),
                allowed_methods=("GET", "HEAD"),
            )
            for scheme in ("http://", "https://"):
                found.mount(scheme, HTTPAdapter(max_retries=retry))
            setattr(self._local, name, found)
        return found


def _after_s(answer: requests.Response) -> float | None:
    """Return in how many seconds the server wants to be asked again, if it says so in a form that makes sense."""
    text = answer.headers.get("Retry-After", "").strip()
    return float(text) if text.isascii() and text.isdecimal() and len(text) < 8 else None


def _bare(error: Exception) -> Exception:
    """Return an error without the frames it came through: the headers in them hold the password."""
    link: BaseException | None = error
    while link is not None:
        link.__traceback__ = None
        link = link.__cause__ or link.__context__
    return error
