"""The fast analysis: from search to spectrum in one call, saying what it does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from magicpy_assets.core import datalevels
from magicpy_assets.plots.hours import hours_figure
from magicpy_assets.plots.light_curve import light_curve_figure
from magicpy_assets.plots.sed import sed_figure
from magicpy_assets.plots.theta2 import theta2_figure

if TYPE_CHECKING:
    from magicpy_assets.analysis.source import Source


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
    say("star, superstar, random forests, melibea, DL3, spectra: what is missing or out of date")
    report = source.make(datalevels.Spectra)
    say(str(report))
    results = _results(source)
    results["report"] = report
    results["plots"] = _plots(source, results)
    for line in summary(source, results):
        say(line)
    return results


def _results(source: Source) -> dict[str, Any]:
    return {"theta2": source.theta2(), "spectrum": source.spectrum(), "light_curve": source.light_curve()}


def _plots(source: Source, results: dict[str, Any]) -> list[Path]:
    simulated = results["spectrum"].simulated
    made = {
        "theta2": theta2_figure(results["theta2"]),
        "sed": sed_figure(results["spectrum"]),
        "light_curve": light_curve_figure(results["light_curve"]),
        "hours": hours_figure(source.hours().to_table(), title=f"{source.name}: hours", simulated=simulated),
    }
    for name in ("theta2", "spectrum", "light_curve"):
        results[name].save(source.session.layout.root / source.name / "plots")
    return [source.save_figure(figure, name) for name, figure in made.items()]


def summary(source: Source, results: dict[str, Any]) -> list[str]:
    """Return the closing lines: detection, spectrum, plots."""
    theta2, spectrum = results["theta2"], results["spectrum"]
    lines = [
        f"{source.name}: {theta2.n_on} on, {theta2.n_off} off, excess {theta2.excess:.1f},"
        f" {theta2.significance:.1f} sigma (Li & Ma) in {theta2.live_time_s / 60:.1f} min",
    ]
    lines += [
        f"  {row['name']} = {row['value']:.4g} +- {row['error']:.2g} {row['unit']}" for row in spectrum.parameters
    ]
    if spectrum.simulated:
        lines.append("All of this is simulated: it says nothing about the real sky.")
    lines += [f"plot: {path}" for path in results["plots"]]
    lines.append(f"results: {source.session.layout.root / source.name}")
    lines.append(f"Done analysing {source.name}")
    return lines


def to_json(results: dict[str, Any]) -> str:
    """Return the results as JSON: parameters as value, error, unit; counts; paths."""
    document = {
        "theta2": results["theta2"].to_dict(),
        "spectrum": results["spectrum"].to_dict(),
        "light_curve": results["light_curve"].to_dict(),
        "tasks": results["report"].counts,
        "plots": [str(path) for path in results["plots"]],
    }
    return json.dumps(document, indent=1)
