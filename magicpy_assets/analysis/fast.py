"""The fast analysis: from search to report in one call, saying what it does, with a first look as early as possible."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from magicpy_assets.analysis.random_forests import find_forests
from magicpy_assets.analysis.report import report_of
from magicpy_assets.analysis.results import Results, results_of
from magicpy_assets.core import datalevels
from magicpy_assets.core.cell import Cell
from magicpy_assets.core.datalevels import DataLevel
from magicpy_assets.core.errors import MagicpyError
from magicpy_assets.core.runs import DataFile, parse_name
from magicpy_assets.formats.skymap_fits import write_skymap
from magicpy_assets.pipeline.plan import Plan, cells_of, plan
from magicpy_assets.pipeline.report import Report
from magicpy_assets.pipeline.run import process
from magicpy_assets.plots.bars import bars
from magicpy_assets.plots.hours import hours_figure

if TYPE_CHECKING:
    import pandas as pd

    from magicpy_assets.analysis.source import Source

PREVIEW = "LE"
"""Cuts of the first look."""
STAGES = (datalevels.Star, datalevels.SuperStar, datalevels.RandomForest, datalevels.Melibea)
"""What is said one by one; what follows takes no time beside them."""

Say = Callable[[str], Any]


def run_fast(source: Source, *, say: Say | None = None) -> dict[str, Any]:
    """Run the fast analysis of a source, of the filtered runs if there are filters.

    `say` takes each line of text; by default `print`, or nothing if the source is quiet. What cannot be made is told,
    in the lines and in the report, which is written whatever has failed.
    """
    tell = say or teller(source)
    tell(f"Performing fast analysis for {source.name}")
    tell("Current data distribution")
    tell(str(source.hours() if source.is_filtered else source.search()))
    report = source.get_data(datalevels.Calibrated, say=tell)
    tell(str(report))
    tell(f"Checking cleaning and moon levels for {source.name}...")
    check = source.moon_check()
    for line in check.lines():
        tell(line)
    tell("Data distribution after checking moon levels")
    tell(str(check.after))
    report += _look_as_runs_come(source, tell)
    tell("Making DL3 files and spectra of the cells...")
    report += source.make(datalevels.Spectra)
    report = report.merged()
    tell(str(report))
    found = results_of(source, tell)
    tell("Writing the report...")
    written = report_of(source, found)
    results: dict[str, Any] = {
        **found.all,
        "failed": dict(found.failed),
        "report": report,
        "plots": _plots(source, found),
        "paths": written.save(source.session.layout.shown(source.name, "report")),
        "text": written.text,
        "simulated": written.document.simulated,
    }
    for line in summary(source, results):
        tell(line)
    return results


def teller(source: Source) -> Say:
    """Return what takes the lines of text if nothing else is said: `print`, or nothing for a quiet source."""
    return print if not source.quiet else lambda line: None


def _look_as_runs_come(source: Source, say: Say) -> Report:
    """Bring one run to melibea and count, then two, four, eight: a first answer long before the last one.

    The newest night comes first, for it is the one that people wait for; runs of a night in order of time. Nothing is
    done twice, for every step finds what the one before has made; where all is there, nobody need wait.
    """
    planned = source.plan(datalevels.Melibea.key)
    there = all(planned.state(task).state == "up to date" for task in planned)
    runs = newest_first(source.runs_in_period)
    report, done = Report(), len(runs) if there else 1
    while runs:
        report += _stages(source, runs[:done], say)
        if not there:
            say(f"First look at {min(done, len(runs))} of {len(runs)} runs: {_look(source)}")
        if done >= len(runs):
            break
        done *= 2
    return report


def newest_first(runs: pd.DataFrame) -> list[int]:
    """Return run numbers, the newest night first, those of a night in order of time."""
    ordered = runs.sort_values(["date", "start_mjd"], ascending=[False, True])
    return [int(run) for run in ordered["run"]]


def _stages(source: Source, runs: Sequence[int], say: Say) -> Report:
    """Bring some runs to melibea, stage by stage, saying what each has to do."""
    report = Report()
    for level in STAGES:
        planned = plan(source.session, source.name, None, level.key, runs=runs, forests=source.forests)
        if level == datalevels.RandomForest:
            found = find_forests(source.session, _cells_of(source, runs), None)
            for line in found.lines(source.name, trained_next=True):
                say(line)
        else:
            say(_stage_line(planned, level, source))
        with bars(quiet=source.quiet):
            report += process(source.session, source.name, None, level.key, runs=runs, forests=source.forests)
        if level == datalevels.RandomForest:
            say(find_forests(source.session, _cells_of(source, runs), None).lines(source.name)[-1])
    return report


def _cells_of(source: Source, runs: Sequence[int]) -> list[Cell]:
    table = source.runs_in_period
    return cells_of(table[table["run"].isin(list(runs))], source.name)


def _stage_line(planned: Plan, level: DataLevel, source: Source) -> str:
    """Say on how many runs a stage runs, and of how many it is up to date or cannot be done."""
    runs: dict[str, set[int]] = {}
    for task in planned.where(lambda task: task.stage == level.key and task.source == source.name):
        name = parse_name(task.product)
        if isinstance(name, DataFile):
            runs.setdefault(planned.state(task).state, set()).add(name.run)
    waiting = runs.pop("to do", set())
    rest = [f"{len(numbers)} {state}" for state, numbers in sorted(runs.items())]
    number = f"{len(waiting)} run{'' if len(waiting) == 1 else 's'}"
    return f"Running {level.key} on {number}" + (f" ({', '.join(rest)})" if rest else "") + "..."


def _look(source: Source) -> str:
    """Count what there is, in words; runs that failed are told of later."""
    try:
        seen = source.theta2(selection=PREVIEW)
    except MagicpyError as error:
        return f"nothing to count yet ({error.message})"
    return (
        f"{seen.n_on} on, {seen.alpha * seen.n_off:.1f} background, {seen.significance:.1f} sigma"
        f" in {seen.live_time_s / 60:.1f} min"
    )


def _plots(source: Source, found: Results) -> list[Path]:
    """Keep tables and figures in the source's folder of plots."""
    folder = source.session.layout.shown(source.name, "plots")
    for result in found.all.values():
        result.save(folder)
    if found.skymap is not None:
        write_skymap(found.skymap, folder / "skymap.fits")
    hours = hours_figure(source.hours().to_table(), title=f"{source.name}: hours", simulated=found.simulated)
    return [source.save_figure(figure, name) for name, figure in {**found.figures(), "hours": hours}.items()]


