"""How the observatory's data server answers: listings, basic authentication, ranges, tags, checksums, files on tape.

What there is and how it is made is in ``tree``.
"""

from __future__ import annotations

import base64
import hmac
import html
import logging
import math
import re
import socket
import socketserver
import threading
from email.utils import format_datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from magicpy_assets.observatory.shelf import ONLINE, ServedFile
from magicpy_assets.observatory.tree import Tree

logger = logging.getLogger(__name__)

REALM = "MAGIC data (simulated observatory)"
IDLE_TIMEOUT_S = 60.0
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


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
    shelf, name = tree.shelf, html.escape(file.name)
    size, state = shelf.size(file), shelf.state(file)
    icon = "disk" if state == ONLINE else "truck"
    link = f'<a href="{quote(file.name)}" download="{name}" title="{name}">{name}</a>'
    return (
        f'<tr><td><i class="{icon} icon" title="{state}"></i></td><td>{link}</td>'
        f"<td>{shelf.modified(file):%Y-%m-%d %H:%M:%S}</td><td>{'-' if size is None else size}</td></tr>"
    )


class HttpServer(ThreadingHTTPServer):
    """A tree on a port, for one user; call ``serve_forever``, and ``server_close`` to end every connection."""

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
        """Remember a connection while it is open."""
        with self._guard:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Forget a connection."""
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
        """Take note of a connection that broke, which is no fault of the server."""
        logger.debug("connection from %s broke", client_address, exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    server: HttpServer
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
        tree.refresh()
        is_folder = target.endswith("/")
        if path in tree.folders and not is_folder:
            self._text(HTTPStatus.MOVED_PERMANENTLY, "A folder.", with_body, location=quote(target) + "/")
            return
        if path not in (tree.folders if is_folder else tree.files):
            self._text(HTTPStatus.NOT_FOUND, f"There is no {target} here.", with_body)
            return
        if not is_folder and with_body and self._is_on_tape(tree.files[path]):
            return
        try:
            found = listing(tree, path) if is_folder else tree.shelf.local(tree.files[path])
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
        retry_after_s: float | None = None,
    ) -> None:
        body = text.encode()
        self.send_response(status)
        if status == HTTPStatus.UNAUTHORIZED:
            self.send_header("WWW-Authenticate", f'Basic realm="{REALM}"')
        if location is not None:
            self.send_header("Location", location)
        if retry_after_s is not None:
            self.send_header("Retry-After", f"{math.ceil(retry_after_s)}")
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def _is_on_tape(self, file: ServedFile) -> bool:
        """Have a file that is on tape read, and tell whoever asked for it to come back later."""
        shelf = self.server.tree.shelf
        left_s = shelf.ask(file)
        if left_s > 0.0:
            text = f"{file.name} is being read from tape."
            self._text(HTTPStatus.SERVICE_UNAVAILABLE, text, True, retry_after_s=left_s)
        return left_s > 0.0

    def _file(self, file: ServedFile, local: Path, with_body: bool) -> None:
        shelf = self.server.tree.shelf
        with local.open("rb") as content:
            size = local.stat().st_size
            etag, modified = f'"{shelf.etag(file)}"', format_datetime(shelf.modified(file), usegmt=True)
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
            self._send_checksums(file)
            self.end_headers()
            if with_body and stop > first:
                self.connection.sendfile(content, offset=first, count=stop - first)
            if with_body and stop == size:
                shelf.was_sent(file)

    def _send_checksums(self, file: ServedFile) -> None:
        """Give the checksums that were asked for: SHA-256 (RFC 9530), and Adler-32 as dCache does (RFC 3230)."""
        shelf = self.server.tree.shelf
        if "sha-256" in self.headers.get("Want-Repr-Digest", "").lower():
            text = base64.b64encode(shelf.checksums(file)[0]).decode()
            self.send_header("Repr-Digest", f"sha-256=:{text}:")
        if "adler32" in self.headers.get("Want-Digest", "").lower():
            self.send_header("Digest", f"adler32={shelf.checksums(file)[1]:08x}")

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
