"""Run cards: ROOT's TEnv text. Comments, order and repeated keys are kept; of repeated keys the first counts.

Overrides are written before everything else, which is how MARS users change a stock card.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from magicpy_assets.core.errors import InputError, MissingInputError

_YES = frozenset({"yes", "true", "on", "1", "y"})
_NO = frozenset({"no", "false", "off", "0", "n"})


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
        for number, raw in enumerate(text.splitlines(), start=1):
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
        return cls.parse(path.read_text(encoding="utf-8", errors="replace"), str(path))

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
            raise InputError(f"{self.name}: {key} is {text!r}, not a number") from error
        if not math.isfinite(value):
            raise InputError(f"{self.name}: {key} is {text!r}, not a finite number")
        if (low is not None and value < low) or (high is not None and value > high):
            raise InputError(f"{self.name}: {key} is {value:g}; it must lie between {low} and {high}")
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
        raise InputError(f"{self.name}: {key} is {text!r}, neither yes nor no")

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
            raise InputError(f"{self.name}: {key} is {text!r}; it can be {', '.join(words)}")
        return text

    def override(self, values: Mapping[str, object]) -> Runcard:
        """Return a card in which some values come before everything else."""
        if not values:
            return self
        added = [_line("# set for this run")] + [_line(f"{key}: {_written(value)}") for key, value in values.items()]
        return Runcard([line for line in added if line] + self.lines, self.name)

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


def _line(raw: str) -> Line | None:
    text = raw.rstrip()
    stripped = text.strip()
    if not stripped or stripped.startswith("#"):
        return Line(text)
    key, colon, value = stripped.partition(":")
    if not colon or not key.strip() or " " in key.strip():
        return None
    return Line(text, key.strip(), value.split(" #")[0].strip())


def _written(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        short = f"{value:g}"
        return short if float(short) == value else repr(float(value))
    return str(value)
