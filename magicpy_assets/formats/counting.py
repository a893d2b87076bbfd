"""How many events a product holds, whatever kind of file it is; each version of a file is opened once."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from magicpy_assets.core.errors import InputError

FITS_ENDINGS = (".fits", ".fits.gz")


@dataclass(frozen=True)
class _Version:
    """One state of a file, whatever its name: it stays the same when it is moved on its disk."""

    path: Path = field(compare=False)
    device: int
    inode: int
    changed_ns: int
    size: int

    @classmethod
    def of(cls, path: Path) -> _Version:
        state = path.stat()
        return cls(path, state.st_dev, state.st_ino, state.st_mtime_ns, state.st_size)


def events_in(path: Path) -> int:
    """Return the number of entries of the events table of a ROOT or FITS file.

    Raises
    ------
    InputError
        If the file is damaged, or holds no events by its kind.
    OSError
        If it is not there.
    """
    if path.suffix == ".root":
        return entries_in(path, "Events")
    if path.name.endswith(FITS_ENDINGS):
        return _rows(_Version.of(path))
    raise InputError(f"{path} holds no events by its kind")


def entries_in(path: Path, tree: str) -> int:
    """Return the number of entries of a tree of a ROOT file; raises as `events_in` does."""
    return _entries(_Version.of(path), tree)


@lru_cache(maxsize=20_000)
def _entries(version: _Version, tree: str) -> int:
    from magicpy_assets.formats.root import entries_of, open_root

    with open_root(version.path) as file:
        return entries_of(file, tree, version.path)


@lru_cache(maxsize=20_000)
def _rows(version: _Version) -> int:
    from astropy.io import fits

    try:
        return int(fits.getheader(version.path, "EVENTS")["NAXIS2"])
    except (OSError, KeyError) as error:
        raise InputError(f"{version.path} holds no table EVENTS that can be read: {error}") from error
