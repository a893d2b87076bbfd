"""The DL3 level: gamma-like events with their instrument response, for any tool that reads GADF."""

from magicpy_assets.core.settings import Settings
from magicpy_assets.defs.level import Level, of_source
from magicpy_assets.mars.programs import Dl3
from magicpy_assets.pipeline.quality import files, physics

DESCRIPTION = """
Events, good time intervals, pointing, effective area, energy dispersion, directional cut and background in GADF FITS,
one file for each run, with index files. The response comes from the test Monte Carlo at the zenith distance of the run.
"""


def of(source: str, settings: Settings) -> Level:
    """Return the asset of a source."""
    return Level(
        home=__file__,
        key=(source, "dl3"),
        group=source,
        description=DESCRIPTION,
        planned=of_source(source, "dl3"),
        deps=((source, "melibea"), ("mc", "melibea")),
        checks=(physics.live_time_closes,),
        watches=(
            files.everything_is_there,
            files.files_are_readable,
            files.events_as_expected,
            physics.exposure_closes,
            physics.dl3_is_valid,
        ),
        kinds=frozenset({"fits", "python"}),
        results_version=Dl3.results_version,
        parameters=settings.dl3.model_dump(),
    )
