"""Writing MARS trees through uproot: flat trees with the branch names and types that MARS files have."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import uproot
from numpy.typing import NDArray

from magicpy_assets.formats.root import Array, Branch

COMPRESSION = uproot.ZSTD(1)
_SIZED = re.compile(r"\[(\d+)\]$")


class Writer:
    """Writes a ROOT file of flat trees. Use it as a context manager on a temporary name."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = uproot.recreate(path, compression=COMPRESSION)
        self._sized: set[str] = set()
        self._made: set[str] = set()

    def tree(self, name: str, columns: Mapping[str, Any]) -> None:
        """Write a tree, or more entries of it, from arrays by branch name: (n,) numbers, (n, m) arrays, or text."""
        content = {self._safe(branch): _content(values) for branch, values in columns.items()}
        if name not in self._made:
            self._file.mktree(name, {branch: _type(values) for branch, values in content.items()})
            self._made.add(name)
        self._file[name].extend(content)

    def header(self, columns: Mapping[str, Any]) -> None:
        """Write the tree `RunHeaders` with its single entry; values are scalars, arrays or text."""
        self.tree("RunHeaders", {branch: _single(value) for branch, value in columns.items()})

    def _safe(self, branch: str) -> str:
        """Rename `x[80]` to `x_80_` while writing: uproot would read the brackets as a dimension."""
        match = _SIZED.search(branch)
        if match is None:
            return branch
        safe = _SIZED.sub(f"_{match[1]}_", branch)
        self._sized.add(safe)
        return safe

    def close(self) -> None:
        """Finish the file and put the brackets back into the names."""
        self._file.close()
        if not self._sized:
            return
        content = bytearray(self.path.read_bytes())
        for safe in self._sized:
            bracketed = re.sub(r"_(\d+)_$", r"[\1]", safe)
            old, new = _text(safe), _text(bracketed)
            content = content.replace(old, new)
        self.path.write_bytes(content)

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self._file.close()


def _text(name: str) -> bytes:
    """Return a name as ROOT stores it: a length byte, then the characters."""
    return bytes([len(name)]) + name.encode()


def _single(value: Any) -> Any:
    if isinstance(value, str):
        return [value]
    return np.asarray(value)[None, ...]


def _type(values: Any) -> Any:
    """Return the type by which uproot makes the branch."""
    return values.dtype if isinstance(values, np.ndarray) else ak.type(values).content


def _content(values: Any) -> Any:
    """Turn values into what uproot writes: regular (n, m) arrays become jagged ones, as in MARS files."""
    if isinstance(values, list):
        return ak.Array(values)
    array = np.ascontiguousarray(values)
    if array.dtype == object:
        return ak.Array([str(item) for item in array])
    if array.dtype == np.bool_:
        array = array.astype(np.uint8)
    if array.ndim == 1:
        return array
    offsets = ak.index.Index64(np.arange(len(array) + 1, dtype=np.int64) * array.shape[1])
    return ak.Array(ak.contents.ListOffsetArray(offsets, ak.contents.NumpyArray(array.reshape(-1))))


def columns_of(table: Mapping[str, Any], branches: Iterable[Branch]) -> dict[str, Array]:
    """Return the columns of a table under their branch names and in the dtypes of the branches."""
    return {item.branch: np.asarray(table[item.column]).astype(item.dtype) for item in branches if item.column in table}


def characters(text: str, length: int) -> NDArray[np.int8]:
    """Return text as the zero-padded character array of MARS headers."""
    raw = text.encode("ascii", errors="replace")[: length - 1]
    return np.frombuffer(raw.ljust(length, b"\0"), dtype=np.int8).copy()
