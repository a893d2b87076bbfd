"""OFF data: fields without a gamma-ray signal, observed as the data were, to train the forests of a cell with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from magicpy_assets.analysis.of_cell import OfCell
from magicpy_assets.analysis.off_mola import combined_results, signals
from magicpy_assets.analysis.random_forests import train_forests
from magicpy_assets.core import sources
from magicpy_assets.core.cell import Cell
from magicpy_assets.core.errors import InputError, MagicpyError, MissingInputError, UnknownNameError, unknown
from magicpy_assets.core.moons import Moon
from magicpy_assets.core.periods import Period
from magicpy_assets.core.selection import Selection
from magicpy_assets.core.settings import Settings
from magicpy_assets.core.telescopes import Wanted
from magicpy_assets.core.zeniths import Zenith
from magicpy_assets.pipeline.off_data import (
    OffSelection,
    candidates,
    first_hours,
    margin_deg,
    off_runs,
    selected,
    selection_path,
)
from magicpy_assets.pipeline.report import Report
from magicpy_assets.pipeline.session import Session
from magicpy_assets.plots.bars import bars
from magicpy_assets.plots.forests import ForestReport
from magicpy_assets.plots.off_table import OffTable

if TYPE_CHECKING:
    import pandas as pd

    from magicpy_assets.analysis.monte_carlo import MC


class Off(OfCell):
    """OFF data of a cell.

    Runs of fields without a signal, of the same period and zenith range (widened by the setting
    `forest.zenith_margin_deg`), as dark as the cell or darker: darker ones are brought to its noise in star.

    Parameters
    ----------
    period, zenith, moon_level
        The cell.
    telescopes
        Which telescopes to use, over the settings; mono forests are trained with its images of stereo runs.

    Examples
    --------
    >>> off = Off(periods.ST0316, zeniths.za35to50, moons.DecentMoon)  # doctest: +SKIP
    >>> off.search(), off.get_mola(), off.select(hours=10)  # doctest: +SKIP
    >>> off.train()  # doctest: +SKIP
    """

    def __init__(
        self,
        period: Period,
        zenith: Zenith,
        moon_level: Moon,
        *,
        settings: Settings | None = None,
        session: Session | None = None,
        quiet: bool = False,
        telescopes: Wanted | None = None,
    ) -> None:
        cell = Cell(period, zenith, moon_level)
        super().__init__(cell, settings=settings, session=session, quiet=quiet, telescopes=telescopes)
        self._filtered: Selection | None = None
        self._excluded: dict[str, str] = {}
        self._excluded_runs: set[int] = set()
        self._mola: pd.DataFrame | None = None
        self._unsaved = False

    # Looking

    def search(self) -> OffTable:
        """Ask for the run reports and return the candidates: a row per source with `runs` and `hours`."""
        with bars(quiet=self.quiet):
            self.session.catalogue.refresh()
        self._filtered = None
        return OffTable(self.candidates, f"OFF candidates for {self.cell.text}:")

    @property
    def candidates(self) -> pd.DataFrame:
        """The runs that may serve, in the order in which they are taken; filters and exclusions are applied."""
        table = candidates(self._known_runs(), self.cell, self.session.settings.forest.zenith_margin_deg)
        if self._filtered is not None:
            table = table[table["run"].isin(self._filtered.runs["run"])]
        table = table[~table["source"].isin([*self._excluded, *self._signals()])]
        return self._ranked(table[~table["run"].isin(self._excluded_runs)])

    @property
    def runs(self) -> pd.DataFrame:
        """The runs that the cell is trained with: those selected, or the first candidates where none were."""
        return off_runs(self.session, self._known_runs(), self.cell)

    @property
    def refused(self) -> dict[str, str]:
        """Fields observed in the period and zenith range of the cell that do not serve, and why."""
        runs = self._known_runs()
        here = runs[(runs["period"] == self.cell.period.name) & (runs["za"] == self.cell.zenith.name)]
        found = {name: self._why_no_off(name) for name in sorted(set(here.loc[~here["off"], "source"]))}
        return found | self._signals() | self._excluded

    def _why_no_off(self, name: str) -> str:
        if name in self.session.settings.sources:
            return "it is analysed here (setting sources)"
        return f"a source of gamma rays by the table of sources ({sources.by_name(name).kind})"

    def get_mola(self) -> pd.DataFrame:
        """Return the combined online (MOLA) results of the candidates, the least significant first.

        A row per source: what the runbooks give, the runs and hours there are for this cell, and `verdict`.
        """
        table = candidates(self._known_runs(), self.cell, self.session.settings.forest.zenith_margin_deg)
        self._mola = combined_results(self.session, table)
        return self._mola

    def _signals(self) -> dict[str, str]:
        """Return the fields whose online results show a signal, as far as these have been asked for."""
        return {} if self._mola is None else signals(self._mola)

    def _ranked(self, table: pd.DataFrame) -> pd.DataFrame:
        """Put candidates in order by what MOLA says of their fields, if it has been asked."""
        if self._mola is None:
            return table.reset_index(drop=True)
        rank = {name: position for position, name in enumerate(self._mola["source"])}
        turn = table.groupby(["darker", "source"]).cumcount()
        ordered = table.assign(turn=turn, rank=table["source"].map(rank)).sort_values(["darker", "turn", "rank"])
        return ordered.drop(columns=["turn", "rank"]).reset_index(drop=True)

    # Choosing

    def filter(self, conditions: Mapping[str, Any]) -> Selection:
        """Keep the candidates that pass conditions on their columns; returns the cut-flow table."""
        self._filtered = (self._filtered or Selection.of(self.candidates)).filter(conditions)
        self._unsaved = True
        return self._filtered

    def exclude(self, *what: str | int) -> OffTable:
        """Leave out fields, by name, or runs, by number; returns the candidates that are left.

        Raises
        ------
        UnknownNameError
            For a field or run that is no candidate, with the nearest names.
        """
        table = self.candidates
        for item in what:
            known = set(table["run"]) if isinstance(item, int) else set(table["source"])
            name = item if isinstance(item, int) else _name_of(item)
            if name not in known:
                raise unknown("OFF candidate", name, sorted(map(str, known)))
            if isinstance(name, int):
                self._excluded_runs.add(name)
            else:
                self._excluded[name] = "excluded by hand"
        self._unsaved = True
        return OffTable(self.candidates, f"OFF candidates for {self.cell.text}:")

    def select(self, hours: float | None = None, *, fields: Sequence[str] | None = None, mola: bool = True) -> OffTable:
        """Choose OFF data: candidates in order until they make up some hours, kept in a file beside the forests.

        The notebook, the command line and Dagster then train with these runs. Candidates are ranked with their
        combined MOLA results, as far as there are runbooks.

        Parameters
        ----------
        hours
            How much; by default the setting `forest.off_hours`.
        fields
            Only these; by default all candidates.
        mola
            Whether to look at the runbooks.

        Raises
        ------
        InputError
            For a field that shows a signal, with the reason.
        MissingInputError
            If there is no candidate.
        """
        if mola and self._mola is None:
            self._try_mola()
        table = self.candidates
        if fields is not None:
            table = table[table["source"].isin([self._checked(name) for name in fields])]
        if table.empty:
            raise MissingInputError(f"there are no OFF data for {self.cell.text}", hint=self._hint())
        wanted = hours if hours is not None else self.session.settings.forest.off_hours
        chosen = first_hours(table, wanted)
        by_source = {str(name): [int(run) for run in rows["run"]] for name, rows in chosen.groupby("source")}
        margin = self.session.settings.forest.zenith_margin_deg
        refused = self._signals() | self._excluded
        OffSelection(self.cell, by_source, wanted, margin, refused).write(selection_path(self.session, self.cell))
        self._unsaved = False
        return OffTable(chosen, "Data selected :")

    def clear(self) -> None:
        """Forget the selection, in this object and in the store: OFF data are then taken automatically."""
        selection_path(self.session, self.cell).unlink(missing_ok=True)
        self._filtered, self._excluded, self._excluded_runs, self._unsaved = None, {}, set(), False

    def summary(self) -> OffTable:
        """Return the runs that the cell is trained with, by source."""
        how = "Data selected :" if selected(self.session, self.cell) else "Data taken automatically :"
        return OffTable(self.runs, how)

    def _checked(self, name: str) -> str:
        plain = _name_of(name)
        if plain in self.refused:
            raise InputError(f"{plain} cannot serve as OFF data: {self.refused[plain]}")
        known = sorted(set(self.candidates["source"]))
        if plain not in known:
            raise unknown("OFF candidate", plain, known)
        return plain

    def _try_mola(self) -> None:
        try:
            self.get_mola()
        except (MagicpyError, ImportError) as error:
            self.say(f"no MOLA results, fields are ranked by name: {error}")

    def _hint(self) -> str:
        return "; ".join(f"{name}: {why}" for name, why in self.refused.items()) or "none was observed, or all excluded"

    # Doing

    def get_data(self) -> Report:
        """Download the calibrated files of the OFF data."""
        return self._make("calibrated")

    def run_star(self) -> Report:
        """Clean and describe the images, darker ones with the noise of the cell."""
        return self._make("calibrated", "star")

    def run_superstar(self) -> Report:
        """Join both telescopes."""
        return self._make("calibrated", "star", "superstar")

    def train(self, mc_data: MC | None = None, *, force: bool = False) -> ForestReport:
        """Train the forests of the cell, with everything that needs; returns the report on their quality.

        Filters and exclusions that were not followed by `select()` are taken over first.

        Raises
        ------
        InputError
            If the Monte Carlo is that of another cell.
        ProgramError, MissingInputError
            If the forests could not be trained, with the reason.
        """
        if mc_data is not None and mc_data.cell != self.cell:
            raise InputError(f"the Monte Carlo is that of {mc_data.cell.text}, the OFF data that of {self.cell.text}")
        if self._unsaved:
            self.say(str(self.select()))
        trained = train_forests(self.session, [self.cell], force=force, quiet=self.quiet)
        if self.cell not in trained.forests:
            trained.report.raise_if_failed()
            why = trained.missing.get(self.cell, "nothing was planned")
            raise MissingInputError(f"the forests of {self.cell.text} could not be trained: {why}", hint=self._hint())
        quality = trained.forests[self.cell]
        self.say(str(quality))
        return quality

    def _make(self, *stages: str) -> Report:
        if self._unsaved:
            self.say(str(self.select()))
        return self._process(
            None, "random_forest", lambda task: task.stage in stages and not task.source.startswith("MC/")
        )

    def __repr__(self) -> str:
        margin = margin_deg(self.session, self.cell)
        wider = f", zenith range wider by {margin:g} deg" if margin else ""
        return f"Off({self.cell.text}{wider})\n{self.summary()}"

    def _repr_html_(self) -> str:
        return f"<h4>OFF data of {self.cell.text}</h4>{self.summary()._repr_html_()}"


def _name_of(name: str) -> str:
    try:
        return sources.by_name(name).name
    except UnknownNameError:
        return name
