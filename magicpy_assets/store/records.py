"""The record beside a product: what it is, what it was made from and how it went. Records are the only truth.

A record lies in `.records/` beside the product and is written after it, each by a temporary file and a rename, so that
a process killed at any moment leaves either the old state or the new one.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import os
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Self

from filelock import FileLock, Timeout

logger = logging.getLogger(__name__)

RECORDS = ".records"
PENDING = ".pending"
OUTCOMES = ("done", "failed", "set aside")
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Record:
    """What is known about one product.

    Attributes
    ----------
    fingerprint
        Identity of the content: see `fingerprint`.
    inputs
        Names and fingerprints of what it was made from.
    parameters
        Everything besides the inputs that changes the result.
    command
        The command line, word by word.
    start, duration_s, host
        ISO time (UTC), seconds, machine.
    size, checksum
        Of the product: bytes, SHA-256.
    log
        Name of the log in `.logs/` beside the product.
    outcome, reason, attempts
        `done`, `failed` or `set aside`; why; how often it was tried with this fingerprint.
    measured
        Numbers found in the product that later stages need, such as the pedestal level.
    """

    fingerprint: str
    stage: str
    product: str
    outcome: str = "done"
    reason: str = ""
    inputs: tuple[tuple[str, str], ...] = ()
    program: str = ""
    program_version: str = ""
    results_version: int = 1
    command: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    measured: Mapping[str, float] = field(default_factory=dict)
    start: str = ""
    duration_s: float = 0.0
    host: str = ""
    size: int | None = None
    checksum: str = ""
    log: str = ""
    attempts: int = 1
    simulated: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "inputs", tuple((str(name), str(value)) for name, value in self.inputs))
        object.__setattr__(self, "command", tuple(str(word) for word in self.command))

    def replace(self, **changes: Any) -> Self:
        """Return the record with some fields changed."""
        return dataclasses.replace(self, **changes)

    def to_json(self) -> str:
        """Return the record as text."""
        return json.dumps(dataclasses.asdict(self), indent=1, sort_keys=True, default=str) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read a record; fields that this version does not know are left out."""
        values = json.loads(text)
        if not isinstance(values, dict):
            raise ValueError(f"a record is a JSON object, not {text[:20]!r}")
        known = {item.name for item in dataclasses.fields(cls)}
        return cls(**{key: value for key, value in values.items() if key in known})


def fingerprint(
    stage: str, results_version: int, parameters: Mapping[str, Any], inputs: Sequence[tuple[str, str]]
) -> str:
    """Return the identity of a product: SHA-256 over canonical JSON of what determines its content.

    Inputs count by their own fingerprints, in any order; paths and program text never do.

    Raises
    ------
    TypeError
        For a parameter whose text could be another in the next process, such as a set.
    """
    content = {
        "stage": stage,
        "results_version": results_version,
        "parameters": parameters,
        "inputs": sorted(value for _, value in inputs),
    }
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True, default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: object) -> str:
    """Return dates as text, for JSON."""
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"{value!r} has no lasting text: it cannot be part of a fingerprint")


def record_path(product: Path) -> Path:
    """Return where the record of a product lies."""
    return product.parent / RECORDS / f"{product.name}.json"


def read_record(product: Path) -> Record | None:
    """Return the record of a product, or None if it has none that can be read."""
    path = record_path(product)
    try:
        return Record.from_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        logger.warning("record %s cannot be read (%s): its product counts as not made", path, error)
        return None


def write_record(product: Path, record: Record) -> Record:
    """Write the record of a product, with the size and checksum of the product if it is there; return it."""
    if record.outcome == "done" and product.exists():
        # A link leads to a file of others, which is known by size and time: it is not read for a checksum.
        found = "" if product.is_symlink() else checksum(product)
        record = record.replace(size=product.stat().st_size, checksum=found)
    record = record.replace(product=product.name)
    path = record_path(product)
    path.parent.mkdir(parents=True, exist_ok=True)
    with pending(path) as temporary:
        temporary.write_text(record.to_json(), encoding="utf-8")
    return record


def is_complete(product: Path, wanted: str) -> bool:
    """Tell whether a product is there, whole, and of the wanted fingerprint."""
    record = read_record(product)
    if record is None or record.outcome != "done" or record.fingerprint != wanted:
        return False
    try:
        return product.stat().st_size == record.size
    except OSError:
        return False


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


@contextmanager
def pending(path: Path) -> Iterator[Path]:
    """Give a temporary name beside `path`; on success it becomes `path`, after an error nothing is left.

    What a killed process has left is removed by whoever locks the product next; see `ProductLock`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}{PENDING}")
    try:
        yield temporary
        put_in_place(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def put_in_place(temporary: Path, path: Path) -> None:
    """Give a finished file its name. It and its folder are flushed to disk: a file of that name is always whole."""
    _flush(temporary)
    temporary.replace(path)
    _flush(path.parent)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class ProductLock:
    """Keeps other processes away from a product. The lock dies with its process.

    A mark beside the lock stays when its holder is killed. Whoever comes next sees it, and removes what `pending` has
    left of the product or its record: nobody else may be writing them now.
    """

    def __init__(self, product: Path) -> None:
        self.product = product
        self.path = product.parent / RECORDS / f"{product.name}.lock"
        self._mark = self.path.with_suffix(".busy")
        self._lock = FileLock(self.path, thread_local=False)

    def try_acquire(self) -> bool:
        """Take the lock if it is free, and tell whether it was."""
        try:
            self._acquire(timeout=0)
        except Timeout:
            return False
        return True

    def release(self) -> None:
        """Let go of the lock, if it is held."""
        if not self._lock.is_locked:
            return
        self._mark.unlink(missing_ok=True)
        self._lock.release()

    def _acquire(self, timeout: float) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._lock.acquire(timeout=timeout)
        if self._mark.exists():
            for written in (self.product, record_path(self.product)):
                _remove_leftovers(written)
        self._mark.touch()

    def __enter__(self) -> Self:
        self._acquire(timeout=-1)
        return self

    def __exit__(self, *exc: object) -> None:
        self.release()


def _remove_leftovers(path: Path) -> None:
    """Remove the temporary files that `pending` has made for a path."""
    temporary = re.compile(re.escape(f".{path.name}.") + "[0-9a-f]{8}" + re.escape(PENDING))
    for left in path.parent.iterdir():
        if temporary.fullmatch(left.name):
            left.unlink(missing_ok=True)


def product_lock(product: Path) -> ProductLock:
    """Return the lock of a product."""
    return ProductLock(product)
