"""Results over several cells: the spectrum, light curve and θ² of a whole period, or of everything there is."""

from __future__ import annotations

from magicpy_assets.core import datalevels
from magicpy_assets.core.cell import Cell
from magicpy_assets.mars import programs
from magicpy_assets.pipeline.plan import Plan, assess_all, plan
from magicpy_assets.pipeline.session import Session
from magicpy_assets.pipeline.tasks import Task

UP_TO_DATE = "up to date"


def plan_combined(session: Session, source: str, period: str | None = None) -> Plan:
    """Plan the results of a source over all cells whose DL3 files are there, of one period or of all.

    Cells that have still to be brought to DL3 are left out: they join when they are ready.
    """
    upstream = plan(session, source, up_to=datalevels.DL3.key).only(datalevels.DL3.key)
    ready = [task for task in upstream if upstream.state(task).state == UP_TO_DATE and _is_of(task.cell, period)]
    if not ready:
        return Plan((), {})
    folder = session.layout.combined(source, period, "any").parent
    how = session.settings.spectra.card_of(source)
    task = Task(
        stage=datalevels.Spectra.key,
        source=source,
        cell=None,
        unit=folder.name,
        products=tuple(folder / name for name in programs.SPECTRA_FILES),
        folder=folder,
        inputs={"DL3": tuple(item.product for item in ready)},
        optional=frozenset({"DL3"}),
        parameters={"source": source} | how,
        results_version=programs.Spectra.results_version,
        build=lambda inputs, out: programs.Spectra(files=inputs["DL3"], source=source, out=out).set_parameters(how),
    )
    return Plan((task,), assess_all([task], frozenset()))


def _is_of(cell: Cell | None, period: str | None) -> bool:
    return cell is not None and period in (None, cell.period.name)


def standing(session: Session, source: str, period: str) -> list[tuple[str, str]]:
    """Return what the records say about every product of a period: its name, and all that a report tells.

    It changes when a run is new, was made again, failed, or failed for another reason, and with the spectra program.
    """
    cells, combined = plan(session, source, up_to=datalevels.Spectra.key), plan_combined(session, source, period)
    found = [(task, cells.state(task)) for task in cells if _is_of(task.cell, period)]
    found += [(task, combined.state(task)) for task in combined]
    return [
        (task.product.name, " ".join((task.product.name, assessed.state, assessed.fingerprint or assessed.reason)))
        for task, assessed in found
    ]


def cells_in(plan: Plan) -> list[Cell]:
    """Return the cells whose files a combined result is made from."""
    folders = {path.parent for task in plan for path in task.all_inputs()}
    return sorted(Cell.parse(f"{folder.parent.name}/{folder.name}") for folder in folders)
