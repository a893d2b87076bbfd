"""Two analyses of the same runs side by side: two people, two versions, MARS and the embedded programs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from magicpy_assets.analysis.source import Source
from magicpy_assets.core import datalevels, telescopes
from magicpy_assets.core.errors import InputError, MissingInputError
from magicpy_assets.core.runs import DataFile, parse_name
from magicpy_assets.core.telescopes import Telescopes
from magicpy_assets.pipeline.other import events_of
from magicpy_assets.science.comparison import ComparisonResult, compared

if TYPE_CHECKING:
    Analysis = Source | Path | str


def compare(a: Analysis, b: Analysis, *, names: tuple[str, str] | None = None) -> ComparisonResult:
    """Compare two analyses, event by event and run by run.

    Parameters
    ----------
    a, b
        A source, or a folder of DL3 or melibea files (searched with all folders below), of either engine. Where both
        can give DL3, these are compared, else melibea files.
    names
        What to call them; by default the name of the source or folder.

    Raises
    ------
    MissingInputError
        If one of them holds neither.
    InputError
        If they have no run in common, or only one has DL3 and only the other melibea files; if one is stereo and the
        other mono, or a folder holds both.
    """
    found = [_files(one) for one in (a, b)]
    level = next((level for level in (datalevels.DL3, datalevels.Melibea) if all(its[level] for its in found)), None)
    if level is None:
        for one, its in zip((a, b), found, strict=True):
            if not any(its.values()):
                raise MissingInputError(f"{_name(one)} holds neither DL3 nor melibea files")
        raise InputError(f"{_name(a)} and {_name(b)} have no level in common, DL3 or melibea")
    shared = set(found[0][level]) & set(found[1][level])
    if not shared:
        raise InputError(f"{_name(a)} and {_name(b)} have no run in common")
    arrays = [_array_of(its[level][min(shared)]) for its in found]
    if arrays[0] != arrays[1]:
        raise InputError(
            f"{_name(a)} is {arrays[0].text}, {_name(b)} {arrays[1].text}: they have different images to begin with",
            hint="analyses with the same telescopes can be compared",
        )
    events = [events_of([its[level][run] for run in sorted(shared)], level) for its in found]
    told = names or (_name(a), _name(b))
    if told[0] == told[1]:
        told = f"{told[0]} (a)", f"{told[1]} (b)"
    return compared(events[0].table, events[1].table, events[0].exposure, told, events[0].alpha)


def _files(one: Analysis) -> dict[Any, dict[int, Path]]:
    """Return the DL3 and melibea files of an analysis by run."""
    levels = (datalevels.DL3, datalevels.Melibea)
    if isinstance(one, Source):
        return {level: _by_run(one, (path for its in one.files(level).values() for path in its)) for level in levels}
    folder = Path(one)
    if not folder.is_dir():
        raise MissingInputError(f"there is no folder {folder}")
    return {level: _by_run(one, sorted(folder.rglob(f"*_{level.letter}_*"))) for level in levels}


def _by_run(one: Analysis, paths: Iterable[Path]) -> dict[int, Path]:
    found: dict[int, Path] = {}
    for path in paths:
        try:
            name = parse_name(path)
        except InputError:
            continue
        if isinstance(name, DataFile) and path.is_file():
            known = found.setdefault(name.run, path)
            if _array_of(known) != _array_of(path):
                raise InputError(
                    f"{_name(one)} holds stereo and mono files of run {name.run}",
                    hint="give the folder of one level, such as dl3 or dl3-M1",
                )
            found[name.run] = path
    return found


def _array_of(path: Path) -> Telescopes:
    """Return the telescopes of a file of a run, as its name tells."""
    return telescopes.alone(parse_name(path).telescope)


def _name(one: Analysis) -> str:
    return one.name if isinstance(one, Source) else Path(one).name
