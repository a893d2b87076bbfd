"""Whether every file that was planned is there, opens, is whole, and holds as many events as it should."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from magicpy_assets.core import datalevels, telescopes
from magicpy_assets.core.errors import MagicpyError
from magicpy_assets.core.runs import DataFile, parse_name
from magicpy_assets.formats.counting import events_in
from magicpy_assets.mars.programs import FOREST_FILES, SPECTRA_FILES, forest_files
from magicpy_assets.pipeline.quality.verdict import NOT_ASKED, THERE, Verdict, inputs_at, listed, products
from magicpy_assets.pipeline.runs import known_runs
from magicpy_assets.science.references import survival
from magicpy_assets.store.records import is_complete, read_record

if TYPE_CHECKING:
    from magicpy_assets.pipeline.report import Report
    from magicpy_assets.pipeline.session import Session


def something_is_there(session: Session, report: Report) -> Verdict:
    """At least one product of the cell is there: what is made from this level has something to be made from."""
    there = len(products(report))
    return Verdict(there > 0, {"there": there, "planned": len(report), "missing": _missing(report)})


def everything_is_there(session: Session, report: Report) -> Verdict:
    """As many products are there as are planned; the others are listed with the reason."""
    there = len(products(report))
    return Verdict(there == len(report), {"there": there, "planned": len(report), "missing": _missing(report)})


def files_are_readable(session: Session, report: Report) -> Verdict:
    """Every file of every run opens, and is as long as it was when it was made."""
    faults, events, files = [], 0, products(report)
    stages = {row.product: row.stage for row in report.rows}
    for path in files:
        try:
            events += _OPENED.get(stages[str(path)], events_in)(path)
        except (MagicpyError, OSError, ValueError, KeyError) as error:
            faults.append(f"{path.name}: {error.message if isinstance(error, MagicpyError) else error}")
            continue
        record = read_record(path)
        if record is None or not is_complete(path, record.fingerprint):
            faults.append(f"{path.name}: not as long as its record says")
    return Verdict(not faults, {"files": len(files), "events": events, "faults": listed(faults)})


def events_as_expected(session: Session, report: Report) -> Verdict:
    """Of the events of the level before, or of the triggers, as large a share is left as the table of counts allows."""
    if not report.rows or not products(report):
        return Verdict(True, NOT_ASKED)
    stage = report.rows[0].stage
    if session.telescopes.is_mono and stage == datalevels.DL3.key:
        # What the table says of the cuts is of gamma/hadron separation with both telescopes.
        return Verdict(True, NOT_ASKED)
    allowed = survival(stage)
    shares = _shares_of_triggers(session, report) if stage == datalevels.Calibrated.key else _shares(report, stage)
    if not shares:
        return Verdict(True, NOT_ASKED)
    odd = {unit: share for unit, share in shares.items() if not allowed.lowest <= share <= allowed.highest}
    return Verdict(
        not odd,
        {
            "of": allowed.of,
            "lowest": round(min(shares.values()), 4),
            "highest": round(max(shares.values()), 4),
            "expected": f"{allowed.lowest:g} to {allowed.highest:g}",
            "odd": listed(f"{unit}: {share:.3g}" for unit, share in sorted(odd.items())),
        },
    )


def theta2_is_there(session: Session, report: Report) -> Verdict:
    """The θ² distribution of the cell is there and can be read."""
    return _result_is_there(report, "theta2.json")


def light_curve_is_there(session: Session, report: Report) -> Verdict:
    """The light curve of the cell is there and can be read."""
    return _result_is_there(report, "light_curve.json")


def skymap_is_there(session: Session, report: Report) -> Verdict:
    """The sky map of the cell is there and can be read."""
    return _result_is_there(report, "skymap.json")


def _result_is_there(report: Report, name: str) -> Verdict:
    for product in products(report):
        path = product.parent / name
        try:
            json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            return Verdict(False, {"file": name, "fault": str(error)})
        return Verdict(True, {"file": name, "bytes": path.stat().st_size})
    return Verdict(False, {"file": name, "fault": _missing(report)})


def _missing(report: Report) -> str:
    return listed(f"{row.unit}: {row.state}, {row.reason}" for row in report.rows if row.state not in THERE)


def _shares_of_triggers(session: Session, report: Report) -> dict[str, float]:
    """Return the events of each run and telescope over its triggers by the catalogue."""
    runs = known_runs(session).set_index("run")
    triggers = (runs["L3_rate"] * runs["duration_s"]).to_dict()
    events: dict[tuple[int, int | None], int] = {}
    subruns: dict[tuple[int, int | None], int] = {}
    for path in products(report):
        name = parse_name(path)
        if isinstance(name, DataFile) and triggers.get(name.run):
            key = (name.run, name.telescope)
            events[key] = events.get(key, 0) + events_in(path)
            subruns[key] = subruns.get(key, 0) + 1
    listed_subruns = runs["subruns"].to_dict()
    # A run of which files are missing is the matter of another question: it is judged by the files that are there.
    return {
        f"{run} M{telescope}": number / (triggers[run] * subruns[run, telescope] / listed_subruns[run])
        for (run, telescope), number in events.items()
    }


def _shares(report: Report, stage: str) -> dict[str, float]:
    """Return the events of each file over those of the files that it was made from, where these are still there."""
    shares = {}
    for path in products(report):
        before = sum(map(events_in, _made_from(path, stage)))
        if before:
            shares[path.name] = events_in(path) / before
    return shares


def _made_from(path: Path, stage: str) -> list[Path]:
    if stage == datalevels.Star.key:
        record, folder = read_record(path), path.parents[3] / datalevels.Calibrated.key
        return [found for name, _ in (record.inputs if record else ()) for found in folder.glob(f"*/**/{name}")][:1]
    if stage == datalevels.SuperStar.key:
        # Every shower has an image in each telescope: M1's are counted.
        return [star for star in inputs_at(path, datalevels.Star) if parse_name(star).telescope == 1]
    level = {datalevels.Melibea.key: datalevels.SuperStar, datalevels.DL3.key: datalevels.Melibea}[stage]
    return [one for one in inputs_at(path, level) if parse_name(one).level == level]


def _calibrated(path: Path) -> int:
    from magicpy_assets.formats.calibrated import CalibratedFile

    with CalibratedFile(path) as file:
        _ = file.info
        return file.n_events


def _forests(path: Path) -> int:
    from magicpy_assets.formats.forests import read_energy_table, read_forest

    mono = [one for one in telescopes.ALL if one.is_mono and one.key == path.parent.name]
    trees = 0
    for name in forest_files(mono[0] if mono else telescopes.STEREO):
        if name == FOREST_FILES[-1]:
            read_energy_table(path.parent / name)
        else:
            trees += len(read_forest(path.parent / name)[0].start)
    return trees


def _dl3(path: Path) -> int:
    from magicpy_assets.formats.dl3 import open_observations

    return sum(len(one.events.table) for one in open_observations([path]))


def _spectra(path: Path) -> int:
    from astropy.io import fits

    for name in SPECTRA_FILES:
        file = path.parent / name
        if file.suffix == ".json":
            json.loads(file.read_text(encoding="utf-8"))
        else:
            with fits.open(file) as hdus:
                hdus.verify("exception")
    return 0


_OPENED: dict[str, Callable[[Path], int]] = {
    datalevels.Calibrated.key: _calibrated,
    datalevels.RandomForest.key: _forests,
    datalevels.DL3.key: _dl3,
    datalevels.Spectra.key: _spectra,
}
"""How the files of a level are opened, and their events counted; all others are ROOT files with a tree of events."""
