"""Where programs come from: the embedded engine, an installed MARS, or one for some stages and one for the others.

The one place that knows which. The engine is reached by its command line or, in a worker process, by the name of its
entry point: it is never imported here.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from magicpy_assets.compute.base import Command
from magicpy_assets.core.errors import ConfigError, InputError, MagicpyError
from magicpy_assets.formats.runcard import Runcard
from magicpy_assets.mars.found import CARD_FOLDER, STOCK_CARDS, TABLE, MarsFolder
from magicpy_assets.mars.patterns import each_flag_once, one_pattern
from magicpy_assets.version import __version__

if TYPE_CHECKING:
    from magicpy_assets.core.settings import Settings
    from magicpy_assets.mars.declaration import Declaration

ENGINE = "magicpy_assets.engine"
"""Reached by name only, never imported here."""
CHAIN = ("star", "superstar", "coach", "melibea")
"""The programs of the chain that may come from either, in order: what one makes the next ones read."""
UNKNOWN_VERSION = "MARS of unknown version"


@dataclass(frozen=True)
class Installation(MarsFolder):
    """The embedded engine (both paths None), or MARS in `marssys` with its ROOT in `rootsys`.

    Attributes
    ----------
    embedded_programs
        Programs of the chain that come from the embedded engine although MARS is there.
    time_limit_s
        For how long its programs may run, in seconds; None for ever.
    """

    embedded_programs: frozenset[str] = frozenset()
    time_limit_s: float | None = None
    _versions: dict[str, str] = field(default_factory=dict, compare=False, repr=False)

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
            If MARS is asked for and something of it is missing, or does not go together: all of it named.
        """
        wanted = settings.mars
        sources = {name: getattr(wanted.stages, name) or wanted.installation for name in CHAIN}
        if wanted.installation == "embedded" and set(sources.values()) == {"embedded"}:
            return cls.embedded()
        marssys, rootsys = places(settings)
        if marssys is None:
            raise ConfigError("an installed MARS is asked for, but neither mars.marssys nor $MARSSYS says where it is")
        ours = frozenset(name for name, source in sources.items() if source == "embedded")
        found = cls(marssys, rootsys, wanted.keep, ours, wanted.time_limit_s)
        faults = found.missing() + found.mismatches()
        if faults:
            raise ConfigError("the MARS installation cannot be used: " + "; ".join(faults))
        return found

    @property
    def is_embedded(self) -> bool:
        """Whether there is nothing but the embedded engine."""
        return self.marssys is None

    def has(self, program: str) -> bool:
        """Tell whether a program comes from the installed MARS."""
        return self.marssys is not None and program in TABLE and program not in self.embedded_programs

    # What is there

    def missing(self) -> list[str]:
        """Return what an installed MARS lacks of what the chain takes from it."""
        if self.marssys is None:
            return []
        if not self.marssys.is_dir():
            return [f"no folder {self.marssys} (mars.marssys)"]
        used = [name for name in CHAIN if self.has(name)]
        found = [f"no program {name} in {self.marssys}" for name in used if self.program_path(name) is None]
        folder = self.marssys / CARD_FOLDER
        cards = [card for name in used for card in STOCK_CARDS[name]]
        found += [f"no run card {card} in {folder}" for card in cards if not (folder / card).is_file()]
        if self.rootsys is None:
            found.append("no ROOT: set mars.rootsys or $ROOTSYS")
        elif not self.rootsys.is_dir():
            found.append(f"no folder {self.rootsys} (mars.rootsys)")
        return found

    def mismatches(self, *, simulated: bool = False) -> list[str]:
        """Return what does not go together: MARS reads no file of ours, and our melibea no forest of MARS.

        `simulated` tells that the files at the beginning are those of the embedded observatory.
        """
        if self.marssys is None or self.reads_plain_trees:
            return []
        used = [name for name in CHAIN if self.has(name)]
        found = []
        if simulated and self.has("star"):
            found.append(f"archive.url is 'embedded', but {_REFUSAL}")
        for name in used:
            before = [other for other in CHAIN[: CHAIN.index(name)] if not self.has(other)]
            if before:
                found.append(f"mars.stages: {name} would come from MARS after our {before[-1]}, but {_REFUSAL}")
        if self.has("coach") and not self.has("melibea"):
            found.append("mars.stages: our melibea cannot read the forests of MARS: take coach from here as well")
        return found

    # Versions

    @property
    def version(self) -> str:
        """Name and version of the programs, of both kinds where both are used."""
        used = [name for name in CHAIN if self.has(name)]
        kinds = [self.version_of(used[0])] if used else []
        return " and ".join([*kinds, *([f"embedded {__version__}"] if len(used) < len(CHAIN) else [])])

    def version_of(self, program: str) -> str:
        """Return name and version of a program; one of MARS is asked once, with `-h`."""
        if not self.has(program):
            return f"embedded {__version__}"
        if program not in self._versions:
            match = re.search(r"V\d+-\d+(?:-\d+)?", self.ask(program))
            self._versions[program] = f"MARS {match[0]}" if match else UNKNOWN_VERSION
        return self._versions[program]

    def identity(self, program: str) -> dict[str, str]:
        """Return what of an installation determines the results of a program: version and stock card; for records."""
        if not self.has(program):
            return {}
        assert self.marssys is not None
        texts = [
            str(Runcard.read(path).with_includes())
            for card in STOCK_CARDS[program]
            if (path := self.marssys / CARD_FOLDER / card).is_file()
        ]
        digest = hashlib.sha256("".join(texts).encode(errors="surrogateescape")).hexdigest()
        return {"MARS": self.version_of(program), "stock card": digest[:12]}

    # Running

    def stock_card(self, program: Declaration) -> Runcard:
        """Return the stock card of MARS for a program, includes written out; an empty one where there is none.

        Raises
        ------
        MissingInputError
            If the table of programs names a card that is not there.
        """
        cards = STOCK_CARDS[program.name] if self.has(program.name) else ()
        if self.marssys is None or not cards:
            return Runcard(name=str(program.card_path))
        number = min((program.telescope or 1), len(cards)) - 1
        return Runcard.read(self.marssys / CARD_FOLDER / cards[number]).with_includes()

    def card_for(self, program: Declaration) -> Runcard:
        """Return the run card that a program will be run with: what was set, before the stock card of MARS.

        Keys that only the embedded engine knows are left out for MARS.

        Raises
        ------
        InputError
            If keys are missing that the program asks for.
        """
        if not self.has(program.name):
            return program.runcard
        ours = {item.key for item in program.declared if item.known_to == "ours"}
        values = {key: value for key, value in program.card_values().items() if key not in ours}
        card = self.stock_card(program).override(values)
        absent = [item.key for item in program.declared if item.required and item.key not in card.values]
        if absent:
            raise InputError(
                f"{program.name}: neither you nor the stock card set {', '.join(absent)}",
                hint="set them with set_parameter",
            )
        return card

    def command_for(self, program: Declaration, *, log: Path) -> Command:
        """Return the command that runs a program; its output folder and run card are made.

        Raises
        ------
        ConfigError
            If there is no such program.
        InputError
            If the program could not read its input, or not be told which files to take.
        MissingInputError
            If MARS has no stock card for it.
        """
        if self.has(program.name):
            return self._of_mars(program, log)
        if program.name in TABLE and program.name not in CHAIN:
            raise ConfigError(
                f"the embedded engine has no {program.name}: {TABLE[program.name]['instead']}",
                hint="with an installed MARS: mars.installation = 'installed' and mars.marssys",
            )
        alien = [item.key for item in program.declared if item.known_to == "mars" and program.values.get(item.key)]
        if alien:
            raise InputError(f"the embedded {program.name} does not know {', '.join(alien)}: only MARS does")
        card = self.card_for(program)
        words = [program.name, *program.words(card)]
        program.prepare(card)
        argv = (sys.executable, "-m", ENGINE, *words)
        return Command(argv, log, entry=f"{ENGINE}.__main__:main", arguments=tuple(words))

    def _of_mars(self, program: Declaration, log: Path) -> Command:
        path = self.program_path(program.name)
        if path is None:
            raise ConfigError(f"MARS in {self.marssys} has no program {program.name}")
        if not self.reads_plain_trees:
            refuse_ours(program)
        card = self.card_for(program)
        known = set(TABLE[program.name]["flags"].split()) | {item.key for item in program.declared if item.flag}
        words = [word for word in program.words(card) if not word.startswith("-") or word.split("=")[0] in known]
        links = log.absolute().parent / f"{program.label}.inputs"
        words = each_flag_once(words, links)
        lists = {key: card.values[key].split() for key in program.file_lists if key in card.values}
        card = card.override({key: one_pattern(files, links / key) for key, files in lists.items() if len(files) > 1})
        program.prepare(card)
        cwd = program.out.absolute() if program.here else None
        return Command((str(path), *words), log, env=self.environment(), cwd=cwd, timeout_s=self.time_limit_s)

    def __str__(self) -> str:
        if self.is_embedded:
            return "embedded engine"
        ours = f", {', '.join(name for name in CHAIN if name in self.embedded_programs)} of the embedded engine"
        return f"MARS in {self.marssys}{ours if self.embedded_programs else ''}"


