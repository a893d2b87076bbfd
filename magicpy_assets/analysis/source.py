"""Source: what an analyser does with one source, in the order in which it is done.

Every step goes through the pipeline, so what was done before, here or in Dagster, is not done again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from magicpy_assets.analysis import state
from magicpy_assets.analysis.balance import Balance, balance
from magicpy_assets.analysis.fast import run_fast
from magicpy_assets.analysis.getting import get_levels, levels_of
from magicpy_assets.analysis.moonlight import MoonCheck
from magicpy_assets.analysis.random_forests import find_forests
from magicpy_assets.analysis.runbooks import RunbookReport, report_on
from magicpy_assets.core import datalevels, periods, sources
from magicpy_assets.core.cell import Cell
from magicpy_assets.core.datalevels import DataLevel
from magicpy_assets.core.errors import MissingInputError, UnknownNameError, unknown
from magicpy_assets.core.periods import Period
from magicpy_assets.core.selection import Selection
from magicpy_assets.core.settings import Settings
from magicpy_assets.pipeline.downloads import Sizes, sizes_of
from magicpy_assets.pipeline.plan import Plan, cells_of, plan
from magicpy_assets.pipeline.report import Report
from magicpy_assets.pipeline.run import process
from magicpy_assets.pipeline.runbooks import runbooks_of
from magicpy_assets.pipeline.runs import known_runs
from magicpy_assets.pipeline.session import Session, open_session
from magicpy_assets.plots.bars import bars
from magicpy_assets.plots.tables import HoursTable

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from magicpy_assets.formats.runbook import Runbook
    from magicpy_assets.science.counts import Theta2Result
    from magicpy_assets.science.light_curve import LightCurveResult
    from magicpy_assets.science.skymap import SkymapResult
    from magicpy_assets.science.spectrum import SpectrumResult


class Source:
    """One source, its runs and what can be made of them.

    Parameters
    ----------
    name
        A name or alias; sources that the table of sources does not know go by their name on the data server.
    period
        The observing period; all if not given.
    settings, session
        Where to work; by default what `magicpy.toml` and the environment say.
    quiet
        Show no progress bars.

    Examples
    --------
    >>> crab = Source("CrabNebula", period=periods.ST0316)  # doctest: +SKIP
    >>> crab.search()  # doctest: +SKIP
    """

    def __init__(
        self,
        name: str,
        period: Period | None = None,
        *,
        settings: Settings | None = None,
        session: Session | None = None,
        quiet: bool = False,
    ) -> None:
        try:
            self.name = sources.by_name(name).name
        except UnknownNameError:
            self.name = name
        self.period = period
        self.session = session or open_session(settings)
        self.quiet = quiet
        self._owns_session = session is None
        self._selection: Selection | None = None
        self.report = Report()
        self.forests: dict[Cell, Cell] = {}
        """Cells that use the forests of another one, because `apply_rfs` was asked to."""

    def close(self) -> None:
        """Stop workers and servers that this source has started."""
        if self._owns_session:
            self.session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    # Looking

    def search(self) -> HoursTable:
        """Ask the data server for its run reports, and return the table of hours by zenith range and moon level.

        Raises
        ------
        UnknownNameError
            If the catalogue holds no run of this source, with the nearest names.
        """
        with bars(quiet=self.quiet):
            self.session.catalogue.refresh()
        self._selection = None
        known = set(self.session.catalogue.runs()["source"])
        if self.name not in known:
            raise unknown("source in the run catalogue", self.name, sorted(known))
        return self.hours()

    def hours(self, by: str = "moon") -> HoursTable:
        """Return the table of hours of the selected runs, by `moon`, `night` or `wobble` and zenith range."""
        note = "" if self._downloaded() else "nothing downloaded yet"
        return HoursTable(self.runs, self.period.name if self.period else None, note, by)

    def sizes(self) -> Sizes:
        """Return how many calibrated files of the selected runs are still to come, and the disk they need."""
        return sizes_of(self.session, self.plan(datalevels.Calibrated.key))

    @property
    def runs(self) -> pd.DataFrame:
        """The selected runs, columns as in `core.runs.RUN_COLUMNS`; moon levels are the measured ones where known."""
        return self.selection.runs

    @property
    def subruns(self) -> pd.DataFrame:
        """The calibrated files of the selected runs, columns as in `core.runs.SUBRUN_COLUMNS`."""
        nights = sorted({day.date() for day in self._in_period()["date"]})
        table = self.session.catalogue.subruns(self.name, nights)
        return table[table["run"].isin(self.runs["run"])].reset_index(drop=True)

    @property
    def selection(self) -> Selection:
        """The selected runs and how they were selected."""
        if self._selection is None:
            self._selection = Selection.of(self._all_runs())
        return self._selection

    @property
    def is_filtered(self) -> bool:
        """Whether filters are in force."""
        return self._selection is not None and bool(self._selection.cuts)

    @property
    def cells(self) -> list[Cell]:
        """The cells of the selected runs."""
        return cells_of(self._in_period(), self.name)

    def filter(self, conditions: Mapping[str, Any]) -> Selection:
        """Keep the runs that pass conditions on their columns; returns the cut-flow table.

        ``{"za": [zeniths.za35to50], "L1_rate": ">0.0", "nsb": (0, 3), "sum_trigger": "No_Sumt"}``
        """
        self._selection = self.selection.filter(conditions)
        return self._selection

    def undo(self) -> Selection:
        """Take the last filter back."""
        self._selection = self.selection.undo()
        return self._selection

    def explain(self) -> str:
        """Say what the filters have left, and why if it is nothing."""
        return self.selection.explain()

    def _all_runs(self) -> pd.DataFrame:
        return known_runs(self.session, source=self.name)

    def _in_period(self) -> pd.DataFrame:
        runs = self.runs
        return runs if self.period is None else runs[runs["period"] == self.period.name]

    def _downloaded(self) -> bool:
        return (self.session.layout.root / self.name / datalevels.Calibrated.key).is_dir()

    # Doing

    def plan(self, up_to: str = "spectra") -> Plan:
        """Return what would be done to bring the selected runs up to a level, and why."""
        wanted = self._in_period()["run"].tolist()
        return plan(self.session, self.name, None, up_to, runs=wanted, forests=self.forests)

    def make(self, level: DataLevel, *, force: bool = False) -> Report:
        """Bring the selected runs up to a level: what is missing or out of date, and what that needs."""
        if not len(self._all_runs()):
            self.search()
        wanted = self._in_period()["run"].tolist()
        with bars(quiet=self.quiet):
            report = process(self.session, self.name, None, level.key, runs=wanted, force=force, forests=self.forests)
        self._refresh_levels()
        self.report = report
        return report

    def moon_check(self) -> MoonCheck:
        """Compare measured pedestals with the catalogue's estimates: hours before and after, runs that change cell."""
        self._refresh_levels()
        mine = self._all_runs()
        selected = mine[mine["run"].isin(self._in_period()["run"])].reset_index(drop=True)
        return MoonCheck(selected, self.period.name if self.period else None)

    def _refresh_levels(self) -> None:
        """Take over measured moon levels, keeping the selected runs."""
        if self._selection is not None:
            kept = self._selection.runs["run"]
            table = self._all_runs()
            fresh = Selection.of(table[table["run"].isin(kept)].reset_index(drop=True))
            self._selection = Selection(
                fresh.runs,
                self._selection.cuts,
                self._selection.total_runs,
                self._selection.total_hours,
                self._selection.before,
            )

    def get_data(
        self,
        datalevel: DataLevel | Iterable[DataLevel] | None = None,
        *,
        wait: float = 0.0,
        say: Any = None,
    ) -> Report:
        """Download the selected runs at some levels, and measure the pedestals of calibrated files.

        Parameters
        ----------
        datalevel
            One level or several; by default the archive's own SuperStar, and Calibrated.
        wait
            How long files on tape are waited for (minutes). Those that have not come are in the report as `waiting`.
        say
            Takes each line of text; by default `print`, or nothing if quiet.

        Raises
        ------
        UnknownNameError
            For a level that no archive holds.
        ArchiveError
            If it does not fit on the disk. Nothing has been downloaded then.
        """
        levels = levels_of(datalevel)
        if not len(self._all_runs()):
            self.search()
        tell = say or (print if not self.quiet else lambda line: None)
        with bars(quiet=self.quiet):
            self.report = get_levels(self.session, self.name, self._in_period(), levels, wait_min=wait, say=tell)
        self._refresh_levels()
        return self.report

    def run_star(self, *, parallel: bool = True) -> Report:
        """Clean and describe the images; the cleaning is that of each run's measured moon level."""
        self._set_parallel(parallel)
        return self.make(datalevels.Star)

    def run_superstar(self, *, parallel: bool = True) -> Report:
        """Join both telescopes."""
        self._set_parallel(parallel)
        return self.make(datalevels.SuperStar)

    def apply_rfs(self, *, parallel: bool = True, fallback: str | None = None, say: Any = None) -> Report:
        """Find the forests of each cell, say which are missing and how to train them, and run melibea with the others.

        Parameters
        ----------
        fallback
            `nearest`: cells without forests use those of the nearest cell; what is made then says so in its record.
        say
            Takes each line of text; by default `print`, or nothing if quiet.
        """
        self._set_parallel(parallel)
        found = find_forests(self.session, self.cells, fallback)
        self.forests = found.instead
        tell = say or (print if not self.quiet else lambda line: None)
        for line in found.lines(self.name):
            tell(line)
        wanted = self._in_period()["run"].tolist()
        with bars(quiet=self.quiet):
            self.report = process(
                self.session, self.name, found.usable, datalevels.Melibea.key, runs=wanted, forests=self.forests
            )
        return self.report

    def dl3(self, *, force: bool = False) -> Report:
        """Make DL3 files."""
        return self.make(datalevels.DL3, force=force)

    def _set_parallel(self, parallel: bool) -> None:
        if not parallel:
            self.session.use_workers(1)

    # Results

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

    # Saving

    def save(self) -> Path:
        """Keep selection, filters and settings in the store, for `Source.load`; returns the file.

        Raises
        ------
        InputError
            For a filter that is a function.
        """
        path = state.place_of(self.session.layout, self.name)
        state.write(path, self._state())
        return path

    @classmethod
    def load(cls, name: str, *, settings: Settings | None = None, quiet: bool = False) -> Self:
        """Go on with a saved analysis; filters are applied again, so that runs taken since then come in.

        Raises
        ------
        MissingInputError, InputError
            If there is none, or it cannot be understood.
        """
        with open_session(settings) as session:
            saved = state.read(state.place_of(session.layout, cls(name, session=session).name))
            wanted = state.in_force(session.settings, saved)
        found = cls(saved.source, periods.by_name(saved.period) if saved.period else None, settings=wanted, quiet=quiet)
        try:
            for column, condition in saved.conditions:
                found.filter({column: condition})
        except BaseException:
            found.close()
            raise
        return found

    def save_search(self, name: str) -> Path:
        """Keep the selected runs under a name, for `new_since`; returns the file."""
        path = state.place_of(self.session.layout, self.name, name)
        state.write(path, self._state())
        return path

    def new_since(self, name: str) -> state.Since:
        """Return which selected runs are new, and which are gone, since a search was kept under that name."""
        saved = state.read(state.place_of(self.session.layout, self.name, name))
        return state.compared(saved.runs, map(int, self.runs["run"]))

    def _state(self) -> state.Saved:
        return state.Saved(
            source=self.name,
            period=self.period.name if self.period else None,
            conditions=tuple((cut.column, cut.condition) for cut in self.selection.cuts),
            runs=tuple(int(run) for run in self.runs["run"]),
            settings=state.explicit(self.session.settings),
        )

    # Runbooks

    def download_runbooks(self) -> list[date]:
        """Get the runbooks that are new or have changed; returns their nights (MAGIC dates)."""
        return runbooks_of(self.session).refresh()

    def get_runbook(self, date: date) -> Runbook:
        """Return the runbook of a night (MAGIC date); its `text` is what was written.

        Raises
        ------
        MissingInputError
            If it has not been downloaded, or nobody wrote one, with the nearest nights.
        """
        return runbooks_of(self.session).read(date)

    def runbook_report(self) -> RunbookReport:
        """Look the source up in the runbooks of the nights of its selected runs."""
        return report_on(self.session, self.name, {day.date() for day in self._in_period()["date"]})

    def balance(self) -> Balance:
        """Return the books of the selected runs: what is there of each, level by level, and why others stopped."""
        return balance(self._in_period(), self.name, self.plan(datalevels.DL3.key))

    def go(self) -> dict[str, Any]:
        """Do the whole fast analysis; see `analysis.fast`."""
        return run_fast(self)

    def save_figure(self, figure: Figure, name: str) -> Path:
        """Write a figure into the source's folder of plots; returns its path."""
        path = self.session.layout.root / self.name / "plots" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=130)
        return path

    def __repr__(self) -> str:
        where = f", {self.period.name}" if self.period else ""
        return f"Source({self.name}{where}): {len(self._in_period())} runs selected"

    def _repr_html_(self) -> str:
        return f"<h4>{self.name}</h4>{self.hours()._repr_html_()}"


def fast_analysis(
    name: str, period: Period | None = None, *, settings: Settings | None = None, say: Any = print, quiet: bool = False
) -> dict[str, Any]:
    """Analyse a source from search to spectrum.

    Returns a dictionary with `theta2`, `spectrum`, `light_curve` (result objects), `report`, and `plots` (paths).
    """
    with Source(name, period, settings=settings, quiet=quiet) as source:
        return run_fast(source, say=say)
