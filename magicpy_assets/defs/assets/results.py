"""Results one by one, for people who want to see one thing: θ², light curve and sky map of a cell.

They are products of the `spectra` program; these assets draw them, and make nothing that is there.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from magicpy_assets.core.cell import Cell
from magicpy_assets.defs.figures import show
from magicpy_assets.defs.level import Extra, Level, of_source
from magicpy_assets.mars.programs import Spectra
from magicpy_assets.pipeline.quality import files
from magicpy_assets.pipeline.quality.verdict import products
from magicpy_assets.pipeline.report import Report
from magicpy_assets.pipeline.session import Session

THETA2 = """
Events against the squared angle to the source, with the off regions and the significance of Li & Ma: is there a source?
"""
LIGHT_CURVE = """
The flux of every run above a common energy, with upper limits where nothing is seen: does the source vary?
"""

SKYMAP = """
Significance and excess over the field of view, the background taken from the rest of the camera; away from the source
the significances should be normally distributed.
"""


def _drawn(draw: Callable[[Path], dict[str, Any]]) -> Extra:
    def extra(session: Session, cell: Cell, report: Report) -> dict[str, Any]:
        made = products(report)
        return draw(made[0].parent) if made else {}

    return extra


def theta2_of(folder: Path) -> dict[str, Any]:
    """Return what the page shows of the θ² distribution in a folder of results."""
    from magicpy_assets.plots.theta2 import theta2_figure
    from magicpy_assets.science.theta2 import Theta2Result

    result = Theta2Result.load(folder)
    numbers = {"significance": result.significance, "excess": result.excess, "n_on": result.n_on, "n_off": result.n_off}
    return numbers | show(lambda: theta2_figure(result), folder / "theta2.json", "theta2")


def light_curve_of(folder: Path) -> dict[str, Any]:
    """Return what the page shows of the light curve in a folder of results."""
    from magicpy_assets.plots.light_curve import light_curve_figure
    from magicpy_assets.science.light_curve import LightCurveResult

    return show(lambda: light_curve_figure(LightCurveResult.load(folder)), folder / "light_curve.json", "light_curve")


def skymap_of(folder: Path) -> dict[str, Any]:
    """Return what the page shows of the sky map in a folder of results."""
    from magicpy_assets.plots.maps import skymap_figure
    from magicpy_assets.science.skymap import SkymapResult, why_missing

    if why := why_missing(folder):
        return {"skymap": f"no map: {why}"}
    result = SkymapResult.load(folder)
    numbers = {"peak_sigma": result.peak[0], "residual_mean": result.residual_mean, "residual_rms": result.residual_rms}
    return numbers | show(lambda: skymap_figure(result), folder / "skymap.json", "skymap")


def spectrum_of(folder: Path) -> dict[str, Any]:
    """Return what the page shows of the spectrum in a folder of results."""
    from magicpy_assets.plots.sed import sed_figure
    from magicpy_assets.science.spectrum import SpectrumResult

    result = SpectrumResult.load(folder)
    fitted = {f"{row['name']}": float(row["value"]) for row in result.parameters}
    return fitted | show(lambda: sed_figure(result), folder / "spectrum.json", "sed")


def of(source: str) -> list[Level]:
    """Return the assets of a source."""
    return [
        Level(
            home=__file__,
            key=(source, name),
            group=source,
            description=description,
            planned=of_source(source, "spectra"),
            deps=((source, "spectra"),),
            checks=(check,),
            kinds=frozenset({"gammapy", "matplotlib"}),
            results_version=Spectra.results_version,
            extra=_drawn(draw),
        )
        for name, description, draw, check in (
            ("theta2", THETA2, theta2_of, files.theta2_is_there),
            ("light_curve", LIGHT_CURVE, light_curve_of, files.light_curve_is_there),
            ("skymap", SKYMAP, skymap_of, files.skymap_is_there),
        )
    ]
