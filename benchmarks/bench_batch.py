"""What many runs and many jobs cost: `python benchmarks/bench_batch.py [slurm|htcondor]`, some minutes.

Prints how long it takes to plan a season, and by proportion a thousand runs; then what pieces of work that do nothing
cost here and, with a farm named, in its jobs: time and memory. A pool of one machine to try it on:
`python magicpy_assets_tests/batch/pools.py slurm python benchmarks/bench_batch.py slurm`.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from pathlib import Path

from magicpy_assets.compute.base import Command, Workers, execute
from magicpy_assets.compute.pool import open_workers
from magicpy_assets.core.compute_settings import ComputeSettings


def nothing(number: int) -> int:
    return number


def memory_mb() -> float:
    """Return the most memory that this process has used, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def tasks(workers: Workers, name: str, number: int, folder: Path) -> None:
    start = time.perf_counter()
    workers.submit(nothing, 0).result()
    first = time.perf_counter() - start
    before, start = memory_mb(), time.perf_counter()
    futures = [workers.submit(nothing, n) for n in range(number)]
    handed = time.perf_counter() - start
    assert [future.result() for future in futures] == list(range(number))
    took = time.perf_counter() - start
    print(
        f"{name}: first answer {first:.2f} s; {number} empty tasks {took:.2f} s = {1e3 * took / number:.2f} ms each, "
        f"handed over in {handed:.2f} s, {memory_mb() - before:.0f} MB more"
    )
    count = max(1, number // 100)
    command = Command(("/bin/true",), folder / "log")
    start = time.perf_counter()
    for future in [workers.submit(execute, command) for _ in range(count)]:
        assert future.result().returncode == 0
    took = time.perf_counter() - start
    print(f"{name}: {count} programs that do nothing {took:.2f} s = {1e3 * took / count:.1f} ms each")


def plans(folder: Path) -> None:
    """Plan all of a source's season on the embedded observatory, nothing of which is there yet."""
    from magicpy_assets.pipeline.plan import plan
    from magicpy_assets.pipeline.session import open_session

    with open_session(store=str(folder), archive={"url": "embedded"}) as session:
        start = time.perf_counter()
        session.catalogue.refresh()
        print(f"catalogue of a season: {time.perf_counter() - start:.2f} s")
        plan(session, "CrabNebula", None, "superstar")  # the listings of the server are asked for once
        before, start = memory_mb(), time.perf_counter()
        planned = plan(session, "CrabNebula", None, "superstar")
        took, runs = time.perf_counter() - start, len(planned.only("superstar"))
        print(
            f"plan of {runs} runs, {len(planned)} tasks: {took:.2f} s = {1e3 * took / len(planned):.2f} ms a task; "
            f"of 1000 runs as those: {1e3 * took / runs:.1f} s, {memory_mb() - before:.0f} MB more"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("farm", nargs="?", choices=("slurm", "htcondor"))
    parser.add_argument("--tasks", type=int, default=10_000)
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        plans(folder / "store")
        with open_workers(ComputeSettings(workers=given.jobs), folder) as workers:
            tasks(workers, "local", given.tasks, folder)
        if given.farm:
            farm = ComputeSettings(kind=given.farm, max_jobs=given.jobs, poll_s=0.5, host="127.0.0.1", memory_gb=1.0)
            with open_workers(farm, folder) as workers:
                tasks(workers, given.farm, given.tasks, folder)


if __name__ == "__main__":
    # Workers import what they call by name.
    import bench_batch

    bench_batch.main()
