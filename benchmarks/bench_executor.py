"""What worker processes cost: `python benchmarks/bench_executor.py`, less than a minute.

Prints how long pieces of work take with the executor and with a common process pool, what it costs when workers are
killed, and what a program costs that is started as one. What several workers gain can be told on an idle machine only.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import signal
import subprocess
import tempfile
import time
from concurrent.futures import Executor, ProcessPoolExecutor
from pathlib import Path

import numpy as np

from magicpy_assets.compute.base import Command, execute
from magicpy_assets.compute.local import LocalExecutor

ROUNDS = 1_000_000


def nothing(number: int) -> int:
    return number


def busy(number: int) -> int:
    """Keep one core busy for about a twentieth of a second."""
    for _ in range(ROUNDS):
        number = (number * 1103515245 + 12345) & 0x7FFFFFFF
    return number


def busy_or_dead(number: int, mark: str) -> int:
    """Be killed the first time, if a mark is given; else be busy."""
    if mark and not Path(mark).exists():
        Path(mark).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return busy(number)


def common(workers: int) -> Executor:
    return ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))


def seconds(executor: Executor, number: int, *, work: object = busy) -> float:
    """Return how long some pieces of work take in a pool that is warm."""
    list(executor.map(busy, range(4)))
    start = time.perf_counter()
    list(executor.map(work, range(number)))
    return time.perf_counter() - start


def told(name: str, pairs: list[tuple[float, float]]) -> None:
    table = np.array(pairs)
    ratio = table[:, 0] / table[:, 1]
    ours, other = np.median(table, axis=0)
    print(f"{name}: {ours:.3f} s / {other:.3f} s = {np.median(ratio):.2f} ({ratio.min():.2f} to {ratio.max():.2f})")


def deaths(workers: int, number: int, killed: int) -> float:
    """Return how long some pieces of work take of which some kill their worker the first time."""
    with tempfile.TemporaryDirectory() as folder, LocalExecutor(workers) as executor:
        list(executor.map(busy, range(4)))
        marks = [f"{folder}/{n}" if n < killed else "" for n in range(number)]
        start = time.perf_counter()
        list(executor.map(busy_or_dead, range(number), marks))
        return time.perf_counter() - start


def programs(number: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        for _ in range(number):
            execute(Command(("/bin/true",), Path(folder) / "log"))
        return time.perf_counter() - start


def bare(number: int) -> float:
    start = time.perf_counter()
    for _ in range(number):
        subprocess.run(["/bin/true"], check=True)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--pieces", type=int, default=12)
    parser.add_argument("--empty", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    workers, pieces = given.workers, given.pieces
    with LocalExecutor(workers) as ours, common(workers) as other, LocalExecutor(1) as one:
        turns = range(given.repeats)
        told(
            f"{given.empty} empty pieces, executor / common pool",
            [(seconds(ours, given.empty, work=nothing), seconds(other, given.empty, work=nothing)) for _ in turns],
        )
        told(
            f"{pieces} busy pieces, executor / common pool",
            [(seconds(ours, pieces), seconds(other, pieces)) for _ in turns],
        )
        told(
            f"{pieces} busy pieces, 1 worker / {workers} workers",
            [(seconds(one, pieces), seconds(ours, pieces)) for _ in turns],
        )
    told(
        f"{pieces} busy pieces, 3 workers killed / none",
        [(deaths(workers, pieces, 3), deaths(workers, pieces, 0)) for _ in turns],
    )
    told("50 programs that do nothing, with log and leash / bare", [(programs(50), bare(50)) for _ in turns])


if __name__ == "__main__":
    # Workers import what they call by name.
    import bench_executor

    bench_executor.main()
