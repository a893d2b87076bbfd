"""What names of files say, for tasks: of data, of Monte Carlo, and in short for people."""

from __future__ import annotations

from pathlib import Path

from magicpy_assets.core.runs import DataFile, McFile, parse_name


def data_name(path: Path) -> DataFile:
    """Return what the name of a data file says."""
    name = parse_name(path)
    assert isinstance(name, DataFile), path
    return name


def mc_name(path: Path) -> McFile:
    """Return what the name of a Monte Carlo file says."""
    name = parse_name(path)
    assert isinstance(name, McFile), path
    return name


def unit_of(name: str) -> str:
    """Return the short text by which people know a file: run, telescope, subrun."""
    parsed = parse_name(name)
    telescope = f" M{parsed.telescope}" if parsed.telescope else ""
    if isinstance(parsed, McFile):
        return f"{parsed.run}{telescope}"
    subrun = f".{parsed.subrun:03d}" if parsed.subrun is not None else ""
    return f"{parsed.run:08d}{telescope}{subrun}"
