"""Adding noise to images, to bring dark data and Monte Carlo to the sky brightness of other data (charges in phe)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

TRANSITION_PHE = 8.0
"""Charge around which a pixel counts as bright: its light, not the largest noise in the window, sets the charge."""
WIDTH_PHE = 1.5


def add_noise(charge_phe: NDArray[np.float32], bias_phe: float, rms_phe: float, rng: np.random.Generator) -> None:
    """Add noise to charges (n, 1039), in place.

    A pixel without light holds the largest noise in a sliding window, so more noise shifts and widens it; a pixel with
    much light only becomes wider. The bias therefore fades out around `TRANSITION_PHE`.
    """
    # The logistic function, written so that a bright pixel does not overflow.
    fading = 0.5 - 0.5 * np.tanh((charge_phe - TRANSITION_PHE) / (2 * WIDTH_PHE))
    charge_phe += np.float32(bias_phe) * fading
    charge_phe += np.float32(rms_phe) * rng.standard_normal(charge_phe.shape, dtype=np.float32)
