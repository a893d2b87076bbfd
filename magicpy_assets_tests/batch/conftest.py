"""The real pools, each up while its tests run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pools
import pytest

from magicpy_assets.compute.farms import Farm, farm
from magicpy_assets.core.compute_settings import ComputeKind

REQUIRED = "REAL_QUEUES"
"""Set where a pool that cannot be had is an error, as in CI."""


@dataclass
class Pool:
    """A pool that is up."""

    kind: ComputeKind
    folder: Path

    @property
    def farm(self) -> Farm:
        return farm(self.kind)

    def compute(self, **more: Any) -> dict[str, Any]:
        """Settings with which jobs go to the pool."""
        common = {"kind": self.kind, "max_jobs": 2, "poll_s": 0.5, "host": "127.0.0.1", "memory_gb": 1.0}
        return common | {"walltime_h": 0.2, "disk_gb": 0.1} | more


@pytest.fixture(scope="module", params=["slurm", "htcondor"])
def pool(request: pytest.FixtureRequest) -> Iterator[Pool]:
    """A pool of each kind; the test is skipped, and says why, where it cannot be had."""
    with pytest.MonkeyPatch.context() as patch:
        kind = request.param
        try:
            up = pools.POOLS[kind]()
            folder = up.__enter__()
        except pools.NoPoolError as error:
            if os.environ.get(REQUIRED):
                raise
            pytest.skip(str(error))
        patch.setenv("PYTHONDONTWRITEBYTECODE", "1")
        try:
            yield Pool(kind, folder)
        finally:
            up.__exit__(None, None, None)
