"""Figures on the page: small pictures inside the event, links to the full ones."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LARGEST_BYTES = 50_000


def inline(figure: Figure) -> dg.MetadataValue:
    """Return a figure as a small picture in markdown; smaller until it is under the limit that events can take."""
    for dpi in (80, 60, 45, 30):
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=dpi)
        if buffer.tell() < LARGEST_BYTES:
            break
    text = base64.b64encode(buffer.getvalue()).decode()
    return dg.MetadataValue.md(f"![figure](data:image/png;base64,{text})")


def show(figure: Figure, folder: Path, name: str) -> dict[str, Any]:
    """Keep a figure in a folder and return it as metadata: the small picture, and the path of the full one."""
    path = folder / f"{name}.png"
    figure.savefig(path, dpi=130)
    return {name: inline(figure), f"{name}_file": dg.MetadataValue.path(str(path))}
