"""Cuts and energies chosen from zenith distance and moon level alone, never from the signal, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from magicpy_assets.core import datalevels
from magicpy_assets.core.cell import Cell
from magicpy_assets.science.on_off import safe_range

if TYPE_CHECKING:
    from magicpy_assets.analysis.source import Source

GRID_TEV = (0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0)
"""Energies above which fluxes are given: round numbers, so that analyses can be compared."""
HELD_BY = 0.8
"""Share of the live time whose threshold must lie below the energy chosen; the rest is extrapolated."""
HE_ABOVE_TEV, LE_BELOW_TEV = 0.7, 0.15


@dataclass(frozen=True)
class Tuning:
    """What was chosen.

    Attributes
    ----------
    selection
        Cuts for θ²: LE, FR or HE.
    energy_min_tev
        Lower end of integral fluxes and of the sky map.
    thresholds_tev
        Lowest energy at which the effective area of each cell can be trusted.
    hours
        Live time of each cell.
    ends_tev
        Highest energy to which the effective area of each cell goes.
    """

    selection: str
    energy_min_tev: float
    thresholds_tev: dict[Cell, float]
    hours: dict[Cell, float]
    ends_tev: Mapping[Cell, float] = field(default_factory=dict)

    @property
    def lines(self) -> list[str]:
        """What was chosen and why, for people."""
        low, high = min(self.thresholds_tev.values()), max(self.thresholds_tev.values())
        span = f"{1e3 * low:.0f} GeV" if high < 1.05 * low else f"{1e3 * low:.0f} to {1e3 * high:.0f} GeV"
        below = sum(h for cell, h in self.hours.items() if self.thresholds_tev[cell] <= 1.001 * self.energy_min_tev)
        return [
            f"Energy thresholds of {len(self.thresholds_tev)} cells: {span}, from zenith distance and moon level",
            f"Integral fluxes above {1e3 * self.energy_min_tev:.0f} GeV:"
            f" {below:.2f} of {sum(self.hours.values()):.2f} h have their threshold below that",
            f"Cuts for θ²: {self.selection}, for a median threshold of {1e3 * self.median_tev:.0f} GeV",
            *self._spectrum_lines(),
        ]

    def _spectrum_lines(self) -> list[str]:
        """Say which energies the spectrum is fitted in: those of the responses, for each cell its own."""
        if not self.ends_tev:
            return []
        ends = min(self.ends_tev.values()), max(self.ends_tev.values())
        top = f"{ends[1]:.0f} TeV" if ends[1] < 1.05 * ends[0] else f"{ends[0]:.0f} to {ends[1]:.0f} TeV"
        return [
            f"Spectrum: each cell from its threshold to {top}, where its effective area can be trusted; no energy is"
            " left out by hand"
        ]

    @property
    def median_tev(self) -> float:
        """Threshold of the cell in the middle of the live time."""
        return _quantile(self.thresholds_tev, self.hours, 0.5)


def tune(source: Source) -> Tuning:
    """Choose cuts and energies for the DL3 files of the selected runs.

    Raises
    ------
    MissingInputError
        If there are none.
    """
    cell_of = {run: cell for cell, paths in source.files(datalevels.DL3).items() for run in source.runs_of(paths)}
    lowest: dict[Cell, list[float]] = {}
    highest: dict[Cell, list[float]] = {}
    hours: dict[Cell, float] = {}
    for observation in source.observations():
        cell = cell_of[int(observation.obs_id)]
        trusted = safe_range(observation)
        lowest.setdefault(cell, []).append(trusted.low_tev)
        highest.setdefault(cell, []).append(trusted.high_tev)
        live = float(observation.observation_live_time_duration.to_value("h"))
        hours[cell] = hours.get(cell, 0.0) + live
    middle = [{cell: float(np.median(values)) for cell, values in each.items()} for each in (lowest, highest)]
    return chosen(middle[0], hours, middle[1])


def chosen(
    thresholds_tev: dict[Cell, float], hours: dict[Cell, float], ends_tev: Mapping[Cell, float] | None = None
) -> Tuning:
    """Choose for cells with these thresholds, live times (h) and highest energies."""
    needed = _quantile(thresholds_tev, hours, HELD_BY)
    energy = next((edge for edge in GRID_TEV if edge >= 0.999 * needed), GRID_TEV[-1])
    middle = _quantile(thresholds_tev, hours, 0.5)
    selection = "HE" if middle > HE_ABOVE_TEV else "LE" if middle < LE_BELOW_TEV else "FR"
    return Tuning(selection, energy, thresholds_tev, hours, ends_tev or {})


def _quantile(thresholds_tev: dict[Cell, float], hours: dict[Cell, float], share: float) -> float:
    """Return the threshold below which that share of the live time lies."""
    order = sorted(thresholds_tev, key=lambda cell: thresholds_tev[cell])
    summed = np.cumsum([hours[cell] for cell in order])
    place = int(np.searchsorted(summed, share * summed[-1] * (1 - 1e-9)))
    return thresholds_tev[order[min(place, len(order) - 1)]]
