"""Opening what the settings say: worker processes, or a farm."""

from __future__ import annotations

from pathlib import Path

from magicpy_assets.compute.base import Workers
from magicpy_assets.compute.local import open_local
from magicpy_assets.core.compute_settings import ComputeSettings


def open_workers(settings: ComputeSettings, store: Path) -> Workers:
    """Open where commands run; `store` is where the logs of jobs lie unless the settings say otherwise.

    Raises
    ------
    ProgramError
        If the farm cannot be used from here.
    """
    if settings.kind == "local":
        return open_local(settings.workers, settings.memory_gb)
    from magicpy_assets.compute.batch import BatchExecutor

    return BatchExecutor(settings, settings.logs or store / ".jobs")
