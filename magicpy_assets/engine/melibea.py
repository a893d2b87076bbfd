"""melibea: superstar files and forests -> hadronness, direction, energy (`_Q_`), one file for each.

Given star files of one telescope and its forests, it does the same mono, without `--stereo`: one file for each run.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from magicpy_assets.core.datalevels import Melibea, Star, SuperStar
from magicpy_assets.core.errors import InputError
from magicpy_assets.core.runs import parse_name
from magicpy_assets.engine import melibea_mono
from magicpy_assets.engine.common import Flags, Log, files_of, output_path, run, version_card
from magicpy_assets.engine.melibea_common import Columns, cards, direction_columns, load, named_files, of_all
from magicpy_assets.formats import star as star_files
from magicpy_assets.formats import superstar as superstar_files
from magicpy_assets.formats.forests import read_energy_table
from magicpy_assets.formats.melibea import EVENTS
from magicpy_assets.formats.runcard import Runcard
from magicpy_assets.science.camera import FOCAL_MM
from magicpy_assets.science.energy_table import combined
from magicpy_assets.science.reconstruction import Direction, Forests, event_columns, table_columns, usable
from magicpy_assets.store.records import pending

_FORESTS = {
    "--rftree": "gamma/hadron",
    "--rfdisptree": "M1 direction",
    "--rfdisp2tree": "M2 direction",
    "--erf": "energy",
}


def main(argv: Sequence[str]) -> int:
    """Run melibea."""
    flags = Flags("melibea", "superstar (or star) files and forests -> hadronness, direction, energy").with_input()
    flags.with_mc()
    for flag, meaning in _FORESTS.items():
        flags.add_argument(flag, type=Path, metavar="FILE", help=f"{meaning} forest")
    flags.add_argument("--stereo", action="store_true", dest="stereo", help="both telescopes; always so of _S_ files")
    for switch in ("--rf", "--calc-disp-rf", "--calc-disp2-rf", "--calcstereodisp", "--disp-rf-sstrained"):
        flags.add_argument(switch, action="store_true", help="as in MARS; always so here")
    flags.add_argument("-erec", action="store_true", help="energies from the table of --etab, too")
    flags.add_argument("--etab", type=Path, metavar="FILE", help="energy table: an energy for each telescope")
    flags.add_argument("-erec-rf", action="store_true", help="energies from the forest of --erf; always so here")
    return run("melibea", flags, argv, _melibea)


def _melibea(given: Any, card: Runcard, log: Log) -> str:
    files = files_of(given.ind, "--ind")
    if any(parse_name(path).level == Star for path in files):
        return melibea_mono.apply_to(files, given, log)
    forests, identity = _load(given)
    outputs = []
    for path in files:
        if parse_name(path).level != SuperStar:
            raise InputError(f"{path.name} is not a superstar (_S_) file")
        outputs.append(output_path(given.out, parse_name(path).at(Melibea).name, given.force))
    total = sum(process(path, output, forests, identity, log) for path, output in zip(files, outputs, strict=True))
    return f"{total} events written to {given.out if len(outputs) > 1 else outputs[0]}"


def _load(given: Any) -> tuple[Forests, dict[str, str]]:
    paths = named_files(given, _FORESTS, "coach trains them from OFF data and Monte Carlo of the cell")
    if given.erec and given.etab is None:
        raise InputError("-erec asks for energies from a table, but --etab= is missing")
    loaded = load(paths)
    tables = None
    if given.etab is not None:
        loaded["--etab"] = read_energy_table(given.etab)
        tables = loaded["--etab"][0]
    directions = loaded["--rfdisptree"][0], loaded["--rfdisp2tree"][0]
    forests = Forests(directions, loaded["--erf"][0], loaded["--rftree"][0], tables)
    return forests, cards(loaded, _FORESTS)


def process(path: Path, output: Path, forests: Forests, identity: dict[str, str], log: Log) -> int:
    """Apply the forests to one superstar file; returns the number of events written."""
    info = star_files.read_header(path)
    table = superstar_files.read_events(path)
    events = {name: table[name].to_numpy() for name in table}
    good = usable(table, 0.0)
    if not good.any():
        raise InputError(f"{path.name}: no event could be reconstructed in stereo")
    events |= apply(events, good, forests, is_mc=info.is_mc)
    original = superstar_files.read_original_mc(path)
    with pending(output) as temporary:
        superstar_files.write_superstar(
            temporary,
            info,
            events,
            provenance=star_files.read_provenance(path)
            | identity
            | {"melibea input": path.name}
            | version_card("melibea"),
            branches=EVENTS,
            drive=star_files.read_drive(path),
            original_mc=original,
            mc_header=star_files.read_mc_header(path),
        )
    log(f"{output.name}: {good.sum()} of {len(table)} events reconstructed")
    return len(table)


def apply(events: Columns, good: NDArray[np.bool_], forests: Forests, *, is_mc: bool) -> Columns:
    """Return the columns that melibea adds; NaN for events that cannot be reconstructed."""
    some = {name: values[good] for name, values in events.items()}
    found = forests.locate(some)
    energy, hadronness = forests.judge(some, found)
    values = {
        "hadronness": hadronness,
        "energy_rf_gev": energy,
        "disp_diff2_deg2": np.degrees(found.difference_mm / FOCAL_MM) ** 2,
    }
    values |= direction_columns(some, found.x_mm, found.y_mm, is_mc=is_mc)
    values |= _table_energies(some, found, forests)
    for n in (1, 2):
        values[f"disp_deg_{n}"] = np.degrees(found.disp_mm[n - 1] / FOCAL_MM)
        for axis, points in zip(("x", "y"), found.points_mm[n - 1], strict=True):
            values[f"disp_{axis}_deg_{n}"] = np.degrees(points / FOCAL_MM)
    return of_all(values, good)


def _table_energies(events: Columns, found: Direction, forests: Forests) -> Columns:
    """Return what the energy tables say: impact, energy and uncertainty of each telescope, and of both together."""
    if forests.tables is None:
        return {}
    seen = event_columns(events, found)
    values: Columns = {}
    energies, uncertainties = [], []
    for n, table in enumerate(forests.tables, start=1):
        log_size, impact_m = table_columns(seen, n)
        energy, uncertainty = table.estimate(log_size, impact_m)
        energies.append(energy)
        uncertainties.append(uncertainty)
        values |= {
            f"energy_est_gev_{n}": energy,
            f"energy_uncertainty_gev_{n}": uncertainty,
            f"impact_est_cm_{n}": 100.0 * impact_m,
        }
    energy, uncertainty = combined((energies[0], energies[1]), (uncertainties[0], uncertainties[1]))
    return values | {"energy_est_gev": energy, "energy_uncertainty_gev": uncertainty}
