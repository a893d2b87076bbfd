"""What the data server holds of each cell: observed, not made. Its versions say which cells have gained runs."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import dagster as dg
from dagster._core.definitions.external_asset import create_external_asset_from_source_asset

from magicpy_assets.core.cell import Cell
from magicpy_assets.defs.checks import check_of_cells
from magicpy_assets.defs.level import OWNERS, code_reference, retried
from magicpy_assets.defs.names import asset_key, plain
from magicpy_assets.defs.resources import Magic
from magicpy_assets.pipeline.quality.nights import runs_are_listed
from magicpy_assets.pipeline.quality.verdict import Verdict
from magicpy_assets.pipeline.runs import known_runs
from magicpy_assets.pipeline.session import Session
from magicpy_assets.pipeline.versions import needed_cells, off_versions, run_versions
from magicpy_assets.store.records import fingerprint

if TYPE_CHECKING:
    import pandas as pd

DESCRIPTION = """
{what}, as the data server knows them, cell by cell. Observing it asks for new run reports; a cell of which something
has changed gets a new data version, and only what is made from that cell is marked as out of date.
"""
OFF, MC = "off", "mc"
WHAT = {
    OFF: "The runs of fields without a signal that the forests of each cell are trained with",
    MC: "The cells that need simulated gamma rays, because a source has runs there",
}


def versions(session: Session, runs: "pd.DataFrame", source: str) -> dict[Cell, str]:
    """Return the data versions of the archive's cells: of a source, of the OFF data, of the Monte Carlo."""
    if source == MC:
        return {cell: fingerprint("mc", 1, {"cell": cell.key}, [])[:16] for cell in needed_cells(session, runs)}
    return off_versions(session, runs) if source == OFF else run_versions(runs, source)


def of(source: str, partitions: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """Return the observable asset of a source, of the OFF data, or of the Monte Carlo."""

    @dg.observable_source_asset(
        key=asset_key((source, "archive")),
        group_name=plain(source),
        description=DESCRIPTION.format(what=WHAT.get(source, f"The runs of {source}")),
        partitions_def=partitions,
        metadata=code_reference(__file__),
        tags={"level": "archive", "dagster/kind/http": ""},
    )
    def archive(context: dg.OpExecutionContext, magic: Magic) -> dg.DataVersionsByPartition:
        with retried(context), magic.session() as session:
            session.catalogue.refresh()
            found = versions(session, known_runs(session), source)
        return dg.DataVersionsByPartition(
            {cell.key: version for cell, version in found.items() if partitions.has_partition_key(cell.key)}
        )

    # The decorator takes no owners.
    made = create_external_asset_from_source_asset(archive)
    return made.map_asset_specs(lambda spec: spec.replace_attributes(owners=OWNERS))


def check_of(source: str, partitions: dg.PartitionsDefinition) -> dg.AssetChecksDefinition:
    """Return the check of that asset: whether the files of its runs are listed."""
    wanted = None if source == OFF else source

    def ask(session: Session, key: str) -> Verdict:
        return runs_are_listed(session, wanted, Cell.parse(key))

    def keys(session: Session) -> Sequence[str]:
        found = versions(session, known_runs(session), source)
        return [cell.key for cell in sorted(found) if partitions.has_partition_key(cell.key)]

    return check_of_cells(
        (source, "archive"), ask, keys, partitions, name=runs_are_listed.__name__, description=runs_are_listed.__doc__
    )
