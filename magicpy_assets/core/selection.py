"""The filter grammar: values, lists, ranges, comparisons and functions on any column, with a cut-flow table.

What was cut is always said; a selection remembers the one before it, so a filter can be undone.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time
from typing import TYPE_CHECKING, Any

from magicpy_assets.core.errors import InputError, unknown

if TYPE_CHECKING:
    import pandas as pd

_COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
}
_COMPARED = re.compile(r"\s*(>=|<=|==|!=|>|<)\s*(.+)")


@dataclass(frozen=True)
class Cut:
    """One condition and what it left: alone, and after all before it."""

    column: str
    text: str
    runs_alone: int
    hours_alone: float
    runs_left: int
    hours_left: float
    condition: Any = None


@dataclass(frozen=True)
class Selection:
    """Runs that passed all conditions so far.

    Attributes
    ----------
    runs
        The run table that is left.
    cuts
        Every condition in order.
    total_runs, total_hours
        Before the first condition.
    before
        The selection before the last filter, for `undo`.
    """

    runs: pd.DataFrame
    cuts: tuple[Cut, ...] = ()
    total_runs: int = 0
    total_hours: float = 0.0
    before: Selection | None = field(default=None, repr=False)

    @classmethod
    def of(cls, runs: pd.DataFrame) -> Selection:
        """Start from all runs."""
        return cls(runs, (), len(runs), hours(runs))

    def filter(self, conditions: Mapping[str, Any]) -> Selection:
        """Apply conditions by column name; see `mask` for what a condition can be.

        Raises
        ------
        UnknownNameError
            For a column that the table does not have.
        InputError
            For a condition that does not fit what the column holds.
        """
        everything, left, cuts = self.first.runs, self.runs, list(self.cuts)
        for column, condition in conditions.items():
            alone = everything[mask(everything, column, condition)]
            left = left[mask(left, column, condition)]
            cuts.append(Cut(column, describe(condition), len(alone), hours(alone), len(left), hours(left), condition))
        return Selection(left, tuple(cuts), self.total_runs, self.total_hours, self)

    def undo(self) -> Selection:
        """Return the selection before the last filter."""
        return self.before or self

    @property
    def first(self) -> Selection:
        """The selection before the first filter."""
        return self if self.before is None else self.before.first

    @property
    def table(self) -> pd.DataFrame:
        """The cut flow: a row per condition, with runs and hours that pass it alone and that are left."""
        import pandas as pd

        rows = [("all", "", self.total_runs, self.total_hours, self.total_runs, self.total_hours)]
        rows += [(c.column, c.text, c.runs_alone, c.hours_alone, c.runs_left, c.hours_left) for c in self.cuts]
        names = ["column", "condition", "runs alone", "hours alone", "runs left", "hours left"]
        return pd.DataFrame(rows, columns=names).round(2)

    def explain(self) -> str:
        """Say why nothing is left, and which single condition to loosen helps most; or that something is left."""
        if len(self.runs):
            return f"{len(self.runs)} of {self.total_runs} runs are left"
        if not self.cuts:
            return "there were no runs to begin with"
        without = self.without_each()
        best = max(range(len(self.cuts)), key=lambda i: without[i])
        cut = self.cuts[best]
        if without[best]:
            return f"nothing is left; without {cut.column} {cut.text} there would be {without[best]} runs"
        worst = min(self.cuts, key=lambda one: one.runs_alone)
        return (
            f"nothing is left, and no single condition is to blame; {worst.column} {worst.text} alone leaves"
            f" {worst.runs_alone} of {self.total_runs} runs"
        )

    def without_each(self) -> list[int]:
        """Return how many runs there would be without each of the conditions, the others in force."""
        everything = self.first.runs
        passed = [mask(everything, cut.column, cut.condition) for cut in self.cuts]
        counts = []
        for left_out in range(len(passed)):
            kept = everything.index == everything.index
            for i, one in enumerate(passed):
                if i != left_out:
                    kept &= one
            counts.append(int(kept.sum()))
        return counts

    def __str__(self) -> str:
        return str(self.table.to_string(index=False))

    def _repr_html_(self) -> str:
        return str(self.table.to_html(index=False))


def hours(runs: pd.DataFrame) -> float:
    """Return the observation time of a run table in hours."""
    return float(runs["duration_s"].sum()) / 3600.0


def mask(table: pd.DataFrame, column: str, condition: Any) -> Any:
    """Return which rows pass a condition on a column.

    A condition is a value, a list of values, a pair (low, high) with both ends included (None is open), a comparison
    as text (`">0.0"`), or a function of a value. Named things (zenith ranges, moon levels) count by their name.
    """
    if column not in table:
        raise unknown("column", column, table.columns)
    values = table[column]
    if callable(condition):
        return values.map(condition).astype(bool)
    if isinstance(condition, list | set | frozenset):
        return values.isin([_fitting(as_plain(item), column, values) for item in condition])
    if isinstance(condition, tuple):
        if len(condition) != 2:
            raise InputError(f"{column}: a range is a pair (low, high), not {condition!r}")
        low, high = (end if end is None else _fitting(as_plain(end), column, values) for end in condition)
        passed = values == values
        if low is not None:
            passed &= values >= low
        return passed & (values <= high) if high is not None else passed
    match = _COMPARED.fullmatch(condition) if isinstance(condition, str) else None
    if match:
        return _COMPARISONS[match[1]](values, _fitting(match[2].strip(), column, values))
    return values == _fitting(as_plain(condition), column, values)


def describe(condition: Any) -> str:
    """Return a condition as text for the cut flow."""
    if callable(condition):
        return str(getattr(condition, "__name__", "function"))
    if isinstance(condition, list | set | frozenset):
        return "in " + ", ".join(str(as_plain(item)) for item in condition)
    if isinstance(condition, tuple):
        low, high = condition
        if low is None or high is None:
            return f"from {low}" if high is None else f"up to {high}"
        return f"from {low} to {high}"
    compared = isinstance(condition, str) and _COMPARED.fullmatch(condition)
    return str(condition) if compared else f"= {as_plain(condition)}"


def as_plain(value: Any) -> Any:
    """Named things of the vocabulary count by the text that the table holds."""
    for name in ("key", "name"):
        if not isinstance(value, str | int | float) and hasattr(value, name):
            return getattr(value, name)
    return value


def _fitting(value: Any, column: str, values: pd.Series) -> Any:
    """Turn text into what the column holds; a number for numbers, a date for dates."""
    if isinstance(value, date) and not isinstance(value, datetime):
        return datetime.combine(value, time())
    if not isinstance(value, str):
        return value
    kind = getattr(values.dtype, "kind", "O")
    try:
        if kind in "iuf":
            return float(value)
        if kind == "M":
            return datetime.fromisoformat(value)
        if kind == "b":
            return {"true": True, "false": False}[value.lower()]
    except (ValueError, KeyError) as error:
        holds = {"M": "dates such as 2020-11-16", "b": "True or False"}.get(kind, "numbers")
        raise InputError(f"column {column} holds {holds}, not {value!r}") from error
    return value
