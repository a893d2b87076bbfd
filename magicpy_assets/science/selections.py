"""Cuts for a θ² count: the standard ones (LE, FR, HE: ``tables/selections.csv``) and the user's own."""

from __future__ import annotations

import csv
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from magicpy_assets.core.errors import InputError, unknown
from magicpy_assets.core.telescopes import STEREO, Telescopes

CUTS = ("theta2_max_deg2", "hadronness_max", "size_min_phe", "energy_min_gev", "energy_max_gev")
"""What can be changed of a selection."""


@dataclass(frozen=True)
class Selection:
    """Cuts that define a θ² count: θ² in deg², sizes in phe (of every telescope that was used), energies in GeV."""

    name: str
    meaning: str
    theta2_max_deg2: float
    hadronness_max: float = 1.0
    size_min_phe: float = 0.0
    energy_min_gev: float = 0.0
    energy_max_gev: float = float("inf")
    source: str = "user"

    @property
    def text(self) -> str:
        """The cuts in words, for captions."""
        cuts = [f"θ² < {self.theta2_max_deg2:g} deg²"]
        if self.hadronness_max < 1:
            cuts.append(f"hadronness < {self.hadronness_max:g}")
        if self.size_min_phe > 0:
            cuts.append(f"size > {self.size_min_phe:g} phe")
        if self.energy_min_gev > 0:
            cuts.append(f"E > {self.energy_min_gev:g} GeV")
        if np.isfinite(self.energy_max_gev):
            cuts.append(f"E < {self.energy_max_gev:g} GeV")
        return f"{self.name}: " + ", ".join(cuts)

    @property
    def needs_images(self) -> bool:
        """Whether there are cuts that can only be made on melibea files: on hadronness, or on the size of images."""
        return self.hadronness_max < 1 or self.size_min_phe > 0

    def with_cuts(self, **cuts: float) -> Selection:
        """Return a selection of the same kind with some of `CUTS` changed.

        Raises
        ------
        UnknownNameError
            For a cut that is none, with the nearest names.
        """
        for name in cuts:
            if name not in CUTS:
                raise unknown("cut", name, CUTS)
        return replace(self, name=f"{self.name} (changed)", source="user", **cuts)  # type: ignore[arg-type]

    def passes(self, events: Any, telescopes: Telescopes = STEREO) -> NDArray[np.bool_]:
        """Tell which events of a melibea table pass; a cut on a column that is absent is an :class:`InputError`."""
        limits = (
            ("hadronness", -np.inf, self.hadronness_max if self.hadronness_max < 1 else np.inf),
            *((f"size_phe_{n}", self.size_min_phe or -np.inf, np.inf) for n in telescopes.numbers),
            ("energy_gev", self.energy_min_gev or -np.inf, self.energy_max_gev),
        )
        kept = np.ones(len(events), dtype=bool)
        for column, low, high in limits:
            if np.isinf(low) and np.isinf(high):
                continue
            if column not in events:
                raise InputError(f"{self.text}: these events have no column {column!r} to cut on")
            values = np.asarray(events[column], dtype=np.float64)
            kept &= (values > low) & (values < high)
        return kept


@cache
def selections() -> dict[str, Selection]:
    """Return the standard selections by name."""
    text = resources.files("magicpy_assets.science").joinpath("tables/selections.csv").read_text()
    rows = csv.DictReader(text.splitlines())
    return {
        row["name"]: Selection(
            name=row["name"],
            meaning=row["meaning"],
            theta2_max_deg2=float(row["theta2_max_deg2"]),
            hadronness_max=float(row["hadronness_max"]),
            size_min_phe=float(row["size_min_phe"]),
            energy_min_gev=float(row["energy_min_gev"]),
            source=row["source"],
        )
        for row in rows
    }


def selection(name: str) -> Selection:
    """Return the selection of that name (LE, FR or HE, any case)."""
    table = selections()
    if name.upper() not in table:
        raise unknown("selection", name, table)
    return table[name.upper()]
