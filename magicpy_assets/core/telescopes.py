"""Which telescopes an analysis uses: both together, or one alone. What belongs to one alone has places of its own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from magicpy_assets.core.errors import InputError

ALLOWED = "(1, 2) for both together, (1,) for M1 alone, (2,) for M2 alone"


@dataclass(frozen=True)
class Telescopes:
    """The telescopes of an analysis, by number; see `STEREO`, `M1`, `M2`."""

    numbers: tuple[int, ...]

    @property
    def alone(self) -> int | None:
        """The only telescope of a mono analysis; None if there are two."""
        return self.numbers[0] if len(self.numbers) == 1 else None

    @property
    def is_mono(self) -> bool:
        """Whether there is one telescope only."""
        return self.alone is not None

    @property
    def key(self) -> str:
        """In folders and on the command line: `stereo`, `M1` or `M2`."""
        return "stereo" if self.alone is None else f"M{self.alone}"

    @property
    def suffix(self) -> str:
        """What is added to names of things that stereo analyses have as well: `-M1`; nothing for stereo."""
        return "" if self.alone is None else f"-{self.key}"

    @property
    def text(self) -> str:
        """For people, in captions: `stereo` or `mono, M1`."""
        return "stereo" if self.alone is None else f"mono, {self.key}"

    def __str__(self) -> str:
        return self.text


Wanted = Telescopes | int | str | Iterable[int | str]
"""Ways to say which telescopes: (1, 2), 1, "1,2"."""
STEREO, M1, M2 = Telescopes((1, 2)), Telescopes((1,)), Telescopes((2,))
ALL: tuple[Telescopes, ...] = (STEREO, M1, M2)


def of(wanted: Wanted) -> Telescopes:
    """Return the telescopes that are meant: `(1,)`, `1`, `"1"`, `"1,2"`, in any order.

    Raises
    ------
    InputError
        For anything else, naming what is allowed.
    """
    if isinstance(wanted, Telescopes):
        return wanted
    words: list[int | str]
    if isinstance(wanted, int):
        words = [wanted]
    elif isinstance(wanted, str):
        words = list(wanted.split(","))
    else:
        words = list(wanted)
    texts = sorted(str(word).strip() for word in words)
    for one in ALL:
        if texts == [str(number) for number in one.numbers]:
            return one
    raise InputError(f"{wanted!r} are no telescopes of MAGIC", hint=f"allowed are {ALLOWED}")


def alone(telescope: int | None) -> Telescopes:
    """Return the telescopes of a file that belongs to one telescope, or, for None, to both."""
    return STEREO if telescope is None else of(telescope)
