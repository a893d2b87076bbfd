"""Figures on the page: small pictures inside the event, links to the full ones. None is drawn twice."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LARGEST_BYTES = 50_000
"""Of a picture as text in an event, which is a row of a database."""
RESOLUTIONS_DPI = (80, 60, 45, 30, 20, 12)
COLOURS = 128
"""As many are enough for lines, text and maps, and a picture takes less space."""
MOST_SAVED = 6
"""A picture that is so many times too large is too large with few colours, too."""
FULL_DPI = 130


def inline(figure: Figure) -> dg.MetadataValue:
    """Return a figure as a small picture in markdown, as sharp as the limit for events lets it be."""
    return _picture(small(figure))


def small(figure: Figure) -> bytes:
    """Return a figure as PNG, small enough for an event; nothing if it cannot be made so."""
    for dpi in RESOLUTIONS_DPI:
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=dpi)
        if len(buffer.getvalue()) > MOST_SAVED * LARGEST_BYTES:
            continue
        picture = _of_few_colours(buffer)
        if len(_markdown(picture)) < LARGEST_BYTES:
            return picture
    return b""


def _of_few_colours(png: io.BytesIO) -> bytes:
    from PIL import Image

    reduced = io.BytesIO()
    with Image.open(png) as picture:
        picture.convert("RGB").quantize(COLOURS).save(reduced, format="png")
    return reduced.getvalue()


def show(draw: Callable[[], Figure], made_from: Path, name: str) -> dict[str, Any]:
    """Return a figure as metadata: the small picture, and a link to the full one, both kept beside what they show.

    Parameters
    ----------
    draw
        Draws the figure; called only if the pictures are not there or older than `made_from`.
    """
    full, reduced = (made_from.parent / f"{name}{ending}.png" for ending in ("", "_small"))
    if not all(path.is_file() and path.stat().st_mtime_ns >= made_from.stat().st_mtime_ns for path in (full, reduced)):
        figure = draw()
        figure.savefig(full, dpi=FULL_DPI)
        reduced.write_bytes(small(figure))
    return {name: _picture(reduced.read_bytes()), f"{name}_file": dg.MetadataValue.url(full.absolute().as_uri())}


def _picture(png: bytes) -> dg.MetadataValue:
    return dg.MetadataValue.md(_markdown(png) if png else "too large to be shown here: open the file")


def _markdown(png: bytes) -> str:
    return f"![figure](data:image/png;base64,{base64.b64encode(png).decode()})"
