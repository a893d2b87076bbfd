"""The moon check: where the catalogue's estimate puts each run, where its measured pedestals put it, what is done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from magicpy_assets.core import moons
from magicpy_assets.pipeline.runs import PEDESTAL_RMS, catalogued, moved_runs
from magicpy_assets.plots.tables import HoursTable

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class MoonCheck:
    """Some runs before and after their pedestals were looked at.

    Attributes
    ----------
    runs
        The runs, as `pipeline.runs.known_runs` returns them.
    period
        Name of the period that the tables of hours are for; None for all.
    """

    runs: pd.DataFrame
    period: str | None = None

    @property
    def before(self) -> HoursTable:
        """Hours as the catalogue's estimates have them."""
        return HoursTable(catalogued(self.runs), self.period)

    @property
    def after(self) -> HoursTable:
        """Hours as the measured pedestals have them."""
        return HoursTable(self.runs, self.period)

    @property
    def moved(self) -> pd.DataFrame:
        """The runs that change cell: `run`, `source`, `cell_before`, `cell_after`, `nsb_before`, `nsb_after`."""
        return moved_runs(catalogued(self.runs), self.runs)

    @property
    def treatments(self) -> pd.DataFrame:
        """How each run is treated: a row per run, with its state, cleaning levels (phe), and why it goes no further.

        Columns `run`, `source`, `cell`, `nsb`, `measured` (bool), `hv`, `filter`, `pedestal_rms_phe`, `level1_phe`,
        `level2_phe`, `size_cut_phe`, `remark`.
        """
        import pandas as pd

        rows = []
        for row in self.runs.itertuples(index=False):
            treated = moons.treatment(row.nsb, row.hv, row.filter)
            levels = treated.cleaning and (
                treated.cleaning.level1_phe,
                treated.cleaning.level2_phe,
                treated.cleaning.size_cut_phe,
            )
            rms = row.pedestal_rms_phe
            state = (row.run, row.source, row.cell, row.nsb, rms == rms, row.hv, row.filter, rms)
            rows.append((*state, *(levels or (float("nan"),) * 3), treated.fault or treated.aside))
        names = ["run", "source", "cell", "nsb", "measured", "hv", "filter", PEDESTAL_RMS]
        return pd.DataFrame(rows, columns=[*names, "level1_phe", "level2_phe", "size_cut_phe", "remark"])

    def lines(self) -> list[str]:
        """Return what is said of the check: what moved, what was not measured, what is set aside and why."""
        moved, treated = self.moved, self.treatments
        lines = [
            f"  run {row.run}: {row.cell_before or 'no cell'} -> {row.cell_after or 'no cell'} "
            f"(NSB {row.nsb_before:.1f} -> {row.nsb_after:.1f})"
            for row in moved.itertuples()
        ]
        unknown = int((~treated["measured"]).sum())
        head = f"{len(treated) - unknown} of {len(treated)} runs measured, {len(moved)} change cell"
        aside = treated[treated["remark"] != ""]
        lines += [f"  run {row.run}: {row.remark}" for row in aside.itertuples()]
        if unknown:
            lines.append(f"  {unknown} runs have not been downloaded: the catalogue's estimate holds")
        return [head, *lines]

    def __str__(self) -> str:
        parts = [str(self.before), *self.lines(), "Data distribution after checking moon levels", str(self.after)]
        return "\n".join(parts)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        said = "".join(f"<p>{line}</p>" for line in self.lines())
        return f"{self.before._repr_html_()}{said}{self.after._repr_html_()}"
