"""The spectra level: spectrum, light curve and θ² of a source in a cell."""

from typing import Any

from magicpy_assets.core.cell import Cell
from magicpy_assets.core.settings import Settings
from magicpy_assets.defs.assets.results import light_curve_of, spectrum_of, theta2_of
from magicpy_assets.defs.level import Level, of_source
from magicpy_assets.mars.programs import Spectra
from magicpy_assets.pipeline.quality import files, physics
from magicpy_assets.pipeline.quality.verdict import products
from magicpy_assets.pipeline.report import Report
from magicpy_assets.pipeline.session import Session

DESCRIPTION = """
A spectrum fitted forward through the instrument response, with flux points and limits; the flux of every run; and the
θ² distribution with its significance. Made with gammapy from the DL3 files of the cell.
"""


def _figures(session: Session, cell: Cell, report: Report) -> dict[str, Any]:
    made = products(report)
    if not made:
        return {}
    folder = made[0].parent
    return theta2_of(folder) | spectrum_of(folder) | light_curve_of(folder)


def of(source: str, settings: Settings) -> Level:
    """Return the asset of a source."""
    return Level(
        home=__file__,
        key=(source, "spectra"),
        group=source,
        description=DESCRIPTION,
        planned=of_source(source, "spectra"),
        deps=((source, "dl3"),),
        checks=(physics.fit_converged,),
        watches=(files.everything_is_there, files.files_are_readable, physics.crab_is_the_crab),
        kinds=frozenset({"python", "matplotlib"}),
        results_version=Spectra.results_version,
        parameters=settings.spectra.model_dump(),
        extra=_figures,
    )
