"""Tables for people, as text and as HTML from the same data."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from magicpy_assets.core import moons, zeniths
from magicpy_assets.core.errors import unknown
from magicpy_assets.core.selection import hours

if TYPE_CHECKING:
    import pandas as pd


ROWS = {"moon": "moon_level", "night": "date", "wobble": "wobble"}
"""What hours can be sorted by, and the column of the run table that says it."""


@dataclass(frozen=True)
class HoursTable:
    """Hours of a source: moon level, night or wobble position down, zenith range across.

    Attributes
    ----------
    runs
        All runs of the source, `core.runs.RUN_COLUMNS`.
    period
        Name of the period that the table is for; None for all.
    note
        A line at the end, such as what has been downloaded.
    by
        What goes down: one of `ROWS`.

    Raises
    ------
    UnknownNameError
        For another `by`.
    """

    runs: pd.DataFrame
    period: str | None = None
    note: str = ""
    by: str = "moon"

    def __post_init__(self) -> None:
        if self.by not in ROWS:
            raise unknown("way to sort hours", self.by, ROWS)

    @property
    def chosen(self) -> pd.DataFrame:
        """The runs of the period."""
        return self.runs if self.period is None else self.runs[self.runs["period"] == self.period]

    def to_table(self) -> pd.DataFrame:
        """Return hours by moon level, night or wobble (rows) and zenith range (columns); only those with runs."""
        import pandas as pd

        chosen = self.chosen[self.chosen["cell"] != ""]
        down = chosen[ROWS[self.by]]
        table = pd.pivot_table(
            chosen.assign(hours=chosen["duration_s"] / 3600.0, down=down.dt.date if self.by == "night" else down),
            values="hours",
            index="down",
            columns="za",
            aggfunc="sum",
            fill_value=0.0,
        ).rename_axis(index=ROWS[self.by])
        levels = [moon.key for moon in moons.ALL if moon.key in table.index]
        rows = levels if self.by == "moon" else sorted(table.index)
        columns = [zenith.name for zenith in zeniths.ALL if zenith.name in table.columns]
        return table.reindex(index=rows, columns=columns).round(2)

    @property
    def totals(self) -> list[str]:
        """The lines above the table: runs and hours in all and in the period, and what has no cell."""
        lines = [f"Total runs: {len(self.runs)}, Total hours: {hours(self.runs):.2f}"]
        if self.period is not None:
            lines.append(
                f"Period: {self.period}, Total runs: {len(self.chosen)}, Total hours: {hours(self.chosen):.2f}"
            )
        homeless = self.chosen[self.chosen["cell"] == ""]
        if len(homeless):
            lines.append(f"{len(homeless)} runs without a cell: {homeless['no_cell_reason'].iloc[0]}")
        return lines

    def __str__(self) -> str:
        table = self.to_table()
        if table.empty:
            return "\n".join([*self.totals, "no run with a cell"] + ([self.note] if self.note else []))
        head = [self.period or "all", *table.columns]
        body = [[str(level), *(f"{value:g}" for value in table.loc[level])] for level in table.index]
        return "\n".join([*self.totals, *grid(head, body)] + ([self.note] if self.note else []))

    __repr__ = __str__

    def _repr_html_(self) -> str:
        head = "".join(f"<p>{escape(line)}</p>" for line in self.totals)
        return f"{head}{self.to_table().to_html()}<p>{escape(self.note)}</p>"


def grid(head: list[str], body: list[list[str]]) -> list[str]:
    """Return the lines of a table drawn with signs."""
    widths = [max(len(row[i]) for row in [head, *body]) + 2 for i in range(len(head))]

    def line(cells: list[str]) -> str:
        return "|" + "|".join(f" {cell:<{width - 1}}" for cell, width in zip(cells, widths, strict=True)) + "|"

    edge = "+" + "+".join("-" * width for width in widths) + "+"
    under = "|" + "+".join("-" * width for width in widths) + "|"
    return [edge, line(head), under, *(line(row) for row in body), edge]
