"""The few kinds of error. Each is a `MagicpyError` and the builtin a Python programmer would expect.

A message says what was wrong, with which file, run or key, and what to do next.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import SequenceMatcher
from pathlib import Path

NEAR_RATIO = 0.5
NEAR_MARGIN = 0.1
"""How like a name must be to be named, in the measure of `difflib.SequenceMatcher`, and to the best."""


class MagicpyError(Exception):
    """Base of all errors that users meet.

    Parameters
    ----------
    message
        What was wrong, with which file, run or key; expected against found.
    hint
        What to do next.
    log_path
        The log that tells more.
    permanent
        False where trying again later can help (a busy server, a killed worker).
    """

    def __init__(
        self, message: str, *, hint: str | None = None, log_path: Path | str | None = None, permanent: bool = True
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.log_path = Path(log_path) if log_path is not None else None
        self.permanent = permanent

    def __str__(self) -> str:
        lines = [self.message]
        if self.hint:
            lines.append(f"hint: {self.hint}")
        if self.log_path:
            lines.append(f"log: {self.log_path}")
        return "\n".join(lines)

    def __reduce__(self) -> tuple[object, ...]:
        state = {"hint": self.hint, "log_path": self.log_path, "permanent": self.permanent}
        return (type(self), (self.message,), state)


class ConfigError(MagicpyError, ValueError):
    """A setting is unknown or does not fit."""


class UnknownNameError(MagicpyError, LookupError):
    """A name is not in its list."""


class OutOfRangeError(MagicpyError, ValueError):
    """A date, an angle or a level lies outside its table."""


class InputError(MagicpyError, ValueError):
    """A file or value cannot be used."""


class MissingInputError(MagicpyError, FileNotFoundError):
    """A file that is needed is not there."""


class ArchiveError(MagicpyError, OSError):
    """The data server could not give what was asked for."""


class AccessDeniedError(ArchiveError, PermissionError):
    """The data server does not let us in."""


class ProgramError(MagicpyError, RuntimeError):
    """An analysis program failed."""


def unknown(kind: str, name: object, valid: Iterable[str]) -> UnknownNameError:
    """Return the error for a name that is not in its list, with the nearest valid names."""
    names = [str(item) for item in valid]
    near = nearest_names(str(name), names)
    if near:
        hint = f"did you mean {' or '.join(near)}?"
    else:
        shown = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
        hint = f"known: {shown}" if names else "none is known"
    return UnknownNameError(f"unknown {kind} {str(name)!r}", hint=hint)


def nearest_names(name: str, names: Iterable[str]) -> list[str]:
    """Return up to three names like the given one, best first; none that is clearly less like it than the best."""
    likeness = {other: SequenceMatcher(None, name.lower(), other.lower()).ratio() for other in names}
    best = max(likeness.values(), default=0.0)
    near = [other for other, ratio in likeness.items() if ratio >= max(NEAR_RATIO, best - NEAR_MARGIN)]
    return sorted(near, key=lambda other: -likeness[other])[:3]
