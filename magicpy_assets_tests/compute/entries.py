"""Programs that are called by name in this process."""

from __future__ import annotations

import sys

from magicpy_assets.core.errors import InputError


def say(words: list[str]) -> int:
    print("said", *words)
    return int(words[0])


def leave(words: list[str]) -> None:
    sys.exit(int(words[0]) if words[0].isdigit() else words[0])


def interrupt(words: list[str]) -> None:
    raise KeyboardInterrupt


def complain() -> None:
    raise InputError("a.root has no tree", hint="make it anew", log_path="/logs/a.log", permanent=False)
