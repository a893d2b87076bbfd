"""Looking at a source, at one of its runs, or at one event, before and between the steps of an analysis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from magicpy_assets.core import datalevels
from magicpy_assets.core.cell import Cell
from magicpy_assets.core.errors import InputError, MagicpyError, unknown
from magicpy_assets.pipeline.events import Event, RunFiles, read_event
from magicpy_assets.pipeline.run_look import look_at

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from magicpy_assets.analysis.source import Source

LEVELS = (datalevels.Star, datalevels.SuperStar, datalevels.Melibea, datalevels.DL3)


def peek(source: Source, run: int | None = None, event: int | str | None = None) -> Figure:
    """Draw a source, a run of it, or an event of a run; see `Source.peek`."""
    from magicpy_assets.plots.events import event_figure
    from magicpy_assets.plots.peek import run_figure

    if event is not None:
        return event_figure(event_of(source, run, event))
    if run is None:
        return _source_figure(source)
    row = _row(source, run)
    return run_figure(look_at(_files(source, row), row))


def event_of(source: Source, run: int | None, event: int | str) -> Event:
    """Return an event with its images; see `Source.event`.

    Raises
    ------
    InputError
        Without a run.
    UnknownNameError
        If the source does not have the run, or the run does not have the event.
    MissingInputError
        If a file that is needed is not there.
    """
    if run is None:
        raise InputError("events are counted in each run: which run?", hint="give run= as well as event=")
    return read_event(_files(source, _row(source, run)), event)


def _row(source: Source, run: int) -> dict[str, Any]:
    """Return the row of a run; runs that filters have left out can be looked at, too."""
    known = source.selection.first.runs
    found = known[known["run"] == run]
    if found.empty:
        raise unknown(f"run of {source.name}", run, map(str, known["run"]))
    return {str(name): value for name, value in found.iloc[0].items()}


def _files(source: Source, row: dict[str, Any]) -> RunFiles:
    if not row["cell"]:
        raise InputError(f"run {row['run']} has no cell: {row['no_cell_reason']}", hint="nothing is made of such runs")
    return RunFiles(source.session.layout, source.name, Cell.parse(row["cell"]), row["date"].date(), int(row["run"]))


def _source_figure(source: Source) -> Figure:
    from magicpy_assets.plots.peek import source_figure

    runs = source.runs_in_period
    if runs.empty:
        raise InputError(
            f"no run of {source.name} is selected", hint=source.explain() if source.is_filtered else "search first"
        )
    theta2, no_signal = None, "no DL3 files yet"
    if source.files(datalevels.DL3):
        try:
            theta2 = source.theta2()
        except MagicpyError as error:
            no_signal = error.message
    nights = sorted({day.date() for day in runs["date"]})
    return source_figure(
        source.name,
        runs,
        hours=source.hours().to_table(),
        flow=flow_of(source),
        theta2=theta2,
        no_signal=no_signal,
        period=source.period.name if source.period else None,
        simulated=source.session.catalogue.simulated(nights) or bool(theta2 and theta2.simulated),
    )


def flow_of(source: Source) -> pd.DataFrame:
    """Return what is left after each step: `step`, `runs`, `hours`; first the filters, then the levels in the store."""
    import pandas as pd

    selection, runs = source.selection, source.runs_in_period
    steps = [("known", selection.total_runs, selection.total_hours)]
    steps += [(f"{cut.column} {cut.text}", cut.runs_left, cut.hours_left) for cut in selection.cuts]
    if source.period is not None:
        steps.append(_step(source.period.name, runs))
    steps.append(_step("with a cell", runs[runs["cell"] != ""]))
    for level in LEVELS:
        there = {run for paths in source.files(level).values() for run in source.runs_of(paths)}
        steps.append(_step(level.key, runs[runs["run"].isin(there)]))
    return pd.DataFrame(steps, columns=["step", "runs", "hours"])


def _step(name: str, runs: pd.DataFrame) -> tuple[str, int, float]:
    return name, len(runs), float(runs["duration_s"].sum()) / 3600.0
