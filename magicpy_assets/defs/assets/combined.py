"""Results over cells: of a period, and of everything that was ever taken of a source."""

from collections.abc import Iterator

import dagster as dg

from magicpy_assets.defs.assets.results import light_curve_of, spectrum_of, theta2_of
from magicpy_assets.defs.checks import Checks
from magicpy_assets.defs.described import data_version, describe, note_makers, note_unfinished
from magicpy_assets.defs.level import OWNERS, POOL, code_reference, retried
from magicpy_assets.defs.names import asset_key, plain
from magicpy_assets.defs.partitions import PERIOD
from magicpy_assets.defs.resources import Magic
from magicpy_assets.mars.programs import Spectra
from magicpy_assets.pipeline.combined import cells_in, plan_combined
from magicpy_assets.pipeline.plan import Plan
from magicpy_assets.pipeline.quality import physics
from magicpy_assets.pipeline.quality.verdict import products
from magicpy_assets.pipeline.run import run
from magicpy_assets.pipeline.session import Session

OF_PERIOD = """
Spectrum, θ² and light curve of {source} over all cells of a period that have DL3 files, fitted together, each run with
its own response.
"""
OF_SOURCE = """
Spectrum, θ² and light curve of {source} over all periods, fitted together.
"""


def of(source: str, periods: list[str], condition: dg.AutomationCondition | None = None) -> list[dg.AssetsDefinition]:
    """Return the two assets of a source: by period, and over everything."""
    by_period = dg.StaticPartitionsDefinition(periods)
    dl3 = dg.AssetDep(
        asset_key((source, "dl3")),
        partition_mapping=dg.MultiToSingleDimensionPartitionMapping(partition_dimension_name=PERIOD),
    )
    by_source = _combined(source, "period_spectrum", OF_PERIOD.format(source=source), [dl3], by_period, condition)
    whole = dg.AssetDep(asset_key((source, "period_spectrum")), partition_mapping=dg.AllPartitionMapping())
    return [by_source, _combined(source, "spectrum", OF_SOURCE.format(source=source), [whole], None, condition)]


def _combined(
    source: str,
    name: str,
    description: str,
    deps: list[dg.AssetDep],
    partitions: dg.PartitionsDefinition | None,
    condition: dg.AutomationCondition | None,
) -> dg.AssetsDefinition:
    key = asset_key((source, name))
    checks = Checks((source, name), warning=(physics.fit_converged,))

    def planned(session: Session, period: str | None) -> Plan:
        return plan_combined(session, source, period)

    @dg.multi_asset(
        name="__".join(key.path),
        specs=[
            dg.AssetSpec(
                key,
                description=description,
                deps=deps,
                group_name=plain(source),
                kinds={"gammapy", "matplotlib"},
                owners=OWNERS,
                metadata=code_reference(__file__),
                code_version=str(Spectra.results_version),
                automation_condition=condition,
                tags={"level": name},
                skippable=True,
            )
        ],
        partitions_def=partitions,
        check_specs=checks.specs(partitions),
        can_subset=True,
        pool=POOL,
    )
    def combined(
        context: dg.AssetExecutionContext, magic: Magic
    ) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
        with retried(context), magic.session() as session:
            session.catalogue.refresh()
            if not checks.wants_asset(context):
                yield from checks.alone(context, session, planned)
                return
            plan = planned(session, context.partition_key if context.has_partition_key else None)
            report = run(session, plan)
            note_makers(report, context.run.run_id)
            note_unfinished(context, report)
            metadata, files = describe(session, report), products(report)
            metadata["cells"] = ", ".join(cell.text for cell in cells_in(plan)) or "none"
            if not len(report):
                metadata["empty"] = metadata["why"] = f"no data: no cell of {source} has DL3 files yet"
            elif files:
                folder = files[0].parent
                metadata |= theta2_of(folder) | spectrum_of(folder) | light_curve_of(folder)
            context.log.info("%s", report)
            yield dg.MaterializeResult(
                asset_key=key, metadata=metadata, data_version=dg.DataVersion(data_version(report))
            )
            yield from checks.answers(context, session, report)

    return combined
