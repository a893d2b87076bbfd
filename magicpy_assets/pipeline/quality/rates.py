"""Whether the rate of every run is what its zenith range and moon level give: one run of a cell can be judged alone."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from magicpy_assets.core.cell import Cell
from magicpy_assets.core.runs import DataFile, parse_name
from magicpy_assets.formats.counting import events_in
from magicpy_assets.pipeline.quality.verdict import NOT_ASKED, THERE, Verdict, listed
from magicpy_assets.pipeline.runs import known_runs
from magicpy_assets.science.expectations import SIGMA
from magicpy_assets.science.references import DATA, reference
from magicpy_assets.store.records import read_record

if TYPE_CHECKING:
    from magicpy_assets.pipeline.report import Report
    from magicpy_assets.pipeline.session import Session

RATE_TOLERANCE = 0.2
"""By how much the rate of a run may differ from the table, beside its statistical error: beyond it, clouds or a broken
trigger."""


def rates_fit_the_zenith(session: Session, report: Report) -> Verdict:
    """The rate of every run is that of the table for its zenith range and moon level; clouds make it fall."""
    duration = known_runs(session).set_index("run")["duration_s"].to_dict()
    ratios: dict[int, float] = {}
    odd = []
    for row in report.rows:
        name, cell = parse_name(row.product), Cell.parse(row.cell)
        expected = reference(DATA, cell.zenith.name, cell.moon.key)
        if row.state not in THERE or not isinstance(name, DataFile) or not duration.get(name.run):
            continue
        path = Path(row.product)
        record = read_record(path)
        if expected is None or expected.rate_hz is None or record is None or not record.simulated:
            continue
        seconds = duration[name.run]
        ratios[name.run] = events_in(path) / seconds / expected.rate_hz
        slack = RATE_TOLERANCE + SIGMA / math.sqrt(expected.rate_hz * seconds)
        if abs(ratios[name.run] - 1) > slack:
            rate = ratios[name.run] * expected.rate_hz
            odd.append(f"{name.run}: {rate:.1f} Hz, expected {expected.rate_hz:.1f} Hz")
    if not ratios:
        return Verdict(True, NOT_ASKED)
    return Verdict(
        not odd,
        {
            "runs": len(ratios),
            "lowest_over_expected": round(min(ratios.values()), 3),
            "highest_over_expected": round(max(ratios.values()), 3),
            "odd": listed(sorted(odd)),
        },
    )
