"""Growing the forests of one telescope alone; what they have in common with those of two is in `science.training`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from magicpy_assets.science import mono
from magicpy_assets.science.forest import Forest, train
from magicpy_assets.science.mono import MonoDirection, MonoForests
from magicpy_assets.science.reconstruction import true_disp_mm
from magicpy_assets.science.training import Sample, grow_in

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]


class Mono:
    """One telescope: a forest for disp, and one for the side of the image on which the direction lies."""

    event_features: tuple[str, ...] = mono.EVENT_FEATURES
    energy_features: tuple[str, ...] = mono.ENERGY_FEATURES

    def __init__(self, telescope: int) -> None:
        self.telescope = telescope
        self.telescopes: tuple[int, ...] = (telescope,)
        self.names: tuple[str, ...] = (f"direction_{telescope}", f"head_tail_{telescope}")

    def grow(self, gammas: pd.DataFrame, model: str, seed: int) -> tuple[Forest, ...]:
        """Grow both; every image is shown to the second a second time with its axis turned, so that it has no side."""
        n = self.telescope
        disp = train(model, mono.disp_columns(gammas, n), true_disp_mm(gammas, n), mono.DISP_FEATURES, seed=seed + n)
        columns, head = mono.head_tail_columns(gammas, n), (mono.true_side(gammas, n) > 0).astype(np.float64)
        rows, target = np.concatenate([columns, mono.turned(columns)]), np.concatenate([head, 1.0 - head])
        return disp, train(model, rows, target, mono.HEAD_TAIL_FEATURES, classify=True, seed=seed)

    def answers(self, table: pd.DataFrame, forests: tuple[Forest, ...]) -> tuple[Floats, ...]:
        """Return disp (mm) and the probability that the direction lies along the axis."""
        disp, head_tail = forests
        head = mono.probability_of_head(head_tail, mono.head_tail_columns(table, self.telescope))
        return disp.predict(mono.disp_columns(table, self.telescope)), head

    def locate(self, table: pd.DataFrame, answers: tuple[Floats, ...]) -> MonoDirection:
        """Go along the axis to the more probable side."""
        return mono.direction(table, self.telescope, *answers)

    def columns(self, table: pd.DataFrame, found: MonoDirection, features: tuple[str, ...]) -> NDArray[np.float32]:
        """Return the features of the other forests."""
        return mono.event_columns(table, self.telescope, found, features)

    def disp_mm(self, found: MonoDirection) -> dict[int, Floats]:
        """Return the disp."""
        return {self.telescope: found.disp_mm}


def grow_mono(
    sample: Sample, telescope: int, model: str, seed: int, say: Callable[[str], None]
) -> tuple[MonoForests, dict[str, Any]]:
    """Grow the forests of one telescope; returns them and a report of their quality on events they have not seen.

    The report says besides how often the right end of an image was chosen (`head_tail`), of events not trained with.
    """
    way = Mono(telescope)
    grown, report = grow_in(way, sample, model, seed, say)
    right = grown.gammas.side == mono.true_side(sample.gammas, telescope)
    disp, head_tail = grown.direction
    forests = MonoForests(telescope, disp, head_tail, grown.energy, grown.hadronness)
    return forests, report | {"head_tail": float(right.mean())}
