"""The melibea level: hadronness, direction and energy of every event."""

from magicpy_assets.defs.level import Level, Planner, of_mc, of_source
from magicpy_assets.mars.programs import Melibea
from magicpy_assets.pipeline.quality import files, physics
from magicpy_assets.pipeline.quality.verdict import Question

DESCRIPTION = """
Events (`_Q_`) with hadronness, direction by disp and energy, from the forests of the cell. One file for each run. A
cell without forests is blocked until `random_forest` has been made.
"""


def _level(group: str, planned: Planner, watches: tuple[Question, ...] = ()) -> Level:
    return Level(
        home=__file__,
        key=(group, "melibea"),
        group=group,
        description=DESCRIPTION,
        planned=planned,
        deps=((group, "superstar"), ("random_forest",)),
        checks=(physics.events_are_reconstructed,),
        watches=(files.everything_is_there, files.files_are_readable, files.events_as_expected, *watches),
        kinds=frozenset({"root", "numba"}),
        results_version=Melibea.results_version,
    )


def of(source: str) -> Level:
    """Return the asset of a source."""
    return _level(source, of_source(source, "melibea"), (physics.agrees_with_the_other,))


def of_monte_carlo() -> Level:
    """Return the asset of the test Monte Carlo."""
    return _level("mc", of_mc("melibea", ("test",)))
