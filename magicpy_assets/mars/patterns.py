"""Inputs as MARS wants them: one pattern for each flag or key, naming exactly the files that are meant."""

from __future__ import annotations

import glob
import re
import shutil
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path

from magicpy_assets.core.errors import InputError


def each_flag_once(words: Sequence[str], links: Path) -> list[str]:
    """Return a command line in which several files of one flag are named by one pattern: MARS takes no more.

    Words that are no flags, such as the files of foam, stay as they are.
    """
    given: dict[str, list[str]] = {}
    for word in words:
        flag, _, value = word.partition("=") if word.startswith("-") else (word, "", "")
        given.setdefault(flag, []).append(value)
    return [
        f"{flag}={one_pattern(values, links / flag.strip('-'))}" if values[0] else flag
        for flag, values in given.items()
    ]


def one_pattern(escaped: Sequence[str], links: Path) -> str:
    """Return a pattern that names exactly these files, whose names come with the signs of patterns escaped.

    Where there is none, the files are linked in a folder of their own.

    Raises
    ------
    InputError
        If files of the same name would have to be linked.
    """
    if len(escaped) == 1:
        return escaped[0]
    head = _common_head(escaped)
    tail = _common_head([name[len(head) :][::-1] for name in escaped])[::-1]
    pattern = f"{head}*{tail}"
    named = {glob.escape(path) for path in glob.glob(pattern)}  # noqa: PTH207
    if "/" not in "".join(name[len(head) : len(name) - len(tail)] for name in escaped) and named == set(escaped):
        return pattern
    paths = [Path(re.sub(r"\[([*?[])\]", r"\1", name)).absolute() for name in escaped]
    if len({path.name for path in paths}) < len(paths):
        raise InputError(
            f"MARS takes one pattern, and two of these {len(paths)} files have the same name: {paths[0]}, ...",
            hint="run them one after the other",
        )
    shutil.rmtree(links, ignore_errors=True)
    links.mkdir(parents=True)
    for path in paths:
        (links / path.name).symlink_to(path)
    return f"{glob.escape(str(links.absolute()))}/*{paths[0].suffix}"


def _common_head(names: Sequence[str]) -> str:
    return "".join(
        letters[0] for letters in takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False))
    )
