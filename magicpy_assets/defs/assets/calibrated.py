"""The calibrated level: files from the data server, with the pedestals of every run measured."""

from collections.abc import Sequence

from magicpy_assets.defs.level import Level, Planner, of_mc, of_off, of_source
from magicpy_assets.pipeline.quality import files, images

DESCRIPTION = """
Calibrated events (`_Y_`): charge in photo-electrons and arrival time of every pixel, a file per telescope, run and
subrun, as the data server holds them. Each is downloaded once, checked, and its pedestal level is measured: that level,
not the estimate of the run catalogue, decides the moon level of the run and with it the cleaning.
"""


def _level(group: str, planned: Planner, deps: Sequence[Sequence[str]] = ()) -> Level:
    return Level(
        home=__file__,
        key=(group, "calibrated"),
        group=group,
        description=DESCRIPTION,
        planned=planned,
        deps=deps,
        checks=(files.something_is_there,),
        watches=(
            files.everything_is_there,
            files.files_are_readable,
            files.events_as_expected,
            images.pedestals_fit_the_moon_level,
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
