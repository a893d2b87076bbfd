"""The report of a run: what became of every task, and the last words of those that failed."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Self

from magicpy_assets.core.errors import ProgramError

if TYPE_CHECKING:
    import pandas as pd

    from magicpy_assets.pipeline.plan import Plan
    from magicpy_assets.pipeline.tasks import Task

STATES = ("done", "cached", "waiting", "failed", "set aside", "blocked")
UNFINISHED = ("waiting", "failed", "set aside", "blocked")
LEGEND = {
    "done": "made now",
    "cached": "was up to date",
    "waiting": "on tape: ask again later",
    "failed": "tried and failed now",
    "set aside": "failed for good, or cannot be made from what there is",
    "blocked": "something it is made from failed or is missing",
}
LAST_LINES = 20


@dataclass(frozen=True)
class Row:
    """What became of one task."""

    stage: str
    source: str
    cell: str
    unit: str
    product: str
    state: str
    reason: str
    log: str
    seconds: float
    until: datetime | None = None

    @classmethod
    def of(
        cls,
        task: Task,
        state: str,
        reason: str,
        *,
        seconds: float = 0.0,
        log: Path | None = None,
        until: datetime | None = None,
    ) -> Self:
        """Describe a task that has ended."""
        cell = task.cell.text if task.cell else ""
        where = str(log) if log is not None and log.exists() else ""
        return cls(task.stage, task.source, cell, task.unit, str(task.product), state, reason, where, seconds, until)


@dataclass
class Report:
    """What became of every task of one or more runs; reports add up."""

    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What is said above all rows, such as how old the listings are."""

    @classmethod
    def standing(cls, planned: Plan) -> Self:
        """Report on a plan without running it: what is up to date is there, of all else the plan says why it is not."""
        states = [(task, planned.state(task)) for task in planned]
        return cls(
            [
                Row.of(task, "cached" if found.state == "up to date" else found.state, found.reason)
                for task, found in states
            ]
        )

    def add(self, row: Row) -> None:
        """Note one more task."""
        self.rows.append(row)

    def __len__(self) -> int:
        return len(self.rows)

    def __add__(self, other: Report) -> Report:
        return Report(self.rows + other.rows, self.notes + [note for note in other.notes if note not in self.notes])

    def merged(self) -> Report:
        """Return the report with one row for each product: how it stands at the end, and that it was made if it was."""
        last: dict[str, Row] = {}
        for row in self.rows:
            before = last.get(row.product)
            if before is None or not (before.state == "done" and row.state == "cached"):
                last[row.product] = row
        return Report(list(last.values()), self.notes)

    @property
    def waiting(self) -> list[Row]:
        """The files that are being read from tape; `until` says when to ask again."""
        return [row for row in self.rows if row.state == "waiting"]

    @property
    def table(self) -> pd.DataFrame:
        """A row per task; columns are the fields of `Row`."""
        import pandas as pd

        columns = list(Row.__dataclass_fields__)
        return pd.DataFrame([[getattr(row, name) for name in columns] for row in self.rows], columns=columns)

    @property
    def counts(self) -> dict[str, int]:
        """Number of tasks in each state, all states present."""
        return {state: sum(row.state == state for row in self.rows) for state in STATES}

    @property
    def failed(self) -> pd.DataFrame:
        """The rows that failed, are set aside, blocked or waiting, with `last_lines`, the end of each log."""
        table = self.table
        bad = table[table["state"].isin(UNFINISHED)].reset_index(drop=True)
        bad["last_lines"] = [_last_lines(log) for log in bad["log"]]
        return bad

    def products(self, stage: str) -> list[Path]:
        """Return the first product of every task of a stage that is there now."""
        return [Path(row.product) for row in self.rows if row.stage == stage and row.state in ("done", "cached")]

    def raise_if_failed(self) -> None:
        """Raise for what failed in this run, after everything else has been done.

        Raises
        ------
        ProgramError
            Naming the first failures and their logs.
        """
        bad = [row for row in self.rows if row.state == "failed"]
        if not bad:
            return
        lines = [f"{row.stage} {row.source} {row.unit}: {row.reason}" for row in bad[:5]]
        more = f"\n... and {len(bad) - 5} more" if len(bad) > 5 else ""
        log = Path(bad[0].log) if bad[0].log else None
        raise ProgramError(f"{len(bad)} of {len(self)} tasks failed\n" + "\n".join(lines) + more, log_path=log)

    def __str__(self) -> str:
        counts = ", ".join(f"{number} {state}" for state, number in self.counts.items() if number)
        lines = [*self.notes, f"{len(self)} tasks: {counts or 'nothing to do'}"]
        for rows in self._alike():
            first = rows[0]
            units = f"{first.unit} and {len(rows) - 1} more" if len(rows) > 1 else first.unit
            lines += [f"  {first.state}: {first.stage} {first.source} {units}: {_first_line(first.reason)}"]
            lines += [f"    {line}" for line in first.reason.splitlines()[1:] if line.startswith("hint: ")]
            if first.state == "failed":
                lines += [f"    | {line}" for line in _last_lines(first.log).splitlines()]
        return "\n".join(lines)

    def _alike(self) -> list[list[Row]]:
        """Return the unfinished rows, together those that stand still for one reason; failures one by one."""
        groups: dict[tuple[str, ...], list[Row]] = {}
        for row in self.rows:
            if row.state in UNFINISHED:
                alone = row.product if row.state == "failed" else ""
                groups.setdefault((row.state, row.stage, row.source, row.reason, alone), []).append(row)
        return list(groups.values())

    def _repr_html_(self) -> str:
        import pandas as pd

        table = self.table
        if table.empty:
            return "<p>nothing to do</p>"
        return f"{pd.crosstab(table['stage'], table['state'], margins=True).to_html()}{self._failures_html()}"

    def _failures_html(self) -> str:
        bad = self.failed
        return "" if bad.empty else f"{bad[['state', 'stage', 'source', 'unit', 'reason', 'log']].to_html()}"


def _first_line(text: str) -> str:
    return (text.splitlines() or ["?"])[0]


def _last_lines(log: str) -> str:
    path = Path(log) if log else None
    if path is None or not path.exists():
        return ""
    return "\n".join(path.read_text(encoding="utf-8", errors="replace").splitlines()[-LAST_LINES:])
