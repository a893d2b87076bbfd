"""Hours in, hours out: what became of every run that was found, level by level, with the reason where it stopped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from magicpy_assets.core import datalevels
from magicpy_assets.core.runs import DataFile, parse_name

if TYPE_CHECKING:
    import pandas as pd

    from magicpy_assets.pipeline.plan import Plan

STAGES = tuple(
    level.key
    for level in (datalevels.Calibrated, datalevels.Star, datalevels.SuperStar, datalevels.Melibea, datalevels.DL3)
)
MONO_STAGES = tuple(stage for stage in STAGES if stage != datalevels.SuperStar.key)
USED = "used"


@dataclass(frozen=True)
class Balance:
    """The books of a selection.

    Attributes
    ----------
    table
        A row per run: `run`, `cell` (empty if none), `hours`, `reached` (the last level that is there for the run),
        `state` (`used`, if all levels are there) and `reason`.
    stages
        The levels; mono analyses have no superstar.
    """

    table: pd.DataFrame
    stages: tuple[str, ...] = STAGES

    @property
    def by_cell(self) -> pd.DataFrame:
        """A row per cell and one in all: hours `found`, `used` and `set aside`, which add up, and the runs of each."""
        import pandas as pd

        table = self.table.assign(place=self.table["cell"].replace("", "no cell"), used=self.table["state"] == USED)
        rows = []
        for place, part in [*table.groupby("place"), ("Total", table)]:
            used = part[part["used"]]
            rows.append(
                (place, len(part), len(used), part["hours"].sum(), used["hours"].sum(),
                 part.loc[~part["used"], "hours"].sum())
            )  # fmt: skip
        names = ["cell", "runs found", "runs used", "found", "used", "set aside"]
        return pd.DataFrame(rows, columns=names).set_index("cell")

    @property
    def by_level(self) -> pd.DataFrame:
        """A row per level: hours that are there at it, and hours lost since the level before."""
        import pandas as pd

        order = {name: position for position, name in enumerate(("", *self.stages))}
        reached = self.table["reached"].map(order)
        there = [float(self.table.loc[reached >= position + 1, "hours"].sum()) for position in range(len(self.stages))]
        found = float(self.table["hours"].sum())
        lost = [before - after for before, after in zip([found, *there], there, strict=False)]
        return pd.DataFrame({"hours": [found, *there], "lost": [0.0, *lost]}, index=["found", *self.stages])

    @property
    def set_aside(self) -> pd.DataFrame:
        """The runs that are not used: `run`, `cell`, `hours`, `reached`, `reason`."""
        rest = self.table[self.table["state"] != USED]
        return rest[["run", "cell", "hours", "reached", "reason"]].reset_index(drop=True)

    def __str__(self) -> str:
        return str(self.by_cell.round(2).to_string())

    def _repr_html_(self) -> str:
        return str(self.by_cell.round(2).to_html())


def balance(runs: pd.DataFrame, source: str, plan: Plan, stages: Sequence[str] = STAGES) -> Balance:
    """Keep the books of some runs of a source.

    Parameters
    ----------
    runs
        The runs, as `pipeline.runs.known_runs` returns them.
    plan
        A plan of these runs up to DL3: its states say what is there.
    stages
        The levels that it goes through.
    """
    import pandas as pd

    states = _states(source, plan)
    rows = []
    for run in runs.itertuples(index=False):
        reached, reason = "", run.no_cell_reason
        for stage in stages if run.cell else ():
            missing = states.get((int(run.run), stage), ["nothing planned"])
            if missing:
                reason = missing[0]
                break
            reached = stage
        state = USED if reached == stages[-1] else "set aside"
        rows.append((int(run.run), run.cell, run.duration_s / 3600, reached, state, "" if state == USED else reason))
    table = pd.DataFrame(rows, columns=["run", "cell", "hours", "reached", "state", "reason"])
    return Balance(table, tuple(stages))


def _states(source: str, plan: Plan) -> dict[tuple[int, str], list[str]]:
    """Return, by run and stage, the reasons why something of it is not there; an empty list if all is."""
    found: dict[tuple[int, str], list[str]] = {}
    for task in plan:
        if task.source != source:
            continue
        name = parse_name(Path(task.product))
        if isinstance(name, DataFile):
            state = plan.state(task)
            missing = found.setdefault((name.run, task.stage), [])
            if state.state != "up to date":
                missing.append(state.reason)
    return found
