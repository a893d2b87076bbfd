"""The Monte Carlo that goes with OFF data: simulated gamma rays for training and, apart from them, for testing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from magicpy_assets.analysis.of_cell import OfCell
from magicpy_assets.core import datalevels
from magicpy_assets.pipeline.forests import USES
from magicpy_assets.pipeline.report import Report

if TYPE_CHECKING:
    import pandas as pd

    from magicpy_assets.analysis.off import Off

ORDER = tuple(level.key for level in datalevels.ALL)


class MC(OfCell):
    """The Monte Carlo of a cell: same period, zenith range, wobble offset; brought to the noise of the cell.

    Training and test sample never share a run; a file that is in both is set aside.
    """

    def __init__(self, off_source: Off) -> None:
        super().__init__(off_source.cell, session=off_source.session, quiet=off_source.quiet)

    def get_data(self) -> Report:
        """Download the training and the test sample."""
        return self._make("calibrated")

    def run_star(self) -> Report:
        """Bring the images to the noise of the cell, clean and describe them."""
        return self._make("star")

    def run_superstar(self) -> Report:
        """Join both telescopes."""
        return self._make("superstar")

    def apply_rfs(self) -> Report:
        """Apply the forests of the cell to the test sample."""
        return self._process("MC/test", "melibea")

    def files(self) -> pd.DataFrame:
        """Return the calibrated files of the cell.

        Columns `use` (train or test), `run`, `telescope`, `name`, `state`, `reason`.
        """
        import pandas as pd

        from magicpy_assets.core.runs import parse_name
        from magicpy_assets.pipeline.plan import plan

        rows = []
        for use in USES:
            planned = plan(self.session, f"MC/{use}", [self.cell], "calibrated")
            for task in planned:
                found, name = planned.state(task), parse_name(task.product)
                rows.append((use, name.run, name.telescope, task.product.name, found.state, found.reason))
        return pd.DataFrame(rows, columns=["use", "run", "telescope", "name", "state", "reason"])

    def _make(self, stage: str) -> Report:
        stages = ORDER[: ORDER.index(stage) + 1]
        report = Report()
        for use in USES:
            report += self._process(f"MC/{use}", stage, lambda task: task.stage in stages)
        return report

    def __repr__(self) -> str:
        return f"MC({self.cell.text})"
