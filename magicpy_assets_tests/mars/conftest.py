"""An installed MARS, made of stand-ins."""

from __future__ import annotations

from pathlib import Path

import pytest

from magicpy_assets_tests.fakes.mars_installation import FakeMars, fake_mars


@pytest.fixture
def mars(tmp_path: Path) -> FakeMars:
    """All programs of MARS, behaving."""
    return fake_mars(tmp_path)
