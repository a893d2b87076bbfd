"""A pool as tests see it, and work for its jobs; as a program, it keeps a job at work until it is stopped."""

from __future__ import annotations

import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from magicpy_assets.compute.base import Command, execute
from magicpy_assets.compute.farms import Farm, farm
from magicpy_assets.compute.pool import open_workers
from magicpy_assets.core.compute_settings import ComputeKind, ComputeSettings


@dataclass
class Pool:
    """A pool that is up."""

    kind: ComputeKind
    folder: Path

    @property
    def farm(self) -> Farm:
        return farm(self.kind)

    def compute(self, **more: Any) -> dict[str, Any]:
        """Settings with which jobs go to the pool."""
        common = {"kind": self.kind, "max_jobs": 2, "poll_s": 0.5, "host": "127.0.0.1", "memory_gb": 1.0}
        return common | {"walltime_h": 0.2, "disk_gb": 0.1} | more


def square(number: int) -> int:
    return number * number


def fail() -> None:
    raise KeyError("wrong")


def die(file: Path) -> None:
    with file.open("a") as notes:
        notes.write("died\n")
    os.kill(os.getpid(), signal.SIGKILL)


def linger_once(file: Path) -> str:
    if not file.exists():
        file.touch()
        time.sleep(600)
    return "done"


def secret() -> str | None:
    return os.environ.get("MAGICPY_ARCHIVE_PASSWORD")


def heed_interrupts() -> None:
    """Undo what a shell does to what it starts in the background."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def main() -> None:
    folder, settings = Path(sys.argv[1]), ComputeSettings.model_validate_json(sys.argv[2])
    code = f"import os, time; open({str(folder / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    with open_workers(settings, folder) as workers:
        workers.submit(execute, Command((sys.executable, "-c", code), folder / "log")).result()


if __name__ == "__main__":
    main()
