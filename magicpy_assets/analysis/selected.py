"""The runs of a source: found, filtered, counted, kept and read back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from magicpy_assets.analysis import state
from magicpy_assets.analysis.opened import Opened
from magicpy_assets.core import datalevels, periods, sources
from magicpy_assets.core.cell import Cell
from magicpy_assets.core.errors import UnknownNameError, unknown
from magicpy_assets.core.periods import Period
from magicpy_assets.core.selection import Selection
from magicpy_assets.core.settings import Settings
from magicpy_assets.core.telescopes import Wanted, of
from magicpy_assets.pipeline.plan import cells_of
from magicpy_assets.pipeline.report import Report
from magicpy_assets.pipeline.runs import known_runs
from magicpy_assets.pipeline.session import Session, open_session
from magicpy_assets.plots.bars import bars
from magicpy_assets.plots.tables import HoursTable

if TYPE_CHECKING:
    import pandas as pd


class SelectedRuns(Opened):
    """A source and the runs of it that were selected; see `analysis.source.Source`."""

    def __init__(
        self,
        name: str,
        period: Period | None = None,
        *,
        settings: Settings | None = None,
        session: Session | None = None,
        quiet: bool = False,
        telescopes: Wanted | None = None,
    ) -> None:
        super().__init__(settings, session, quiet, telescopes)
        try:
            self.name = sources.by_name(name).name
        except UnknownNameError:
            self.name = name
        self.period = period
        self._selection: Selection | None = None
        self.latest = Report()
        """What became of every task of the last step."""
        self.forests: dict[Cell, Cell] = {}
        """Cells that use the forests of another one, because `apply_rfs` was asked to."""

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

    @property
    def runs(self) -> pd.DataFrame:
        """The selected runs, columns as in `core.runs.RUN_COLUMNS`; moon levels are the measured ones where known."""
        return self.selection.runs

    @property
    def runs_in_period(self) -> pd.DataFrame:
        """The selected runs of the source's period; all selected ones if it has none."""
        return self._in_period()

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
    def load(
        cls,
        name: str,
        *,
        settings: Settings | None = None,
        quiet: bool = False,
        telescopes: Wanted | None = None,
    ) -> Self:
        """Go on with a saved analysis; filters are applied again, so that runs taken since then come in.

        Stereo and mono analyses are kept apart: `telescopes` says which is meant, by default that of the settings.

        Raises
        ------
        MissingInputError, InputError
            If there is none, or it cannot be understood.
        """
        chosen = {} if telescopes is None else {"telescopes": of(telescopes).numbers}
        with open_session(settings, **chosen) as session:
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
        """Return which selected runs are new, gone, or changed (cell, duration, sky), since a search was kept."""
        saved = state.read(state.place_of(self.session.layout, self.name, name))
        return state.compared(saved, self.runs)

    def _state(self) -> state.Saved:
        return state.Saved(
            source=self.name,
            period=self.period.name if self.period else None,
            conditions=tuple((cut.column, cut.condition) for cut in self.selection.cuts),
            runs=tuple(int(run) for run in self.runs["run"]),
            settings=state.explicit(self.session.settings),
            seen=state.seen_of(self.runs),
        )

    def __repr__(self) -> str:
        where = f", {self.period.name}" if self.period else ""
        alone = f", {self.telescopes.text}" if self.telescopes.is_mono else ""
        return f"Source({self.name}{where}{alone}): {len(self._in_period())} runs selected"

    def _repr_html_(self) -> str:
        return f"<h4>{self.name}</h4>{self.hours()._repr_html_()}"
