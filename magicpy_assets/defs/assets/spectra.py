"""The spectra level: spectrum, light curve and θ² of a source in a cell."""

from typing import Any

import dagster as dg

from magicpy_assets.core.cell import Cell
from magicpy_assets.defs.figures import inline
from magicpy_assets.defs.level import Level, made, of_source
from magicpy_assets.mars.programs import Spectra
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
    from magicpy_assets.plots import figures
    from magicpy_assets.science.counts import Theta2Result
    from magicpy_assets.science.light_curve import LightCurveResult
    from magicpy_assets.science.spectrum import SpectrumResult

    files = made(report)
    if not files:
        return {}
    folder = files[0].parent

    spectrum, theta2 = SpectrumResult.load(folder), Theta2Result.load(folder)
    curve = LightCurveResult.load(folder)
    drawn = {
        "theta2": figures.theta2_figure(theta2),
        "sed": figures.sed_figure(spectrum),
        "light_curve": figures.light_curve_figure(curve),
    }
    metadata: dict[str, Any] = {"significance": theta2.significance, "excess": theta2.excess, "n_on": theta2.n_on}
    for name, figure in drawn.items():
        path = folder / f"{name}.png"
        figure.savefig(path, dpi=130)
        metadata[name] = inline(figure)
        metadata[f"{name}_file"] = dg.MetadataValue.path(str(path))
    return metadata


def of(source: str) -> Level:
    """Return the asset of a source."""
    return Level(
        key=(source, "spectra"),
        group=source,
        description=DESCRIPTION,
        planned=of_source(source, "spectra"),
        deps=((source, "dl3"),),
        checks=(fit_converged,),
        kinds=frozenset({"python", "matplotlib"}),
        results_version=Spectra.results_version,
        extra=_figures,
    )
