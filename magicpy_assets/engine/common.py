"""What the embedded programs share: flags, run card, log, and how each of them ends.

A program is a function from its flags to the text of its last line; `run` does the rest. Whatever is wrong with the
input ends it with one line that begins with `ERROR:` and a return code other than 0.
"""

from __future__ import annotations

import argparse
import glob
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn

from magicpy_assets.core.errors import InputError, MagicpyError, MissingInputError
from magicpy_assets.formats.runcard import Runcard
from magicpy_assets.version import __version__

OK, BAD_INPUT, WRONG_ARGUMENTS = 0, 1, 2


class UsageError(Exception):
    """The command line is wrong."""


class Flags(argparse.ArgumentParser):
    """Flags in MARS's manner: `--ind=x`, `-b`, `-mc`. Unknown ones are refused, with the nearest."""

    def __init__(self, program: str, meaning: str) -> None:
        super().__init__(prog=program, description=meaning, allow_abbrev=False, add_help=False)
        self.add_argument("-h", "--help", action="store_true", dest="help", help="print this and end")
        self.add_argument("--config", type=Path, metavar="CARD", help="run card")
        self.add_argument("--out", type=Path, default=Path(), metavar="DIR", help="folder of the output")
        self.add_argument("--log", type=Path, metavar="FILE", help="write the log there too")
        self.add_argument("-b", action="store_true", dest="batch", help="batch mode: needs no display (always so)")
        self.add_argument("-q", action="store_true", dest="quit", help="quit at the end (always so)")
        self.add_argument("-f", action="store_true", dest="force", help="overwrite output that is there")

    def with_input(self, name: str = "--ind", meaning: str = "files, wildcards allowed") -> Flags:
        """Add a flag for input files."""
        self.add_argument(name, required=False, action="append", metavar="FILES", help=meaning)
        return self

    def with_mc(self) -> Flags:
        """Add `-mc`."""
        self.add_argument("-mc", action="store_true", dest="mc", help="the input is Monte Carlo")
        return self

    def error(self, message: str) -> NoReturn:
        """Refuse a command line."""
        if message.startswith("unrecognized arguments: "):
            wrong = message.removeprefix("unrecognized arguments: ").split()[0].split("=")[0]
            known = [option for action in self._actions for option in action.option_strings]
            near = get_close_matches(wrong, known, n=1, cutoff=0.5)
            message = f"unknown flag {wrong}" + (f"; did you mean {near[0]}?" if near else "")
        raise UsageError(message)


class Log:
    """The log of a program: to standard output, and to a file where asked for."""

    def __init__(self, program: str, path: Path | None) -> None:
        self.program = program
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("w", encoding="utf-8") if path is not None else None

    def __call__(self, text: str) -> None:
        """Write a line."""
        sys.stdout.write(f"{text}\n")
        if self._file is not None:
            self._file.write(f"{text}\n")
            self._file.flush()

    def close(self) -> None:
        """Finish the log."""
        if self._file is not None:
            self._file.close()


def version_card(program: str) -> dict[str, str]:
    """Return what a file's provenance says of the program that made it: it is handed on to all that is made from it."""
    return {f"{program} version": __version__}


def run(program: str, flags: Flags, argv: Sequence[str], body: Callable[[Any, Runcard, Log], str]) -> int:
    """Run a program: `body` takes flags, run card and log and returns its last line, less the program's name."""
    try:
        given = flags.parse_args(list(argv))
    except UsageError as error:
        sys.stdout.write(f"ERROR: {program}: {error}\n")
        return WRONG_ARGUMENTS
    if given.help:
        sys.stdout.write(flags.format_help())
        return OK
    try:
        log = Log(program, given.log)
    except OSError as error:
        sys.stdout.write(f"ERROR: {program}: the log cannot be written: {error}\n")
        return WRONG_ARGUMENTS
    try:
        return _run(program, given, body, log)
    finally:
        log.close()


def _run(program: str, given: Any, body: Callable[[Any, Runcard, Log], str], log: Log) -> int:
    started = time.monotonic()
    log(f"{program} of the embedded engine, magicpy_assets {__version__} (an open implementation, not MARS)")
    try:
        card = Runcard.read(given.config) if given.config else Runcard()
        last = body(given, card, log)
    except MagicpyError as error:
        hint = f" ({error.hint})" if error.hint else ""
        log(f"ERROR: {program}: {' / '.join(error.message.splitlines())}{hint}")
        return BAD_INPUT
    except OSError as error:
        log(f"ERROR: {program}: {error}")
        return BAD_INPUT
    for key in card.untouched():
        near = get_close_matches(key, sorted(card.asked), n=1, cutoff=0.8)
        meant = f"; did you mean {near[0]}?" if near else ""
        log(f"untouched: {key} of {card.name} was not read by {program}{meant}")
    log(f"{program} finished: {last} in {time.monotonic() - started:.1f} s")
    return OK


def files_of(patterns: Iterable[str] | None, flag: str) -> list[Path]:
    """Return the files that patterns name, sorted, each once.

    Raises
    ------
    InputError
        If the flag was not given.
    MissingInputError
        If a pattern names no file.
    """
    if not patterns:
        raise InputError(f"{flag}= is missing: which files?")
    found: set[Path] = set()
    for pattern in patterns:
        matched = glob.glob(pattern)  # noqa: PTH207 - patterns are absolute as often as not
        if not matched:
            raise MissingInputError(f"no file is named {pattern}")
        found.update(Path(match) for match in matched)
    return sorted(found)


def output_path(folder: Path, name: str, force: bool) -> Path:
    """Return the path of an output file, whose folder is made.

    Raises
    ------
    InputError
        If it is there already and may not be overwritten.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    if path.exists() and not force:
        raise InputError(f"{path} is there already", hint="-f overwrites it")
    return path
