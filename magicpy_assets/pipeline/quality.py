"""Whether products look as they should: each question answered from the files of a report, with its numbers.

A verdict that fails stops nothing by itself; who asks decides what follows from it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from magicpy_assets.core import datalevels, sources
from magicpy_assets.core.errors import MagicpyError
from magicpy_assets.core.runs import DataFile, parse_name
from magicpy_assets.pipeline.runs import PEDESTAL_RMS, catalogued, known_runs
from magicpy_assets.store.records import read_record

if TYPE_CHECKING:
    from magicpy_assets.pipeline.report import Report
    from magicpy_assets.pipeline.session import Session

RATE_TOLERANCE = 0.3
"""By how much the rate of a run may differ from the median of its cell: beyond it, clouds or a broken trigger."""
TELESCOPES_TOLERANCE = 0.15
"""By how much medians of image parameters may differ between M1 and M2, which are built alike."""
FEWEST_MATCHED = 0.8
"""Share of the images of the telescope with fewer that have a partner in the other."""
EXPOSURE_TOLERANCE = 0.05
CRAB_TOLERANCE = 0.2
"""Systematic uncertainty of a flux, beside the statistical one: 11-18 % in MAGIC's performance paper (2016)."""
CLEAR_SIGMA = 5.0
CRAB_FLUX_1TEV = 3.23e-11
"""Of the Crab Nebula, per TeV s cm2: MAGIC 2015, JHEAp 5-6, 30."""
IMAGE_PARAMETERS = ("size_phe", "width_mm", "length_mm")


@dataclass(frozen=True)
class Verdict:
    """The answer to one question: whether all is well, and the numbers it rests on."""

    passed: bool
    numbers: dict[str, float | int | str] = field(default_factory=dict)


def files_are_readable(session: Session, report: Report) -> Verdict:
    """Every file opens and holds events."""
    from magicpy_assets.formats.calibrated import CalibratedFile

    faults, events = [], 0
    paths = _products(report)
    for path in paths:
        try:
            with CalibratedFile(path) as file:
                events += file.n_events
        except MagicpyError as error:
            faults.append(f"{path.name}: {error.message}")
    return Verdict(not faults, {"files": len(paths), "events": events, "faults": "; ".join(faults)[:2000] or "none"})


def pedestals_fit_the_catalogue(session: Session, report: Report) -> Verdict:
    """The measured pedestals agree with the catalogue's estimate of the sky: few runs have changed their moon level."""
    wanted = {name.run for name in _names(report)}
    runs = known_runs(session)
    mine = runs[runs["run"].isin(wanted)]
    moved = int((catalogued(mine)["cell"].to_numpy() != mine["cell"].to_numpy()).sum()) if len(mine) else 0
    rms = mine[PEDESTAL_RMS].median()
    return Verdict(
        2 * moved <= len(mine),
        {"runs": len(mine), "moved": moved, "median_pedestal_rms_phe": round(float(rms), 3) if len(mine) else 0.0},
    )


def telescopes_see_the_same(session: Session, report: Report) -> Verdict:
    """Median size, width and length of the images agree between M1 and M2."""
    import pandas as pd

    from magicpy_assets.formats.star import EVENTS, read_events

    branches = [branch for branch in EVENTS if branch.column in IMAGE_PARAMETERS]
    by_telescope: dict[int, list[pd.DataFrame]] = {}
    for path in _products(report):
        by_telescope.setdefault(parse_name(path).telescope or 0, []).append(read_events(path, branches))
    if set(by_telescope) != {1, 2}:
        return Verdict(True, {"telescopes": len(by_telescope)})
    m1, m2 = (pd.concat(by_telescope[telescope]).median() for telescope in (1, 2))
    ratios = {name: float(m2[name] / m1[name]) for name in IMAGE_PARAMETERS}
    worst = max(abs(ratio - 1) for ratio in ratios.values())
    return Verdict(worst < TELESCOPES_TOLERANCE, {f"{name}_m2_over_m1": round(r, 3) for name, r in ratios.items()})


def telescopes_match(session: Session, report: Report) -> Verdict:
    """Most images of the telescope that has fewer of them have a partner in the other."""
    stereo = images = 0
    for path in _products(report):
        counts = {1: 0, 2: 0}
        for star in _stars_of(path):
            counts[parse_name(star).telescope or 1] += _events(star)
        if min(counts.values()):
            images += min(counts.values())
            stereo += _events(path)
    share = stereo / images if images else 1.0
    return Verdict(share > FEWEST_MATCHED, {"stereo": stereo, "images": images, "share": round(share, 3)})


