"""The observatory's data server: the tree over HTTP on this machine, as the collaboration's server shows its own.

HTML listings, basic authentication, HEAD and GET, ranges, entity tags. What there is and how it is made is in ``tree``.
"""

from __future__ import annotations

import base64
import hmac
import html
import logging
import re
import secrets
import socket
import socketserver
import threading
from collections.abc import Sequence
from email.utils import format_datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, unquote, urlsplit

from magicpy_assets.observatory.programme import RUN_DURATION_S, Observation
from magicpy_assets.observatory.tree import ServedFile, Tree

logger = logging.getLogger(__name__)

REALM = "MAGIC data (simulated observatory)"
IDLE_TIMEOUT_S = 60.0
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


class Server:
    """A running data server; a context manager that stops it.

    Attributes
    ----------
    url
        Address of the root, without a slash at the end.
    user, password
        What it asks for.
    tree
        What it serves.
    """

    def __init__(self, tree: Tree, host: str, port: int, user: str, password: str) -> None:
        self.tree = tree
        self.user = user
        self.password = password
        self._http = _HttpServer((host, port), tree, user, password)
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Address of the root, without a slash at the end."""
        host, port = self._http.server_address[:2]
        return f"http://{host!s}:{port}"

    def start(self) -> Self:
        """Serve in a thread of this process."""
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()
        return self

    def close(self) -> None:
        """Stop serving and close every connection."""
        if self._thread is not None:
            self._http.shutdown()
            self._thread.join()
            self._thread = None
        self._http.server_close()

    def __enter__(self) -> Self:
        return self if self._thread is not None else self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def serve(
    cache: Path,
    seed: int,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    user: str = "magic",
    password: str | None = None,
    duration_s: float = RUN_DURATION_S,
    extra_nights: Sequence[Observation] = (),
) -> Server:
    """Return a data server of the simulated observatory; as a context manager it serves in a thread.

    Parameters
    ----------
    cache
        Folder for the files that have been made. Several servers may share it.
    seed
        Decides the programme and everything in the files.
    port
        0 takes a free one.
    password
        None makes one up; see ``Server.password``.
    duration_s, extra_nights
        As in ``programme``.
    """
    tree = Tree(Path(cache), seed, duration_s=duration_s, extra_nights=extra_nights)
    return Server(tree, host, port, user, password if password is not None else secrets.token_urlsafe(12))


def listing(tree: Tree, folder: PurePosixPath) -> str:
    """Return the HTML page of a folder: a table with a header row, then one row for each folder and file in it."""
    rows = "\n".join(
        _folder_row(name[:-1]) if name.endswith("/") else _file_row(tree, tree.files[folder / name])
        for name in tree.folders[folder]
    )
    title = html.escape(f"Index of {folder}")
    return (
        f"<!DOCTYPE html>\n<html><head><title>{title}</title></head>\n<body><h1>{title}</h1>\n"
        "<p>Simulated observatory: nothing here was taken with the MAGIC telescopes.</p>\n"
        "<table>\n<tr><th>State</th><th>Name</th><th>Last modified</th><th>Size</th></tr>\n"
        f"{rows}\n</table></body></html>\n"
    )


def _folder_row(name: str) -> str:
    link = f'<a href="{quote(name)}/" title="{html.escape(name)}">{html.escape(name)}/</a>'
    return f'<tr><td><i class="folder icon" title="Folder"></i></td><td>{link}</td><td>-</td><td>-</td></tr>'


def _file_row(tree: Tree, file: ServedFile) -> str:
    size, name = tree.size(file), html.escape(file.name)
    link = f'<a href="{quote(file.name)}" download="{name}" title="{name}">{name}</a>'
    return (
        f'<tr><td><i class="disk icon" title="Online"></i></td><td>{link}</td>'
        f"<td>{file.modified:%Y-%m-%d %H:%M:%S}</td><td>{'-' if size is None else size}</td></tr>"
    )


class _HttpServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], tree: Tree, user: str, password: str) -> None:
        self.tree = tree
        self.authorization = b"Basic " + base64.b64encode(f"{user}:{password}".encode())
        self._connections: set[socket.socket] = set()
        self._guard = threading.Lock()
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        """Bind without asking the name service for this machine's name, which can take seconds."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._guard:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._guard:
            self._connections.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        """Close the listening socket and wake every idle connection, so that its thread ends."""
        super().server_close()
        with self._guard:
            connections = list(self._connections)
        for connection in connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                logger.debug("a connection had been closed before the server was")

    def handle_error(self, request: Any, client_address: Any) -> None:
        logger.debug("connection from %s broke", client_address, exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    server: _HttpServer
    protocol_version = "HTTP/1.1"
    server_version = "magicpy-observatory"
    timeout = IDLE_TIMEOUT_S
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def log_message(self, format: str, *args: Any) -> None:
        logger.debug("%s %s", self.address_string(), format % args)

    def _answer(self, *, with_body: bool) -> None:
        if not hmac.compare_digest(self.headers.get("Authorization", "").encode(), self.server.authorization):
            self._text(HTTPStatus.UNAUTHORIZED, "Name and password, please.", with_body)
            return
        target = unquote(urlsplit(self.path).path)
        path, tree = PurePosixPath(target), self.server.tree
        is_folder = target.endswith("/")
        if path in tree.folders and not is_folder:
            self._text(HTTPStatus.MOVED_PERMANENTLY, "A folder.", with_body, location=quote(target) + "/")
            return
        if path not in (tree.folders if is_folder else tree.files):
            self._text(HTTPStatus.NOT_FOUND, f"There is no {target} here.", with_body)
            return
        try:
            found = listing(tree, path) if is_folder else tree.local(tree.files[path])
        except Exception as error:
            logger.exception("could not make %s", path)
            self._text(HTTPStatus.INTERNAL_SERVER_ERROR, f"{path} could not be made: {error}", with_body)
            return
        if isinstance(found, str):
            self._text(HTTPStatus.OK, found, with_body, "text/html; charset=utf-8")
        else:
            self._file(tree.files[path], found, with_body)

    def _text(
        self,
        status: HTTPStatus,
        text: str,
        with_body: bool,
        kind: str = "text/plain; charset=utf-8",
        location: str | None = None,
    ) -> None:
        body = text.encode()
        self.send_response(status)
        if status == HTTPStatus.UNAUTHORIZED:
            self.send_header("WWW-Authenticate", f'Basic realm="{REALM}"')
        if location is not None:
            self.send_header("Location", location)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def _file(self, file: ServedFile, local: Path, with_body: bool) -> None:
        with local.open("rb") as content:
            size = local.stat().st_size
            etag, modified = f'"{self.server.tree.etag(file)}"', format_datetime(file.modified, usegmt=True)
            try:
                span = parse_range(self._wanted_range(etag, modified), size)
            except ValueError:
                self._unsatisfiable(size)
                return
            first, stop = span or (0, size)
            self.send_response(HTTPStatus.OK if span is None else HTTPStatus.PARTIAL_CONTENT)
            if span is not None:
                self.send_header("Content-Range", f"bytes {first}-{stop - 1}/{size}")
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("Content-Type", "application/octet-stream")
            self.send_header("Content-Length", str(stop - first))
            self.send_header("ETag", etag)
            self.send_header("Last-Modified", modified)
            self.end_headers()
            if with_body:
                self.connection.sendfile(content, offset=first, count=stop - first)

    def _wanted_range(self, etag: str, modified: str) -> str:
        """Return the Range header, or nothing when it was meant for another state of the file."""
        return self.headers.get("Range", "") if self.headers.get("If-Range", etag) in (etag, modified) else ""

    def _unsatisfiable(self, size: int) -> None:
        self.send_response(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
        self.send_header("Content-Range", f"bytes */{size}")
        self.send_header("Content-Length", "0")
        self.end_headers()


def parse_range(header: str, size: int) -> tuple[int, int] | None:
    """Return the first byte and the byte after the last of a Range header's one range (``5-9``, ``5-`` or ``-4``).

    None when there is none, or more than one, or it makes no sense: then the whole file is the answer (RFC 9110 §14.2).
    Raises ValueError when nothing of the range is in the file.
    """
    match = _RANGE.fullmatch(header.strip())
    if match is None or not any(match.groups()):
        return None
    first, last = match.groups()
    if first and last and int(last) < int(first):
        return None
    start = int(first) if first else max(0, size - int(last))
    stop = min(int(last) + 1, size) if first and last else size
    if start >= stop:
        raise ValueError(f"nothing of {header!r} is in a file of {size} bytes")
    return start, stop
