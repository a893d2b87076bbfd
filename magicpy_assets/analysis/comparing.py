"""Two analyses of the same runs side by side: two people, two versions, MARS and the embedded programs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from magicpy_assets.analysis.source import Source
from magicpy_assets.core import datalevels, telescopes
from magicpy_assets.core.datalevels import DataLevel
from magicpy_assets.core.errors import InputError, MissingInputError
from magicpy_assets.core.runs import DataFile, parse_name
from magicpy_assets.pipeline.other import dl3_side, melibea_side
from magicpy_assets.science.comparison import ComparisonResult
from magicpy_assets.science.verdict import compared

if TYPE_CHECKING:
    Analysis = Source | Path | str

    Files = dict[DataLevel, dict[int, Path]]

LEVELS = (datalevels.DL3, datalevels.Melibea)
SIDES = {datalevels.DL3: dl3_side, datalevels.Melibea: melibea_side}


def compare(
    a: Analysis,
    b: Analysis,
    *,
    names: tuple[str, str] | None = None,
    energy_min_tev: float = 0.3,
    model: str = "auto",
) -> ComparisonResult:
    """Compare two analyses: event by event, run by run and, of DL3 files, responses, fluxes and spectra.

    Parameters
    ----------
    a, b
        A source, or a folder (searched with all folders below): DL3 files (GADF) of any name and origin, or melibea
        files of either engine. Where both have DL3, these are compared, else melibea files.
    names
        What to call them; by default the name of the source or folder.
    energy_min_tev
        Lower end of the fluxes that are compared.
    model
        Shape of the spectra that are compared; `auto` takes for both what fits the first.

    Raises
    ------
    MissingInputError
        If one of them holds neither.
    InputError
        If they have no run in common, only one has DL3 and only the other melibea files, a run is in two files of one
        of them, or a file cannot be used: which, and why; if one is stereo and the other mono.
    """
    found = [_files(one) for one in (a, b)]
    level = next((level for level in LEVELS if all(its[level] for its in found)), None)
    if level is None:
        for one, its in zip((a, b), found, strict=True):
            if not any(its.values()):
                raise MissingInputError(f"{_name(one)} holds neither DL3 nor melibea files")
        raise InputError(f"{_name(a)} and {_name(b)} have no level in common, DL3 or melibea")
    shared = sorted(set(found[0][level]) & set(found[1][level]))
    if not shared:
        raise InputError(f"{_name(a)} and {_name(b)} have no run in common")
    told = names or (_name(a), _name(b))
    if told[0] == told[1]:
        told = f"{told[0]} (a)", f"{told[1]} (b)"
    first, second = (
        SIDES[level](name, {run: its[level][run] for run in shared}, its[level])
        for name, its in zip(told, found, strict=True)
    )
    arrays = [side.exposure.array or telescopes.STEREO.text for side in (first, second)]
    if arrays[0] != arrays[1]:
        raise InputError(
            f"{told[0]} is {arrays[0]}, {told[1]} {arrays[1]}: they have different images to begin with",
            hint="analyses with the same telescopes can be compared",
        )
    return compared(first, second, energy_min_tev=energy_min_tev, model=model)


def _files(one: Analysis) -> Files:
    """Return the DL3 and melibea files of an analysis by run."""
    if isinstance(one, Source):
        return {level: _by_run(path for its in one.files(level).values() for path in its) for level in LEVELS}
    folder = Path(one)
    if not folder.is_dir():
        raise MissingInputError(f"there is no folder {folder}")
    melibea = sorted(folder.rglob(f"*_{datalevels.Melibea.letter}_*.root"))
    return {datalevels.DL3: _dl3_by_run(folder), datalevels.Melibea: _by_run(melibea)}


def _dl3_by_run(folder: Path) -> dict[int, Path]:
    """Find DL3 files by what they hold, whatever they are called."""
    from magicpy_assets.formats import dl3_files

    try:
        paths = dl3_files.files(folder)
    except MissingInputError:
        return {}
    entries = [entry for path in paths if (entry := dl3_files.entry_of(path)) is not None]
    return _each_once((entry.obs_id, entry.path) for entry in entries)


def _by_run(paths: Iterable[Path]) -> dict[int, Path]:
    """Find files by the run in their names; others are left out."""
    found = []
    for path in paths:
        try:
            name = parse_name(path)
        except InputError:
            continue
        if isinstance(name, DataFile) and path.is_file():
            found.append((name.run, path))
    return _each_once(found)


def _each_once(files: Iterable[tuple[int, Path]]) -> dict[int, Path]:
    found: dict[int, Path] = {}
    for run, path in files:
        if run in found:
            raise InputError(
                f"run {run} is in two files: {found[run]} and {path}", hint="give the folder of one analysis only"
            )
        found[run] = path
    return found


def _name(one: Analysis) -> str:
    return one.name if isinstance(one, Source) else Path(one).name
