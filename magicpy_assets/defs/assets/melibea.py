"""The melibea level: hadronness, direction and energy of every event."""

import dagster as dg
import numpy as np

from magicpy_assets.core.telescopes import STEREO, Telescopes
from magicpy_assets.defs.described import made
from magicpy_assets.defs.level import Level, Planner, Question, of_mc, of_source
from magicpy_assets.mars.programs import Melibea
from magicpy_assets.pipeline import quality
from magicpy_assets.pipeline.report import Report
from magicpy_assets.pipeline.session import Session

DESCRIPTION = """
Events (`_Q_`) with hadronness, direction by disp and energy, from the forests of the cell. One file for each run. A
cell without forests is blocked until `random_forest` has been made.
"""
FEWEST_RECONSTRUCTED = 0.5


def events_are_reconstructed(session: Session, report: Report) -> dg.AssetCheckResult:
    """In the newest run, most events have a direction and a hadronness between 0 and 1."""
    from magicpy_assets.formats.melibea import read_events

    files = made(report)
    if not files:
        reason = report.rows[0].reason if report.rows else "no run"
        return dg.AssetCheckResult(
            check_name="events_are_reconstructed", passed=False, metadata={"reason": reason or "no run was made"}
        )
    hadronness = read_events(files[-1])["hadronness"].to_numpy()
    share = float(((hadronness >= 0) & (hadronness <= 1) & np.isfinite(hadronness)).mean())
    return dg.AssetCheckResult(
        check_name="events_are_reconstructed",
        passed=share > FEWEST_RECONSTRUCTED,
        metadata={"share": share, "expected_above": FEWEST_RECONSTRUCTED},
    )


MONO = """
Events (`_Q_`) with hadronness, direction by disp and energy, of {telescopes} alone, from its own forests of the cell.
One file for each run. Directions and energies are less good than in stereo, and more background stays.
"""


def _level(group: str, planned: Planner, telescopes: Telescopes, watches: tuple[Question, ...] = ()) -> Level:
    return Level(
        home=__file__,
        key=(group, "melibea"),
        group=group,
        description=MONO.format(telescopes=telescopes.key) if telescopes.is_mono else DESCRIPTION,
        planned=planned,
        deps=((group, "star" if telescopes.is_mono else "superstar"), ("random_forest",)),
        checks=(events_are_reconstructed,),
        watches=watches,
        kinds=frozenset({"root", "numba"}),
        results_version=Melibea.results_version,
    )


def of(source: str, telescopes: Telescopes = STEREO) -> Level:
    """Return the asset of a source; rates, which superstar is asked about, are asked about here where there is none."""
    watches: tuple[Question, ...] = (quality.agrees_with_the_other,)
    if telescopes.is_mono:
        watches = (quality.rates_agree, *watches)
    return _level(source, of_source(source, "melibea"), telescopes, watches)


def of_monte_carlo(telescopes: Telescopes = STEREO) -> Level:
    """Return the asset of the test Monte Carlo."""
    return _level("mc", of_mc("melibea", ("test",)), telescopes)
