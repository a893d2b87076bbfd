"""Where programs come from: the embedded engine, or an installed MARS.

The one place that knows which. The engine is reached by its command line or, in a worker process, by the name of its
entry point: it is never imported here.
"""

from __future__ import annotations

import glob
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

from magicpy_assets.compute.base import Command
from magicpy_assets.core.errors import ConfigError, InputError
from magicpy_assets.formats.runcard import Runcard
from magicpy_assets.version import __version__

if TYPE_CHECKING:
    from magicpy_assets.core.settings import Settings
    from magicpy_assets.mars.declaration import Declaration

ENGINE = "magicpy_assets.engine"
"""Reached by name only, never imported here."""
STOCK_CARDS = {
    "star": ("star_M1_OSA.rc", "star_M2_OSA.rc"),
    "superstar": ("superstar.rc",),
    "coach": ("coach.rc",),
    "melibea": ("melibea_stereo.rc",),
}
"""The programs of MARS that are used, and their cards in `$MARSSYS/mrcfiles`; several are one for each telescope."""
CARD_FOLDER = "mrcfiles"
_KEPT = ("HOME", "LANG", "LC_ALL", "TMPDIR", "USER")


@dataclass(frozen=True)
class Installation:
    """The embedded engine (both paths None), or MARS in `marssys` with its ROOT in `rootsys`."""

    marssys: Path | None = None
    rootsys: Path | None = None

    @classmethod
    def embedded(cls) -> Installation:
        """Return the embedded engine."""
        return cls()

    @classmethod
    def from_settings(cls, settings: Settings) -> Installation:
        """Return what the settings ask for.

        Raises
        ------
        ConfigError
            If MARS is asked for and something of it is missing, all of it named.
        """
        if settings.mars.installation == "embedded":
            return cls.embedded()
        marssys = settings.mars.marssys or _environment_path("MARSSYS")
        rootsys = settings.mars.rootsys or _environment_path("ROOTSYS")
        if marssys is None:
            raise ConfigError(
                "mars.installation is 'installed', but neither mars.marssys nor $MARSSYS says where it is"
            )
        found = cls(marssys, rootsys)
        missing = found.missing()
        if missing:
            raise ConfigError("the MARS installation is not complete: " + "; ".join(missing))
        return found

    @property
    def is_embedded(self) -> bool:
        """Whether this is the embedded engine."""
        return self.marssys is None

    def missing(self) -> list[str]:
        """Return what an installed MARS lacks."""
        if self.marssys is None:
            return []
        found = [f"no program {name} in {self.marssys}" for name in STOCK_CARDS if self._program(name) is None]
        folder = self.marssys / CARD_FOLDER
        cards = [card for cards in STOCK_CARDS.values() for card in cards]
        found += [f"no run card {card} in {folder}" for card in cards if not (folder / card).is_file()]
        if self.rootsys is None:
            found.append("no ROOT: set mars.rootsys or $ROOTSYS")
        elif not self.rootsys.is_dir():
            found.append(f"no folder {self.rootsys} (mars.rootsys)")
        return found

    def _program(self, name: str) -> Path | None:
        assert self.marssys is not None
        for folder in (self.marssys, self.marssys / "bin"):
            if os.access(folder / name, os.X_OK) and (folder / name).is_file():
                return folder / name
        return None

    @cached_property
    def version(self) -> str:
        """Name and version of the programs."""
        if self.marssys is None:
            return f"embedded {__version__}"
        program = self._program("star")
        if program is None:
            return "MARS of unknown version"
        try:
            told = subprocess.run(
                [program, "-h"],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=30,
                env=self.environment(),
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return "MARS of unknown version"
        match = re.search(r"V\d+-\d+(?:-\d+)?", told.stdout + told.stderr)
        return f"MARS {match[0]}" if match else "MARS of unknown version"

    def environment(self) -> dict[str, str]:
        """Return the whole environment of a child of an installed MARS: little of ours, and what MARS needs."""
        env = {name: os.environ[name] for name in _KEPT if name in os.environ}
        folders = [str(path) for path in (self.marssys, self.rootsys) if path]
        return env | {
            "MARSSYS": str(self.marssys),
            "ROOTSYS": str(self.rootsys or ""),
            "PATH": ":".join([*folders, *(f"{folder}/bin" for folder in folders), "/usr/local/bin:/usr/bin:/bin"]),
            "LD_LIBRARY_PATH": ":".join([*folders, *(f"{folder}/lib" for folder in folders)]),
        }

    def card_for(self, program: Declaration) -> Runcard:
        """Return the run card that a program will be run with: what was set, before the stock card of MARS."""
        if self.marssys is None or program.always_embedded:
            return program.runcard
        cards = STOCK_CARDS[program.name]
        stock = Runcard.read(self.marssys / CARD_FOLDER / cards[(program.telescope or 1) - 1])
        return stock.override(program.card_values())

    def command_for(self, program: Declaration, *, log: Path) -> Command:
        """Return the command that runs a program; its output folder and run card are made.

        Raises
        ------
        ConfigError
            If MARS has no such program.
        InputError
            If MARS could not be told which files to take.
        MissingInputError
            If MARS has no stock card for it.
        """
        card = self.card_for(program)
        words = program.words(card)
        if self.is_embedded or program.always_embedded:
            program.prepare(card)
            words = [program.name, *words]
            argv = (sys.executable, "-m", ENGINE, *words)
            return Command(argv, log, entry=f"{ENGINE}.__main__:main", arguments=tuple(words))
        path = self._program(program.name)
        if path is None:
            raise ConfigError(f"MARS in {self.marssys} has no program {program.name}")
        words = _each_flag_once(words)
        program.prepare(card)
        return Command((str(path), *words), log, env=self.environment())

    def __str__(self) -> str:
        return "embedded engine" if self.is_embedded else f"MARS in {self.marssys}"


def is_embedded(argv: Sequence[str]) -> bool:
    """Tell whether a command line is one of the embedded engine."""
    return ENGINE in argv


def _each_flag_once(words: Sequence[str]) -> list[str]:
    """Return a command line in which several files of one flag are named by one pattern: MARS takes no more.

    Raises
    ------
    InputError
        If no pattern names exactly these files.
    """
    given: dict[str, list[str]] = {}
    for word in words:
        flag, _, value = word.partition("=")
        given.setdefault(flag, []).append(value)
    return [
        f"{flag}={values[0] if len(values) == 1 else _pattern_of(flag, values)}" if values[0] else flag
        for flag, values in given.items()
    ]


def _pattern_of(flag: str, escaped: Sequence[str]) -> str:
    head = _common_head(escaped)
    tail = _common_head([name[len(head) :][::-1] for name in escaped])[::-1]
    pattern = f"{head}*{tail}"
    named = {glob.escape(path) for path in glob.glob(pattern)}  # noqa: PTH207
    if "/" in "".join(name[len(head) : len(name) - len(tail)] for name in escaped) or named != set(escaped):
        raise InputError(
            f"MARS takes one pattern for {flag}, and none names exactly these {len(escaped)} files: {escaped[0]}, ...",
            hint="put them, and no others, into a folder of their own",
        )
    return pattern


def _common_head(names: Sequence[str]) -> str:
    return "".join(
        letters[0] for letters in takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False))
    )


def _environment_path(name: str) -> Path | None:
    value = os.environ.get(name)
    return Path(value) if value else None
