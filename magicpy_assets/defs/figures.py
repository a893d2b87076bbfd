"""Figures on the page: small pictures inside the event, links to the full ones."""

import base64
import io

import dagster as dg
from matplotlib.figure import Figure  # noqa: TID253 - only this room draws for the page, and it is loaded late

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
