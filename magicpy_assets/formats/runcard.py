"""Run cards: ROOT's TEnv text. Comments, order and repeated keys are kept; of repeated keys the first counts.

Overrides are written before everything else, which is how MARS users change a stock card. `Include: a.rc b.rc` names
further cards, looked for beside the one that names them, whose keys count after its own.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from magicpy_assets.core.errors import InputError, MissingInputError

_YES = frozenset({"yes", "true", "on", "1", "y"})
_NO = frozenset({"no", "false", "off", "0", "n"})
_FOREIGN = "surrogateescape"
"""Bytes of other encodings, as in comments of old cards, are kept."""
INCLUDE = "Include"
_UNTOUCHED = (re.compile(r"- Resource (\S+) untouched"), re.compile(r"untouched: (\S+) of "))
"""How programs name keys that nobody has read: those of MARS (`MEnv::PrintUntouched`, public library), and ours."""


@dataclass(frozen=True)
class Line:
    """One line of a card: its text, and key and value where it has them."""

    text: str
    key: str = ""
    value: str = ""


@dataclass
class Runcard:
    """A run card: its lines, where it came from, and which keys have been read."""

    lines: list[Line] = field(default_factory=list)
    name: str = "run card"
    asked: set[str] = field(default_factory=set)

    @classmethod
    def parse(cls, text: str, name: str = "run card") -> Self:
        """Read the text of a card.

        Raises
        ------
        InputError
            For lines that are neither empty, nor a comment, nor `Key: value`; all of them at once.
        """
        lines, faults = [], []
        for number, raw in enumerate(text.removesuffix("\n").split("\n") if text else [], start=1):
            line = _line(raw)
            if line is None:
                faults.append(f"{name}:{number}: {raw.strip()!r} is not 'Key: value'")
            else:
                lines.append(line)
        if faults:
            raise InputError("\n".join(faults), hint="comments begin with #")
        return cls(lines, name)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a card from a file."""
        if not path.is_file():
            raise MissingInputError(f"there is no run card {path}")
        with path.open(encoding="utf-8", errors=_FOREIGN, newline="") as file:
            return cls.parse(file.read(), str(path))

    def write(self, path: Path) -> None:
        """Write the card to a file, byte by byte as it was read."""
        with path.open("w", encoding="utf-8", errors=_FOREIGN, newline="") as file:
            file.write(str(self))

    @property
    def values(self) -> dict[str, str]:
        """Key and value of every key, the first occurrence of each."""
        found: dict[str, str] = {}
        for line in self.lines:
            if line.key:
                found.setdefault(line.key, line.value)
        return found

    def get(self, key: str, default: str | None = None) -> str | None:
        """Return the value of a key, and remember that it was read."""
        self.asked.add(key)
        return self.values.get(key, default)

    def where(self, key: str) -> str:
        """Return card and line of the occurrence of a key that counts, or of the card if it is not there."""
        number = next((number for number, line in enumerate(self.lines, start=1) if line.key == key), None)
        return f"{self.name}:{number}" if number else self.name

    def number(self, key: str, default: float, low: float | None = None, high: float | None = None) -> float:
        """Return a number.

        Raises
        ------
        InputError
            If the value is no finite number, or outside its limits.
        """
        text = self.get(key)
        if text is None:
            return default
        try:
            value = float(text)
        except ValueError as error:
            raise InputError(f"{self.where(key)}: {key} is {text!r}, not a number") from error
        if not math.isfinite(value):
            raise InputError(f"{self.where(key)}: {key} is {text!r}, not a finite number")
        if (low is not None and value < low) or (high is not None and value > high):
            raise InputError(f"{self.where(key)}: {key} is {value:g}; it must lie between {low} and {high}")
        return value

    def flag(self, key: str, default: bool = False) -> bool:
        """Return a yes or no.

        Raises
        ------
        InputError
            If the value is neither.
        """
        text = self.get(key)
        if text is None:
            return default
        if text.lower() in _YES | _NO:
            return text.lower() in _YES
        raise InputError(f"{self.where(key)}: {key} is {text!r}, neither yes nor no")

    def choice(self, key: str, allowed: Iterable[str], default: str) -> str:
        """Return one of some words.

        Raises
        ------
        InputError
            If the value is another.
        """
        text = self.get(key, default) or default
        words = list(allowed)
        if text not in words:
            raise InputError(f"{self.where(key)}: {key} is {text!r}; it can be {', '.join(words)}")
        return text

    def with_includes(self, _open: tuple[Path, ...] = ()) -> Runcard:
        """Return a card that needs no other: the cards that it includes are written out after its own lines.

        Raises
        ------
        MissingInputError
            If one is not there.
        InputError
            If cards include each other in a circle.
        """
        here = Path(self.name)
        names = self.values.get(INCLUDE, "").split()
        if not names:
            return self
        if here in _open:
            raise InputError(f"run cards include each other in a circle: {' -> '.join(map(str, (*_open, here)))}")
        lines = [Line(f"# {line.text.strip()}") if line.key == INCLUDE else line for line in self.lines]
        for name in names:
            card = Runcard.read(here.parent / name).with_includes((*_open, here))
            lines += [Line(f"# from {name}"), *card.lines]
        return Runcard(lines, self.name)

    def override(self, values: Mapping[str, object]) -> Runcard:
        """Return a card in which some values come before everything else.

        Raises
        ------
        InputError
            For a key or value that would not be read back as it is, such as one of two lines.
        """
        if not values:
            return self
        text = "".join(f"{key}: {_written(value)}\n" for key, value in values.items())
        added = Runcard.parse(f"# set for this run\n{text}", "what is set")
        if {line.key: line.value for line in added.lines[1:]} != {k: _written(v).strip() for k, v in values.items()}:
            raise InputError(f"these are no lines of a run card: {dict(values)}")
        return Runcard(added.lines + self.lines, self.name)

    def changes(self, stock: Runcard) -> dict[str, tuple[str | None, str | None]]:
        """Return the keys whose value differs from a stock card's: value there, value here."""
        old, new = stock.values, self.values
        return {
            key: (old.get(key), new.get(key)) for key in sorted(old.keys() | new.keys()) if old.get(key) != new.get(key)
        }

    def untouched(self) -> list[str]:
        """Return the keys that nobody has read: most likely misspelt."""
        return [key for key in self.values if key not in self.asked]

    def __str__(self) -> str:
        return "\n".join(line.text for line in self.lines) + ("\n" if self.lines else "")


def untouched_in(log: str) -> list[str]:
    """Return the keys that a program says, in its log, it has not read."""
    found = [match[1] for line in log.splitlines() for pattern in _UNTOUCHED if (match := pattern.search(line))]
    return list(dict.fromkeys(found))


def _line(raw: str) -> Line | None:
    stripped = raw.strip()
    if not stripped or stripped.startswith("#"):
        return Line(raw)
    key, colon, value = stripped.partition(":")
    if not colon or len(key.split()) != 1:
        return None
    return Line(raw, key.strip(), value.split(" #")[0].strip())


def _written(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        short = f"{value:g}"
        return short if float(short) == value else repr(float(value))
    return str(value)
