"""A MARS program as a declaration: its parameters, its inputs, what it makes, and when it has succeeded.

Nothing runs while a program is described: `cmdline`, `runcard` and `outputs` are properties. What a program needs is
checked as a whole before it starts, and every fault is named.
"""

from __future__ import annotations

import glob
import shlex
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from magicpy_assets.compute.base import Command, Outcome, execute
from magicpy_assets.core.errors import InputError, MagicpyError, ProgramError, unknown
from magicpy_assets.formats.root import has_tree, open_root
from magicpy_assets.formats.runcard import Runcard

if TYPE_CHECKING:
    import pandas as pd

    from magicpy_assets.mars.installation import Installation

LAST_LINES = 20
ENGINE = "magicpy_assets.engine"
"""Reached by name only, never imported here."""
PathLike = str | Path


@dataclass(frozen=True)
class Parameter:
    """A parameter of a program: a flag of the command line, or a key of the run card."""

    key: str
    type: type
    default: Any
    unit: str
    help: str
    source: str = "public MARS drivers"
    flag: bool = False


class Program:
    """Base of the programs: a declaration with values.

    Subclasses declare `name`, `results_version`, `declared`, `tree`, and say what inputs they take and make.

    Parameters
    ----------
    files
        Input files; wildcards are expanded.
    out
        Folder of the outputs.
    """

    name: ClassVar[str] = ""
    results_version: ClassVar[int] = 1
    declared: ClassVar[tuple[Parameter, ...]] = ()
    tree: ClassVar[str | None] = "Events"
    """Tree that every output must hold; None where outputs are no ROOT files."""
    always_embedded: ClassVar[bool] = False
    """Whether MARS has no such program."""

    def __init__(self, files: PathLike | Iterable[PathLike], out: PathLike = ".") -> None:
        self.files = expanded(files)
        self.out = Path(out)
        self.values: dict[str, Any] = {}
        self.outcome: Outcome | None = None
        self.accepted = False

    # Parameters

    def set_parameter(self, key: str, value: Any) -> Self:
        """Set a run-card key or a flag. Keys that are not declared pass, for MARS knows more than is public.

        Raises
        ------
        UnknownNameError
            For a flag that the program does not have.
        """
        if key.startswith("-") and key not in {item.key for item in self.declared if item.flag}:
            raise unknown(f"flag of {self.name}", key, [item.key for item in self.declared if item.flag])
        self.values[key] = value
        return self

    @property
    def parameters(self) -> pd.DataFrame:
        """A row per parameter: `key`, `value`, `default`, `unit`, `help`, `source`; unknown ones are said to be so."""
        import pandas as pd

        rows = [
            (item.key, self.values.get(item.key, item.default), item.default, item.unit, item.help, item.source)
            for item in self.declared
        ]
        known = {item.key for item in self.declared}
        rows += [
            (key, value, None, "", "not declared: passed on", "")
            for key, value in self.values.items()
            if key not in known
        ]
        return pd.DataFrame(rows, columns=["key", "value", "default", "unit", "help", "source"])

    def card_values(self) -> dict[str, Any]:
        """Return the run-card keys that differ from the stock card."""
        flags = {item.key for item in self.declared if item.flag}
        return {key: value for key, value in self.values.items() if key not in flags}

    @property
    def runcard(self) -> Runcard:
        """The run card: what was set, before the stock card if one is known."""
        return Runcard(name=str(self.card_path)).override(self.card_values())

    @property
    def card_path(self) -> Path:
        """Where the run card is written before the program starts."""
        return self.out / f"{self.name}.rc"

    # What a subclass says

    @property
    def outputs(self) -> list[Path]:
        """The files that it will make."""
        raise NotImplementedError

    def arguments(self) -> list[str]:
        """Return the words of the command line after the program's name."""
        raise NotImplementedError

    def faults(self) -> list[str]:
        """Return what is wrong with inputs and parameters."""
        found = [f"there is no file {path}" for path in self.files if not path.is_file()]
        if not self.files:
            found.append("no input files")
        for item in self.declared:
            value = self.values.get(item.key)
            if value is not None and not _fits(value, item.type):
                found.append(f"{item.key} = {value!r}: it should be {item.type.__name__}")
        return found

    # What every program does

    def common_arguments(self) -> list[str]:
        """Return flags that all programs share."""
        words = [f"--out={self.out}", "-b", "-q", "-f"]
        return [f"--config={self.card_path}", *words] if self.card_values() else words

    def flag_arguments(self) -> list[str]:
        """Return the flags that were set."""
        words = []
        for item in self.declared:
            if item.flag and item.key in self.values and self.values[item.key] is not False:
                value = self.values[item.key]
                words.append(item.key if value is True else f"{item.key}={value}")
        return words

    @property
    def cmdline(self) -> str:
        """The command line."""
        return shlex.join([self.name, *self.arguments()])

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

    def prepare(self) -> None:
        """Make the output folder and write the run card."""
        self.out.mkdir(parents=True, exist_ok=True)
        if self.card_values():
            self.card_path.write_text(str(self.runcard), encoding="utf-8")

    def accept(self, outcome: Outcome) -> None:
        """Decide whether a run succeeded: return code, outputs there and readable, last words of the log.

        Raises
        ------
        ProgramError
            With the last lines of the log and a hint for known causes.
        """
        text = outcome.log.read_text(encoding="utf-8", errors="replace") if outcome.log.exists() else ""
        said = next((line for line in text.splitlines() if "ERROR:" in line), "")
        fault = f"return code {outcome.returncode}" if outcome.returncode else ""
        fault = fault or next((why for path in self.outputs if (why := self._output_fault(path))), "")
        if not fault and f"{self.name} finished" not in text:
            fault = "the log does not end with its last words"
        if not fault:
            return
        tail = "\n".join(text.splitlines()[-LAST_LINES:])
        what = said.split("ERROR:", 1)[1].strip() if said else f"{self.name} failed ({fault})"
        raise ProgramError(
            f"{what}\n{fault}\n{tail}", hint=_hint(outcome, text), log_path=outcome.log, permanent=bool(said)
        )

    def _output_fault(self, path: Path) -> str:
        if not path.is_file():
            return f"{path.name} was not made"
        if path.stat().st_size == 0:
            return f"{path.name} is empty"
        if self.tree is None or path.suffix != ".root":
            return ""
        try:
            with open_root(path) as file:
                return "" if has_tree(file, self.tree) else f"{path.name} has no tree {self.tree}"
        except MagicpyError as error:
            return error.message

    def embedded_command(self, log: Path) -> Command:
        """Return the command that runs this program of the embedded engine; output folder and run card are made."""
        self.prepare()
        words = (self.name, *self.arguments())
        return Command((sys.executable, "-m", ENGINE, *words), log, entry=f"{ENGINE}.__main__:main", arguments=words)

    def run(self, installation: Installation | None = None, *, log: PathLike | None = None) -> Self:
        """Run the program here and now, by default that of the embedded engine.

        Raises
        ------
        InputError
            If something is wrong before it starts.
        ProgramError
            If it fails.
        """
        self.check()
        place = Path(log) if log else self.out / ".logs" / f"{self.name}.log"
        command = installation.command_for(self, log=place) if installation else self.embedded_command(place)
        before = {path: _stamp(path) for path in self.outputs}
        self.accepted, self.outcome = False, execute(command)
        self.accept(self.outcome)
        kept = [path.name for path, stamp in before.items() if stamp and stamp == _stamp(path)]
        if kept:
            raise ProgramError(f"{self.name} has not made {kept[0]}: it is of an earlier run", log_path=place)
        self.accepted = True
        return self

    @property
    def log(self) -> str:
        """The log of the last run."""
        return self.outcome.log.read_text(encoding="utf-8") if self.outcome else ""

    def report(self) -> dict[str, Any]:
        """Return what became of the last run."""
        if self.outcome is None:
            return {"program": self.name, "state": "not run"}
        return {
            "program": self.name,
            "state": "done" if self.accepted else "failed",
            "returncode": self.outcome.returncode,
            "seconds": round(self.outcome.duration_s, 2),
            "outputs": [str(path) for path in self.outputs if path.exists()],
            "log": str(self.outcome.log),
        }

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self.files)} files, out={str(self.out)!r}): {self.report()['state']}"

    def _repr_html_(self) -> str:
        return f"<code>{self.cmdline}</code>{self.parameters.to_html(index=False)}"


