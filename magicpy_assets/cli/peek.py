"""The verb that looks: at a source, at one run, at one event."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from magicpy_assets.cli.options import (
    AsJson,
    PeriodName,
    SourceName,
    TelescopeNumbers,
    Where,
    echo,
    echo_json,
    open_source,
)


def peek(
    name: SourceName,
    period: PeriodName = None,
    telescopes: TelescopeNumbers = None,
    where: Where = None,
    run: Annotated[int | None, typer.Option("--run", help="look at this run")] = None,
    event: Annotated[
        str | None, typer.Option("--event", help="look at this event: stereo number, brightest, gamma or random")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="file of the figure; by default in the source's plots")] = None,
    as_json: AsJson = False,
) -> None:
    """Draw the runs of a source, or one run, or one event in both cameras."""
    from magicpy_assets.plots.events import event_figure

    if event is not None and run is None:
        raise typer.BadParameter("events are counted in each run: give --run, too")
    with open_source(name, period, where=where, quiet=as_json, telescopes=telescopes) as source:
        found = source.event(run, event) if run is not None and event is not None else None
        figure = event_figure(found) if found is not None else source.peek(run)
        parts = ["peek", *([str(run)] if run is not None else []), *([str(found.number)] if found is not None else [])]
        if out is None:
            path = source.save_figure(figure, "_".join(parts))
        else:
            path = out
            path.parent.mkdir(parents=True, exist_ok=True)
            figure.savefig(path, dpi=130)
        said = str(found) if found is not None else ("" if run is not None else str(source.hours()))
    if as_json:
        document = {"source": source.name, "run": run, "files": [str(path)]}
        echo_json(document | ({"event": found.to_dict()} if found is not None else {}))
        return
    if said:
        echo(said)
    echo(f"written: {path}")
