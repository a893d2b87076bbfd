"""A real HTTP server for tests that can be told, request by request, to do what servers should not."""

from __future__ import annotations

import re
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
        bytes), `ignore range`, `wrong range`, `shorter`, `longer`, `redirect`. Then the server behaves.
    etag
        Of all files; empty for none.
    asked
        Every request: method, path, Range.
    sent
        Bytes of bodies by path.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    pages: dict[str, str] = field(default_factory=dict)
    todo: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    etag: str = "v1"
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
            expected = "Basic " + b64encode(f"{USER}:{PASSWORD}".encode()).decode()
            if rogue.locked and self.headers.get("Authorization") != expected:
                self.say(401, b"", {})
            elif step.isdigit():
                self.say(int(step), b"not now", {"Retry-After": "0"})
            elif step == "redirect":
                self.say(302, b"", {"Location": f"http://localhost:{rogue.port}/elsewhere"})
            elif self.path in rogue.pages:
                self.body(200, rogue.pages[self.path].encode(), {"Content-Type": "text/html"}, step)
            elif self.path in rogue.files:
                self.file(rogue.files[self.path], step, method)
            else:
                self.say(404, b"", {})

        def file(self, content: bytes, step: str, method: str) -> None:
            headers = {"ETag": f'"{rogue.etag}"'} if rogue.etag else {}
            if step == "shorter":
                content = content[:-10]
            elif step == "longer":
                content += b"0123456789"
            match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            fresh = self.headers.get("If-Range", f'"{rogue.etag}"') == f'"{rogue.etag}"'
            if method == "HEAD" or match is None or step == "ignore range" or not fresh:
                self.body(200, content, headers, step, method)
                return
            first = int(match[1])
            if first >= len(content):
                self.say(416, b"", headers)
                return
            if step == "wrong range":
                first = 0
            headers["Content-Range"] = f"bytes {first}-{len(content) - 1}/{len(content)}"
            self.body(206, content[first:], headers, step, method)

        def body(self, code: int, content: bytes, headers: dict[str, str], step: str, method: str = "GET") -> None:
            if not step.startswith("drop"):
                self.say(code, content, headers, method)
                return
            some = content[: int(step.split()[1])]
            self.say(code, some, headers | {"Content-Length": str(len(content))}, method)
            self.close_connection = True

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
        yield rogue


@contextmanager
def running(handler: type[BaseHTTPRequestHandler]) -> Iterator[int]:
    """Run a server in a thread of its own; gives its port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