def expanded(files: PathLike | Iterable[PathLike]) -> list[Path]:
    """Return files by name, wildcards expanded, in order; a name without wildcard stays, whether or not it exists."""
    patterns: Sequence[PathLike] = [files] if isinstance(files, str | Path) else list(files)
    found: list[Path] = []
    for pattern in patterns:
        text = str(pattern)
        wild = any(sign in text for sign in "*?[")
        found += [Path(match) for match in sorted(glob.glob(text))] if wild else [Path(text)]  # noqa: PTH207
    return list(dict.fromkeys(found))


def _stamp(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from an older one of its name; None without a file."""
    return (path.stat().st_ino, path.stat().st_mtime_ns) if path.exists() else None


def _fits(value: Any, wanted: type) -> bool:
    if wanted is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, wanted)


def _hint(outcome: Outcome, text: str) -> str | None:
    if outcome.timed_out:
        return "it took longer than it may"
    if outcome.returncode in (-9, 137) or "MemoryError" in text:
        return "it was killed: most likely memory ran out; use fewer workers (compute.workers)"
    if "display" in text.lower() and "-b" not in text:
        return "MARS programs need -b where there is no display"
    if outcome.returncode == 127:
        return "the program was not found: is MARSSYS right?"
    return None


__all__ = ["Command", "Parameter", "Program", "expanded"]
