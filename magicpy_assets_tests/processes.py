"""Programs that tests start: a port for them, a wait for what they do, and an end that leaves nothing behind."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import requests

ROOT = Path(__file__).parents[1]


def free_port() -> int:
    """A port on loopback that nobody listens to."""
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_open(port: int) -> bool:
    """Whether somebody listens to a port on loopback."""
    with contextlib.closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def answers(port: int) -> bool:
    """Whether the Dagster page answers on a port of loopback."""
    with contextlib.suppress(requests.RequestException):
        return requests.get(f"http://127.0.0.1:{port}/server_info", timeout=5).status_code == 200
    return False


def wait_until(true: Callable[[], bool], what: str, seconds: float = 480.0) -> None:
    """Wait for something to be true."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"waited {seconds:g} s for {what}"
        time.sleep(0.1)


def start(*words: str, log: Path, env: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
    """Start a program in a process group of its own, what it tells appended to a log."""
    with log.open("ab") as told:
        return subprocess.Popen(words, cwd=ROOT, env=env, stdout=told, stderr=told, start_new_session=True)


def kill(process: subprocess.Popen[Any]) -> None:
    """kill -9 of a program with all that it has started and that is still in its group; it is gone afterwards."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@contextlib.contextmanager
def started(*words: str, log: Path, env: Mapping[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A program that is asked to end at the end, and killed when it does not, with all that it has started."""
    process = start(*words, log=log, env=env)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
        kill(process)


def kill_all_with(text: str) -> None:
    """kill -9 of every process that was started with that text in its environment."""
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if text.encode() in (place / "environ").read_bytes() and int(place.name) != os.getpid():
                os.kill(int(place.name), signal.SIGKILL)
