"""Source: what an analyser does with one source, in the order in which it is done.

Every step goes through the pipeline, so what was done before, here or in Dagster, is not done again.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import TYPE_CHECKING, Any

from magicpy_assets.analysis.balance import MONO_STAGES, STAGES, Balance, balance
from magicpy_assets.analysis.fast import run_fast
from magicpy_assets.analysis.getting import get_levels, levels_of
from magicpy_assets.analysis.moonlight import MoonCheck
from magicpy_assets.analysis.peek import event_of, peek
from magicpy_assets.analysis.products import Products
from magicpy_assets.analysis.random_forests import find_forests
from magicpy_assets.analysis.report import AnalysisReport, report_of
from magicpy_assets.analysis.runbooks import RunbookReport, report_on
from magicpy_assets.analysis.validating import Validation, validate
from magicpy_assets.core import datalevels
from magicpy_assets.core.datalevels import DataLevel
from magicpy_assets.core.periods import Period
from magicpy_assets.core.settings import Settings
from magicpy_assets.core.telescopes import Wanted
from magicpy_assets.pipeline.downloads import Sizes, sizes_of
from magicpy_assets.pipeline.plan import Plan, plan
from magicpy_assets.pipeline.report import Report
from magicpy_assets.pipeline.run import process
from magicpy_assets.pipeline.runbooks import runbooks_of
from magicpy_assets.plots.bars import bars

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from magicpy_assets.formats.runbook import Runbook
    from magicpy_assets.pipeline.events import Event


class Source(Products):
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
    telescopes
        Which telescopes to use, over the settings: (1, 2), or (1,) or (2,) for one alone (mono).

    Examples
    --------
    >>> crab = Source("CrabNebula", period=periods.ST0316)  # doctest: +SKIP
    >>> crab.search()  # doctest: +SKIP
    """

    # Doing

    def plan(self, up_to: str = "spectra") -> Plan:
        """Return what would be done to bring the selected runs up to a level, and why."""
        wanted = self._in_period()["run"].tolist()
        return plan(self.session, self.name, None, up_to, runs=wanted, forests=self.forests)

    def sizes(self) -> Sizes:
        """Return how many calibrated files of the selected runs are still to come, and the disk they need."""
        return sizes_of(self.session, self.plan(datalevels.Calibrated.key))

    def make(self, level: DataLevel, *, force: bool = False) -> Report:
        """Bring the selected runs up to a level: what is missing or out of date, and what that needs."""
        if not len(self._all_runs()):
            self.search()
        wanted = self._in_period()["run"].tolist()
        with bars(quiet=self.quiet):
            report = process(self.session, self.name, None, level.key, runs=wanted, force=force, forests=self.forests)
        self._refresh_levels()
        self.latest = report
        return report

    def moon_check(self) -> MoonCheck:
        """Compare measured pedestals with the catalogue's estimates: hours before and after, runs that change cell."""
        self._refresh_levels()
        mine = self._all_runs()
        selected = mine[mine["run"].isin(self._in_period()["run"])].reset_index(drop=True)
        return MoonCheck(selected, self.period.name if self.period else None)

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
            One level or several; by default the archive's own SuperStar, and Calibrated; mono, Calibrated alone.
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
        levels = levels_of(datalevel, self.telescopes)
        if not len(self._all_runs()):
            self.search()
        tell = say or (print if not self.quiet else lambda line: None)
        with bars(quiet=self.quiet):
            self.latest = get_levels(self.session, self.name, self._in_period(), levels, wait_min=wait, say=tell)
        self._refresh_levels()
        return self.latest

    def run_star(self, *, parallel: bool = True) -> Report:
        """Clean and describe the images; the cleaning is that of each run's measured moon level."""
        self._set_parallel(parallel)
        return self.make(datalevels.Star)

    def run_superstar(self, *, parallel: bool = True) -> Report:
        """Join both telescopes; a mono analysis has nothing to join, which is an InputError."""
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
            self.latest = process(
                self.session, self.name, found.usable, datalevels.Melibea.key, runs=wanted, forests=self.forests
            )
        return self.latest

    def dl3(self, *, force: bool = False) -> Report:
        """Make DL3 files."""
        return self.make(datalevels.DL3, force=force)

    def _set_parallel(self, parallel: bool) -> None:
        if not parallel:
            self.session.use_workers(1)

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
        stages = MONO_STAGES if self.telescopes.is_mono else STAGES
        return balance(self._in_period(), self.name, self.plan(datalevels.DL3.key), stages)

    def peek(self, run: int | None = None, event: int | str | None = None) -> Figure:
        """Draw the selected runs; or one run; or one event of it, in both cameras.

        Parameters
        ----------
        run
            Run number.
        event
            Stereo number, or `brightest`, `gamma` (the least hadron-like) or `random`.

        Raises
        ------
        UnknownNameError
            If the source does not have the run, or the run does not have the event.
        MissingInputError
            If files that it takes are not in the store: star files for a run, calibrated ones for an event.
        """
        return peek(self, run, event)

    def event(self, run: int, event: int | str = "brightest") -> Event:
        """Return one event with the images of both telescopes, made again from the calibrated files; see `peek`."""
        return event_of(self, run, event)

    def report(self) -> AnalysisReport:
        """Write the report of what has been made: to be shown, or kept with `.save(folder)`."""
        return report_of(self)

    def validate(self) -> Validation:
        """Compare the products with known answers: the Crab Nebula, resolutions, exposure, background."""
        return validate(self)

    def go(self) -> dict[str, Any]:
        """Do the whole fast analysis; see `analysis.fast`."""
        return run_fast(self)


def fast_analysis(
    name: str,
    period: Period | None = None,
    *,
    settings: Settings | None = None,
    say: Any = None,
    quiet: bool = False,
    telescopes: Wanted | None = None,
) -> dict[str, Any]:
    """Analyse a source from search to spectrum, with both telescopes or one of them.

    Returns a dictionary with `theta2`, `spectrum`, `light_curve`, `skymap` (result objects, as far as they could be
    made), `failed` (why others could not), `report` (what became of every task), `plots` and `paths` (of the report),
    `text`, which can be sent on, and `simulated`. `say` takes each line of text; by default `print`, or nothing if
    quiet.
    """
    with Source(name, period, settings=settings, quiet=quiet, telescopes=telescopes) as source:
        return run_fast(source, say=say)
