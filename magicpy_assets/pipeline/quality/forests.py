"""Whether forests separate, point and measure as the table of expectations asks, on events they have not seen."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from magicpy_assets.mars.programs import TRAINING_REPORT
from magicpy_assets.pipeline.quality.verdict import NOT_ASKED, Verdict, listed, products
from magicpy_assets.science.expectations import OK, by_name

LARGEST_DISP_ERROR_DEG = 0.12
"""Within which 68 % of the disps of images of `_DISP_SIZES_PHE` lie; measured with the embedded observatory: 0.06 to
0.10 deg."""

if TYPE_CHECKING:
    from magicpy_assets.pipeline.report import Report
    from magicpy_assets.pipeline.session import Session


def forests_separate(session: Session, report: Report) -> Verdict:
    """On gamma rays and OFF events that were not trained with, the hadronness tells them apart."""
    trained = _trained(report)
    if trained is None:
        return Verdict(False, {"reason": "no forest"})
    if not trained.get("measured", True):
        return Verdict(True, _UNMEASURED)
    gate = by_name("auc")
    return Verdict(
        gate.verdict(trained["auc"], 0.0) == OK, {"auc": round(trained["auc"], 4), "expected_above": gate.expected}
    )


def forests_resolve(session: Session, report: Report) -> Verdict:
    """Energy resolution and bias, directions, and disp of each telescope, on gamma rays that were held back."""
    trained = _trained(report)
    if trained is None:
        return Verdict(False, {"reason": "no forest"})
    if not trained.get("measured", True):
        return Verdict(True, _UNMEASURED)
    if session.telescopes.is_mono:
        return Verdict(True, {"asked": "no: what is expected is of both telescopes"})
    numbers: dict[str, float | int | str] = {}
    odd = []
    width = by_name("energy_resolution").expected
    for name, column, low_gev, high_gev in _RESOLUTIONS:
        rows = [row for row in trained["by_energy"] if low_gev <= row["energy_low_gev"] < high_gev]
        value, events = _mean(rows, column)
        if events:
            expected = by_name(name)
            numbers[name], numbers[f"{name}_expected"] = round(value, 4), f"{expected.kind} {expected.expected:g}"
            # Of a width, and of a middle, in units of the width.
            error = abs(value) / math.sqrt(2 * events) if name != "energy_bias" else width / math.sqrt(events)
            if expected.verdict(value, error) != OK:
                odd.append(f"{name} {value:.3g}")
    for telescope in (1, 2):
        low_phe, high_phe = _DISP_SIZES_PHE
        rows = [row for row in trained["disp"] if row["telescope"] == telescope]
        value, events = _mean([row for row in rows if low_phe <= row["size_low_phe"] < high_phe], "disp_error68_deg")
        if events:
            numbers[f"disp_error68_deg_m{telescope}"] = round(value, 4)
            if value > LARGEST_DISP_ERROR_DEG:
                odd.append(f"disp of M{telescope} {value:.3g} deg, expected below {LARGEST_DISP_ERROR_DEG:g}")
    return Verdict(not odd, {**numbers, "odd": listed(odd)} if numbers else NOT_ASKED)


def _mean(rows: list[dict[str, float]], column: str) -> tuple[float, int]:
    """Return the mean of a column, weighted with the events of each row, and how many events these are."""
    events = int(sum(row["events"] for row in rows))
    return (sum(row[column] * row["events"] for row in rows) / events if events else math.nan), events


def _trained(report: Report) -> dict[str, Any] | None:
    """Return the training report beside the forests, or None if there are none."""
    found = products(report)
    if not found:
        return None
    report_of: dict[str, Any] = json.loads((found[0].parent / TRAINING_REPORT).read_text(encoding="utf-8"))
    return report_of


_UNMEASURED: dict[str, float | int | str] = {"reason": "trained by the coach of MARS, which leaves no numbers"}
_RESOLUTIONS = (
    ("energy_resolution", "energy_resolution", 250, 1000),
    ("energy_bias", "energy_bias", 400, 3000),
    ("theta39", "theta39_deg", 250, 1000),
)
"""Name in the table of expectations, column of the training report, range of true energy (GeV)."""
_DISP_SIZES_PHE = (300, 1000)
