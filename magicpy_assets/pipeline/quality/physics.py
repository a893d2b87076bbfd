"""Whether what physics is done with holds together: directions, live time, exposure, DL3 files, fits, known fluxes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from magicpy_assets.core import sources
from magicpy_assets.core.runs import DataFile, parse_name
from magicpy_assets.pipeline.quality.verdict import NOT_ASKED, Verdict, listed, names, products
from magicpy_assets.pipeline.runs import known_runs
from magicpy_assets.science.expectations import OK, by_name

if TYPE_CHECKING:
    from magicpy_assets.pipeline.report import Report
    from magicpy_assets.pipeline.session import Session

FEWEST_RECONSTRUCTED = 0.5
"""Share of the events with a hadronness between 0 and 1, and a direction."""
LIVE_TIME_TOLERANCE = 1e-3
EXPOSURE_TOLERANCE = 0.05
CLEAR_SIGMA = 5.0
"""Of a source seen less clearly no flux is asked."""


def events_are_reconstructed(session: Session, report: Report) -> Verdict:
    """Over all runs, most events have a hadronness between 0 and 1."""
    from magicpy_assets.formats.melibea import FOR_COUNTING, read_events

    good = events = 0
    for path in products(report):
        hadronness = read_events(path, FOR_COUNTING)["hadronness"]
        good, events = good + int(hadronness.between(0, 1).sum()), events + len(hadronness)
    share = good / events if events else 0.0
    return Verdict(
        share > FEWEST_RECONSTRUCTED, {"events": events, "share": share, "expected_above": FEWEST_RECONSTRUCTED}
    )


def live_time_closes(session: Session, report: Report) -> Verdict:
    """In every file, LIVETIME is the length of the good time intervals times DEADC."""
    from magicpy_assets.formats.dl3 import open_observations

    files = products(report)
    if not files:
        return Verdict(False, {"reason": "no run was made"})
    worst = 0.0
    for observation in open_observations(files):
        card = observation.events.table.meta
        expected = float(observation.gti.time_sum.to_value("s")) * float(card["DEADC"])
        worst = max(worst, abs(float(card["LIVETIME"]) - expected) / expected)
    return Verdict(worst < LIVE_TIME_TOLERANCE, {"largest_difference": worst, "expected_below": LIVE_TIME_TOLERANCE})


def exposure_closes(session: Session, report: Report) -> Verdict:
    """The live time of the files is the time that the catalogue gives to their runs, but for dead time."""
    from magicpy_assets.formats.dl3 import open_observations

    paths = products(report)
    if not paths:
        return Verdict(True, {"runs": 0})
    live_s = sum(float(item.observation_live_time_duration.to_value("s")) for item in open_observations(paths))
    duration = known_runs(session).set_index("run")["duration_s"].to_dict()
    expected_s = sum(duration.get(name.run, 0.0) for name in names(report))
    ratio = live_s / expected_s if expected_s else math.nan
    return Verdict(
        not expected_s or abs(ratio - 1) < EXPOSURE_TOLERANCE,
        {"live_s": round(live_s, 1), "catalogue_s": round(expected_s, 1), "ratio": round(ratio, 4)},
    )


def dl3_is_valid(session: Session, report: Report) -> Verdict:
    """The files obey FITS and the GADF conventions, and gammapy reads them."""
    from magicpy_assets.formats.dl3_check import ERROR, check_file

    paths = products(report)
    faults = [finding for path in paths for finding in check_file(path) if finding.verdict == ERROR]
    told = listed(f"{fault.file}: {fault.what}" for fault in faults)
    return Verdict(not faults, {"files": len(paths), "errors": len(faults), "faults": told})


def fit_converged(session: Session, report: Report) -> Verdict:
    """The spectral fit converged."""
    files = products(report)
    if not files:
        return Verdict(False, {"reason": "no spectrum"})
    from magicpy_assets.science.spectrum import SpectrumResult

    fitted = SpectrumResult.load(files[0].parent)
    return Verdict(fitted.converged, {"significance": fitted.significance, "excess": fitted.excess})


def crab_is_the_crab(session: Session, report: Report) -> Verdict:
    """The Crab Nebula has its known flux at 1 TeV; nothing is asked of other sources, or where it is hardly seen."""
    from magicpy_assets.science.spectrum import SpectrumResult

    paths = products(report)
    if not paths or report.rows[0].source != sources.by_name("Crab").name:
        return Verdict(True, NOT_ASKED)
    spectrum = SpectrumResult.load(paths[0].parent)
    if spectrum.significance < CLEAR_SIGMA:
        return Verdict(True, {**NOT_ASKED, "significance": round(spectrum.significance, 1)})
    (fitted,) = (row for row in spectrum.parameters if row["name"] == "amplitude")
    value, error, known = float(fitted["value"]), float(fitted["error"]), by_name("crab_flux_1tev")
    return Verdict(
        known.verdict(value, error) == OK,
        {"flux_1tev": value, "error": error, "expected": known.expected, "ratio": round(value / known.expected, 3)},
    )


def agrees_with_the_other(session: Session, report: Report) -> Verdict:
    """Where another analysis of the same runs is there (setting `compare_with`), both agree, event by event."""
    from magicpy_assets.pipeline.other import melibea_side
    from magicpy_assets.science.verdict import compared

    folder = session.settings.compare_with
    theirs = {path.name: path for path in sorted(folder.rglob("*_Q_*.root"))} if folder is not None else {}
    ours = [path for path in products(report) if path.name in theirs]
    if not ours:
        return Verdict(True, NOT_ASKED)
    runs = {
        name.run: path for path, name in zip(ours, map(parse_name, ours), strict=True) if isinstance(name, DataFile)
    }
    both = {run: theirs[path.name] for run, path in runs.items()}
    first, second = (melibea_side(told, its, its) for told, its in (("the other analysis", both), ("this one", runs)))
    found = compared(first, second, products=False)
    numbers = {str(row["name"]): round(float(row["value"]), 4) for row in found.questions}
    return Verdict(found.agrees, {"runs": len(ours), **numbers, "verdict": found.verdict})
