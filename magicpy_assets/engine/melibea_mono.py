"""What melibea does with one telescope: star files of a run and forests -> hadronness, direction, energy (`_Q_`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from magicpy_assets.core.datalevels import Melibea, Star
from magicpy_assets.core.errors import InputError
from magicpy_assets.core.runs import parse_name
from magicpy_assets.engine.common import Log, output_path, version_card
from magicpy_assets.engine.melibea_common import Columns, cards, direction_columns, load, named_files, of_all
from magicpy_assets.engine.superstar import joined_drive
from magicpy_assets.formats import star as star_files
from magicpy_assets.formats.forests import HEAD_TAIL, read_forest
from magicpy_assets.formats.melibea import MONO_EVENTS
from magicpy_assets.science import mono
from magicpy_assets.science.camera import FOCAL_MM
from magicpy_assets.science.mono import MonoForests
from magicpy_assets.store.records import pending


def apply_to(files: list[Path], given: Any, log: Log) -> str:
    """Apply the forests that flags name to star files of one telescope; returns the last line of melibea.

    Raises
    ------
    InputError
        If files of other levels or of both telescopes are among them, or `--stereo` was given.
    """
    if given.stereo:
        raise InputError(f"{files[0].name} holds one telescope: --stereo takes superstar (_S_) files")
    runs: dict[str, list[Path]] = {}
    for path in files:
        name = parse_name(path)
        if name.level != Star:
            raise InputError(f"{path.name} is not a star (_I_) file, but others are: one kind at a time")
        runs.setdefault(name.at(Melibea, mono=True).name, []).append(path)
    telescopes = {parse_name(path).telescope for path in files}
    telescope = telescopes.pop()
    if telescopes or telescope is None:
        raise InputError("star files of M1 and M2 are mixed: mono melibea takes one telescope at a time")
    forests, identity = _load(given, telescope)
    outputs = {name: output_path(given.out, name, given.force) for name in runs}
    total = sum(process(runs[name], path, forests, identity, log) for name, path in outputs.items())
    return f"{total} events written to {given.out if len(outputs) > 1 else next(iter(outputs.values()))}"


def _load(given: Any, telescope: int) -> tuple[MonoForests, dict[str, str]]:
    meant = {"--rftree": "gamma/hadron", "--rfdisptree": f"M{telescope} direction", "--erf": "energy"}
    paths = named_files(given, meant, "coach trains them from star files of this telescope")
    loaded = load(paths)
    identity = cards(loaded, meant)
    for flag, (_, provenance) in loaded.items():
        if (of := provenance.get("telescopes", "both telescopes")) != f"M{telescope}":
            raise InputError(
                f"{paths[flag]} is a forest of {of}, the files are of M{telescope}", hint="train with star files of it"
            )
    head_tail, _ = read_forest(paths["--rfdisptree"], HEAD_TAIL)
    forests = MonoForests(telescope, loaded["--rfdisptree"][0], head_tail, loaded["--erf"][0], loaded["--rftree"][0])
    return forests, identity


def process(files: list[Path], output: Path, forests: MonoForests, identity: dict[str, str], log: Log) -> int:
    """Apply the forests to the star files of one run, which become one file; returns the number of events written."""
    info = star_files.read_header(files[0])
    table = pd.concat([star_files.read_events(path) for path in files], ignore_index=True)
    if table.empty:
        raise InputError(f"{files[0].name} holds no events")
    seen = star_files.named(table, forests.telescope)
    good = mono.usable(seen, forests.telescope, 0.0)
    if not good.any():
        raise InputError(f"{files[0].name}: no event has an image with an axis")
    events = {str(name): table[name].to_numpy() for name in table}
    events |= apply({str(name): seen[name].to_numpy() for name in seen}, good, forests, is_mc=info.is_mc)
    provenance = star_files.read_provenance(files[0]) | identity
    with pending(output) as temporary:
        star_files.write_star(
            temporary,
            info,
            [events],
            provenance=provenance
            | {"melibea input": " ".join(path.name for path in files), "array": f"mono, M{forests.telescope}"}
            | version_card("melibea"),
            drive=joined_drive(files),
            original_mc=star_files.read_original_mc(files[0]),
            mc_header=star_files.read_mc_header(files[0]),
            branches=MONO_EVENTS,
        )
    log(f"{output.name}: {good.sum()} of {len(table)} events reconstructed with M{forests.telescope} alone")
    return len(table)


def apply(events: Columns, good: NDArray[np.bool_], forests: MonoForests, *, is_mc: bool) -> Columns:
    """Return the columns that melibea adds; NaN for events that cannot be reconstructed."""
    some = {name: values[good] for name, values in events.items()}
    found = forests.locate(some)
    energy, hadronness = forests.judge(some, found)
    values = {
        "hadronness": hadronness,
        "energy_est_gev": energy,
        "disp_deg": np.degrees(found.disp_mm / FOCAL_MM),
        "head_tail": found.probability,
    }
    return of_all(values | direction_columns(some, found.x_mm, found.y_mm, is_mc=is_mc), good)
