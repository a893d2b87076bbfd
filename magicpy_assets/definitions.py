"""Everything Dagster, put together: `defs` for the page and the daemon, `build_defs` for tests and special set-ups.

There is no other wiring anywhere.
"""

from typing import Any

import dagster as dg

from magicpy_assets.core.settings import Settings, load_settings
from magicpy_assets.defs import automation, partitions, resources
from magicpy_assets.defs.assets import calibrated, dl3, melibea, random_forest, spectra, star, superstar
from magicpy_assets.defs.assets.catalogue import run_catalogue
from magicpy_assets.defs.level import Level


def levels(sources: tuple[str, ...]) -> list[Level]:
    """Return all partitioned assets: the seven levels of each source, the OFF and Monte Carlo chains, the forests."""
    shared = [random_forest.shared(), melibea.of_monte_carlo()]
    for module in (calibrated, star, superstar):
        shared += [module.of_off_data(), module.of_monte_carlo()]
    modules = (calibrated, star, superstar, melibea, dl3, spectra)
    return shared + [module.of(source) for source in sources for module in modules]


def build_defs(settings: Settings | None = None, **overrides: Any) -> dg.Definitions:
    """Assemble the definitions.

    Parameters
    ----------
    settings
        By default those of `magicpy.toml` and the environment.
    overrides
        Resources to use instead, by name; for tests.
    """
    chosen = settings or load_settings()
    cells = partitions.cells(list(chosen.periods))
    jobs = automation.jobs(chosen.sources)
    refresh = next(job for job in jobs if job.name == "refresh_catalogue")
    return dg.Definitions(
        assets=[run_catalogue, *(level.asset(cells) for level in levels(chosen.sources))],
        jobs=jobs,
        sensors=[automation.new_nights(chosen.sources, chosen.periods, jobs)],
        schedules=[automation.nightly(refresh)],
        resources=resources.resources(chosen) | overrides,
        executor=dg.in_process_executor,
    )


defs = build_defs()
