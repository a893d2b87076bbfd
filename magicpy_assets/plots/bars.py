"""Progress bars for terminals and notebooks; nothing where nobody looks."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from magicpy_assets.core.progress import handler


@contextmanager
def bars(*, quiet: bool = False) -> Iterator[None]:
    """Show what is announced inside the block as progress bars on standard error, if that is a terminal."""
    if quiet or not (sys.stderr.isatty() or _in_notebook()):
        yield
        return
    from tqdm.auto import tqdm

    shown: list[tqdm] = []  # type: ignore[type-arg]

    def show(total: int, done: int, text: str) -> None:
        if not shown or shown[0].total != total or done < shown[0].n:
            if shown:
                shown.pop().close()
            shown.append(tqdm(total=total, leave=True))
        shown[0].set_description_str(text, refresh=False)
        shown[0].update(done - shown[0].n)

    try:
        with handler(show):
            yield
    finally:
        for bar in shown:
            bar.close()


def _in_notebook() -> bool:
    return "ipykernel" in sys.modules
