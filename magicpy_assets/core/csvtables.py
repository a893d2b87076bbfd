"""Reading the tables of facts that ship with a room, one CSV file each, every row with its source."""

from __future__ import annotations

import csv
from functools import cache
from importlib import resources


@cache
def rows(name: str, room: str = "core") -> tuple[dict[str, str], ...]:
    """Return the rows of `tables/<name>.csv` of a room as dictionaries of text."""
    text = resources.files(f"magicpy_assets.{room}").joinpath("tables", f"{name}.csv").read_text(encoding="utf-8")
    return tuple(csv.DictReader(text.splitlines()))
