"""What triggered the events of a melibea file: which telescopes, how often, and the number of each event."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from magicpy_assets.core import telescopes
from magicpy_assets.core.telescopes import Telescopes

Floats = NDArray[np.float64]


def telescopes_of(table: Mapping[str, Any]) -> Telescopes:
    """Return the telescopes whose images a table of melibea holds."""
    return telescopes.of([number for number in (1, 2) if f"size_phe_{number}" in table] or (1, 2))


def event_ids(table: Mapping[str, NDArray[Any]], mjd: Floats) -> NDArray[np.int64]:
    """Return a number for each event: that of the array trigger or, where there was none, subrun and readout number.

    The latter are put together as public readers of MAGIC files do: subrun, then seven digits of the readout's number.
    """
    if "stereo_number_1" not in table:
        return np.arange(len(mjd))
    if by_array(table) or "daq_number_1" not in table:
        return table["stereo_number_1"].astype(np.int64)
    order = np.argsort(mjd, kind="stable")
    number = table["daq_number_1"].astype(np.int64)
    restarts = np.append(False, number[order][1:] < 0.5 * number[order][:-1])
    found = np.empty(len(mjd), dtype=np.int64)
    found[order] = (1 + np.cumsum(restarts)) * 10**7 + number[order]
    return found


def by_array(table: Mapping[str, NDArray[Any]]) -> bool:
    """Tell whether the events of a run of data were triggered by both telescopes together."""
    return "stereo_number_1" not in table or bool((table["stereo_number_1"] > 0).any())


def recorded(mjd: Floats, number: Floats) -> int:
    """Triggers that the readout numbered: the highest number of each subrun, in which they start again.

    Two events of nearly the same time may have changed places, so a new subrun is where the number falls by half.
    """
    in_time = number[np.argsort(mjd, kind="stable")]
    last = np.append(in_time[1:] < 0.5 * in_time[:-1], True)
    return int(in_time[last].sum())
