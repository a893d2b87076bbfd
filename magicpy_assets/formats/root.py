"""MARS trees through uproot: which branch is which column, reading with clear errors.

Files of MARS itself and our own are read alike: branches are found by their flat name (`MHillas.fSize`), whether or not
they hang below an object branch (`MHillas./MHillas.fSize`); unknown branches are left alone. Writing is in
:mod:`magicpy_assets.formats.root_writer`.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import uproot
from numpy.typing import NDArray

from magicpy_assets.core.errors import InputError, MissingInputError, unknown

Array = NDArray[Any]
CARDS = "MSimulation.fCards"
"""Branch of `RunHeaders` that says, as JSON text, what is simulated and how; absent in real data."""
PROVENANCE = "MProvenance.fCards"
"""Branch of `RunHeaders` that says, as JSON text, by which programs and from what a file was made."""
_COUNTED, _COUNT = 0x40000000, 0x3FFFFFFF
_TREE_VERSIONS, _TREE_BASES = range(16, 21), 4
"""Versions of TTree that begin with four base classes and then the number of entries: those of ROOT 5.12 to 6."""


@dataclass(frozen=True)
class Branch:
    """A branch of a tree and the column it becomes: NumPy dtype as written, unit, what it means."""

    branch: str
    column: str
    dtype: str
    unit: str = ""
    meaning: str = ""


@contextmanager
def open_root(path: Path) -> Iterator[Any]:
    """Open a ROOT file for reading.

    Raises
    ------
    MissingInputError
        If it is not there.
    InputError
        If it is empty, cut short or not a ROOT file.
    """
    if not path.is_file():
        raise MissingInputError(f"there is no file {path}")
    size = path.stat().st_size
    if size == 0:
        raise InputError(f"{path} is empty", hint="get the file again")
    with path.open("rb") as raw:
        if raw.read(4) != b"root":
            raise InputError(f"{path} is not a ROOT file")
    try:
        file = uproot.open(path, handler=uproot.MemmapSource, array_cache=None)
    except Exception as error:  # uproot raises many kinds for a file it cannot understand
        raise InputError(f"{path} is not a whole ROOT file: {_first_line(error)}", hint="get the file again") from error
    with file:
        if size < file.file.fEND:
            raise InputError(f"{path} is cut short: {size} of {file.file.fEND} bytes", hint="get the file again")
        yield file


def tree_of(file: Any, name: str, path: Path) -> Any:
    """Return a tree of an open file.

    ROOT keeps older states of a tree as cycles (`Events;1`, `Events;2`), and a MARS macro adds images as a cycle of
    their own: the one with most entries counts, and of those the one with most branches.

    Raises
    ------
    InputError
        If the file has no such tree.
    """
    cycles = _cycles(file, name, path)
    try:
        if len(cycles) == 1:
            return file[cycles[0]]
        return max((file[cycle] for cycle in cycles), key=lambda tree: (tree.num_entries, len(tree.keys())))
    except Exception as error:
        raise InputError(f"{path}: tree {name} cannot be read: {_first_line(error)}") from error


def _cycles(file: Any, name: str, path: Path) -> list[str]:
    keys = file.keys(recursive=False)
    cycles = [key for key in keys if key.split(";")[0] == name]
    if not cycles:
        near = unknown("tree", name, {key.split(";")[0] for key in keys})
        raise InputError(f"{path} has no tree {name}", hint=near.hint)
    return cycles


def entries_of(file: Any, name: str, path: Path) -> int:
    """Return the number of entries of a tree, that of `tree_of`, without a look at its branches: that takes long.

    Raises
    ------
    InputError
        If the file has no such tree.
    """
    try:
        return max(_entries(file, cycle) for cycle in _cycles(file, name, path))
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{path}: tree {name} cannot be read: {_first_line(error)}") from error


def _entries(file: Any, cycle: str) -> int:
    """Return what the header of a tree gives as its number of entries; each object in it says how long it is."""
    content = file.key(cycle).get_uncompressed_chunk_cursor()[0].raw_data.tobytes()
    _, version = struct.unpack_from(">IH", content)
    if version not in _TREE_VERSIONS:
        return int(file[cycle].num_entries)
    place = 6
    for _ in range(_TREE_BASES):
        (size,) = struct.unpack_from(">I", content, place)
        if not size & _COUNTED:
            return int(file[cycle].num_entries)
        place += 4 + (size & _COUNT)
    (entries,) = struct.unpack_from(">q", content, place)
    return int(entries)


def has_tree(file: Any, name: str) -> bool:
    """Tell whether an open file holds a tree."""
    return any(key.split(";")[0] == name for key in file.keys(recursive=False))


def branch_keys(tree: Any) -> dict[str, str]:
    """Return the full key of each branch by its flat name."""
    return {key.rsplit("/", 1)[-1]: key for key in tree.keys()}  # noqa: SIM118 - not a dictionary


def read(
    tree: Any,
    branch: str,
    path: Path,
    begin: int | None = None,
    end: int | None = None,
    *,
    optional: bool = False,
    interpretation: Any = None,
) -> Array | None:
    """Read one branch of plain numbers or of fixed-length arrays, or None for an optional branch that is absent.

    Jagged branches whose entries all have one length come back as (entries, length); text as a list of strings.
    `interpretation` is uproot's, for branches that it does not understand by itself.

    Raises
    ------
    InputError
        If the branch is missing, or cannot be read (a file cut short).
    """
    return _read(tree, branch_keys(tree), branch, path, begin, end, optional=optional, interpretation=interpretation)


def _read(
    tree: Any,
    keys: Mapping[str, str],
    branch: str,
    path: Path,
    begin: int | None,
    end: int | None,
    *,
    optional: bool,
    interpretation: Any = None,
) -> Array | None:
    if branch not in keys:
        if optional:
            return None
        near = unknown("branch", branch, keys)
        raise InputError(f"{path}: tree {tree.name} has no branch {branch}", hint=near.hint)
    try:
        found = tree[keys[branch]].array(interpretation, entry_start=begin, entry_stop=end, library="ak")
    except Exception as error:
        raise InputError(
            f"{path}: branch {branch} of tree {tree.name} cannot be read: {_first_line(error)}",
            hint="the file may be damaged; get it again",
        ) from error
    return _plain(found, branch, path)


def basket_edges(tree: Any, branch: str, most: int) -> list[int]:
    """Return the entries at which to cut a tree into pieces of about `most`, from 0 to the number of entries.

    Cuts lie between the branch's baskets where they can, so that none is unpacked twice; a basket is cut only if it
    holds more than four times as many.
    """
    total = int(tree.num_entries)
    keys = branch_keys(tree)
    if branch not in keys:
        return [0, total]  # reading it will tell
    baskets = np.asarray(tree[keys[branch]].entry_offsets, dtype=np.int64)
    edges = [0]
    while edges[-1] < total:
        after = baskets[baskets > edges[-1]]
        within = after[after <= edges[-1] + most]
        if len(within):
            edges.append(int(within[-1]))
        elif len(after) and after[0] <= edges[-1] + 4 * most:
            edges.append(int(after[0]))
        else:
            edges.append(min(edges[-1] + most, total))
    return edges


def _plain(found: Any, branch: str, path: Path) -> Array:
    layout = found.layout
    if layout.parameter("__array__") == "string":
        return np.array(found.to_list(), dtype=object)
    if not hasattr(layout, "offsets"):
        return np.asarray(ak.to_numpy(found))
    offsets = np.asarray(layout.offsets)
    lengths = np.diff(offsets)
    if len(lengths) and (lengths != lengths[0]).any():
        raise InputError(f"{path}: entries of {branch} differ in length: {lengths.min()} to {lengths.max()}")
    length = int(lengths[0]) if len(lengths) else 0
    return np.asarray(ak.to_numpy(layout.content))[offsets[0] : offsets[-1]].reshape(-1, length)


def read_table(
    tree: Any,
    branches: Iterable[Branch],
    path: Path,
    begin: int | None = None,
    end: int | None = None,
    *,
    optional: bool = False,
) -> dict[str, Array]:
    """Read the branches of a table as columns; absent ones are left out if `optional`."""
    columns, keys = {}, branch_keys(tree)
    for item in branches:
        found = _read(tree, keys, item.branch, path, begin, end, optional=optional)
        if found is not None:
            columns[item.column] = found
    return columns


def read_cards(file: Any, path: Path, branch: str = CARDS) -> dict[str, str]:
    """Return the cards of a file; empty if it has none."""
    if not has_tree(file, "RunHeaders"):
        return {}
    found = read(tree_of(file, "RunHeaders", path), branch, path, optional=True)
    return dict(json.loads(str(found[0]))) if found is not None and len(found) else {}


def text_of(values: Array) -> str:
    """Return the text of a zero-padded character array."""
    return (
        bytes(np.asarray(values).astype(np.int16).astype(np.uint8).tolist()).split(b"\0")[0].decode("ascii", "replace")
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
