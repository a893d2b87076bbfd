"""A command as a value, and what became of it. Running one is the same everywhere: `execute`."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from magicpy_assets.compute import leash

CRASHED = 70
TIMED_OUT = 124
_GRACE_S = 5.0


@dataclass(frozen=True)
class Command:
    """What to run, where its words go, and for how long it may run.

    Attributes
    ----------
    argv
        The command line.
    log
        The log file; every line gets a time stamp.
    entry
        `module:function` to call in this process with `arguments` instead of starting a program; not where there is
        a time limit, for only a process can be stopped at any moment.
    arguments
        The words after the program's name, for `entry`.
    env
        The child's whole environment; None for ours.
    timeout_s
        After that many seconds it is killed; None for never.
    """

    argv: tuple[str, ...]
    log: Path
    entry: str | None = None
    arguments: tuple[str, ...] = ()
    env: Mapping[str, str] | None = None
    cwd: Path | None = None
    timeout_s: float | None = None

    @property
    def program(self) -> str:
        """The name of the program: what a job of it asks for can depend on that."""
        return self.arguments[0] if self.entry and self.arguments else Path(self.argv[0]).name

    def __str__(self) -> str:
        return shlex.join(self.argv)


class Workers(Executor):
    """Where commands run: this machine or a farm, used the same way.

    Attributes
    ----------
    notes
        What users should be told of, such as work that was tried again because its worker or job was killed.
    """

    def __init__(self) -> None:
        self.notes: list[str] = []

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # After an error, such as Ctrl-C, nobody waits for what is under way.
        self.shutdown(wait=True, cancel_futures=error is not None)


@dataclass(frozen=True)
class Outcome:
    """What became of a command: return code (negative for a signal), log, when, how long, where."""

    argv: tuple[str, ...]
    returncode: int
    log: Path
    started: datetime
    duration_s: float
    host: str = field(default_factory=socket.gethostname)

    @property
    def timed_out(self) -> bool:
        """Whether it was killed for taking too long."""
        return self.returncode == TIMED_OUT


class _Stamped(io.TextIOBase):
    """Writes whole lines to a file, each after the time of day."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._rest = ""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._file.write(f"{datetime.now(UTC):%H:%M:%S} {line}\n")
        return len(text)

    def flush(self) -> None:
        self._file.flush()

    def finish(self) -> None:
        """Write what is left of a last line without an end."""
        if self._rest:
            self.write("\n")
        self._file.flush()


@contextlib.contextmanager
def _log(path: Path) -> Iterator[_Stamped]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", errors="replace") as file:
        stamped = _Stamped(file)
        try:
            yield stamped
        finally:
            stamped.finish()


def execute(command: Command) -> Outcome:
    """Run a command to its end; whatever happens to it ends up in the outcome and the log.

    Only an interruption of this process is raised, after the child has been stopped.
    """
    started, clock = datetime.now(UTC), time.monotonic()
    with _log(command.log) as log:
        log.write(f"$ {command}\n")
        log.flush()
        here = command.entry and command.timeout_s is None
        returncode = _call(command, log) if here else _spawn(command, log)
    return Outcome(command.argv, returncode, command.log, started, time.monotonic() - clock)


def _call(command: Command, log: _Stamped) -> int:
    module, _, name = str(command.entry).partition(":")
    with contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
        try:
            main: Any = getattr(importlib.import_module(module), name)
            return int(main(list(command.arguments)) or 0)
        except SystemExit as stop:
            if isinstance(stop.code, str):
                log.write(f"{stop.code}\n")
            return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        except Exception:  # noqa: BLE001 - whatever a program does wrong is its outcome
            traceback.print_exc(file=log)
            return CRASHED


def _spawn(command: Command, log: _Stamped) -> int:
    """Run a program on a leash: should we be killed, it does not outlive us."""
    try:
        child = subprocess.Popen(
            [sys.executable, "-I", "-S", leash.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=command.cwd,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        log.write(f"cannot start {command.argv[0]}: {error}\n")
        return leash.NOT_FOUND
    assert child.stdin is not None
    assert child.stdout is not None
    reader = threading.Thread(target=_copy, args=(child.stdout, log), daemon=True)
    reader.start()
    with child.stdin as hold:
        try:
            hold.write(json.dumps([command.argv, dict(command.env) if command.env is not None else None]) + "\n")
            hold.flush()
            returncode = child.wait(command.timeout_s)
        except subprocess.TimeoutExpired:
            returncode = TIMED_OUT
        finally:
            _stop(child)
    reader.join(_GRACE_S)
    if returncode == TIMED_OUT and command.timeout_s is not None:
        log.write(f"stopped after {command.timeout_s:g} s\n")
    return returncode


def _copy(source: IO[str], log: _Stamped) -> None:
    # The log is closed before the source where a program leaves children behind that have escaped.
    with source, contextlib.suppress(ValueError):
        for line in source:
            log.write(line)
        log.flush()


def _stop(child: subprocess.Popen[str]) -> None:
    """End a child, if it has not ended by itself, and all that it has started: first asked, then made to."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(_GRACE_S)
