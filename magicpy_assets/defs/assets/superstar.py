"""The superstar level: both telescopes' images of each event, and the shower they give."""

from pathlib import Path

import dagster as dg

from magicpy_assets.defs.described import made
from magicpy_assets.defs.level import Level, Planner, of_mc, of_off, of_source
from magicpy_assets.mars.programs import SuperStar
from magicpy_assets.pipeline import quality
from magicpy_assets.pipeline.report import Report
from magicpy_assets.pipeline.session import Session

DESCRIPTION = """
Stereo parameters (`_S_`): the images of M1 and M2 matched event by event, the crossing of their axes, core, impact and
height of maximum. One file for each run.
"""
FEWEST_VALID = 0.5


def axes_cross(session: Session, report: Report) -> dg.AssetCheckResult:
    """In the newest run, the axes of both images cross for most events."""
    from magicpy_assets.formats.superstar import read_events

    files = made(report)
    if not files:
        return dg.AssetCheckResult(check_name="axes_cross", passed=False, metadata={"reason": "no run was made"})
    valid = float((read_events(Path(files[-1]))["valid"] > 0).mean())
    return dg.AssetCheckResult(
        check_name="axes_cross", passed=valid > FEWEST_VALID, metadata={"share": valid, "expected_above": FEWEST_VALID}
    )


def _level(group: str, planned: Planner) -> Level:
    return Level(
        home=__file__,
        key=(group, "superstar"),
        group=group,
        description=DESCRIPTION,
        planned=planned,
        deps=((group, "star"),),
        checks=(axes_cross,),
        watches=(
            quality.telescopes_match,
            quality.rates_agree,
        ),
        kinds=frozenset({"root", "numpy"}),
        results_version=SuperStar.results_version,
    )


def of(source: str) -> Level:
    """Return the asset of a source."""
    return _level(source, of_source(source, "superstar"))


def of_off_data() -> Level:
    """Return the asset of the OFF data."""
    return _level("off", of_off("superstar"))


def of_monte_carlo() -> Level:
    """Return the asset of the Monte Carlo."""
    return _level("mc", of_mc("superstar"))
