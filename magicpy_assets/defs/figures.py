"""Figures on the page: small pictures inside the event, links to the full ones. None is drawn twice."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from magicpy_assets.store.records import pending

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LARGEST_BYTES = 50_000
"""Of a picture as text in an event, which is a row of a database."""
FULL_DPI = 130
SMALL_DPI = (80, 70, 60, 45, 30, 20, 12)
COLOURS = 128
"""As many are enough for lines, text and maps, and a picture takes less space."""


def inline(figure: Figure) -> dg.MetadataValue:
    """Return a figure as a small picture in markdown, as sharp as the limit for events lets it be."""
    full = io.BytesIO()
    figure.savefig(full, format="png", dpi=FULL_DPI)
    return _picture(small(full.getvalue()))


def small(full: bytes) -> bytes:
    """Return a picture (PNG, `FULL_DPI`) small enough for an event; nothing if it cannot be made so."""
    from PIL import Image

    with Image.open(io.BytesIO(full)) as opened:
        picture = opened.convert("RGB")
    for dpi in SMALL_DPI:
        width, height = (max(1, pixels * dpi // FULL_DPI) for pixels in picture.size)
        reduced = io.BytesIO()
        picture.resize((width, height), Image.Resampling.LANCZOS).quantize(COLOURS).save(reduced, format="png")
        if len(_markdown(reduced.getvalue())) < LARGEST_BYTES:
            return reduced.getvalue()
    return b""


def show(draw: Callable[[], Figure], made_from: Path, name: str, full: Path | None = None) -> dict[str, Any]:
    """Return a figure as metadata: the small picture, and a link to the full one; both are kept.

    Parameters
    ----------
    draw
        Draws the figure; called only if the full picture is not there or older than `made_from`.
    made_from
        The result that it shows.
    name
        Of the metadata, and of the pictures.
    full
        The full picture, if it has its place elsewhere than beside the result, under another name.
    """
    full = full or made_from.with_name(f"{name}.png")
    reduced = full.with_name(f"{full.stem}_small.png")
    if not _follows(full, made_from):
        with pending(full) as temporary:
            draw().savefig(temporary, format="png", dpi=FULL_DPI)
    if not _follows(reduced, full):
        with pending(reduced) as temporary:
            temporary.write_bytes(small(full.read_bytes()))
    return {name: _picture(reduced.read_bytes()), f"{name}_file": dg.MetadataValue.url(full.absolute().as_uri())}


def _follows(path: Path, before: Path) -> bool:
    return path.is_file() and path.stat().st_mtime_ns >= before.stat().st_mtime_ns


def _picture(png: bytes) -> dg.MetadataValue:
    return dg.MetadataValue.md(_markdown(png) if png else "too large to be shown here: open the file")


def _markdown(png: bytes) -> str:
    return f"![figure](data:image/png;base64,{base64.b64encode(png).decode()})"