_REFUSAL = (
    "MARS cannot read files that this package or its simulation has written: "
    "they hold plain branches, not objects of its classes"
)


def refuse_ours(program: Declaration) -> None:
    """Refuse input that this package or its simulation has written, for an installed MARS.

    Raises
    ------
    InputError
        With the reason, naming the files.
    """
    ours = [path.name for path in program.inputs() if _is_ours(path)]
    if ours:
        more = f" and {len(ours) - 1} more" if len(ours) > 1 else ""
        raise InputError(
            f"{ours[0]}{more} cannot be given to the {program.name} of MARS: {_REFUSAL}",
            hint=f"take {program.name} from the embedded engine: mars.stages.{program.name} = 'embedded'",
        )


def _is_ours(path: Path) -> bool:
    """Tell whether a ROOT file was written by this package or its simulation: it says so in a branch of its own."""
    from magicpy_assets.formats.root import CARDS, PROVENANCE, open_root, read_cards

    try:
        with open_root(path) as file:
            return any(read_cards(file, path, branch) for branch in (CARDS, PROVENANCE))
    except MagicpyError:
        return False  # whoever reads it will say what is wrong with it


def is_embedded(argv: Sequence[str]) -> bool:
    """Tell whether a command line is one of the embedded engine."""
    return ENGINE in argv


def places(settings: Settings) -> tuple[Path | None, Path | None]:
    """Return where MARS and its ROOT are, by the settings or else by `$MARSSYS` and `$ROOTSYS`."""
    return (
        settings.mars.marssys or _environment_path("MARSSYS"),
        settings.mars.rootsys or _environment_path("ROOTSYS"),
    )


def _environment_path(name: str) -> Path | None:
    value = os.environ.get(name)
    return Path(value) if value else None
