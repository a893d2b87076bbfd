"""Which run of Dagster made a product: notes beside the records, written by whoever knows, read by the history."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from filelock import FileLock

from magicpy_assets.store.records import RECORDS, pending

NOTES = ".dagster-runs"
"""File beside the records of a folder: run by fingerprint. It ends unlike a record, so that nobody takes it for one."""


def note_runs(folder: Path, run_of: Mapping[str, str]) -> None:
    """Note, for products of a folder by fingerprint, the run that made them."""
    if not run_of:
        return
    place = folder / RECORDS / NOTES
    place.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{place}.lock"):
        known = read_runs(folder)
        with pending(place) as temporary:
            temporary.write_text(json.dumps({**known, **run_of}, indent=0, sort_keys=True), encoding="utf-8")


def read_runs(folder: Path) -> dict[str, str]:
    """Return the runs by the fingerprints of the products of a folder; what cannot be read is no note."""
    try:
        found = json.loads((folder / RECORDS / NOTES).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}
