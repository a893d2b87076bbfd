"""The forests: one set for each cell, shared by all sources."""

from typing import Any

import dagster as dg

from magicpy_assets.core.cell import Cell
from magicpy_assets.core.settings import Settings
from magicpy_assets.defs.figures import show
from magicpy_assets.defs.level import Level, forests_of_cell
from magicpy_assets.mars.programs import TRAINING_REPORT, Coach
from magicpy_assets.pipeline.quality import files, forests
from magicpy_assets.pipeline.report import Report
from magicpy_assets.pipeline.session import Session

DESCRIPTION = """
Forests for hadronness, direction (one for each telescope) and energy, trained on OFF data of the cell and on simulated
gamma rays of the training sample, brought to the same noise and weighted to the same sizes and zenith distances.
"""


def _quality(session: Session, cell: Cell, report: Report) -> dict[str, Any]:
    folder = session.layout.forest(cell)
    if not (folder / TRAINING_REPORT).is_file():
        return {}
    from magicpy_assets.plots.forests import ForestReport

    quality = ForestReport.read(folder, cell.text)
    if report.counts["done"]:
        quality.save(folder)
    if not quality.measured:
        return {"training_report": dg.MetadataValue.path(str(folder / TRAINING_REPORT))}
    return {
        "auc": quality["auc"],
        "gamma_events": quality["gamma_events"],
        "off_events": quality["off_events"],
        "off_runs": quality["off_runs"],
        "held_out": quality["held_out"]["off"],
        "training_report": dg.MetadataValue.path(str(folder / TRAINING_REPORT)),
    } | show(quality.overview, folder / TRAINING_REPORT, "quality", quality.overview_file(folder))


def shared(settings: Settings) -> Level:
    """Return the asset; mono forests are made from star files of their telescope."""
    images = "star" if settings.array.is_mono else "superstar"
    return Level(
        home=__file__,
        key=("random_forest",),
        group="shared",
        description=DESCRIPTION,
        planned=forests_of_cell,
        deps=(("off", images), ("mc", images)),
        checks=(forests.forests_separate,),
        watches=(files.everything_is_there, files.files_are_readable, forests.forests_resolve),
        kinds=frozenset({"scikitlearn", "root"}),
        results_version=Coach.results_version,
        parameters=settings.forest.model_dump(),
        extra=_quality,
    )
