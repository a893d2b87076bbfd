"""An installed MARS, made of stand-ins."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import uproot

from magicpy_assets.mars.installation import CARD_FOLDER, STOCK_CARDS, Installation

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
    (found.marssys / CARD_FOLDER).mkdir(parents=True)
    for name, cards in STOCK_CARDS.items():
        install(found.marssys, name)
        for card in cards:
            text = f"# {card} of MARS\nMJ{name}.Stock: {card}\nMJStar.MImgCleanStd.CleanLevel1: 6.0\n"
            (found.marssys / CARD_FOLDER / card).write_text(text)
    for name, trees in (("good", ("Events", "RunHeaders")), ("no_tree", ("RunHeaders",)), ("no_events", ("Drive",))):
        with uproot.recreate(found.marssys / f"{name}.root") as file:
            for tree in trees:
                file.mktree(tree, {"x": np.float64}).extend({"x": np.arange(5000.0)})
            if name == "no_events":
                for tree in ("Events", "RunHeaders"):
                    file.mktree(tree, {"x": np.float64})
    found.behave("ok")
    return found
