"""What OFF data and Monte Carlo have in common: they belong to a cell."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from magicpy_assets.analysis.opened import Opened
from magicpy_assets.core.cell import Cell
from magicpy_assets.core.settings import Settings
from magicpy_assets.core.telescopes import Wanted
from magicpy_assets.pipeline.report import Report
from magicpy_assets.pipeline.run import process
from magicpy_assets.pipeline.runs import known_runs
from magicpy_assets.pipeline.session import Session
from magicpy_assets.plots.bars import bars

if TYPE_CHECKING:
    import pandas as pd

    from magicpy_assets.pipeline.tasks import Task


class OfCell(Opened):
    """A cell, and a session to work in.

    Parameters
    ----------
    cell
        The cell.
    settings, session
        Where to work; by default what `magicpy.toml` and the environment say.
    quiet
        Show no progress bars, say nothing.
    telescopes
        Which telescopes to use, over the settings: (1, 2), or (1,) or (2,) for one alone (mono).
    """

    def __init__(
        self,
        cell: Cell,
        *,
        settings: Settings | None = None,
        session: Session | None = None,
        quiet: bool = False,
        telescopes: Wanted | None = None,
    ) -> None:
        super().__init__(settings, session, quiet, telescopes)
        self.cell = cell
        self.say: Callable[[str], object] = (lambda line: None) if quiet else print

    def _known_runs(self) -> pd.DataFrame:
        """Return all known runs; of a new store, the run reports are asked for first."""
        if not len(self.session.catalogue.runs()):
            self.session.catalogue.refresh()
        return known_runs(self.session)

    def _process(self, source: str | None, up_to: str, only: Callable[[Task], bool] = lambda task: True) -> Report:
        self._known_runs()
        with bars(quiet=self.quiet):
            return process(self.session, source, [self.cell], up_to, only=only)