def summary(source: Source, results: dict[str, Any]) -> list[str]:
    """Return the closing lines: what to send on, spectrum, plots, report."""
    lines = ["", *results["text"].splitlines(), ""]
    if "spectrum" in results:
        lines += [
            f"  {row['name']} = {row['value']:.4g} +- {row['error']:.2g} {row['unit']}"
            for row in results["spectrum"].parameters
        ]
    if results["simulated"]:
        lines.append("All of this is simulated: it says nothing about the real sky.")
    lines += [f"plot: {path}" for path in results["plots"]]
    lines += [f"report: {path}" for path in results["paths"]]
    lines.append(f"results: {source.session.layout.root / source.name}")
    lines.append(f"Done analysing {source.name}")
    return lines


def to_json(results: dict[str, Any]) -> str:
    """Return the results as JSON: parameters as value, error, unit; counts; paths; what failed, and why."""
    products = ("theta2", "spectrum", "light_curve")
    document: dict[str, Any] = {name: results[name].to_dict() for name in products if name in results}
    document |= {
        "failed": results["failed"],
        "text": results["text"],
        "tasks": results["report"].counts,
        "plots": [str(path) for path in results["plots"]],
        "report": [str(path) for path in results["paths"]],
    }
    return json.dumps(document, indent=1)