def rates_agree(session: Session, report: Report) -> Verdict:
    """The rate of every run is near the median of the cell; clouds make it fall, a broken trigger makes it jump."""
    duration = known_runs(session).set_index("run")["duration_s"].to_dict()
    rates: dict[int, float] = {}
    for path in _products(report):
        name = parse_name(path)
        if isinstance(name, DataFile) and name.run in duration:
            rates[name.run] = _events(path) / duration[name.run]
    if not rates:
        return Verdict(True, {"runs": 0})
    middle = median(rates.values())
    odd = {run: rate for run, rate in rates.items() if abs(rate / middle - 1) > RATE_TOLERANCE}
    return Verdict(
        not odd,
        {
            "runs": len(rates),
            "median_hz": round(middle, 2),
            "odd": ", ".join(f"{run}: {rate:.1f} Hz" for run, rate in sorted(odd.items())) or "none",
        },
    )


def exposure_closes(session: Session, report: Report) -> Verdict:
    """The live time of the files is the time that the catalogue gives to their runs, but for dead time."""
    from magicpy_assets.formats.dl3 import open_observations

    paths = _products(report)
    if not paths:
        return Verdict(True, {"runs": 0})
    live_s = sum(float(item.observation_live_time_duration.to_value("s")) for item in open_observations(paths))
    duration = known_runs(session).set_index("run")["duration_s"].to_dict()
    expected_s = sum(duration.get(name.run, 0.0) for name in _names(report))
    ratio = live_s / expected_s if expected_s else math.nan
    return Verdict(
        not expected_s or abs(ratio - 1) < EXPOSURE_TOLERANCE,
        {"live_s": round(live_s, 1), "catalogue_s": round(expected_s, 1), "ratio": round(ratio, 4)},
    )


def dl3_is_valid(session: Session, report: Report) -> Verdict:
    """The files obey FITS and the GADF conventions, and gammapy reads them."""
    from magicpy_assets.formats.dl3_check import ERROR, check_file

    paths = _products(report)
    faults = [finding for path in paths for finding in check_file(path) if finding.verdict == ERROR]
    told = "; ".join(f"{fault.file}: {fault.what}" for fault in faults)
    return Verdict(not faults, {"files": len(paths), "errors": len(faults), "faults": told[:2000] or "none"})


def crab_is_the_crab(session: Session, report: Report) -> Verdict:
    """The Crab Nebula has its known flux at 1 TeV; nothing is asked of other sources, or where it is hardly seen."""
    from magicpy_assets.science.spectrum import SpectrumResult

    paths = _products(report)
    if not paths or report.rows[0].source != sources.by_name("Crab").name:
        return Verdict(True, {"asked": "no"})
    spectrum = SpectrumResult.load(paths[0].parent)
    if spectrum.significance < CLEAR_SIGMA:
        return Verdict(True, {"asked": "no", "significance": round(spectrum.significance, 1)})
    (fitted,) = (row for row in spectrum.parameters if row["name"] == "amplitude")
    value, error = float(fitted["value"]), float(fitted["error"])
    allowed = 3 * math.hypot(error, CRAB_TOLERANCE / 3 * CRAB_FLUX_1TEV)
    return Verdict(
        abs(value - CRAB_FLUX_1TEV) < allowed,
        {"flux_1tev": value, "error": error, "expected": CRAB_FLUX_1TEV, "ratio": round(value / CRAB_FLUX_1TEV, 3)},
    )


def agrees_with_the_other(session: Session, report: Report) -> Verdict:
    """Where another analysis of the same runs is there (setting `compare_with`), both agree, event by event."""
    from magicpy_assets.pipeline.other import melibea_side
    from magicpy_assets.science.verdict import compared

    folder = session.settings.compare_with
    theirs = {path.name: path for path in sorted(folder.rglob("*_Q_*.root"))} if folder is not None else {}
    ours = [path for path in _products(report) if path.name in theirs]
    if not ours:
        return Verdict(True, {"asked": "no"})
    runs = {
        name.run: path for path, name in zip(ours, map(parse_name, ours), strict=True) if isinstance(name, DataFile)
    }
    both = {run: theirs[path.name] for run, path in runs.items()}
    first, second = (melibea_side(told, its, its) for told, its in (("the other analysis", both), ("this one", runs)))
    found = compared(first, second, products=False)
    numbers = {str(row["name"]): round(float(row["value"]), 4) for row in found.questions}
    return Verdict(found.agrees, {"runs": len(ours), **numbers, "verdict": found.verdict})


def _products(report: Report) -> list[Path]:
    return [Path(row.product) for row in report.rows if row.state in ("done", "cached")]


def _names(report: Report) -> list[DataFile]:
    return [name for name in map(parse_name, _products(report)) if isinstance(name, DataFile)]


def _stars_of(superstar: Path) -> list[Path]:
    """Return the star files that a superstar file was made from, which lie in the star folder of the same cell."""
    record = read_record(superstar)
    period, cell = superstar.parents[1].name, superstar.parent.name
    folder = superstar.parents[3] / datalevels.Star.key / period / cell
    return [folder / name for name, _ in (record.inputs if record else ()) if (folder / name).is_file()]


def _events(path: Path) -> int:
    from magicpy_assets.formats.root import open_root, tree_of

    with open_root(path) as file:
        return int(tree_of(file, "Events", path).num_entries)
