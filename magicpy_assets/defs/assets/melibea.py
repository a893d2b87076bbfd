"""The melibea level: hadronness, direction and energy of every event."""

from magicpy_assets.core.telescopes import STEREO, Telescopes
from magicpy_assets.defs.level import Level, Planner, of_mc, of_source
from magicpy_assets.mars.programs import Melibea
from magicpy_assets.pipeline.quality import files, physics
from magicpy_assets.pipeline.quality.verdict import Question

DESCRIPTION = """
Events (`_Q_`) with hadronness, direction by disp and energy, from the forests of the cell. One file for each run. A
cell without forests is blocked until `random_forest` has been made.
"""
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
        checks=(physics.events_are_reconstructed,),
        watches=(files.everything_is_there, files.files_are_readable, files.events_as_expected, *watches),
        kinds=frozenset({"root", "numba"}),
        results_version=Melibea.results_version,
    )


def of(source: str, telescopes: Telescopes = STEREO) -> Level:
    """Return the asset of a source."""
    return _level(source, of_source(source, "melibea"), telescopes, (physics.agrees_with_the_other,))


def of_monte_carlo(telescopes: Telescopes = STEREO) -> Level:
    """Return the asset of the test Monte Carlo."""
    return _level("mc", of_mc("melibea", ("test",)), telescopes)
