"""Reading DL3 (event lists with responses, GADF): our own files and those of others, with or without index files.

Both generations of MAGIC files are understood: a fixed on radius in the keyword RAD_MAX (with right ascensions beyond
360°, an empty EQUINOX and cards given twice), and an energy-dependent one in the HDU RAD_MAX. Faults that are known
are mended in memory; the files themselves are only read. Headers alone are read in
:mod:`magicpy_assets.formats.dl3_files`; writing is in :mod:`magicpy_assets.formats.gadf`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from magicpy_assets.core import sources
from magicpy_assets.core.errors import InputError, MissingInputError, UnknownNameError
from magicpy_assets.formats.dl3_files import Entry, entries, opened

logger = logging.getLogger(__name__)

LIVETIME_TOLERANCE = 0.01
ONE_PER_CELL = {"FOREST": "forests", "CUTS": "cuts", "MCID": "Monte Carlo", "IRFKIND": "kinds of response"}
"""Cards of our own that must agree within a folder."""


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
