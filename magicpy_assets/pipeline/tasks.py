"""A task: one product of the chain, or the few that one program run makes together, and what they are made from.

Whether it has to be done is decided here from records alone; doing it is `pipeline.run`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from magicpy_assets.archive.base import RemoteFile
from magicpy_assets.core.cell import Cell
from magicpy_assets.mars.program import Program
from magicpy_assets.store.records import Record, fingerprint, is_complete, read_record

MAX_ATTEMPTS = 3

Inputs = Mapping[str, Sequence[Path]]


@dataclass(frozen=True, eq=False)
class Task:
    """One program run, or one download.

    Attributes
    ----------
    stage, source, cell, unit
        Where it stands: level key, source name (`MC/train`, `MC/test` for Monte Carlo), cell, run or file.
    products
        What it makes; the first names the task.
    folder
        The folder below which all products lie.
    inputs
        Paths by role. Roles in `optional` may lose members that failed, as long as one is left.
    parameters
        Everything besides the inputs that changes the result.
    build
        From the inputs at hand and an output folder to the program that makes the products; None for downloads.
    finish
        Called with the folder once the products are in place.
    remote
        The file on the server, for downloads.
    fault
        Why this can never be done, found while planning (for example: no files of M2); empty if nothing is wrong.
    note
        What the plan says beside the reason, such as why a run begins where it does.
    """

    stage: str
    source: str
    cell: Cell | None
    unit: str
    products: tuple[Path, ...]
    folder: Path
    inputs: Inputs = field(default_factory=dict)
    optional: frozenset[str] = frozenset()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    results_version: int = 1
    build: Callable[[Inputs, Path], Program] | None = None
    finish: Callable[[Path], object] | None = None
    remote: RemoteFile | None = None
    fault: str = ""
    note: str = ""

    @property
    def product(self) -> Path:
        """The first product, by which the task is known."""
        return self.products[0]

    def all_inputs(self) -> list[Path]:
        """Every input of every role."""
        return [path for paths in self.inputs.values() for path in paths]

    def command(self) -> str:
        """Return the command line that would be run, for people."""
        if self.build is None:
            return f"get {self.remote.path}" if self.remote else ""
        return str(self.build(self.inputs, self.folder).cmdline)


@dataclass(frozen=True)
class Assessment:
    """What the records say about a task.

    `state` is one of `to do`, `up to date`, `blocked` (something it needs failed or is missing) and
    `set aside` (it failed for good). `inputs` are those that can be used; `fingerprint` is empty while
    an input has still to be made.
    """

    state: str
    reason: str
    inputs: Inputs = field(default_factory=dict)
    fingerprint: str = ""


def assess(task: Task, states: Mapping[Path, Assessment], *, force: bool = False) -> Assessment:
    """Decide from records alone whether a task has to be done, and why.

    Parameters
    ----------
    states
        The assessments of the tasks that make this one's inputs, by product path.
    force
        Do it even if it is up to date or has failed too often.
    """
    found = _assess(task, states, force=force)
    if task.note and found.state == "to do":
        return replace(found, reason=f"{found.reason}; {task.note}")
    return found


def _assess(task: Task, states: Mapping[Path, Assessment], *, force: bool) -> Assessment:
    if task.fault:
        return Assessment("set aside", task.fault)
    if task.remote is not None:
        return _assess_download(task, task.remote, force)
    usable, blocked = _usable_inputs(task, states)
    if blocked:
        return Assessment("blocked", blocked)
    record = read_record(task.product)
    to_make = [path.name for path in _flat(usable) if path in states and states[path].state == "to do"]
    if to_make:
        first = to_make[0] + (f" and {len(to_make) - 1} more" if len(to_make) > 1 else "")
        return Assessment("to do", "new" if record is None else f"input to be made: {first}", usable)
    wanted = fingerprint(task.stage, task.results_version, task.parameters, _fingerprints(usable))
    return _against_record(task, record, wanted, usable, force)


def _against_record(task: Task, record: Record | None, wanted: str, usable: Inputs, force: bool) -> Assessment:
    if force:
        return Assessment("to do", "forced", usable, wanted)
    if record is None:
        return Assessment("to do", "new", usable, wanted)
    if record.fingerprint == wanted:
        if record.outcome == "done":
            if all(is_complete(product, wanted) for product in task.products):
                return Assessment("up to date", "up to date", usable, wanted)
            return Assessment("to do", "product missing or not complete", usable, wanted)
        if record.outcome == "set aside":
            return Assessment("set aside", record.reason, usable, wanted)
        if record.attempts >= MAX_ATTEMPTS:
            tries = f"failed {record.attempts} of {MAX_ATTEMPTS} times: {record.reason}"
            return Assessment("set aside", tries, usable, wanted)
        tries = f"failed before: {record.attempts} of {MAX_ATTEMPTS}"
        return Assessment("to do", tries, usable, wanted)
    return Assessment("to do", _what_changed(task, record, usable), usable, wanted)


def _what_changed(task: Task, record: Record, usable: Inputs) -> str:
    if record.results_version != task.results_version:
        return f"results_version {record.results_version} -> {task.results_version}"
    old, new = dict(record.parameters), dict(task.parameters)
    for key in sorted(old.keys() | new.keys()):
        if old.get(key) != new.get(key):
            return f"parameter changed: {key} {old.get(key, 'none')} -> {new.get(key, 'none')}"
    known = dict(record.inputs)
    for name, value in _fingerprints(usable):
        if name not in known:
            return f"input added: {name}"
        if known[name] != value:
            return f"input changed: {name}"
    gone = known.keys() - {name for name, _ in _fingerprints(usable)}
    return f"input gone: {sorted(gone)[0]}" if gone else "changed"


def _usable_inputs(task: Task, states: Mapping[Path, Assessment]) -> tuple[Inputs, str]:
    usable: dict[str, list[Path]] = {}
    for role, paths in task.inputs.items():
        usable[role] = []
        for path in paths:
            why = _why_unusable(path, states)
            if not why:
                usable[role].append(path)
            elif role not in task.optional:
                return {}, f"needs {path.name}: {why}"
        if not usable[role]:
            return {}, f"no {role} data left" if paths else f"no {role} data"
    return usable, ""


def _why_unusable(path: Path, states: Mapping[Path, Assessment]) -> str:
    if path in states:
        state = states[path]
        return state.reason if state.state in ("blocked", "set aside") else ""
    record = read_record(path)
    if record is None:
        return "not made yet"
    return "" if record.outcome == "done" else record.reason


def _assess_download(task: Task, remote: RemoteFile, force: bool) -> Assessment:
    record = read_record(task.product)
    if force:
        return Assessment("to do", "forced")
    if record is None:
        return Assessment("to do", "new")
    for name, listed in identity(remote).items():
        known = record.parameters.get(name)
        if listed is not None and known is not None and listed != known:
            return Assessment("to do", f"changed on the server: {name} {known} -> {listed}")
    if record.outcome != "done":
        if record.attempts >= MAX_ATTEMPTS:
            return Assessment("set aside", f"failed {record.attempts} of {MAX_ATTEMPTS} times: {record.reason}")
        tries = f"failed before: {record.attempts} of {MAX_ATTEMPTS}" if record.attempts else record.reason
        return Assessment("to do", tries)
    if not is_complete(task.product, record.fingerprint):
        return Assessment("to do", "product missing or not complete")
    return Assessment("up to date", "up to date", {}, record.fingerprint)


def identity(remote: RemoteFile) -> dict[str, Any]:
    """Return what tells one version of a file on the server from another."""
    return {"path": remote.path, "size": remote.size, "modified": remote.modified, "etag": remote.etag}


def _flat(inputs: Inputs) -> list[Path]:
    return [path for paths in inputs.values() for path in paths]


def _fingerprints(inputs: Inputs) -> list[tuple[str, str]]:
    found = []
    for path in _flat(inputs):
        record = read_record(path)
        found.append((path.name, record.fingerprint if record else ""))
    return found
