"""Parameters of programs: flags of the command line and keys of the run card, with type, unit, default and meaning."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from numbers import Integral, Real
from pathlib import Path
from typing import Any

_KINDS: dict[type, tuple[type, ...]] = {float: (Real,), int: (Integral,), str: (str, Path)}
"""What may be given where a type is declared."""


@dataclass(frozen=True)
class Parameter:
    """A parameter of a program: a flag of the command line, or a key of the run card.

    Attributes
    ----------
    key
        As it is written: `-savecerevt`, `MJStar.MImgCleanStd.CleanLevel1`.
    type, unit, default, help
        A flag of type bool is a switch. The default is that of the embedded engine.
    source
        From where it is known.
    choices
        The words it can be; empty where any will do.
    """

    key: str
    type: type
    default: Any
    unit: str
    help: str
    source: str = "public MARS drivers"
    flag: bool = False
    choices: tuple[str, ...] = ()

    def fault(self, value: object) -> str:
        """Return what is wrong with a value, or an empty text."""
        fits = isinstance(value, _KINDS.get(self.type, self.type))
        if not fits or (self.type is not bool and isinstance(value, bool)):
            return f"{self.key} = {value!r}: it should be {self.type.__name__}"
        if self.choices and value not in self.choices:
            return f"{self.key} = {value!r}: it can be {', '.join(self.choices)}"
        return ""


def described(parameters: Iterable[Parameter]) -> str:
    """Return the parameters as lines of a docstring."""
    lines = []
    for item in parameters:
        default = "" if item.default is None else f", default {item.default}{f' {item.unit}' if item.unit else ''}"
        lines.append(f"    {item.key} : {item.type.__name__}{default}\n        {item.help} ({item.source})")
    return "\n".join(lines)
