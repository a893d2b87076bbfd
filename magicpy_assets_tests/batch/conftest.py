"""The real pools, each up while its tests run."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pools
import pytest
from farm_work import Pool

REQUIRED = "REAL_QUEUES"
"""Set where a pool that cannot be had is an error, as in CI."""


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
