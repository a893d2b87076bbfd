"""Jobs in a farm's queue, and how the farm's own programs are asked; what differs is in `htcondor` and `slurm`."""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal

from magicpy_assets.compute.health import QueueState
from magicpy_assets.core.errors import MagicpyError, ProgramError

ANSWER_S = 60.0
EXTRA = 'install the parts for farms: pip install "magicpy_assets[batch]"'
State = Literal["waiting", "running", "held", "ending"]


@dataclass(frozen=True)
class Job:
    """A job in the queue: its number, the name that it was given, its state and what the farm says about it."""

    number: str
    name: str
    state: State
    reason: str = ""


def state_of(kind: str, jobs: Callable[[], list[Job]]) -> QueueState:
    """Put our jobs in words, or why the farm does not answer; never raises."""
    if find_spec("dask_jobqueue") is None:
        return QueueState(False, f"{kind}: the package dask_jobqueue is not installed", EXTRA)
    try:
        ours = jobs()
    except MagicpyError as error:
        return QueueState(False, f"{kind}: {error.message}", error.hint or "ask again later, or whoever runs the farm")
    count = Counter(job.state for job in ours)
    text = f"{kind} answers; our jobs: {count['running']} running, {count['waiting']} waiting, {count['held']} held"
    held = next((job.reason for job in ours if job.state == "held"), "")
    return QueueState(not count["held"], f"{text} ({held})" if held else text, "release or remove the jobs held")


def ask(program: str, *words: str, fine: tuple[int, ...] = (0,)) -> str:
    """Run a program of the farm and return what it says.

    Raises
    ------
    ProgramError
        If it is not here, does not answer in time, or ends with a code that is not `fine`.
    """
    if shutil.which(program) is None:
        raise ProgramError(
            f"there is no {program} here",
            hint="run on a machine from which jobs can be submitted, or set compute.kind to 'local'",
        )
    try:
        done = subprocess.run([program, *words], capture_output=True, text=True, timeout=ANSWER_S, check=False)
    except subprocess.TimeoutExpired:
        raise ProgramError(f"{program} has not answered within {ANSWER_S:g} s", permanent=False) from None
    if done.returncode not in fine:
        raise ProgramError(f"{program} failed: {done.stderr.strip() or done.stdout.strip()}", permanent=False)
    return done.stdout
