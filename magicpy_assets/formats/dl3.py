"""Reading DL3 (event lists with responses, GADF): our own files and those of others, with or without index files.

Both generations of MAGIC files are understood: a fixed on radius in the keyword RAD_MAX (with right ascensions beyond
360°, an empty EQUINOX and cards given twice), and an energy-dependent one in the HDU RAD_MAX. Faults that are known
are mended in memory; the files themselves are only read. Writing is in :mod:`magicpy_assets.formats.gadf`.
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

import numpy as np

from magicpy_assets.core import sources
from magicpy_assets.core.errors import InputError, MagicpyError, MissingInputError, UnknownNameError

logger = logging.getLogger(__name__)

SUFFIXES = (".fits", ".fits.gz", ".fit", ".fit.gz")
INDEX_NAMES = ("hdu-index.fits.gz", "obs-index.fits.gz", "hdu-index.fits", "obs-index.fits")
NEEDED_CARDS = ("OBS_ID", "DEADC", "MJDREFI", "MJDREFF", "RA_PNT", "DEC_PNT")
LIVETIME_TOLERANCE = 0.01
FITS_BLOCK = 2880
ONE_PER_CELL = {"FOREST": "forests", "CUTS": "cuts", "MCID": "Monte Carlo", "IRFKIND": "kinds of response"}
"""Cards of our own that must agree within a folder."""


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


def open_observations(
    place: Path | str | Iterable[Path | str], source: str | None = None, *, allow_mixed: bool = False
) -> Any:
    """Open DL3 files as gammapy Observations, in order of run number.

    `place` is a folder, a file or several; index files are not needed and nothing is written. With `source` only the
    runs of that source, by its name or an alias. Files of one folder belong to one cell: if their forests, cuts or
    Monte Carlo differ, something was made again and something was not, so they are refused unless `allow_mixed`.
    Files that do not say are taken on trust; cells in folders of their own may differ.

    Raises
    ------
    MissingInputError
        If there are no files, or none of that source.
    InputError
        If a file cannot be used: which file, which HDU or keyword; if a folder mixes forests, cuts or Monte Carlo.
    """
    from gammapy.data import Observations

    chosen = entries(place)
    if source is not None:
        names = sorted({entry.source for entry in chosen})
        chosen = [entry for entry in chosen if _same_name(entry.source, source)]
        if not chosen:
            raise MissingInputError(f"{place}: no run of {source}", hint=f"the files are of: {', '.join(names)}")
    if not allow_mixed:
        refuse_mixture(chosen)
    return Observations([_observation(entry) for entry in chosen])


def refuse_mixture(chosen: Iterable[Entry]) -> None:
    """Refuse files of one folder that were made with different forests, cuts, Monte Carlo or kinds of response.

    Raises
    ------
    InputError
        With two files that differ, and in what.
    """
    first: dict[tuple[Path, str], Entry] = {}
    for entry in chosen:
        for card, what in ONE_PER_CELL.items():
            if card in entry.cards:
                other = first.setdefault((entry.path.parent, card), entry)
                if other.cards[card] != entry.cards[card]:
                    raise InputError(
                        f"{other.path.name} and {entry.path.name} in {entry.path.parent} were made with different "
                        f"{what}: {other.cards[card]} and {entry.cards[card]}",
                        hint="make them again together, put them into folders of their own, or allow a mixed set",
                    )


def position_of(observations: Iterable[Any], source: str | None = None) -> tuple[float, float]:
    """Return the position (ra, dec ICRS) of a source: from the table of sources, else from the files.

    Without `source` it is the object that the files name.

    Raises
    ------
    InputError
        If the files are of several sources and none was named.
    UnknownNameError
        If the table does not know the source and the files do not say where it is.
    """
    cards = [observation.events.table.meta for observation in observations]
    names = sorted({str(card.get("OBJECT", "")) for card in cards})
    if source is None and len(names) > 1:
        raise InputError(f"the files are of several sources: {', '.join(names)}", hint="choose one with --source")
    try:
        known = sources.by_name(source or names[0])
    except UnknownNameError:
        if any("RA_OBJ" not in card or "DEC_OBJ" not in card for card in cards):
            raise
        return float(cards[0]["RA_OBJ"]) % 360, float(cards[0]["DEC_OBJ"])
    return known.ra_deg, known.dec_deg


def is_simulated(observations: Iterable[Any]) -> bool:
    """Whether any of the observations says it is simulated."""
    return any(bool(observation.events.table.meta.get("SIMULATD", False)) for observation in observations)


def _observation(entry: Entry) -> Any:
    """One file as a gammapy Observation with everything in memory."""
    from astropy.table import Table
    from gammapy.data import GTI, FixedPointingInfo, Observation
    from gammapy.data.metadata import ObservationMetaData
    from gammapy.irf import IRF_REGISTRY

    with opened(entry.path) as hdus:
        for kind in ("aeff", "edisp"):
            if not any(component.kind == kind for component in entry.components):
                raise InputError(f"{entry.path}: no {kind} response (HDUCLAS2) beside the events")
        events = _event_list(hdus["EVENTS"])
        if "GTI" not in hdus:
            raise InputError(f"{entry.path}: no GTI table")
        try:
            gti = GTI.from_table_hdu(_mended(hdus["GTI"]))
        except (KeyError, ValueError) as error:
            raise InputError(f"{entry.path}: GTI cannot be read: {error!r}") from error
        responses = {}
        for component in entry.components:
            if component.kind not in ("events", "gti"):
                try:
                    table = _response_table(Table.read(_mended(hdus[component.hdu_name])))
                    responses[component.kind] = IRF_REGISTRY.get_cls(component.hdu_class).from_table(table)
                except (KeyError, ValueError, TypeError, IndexError) as error:
                    raise InputError(
                        f"{entry.path}: {component.hdu_name} cannot be read as {component.hdu_class}: {error!r}",
                        hint="magicpy dl3 check says what is missing",
                    ) from error
    _check_live_time(entry, float(gti.time_sum.to_value("s")))
    meta = ObservationMetaData.from_header(events.table.meta)
    return Observation(
        obs_id=entry.obs_id,
        events=events,
        gti=gti,
        meta=meta,
        pointing=FixedPointingInfo.from_fits_header(events.table.meta),
        location=meta.location,
        **responses,
    )


def _event_list(hdu: Any) -> Any:
    """Events with right ascensions brought into 0 to 360°."""
    from gammapy.data.io import EventListReader

    try:
        events = EventListReader.from_gadf_hdu(_mended(hdu))
    except (KeyError, ValueError) as error:
        raise InputError(f"{hdu.fileinfo()['file'].name if hdu.fileinfo() else 'EVENTS'}: {error}") from error
    events.table["RA"] = events.table["RA"].quantity % (360 * events.table["RA"].unit)
    return events


def _response_table(table: Any) -> Any:
    """A response table whose axes are arrays even when a single bin was stored as a scalar; RAD_MAX as float."""
    for name in table.colnames:
        if name.endswith(("_LO", "_HI")) and table[name].ndim == 1:
            table[name] = table[name].quantity[:, np.newaxis] if table[name].unit else table[name][:, np.newaxis]
    if "RAD_MAX" in table.meta:
        table.meta["RAD_MAX"] = float(table.meta["RAD_MAX"])
    return table


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


def _mended(hdu: Any) -> Any:
    """A copy of a table HDU with each card once and no empty EQUINOX."""
    from astropy.io import fits

    header = hdu.header.copy()
    for name in {name for name in header if name not in ("COMMENT", "HISTORY", "") and header.count(name) > 1}:
        first = header[name]
        header.remove(name, remove_all=True)
        header[name] = first
    if not str(header.get("EQUINOX", "2000")).strip():
        del header["EQUINOX"]
    return fits.BinTableHDU(data=hdu.data, header=header, name=hdu.name)


def _clean_cards(header: Any) -> dict[str, Any]:
    """Cards of a header by name, the first of those given twice, without structure and comments."""
    structural = ("XTENSION", "BITPIX", "NAXIS", "PCOUNT", "GCOUNT", "TFIELDS", "TTYPE", "TFORM", "TUNIT", "TDIM")
    return {
        name: header[name]
        for name in header
        if name and name not in ("COMMENT", "HISTORY") and not name.startswith(structural)
    }


def _check_live_time(entry: Entry, ontime_s: float) -> None:
    """Say so when the header's LIVETIME is not the good time times DEADC, which is what is used."""
    written = entry.cards.get("LIVETIME")
    used = ontime_s * float(entry.cards["DEADC"])
    if isinstance(written, int | float) and abs(float(written) - used) > LIVETIME_TOLERANCE * used:
        logger.warning(
            "%s: LIVETIME %.1f s in the header, but good time x DEADC is %.1f s; the latter is used",
            entry.path.name,
            written,
            used,
        )


def _same_name(first: str, second: str) -> bool:
    """Compare as the table of sources does, where it knows them, and by their letters."""
    try:
        return sources.by_name(first) == sources.by_name(second)
    except UnknownNameError:
        return _letters(first) == _letters(second)


def _letters(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter not in " -_")


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
