"""Whether pedestals, images and stereo pairs are those of healthy cameras under the sky of the cell."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from magicpy_assets.core import datalevels, moons
from magicpy_assets.core.cell import Cell
from magicpy_assets.core.errors import OutOfRangeError, UnknownNameError
from magicpy_assets.core.runs import DataFile, parse_name
from magicpy_assets.formats.counting import events_in
from magicpy_assets.pipeline.quality.verdict import (
    NOT_ASKED,
    THERE,
    Verdict,
    inputs_at,
    listed,
    names,
    products,
)
from magicpy_assets.pipeline.runs import PEDESTAL_RMS, catalogued, known_runs
from magicpy_assets.science.references import DATA, GAMMA, reference
from magicpy_assets.store.records import read_record

if TYPE_CHECKING:
    import pandas as pd

    from magicpy_assets.pipeline.report import Report
    from magicpy_assets.pipeline.session import Session

IMAGES_TOLERANCE = 0.2
"""By how much medians of image parameters may differ from the table: clouds halve the size, bad mirrors widen."""
TELESCOPES_TOLERANCE = 0.15
"""By how much medians of image parameters may differ between M1 and M2, which are built alike."""
FEWEST_MATCHED = 0.8
"""Share of the images of the telescope with fewer that have a partner in the other."""
FEWEST_CROSSING = 0.5
"""Share of the events whose axes cross."""
PEDESTAL_TOLERANCE_PHE = 0.1
"""By how much the pedestal RMS of a run may lie outside what the table of cleaning levels gives for its moon level."""


def pedestals_fit_the_moon_level(session: Session, report: Report) -> Verdict:
    """Every run's pedestal RMS is one of its moon level by the table, and that is the level the catalogue gives it."""
    wanted = {name.run for name in names(report)}
    runs = known_runs(session)
    mine = runs[runs["run"].isin(wanted) & runs[PEDESTAL_RMS].notna()]
    if mine.empty:
        return Verdict(True, NOT_ASKED)
    estimated = catalogued(mine)
    faults = []
    for run in estimated[["run", "moon_level", "hv", "filter", PEDESTAL_RMS]].itertuples(index=False):
        span = _pedestal_span(str(run.moon_level), str(run.hv), str(run.filter))
        rms = float(run.pedestal_rms_phe)
        if span is not None and not span[0] <= rms <= span[1]:
            faults.append(f"{run.run}: {rms:.2f} phe, {run.moon_level} moon has {span[0]:.2f} to {span[1]:.2f}")
    moved = int((estimated["cell"].to_numpy() != mine["cell"].to_numpy()).sum())
    return Verdict(
        not faults and not moved,
        {
            "runs": len(mine),
            "moved": moved,
            "median_pedestal_rms_phe": round(float(mine[PEDESTAL_RMS].median()), 3),
            "odd": listed(faults),
        },
    )


def images_look_as_they_should(session: Session, report: Report) -> Verdict:
    """Median size, width and length of each run and telescope are those of the table for its zenith and moon."""
    odd: list[str] = []
    numbers: dict[str, float | int | str] = {}
    for (kind, cell, unit), paths in _by_unit(report).items():
        expected = reference(kind, cell.zenith.name, cell.moon.key)
        record = read_record(paths[0])
        if expected is None or record is None or not record.simulated:
            continue
        for name, median in _images(paths).median().items():
            ratio = float(median) / expected.images[str(name)]
            numbers[f"{name}_over_expected"] = max(
                round(ratio, 3), numbers.get(f"{name}_over_expected", 1.0), key=lambda one: abs(float(one) - 1)
            )
            if not abs(ratio - 1) < IMAGES_TOLERANCE:
                odd.append(f"{unit}: {name} {median:.1f}, expected {expected.images[str(name)]:.1f}")
    return Verdict(not odd, {**numbers, "odd": listed(odd)} if numbers else NOT_ASKED)


