"""Command lines as MARS wants them: one pattern for each flag, naming exactly the files that are meant."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from itertools import takewhile

from magicpy_assets.core.errors import InputError


def each_flag_once(words: Sequence[str]) -> list[str]:
    """Return a command line in which several files of one flag are named by one pattern: MARS takes no more.

    Words that are no flags, such as the files of foam, stay where they are, at the end.

    Raises
    ------
    InputError
        If no pattern names exactly these files.
    """
    given: dict[str, list[str]] = {}
    for word in words:
        flag, _, value = word.partition("=") if word.startswith("-") else (word, "", "")
        given.setdefault(flag, []).append(value)
    return [
        f"{flag}={values[0] if len(values) == 1 else _pattern_of(flag, values)}" if values[0] else flag
        for flag, values in given.items()
    ]


def _pattern_of(flag: str, escaped: Sequence[str]) -> str:
    head = _common_head(escaped)
    tail = _common_head([name[len(head) :][::-1] for name in escaped])[::-1]
    pattern = f"{head}*{tail}"
    named = {glob.escape(path) for path in glob.glob(pattern)}  # noqa: PTH207
    if "/" in "".join(name[len(head) : len(name) - len(tail)] for name in escaped) or named != set(escaped):
        raise InputError(
            f"MARS takes one pattern for {flag}, and none names exactly these {len(escaped)} files: {escaped[0]}, ...",
            hint="put them, and no others, into a folder of their own",
        )
    return pattern


def _common_head(names: Sequence[str]) -> str:
    return "".join(
        letters[0] for letters in takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False))
    )
