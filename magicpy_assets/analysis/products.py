"""What people publish: θ², spectrum, light curve and sky map of the selected runs of a source."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from magicpy_assets.analysis.selected import SelectedRuns
from magicpy_assets.core import datalevels, sources
from magicpy_assets.core.cell import Cell
from magicpy_assets.core.errors import MissingInputError, UnknownNameError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from magicpy_assets.science.counts import Theta2Result
    from magicpy_assets.science.light_curve import LightCurveResult
    from magicpy_assets.science.skymap import SkymapResult
    from magicpy_assets.science.spectrum import SpectrumResult


class Products(SelectedRuns):
    """Results from the DL3 files of the selected runs; see `analysis.source.Source`."""

    def observations(self, cells: Iterable[Cell] | None = None, *, allow_mixed: bool = False) -> Any:
        """Return the DL3 files of some cells (by default all) as gammapy Observations.

        Raises
        ------
        MissingInputError
            If there are none.
        InputError
            If forests or cuts differ within a cell, unless `allow_mixed`.
        """
        from magicpy_assets.formats.dl3 import open_observations

        folders = [
            self.session.layout.data(self.name, datalevels.DL3, cell, "any").parent
            for cell in (cells if cells is not None else self.cells)
        ]
        found = [path for folder in folders if folder.is_dir() for path in sorted(folder.glob("*_DL3_*.fits"))]
        if not found:
            raise MissingInputError(f"there are no DL3 files of {self.name}", hint="make them with .dl3()")
        return open_observations(found, allow_mixed=allow_mixed)

    def theta2(self, cells: Iterable[Cell] | None = None, selection: str | None = None) -> Theta2Result:
        """Count events around the source and around three off positions; `selection` may be LE, FR or HE."""
        from magicpy_assets.science import counts, selections

        chosen = selections.selection(selection) if selection else None
        return counts.theta2(self.observations(cells), self._position(), selection=chosen)

    def spectrum(self, cells: Iterable[Cell] | None = None, model: str = "log_parabola") -> SpectrumResult:
        """Fit the spectrum over some cells, by default all together."""
        from magicpy_assets.science import spectrum

        return spectrum.fit(self.observations(cells), self._position(), model=model)

    def light_curve(self, cells: Iterable[Cell] | None = None, by: str = "run") -> LightCurveResult:
        """Return the flux by run or by night."""
        from magicpy_assets.science import light_curve

        return light_curve.light_curve(self.observations(cells), self._position(), by=by)

    def skymap(self, cells: Iterable[Cell] | None = None, energy_min_tev: float = 0.3) -> SkymapResult:
        """Return significance and excess on the sky around the source, with the background of a ring."""
        from magicpy_assets.science.skymap import skymap

        return skymap(self.observations(cells), self._position(), energy_min_tev=energy_min_tev)

    def _position(self) -> tuple[float, float]:
        try:
            known = sources.by_name(self.name)
            return known.ra_deg, known.dec_deg
        except UnknownNameError:
            run = self._all_runs().iloc[0]
            return float(run["source_ra_deg"]), float(run["source_dec_deg"])

    def save_figure(self, figure: Figure, name: str) -> Path:
        """Write a figure into the source's folder of plots; returns its path."""
        path = self.session.layout.root / self.name / "plots" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=130)
        return path
