"""What all figures share: colours, units in words, a number with its error, the box around numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

ON_COLOUR, OFF_COLOUR, FIT_COLOUR, REFERENCE_COLOUR = "#1f4e79", "#9aa5b1", "#c0392b", "#555555"
FLUX_WORDS = r"cm$^{-2}$ s$^{-1}$"


def with_error(value: float, error: float) -> str:
    """A number with its error and one power of ten."""
    power = int(np.floor(np.log10(abs(value)))) if value else 0
    return rf"({value / 10.0**power:.2f} ± {error / 10.0**power:.2f}) × 10$^{{{power}}}$"


def box() -> dict[str, Any]:
    """Return the style of the box around numbers in a figure."""
    return {"boxstyle": "round,pad=0.4", "facecolor": "white", "edgecolor": "#cccccc", "alpha": 0.9}
