"""An installed MARS, made of stand-ins."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import uproot

from magicpy_assets.mars.installation import STOCK_CARDS, Installation

FAKE = Path(__file__).parents[1] / "fakes" / "mars_program.py"


def install(folder: Path, name: str) -> Path:
    program = folder / name
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text(f"#!{sys.executable} -S\n" + FAKE.read_text(encoding="utf-8"), encoding="utf-8")
    program.chmod(0o755)
    return program


@dataclass
class FakeMars:
    """A MARS whose programs behave as told."""

    marssys: Path
    rootsys: Path

    @property
    def installation(self) -> Installation:
        return Installation(self.marssys, self.rootsys)

    def behave(self, how: str) -> Installation:
        (self.marssys / "behaviour").write_text(how)
        return self.installation


@pytest.fixture
def mars(tmp_path: Path) -> FakeMars:
    """All programs of MARS, behaving."""
    found = FakeMars(tmp_path / "mars", tmp_path / "root")
    found.rootsys.mkdir()
    for name in STOCK_CARDS:
        install(found.marssys, name)
    for name, tree in (("good", "Events"), ("no_tree", "Drive")):
        with uproot.recreate(found.marssys / f"{name}.root") as file:
            file.mktree(tree, {"x": np.float64}).extend({"x": np.arange(5000.0)})
    found.behave("ok")
    return found
