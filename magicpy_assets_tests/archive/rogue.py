"""A real HTTP server for tests that can be told, request by request, to do what servers should not."""

from __future__ import annotations

import re
import sys
import threading
from base64 import b64encode
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

USER, PASSWORD = "shifter", "c0rrect-horse-battery"


@dataclass
class Rogue:
    """What the server has, what it shall do next, and what it was asked.

    Attributes
    ----------
    files, pages
        Content by path; pages are HTML.
    todo
        By path, what to do with the next requests, first first: a status such as `503`, `drop N` (break off after N
        bytes), `stall N` (send nothing more after N bytes until `released`), `wait` (answer when `released`),
        `endless`, `ignore range`, `wrong range`, `shorter`, `longer`, `redirect`. Then the server behaves.
    etag, modified
        Of all files, as in headers; empty for none.
    headers
        More headers for files, by path.
    pause
        What a busy server says in `Retry-After`.
    asked
        Every request: method, path, Range.
    sent
        Bytes of bodies by path.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    pages: dict[str, str] = field(default_factory=dict)
    todo: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    etag: str = '"v1"'
    modified: str = ""
    headers: dict[str, dict[str, str]] = field(default_factory=dict)
    pause: str = "0"
    released: threading.Event = field(default_factory=threading.Event)
    locked: bool = False
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    sent: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def count(self, method: str, path: str) -> int:
        return sum(asked[:2] == (method, path) for asked in self.asked)

    def ranges(self, path: str) -> list[str]:
        return [wanted for method, asked, wanted in self.asked if (method, asked) == ("GET", path)]


def serve_rogue() -> Iterator[Rogue]:
    """Serve until the generator is closed."""
    rogue, guard = Rogue(), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self.answer("HEAD")

        def do_GET(self) -> None:
            self.answer("GET")

        def answer(self, method: str) -> None:
            with guard:
                rogue.asked.append((method, self.path, self.headers.get("Range", "")))
                steps = rogue.todo[self.path] if method == "GET" else []
                step = steps.pop(0) if steps else ""
            if step == "wait":
                rogue.released.wait(60)
            expected = "Basic " + b64encode(f"{USER}:{PASSWORD}".encode()).decode()
            if rogue.locked and self.headers.get("Authorization") != expected:
                self.say(401, b"", {})
            elif step.isdigit():
                self.say(int(step), b"not now", {"Retry-After": rogue.pause})
            elif step == "endless":
                self.endless()
            elif step == "redirect":
                self.say(302, b"", {"Location": f"http://localhost:{rogue.port}/elsewhere"})
            elif self.path in rogue.pages:
                self.body(200, rogue.pages[self.path].encode(), {"Content-Type": "text/html"}, step)
            elif self.path in rogue.files:
                self.file(rogue.files[self.path], step, method)
            else:
                self.say(404, b"", {})

        def file(self, content: bytes, step: str, method: str) -> None:
            headers = {"ETag": rogue.etag, "Last-Modified": rogue.modified} | rogue.headers.get(self.path, {})
            headers = {name: value for name, value in headers.items() if value}
            if step == "shorter":
                content = content[:-10]
            elif step == "longer":
                content += b"0123456789"
            match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
            condition = self.headers.get("If-Range")
            fresh = condition is None or condition in (rogue.etag, rogue.modified)
            if method == "HEAD" or match is None or step == "ignore range" or not fresh:
                self.body(200, content, headers, step, method)
                return
            first, stop = int(match[1]), min(int(match[2] or len(content)) + 1, len(content))
            if first >= len(content):
                self.say(416, b"", headers)
                return
            if step == "wrong range":
                first = 0
            headers["Content-Range"] = f"bytes {first}-{stop - 1}/{len(content)}"
            self.body(206, content[first:stop], headers, step, method)

        def body(self, code: int, content: bytes, headers: dict[str, str], step: str, method: str = "GET") -> None:
            if not step.startswith(("drop", "stall")):
                self.say(code, content, headers, method)
                return
            some = content[: int(step.split()[1])]
            self.say(code, some, headers | {"Content-Length": str(len(content))}, method)
            if step.startswith("stall"):
                rogue.released.wait(60)
            self.close_connection = True

        def endless(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.close_connection = True
            while True:
                self.wfile.write(b"<table>" * 100_000)
                rogue.sent[self.path] += 700_000

        def say(self, code: int, content: bytes, headers: dict[str, str], method: str | None = None) -> None:
            self.send_response(code)
            for name, value in ({"Content-Length": str(len(content))} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            if (method or self.command) == "GET":
                self.wfile.write(content)
                with guard:
                    rogue.sent[self.path] += len(content)

    with running(Handler) as rogue.port:
        try:
            yield rogue
        finally:
            rogue.released.set()


class Server(ThreadingHTTPServer):
    """A server that does not mind clients who hang up."""

    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


@contextmanager
def running(handler: type[BaseHTTPRequestHandler]) -> Iterator[int]:
    """Run a server in a thread of its own; gives its port."""
    server = Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
