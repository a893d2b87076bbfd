"""How many events a product holds, whatever kind of file it is; each version of a file is opened once."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from magicpy_assets.core.errors import InputError

FITS_ENDINGS = (".fits", ".fits.gz")


def events_in(path: Path) -> int:
    """Return the number of entries of the events table of a ROOT or FITS file.

    Raises
    ------
    InputError
        If the file is damaged, or holds no events by its kind.
    OSError
        If it is not there.
    """
    state = path.stat()
    return _events_in(path, state.st_ino, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=20_000)
def _events_in(path: Path, *_version: int) -> int:
    if path.suffix == ".root":
        from magicpy_assets.formats.root import open_root, tree_of

        with open_root(path) as file:
            return int(tree_of(file, "Events", path).num_entries)
    if path.name.endswith(FITS_ENDINGS):
        from astropy.io import fits

        try:
            return int(fits.getheader(path, "EVENTS")["NAXIS2"])
        except (OSError, KeyError) as error:
            raise InputError(f"{path} holds no table EVENTS that can be read: {error}") from error
    raise InputError(f"{path} holds no events by its kind")
