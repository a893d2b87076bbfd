"""The figures of `docs/peek.md`: a source, one of its runs, an event of it, from a store that has been made.

python examples/peek.py SOURCE RUN [--event gamma] [--period ST0316] [--out docs/figures]
"""

from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from magicpy_assets.analysis.source import Source
from magicpy_assets.core import periods

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = 256
"""So few colours make the files of a page small; taken evenly, so that rare ones stay what they are."""


def save(figure: Figure, path: Path, dpi: int) -> None:
    """Write a figure as a small PNG file."""
    from PIL import Image

    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=dpi)
    Image.open(drawn).convert("RGB").quantize(COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(
        path, optimize=True
    )
    sys.stdout.write(f"{path}: {path.stat().st_size / 1e3:.0f} kB\n")


def main() -> None:
    """Draw the three figures."""
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("source")
    given.add_argument("run", type=int)
    given.add_argument("--event", default="gamma")
    given.add_argument("--period", default="ST0316")
    given.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "docs" / "figures")
    chosen = given.parse_args()
    with Source(chosen.source, periods.by_name(chosen.period), quiet=True) as source:
        save(source.peek(), chosen.out / "peek_source.png", 75)
        save(source.peek(run=chosen.run), chosen.out / "peek_run.png", 75)
        save(source.peek(run=chosen.run, event=chosen.event), chosen.out / "peek_event.png", 72)


if __name__ == "__main__":
    main()
