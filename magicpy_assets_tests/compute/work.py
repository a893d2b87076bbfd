"""Pieces of work for worker processes: functions that a fresh process can import."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path


def square(number: int) -> int:
    return number * number


def note(file: Path, word: str) -> None:
    with file.open("a") as notes:
        notes.write(f"{word} {os.getpid()}\n")


def die(file: Path) -> None:
    """Be killed as by the memory guard of the kernel."""
    note(file, "died")
    os.kill(os.getpid(), signal.SIGKILL)


def die_once(file: Path) -> str:
    if not file.exists():
        die(file)
    return "done"


def slow_square(number: int, file: Path) -> int:
    note(file, "began")
    time.sleep(0.3)
    return number * number


def meet(mine: Path, other: Path) -> bool:
    """Tell whether another piece of work runs at the same time: both wait for each other."""
    mine.touch()
    for _ in range(1500):
        if other.exists():
            return True
        time.sleep(0.01)
    return False


def fail() -> None:
    raise KeyError("wrong")


def threads() -> set[int]:
    """How many threads the libraries for linear algebra use here."""
    import numpy  # noqa: F401 - brings one of them
    import threadpoolctl

    return {int(library["num_threads"]) for library in threadpoolctl.threadpool_info()}


def leave(code: int) -> None:
    os._exit(code)


def hand_back_what_cannot_travel() -> object:
    return lambda: None


def ignores_interrupts() -> bool:
    return signal.getsignal(signal.SIGINT) == signal.SIG_IGN


def run_for_ever(file: Path) -> None:
    """Start a program that never ends, the way `execute` does, and say which."""
    from magicpy_assets.compute.base import Command, execute

    code = f"import os, time; open({str(file)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    execute(Command((sys.executable, "-c", code), file.with_suffix(".log")))


def is_alive(pid: int) -> bool:
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(state.strip()) and not state.startswith("Z")


def number_in(file: Path) -> int:
    """The number in a file, once it is there."""
    for _ in range(3000):
        if file.exists() and file.read_text():
            return int(file.read_text())
        time.sleep(0.01)
    raise TimeoutError(file)


def parent_of(pid: int) -> int:
    return int(subprocess.run(["ps", "-o", "ppid=", "-p", str(pid)], capture_output=True, text=True, check=True).stdout)


def all_end(pids: list[int]) -> bool:
    """Whether processes end within the time that they have for it."""
    for _ in range(200):
        if not any(is_alive(pid) for pid in pids):
            return True
        time.sleep(0.1)
    return False


def environment(name: str) -> tuple[int, str | None, str]:
    """Return the number of this process, a variable, and the working folder."""
    return os.getpid(), os.environ.get(name), str(Path.cwd())
