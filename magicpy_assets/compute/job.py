"""What a job of a farm runs: a worker that ends at once when it is told to, or when who sent it is gone.

Imported in jobs only, where the packages for farms are installed.
"""

from __future__ import annotations

import logging
import os
from typing import Any

from distributed import Worker


class JobWorker(Worker):
    """A worker that waits for no work under way: when it ends, what it has started ends too, being on a leash."""

    async def close(self, *args: Any, **kwargs: Any) -> Any:
        """Say good-bye, and end the process with all its threads."""
        await super().close(timeout=1, executor_wait=False, nanny=False, reason="the job ends")
        logging.shutdown()
        os._exit(0)
