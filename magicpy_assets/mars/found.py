"""What lies in the folder of an installed MARS: programs, stock cards, abilities; and how to ask and start them."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from magicpy_assets.core.csvtables import rows
from magicpy_assets.formats.runcard import Runcard

TABLE = {row["program"]: row for row in rows("programs", "mars")}
STOCK_CARDS = {name: tuple(row["cards"].split()) for name, row in TABLE.items()}
"""The programs of MARS, and their cards in `$MARSSYS/mrcfiles`; several are one for each telescope."""
CARD_FOLDER = "mrcfiles"
ABILITIES = "magicpy.rc"
"""A card in `$MARSSYS` that says what an installation can do beyond MARS itself."""
PLAIN = "Magicpy.ReadsPlainTrees"
"""Key in it: it reads files of plain branches, as this package writes them. MARS does not: it reads objects."""
_KEPT = ("HOME", "LANG", "LC_ALL", "TMPDIR", "USER")
_ASK_S = 30


@dataclass(frozen=True)
class MarsFolder:
    """MARS in `marssys` with its ROOT in `rootsys`; without a folder nothing is there.

    Attributes
    ----------
    keep
        Names of environment variables that its programs get as well.
    """

    marssys: Path | None = None
    rootsys: Path | None = None
    keep: tuple[str, ...] = ()

    def program_path(self, name: str) -> Path | None:
        """Return where a program of an installed MARS lies."""
        if self.marssys is None:
            return None
        for folder in (self.marssys, self.marssys / "bin"):
            if os.access(folder / name, os.X_OK) and (folder / name).is_file():
                return folder / name
        return None

    @cached_property
    def reads_plain_trees(self) -> bool:
        """Whether it says of itself that it can read files that this package writes."""
        path = self.marssys / ABILITIES if self.marssys else None
        return path is None or (path.is_file() and Runcard.read(path).flag(PLAIN))

    def programs(self) -> dict[str, Path | None]:
        """Return where each known program of MARS lies; None for those that are not there."""
        return {name: self.program_path(name) for name in TABLE}

    def ask(self, program: str) -> str:
        """Return what a program of MARS says when it is asked for help, or why it says nothing."""
        path = self.program_path(program)
        if path is None:
            return f"no program {program} in {self.marssys}"
        try:
            told = subprocess.run(
                [path, "-h"],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_ASK_S,
                env=self.environment(),
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
        return told.stdout + told.stderr

    def environment(self) -> dict[str, str]:
        """Return the whole environment of a child of an installed MARS: little of ours, and what MARS needs."""
        env = {name: os.environ[name] for name in (*_KEPT, *self.keep) if name in os.environ}
        folders = [str(path) for path in (self.marssys, self.rootsys) if path]
        paths = {
            "PATH": [*folders, *(f"{folder}/bin" for folder in folders), "/usr/local/bin:/usr/bin:/bin"],
            "LD_LIBRARY_PATH": [*folders, *(f"{folder}/lib" for folder in folders)],
        }
        joined = {name: ":".join([*own, *([env[name]] if name in env else [])]) for name, own in paths.items()}
        return env | {"MARSSYS": str(self.marssys), "ROOTSYS": str(self.rootsys or "")} | joined
