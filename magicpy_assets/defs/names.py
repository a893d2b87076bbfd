"""Names as Dagster allows them: letters, digits and underscores; source names have other signs, too."""

from collections.abc import Iterable
from functools import cache

import dagster as dg


@cache
def plain(source: str) -> str:
    """Return the name of a source with underscores for every other sign: `VERJ0521_211`."""
    return "".join(sign if sign.isascii() and sign.isalnum() else "_" for sign in source)


def asset_key(parts: Iterable[str]) -> dg.AssetKey:
    """Return the key of an asset: `VERJ0521_211/star` for the parts `VERJ0521+211` and `star`."""
    return dg.AssetKey([plain(part) for part in parts])
