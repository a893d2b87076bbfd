"""The fast analysis: from search to report in one call, saying what it does, with a first look as early as possible."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from magicpy_assets.analysis.random_forests import find_forests
from magicpy_assets.analysis.report import report_of
from magicpy_assets.analysis.results import Results, results_of
from magicpy_assets.core import datalevels
from magicpy_assets.core.errors import MagicpyError
from magicpy_assets.formats.skymap_fits import write_skymap
from magicpy_assets.pipeline.report import Report
from magicpy_assets.pipeline.run import process
from magicpy_assets.plots.bars import bars
from magicpy_assets.plots.hours import hours_figure

if TYPE_CHECKING:
    from magicpy_assets.analysis.source import Source

PREVIEW = "LE"
"""Cuts of the first look."""


def run_fast(source: Source, *, say: Any = print) -> dict[str, Any]:
    """Run the fast analysis of a source, of the filtered runs if there are filters; `say` takes each line of text."""
    say(f"Performing fast analysis for {source.name}")
    say("Current data distribution")
    say(str(source.hours() if source.is_filtered else source.search()))
    report = source.get_data(datalevels.Calibrated, say=say)
    say(str(report))
    say(f"Checking cleaning and moon levels for {source.name}")
    check = source.moon_check()
    for line in check.lines():
        say(line)
    say("Data distribution after checking moon levels")
    say(str(check.after))
    say("Random forests")
    for line in find_forests(source.session, source.cells, None).lines(source.name, trained_next=True):
        say(line)
    report += _look_as_runs_come(source, say)
    say("star, superstar, random forests, melibea, DL3, spectra: what is missing or out of date")
    report += source.make(datalevels.Spectra)
    report = report.merged()
    say(str(report))
    say("Results: θ², sky map, light curve, spectrum")
    found = results_of(source)
    for line in found.tuning.lines:
        say(f"  {line}")
    results: dict[str, Any] = {**found.all, "report": report, "plots": _plots(source, found)}
    written = report_of(source, found)
    results["paths"] = written.save(source.session.layout.shown(source.name, "report"))
    results["text"] = written.text
    for line in summary(source, results):
        say(line)
    return results


def _look_as_runs_come(source: Source, say: Any) -> Report:
    """Bring one run to melibea and count, then two, four, eight: a first answer long before the last one.

    Nothing is done twice, for every step finds what the one before has made; where all is there, nobody need wait.
    """
    planned = source.plan(datalevels.Melibea.key)
    if all(planned.state(task).state == "up to date" for task in planned):
        return Report()
    runs = [int(run) for run in source.runs_in_period.sort_values("start_mjd")["run"]]
    report, done = Report(), 1
    while runs:
        with bars(quiet=source.quiet):
            report += process(
                source.session, source.name, None, datalevels.Melibea.key, runs=runs[:done], forests=source.forests
            )
        say(f"First look at {min(done, len(runs))} of {len(runs)} runs: {_look(source)}")
        if done >= len(runs):
            break
        done *= 2
    return report


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


def _plots(source: Source, found: Results) -> list[Any]:
    """Keep tables and figures in the source's folder of plots."""
    folder = source.session.layout.shown(source.name, "plots")
    for result in found.all.values():
        result.save(folder)
    if found.skymap is not None:
        write_skymap(found.skymap, folder / "skymap.fits")
    hours = hours_figure(source.hours().to_table(), title=f"{source.name}: hours", simulated=found.spectrum.simulated)
    return [source.save_figure(figure, name) for name, figure in {**found.figures(), "hours": hours}.items()]


def summary(source: Source, results: dict[str, Any]) -> list[str]:
    """Return the closing lines: what to send on, spectrum, plots, report."""
    spectrum = results["spectrum"]
    lines = ["", *results["text"].splitlines(), ""]
    lines += [
        f"  {row['name']} = {row['value']:.4g} +- {row['error']:.2g} {row['unit']}" for row in spectrum.parameters
    ]
    if spectrum.simulated:
        lines.append("All of this is simulated: it says nothing about the real sky.")
    lines += [f"plot: {path}" for path in results["plots"]]
    lines += [f"report: {path}" for path in results["paths"]]
    lines.append(f"results: {source.session.layout.root / source.name}")
    lines.append(f"Done analysing {source.name}")
    return lines


def to_json(results: dict[str, Any]) -> str:
    """Return the results as JSON: parameters as value, error, unit; counts; paths."""
    document = {
        "theta2": results["theta2"].to_dict(),
        "spectrum": results["spectrum"].to_dict(),
        "light_curve": results["light_curve"].to_dict(),
        "text": results["text"],
        "tasks": results["report"].counts,
        "plots": [str(path) for path in results["plots"]],
        "report": [str(path) for path in results["paths"]],
    }
    return json.dumps(document, indent=1)
