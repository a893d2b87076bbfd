"""Whether a program has succeeded is a rule, never its return code alone; and what a failure most likely means."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

from magicpy_assets.compute.base import Outcome
from magicpy_assets.core.errors import MagicpyError
from magicpy_assets.formats.root import open_root, tree_of

LAST_LINES = 20
KILLED = (-9, 137)
NOT_FOUND = 127
FITS_BLOCK = 2880
"""FITS files consist of whole blocks of so many bytes."""
MEMORY = "it was killed: most likely memory ran out; use fewer workers (compute.workers)"
KNOWN_CAUSES = (
    (r"std::bad_alloc|MemoryError|[Cc]annot allocate memory", MEMORY),
    (r"No space left on device|Disk quota exceeded", "the disk is full: make room, or set store to another disk"),
    (r"(open|connect to|connection to|without a?) ?(X )?display", "MARS programs need -b where there is no display"),
    (
        r"error while loading shared libraries|undefined symbol",
        "is this the ROOT that MARS was built with? see mars.rootsys",
    ),
    (r"Permission denied", "a file or folder above may not be read or written by you"),
)
"""What a log may say, and what to do about it."""


def log_text(outcome: Outcome) -> str:
    """Return the log of a command; empty where there is none."""
    return outcome.log.read_text(encoding="utf-8", errors="replace") if outcome.log.exists() else ""


def said(log: str) -> str:
    """Return what a program itself called its error, or an empty text."""
    return next((line.split("ERROR:", 1)[1].strip() for line in log.splitlines() if "ERROR:" in line), "")


def last_lines(log: str) -> str:
    """Return the end of a log."""
    return "\n".join(log.splitlines()[-LAST_LINES:])


def hint_of(outcome: Outcome, log: str) -> str | None:
    """Return what to do about a failure whose cause is known."""
    if outcome.timed_out:
        return "it took longer than it may"
    if outcome.returncode in KILLED:
        return MEMORY
    if outcome.returncode == NOT_FOUND:
        return "the program was not found: is MARSSYS right?"
    return next((hint for pattern, hint in KNOWN_CAUSES if re.search(pattern, log)), None)


def product_fault(path: Path, trees: Iterable[str]) -> str:
    """Return what is wrong with a product, or an empty text: it must be there, whole, and of its kind.

    A ROOT file must hold the trees, and events in the tree of that name; FITS and JSON files must be whole.
    """
    if not path.is_file():
        return f"{path.name} was not made"
    if path.stat().st_size == 0:
        return f"{path.name} is empty"
    try:
        if path.suffix == ".root":
            _check_root(path, trees)
        elif path.suffix == ".fits":
            _check_fits(path)
        elif path.suffix == ".json":
            json.loads(path.read_text(encoding="utf-8"))
    except MagicpyError as error:
        return error.message
    except (OSError, ValueError) as error:
        return f"{path.name} cannot be read: {error}"
    return ""


def _check_root(path: Path, trees: Iterable[str]) -> None:
    with open_root(path) as file:
        for name in trees:
            if tree_of(file, name, path).num_entries == 0:
                raise ValueError(f"its tree {name} is empty")


def _check_fits(path: Path) -> None:
    with path.open("rb") as file:
        begins = file.read(9)
    if begins != b"SIMPLE  =" or path.stat().st_size % FITS_BLOCK:
        raise ValueError("it is no whole FITS file")
