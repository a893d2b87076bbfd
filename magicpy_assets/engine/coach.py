"""coach: simulated gamma rays and OFF data -> the forests of a cell.

Run-card keys: `RF.mcdata`, `RF.data` (superstar files, wildcards, several separated by blanks), `RF.outpath`,
`RF.zdmin`, `RF.zdmax` (deg), `RF.zdmargin` (deg: how far outside OFF data may lie), `RF.minsize` (phe), `RF.model`
(random_forest or xgboost), `RF.seed`.
Makes `RF.root`, `disp1/DispRF.root`, `disp2/DispRF.root`, `EnRF_Stereo.root`, `Energy_Table.root` and
`training_report.json`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from magicpy_assets.core.errors import InputError
from magicpy_assets.engine.common import Flags, Log, files_of, output_path, run, version_card
from magicpy_assets.formats.forests import write_energy_table, write_forest
from magicpy_assets.formats.runcard import Runcard
from magicpy_assets.formats.star import read_header
from magicpy_assets.formats.superstar import read_events
from magicpy_assets.science.forest import MODELS
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
    asked = [name for name in _STEPS if getattr(given, name)] or list(_STEPS)
    outputs = {part: output_path(folder, FILES[part], given.force) for step in asked for part in _STEPS[step]}
    report_path = output_path(folder, REPORT, given.force)
    sample = read_sample(mc, off, zd, min_size, margin)
    log(f"{len(sample.gammas)} simulated gamma rays of {len(mc)} files, {len(sample.hadrons)} OFF events of {len(off)}")
    forests, report = grow(sample, model, seed, log)
    grown = dict(zip(FILES, (forests.hadronness, *forests.disp, forests.energy), strict=False))
    provenance = {
        "coach": f"{model}, seed {seed}, zenith {zd[0]:g} to {zd[1]:g} deg, size > {min_size:g} phe",
        "mc": " ".join(path.name for path in mc),
        "off": " ".join(path.name for path in off),
        "simulated": "yes" if any(read_header(path).simulated for path in (off[0], mc[0])) else "no",
    } | version_card("coach")
    for part, path in outputs.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        with pending(path) as temporary:
            if part in grown:
                write_forest(temporary, grown[part], provenance)
            elif forests.tables is not None:
                write_energy_table(temporary, forests.tables, provenance)
        told = (
            f"{len(grown[part].start) - 1} trees, identity {grown[part].identity}" if part in grown else "energy table"
        )
        log(f"{path.name}: {told}")
    report |= {"provenance": provenance, "forests": {part: forest.identity for part, forest in grown.items()}}
    with pending(report_path) as temporary:
        temporary.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    log(f"separation on unseen events: area under the curve {report['auc']:.3f}")
    return f"{len(sample.gammas) + len(sample.hadrons)} events written to {len(outputs)} forests in {folder}"


def read_sample(
    mc: list[Path], off: list[Path], zd_deg: tuple[float, float], min_size_phe: float, margin_deg: float = 0.0
) -> Sample:
    """Read what to learn from: events that can be reconstructed, in a range of zenith distance.

    OFF data may lie `margin_deg` outside of it.

    Raises
    ------
    InputError
        If the Monte Carlo has no truth.
    """
    import pandas as pd

    gammas, showers, offset = [], [], 0
    for path in mc:
        table = _selected(path, zd_deg, min_size_phe)
        if "energy_gev_1" not in table:
            raise InputError(f"{path.name} holds no simulated energies: is it Monte Carlo?")
        gammas.append(table)
        numbers = table["event_number_1"].to_numpy().astype(np.int64)
        showers.append(numbers + offset)
        offset += int(numbers.max(initial=0)) + 1
    wide = zd_deg[0] - margin_deg, zd_deg[1] + margin_deg
    hadrons = [_selected(path, wide, min_size_phe) for path in off]
    runs = [np.full(len(table), read_header(path).run) for path, table in zip(off, hadrons, strict=True)]
    return Sample(
        pd.concat(gammas, ignore_index=True),
        np.concatenate(showers),
        pd.concat(hadrons, ignore_index=True),
        np.concatenate(runs),
    )


def _selected(path: Path, zd_deg: tuple[float, float], min_size_phe: float) -> pd.DataFrame:
    table = read_events(path)
    zd = table["pointing_zd_deg_1"]
    # Half a degree more on each side: a run belongs to a range by its mean.
    return table[usable(table, min_size_phe) & (zd > zd_deg[0] - 0.5) & (zd < zd_deg[1] + 0.5)]
