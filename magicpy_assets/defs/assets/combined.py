"""Results over cells: of a period, and of everything that was ever taken of a source."""

from typing import Any

import dagster as dg

from magicpy_assets.defs.assets.results import light_curve_of, spectrum_of, theta2_of
from magicpy_assets.defs.described import data_version, describe, made, note_makers, note_unfinished
from magicpy_assets.defs.level import OWNERS, POOL, code_reference, retried
from magicpy_assets.defs.names import asset_key, plain
from magicpy_assets.defs.partitions import PERIOD
from magicpy_assets.defs.resources import Magic
from magicpy_assets.mars.programs import Spectra
from magicpy_assets.pipeline.combined import cells_in, plan_combined
from magicpy_assets.pipeline.run import run

OF_PERIOD = """
Spectrum, θ² and light curve of {source} over all cells of a period that have DL3 files, fitted together, each run with
its own response.
"""
OF_SOURCE = """
Spectrum, θ² and light curve of {source} over all periods, fitted together.
"""
CONVERGED = "fit_converged"


def of(source: str, periods: list[str], condition: dg.AutomationCondition | None = None) -> list[dg.AssetsDefinition]:
    """Return the two assets of a source: by period, and over everything."""
    by_period = dg.StaticPartitionsDefinition(periods)
    dl3 = dg.AssetDep(
        asset_key((source, "dl3")),
        partition_mapping=dg.MultiToSingleDimensionPartitionMapping(partition_dimension_name=PERIOD),
    )
    shared: dict[str, Any] = {
        "group_name": plain(source),
        "kinds": {"gammapy", "matplotlib"},
        "owners": OWNERS,
        "metadata": code_reference(__file__),
        "code_version": str(Spectra.results_version),
        "automation_condition": condition,
        "pool": POOL,
    }

    @dg.asset(
        key=asset_key((source, "period_spectrum")),
        description=OF_PERIOD.format(source=source),
        deps=[dl3],
        partitions_def=by_period,
        check_specs=[_converged(source, "period_spectrum", by_period)],
        tags={"level": "period_spectrum"},
        **shared,
    )
    def period_spectrum(context: dg.AssetExecutionContext, magic: Magic) -> dg.MaterializeResult:
        with retried(context):
            return _combine(context, magic, source, context.partition_key)

    @dg.asset(
        key=asset_key((source, "spectrum")),
        description=OF_SOURCE.format(source=source),
        deps=[dg.AssetDep(period_spectrum, partition_mapping=dg.AllPartitionMapping())],
        check_specs=[_converged(source, "spectrum", None)],
        tags={"level": "spectrum"},
        **shared,
    )
    def spectrum(context: dg.AssetExecutionContext, magic: Magic) -> dg.MaterializeResult:
        with retried(context):
            return _combine(context, magic, source, None)

    return [period_spectrum, spectrum]


def _converged(source: str, name: str, partitions: dg.PartitionsDefinition | None) -> dg.AssetCheckSpec:
    return dg.AssetCheckSpec(
        CONVERGED,
        asset=asset_key((source, name)),
        description="The spectral fit converged.",
        partitions_def=partitions,
    )


def _combine(context: dg.AssetExecutionContext, magic: Magic, source: str, period: str | None) -> dg.MaterializeResult:
    with magic.session() as session:
        session.catalogue.refresh()
        planned = plan_combined(session, source, period)
        report = run(session, planned)
        metadata, files = describe(session, report), made(report)
    note_makers(report, context.run.run_id)
    note_unfinished(context, report)
    metadata["cells"] = ", ".join(cell.text for cell in cells_in(planned)) or "none"
    passed = True
    if not len(report):
        metadata["empty"] = metadata["why"] = f"no data: no cell of {source} has DL3 files yet"
    elif files:
        from magicpy_assets.science.spectrum import SpectrumResult

        folder = files[0].parent
        passed = SpectrumResult.load(folder).converged
        metadata |= theta2_of(folder) | spectrum_of(folder) | light_curve_of(folder)
    else:
        passed = False
    context.log.info("%s", report)
    return dg.MaterializeResult(
        metadata=metadata,
        data_version=dg.DataVersion(data_version(report)),
        check_results=[dg.AssetCheckResult(check_name=CONVERGED, passed=passed)],
    )
