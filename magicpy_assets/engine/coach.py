"""coach: simulated gamma rays and OFF data -> the forests of a cell.

Superstar files make stereo forests, star files of one telescope the mono forests of that telescope.

Run-card keys: `RF.mcdata`, `RF.data` (files, wildcards, several separated by blanks), `RF.outpath`,
`RF.zdmin`, `RF.zdmax` (deg), `RF.zdmargin` (deg: how far outside OFF data may lie), `RF.minsize` (phe), `RF.model`
(random_forest or xgboost), `RF.seed`.
Makes `RF.root`, `disp1/DispRF.root`, `disp2/DispRF.root`, `EnRF_Stereo.root`, `Energy_Table.root` and
`training_report.json`; mono `RF.root`, `disp1/DispRF.root` or `disp2/DispRF.root`, `EnRF.root` and the report.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from magicpy_assets.core.datalevels import Star, SuperStar
from magicpy_assets.core.errors import InputError
from magicpy_assets.core.runs import parse_name
from magicpy_assets.engine.common import Flags, Log, files_of, output_path, run, version_card
from magicpy_assets.formats.forests import write_energy_table, write_forest
from magicpy_assets.formats.runcard import Runcard
from magicpy_assets.formats.star import read_header, read_named
from magicpy_assets.formats.superstar import read_events
from magicpy_assets.science import mono
from magicpy_assets.science.forest import MODELS, Forest
from magicpy_assets.science.mono_training import grow_mono
from magicpy_assets.science.reconstruction import usable
from magicpy_assets.science.training import Sample, grow
from magicpy_assets.store.records import pending

if TYPE_CHECKING:
    import pandas as pd

FILES = {
    "hadronness": "RF.root",
    "disp1": "disp1/DispRF.root",
    "disp2": "disp2/DispRF.root",
    "energy": "EnRF_Stereo.root",
    "table": "Energy_Table.root",
}
MONO_ENERGY = "EnRF.root"
REPORT = "training_report.json"
_STEPS = {"rf_gh": ("hadronness",), "rf_disp": ("disp1", "disp2"), "rf_energy": ("energy",), "luts": ("table",)}


def main(argv: Sequence[str]) -> int:
    """Run coach."""
    flags = Flags("coach", "simulated gamma rays and OFF data -> forests")
    flags.add_argument("-RFgh", action="store_true", dest="rf_gh", help="write the gamma/hadron forest")
    flags.add_argument("-RFdisp", action="store_true", dest="rf_disp", help="write the direction forests")
    flags.add_argument("-RFenStereo", action="store_true", dest="rf_energy", help="write the energy forest")
    flags.add_argument("-LUTs", action="store_true", dest="luts", help="write the energy table")
    return run("coach", flags, argv, _coach)


def _coach(given: Any, card: Runcard, log: Log) -> str:
    mc = files_of((card.get("RF.mcdata") or "").split(), "RF.mcdata")
    off = files_of((card.get("RF.data") or "").split(), "RF.data")
    folder = Path(card.get("RF.outpath") or given.out)
    zd = card.number("RF.zdmin", 0, 0, 90), card.number("RF.zdmax", 90, 0, 90)
    margin = card.number("RF.zdmargin", 0, 0, 10)
    min_size = card.number("RF.minsize", 50, 0)
    model = card.choice("RF.model", MODELS, "xgboost")
    seed = int(card.number("RF.seed", 1, 0))
    telescope = _telescope_of([*mc, *off])
    parts = FILES if telescope is None else _mono_files(telescope)
    asked = [name for name in _STEPS if getattr(given, name)] or list(_STEPS)
    outputs = {
        part: output_path(folder, parts[part], given.force) for step in asked for part in _STEPS[step] if part in parts
    }
    report_path = output_path(folder, REPORT, given.force)
    sample = read_sample(mc, off, zd, min_size, margin, telescope)
    log(f"{len(sample.gammas)} simulated gamma rays of {len(mc)} files, {len(sample.hadrons)} OFF events of {len(off)}")
    grown, report = _grown(sample, telescope, model, seed, log)
    provenance = {
        "coach": f"{model}, seed {seed}, zenith {zd[0]:g} to {zd[1]:g} deg, size > {min_size:g} phe",
        "mc": " ".join(path.name for path in mc),
        "off": " ".join(path.name for path in off),
        "simulated": "yes" if any(read_header(path).simulated for path in (off[0], mc[0])) else "no",
    } | version_card("coach")
    if telescope is not None:
        provenance["telescopes"] = f"M{telescope}"
    for part, path in outputs.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        with pending(path) as temporary:
            told = _write(temporary, part, grown, provenance)
        log(f"{path.name}: {told}")
    identities = {part: forest.identity for part, forest in grown.items() if isinstance(forest, Forest)}
    report |= {"provenance": provenance, "forests": identities}
    with pending(report_path) as temporary:
        temporary.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    log(f"separation on unseen events: area under the curve {report['auc']:.3f}")
    return f"{len(sample.gammas) + len(sample.hadrons)} events written to {len(outputs)} forests in {folder}"


def _telescope_of(paths: list[Path]) -> int | None:
    """Return the telescope whose star files these are, or None for superstar files.

    Raises
    ------
    InputError
        If they are mixed.
    """
    names = {path: parse_name(path) for path in paths}
    kinds = {(name.level.letter, name.telescope) for name in names.values()}
    if len(kinds) > 1:
        told = " and ".join(sorted(f"_{letter}_" + (f" of M{number}" if number else "") for letter, number in kinds))
        raise InputError(f"files of different kinds are mixed: {told}", hint="all superstar, or star of one telescope")
    level = next(iter(names.values())).level
    if level not in (Star, SuperStar):
        raise InputError(f"{paths[0].name} is neither a superstar (_S_) nor a star (_I_) file")
    return kinds.pop()[1]


def _mono_files(telescope: int) -> dict[str, str]:
    direction = f"disp{telescope}"
    return {"hadronness": FILES["hadronness"], direction: FILES[direction], "energy": MONO_ENERGY}


def _grown(
    sample: Sample, telescope: int | None, model: str, seed: int, log: Log
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what is grown, by the names of `FILES` (and `head_tail`), and the report."""
    if telescope is not None:
        alone, report = grow_mono(sample, telescope, model, seed, log)
        parts = {"hadronness": alone.hadronness, f"disp{telescope}": alone.disp, "energy": alone.energy}
        return parts | {"head_tail": alone.head_tail}, report
    forests, report = grow(sample, model, seed, log)
    found = (forests.hadronness, *forests.disp, forests.energy, forests.tables)
    return dict(zip(FILES, found, strict=True)), report


