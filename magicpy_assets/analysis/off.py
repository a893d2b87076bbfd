"""OFF data and Monte Carlo in their simple form: what the forests of a cell are trained with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from magicpy_assets.core.cell import Cell
from magicpy_assets.core.moons import Moon
from magicpy_assets.core.periods import Period
from magicpy_assets.core.selection import Selection
from magicpy_assets.core.settings import Settings
from magicpy_assets.core.zeniths import Zenith
from magicpy_assets.pipeline.report import Report
from magicpy_assets.pipeline.run import process
from magicpy_assets.pipeline.runs import known_runs
from magicpy_assets.pipeline.session import Session, open_session
from magicpy_assets.plots.bars import bars

if TYPE_CHECKING:
    import pandas as pd


class _OfCell:
    """What OFF data and Monte Carlo share: a cell and a session."""

    def __init__(
        self, cell: Cell, *, settings: Settings | None = None, session: Session | None = None, quiet: bool = False
    ) -> None:
        self.cell = cell
        self.session = session or open_session(settings)
        self.quiet = quiet
        self._owns_session = session is None

    def close(self) -> None:
        """Stop workers and servers that this object has started."""
        if self._owns_session:
            self.session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _process(self, source: str | None, up_to: str) -> Report:
        with bars(quiet=self.quiet):
            return process(self.session, source, [self.cell], up_to)


class Off(_OfCell):
    """OFF data of a cell: fields without a gamma-ray signal, observed under the same conditions.

    Parameters
    ----------
    period, zenith, moon_level
        The cell.
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
    ) -> None:
        super().__init__(Cell(period, zenith, moon_level), settings=settings, session=session, quiet=quiet)
        self._selection: Selection | None = None

    def search(self) -> pd.DataFrame:
        """Ask for the run reports and return the candidates: a row per source with `runs` and `hours`."""
        with bars(quiet=self.quiet):
            self.session.catalogue.refresh()
        self._selection = None
        return self.summary()

    @property
    def runs(self) -> pd.DataFrame:
        """The candidate runs."""
        if self._selection is None:
            table = known_runs(self.session)
            self._selection = Selection.of(
                table[table["off"] & (table["cell"] == self.cell.text)].reset_index(drop=True)
            )
        return self._selection.runs

    def summary(self) -> pd.DataFrame:
        """Return a row per source with `runs` and `hours`, and their total."""
        import pandas as pd

        grouped = self.runs.groupby("source")["duration_s"].agg(["size", "sum"])
        table = pd.DataFrame({"runs": grouped["size"], "hours": (grouped["sum"] / 3600).round(2)})
        table.loc["Total"] = [table["runs"].sum(), table["hours"].sum()]
        return table.astype({"runs": int})

    def run_star(self) -> list[Report]:
        """Clean and describe the images of all candidates."""
        return [self._process(source, "star") for source in sorted(set(self.runs["source"]))]

    def run_superstar(self) -> list[Report]:
        """Join both telescopes for all candidates."""
        return [self._process(source, "superstar") for source in sorted(set(self.runs["source"]))]

    def train(self, mc_data: MC | None = None) -> dict[str, Any]:
        """Train the forests of the cell, with everything that needs; returns the training report.

        Raises
        ------
        ProgramError
            If they could not be trained.
        """
        import json

        del mc_data  # the cell says which Monte Carlo it is; the argument is there to be read
        report = self._process(None, "random_forest")
        report.raise_if_failed()
        path = self.session.layout.forest(self.cell) / "training_report.json"
        return dict(json.loads(path.read_text(encoding="utf-8")))

    def __repr__(self) -> str:
        return f"Off({self.cell.text}): {len(self.runs)} runs"


class MC(_OfCell):
    """The Monte Carlo that goes with OFF data: same period, zenith range and noise."""

    def __init__(self, off_source: Off) -> None:
        super().__init__(off_source.cell, session=off_source.session, quiet=off_source.quiet)

    def get_data(self) -> list[Report]:
        """Download the training and the test sample."""
        return [self._process(f"MC/{use}", "calibrated") for use in ("train", "test")]

    def run_star(self) -> list[Report]:
        """Bring the images to the noise of the cell, clean and describe them."""
        return [self._process(f"MC/{use}", "star") for use in ("train", "test")]

    def run_superstar(self) -> list[Report]:
        """Join both telescopes."""
        return [self._process(f"MC/{use}", "superstar") for use in ("train", "test")]

    def apply_rfs(self) -> Report:
        """Apply the forests of the cell to the test sample."""
        return self._process("MC/test", "melibea")

    def __repr__(self) -> str:
        return f"MC({self.cell.text})"
