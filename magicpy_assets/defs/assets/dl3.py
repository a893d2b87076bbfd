"""The DL3 level: gamma-like events with their instrument response, for any tool that reads GADF."""

import dagster as dg

from magicpy_assets.core.settings import Settings
from magicpy_assets.defs.described import made
from magicpy_assets.defs.level import Level, of_source
from magicpy_assets.mars.programs import Dl3
from magicpy_assets.pipeline import quality
from magicpy_assets.pipeline.report import Report
from magicpy_assets.pipeline.session import Session

DESCRIPTION = """
Events, good time intervals, pointing, effective area, energy dispersion, directional cut and background in GADF FITS,
one file for each run, with index files. The response comes from the test Monte Carlo at the zenith distance of the run.
"""
TOLERANCE = 1e-3


def live_time_closes(session: Session, report: Report) -> dg.AssetCheckResult:
    """In every file, LIVETIME is the length of the good time intervals times DEADC."""
    from magicpy_assets.formats.dl3 import open_observations

    files = made(report)
    if not files:
        return dg.AssetCheckResult(check_name="live_time_closes", passed=False, metadata={"reason": "no run was made"})
    worst = 0.0
    for observation in open_observations(files):
        card = observation.events.table.meta
        expected = float(observation.gti.time_sum.to_value("s")) * float(card["DEADC"])
        worst = max(worst, abs(float(card["LIVETIME"]) - expected) / expected)
    return dg.AssetCheckResult(
        check_name="live_time_closes",
        passed=worst < TOLERANCE,
        metadata={"largest_difference": worst, "expected_below": TOLERANCE},
    )


def of(source: str, settings: Settings) -> Level:
    """Return the asset of a source."""
    return Level(
        home=__file__,
        key=(source, "dl3"),
        group=source,
        description=DESCRIPTION,
        planned=of_source(source, "dl3"),
        deps=((source, "melibea"), ("mc", "melibea")),
        checks=(live_time_closes,),
        watches=(quality.exposure_closes, quality.dl3_is_valid),
        kinds=frozenset({"fits", "python"}),
        results_version=Dl3.results_version,
        parameters=settings.dl3.model_dump(),
    )