def _write(path: Path, part: str, grown: dict[str, Any], provenance: dict[str, str]) -> str:
    """Write one of the files; returns what is told of it."""
    forest = grown[part]
    if part == "table":
        write_energy_table(path, forest, provenance)
        return "energy table"
    write_forest(path, forest, provenance, head_tail=grown.get("head_tail") if part.startswith("disp") else None)
    return f"{len(forest.start) - 1} trees, identity {forest.identity}"


def read_sample(
    mc: list[Path],
    off: list[Path],
    zd_deg: tuple[float, float],
    min_size_phe: float,
    margin_deg: float = 0.0,
    telescope: int | None = None,
) -> Sample:
    """Read what to learn from: events that can be reconstructed, in a range of zenith distance.

    OFF data may lie `margin_deg` outside of it. With a telescope, files are star files of it; where its OFF data were
    triggered by both telescopes together, so must be the gamma rays.

    Raises
    ------
    InputError
        If the Monte Carlo has no truth.
    """
    import pandas as pd

    wide = zd_deg[0] - margin_deg, zd_deg[1] + margin_deg
    hadrons = [_selected(path, wide, min_size_phe, telescope) for path in off]
    by_array = any((table["stereo_number_1"] > 0).any() for table in hadrons if "stereo_number_1" in table)
    gammas, showers, offset = [], [], 0
    for path in mc:
        table = _selected(path, zd_deg, min_size_phe, telescope, by_array=by_array)
        if "energy_gev_1" not in table:
            raise InputError(f"{path.name} holds no simulated energies: is it Monte Carlo?")
        gammas.append(table)
        numbers = table["event_number_1"].to_numpy().astype(np.int64)
        showers.append(numbers + offset)
        offset += int(numbers.max(initial=0)) + 1
    runs = [np.full(len(table), read_header(path).run) for path, table in zip(off, hadrons, strict=True)]
    return Sample(
        pd.concat(gammas, ignore_index=True),
        np.concatenate(showers),
        pd.concat(hadrons, ignore_index=True),
        np.concatenate(runs),
    )


def _selected(
    path: Path,
    zd_deg: tuple[float, float],
    min_size_phe: float,
    telescope: int | None,
    *,
    by_array: bool = False,
) -> pd.DataFrame:
    table = read_events(path) if telescope is None else read_named(path)
    zd = table["pointing_zd_deg_1"]
    # Half a degree more on each side: a run belongs to a range by its mean.
    kept = (zd > zd_deg[0] - 0.5) & (zd < zd_deg[1] + 0.5)
    if telescope is None:
        return table[usable(table, min_size_phe) & kept]
    if by_array:
        kept &= table["stereo_number_1"] > 0
    return table[mono.usable(table, telescope, min_size_phe) & kept]
