"""Everything Dagster, put together: `defs` for the page and the daemon, `build_defs` for tests and special set-ups.

There is no other wiring anywhere.
"""

import warnings
from typing import Any

import dagster as dg

from magicpy_assets.core.settings import Settings, load_settings
from magicpy_assets.defs import automation, lost_runs, partitions, resources
from magicpy_assets.defs.assets import (
    archive,
    calibrated,
    combined,
    dl3,
    melibea,
    random_forest,
    report,
    results,
    spectra,
    star,
    superstar,
)
from magicpy_assets.defs.assets.catalogue import run_catalogue, run_catalogue_check
from magicpy_assets.defs.assets.runbooks import runbooks, runbooks_check
from magicpy_assets.defs.level import Level
from magicpy_assets.defs.names import asset_key
from magicpy_assets.pipeline.runs import periods_observed
from magicpy_assets.store.layout import Layout


def shared_levels() -> list[Level]:
    """Return the partitioned assets that all sources share: the OFF and Monte Carlo chains, the forests."""
    shared = [random_forest.shared(), melibea.of_monte_carlo()]
    for module in (calibrated, star, superstar):
        shared += [module.of_off_data(), module.of_monte_carlo()]
    return shared


def levels_of(source: str) -> list[Level]:
    """Return the partitioned assets of a source: its levels from the archive to the results."""
    return [module.of(source) for module in (calibrated, star, superstar, melibea, dl3, spectra)] + results.of(source)


def periods_of(settings: Settings) -> dict[str, list[str]]:
    """Return the periods of each source: of those in the settings, the ones in which it was observed.

    What the catalogue of the store does not know yet has all periods of the settings.
    """
    observed = periods_observed(Layout(settings.store))
    wanted = list(settings.periods)
    return {
        source: [name for name in wanted if name in observed.get(source, wanted)] or wanted
        for source in settings.sources
    }


def build_defs(settings: Settings | None = None, **overrides: Any) -> dg.Definitions:
    """Assemble the definitions.

    Parameters
    ----------
    settings
        By default those of `magicpy.toml` and the environment.
    overrides
        Resources to use instead, by name; for tests.
    """
    with warnings.catch_warnings():
        # Partitioned checks, code references and the roll-up are new in Dagster; its version is pinned.
        warnings.simplefilter("ignore", dg.BetaWarning)
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return _assembled(settings or load_settings(), overrides)


def _assembled(chosen: Settings, overrides: dict[str, Any]) -> dg.Definitions:
    condition = automation.condition_of(chosen)
    everywhere = partitions.cells(list(chosen.periods))
    assets: list[Any] = [run_catalogue, runbooks, archive.of(archive.OFF, everywhere)]
    checks = [run_catalogue_check, runbooks_check, archive.check_of(archive.OFF, everywhere)]
    assets += [level.asset(everywhere, condition) for level in shared_levels()]
    cells: dict[str, dg.MultiPartitionsDefinition] = {}
    keys: dict[str, list[dg.AssetKey]] = {}
    for source, periods in periods_of(chosen).items():
        cells[source] = partitions.cells(periods)
        levels = levels_of(source)
        keys[source] = [asset_key(level.key) for level in levels]
        assets += [archive.of(source, cells[source]), *(level.asset(cells[source], condition) for level in levels)]
        assets += combined.of(source, periods, condition)
        checks.append(archive.check_of(source, cells[source]))
        assets.append(report.of(source, dg.StaticPartitionsDefinition(periods), condition))
    jobs = automation.jobs(chosen.sources)
    refresh = next(job for job in jobs if job.name == "refresh")
    return dg.Definitions(
        assets=assets,
        asset_checks=checks,
        jobs=jobs,
        sensors=[
            automation.new_nights(cells, keys, jobs, chosen),
            automation.combine_when_done(chosen.sources, jobs),
            automation.what_is_broken(),
            lost_runs.lost_runs(),
        ],
        schedules=[automation.nightly(refresh)],
        resources=resources.resources(chosen) | overrides,
        executor=dg.in_process_executor,
    )


defs = build_defs()
