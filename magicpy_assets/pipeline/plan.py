"""A plan: every task of some cells with its state and the reason for it. Making one changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from magicpy_assets.core import datalevels
from magicpy_assets.core.cell import Cell
from magicpy_assets.core.errors import InputError, unknown
from magicpy_assets.pipeline.chain import Chain
from magicpy_assets.pipeline.runs import known_runs, select
from magicpy_assets.pipeline.session import Session
from magicpy_assets.pipeline.tasks import Assessment, Task, assess

if TYPE_CHECKING:
    import pandas as pd

STAGES = tuple(level.key for level in datalevels.ALL)
SHARED = ("MC/train", "MC/test")


@dataclass(frozen=True)
class Plan:
    """Tasks in an order in which inputs come first, and what the records say about each.

    Attributes
    ----------
    tasks
        The tasks.
    states
        The assessment of each task, by any of its products.
    forced
        Products that are to be made again even if they are up to date.
    note
        How old the listings are that it was made from, if they are.
    """

    tasks: tuple[Task, ...]
    states: dict[Path, Assessment]
    forced: frozenset[Path] = frozenset()
    note: str = ""

    def __len__(self) -> int:
        return len(self.tasks)

    def __iter__(self) -> Iterator[Task]:
        return iter(self.tasks)

    def state(self, task: Task) -> Assessment:
        """Return what the records say about a task."""
        return self.states[task.product]

    @property
    def to_do(self) -> tuple[Task, ...]:
        """The tasks that would run."""
        return tuple(task for task in self.tasks if self.state(task).state == "to do")

    def only(self, *stages: str) -> Plan:
        """Return the part of the plan that belongs to some stages."""
        return self.where(lambda task: task.stage in stages)

    def without(self, *stages: str) -> Plan:
        """Return the plan less some stages, whose products are then taken as the records describe them."""
        return self.where(lambda task: task.stage not in stages)

    def where(self, belongs: Callable[[Task], bool]) -> Plan:
        """Return the part of the plan whose tasks pass a test."""
        return Plan(tuple(task for task in self.tasks if belongs(task)), self.states, self.forced, self.note)

    def __add__(self, other: Plan) -> Plan:
        known = {task.product for task in self.tasks}
        added = tuple(task for task in other.tasks if task.product not in known)
        return Plan(self.tasks + added, {**other.states, **self.states}, self.forced | other.forced, self.note)

    def commands(self) -> list[str]:
        """Return the command lines that would be run, in order."""
        return [task.command() for task in self.to_do]

    def to_table(self) -> pd.DataFrame:
        """Return a row per task: `stage`, `source`, `cell`, `unit`, `product`, `state`, `reason`, `command`."""
        import pandas as pd

        rows = [
            (
                task.stage,
                task.source,
                task.cell.text if task.cell else "",
                task.unit,
                task.product.name,
                self.state(task).state,
                self.state(task).reason,
                task.command() if self.state(task).state == "to do" else "",
            )
            for task in self.tasks
        ]
        return pd.DataFrame(rows, columns=["stage", "source", "cell", "unit", "product", "state", "reason", "command"])

    def counts(self) -> pd.DataFrame:
        """Return the number of tasks by stage (rows) and state (columns)."""
        import pandas as pd

        table = self.to_table()
        if table.empty:
            return pd.DataFrame(columns=["to do", "up to date", "blocked", "set aside"])
        counted = pd.crosstab(table["stage"], table["state"])
        return counted.reindex([stage for stage in STAGES if stage in counted.index])

    def __str__(self) -> str:
        if not self.tasks:
            return "Nothing planned: the catalogue holds no run in these cells."
        return "\n".join([*self._notes(), f"{len(self.to_do)} of {len(self.tasks)} tasks to do", str(self.counts())])

    def _repr_html_(self) -> str:
        lines = "".join(
            f"<p>{line}</p>" for line in (*self._notes(), f"{len(self.to_do)} of {len(self.tasks)} tasks to do")
        )
        return f"{lines}{self.counts().to_html()}"

    def _notes(self) -> list[str]:
        return [self.note] if self.note else []


def plan(
    session: Session,
    source: str | None,
    cells: Iterable[Cell] | None = None,
    up_to: str = "spectra",
    *,
    runs: Sequence[int] | None = None,
    force: bool = False,
    forests: Mapping[Cell, Cell] | None = None,
) -> Plan:
    """Plan a source's cells up to a level, with everything they need: OFF data, Monte Carlo, forests.

    Parameters
    ----------
    source
        A source of the catalogue, or `MC/train`, `MC/test`; None for the forests of the cells alone.
    cells
        The cells; by default those in which the source was observed, in the runs to use.
    up_to
        Key of the last level, see `core.datalevels`.
    runs
        Run numbers to use of the source; by default all. OFF runs are not affected.
    force
        Make the source's own products again, downloads excepted.
    forests
        Cells that use the forests of another one instead of their own; records say so.

    Raises
    ------
    UnknownNameError
        For a level that does not exist.
    InputError
        For superstar with one telescope.
    """
    if session.telescopes.is_mono and up_to == datalevels.SuperStar.key:
        raise InputError(
            f"superstar joins both telescopes, but the analysis is {session.telescopes.text}",
            hint="mono, melibea comes after star; telescopes (1, 2) use both",
        )
    if up_to not in STAGES:
        raise unknown("data level", up_to, STAGES)
    table = known_runs(session)
    chosen = select(table, source, runs) if source else table
    chain = Chain(session, chosen, table, forests)
    for cell in cells if cells is not None else cells_of(chosen, source):
        _extend(chain, source, cell, up_to)
    tasks = chain.ordered()
    forced = frozenset(
        product
        for task in tasks
        if force and task.remote is None and task.source == (source or "RFs")
        for product in task.products
    )
    return Plan(tuple(tasks), assess_all(tasks, forced), forced, session.age)


def assess_all(tasks: Iterable[Task], forced: frozenset[Path]) -> dict[Path, Assessment]:
    """Assess tasks in their order, each knowing the states of its inputs."""
    states: dict[Path, Assessment] = {}
    for task in tasks:
        found = assess(task, states, force=task.product in forced)
        states.update(dict.fromkeys(task.products, found))
    return states


def cells_of(runs: pd.DataFrame, source: str | None) -> list[Cell]:
    """Return the cells that hold runs of a source, or any run at all, in order."""
    chosen = runs if source is None or source in SHARED else runs[runs["source"] == source]
    return sorted(Cell.parse(text) for text in set(chosen["cell"]) if text)


def _extend(chain: Chain, source: str | None, cell: Cell, up_to: str) -> None:
    if source is None:
        chain.random_forest(cell)
    elif source in SHARED:
        chain.mc(cell, source.removeprefix("MC/"), up_to)
    elif up_to == datalevels.RandomForest.key:
        for run in chain.runs_of(source, cell):
            chain.images_of(source, cell, run)
        chain.random_forest(cell)
    else:
        getattr(chain, up_to)(source, cell)
