"""The verbs of OFF data and forests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from magicpy_assets.cli.options import AsJson, Force, TelescopeNumbers, echo, echo_json, echo_table, parse_cells

if TYPE_CHECKING:
    from magicpy_assets.analysis.off import Off
    from magicpy_assets.plots.off_table import OffTable

Several = Annotated[list[str] | None, typer.Option(help="this field; may be repeated")]


def train(
    cell: Annotated[list[str] | None, typer.Argument(help="cells, such as ST0316/za05to35/weak")] = None,
    period: Annotated[str | None, typer.Option("--period", help="all observed cells of a period")] = None,
    telescopes: TelescopeNumbers = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Train the forests of cells, or of a whole period, and report on their quality beside them."""
    from magicpy_assets.analysis.random_forests import observed_cells, train_forests
    from magicpy_assets.core import periods
    from magicpy_assets.core.telescopes import of
    from magicpy_assets.pipeline.session import open_session

    cells = parse_cells(cell) or []
    if not cells and period is None:
        raise typer.BadParameter("give cells, or --period")
    chosen: dict[str, Any] = {} if telescopes is None else {"telescopes": of(telescopes).numbers}
    with open_session(**chosen) as session:
        session.catalogue.refresh()
        if period is not None:
            cells += observed_cells(session, periods.by_name(period))
        trained = train_forests(session, cells, force=force, quiet=as_json)
    report = trained.report
    if as_json:
        quality = trained.table.to_dict("records")
        echo_json({"tasks": report.counts, "rows": report.table.to_dict("records"), "forests": quality})
    else:
        echo(str(trained))
    if report.counts["failed"] or not trained.forests:
        raise typer.Exit(1)


def off(
    cell: Annotated[str, typer.Argument(help="cell, such as ST0316/za05to35/weak")],
    hours: Annotated[float | None, typer.Option(help="choose so many hours")] = None,
    field: Several = None,
    exclude: Several = None,
    mola: Annotated[bool, typer.Option("--mola", help="show and use the online results of the runbooks")] = False,
    telescopes: TelescopeNumbers = None,
    clear: Annotated[bool, typer.Option("--clear", help="forget what was chosen")] = False,
    as_json: AsJson = False,
) -> None:
    """Show the OFF data of a cell, or choose those that its forests are trained with.

    With --hours, --field or --exclude a choice is kept beside the forests; without, what is in force is shown.
    """
    from magicpy_assets.analysis.off import Off
    from magicpy_assets.core.cell import Cell

    where = Cell.parse(cell)
    with Off(where.period, where.zenith, where.moon, quiet=True, telescopes=telescopes) as found:
        candidates = found.search()
        if clear:
            found.clear()
        if mola:
            echo_table(found.get_mola()) if not as_json else found.get_mola()
        if exclude:
            found.exclude(*exclude)
        choosing = hours is not None or field or exclude
        table = found.select(hours, fields=field, mola=mola) if choosing else found.summary()
        if as_json:
            echo_json(_document(found, candidates, table))
            return
        echo(str(candidates))
        for name, why in found.refused.items():
            echo(f"{name} cannot serve: {why}")
        echo("")
        echo(str(table))


def _document(found: Off, candidates: OffTable, table: OffTable) -> dict[str, object]:
    return {
        "cell": found.cell.text,
        "candidates": candidates.to_table().reset_index(names="source").to_dict("records"),
        "selected": table.to_table().reset_index(names="source").to_dict("records"),
        "runs": sorted(int(run) for run in table.runs["run"]),
        "refused": found.refused,
    }
