"""The calibrated level: files from the data server, with the pedestals of every run measured."""

from collections.abc import Sequence

import dagster as dg

from magicpy_assets.core.runs import parse_name
from magicpy_assets.defs.level import Level, Planner, of_mc, of_off, of_source
from magicpy_assets.pipeline import quality
from magicpy_assets.pipeline.report import Report
from magicpy_assets.pipeline.session import Session

DESCRIPTION = """
Calibrated events (`_Y_`): charge in photo-electrons and arrival time of every pixel, a file per telescope, run and
subrun, as the data server holds them. Each is downloaded once, checked, and its pedestal level is measured: that level,
not the estimate of the run catalogue, decides the moon level of the run and with it the cleaning.
"""


def runs_are_complete(session: Session, report: Report) -> dg.AssetCheckResult:
    """At least one run of the cell has every listed file here, whole."""
    missing: dict[str, list[str]] = {}
    runs = set()
    for row in report.rows:
        run = f"{row.source} {parse_name(row.product).run}"
        runs.add(run)
        if row.state not in ("done", "cached"):
            missing.setdefault(run, []).append(f"{row.unit}: {row.reason}")
    reasons = "; ".join(reason for found in missing.values() for reason in found)
    return dg.AssetCheckResult(
        check_name="runs_are_complete",
        passed=len(missing) < len(runs),
        metadata={"runs": len(runs), "incomplete": len(missing), "reasons": reasons[:2000] or "none"},
    )


def _level(group: str, planned: Planner, deps: Sequence[Sequence[str]] = ()) -> Level:
    return Level(
        home=__file__,
        key=(group, "calibrated"),
        group=group,
        description=DESCRIPTION,
        planned=planned,
        deps=deps,
        checks=(runs_are_complete,),
        watches=(
            quality.files_are_readable,
            quality.pedestals_fit_the_catalogue,
        ),
        kinds=frozenset({"root"}),
    )


def of(source: str) -> Level:
    """Return the asset of a source."""
    return _level(source, of_source(source, "calibrated"), ((source, "archive"),))


def of_off_data() -> Level:
    """Return the asset of the OFF data."""
    return _level("off", of_off("calibrated"), (("off", "archive"),))


def of_monte_carlo() -> Level:
    """Return the asset of the Monte Carlo, training and test samples."""
    return _level("mc", of_mc("calibrated"), (("mc", "archive"),))
