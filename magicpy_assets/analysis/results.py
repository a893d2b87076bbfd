"""All products of an analysis, with cuts and energies that were chosen for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from magicpy_assets.analysis.tuning import Tuning, tune
from magicpy_assets.core.errors import MagicpyError
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

Made = TypeVar("Made")

SHAPE_FROM_SIGMA = 5.0
"""From this significance on, light curves assume the fitted spectrum; below, a power law of index 2.5."""
ENERGY_MIN_TEV = 0.3
"""Lower end of fluxes where nothing could be chosen."""
TUNING, THETA2, SKYMAP, SPECTRUM, LIGHT_CURVE, NIGHTS = (
    "cuts and energies", "θ²", "sky map", "spectrum", "light curve", "light curve by night"
)  # fmt: skip


@dataclass(frozen=True)
class Results:
    """The products of an analysis; None where one could not be made, and then `failed` says why, by its name."""

    tuning: Tuning | None = None
    by_cell: Theta2ByCell | None = None
    spectrum: SpectrumResult | None = None
    light_curve: LightCurveResult | None = None
    nights: LightCurveResult | None = None
    skymap: SkymapResult | None = None
    failed: Mapping[str, str] = field(default_factory=dict)

    @property
    def theta2(self) -> Theta2Result | None:
        """θ² of all cells together."""
        return self.by_cell.total if self.by_cell is not None else None

    @property
    def all(self) -> dict[str, Any]:
        """Products by name, those that there are."""
        found = {
            "theta2": self.theta2,
            "spectrum": self.spectrum,
            "light_curve": self.light_curve,
            "skymap": self.skymap,
        }
        return {name: product for name, product in found.items() if product is not None}

    @property
    def simulated(self) -> bool:
        """Whether any of the products is."""
        return any(product.simulated for product in self.all.values())

    def figures(self) -> dict[str, Figure]:
        """Draw every product that there is."""
        drawing: dict[str, tuple[Callable[[Any], Figure], Any]] = {
            "theta2": (theta2_figure, self.theta2),
            "growth": (growth_figure, self.theta2),
            "light_curve": (light_curve_figure, self.light_curve),
            "nights": (light_curve_figure, self.nights),
            "sed": (sed_figure, self.spectrum),
            "skymap": (skymap_figure, self.skymap),
        }
        return {name: draw(product) for name, (draw, product) in drawing.items() if product is not None}


def results_of(source: Source, say: Callable[[str], Any] = lambda line: None) -> Results:
    """Make all products of the selected runs, with cuts and energies that fit zenith distances and moon levels.

    Each is made for itself: what cannot be made, such as the spectrum of no events, is told in `failed`. `say` takes a
    line before each.
    """
    failed: dict[str, str] = {}

    def made(name: str, make: Callable[[], Made]) -> Made | None:
        try:
            return make()
        except (MagicpyError, ArithmeticError, ValueError) as error:
            failed[name] = error.message if isinstance(error, MagicpyError) else f"{type(error).__name__}: {error}"
            say(f"  no {name}: {failed[name]}")
            return None

    tuning = made(TUNING, lambda: tune(source))
    for line in tuning.lines if tuning is not None else ():
        say(f"  {line}")
    energy = tuning.energy_min_tev if tuning is not None else ENERGY_MIN_TEV
    say("Making θ² plots...")
    by_cell = made(THETA2, lambda: source.theta2_by_cell(tuning.selection if tuning is not None else None))
    say("Making sky maps...")
    skymap = made(SKYMAP, lambda: source.skymap(energy_min_tev=energy))
    say("Fitting the spectrum...")
    spectrum = made(SPECTRUM, lambda: source.spectrum(model=source.session.settings.spectra.model or "auto"))
    seen = spectrum is not None and spectrum.converged and spectrum.significance > SHAPE_FROM_SIGMA
    shape = spectrum.model if spectrum is not None and seen else None
    say("Making light curves...")
    runs, nights = (
        made(name, lambda by=by: source.light_curve(by=by, energy_min_tev=energy, model=shape))  # type: ignore[misc]
        for name, by in ((LIGHT_CURVE, "run"), (NIGHTS, "night"))
    )
    return Results(tuning, by_cell, spectrum, runs, nights, skymap, failed)
