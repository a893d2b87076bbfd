"""An installed MARS, made of stand-ins."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import uproot

from magicpy_assets.mars.found import ABILITIES, CARD_FOLDER, PLAIN, STOCK_CARDS
from magicpy_assets.mars.installation import Installation

PROGRAM = Path(__file__).with_name("mars_program.py")
STOCK = {
    "star": "MJStar.MImgCleanStd.CleanLevel1: 6.0\nMJStar.MImgCleanStd.CleanLevel2: 3.5\n",
    "flute": (
        "flute.posContainer: MStereoParDisp\nflute.nBinsEnergyEst: 30\nflute.minEnergyEst: 5\n"
        "flute.maxEnergyEst: 50000\nflute.nBinsTheta2: 40\nflute.maxTheta2: 0.4\nflute.normRangeTheta2Min: 0.1\n"
        "flute.normRangeTheta2Max: 0.2\nflute.minZd: 5\nflute.maxZd: 35\nflute.minSize: 50\n"
    ),
}


def install(folder: Path, name: str) -> Path:
    """Put a program into a folder."""
    program = folder / name
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text(f"#!{sys.executable} -S\n" + PROGRAM.read_text(encoding="utf-8"), encoding="utf-8")
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
        """Tell all programs, or by lines `program: word` some of them, what to do."""
        (self.marssys / "behaviour").write_text(how)
        return self.installation

    def settings(self, **stages: str) -> dict[str, object]:
        """The section `mars` of settings that use it, for all stages or for some."""
        places = {"marssys": str(self.marssys), "rootsys": str(self.rootsys)}
        return {**places, "stages": stages} if stages else {**places, "installation": "installed"}


def fake_mars(folder: Path, *, able: bool = False) -> FakeMars:
    """All programs of MARS, behaving; `able` to read files that this package writes, as no real one is."""
    found = FakeMars(folder / "mars", folder / "root")
    found.rootsys.mkdir(parents=True)
    (found.marssys / CARD_FOLDER).mkdir(parents=True)
    for name, cards in STOCK_CARDS.items():
        install(found.marssys, name)
        for card in cards:
            text = f"# {card} of MARS\nMJ{name}.Stock: {card}\n{STOCK.get(name, '')}"
            (found.marssys / CARD_FOLDER / card).write_text(text)
    for name, trees in (("good", ("Events", "RunHeaders")), ("no_tree", ("RunHeaders",)), ("no_events", ("Drive",))):
        write_trees(found.marssys / f"{name}.root", *trees, empty=("Events", "RunHeaders") if name[-1] == "s" else ())
    write_trees(found.marssys / "many.root", "Events", "RunHeaders", entries=9000)
    if able:
        (found.marssys / ABILITIES).write_text(f"# a stand-in: it works with the embedded engine\n{PLAIN}: yes\n")
    found.behave("ok")
    return found


def write_trees(path: Path, *trees: str, empty: tuple[str, ...] = (), entries: int = 5000) -> Path:
    """Write a ROOT file with trees that hold something, and some that hold nothing."""
    with uproot.recreate(path) as file:
        for tree in trees:
            file.mktree(tree, {"x": np.float64}).extend({"x": np.arange(float(entries))})
        for tree in empty:
            file.mktree(tree, {"x": np.float64})
    return path
