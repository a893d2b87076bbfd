"""What people publish: θ², spectrum, light curve and sky map of the selected runs of a source."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from magicpy_assets.analysis.selected import SelectedRuns
from magicpy_assets.core import datalevels, sources
from magicpy_assets.core.cell import Cell
from magicpy_assets.core.datalevels import DataLevel
from magicpy_assets.core.errors import MissingInputError, UnknownNameError
from magicpy_assets.core.runs import DataFile, parse_name

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from magicpy_assets.science.light_curve import LightCurveResult
    from magicpy_assets.science.selections import Selection as Cuts
    from magicpy_assets.science.skymap import SkymapResult
    from magicpy_assets.science.spectrum import SpectrumResult
    from magicpy_assets.science.systematics import Systematics
    from magicpy_assets.science.theta2 import Theta2ByCell, Theta2Result


class Products(SelectedRuns):
    """Results from the DL3 files of the selected runs; see `analysis.source.Source`."""

    _opened: tuple[Any, Any] | None = None
    """The observations that were opened last, and what of: several products are made from the same."""

    def files(self, level: DataLevel, cells: Iterable[Cell] | None = None) -> dict[Cell, list[Path]]:
        """Return the files of the selected runs that are there at a level, by cell; cells without any are left out.

        A run counts in the cell it belongs to now: files that were made before its pedestals moved it stay behind.
        """
        runs = self._in_period()
        wanted = {cell: set(map(int, its["run"])) for cell, its in runs.groupby("cell")}
        found = {}
        for cell in cells if cells is not None else self.cells:
            folder = self.session.layout.data(self.name, level, cell, "any").parent
            names = sorted(folder.glob(f"*_{level.letter}_*")) if folder.is_dir() else []
            kept = [path for path in names if _run_of(path) in wanted.get(cell.text, ())]
            if kept:
                found[cell] = kept
        return found

    @staticmethod
    def runs_of(paths: Iterable[Path]) -> list[int]:
        """Return the run numbers in the names of files."""
        return [run for path in paths if (run := _run_of(path)) is not None]

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

        found = [path for paths in self.files(datalevels.DL3, cells).values() for path in paths]
        if not found:
            raise MissingInputError(f"there are no DL3 files of {self.name}", hint="make them with .dl3()")
        key = (allow_mixed, *((path, path.stat().st_mtime_ns) for path in found))
        if self._opened is None or self._opened[0] != key:
            self._opened = key, open_observations(found, allow_mixed=allow_mixed)
        return self._opened[1]

    def theta2(
        self,
        cells: Iterable[Cell] | None = None,
        selection: str | Cuts | None = None,
        *,
        cuts: Mapping[str, float] | None = None,
        n_off: int = 3,
    ) -> Theta2Result:
        """Count events around the source and around off positions.

        Parameters
        ----------
        cells
            Some cells, by default all.
        selection
            LE, FR, HE, or a selection of one's own. By default events of DL3 files above 300 GeV, which carry the
            gamma/hadron cut of their cell. Selections with cuts on hadronness or size are made on melibea files.
        cuts
            Changes to it: `theta2_max_deg2`, `hadronness_max`, `size_min_phe`, `energy_min_gev`, `energy_max_gev`.
        n_off
            Number of off regions, at most as many as fit beside the source.

        Raises
        ------
        MissingInputError
            If there are no files to count from.
        OutOfRangeError
            If the regions overlap.
        """
        from magicpy_assets.science import counts

        chosen = _cuts(selection, cuts)
        if chosen is None or not chosen.needs_images:
            return counts.theta2(self.observations(cells), self._position(), selection=chosen, n_off=n_off)
        return self._counted(list(self._melibea(cells).values()), chosen, n_off)

    def theta2_by_cell(
        self, selection: str | Cuts | None = None, *, cuts: Mapping[str, float] | None = None, n_off: int = 3
    ) -> Theta2ByCell:
        """Count each cell for itself, and all together; see `theta2`."""
        from magicpy_assets.science.theta2 import Theta2ByCell

        chosen = _cuts(selection, cuts)
        if chosen is None or not chosen.needs_images:
            there = list(self.files(datalevels.DL3))
            parts = {cell.text: self.theta2([cell], chosen, n_off=n_off) for cell in there}
            return Theta2ByCell(parts, self.theta2(there, chosen, n_off=n_off))
        events = self._melibea(None)
        parts = {cell.text: self._counted([its], chosen, n_off) for cell, its in events.items()}
        return Theta2ByCell(parts, self._counted(list(events.values()), chosen, n_off))

    def _melibea(self, cells: Iterable[Cell] | None) -> dict[Cell, dict[int, pd.DataFrame]]:
        """Read the events of some cells, by cell and run."""
        from magicpy_assets.formats import melibea

        files = self.files(datalevels.Melibea, cells)
        if not files:
            raise MissingInputError(f"there are no melibea files of {self.name}", hint="make them with .apply_rfs()")
        return {
            cell: {run: melibea.read_events(path, melibea.FOR_COUNTING) for path in its if (run := _run_of(path))}
            for cell, its in files.items()
        }

    def _counted(self, parts: list[dict[int, pd.DataFrame]], chosen: Cuts, n_off: int) -> Theta2Result:
        from magicpy_assets.formats import star
        from magicpy_assets.science import counts

        simulated = any(star.read_header(its[0]).simulated for its in self.files(datalevels.Melibea).values())
        events = {run: table for part in parts for run, table in part.items()}
        return counts.theta2_of_melibea(
            events,
            self._position(),
            chosen,
            source=self.name,
            simulated=simulated,
            n_off=n_off,
            telescopes=self.telescopes,
        )

    def spectrum(
        self,
        cells: Iterable[Cell] | None = None,
        model: str | None = None,
        *,
        energy_range_tev: tuple[float | None, float | None] | None = None,
        n_off: int = 3,
        redshift: float | str | None = None,
        ebl: str | None = None,
        energy_scale: float | None = None,
        flux_scale: float | None = None,
        background_scale: float | None = None,
        fixed: Mapping[str, float] | None = None,
    ) -> SpectrumResult:
        """Fit the spectrum over some cells, by default all: one joint fit, in which each cell keeps its responses.

        What is not given is as the settings of the section `spectra` say. `redshift` may be `auto`: that of the table
        of sources; 0 asks for the spectrum as it arrives. Further parameters are those of `science.spectrum_fit.fit`;
        contributions of the cells are in the result.
        """
        from magicpy_assets.science.spectrum_fit import fit

        wanted = self.session.settings.spectra
        there = self.files(datalevels.DL3, cells)
        return fit(
            self.observations(cells),
            self._position(),
            model=model or wanted.model or "log_parabola",
            energy_range_tev=energy_range_tev or (wanted.energy_min_tev, wanted.energy_max_tev),
            n_off=n_off,
            groups=self._groups(there),
            redshift=sources.redshift_of(self.name, wanted.redshift if redshift is None else redshift),
            ebl=ebl or wanted.ebl or "dominguez",
            systematics=self._systematics(energy_scale, flux_scale, background_scale),
            fixed=fixed,
        )

    def _groups(self, there: Mapping[Cell, list[Path]]) -> dict[int, str] | None:
        """Return the cell of each run; None if there is one cell only."""
        groups = {run: cell.text for cell, paths in there.items() for run in self.runs_of(paths)}
        return groups if len(there) > 1 else None

    def _systematics(self, *given: float | None) -> Systematics:
        """Return by how much energies, fluxes and background may be wrong: as given, else as set, else not at all."""
        from magicpy_assets.science.systematics import Systematics

        wanted = self.session.settings.spectra
        asked = (wanted.energy_scale, wanted.flux_scale, wanted.background_scale)
        return Systematics(*((own if value is None else value) or 0.0 for value, own in zip(given, asked, strict=True)))

    def light_curve(
        self,
        cells: Iterable[Cell] | None = None,
        by: str | Sequence[float] | None = None,
        *,
        energy_min_tev: float | None = None,
        model: Any = None,
        n_off: int = 3,
        energy_scale: float | None = None,
        flux_scale: float | None = None,
        background_scale: float | None = None,
    ) -> LightCurveResult:
        """Return the flux by run, night, Bayesian block ("blocks"), minutes ("10 min") or bins (edges in MJD).

        What is not given is as the settings of the section `spectra` say: runs, above 300 GeV.
        """
        from magicpy_assets.science import light_curve

        wanted = self.session.settings.spectra
        return light_curve.light_curve(
            self.observations(cells),
            self._position(),
            by=by if by is not None else wanted.light_curve or "run",
            energy_min_tev=energy_min_tev or (wanted.flux_above_gev or 300.0) / 1e3,
            model=model,
            n_off=n_off,
            systematics=self._systematics(energy_scale, flux_scale, background_scale),
        )

    def skymap(self, cells: Iterable[Cell] | None = None, energy_min_tev: float = 0.3) -> SkymapResult:
        """Return significance and excess on the sky around the source, with the background of a ring."""
        from magicpy_assets.science.skymap import skymap

        groups = self._groups(self.files(datalevels.DL3, cells))
        return skymap(self.observations(cells), self._position(), energy_min_tev=energy_min_tev, groups=groups)

    @property
    def position_deg(self) -> tuple[float, float]:
        """Right ascension and declination of the source (ICRS)."""
        return self._position()

    def _position(self) -> tuple[float, float]:
        try:
            known = sources.by_name(self.name)
            return known.ra_deg, known.dec_deg
        except UnknownNameError:
            run = self._all_runs().iloc[0]
            return float(run["source_ra_deg"]), float(run["source_dec_deg"])

    def save_figure(self, figure: Figure, name: str) -> Path:
        """Write a figure into the source's folder of plots; returns its path."""
        path = self.session.layout.shown(self.name, "plots") / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=130)
        return path


def _run_of(path: Path) -> int | None:
    name = parse_name(path)
    return name.run if isinstance(name, DataFile) else None


def _cuts(selection: str | Cuts | None, cuts: Mapping[str, float] | None) -> Cuts | None:
    """Return the selection that is meant, with changes."""
    from magicpy_assets.science import counts, selections

    chosen = selections.selection(selection) if isinstance(selection, str) else selection
    return (chosen or counts.ABOVE_300_GEV).with_cuts(**cuts) if cuts else chosen
