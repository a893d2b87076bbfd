"""Which DL3 files a place holds, and what their headers say: our own files and those of others.

Index files are not needed; they are made from this. Events and responses are read in
:mod:`magicpy_assets.formats.dl3`.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from magicpy_assets.core.errors import InputError, MagicpyError, MissingInputError

logger = logging.getLogger(__name__)


SUFFIXES = (".fits", ".fits.gz", ".fit", ".fit.gz")
INDEX_NAMES = ("hdu-index.fits.gz", "obs-index.fits.gz", "hdu-index.fits", "obs-index.fits")
NEEDED_CARDS = ("OBS_ID", "DEADC", "MJDREFI", "MJDREFF", "RA_PNT", "DEC_PNT")
FITS_BLOCK = 2880


@dataclass(frozen=True)
class Component:
    """One HDU of an observation in the words of the GADF HDU index: kind ("aeff") and class ("aeff_2d")."""

    kind: str
    hdu_class: str
    hdu_name: str


@dataclass(frozen=True)
class Entry:
    """What the headers of one DL3 file say, enough for an index: cards of EVENTS, and the HDUs."""

    path: Path
    cards: dict[str, Any]
    components: tuple[Component, ...]

    @property
    def obs_id(self) -> int:
        """Run number."""
        return int(self.cards["OBS_ID"])

    @property
    def source(self) -> str:
        """Name of the observed source as written in the file."""
        return str(self.cards.get("OBJECT", ""))

    @property
    def simulated(self) -> bool:
        """Whether the file says it is simulated."""
        return bool(self.cards.get("SIMULATD", False))


def files(place: Path | str | Iterable[Path | str]) -> list[Path]:
    """Return the FITS files of a folder (and its subfolders) that are not index files, nor hidden; a file is itself.

    Raises
    ------
    MissingInputError
        If the place does not exist or holds no FITS file.
    """
    if not isinstance(place, str | Path):
        return [path for part in place for path in files(part)]
    place = Path(place)
    if place.is_file():
        return [place]
    if not place.is_dir():
        raise MissingInputError(f"{place}: no such file or folder", hint="give the folder that holds the DL3 files")
    found = sorted(
        path
        for path in place.rglob("*")
        if path.name.endswith(SUFFIXES) and path.name not in INDEX_NAMES and not _is_hidden(path.relative_to(place))
    )
    if not found:
        raise MissingInputError(
            f"{place}: no FITS file in this folder", hint="give the folder that holds the DL3 files"
        )
    return found


def _is_hidden(path: Path) -> bool:
    """Tell whether a file, or a folder above it, is hidden: there lies what is still being made."""
    return any(part.startswith(".") for part in path.parts)


def entries(place: Path | str | Iterable[Path | str]) -> list[Entry]:
    """Read the headers of all DL3 files of a place, in order of run number. Files without events are left out.

    Raises
    ------
    InputError
        If no file holds events, or two files hold the same run.
    """
    found = sorted((entry for path in files(place) if (entry := entry_of(path))), key=lambda entry: entry.obs_id)
    if not found:
        raise InputError(f"{place}: none of the FITS files holds an EVENTS table", hint="DL3 files are needed here")
    for before, after in pairwise(found):
        if before.obs_id == after.obs_id:
            raise InputError(f"run {after.obs_id} is in two files: {before.path} and {after.path}")
    return found


def entry_of(path: Path) -> Entry | None:
    """Headers of one file; None if it holds no events.

    Raises
    ------
    InputError
        If the file is not readable FITS or lacks a keyword without which its times and directions mean nothing.
    """
    with opened(path) as hdus:
        if "EVENTS" not in hdus:
            if not path.name.endswith(".gz") and path.stat().st_size % FITS_BLOCK:
                raise InputError(f"{path}: the file ends within a FITS block", hint="it may be truncated: get it again")
            return None
        cards = _clean_cards(hdus["EVENTS"].header)
        missing = [name for name in NEEDED_CARDS if name not in cards]
        if missing:
            raise InputError(f"{path}: EVENTS lacks {', '.join(missing)}", hint="is this a DL3 file (GADF)?")
        components = tuple(component for hdu in hdus[1:] if (component := _component(hdu)))
    return Entry(path, cards, components)


def _component(hdu: Any) -> Component | None:
    """Which part of an observation an HDU is; None for one that gammapy does not know."""
    kinds = {"EVENTS": ("events", "events"), "GTI": ("gti", "gti")}
    header = hdu.header
    first = str(header.get("HDUCLAS1", hdu.name)).upper()
    if first in kinds:
        return Component(*kinds[first], hdu.name)
    if first != "RESPONSE":
        return None
    names = {"EFF_AREA": "aeff", "EDISP": "edisp", "RPSF": "psf", "PSF": "psf", "BKG": "bkg", "RAD_MAX": "rad_max"}
    kind = names.get(str(header.get("HDUCLAS2", "")).upper())
    hdu_class = str(header.get("HDUCLAS4", "")).lower()
    if kind is None or not hdu_class:
        logger.warning("%s is of a kind that is not known here and is left out", hdu.name)
        return None
    return Component(kind, hdu_class, hdu.name)


def _clean_cards(header: Any) -> dict[str, Any]:
    """Cards of a header by name, the first of those given twice, without structure and comments."""
    structural = ("XTENSION", "BITPIX", "NAXIS", "PCOUNT", "GCOUNT", "TFIELDS", "TTYPE", "TFORM", "TUNIT", "TDIM")
    return {
        name: header[name]
        for name in header
        if name and name not in ("COMMENT", "HISTORY") and not name.startswith(structural)
    }


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """Open a FITS file to read it, in memory, with what astropy says about the file's own faults kept quiet."""
    from astropy.io import fits
    from astropy.io.fits.verify import VerifyWarning
    from astropy.utils.exceptions import AstropyUserWarning

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", VerifyWarning)
            warnings.filterwarnings("error", "File may have been truncated", AstropyUserWarning)
            with fits.open(path, mode="readonly", memmap=False) as hdus:
                yield hdus
    except MagicpyError:
        raise
    except (OSError, AstropyUserWarning) as error:
        raise InputError(
            f"{path}: not a readable FITS file ({error})", hint="it may be truncated: get it again"
        ) from error
