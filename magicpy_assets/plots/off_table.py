"""The table of OFF data, in the form that its users know: source, runs, hours, total."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class OffTable:
    """OFF runs by source.

    Attributes
    ----------
    runs
        The runs, with `source`, `duration_s` and, where there is noise to be added, `darker`.
    title
        The line above the table.
    """

    runs: pd.DataFrame
    title: str = ""

    def to_table(self) -> pd.DataFrame:
        """Return a row per source with `runs`, `hours` and `with_noise` (runs that noise is added to), and `Total`."""
        import pandas as pd

        grouped = self.runs.groupby("source")["duration_s"].agg(["size", "sum"])
        table = pd.DataFrame({"runs": grouped["size"], "hours": grouped["sum"] / 3600})
        table["with_noise"] = (self.runs["darker"] > 0).groupby(self.runs["source"]).sum()
        table.loc["Total"] = table.sum()
        return table.astype({"runs": int, "with_noise": int})

    def __len__(self) -> int:
        return len(self.runs)

    def __str__(self) -> str:
        table = self.to_table()
        lines = [f"{name} {int(row.runs)} runs {row.hours:.1f} h" for name, row in table.iterrows()]
        noisy = int(table.loc["Total", "with_noise"])
        more = [f"{noisy} of them darker than the cell: noise is added"] if noisy else []
        return "\n".join([*([self.title] if self.title else []), *lines, *more])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"<p>{escape(self.title)}</p>{self.to_table().round(2).to_html()}"
