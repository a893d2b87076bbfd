"""Progress of long work: the library announces, a front shows. Without a front nothing happens."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

T = TypeVar("T")
Handler = Callable[[int, int, str], None]

_handler: ContextVar[Handler | None] = ContextVar("progress_handler", default=None)


def announce(total: int, done: int, text: str) -> None:
    """Tell whoever listens that `done` of `total` pieces of the work called `text` are finished."""
    listening = _handler.get()
    if listening is not None:
        listening(total, done, text)


@contextmanager
def handler(callback: Handler) -> Iterator[None]:
    """Let a function hear every announcement inside the block."""
    token = _handler.set(callback)
    try:
        yield
    finally:
        _handler.reset(token)


def track(items: Iterable[T], text: str, total: int | None = None) -> Iterator[T]:
    """Go through items and announce each; `total` where the items have no length."""
    size = total if total is not None else len(items) if isinstance(items, Sized) else 0
    announce(size, 0, text)
    for done, item in enumerate(items, start=1):
        yield item
        announce(size, done, text)
