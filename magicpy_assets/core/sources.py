"""Sources: names, aliases, positions (ICRS). The table is `tables/sources.csv`, every row with its source.

`off` in the table says whether a field may serve as OFF data: bright gamma-ray sources may not.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from magicpy_assets.core.csvtables import rows
from magicpy_assets.core.errors import OutOfRangeError, nearest_names, unknown

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class SourceInfo:
    """A source: name as in file names, ICRS position in degrees, other names, kind, redshift (None if unknown)."""

    name: str
    ra_deg: float
    dec_deg: float
    kind: str
    redshift: float | None
    aliases: tuple[str, ...]
    off: bool

    def __str__(self) -> str:
        return self.name


@cache
def all_sources() -> tuple[SourceInfo, ...]:
    """Return the sources of the table."""
    return tuple(
        SourceInfo(
            row["name"],
            float(row["ra_deg"]),
            float(row["dec_deg"]),
            row["kind"],
            float(row["redshift"]) if row["redshift"] else None,
            tuple(row["aliases"].split("|")) if row["aliases"] else (),
            row["off"] == "yes",
        )
        for row in rows("sources")
    )


def by_name(name: str) -> SourceInfo:
    """Return the source with that name or alias; spaces, signs and case do not matter.

    Raises
    ------
    UnknownNameError
        With the nearest names.
    """
    wanted = _plain(name)
    for info in all_sources():
        if wanted in map(_plain, (info.name, *info.aliases)):
            return info
    raise unknown("source", name, [other for info in all_sources() for other in (info.name, *info.aliases)])


def normal_name(name: str) -> str:
    """Return the name of the table for a name or alias; one that the table does not know as it is."""
    return _normal_names().get(_plain(name), name)


@cache
def _normal_names() -> dict[str, str]:
    return {_plain(word): info.name for info in reversed(all_sources()) for word in (*info.aliases, info.name)}


def nearest(name: str) -> list[str]:
    """Return up to three names or aliases of the table that are most like a name; none that is not like it."""
    return nearest_names(name, [word for info in all_sources() for word in (info.name, *info.aliases)])


def is_off_candidate(name: str) -> bool:
    """Tell whether a field may serve as OFF data; fields that the table does not know may."""
    try:
        return by_name(name).off
    except LookupError:
        return True


def redshift_of(name: str, wanted: float | str | None) -> float | None:
    """Return the redshift that is meant: a number as it is, `auto` as in the table; 0, and what is not known, is None.

    Raises
    ------
    OutOfRangeError
        If `wanted` is another word.
    """
    if isinstance(wanted, str):
        if wanted != "auto":
            raise OutOfRangeError(f"a redshift is a number or 'auto', not {wanted!r}")
        try:
            return by_name(name).redshift
        except LookupError:
            return None
    return wanted or None


def search(
    text: str = "", *, ra_deg: float | None = None, dec_deg: float | None = None, radius_deg: float = 5.0
) -> pd.DataFrame:
    """Search by part of a name or alias, by kind, or in a cone.

    Returns a row per source: `name`, `ra_deg`, `dec_deg`, `kind`, `redshift`, `aliases`, and `distance_deg` for a cone.
    """
    import pandas as pd

    wanted = _plain(text)
    found = []
    for info in all_sources():
        if wanted and not any(wanted in _plain(word) for word in (info.name, info.kind, *info.aliases)):
            continue
        row = {
            "name": info.name,
            "ra_deg": info.ra_deg,
            "dec_deg": info.dec_deg,
            "kind": info.kind,
            "redshift": info.redshift,
            "aliases": ", ".join(info.aliases),
        }
        if ra_deg is not None and dec_deg is not None:
            distance = separation_deg(ra_deg, dec_deg, info.ra_deg, info.dec_deg)
            if distance > radius_deg:
                continue
            row["distance_deg"] = distance
        found.append(row)
    cone = ra_deg is not None and dec_deg is not None
    columns = ["name", "ra_deg", "dec_deg", "kind", "redshift", "aliases", *(["distance_deg"] if cone else [])]
    table = pd.DataFrame(found, columns=columns)
    return table.sort_values("distance_deg").reset_index(drop=True) if cone else table


def separation_deg(ra1_deg: float, dec1_deg: float, ra2_deg: float, dec2_deg: float) -> float:
    """Return the angle between two directions in degrees (haversine formula)."""
    ra1, dec1, ra2, dec2 = map(math.radians, (ra1_deg, dec1_deg, ra2_deg, dec2_deg))
    half = math.sin((dec2 - dec1) / 2) ** 2 + math.cos(dec1) * math.cos(dec2) * math.sin((ra2 - ra1) / 2) ** 2
    return math.degrees(2 * math.asin(min(1.0, math.sqrt(half))))


def _plain(name: str) -> str:
    return re.sub(r"[\s_]", "", name).lower()
