"""The star level: image cleaning and Hillas parameters, one telescope at a time."""

from magicpy_assets.core import csvtables
from magicpy_assets.defs.level import Level, Planner, of_mc, of_off, of_source
from magicpy_assets.mars.programs import Star
from magicpy_assets.pipeline.quality import files, images

DESCRIPTION = """
Image parameters (`_I_`) of one telescope: the cleaning that the run's measured moon level calls for, then Hillas
ellipse, timing, leakage, islands. Monte Carlo is brought to the noise of the cell first.
"""


def _level(group: str, planned: Planner) -> Level:
    return Level(
        home=__file__,
        key=(group, "star"),
        group=group,
        description=DESCRIPTION,
        planned=planned,
        deps=((group, "calibrated"),),
        checks=(files.something_is_there,),
        watches=(
            files.everything_is_there,
            files.files_are_readable,
            files.events_as_expected,
            images.images_look_as_they_should,
            images.telescopes_see_the_same,
        ),
        kinds=frozenset({"root", "numba"}),
        results_version=Star.results_version,
        parameters={"cleaning": csvtables.rows("cleaning")},
    )


def of(source: str) -> Level:
    """Return the asset of a source."""
    return _level(source, of_source(source, "star"))


def of_off_data() -> Level:
    """Return the asset of the OFF data."""
    return _level("off", of_off("star"))


def of_monte_carlo() -> Level:
    """Return the asset of the Monte Carlo."""
    return _level("mc", of_mc("star"))
