"""One event in one camera: charges and times of its pixels, which of them were kept, and the ellipse they give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from magicpy_assets.science.bad_pixels import interpolate_bad
from magicpy_assets.science.cleaning import CleaningCuts, clean
from magicpy_assets.science.hillas import PARAMETERS, parametrise

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
SLICE_NS = 1.0 / 1.639
"""Length of a readout slice (ns): the sampling is 1.639 GHz."""


@dataclass(frozen=True, eq=False)
class EventImage:
    """The image of one event in one telescope; arrays are over pixels, (1039,).

    Attributes
    ----------
    telescope
        1 or 2.
    charge_phe, time_slices
        Charges (phe) and arrival times (readout slices), bad pixels filled from their neighbours.
    core, used
        Which pixels the cleaning calls core, and which it keeps.
    bad
        Pixels that were filled.
    cuts
        The cleaning.
    parameters
        Image parameters by the names of `science.hillas.PARAMETERS`; empty if too little was left for an ellipse.
    """

    telescope: int
    charge_phe: Floats
    time_slices: Floats
    core: Mask
    used: Mask
    bad: Mask
    cuts: CleaningCuts
    parameters: Mapping[str, float]

    @property
    def size_phe(self) -> float:
        """Charge of the pixels kept (phe); 0 without an ellipse."""
        return self.parameters.get("size_phe", 0.0)

    @property
    def time_ns(self) -> NDArray[np.float64]:
        """Arrival times (ns) after the mean of the pixels kept."""
        time = self.time_slices.astype(np.float64) * SLICE_NS
        return time - (time[self.used].mean() if self.used.any() else 0.0)


def image_of(telescope: int, charge_phe: Floats, time_slices: Floats, bad: Mask, cuts: CleaningCuts) -> EventImage:
    """Fill the bad pixels of one image (1039,), clean it and describe it, as star does; the input stays as it is."""
    charge, time = charge_phe[None].astype(np.float32), time_slices[None].astype(np.float32)
    interpolate_bad(charge, time, np.flatnonzero(bad), bad)
    core, used = clean(charge, time, cuts)
    values, valid = parametrise(charge, time, cuts)
    found = dict(zip(PARAMETERS, map(float, values[0]), strict=True)) if valid[0] else {}
    return EventImage(telescope, charge[0], time[0], core[0], used[0], bad, cuts, found)
