"""Adding noise to images, to bring dark data and Monte Carlo to the sky brightness of other data (charges in phe)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from magicpy_assets.science.cleaning import CleaningCuts, clean

Floats = NDArray[np.float32]

DARK_PEDESTAL_PHE = 2.0, 1.0
TRANSITION_SIGMA = 5.5
"""A pixel this many RMS above the pedestal counts as bright: its light, not the largest noise, sets the charge."""
WIDTH_SIGMA = 0.4


def add_noise(
    charge_phe: Floats,
    bias_phe: float,
    rms_phe: float,
    rng: np.random.Generator,
    *,
    pedestal_phe: tuple[float, float] = DARK_PEDESTAL_PHE,
) -> None:
    """Add noise to charges (n, 1039), in place.

    A pixel without light holds the largest noise in a sliding window, so more noise shifts and widens it; a pixel with
    much light only becomes wider. The bias therefore fades out, but well above the pedestal that the charges have now
    (`pedestal_phe`, mean and RMS): were it to touch the tail of the pedestal, too few empty pixels would pass the
    cleaning.
    """
    mean, rms = pedestal_phe
    # The logistic function, written so that a bright pixel does not overflow.
    fading = 0.5 - 0.5 * np.tanh((charge_phe - (mean + TRANSITION_SIGMA * rms)) / (2 * WIDTH_SIGMA * rms))
    charge_phe += np.float32(bias_phe) * fading
    charge_phe += np.float32(rms_phe) * rng.standard_normal(charge_phe.shape, dtype=np.float32)


@dataclass(frozen=True)
class EmptyEvents:
    """What events without light look like, after whatever has been done to them.

    Attributes
    ----------
    pixels
        Good pixels of all events together.
    mean_phe, rms_phe
        Of their charges.
    above
        Shares of them above the first and the second cleaning level.
    kept
        Share of them that passes the cleaning as a whole.
    """

    pixels: int
    mean_phe: float
    rms_phe: float
    above: tuple[float, float]
    kept: float

    def error(self, share: float) -> float:
        """Return the statistical error of a share: that of counting, of at least one pixel."""
        return float(np.sqrt(max(share * self.pixels, 1.0)) / max(self.pixels, 1))

    def __str__(self) -> str:
        first, second = (f"{1e3 * share:.2f}" for share in self.above)
        kept = f"{1e3 * self.kept:.2f} +- {1e3 * self.error(self.kept):.2f}"
        return (
            f"{self.mean_phe:.2f} +- {self.rms_phe:.2f} phe; of 1000 empty pixels {first} above the first level, "
            f"{second} above the second, {kept} kept"
        )


def empty_events(charge_phe: Floats, time_slices: Floats, good: NDArray[np.bool_], cuts: CleaningCuts) -> EmptyEvents:
    """Measure pedestal events, charges and times (n, 1039), on the pixels that are `good` (1039)."""
    inside = charge_phe[:, good].astype(np.float64)
    if not inside.size:
        return EmptyEvents(0, float("nan"), float("nan"), (float("nan"), float("nan")), float("nan"))
    _, used = clean(np.where(good, charge_phe, np.float32(0.0)), time_slices, cuts)
    above = float((inside > cuts.level1_phe).mean()), float((inside > cuts.level2_phe).mean())
    return EmptyEvents(inside.size, float(inside.mean()), float(inside.std()), above, float(used.sum() / inside.size))
