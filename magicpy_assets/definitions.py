"""Everything Dagster, put together: `defs` for the page and the daemon, `build_defs` for tests and special set-ups.

There is no other wiring anywhere.
"""

import gc
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg

from magicpy_assets.core.settings import Settings, load_settings
from magicpy_assets.defs import automation, combining, lost_runs, new_nights, partitions, resources
from magicpy_assets.defs.assets import (
    archive,
    calibrated,
    catalogue,
    combined,
    dl3,
    melibea,
    random_forest,
    report,
    results,
    runbooks,
    spectra,
    star,
    superstar,
)
from magicpy_assets.defs.assets.catalogue import run_catalogue_check
from magicpy_assets.defs.assets.runbooks import runbooks_check
from magicpy_assets.defs.empty import SHARED, Marked
from magicpy_assets.defs.level import Level
from magicpy_assets.defs.names import asset_key
from magicpy_assets.pipeline.runs import periods_observed
from magicpy_assets.store.layout import Layout

logger = logging.getLogger(__name__)


def shared_levels(settings: Settings) -> list[Level]:
    """Return the partitioned assets that all sources share: the OFF and Monte Carlo chains, the forests."""
    shared = [random_forest.shared(settings), melibea.of_monte_carlo(settings.array)]
    for module in _images(settings):
        shared += [module.of_off_data(), module.of_monte_carlo()]
    return shared


def levels_of(source: str, settings: Settings) -> list[Level]:
    """Return the partitioned assets of a source: its levels from the archive to the results."""
    images = [module.of(source) for module in _images(settings)]
    later = [melibea.of(source, settings.array), dl3.of(source, settings), spectra.of(source, settings)]
    return [*images, *later, *results.of(source)]


def _images(settings: Settings) -> list[Any]:
    """Return the modules of the levels before melibea; mono has no superstar."""
    return [calibrated, star, *([] if settings.array.is_mono else [superstar])]


def periods_of(settings: Settings) -> dict[str, list[str]]:
    """Return the periods of each source: of those in the settings, the ones in which it was observed.

    What the catalogue of the store does not know yet has all periods of the settings. A source that was observed in
    none of them is left out.
    """
    observed = periods_observed(Layout(settings.store))
    found = {
        source: [name for name in settings.periods if name in observed.get(source, settings.periods)]
        for source in settings.sources
    }
    if nowhere := [source for source, periods in found.items() if not periods]:
        logger.warning("not observed in %s: %s", ", ".join(settings.periods), ", ".join(nowhere))
    return {source: periods for source, periods in found.items() if periods}


def build_defs(settings: Settings | None = None, **overrides: Any) -> dg.Definitions:
    """Assemble the definitions.

    Parameters
    ----------
    settings
        By default those of `magicpy.toml` and the environment.
    overrides
        Resources to use instead, by name; for tests.
    """
    with warnings.catch_warnings(), _no_collection():
        # Partitioned checks, code references and the roll-up are new in Dagster; its version is pinned.
        warnings.simplefilter("ignore", dg.BetaWarning)
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return _assembled(settings or load_settings(), overrides)


@contextmanager
def _no_collection() -> Iterator[None]:
    """Put off the search for garbage: hundreds of assets are made here, and none is thrown away."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _assembled(chosen: Settings, overrides: dict[str, Any]) -> dg.Definitions:
    condition, over_cells = automation.condition_of(chosen), automation.condition_over_cells(chosen)
    periods_by_source = periods_of(chosen)
    observed = [name for name in chosen.periods if any(name in found for found in periods_by_source.values())]
    everywhere = partitions.cells(observed or list(chosen.periods))
    cells = {source: partitions.cells(periods) for source, periods in periods_by_source.items()}
    shared = shared_levels(chosen)
    assets: list[Any] = [archive.of(archive.OFF, everywhere), archive.of(archive.MC, everywhere)]
    assets += [level.asset(everywhere, condition) for level in shared]
    groups = [Marked(SHARED, everywhere.get_partition_keys(), [asset_key(level.key) for level in shared])]
    checks = [run_catalogue_check, runbooks_check, archive.check_of(archive.OFF, everywhere)]
    for source, periods in periods_by_source.items():
        levels = levels_of(source, chosen)
        assets += [archive.of(source, cells[source]), *(level.asset(cells[source], condition) for level in levels)]
        assets += combined.of(source, periods, over_cells)
        checks.append(archive.check_of(source, cells[source]))
        assets.append(report.of(source, dg.StaticPartitionsDefinition(periods), condition))
        groups.append(Marked(source, cells[source].get_partition_keys(), [asset_key(level.key) for level in levels]))
        groups.append(Marked(source, periods, [asset_key((source, name)) for name in ("period_spectrum", "report")]))
    jobs = automation.jobs(cells)
    refresh = next(job for job in jobs if job.name == "refresh")
    return dg.Definitions(
        assets=[catalogue.of(groups), runbooks.of(), *assets],
        asset_checks=checks,
        jobs=jobs,
        sensors=[
            new_nights.new_nights({archive.OFF: everywhere, archive.MC: everywhere} | cells, groups, jobs, chosen),
            combining.combine_when_done(list(periods_by_source), jobs, chosen),
            *automation.what_is_broken(),
            lost_runs.lost_runs(),
        ],
        schedules=[automation.nightly(refresh)],
        resources=resources.resources(chosen) | overrides,
        executor=dg.in_process_executor,
    )


defs = build_defs()
