"""The two index files of a folder of DL3: which HDU is where, and what each run is (GADF v0.3).

They are made from the headers of the files that are there, so they can always be made again; several processes may
finish runs of one folder at the same time.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from magicpy_assets.formats import gadf, gadf_cards
from magicpy_assets.formats.dl3_files import Entry, entries

HDU_INDEX, OBS_INDEX = "hdu-index.fits.gz", "obs-index.fits.gz"
LOCK = ".dl3-index.lock"
OBS_COLUMNS = (
    ("OBS_ID", "K", None),
    ("OBS_MODE", "20A", None),
    ("RA_PNT", "D", "deg"),
    ("DEC_PNT", "D", "deg"),
    ("ALT_PNT", "D", "deg"),
    ("AZ_PNT", "D", "deg"),
    ("OBJECT", "40A", None),
    ("RA_OBJ", "D", "deg"),
    ("DEC_OBJ", "D", "deg"),
    ("TSTART", "D", "s"),
    ("TSTOP", "D", "s"),
    ("ONTIME", "D", "s"),
    ("LIVETIME", "D", "s"),
    ("DEADC", "D", None),
    ("TELESCOP", "16A", None),
)


def write_index(folder: Path) -> tuple[Path, Path]:
    """Write hdu-index.fits.gz and obs-index.fits.gz for the DL3 files of a folder; return their paths.

    Reading the headers and writing happen under a lock, so the last of several processes lists all files; each index
    is written beside its place and renamed.

    Raises
    ------
    MissingInputError, InputError
        If the folder holds no DL3 files, or one of them cannot be read.
    """
    from astropy.io import fits
    from filelock import FileLock

    with FileLock(folder / LOCK):
        found = entries(folder)
        tables = {HDU_INDEX: _hdu_table(found, folder), OBS_INDEX: _obs_table(found)}
        for name, table in tables.items():
            gadf.write(folder / name, fits.HDUList([fits.PrimaryHDU(), table]))
    return folder / HDU_INDEX, folder / OBS_INDEX


def _hdu_table(found: list[Entry], folder: Path) -> Any:
    from astropy.io import fits

    obs_ids = [entry.obs_id for entry in found for _ in entry.components]
    rows = [
        (part.kind, part.hdu_class, _folder_of(entry, folder), entry.path.name, part.hdu_name)
        for entry in found
        for part in entry.components
    ]
    names = ("HDU_TYPE", "HDU_CLASS", "FILE_DIR", "FILE_NAME", "HDU_NAME")
    columns = [fits.Column("OBS_ID", "K", array=np.array(obs_ids))]
    for name, words in zip(names, zip(*rows, strict=True), strict=True):
        columns.append(fits.Column(name, f"{max(map(len, words))}A", array=np.array(words)))
    table = fits.BinTableHDU.from_columns(columns, name="HDU_INDEX")
    gadf_cards.put_cards(table.header, gadf_cards.index_cards("HDU"))
    return table


def _folder_of(entry: Entry, folder: Path) -> str:
    return str(entry.path.parent.relative_to(folder))


def _obs_table(found: list[Entry]) -> Any:
    from astropy.io import fits

    columns = []
    for name, form, unit in OBS_COLUMNS:
        missing: Any = "" if form.endswith("A") else np.nan
        columns.append(fits.Column(name, form, unit=unit, array=[entry.cards.get(name, missing) for entry in found]))
    simulated = np.array([entry.simulated for entry in found])
    columns.append(fits.Column("SIMULATD", "L", array=simulated))
    table = fits.BinTableHDU.from_columns(columns, name="OBS_INDEX")
    gadf_cards.put_cards(table.header, gadf_cards.index_cards("OBS"))
    return table
