"""The two public MAGIC runs of the Crab Nebula, where they are: real data do not come with the package."""

import os
from pathlib import Path

import pytest

FOLDER = Path(
    os.environ.get("MAGICPY_REAL_DL3") or Path(__file__).resolve().parents[2] / "shared" / "data" / "magic_crab_dl3"
)
needed = pytest.mark.skipif(
    not FOLDER.is_dir(), reason="the two public MAGIC runs are not here (MAGICPY_REAL_DL3 names their folder)"
)
