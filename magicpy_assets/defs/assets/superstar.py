"""The superstar level: both telescopes' images of each event, and the shower they give."""

from magicpy_assets.defs.level import Level, Planner, of_mc, of_off, of_source
from magicpy_assets.mars.programs import SuperStar
from magicpy_assets.pipeline.quality import files, images, rates

DESCRIPTION = """
Stereo parameters (`_S_`): the images of M1 and M2 matched event by event, the crossing of their axes, core, impact and
height of maximum. One file for each run.
"""


def _level(group: str, planned: Planner) -> Level:
    return Level(
        home=__file__,
        key=(group, "superstar"),
        group=group,
        description=DESCRIPTION,
        planned=planned,
        deps=((group, "star"),),
        checks=(images.axes_cross,),
        watches=(
            files.everything_is_there,
            files.files_are_readable,
            files.events_as_expected,
            images.telescopes_match,
            rates.rates_fit_the_zenith,
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
