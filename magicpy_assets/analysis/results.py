"""All products of an analysis, with cuts and energies that were chosen for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from magicpy_assets.analysis.tuning import Tuning, tune
from magicpy_assets.core.errors import InputError
from magicpy_assets.plots.light_curve import light_curve_figure
from magicpy_assets.plots.maps import skymap_figure
from magicpy_assets.plots.sed import sed_figure
from magicpy_assets.plots.theta2 import growth_figure, theta2_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from magicpy_assets.analysis.source import Source
    from magicpy_assets.science.light_curve import LightCurveResult
    from magicpy_assets.science.skymap import SkymapResult
    from magicpy_assets.science.spectrum import SpectrumResult
    from magicpy_assets.science.theta2 import Theta2ByCell, Theta2Result

SHAPE_FROM_SIGMA = 5.0
"""From this significance on, light curves assume the fitted spectrum; below, a power law of index 2.5."""


@dataclass(frozen=True)
class Results:
    """The products of an analysis; `skymap` is None where there are too few events for one."""

    tuning: Tuning
    theta2: Theta2Result
    by_cell: Theta2ByCell
    spectrum: SpectrumResult
    light_curve: LightCurveResult
    nights: LightCurveResult
    skymap: SkymapResult | None

    @property
    def all(self) -> dict[str, Any]:
        """Products by name, those that there are."""
        found = {"theta2": self.theta2, "spectrum": self.spectrum, "light_curve": self.light_curve}
        return found | ({"skymap": self.skymap} if self.skymap is not None else {})

    def figures(self) -> dict[str, Figure]:
        """Draw every product."""
        made = {
            "theta2": theta2_figure(self.theta2),
            "growth": growth_figure(self.theta2),
            "light_curve": light_curve_figure(self.light_curve),
            "nights": light_curve_figure(self.nights),
            "sed": sed_figure(self.spectrum),
        }
        return made | ({"skymap": skymap_figure(self.skymap)} if self.skymap is not None else {})


def results_of(source: Source) -> Results:
    """Make all products of the selected runs, with cuts and energies that fit zenith distances and moon levels."""
    tuning = tune(source)
    spectrum = source.spectrum(model=source.session.settings.spectra.model or "auto")
    shape = spectrum.model if spectrum.converged and spectrum.significance > SHAPE_FROM_SIGMA else None
    curves = {
        by: source.light_curve(by=by, energy_min_tev=tuning.energy_min_tev, model=shape) for by in ("run", "night")
    }
    try:
        skymap = source.skymap(energy_min_tev=tuning.energy_min_tev)
    except InputError:
        skymap = None
    by_cell = source.theta2_by_cell(tuning.selection)
    return Results(tuning, by_cell.total, by_cell, spectrum, curves["run"], curves["night"], skymap)
