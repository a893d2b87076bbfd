"""Parameters of programs: flags of the command line and keys of the run card, with type, unit, default and meaning.

They stand in `tables/parameters.csv`, each with the public source that it is known from.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from magicpy_assets.core.csvtables import rows

_TYPES: dict[str, type] = {"float": float, "int": int, "str": str, "bool": bool}
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
        A flag of type bool is a switch. The default is what counts where nothing is set, as far as that is public;
        None where it is not, or there is none. Stock cards of an installed MARS come before it.
    source
        From where it is known.
    choices
        The words it can be; empty where any will do.
    required
        Whether a run card without it is refused.
    known_to
        `both`, or `mars` or `ours` where only an installed MARS or only the embedded engine knows it.
    """

    key: str
    type: type
    default: Any
    unit: str
    help: str
    source: str = "public MARS drivers"
    flag: bool = False
    choices: tuple[str, ...] = ()
    required: bool = False
    known_to: str = "both"

    def fault(self, value: object) -> str:
        """Return what is wrong with a value, or an empty text."""
        fits = isinstance(value, _KINDS.get(self.type, self.type))
        if not fits or (self.type is not bool and isinstance(value, bool)):
            return f"{self.key} = {value!r}: it should be {self.type.__name__}"
        if self.choices and value not in self.choices:
            return f"{self.key} = {value!r}: it can be {', '.join(self.choices)}"
        return ""


@cache
def parameters_of(program: str) -> tuple[Parameter, ...]:
    """Return the parameters that the table knows of a program."""
    return tuple(
        Parameter(
            key=row["key"],
            type=_TYPES[row["type"]],
            default=_default(row["default"], _TYPES[row["type"]]),
            unit=row["unit"],
            help=row["help"],
            source=row["source"],
            flag=row["key"].startswith("-"),
            choices=tuple(row["choices"].split()),
            required=row["required"] == "yes",
            known_to=row["known_to"],
        )
        for row in rows("parameters", "mars")
        if row["program"] == program
    )


def _default(text: str, kind: type) -> Any:
    if not text:
        return None
    return text == "yes" if kind is bool else kind(text)


def described(parameters: Iterable[Parameter]) -> str:
    """Return the parameters as lines of a docstring."""
    lines = []
    for item in parameters:
        default = "" if item.default is None else f", default {item.default}{f' {item.unit}' if item.unit else ''}"
        whose = {"mars": "; MARS alone", "ours": "; embedded engine alone"}.get(item.known_to, "")
        needed = "; required" if item.required else ""
        lines.append(
            f"    {item.key} : {item.type.__name__}{default}{needed}\n        {item.help} ({item.source}{whose})"
        )
    return "\n".join(lines)
