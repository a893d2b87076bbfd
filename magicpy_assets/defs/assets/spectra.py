"""The spectra level: spectrum, light curve and θ² of a source in a cell."""

from typing import Any

import dagster as dg

from magicpy_assets.core.cell import Cell
from magicpy_assets.core.settings import Settings
from magicpy_assets.defs.assets.results import light_curve_of, spectrum_of, theta2_of
from magicpy_assets.defs.described import made
from magicpy_assets.defs.level import Level, of_source
from magicpy_assets.mars.programs import Spectra
from magicpy_assets.pipeline import quality
from magicpy_assets.pipeline.report import Report
from magicpy_assets.pipeline.session import Session

DESCRIPTION = """
A spectrum fitted forward through the instrument response, with flux points and limits; the flux of every run; and the
θ² distribution with its significance. Made with gammapy from the DL3 files of the cell.
"""


def fit_converged(session: Session, report: Report) -> dg.AssetCheckResult:
    """The spectral fit converged."""
    files = made(report)
    if not files:
        return dg.AssetCheckResult(check_name="fit_converged", passed=False, metadata={"reason": "no spectrum"})
    from magicpy_assets.science.spectrum import SpectrumResult

    fitted = SpectrumResult.load(files[0].parent)
    return dg.AssetCheckResult(
        check_name="fit_converged",
        passed=fitted.converged,
        metadata={"significance": fitted.significance, "excess": fitted.excess},
    )


def _figures(session: Session, cell: Cell, report: Report) -> dict[str, Any]:
    files = made(report)
    if not files:
        return {}
    folder = files[0].parent
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
        checks=(fit_converged,),
        watches=(quality.crab_is_the_crab,),
        kinds=frozenset({"python", "matplotlib"}),
        results_version=Spectra.results_version,
        parameters=settings.spectra.model_dump(),
        extra=_figures,
    )
