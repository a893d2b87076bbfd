"""A script as people write them, with nothing to keep it from being run again; it works until it is stopped."""

import sys
from pathlib import Path

import numpy  # noqa: F401 - its threads are set up here, but not in the workers
import work

from magicpy_assets.compute.local import open_local

print("script runs", flush=True)
with open_local(2) as pool:
    print(pool.submit(work.square, 3).result(), pool.submit(work.threads).result(), flush=True)
    for folder in sys.argv[1:]:
        pool.submit(work.run_for_ever, Path(folder) / "pid")
