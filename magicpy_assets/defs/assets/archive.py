"""What the data server holds of each cell: observed, not made. Its versions say which cells have gained runs."""

from collections.abc import Sequence

import dagster as dg

from magicpy_assets.core.cell import Cell
from magicpy_assets.defs.checks import check_of_cells
from magicpy_assets.defs.level import code_reference
from magicpy_assets.defs.names import asset_key, plain
from magicpy_assets.defs.resources import Magic
from magicpy_assets.pipeline.quality.nights import runs_are_listed
from magicpy_assets.pipeline.quality.verdict import Verdict
from magicpy_assets.pipeline.runs import cell_versions, known_runs
from magicpy_assets.pipeline.session import Session

DESCRIPTION = """
The runs of {what} that the data server knows of, cell by cell. Observing it asks for new run reports; a cell whose runs
have changed gets a new data version, and only what is made from that cell is marked as out of date.
"""
OFF = "off"


def of(source: str, partitions: dg.PartitionsDefinition) -> dg.SourceAsset:
    """Return the observable asset of a source, or of the OFF data."""
    what = "fields without a signal" if source == OFF else source

    @dg.observable_source_asset(
        key=asset_key((source, "archive")),
        group_name=plain(source),
        description=DESCRIPTION.format(what=what),
        partitions_def=partitions,
        metadata=code_reference(__file__),
        tags={"level": "archive"},
    )
    def archive(magic: Magic) -> dg.DataVersionsByPartition:
        with magic.session() as session:
            session.catalogue.refresh()
            versions = cell_versions(known_runs(session), None if source == OFF else source)
        return dg.DataVersionsByPartition(
            {cell.key: version for cell, version in versions.items() if partitions.has_partition_key(cell.key)}
        )

    return archive


def check_of(source: str, partitions: dg.PartitionsDefinition) -> dg.AssetChecksDefinition:
    """Return the check of that asset: whether the files of its runs are listed."""
    wanted = None if source == OFF else source

    def ask(session: Session, key: str) -> Verdict:
        return runs_are_listed(session, wanted, Cell.parse(key))

    def keys(session: Session) -> Sequence[str]:
        found = cell_versions(known_runs(session), wanted)
        return [cell.key for cell in sorted(found) if partitions.has_partition_key(cell.key)]

    return check_of_cells(
        (source, "archive"), ask, keys, partitions, name=runs_are_listed.__name__, description=runs_are_listed.__doc__
    )
