"""How much faster several files at a time are, from a server that takes its time over each request.

python benchmarks/bench_downloads.py
"""

from __future__ import annotations

import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory

from magicpy_assets.archive.base import RemoteFile
from magicpy_assets.archive.http import HttpArchive

FILES, BYTES, DELAY_S = 32, 2_000_000, 0.1


class Slow(BaseHTTPRequestHandler):
    """Serves the same content under every name, each request after a delay."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_HEAD(self) -> None:
        time.sleep(DELAY_S)
        self.send_response(200)
        self.send_header("Content-Length", str(BYTES))
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        self.wfile.write(bytes(BYTES))

    def log_message(self, format: str, *args: object) -> None:
        pass


def seconds(url: str, concurrency: int) -> float:
    """Return how long it takes to fetch all files (s)."""
    with TemporaryDirectory() as folder:
        wanted = [(RemoteFile(f"/f{n}.root", BYTES), Path(folder, f"f{n}.root")) for n in range(FILES)]
        started = time.perf_counter()
        HttpArchive(url, concurrency=concurrency).fetch(wanted).raise_if_failed()
        return time.perf_counter() - started


def main() -> None:
    """Print seconds, and the ratio to one file at a time."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    alone = seconds(url, 1)
    for concurrency in (1, 4, 16):
        took = alone if concurrency == 1 else seconds(url, concurrency)
        sys.stdout.write(f"{concurrency:3d} at a time: {took:6.2f} s, {alone / took:5.2f} times as fast as one\n")
    server.shutdown()


if __name__ == "__main__":
    main()
