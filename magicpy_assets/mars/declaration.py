"""What a program is: its parameters, its inputs, its command line and run card, what it makes. Nothing runs here.

What a program needs is checked as a whole, and every fault is named.
"""

from __future__ import annotations

import glob
import logging
import shlex
from collections.abc import Iterable, Mapping
from inspect import cleandoc
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from magicpy_assets.core.errors import InputError, UnknownNameError, unknown
from magicpy_assets.formats.runcard import Runcard
from magicpy_assets.mars.parameter import Parameter, described, parameters_of
from magicpy_assets.store.records import pending

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)

LOGS = ".logs"
PathLike = str | Path


class Declaration:
    """A program with values: subclasses say by class attributes what they are, and what inputs they take and make.

    Parameters
    ----------
    files
        Input files; wildcards are expanded.
    out
        Folder of the outputs. Log and run card go to `.logs` in it.
    """

    name: ClassVar[str] = ""
    results_version: ClassVar[int] = 1
    """Raised by hand when the results of the embedded program change."""
    declared: ClassVar[tuple[Parameter, ...]] = ()
    trees: ClassVar[tuple[str, ...]] = ("Events", "RunHeaders")
    """Trees that every ROOT file it makes must hold."""
    good_codes: ClassVar[frozenset[int]] = frozenset({0})
    """Return codes of success."""
    always_embedded: ClassVar[bool] = False
    """Whether MARS has no such program."""
    last_words: ClassVar[str] = ""
    """What the end of the log of an installed MARS's program must say, where that is public."""
    ours_alone: ClassVar[frozenset[str]] = frozenset()
    """Names of outputs that the program of an installed MARS does not make."""
    file_lists: ClassVar[tuple[str, ...]] = ()
    """Run-card keys that name files, separated by blanks; for MARS each becomes one pattern."""
    here: ClassVar[bool] = False
    """Whether the program writes into the folder in which it is started, for want of a flag for another."""

    def __init_subclass__(cls) -> None:
        if "name" in cls.__dict__:
            cls.declared = parameters_of(cls.name)
        if "name" in cls.__dict__ and cls.declared:
            cls.__doc__ = (
                f"{cleandoc(cls.__doc__ or cls.name)}\n\nRun-card keys and flags::\n\n{described(cls.declared)}\n"
            )

    def __init__(self, files: PathLike | Iterable[PathLike], out: PathLike = ".") -> None:
        self.asked = listed(files)
        self.files = expanded(self.asked)
        self.out = Path(out)
        self.values: dict[str, Any] = {}

    # What a subclass says

    @property
    def outputs(self) -> list[Path]:
        """The files that it will make, as far as the names of its inputs can be understood."""
        raise NotImplementedError

    def arguments(self) -> list[str]:
        """Return the words of the command line after the program's name, without that of the run card."""
        raise NotImplementedError

    @property
    def telescope(self) -> int | None:
        """The telescope whose files it takes, for programs that take one at a time."""
        return None

    def parts(self) -> list[Self]:
        """Return programs that make one product each and can run at the same time; itself if it cannot be divided."""
        return [self]

    def faults(self) -> list[str]:
        """Return what is wrong with inputs and parameters."""
        found = [f"no file is named {pattern}" for pattern in self.asked if not expanded([pattern])]
        found += [f"there is no file {path}" for path in self.files if not path.is_file()]
        if not self.asked:
            found.append("no input files")
        known = {item.key: item for item in self.declared}
        for key, value in self.values.items():
            if key in known and (fault := known[key].fault(value)):
                found.append(fault)
            elif key not in known and key.startswith("-"):
                error = unknown("flag", key, [name for name in known if name.startswith("-")])
                found.append(f"{error.message} ({error.hint})")
        return found

    # Parameters

    def set_parameter(self, key: str, value: Any) -> Self:
        """Set a run-card key or a flag (`-savecerevt`).

        Whether it fits is told by `check`. Keys that are not declared pass, for MARS knows more than is public.
        """
        self.values[key] = value
        return self

    def set_parameters(self, values: Mapping[str, Any]) -> Self:
        """Set several run-card keys or flags."""
        for key, value in values.items():
            self.set_parameter(key, value)
        return self

    @property
    def parameters(self) -> pd.DataFrame:
        """A row per parameter: `key`, `value`, `default`, `unit`, `help`, `source`; unknown ones are said to be so."""
        import pandas as pd

        rows = [
            (item.key, self.values.get(item.key, item.default), item.default, item.unit, item.help, item.source)
            for item in self.declared
        ]
        rows += [(key, self.values[key], None, "", "not declared: passed on", "") for key in self._undeclared()]
        return pd.DataFrame(rows, columns=["key", "value", "default", "unit", "help", "source"])

    def _undeclared(self) -> list[str]:
        known = {item.key for item in self.declared}
        return [key for key in self.values if key not in known and not key.startswith("-")]

    def notices(self) -> list[str]:
        """Return what is odd but no fault: run-card keys that are not known, with the nearest that are."""
        odd = [self.likely(key) for key in self._undeclared()]
        return [f"{self.name}: {error.message} is passed on ({error.hint})" for error in odd]

    def likely(self, key: str) -> UnknownNameError:
        """Return what there is to say about a run-card key that is not known: the nearest that are."""
        return unknown("run-card key", key, [item.key for item in self.declared if not item.flag])

    def inputs(self) -> list[Path]:
        """Return every file that the program reads, run card excepted."""
        return list(self.files)

    def check(self) -> None:
        """Check everything before anything runs.

        Raises
        ------
        InputError
            With every fault in one message.
        """
        found = self.faults()
        if found:
            raise InputError(f"{self.name} cannot run: " + "; ".join(found))
        for notice in self.notices():
            logger.warning(notice)

    # Run card and command line

    def card_values(self) -> dict[str, Any]:
        """Return the run-card keys that were set."""
        return {key: value for key, value in self.values.items() if not key.startswith("-")}

    @property
    def runcard(self) -> Runcard:
        """The run card of what was set. An installed MARS puts its stock card below: see `Installation.card_for`."""
        return Runcard(name=str(self.card_path)).override(self.card_values())

    def common_arguments(self) -> list[str]:
        """Return flags that all programs share."""
        return [f"--out={self.out}", "-b", "-q", "-f"]

    def flag_arguments(self) -> list[str]:
        """Return the flags that were set."""
        given = {key: value for key, value in self.values.items() if key.startswith("-") and value is not False}
        return [key if value is True else f"{key}={value}" for key, value in given.items()]

    def words(self, card: Runcard) -> list[str]:
        """Return the words after the program's name when it is run with a card."""
        path = self.card_path.absolute() if self.here else self.card_path
        return [*self.arguments(), *([f"--config={path}"] if card.lines else [])]

    @property
    def cmdline(self) -> str:
        """The command line."""
        return shlex.join([self.name, *self.words(self.runcard)])

    # Files of its own

    @property
    def label(self) -> str:
        """What log and run card are called: like the product if there is only one, else like the program."""
        outputs = self.outputs
        return outputs[0].stem if len(outputs) == 1 else self.name

    @property
    def card_path(self) -> Path:
        """Where the run card is written before the program starts."""
        return self.out / LOGS / f"{self.label}.rc"

    @property
    def log_path(self) -> Path:
        """Where the log is written, unless another place is given."""
        return self.out / LOGS / f"{self.label}.log"

    def prepare(self, card: Runcard) -> None:
        """Make the output folder and write the run card, whole or not at all."""
        self.out.mkdir(parents=True, exist_ok=True)
        if card.lines:
            with pending(self.card_path) as temporary:
                card.write(temporary)


def listed(files: PathLike | Iterable[PathLike]) -> list[PathLike]:
    """Return one name or pattern, or several, as a list."""
    return [files] if isinstance(files, str | Path) else list(files)


def expanded(files: PathLike | Iterable[PathLike]) -> list[Path]:
    """Return files by name, wildcards expanded, in order; a name without wildcard stays, whether or not it exists."""
    found: list[Path] = []
    for pattern in listed(files):
        text = str(pattern)
        wild = glob.has_magic(text) and not Path(text).exists()
        found += [Path(match) for match in sorted(glob.glob(text))] if wild else [Path(text)]  # noqa: PTH207
    return list(dict.fromkeys(found))


def each(flag: str, files: Iterable[Path]) -> list[str]:
    """Return a flag for each file; signs in its name that would be wildcards are protected."""
    return [f"{flag}={glob.escape(str(path))}" for path in files]