def telescopes_see_the_same(session: Session, report: Report) -> Verdict:
    """Median size, width and length of the images agree between M1 and M2."""
    by_telescope: dict[int, list[Path]] = {}
    for path in products(report):
        by_telescope.setdefault(parse_name(path).telescope or 0, []).append(path)
    if set(by_telescope) != {1, 2}:
        return Verdict(True, {**NOT_ASKED, "telescopes": len(by_telescope)})
    m1, m2 = (_images(by_telescope[telescope]).median() for telescope in (1, 2))
    ratios = {str(name): float(m2[name] / m1[name]) for name in m1.index}
    worst = max(abs(ratio - 1) for ratio in ratios.values())
    return Verdict(worst < TELESCOPES_TOLERANCE, {f"{name}_m2_over_m1": round(r, 3) for name, r in ratios.items()})


def telescopes_match(session: Session, report: Report) -> Verdict:
    """In every run, most images of the telescope that has fewer of them have a partner in the other."""
    shares: dict[str, float] = {}
    for path in products(report):
        counts = {1: 0, 2: 0}
        for star in inputs_at(path, datalevels.Star):
            counts[parse_name(star).telescope or 1] += events_in(star)
        if min(counts.values()):
            shares[path.name] = events_in(path) / min(counts.values())
    if not shares:
        return Verdict(True, NOT_ASKED)
    odd = [f"{name}: {share:.3f}" for name, share in shares.items() if share <= FEWEST_MATCHED]
    return Verdict(
        not odd,
        {
            "runs": len(shares),
            "lowest_share": round(min(shares.values()), 3),
            "expected_above": FEWEST_MATCHED,
            "odd": listed(odd),
        },
    )


def axes_cross(session: Session, report: Report) -> Verdict:
    """Over all runs, the axes of both images cross for most events."""
    from magicpy_assets.formats.superstar import EVENTS, read_events

    wanted = [branch for branch in EVENTS if branch.column == "valid"]
    crossing = events = 0
    for path in products(report):
        valid = read_events(path, wanted)["valid"]
        crossing, events = crossing + int((valid > 0).sum()), events + len(valid)
    share = crossing / events if events else 0.0
    return Verdict(share > FEWEST_CROSSING, {"events": events, "share": share, "expected_above": FEWEST_CROSSING})


def _by_unit(report: Report) -> dict[tuple[str, Cell, str], list[Path]]:
    """Return star files of a run and telescope of data, of a telescope of Monte Carlo."""
    found: dict[tuple[str, Cell, str], list[Path]] = {}
    for row in report.rows:
        if row.state not in THERE:
            continue
        path, cell = Path(row.product), Cell.parse(row.cell)
        name = parse_name(path)
        unit = f"{name.run} M{name.telescope}" if isinstance(name, DataFile) else f"{row.source} M{name.telescope}"
        found.setdefault((DATA if isinstance(name, DataFile) else GAMMA, cell, unit), []).append(path)
    return found


def _images(paths: list[Path]) -> pd.DataFrame:
    """Return the image parameters that are compared, of some star files."""
    import pandas as pd

    from magicpy_assets.formats.star import EVENTS, read_events

    wanted = ("size_phe", "width_mm", "length_mm")
    branches = [branch for branch in EVENTS if branch.column in wanted]
    return pd.concat([read_events(path, branches) for path in paths])[list(wanted)]


def _pedestal_span(moon: str, hv: str, optical_filter: str) -> tuple[float, float] | None:
    """Return the pedestal RMS (phe) that a moon level has: that of its edges, by the table; None if it has none."""
    try:
        level, table = moons.by_name(moon), moons.cleanings(hv, optical_filter)
        inside = [row for row in table if row.nsb_low < level.nsb_high and row.nsb_high > level.nsb_low]
    except (OutOfRangeError, UnknownNameError):
        return None
    if not inside:
        return None
    below = [row.pedestal_rms_phe for row in table if row.nsb_high <= level.nsb_low]
    above = [row.pedestal_rms_phe for row in table if row.nsb_low >= level.nsb_high]
    lowest, highest = inside[0].pedestal_rms_phe, inside[-1].pedestal_rms_phe
    low = (max(below) + lowest) / 2 if below else 0.0
    high = (min(above) + highest) / 2 if above else float("inf")
    return low - PEDESTAL_TOLERANCE_PHE, high + PEDESTAL_TOLERANCE_PHE
