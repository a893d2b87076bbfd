"""The numbers of odie of an installed MARS: time, counts, significance.

odie keeps them only as text in a canvas, `th2OnAndOffCan`, or says them in its log. The lines are those that a public
driver of MARS reads: `Time = 2.3 h`, `N_{on} = 51; N_{off} = 20.3 #pm 2.6`, `N_{ex} = 30.7`, `Significance (Li&Ma) =
5.2#sigma`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from magicpy_assets.core.errors import InputError
from magicpy_assets.formats.root import open_root

if TYPE_CHECKING:
    from astropy.table import Table

CANVAS = "th2OnAndOffCan"
_NUMBER = r"(-?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)"
_LINES = {
    "time_h": rf"Time\s*=\s*{_NUMBER}\s*h",
    "n_on": rf"N_\{{on\}}\s*=\s*{_NUMBER}",
    "n_off": rf"N_\{{off\}}\s*=\s*{_NUMBER}",
    "n_off_error": rf"N_\{{off\}}\s*=[^#±+]*(?:#pm|±|\+[-/]+)\s*{_NUMBER}",
    "excess": rf"N_\{{ex\}}\s*=\s*{_NUMBER}",
    "significance": rf"Significance[^=]*=\s*{_NUMBER}",
}


@dataclass(frozen=True)
class OdieNumbers:
    """What odie found: hours, on counts, normalised off counts with error, excess, significance (Li & Ma)."""

    time_h: float
    n_on: float
    n_off: float
    n_off_error: float
    excess: float
    significance: float

    def table(self) -> Table:
        """Return one row."""
        from astropy.table import Table

        return Table(rows=[vars(self)], units={"time_h": "h"}, meta={"origin": "odie"})


def read_odie(path: Path | str) -> OdieNumbers:
    """Read the numbers from `Output_odie*.root`, or from the log.

    Raises
    ------
    MissingInputError
        If there is no such file.
    InputError
        If the numbers are not in it; all that are missing are named.
    """
    path = Path(path)
    if path.suffix != ".root":
        return parse_odie(path.read_text(encoding="utf-8", errors="replace"), str(path))
    with open_root(path) as file:
        if CANVAS not in file.keys(cycle=False):
            raise InputError(f"{path} holds no {CANVAS}: is it an output of odie?")
        # The canvas is a class that cannot be read without ROOT; the text in it can.
        chunk, _ = file.key(CANVAS).get_uncompressed_chunk_cursor()
        raw = bytes(chunk.raw_data)
    text = "\n".join(found.decode() for found in re.findall(rb"[\x20-\x7e]{4,}", raw))
    return parse_odie(text, str(path))


def parse_odie(text: str, name: str = "text") -> OdieNumbers:
    """Return the numbers from lines of text.

    Raises
    ------
    InputError
        Naming all that are missing.
    """
    found = {key: match for key, pattern in _LINES.items() if (match := re.search(pattern, text))}
    missing = [key for key in _LINES if key not in found]
    if missing:
        raise InputError(f"{name} does not tell {', '.join(missing)}", hint="the form of odie's text may have changed")
    return OdieNumbers(**{key: float(match[1]) for key, match in found.items()})
