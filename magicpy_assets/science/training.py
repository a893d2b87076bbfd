"""Growing the forests of a cell from simulated gamma rays and OFF data, and judging how good they are.

Direction forests learn from gamma rays only. The others see reconstructed directions, which on the events a forest has
learned from are better than nature allows; so directions for training come from forests grown on the other half.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from magicpy_assets.core.errors import InputError
from magicpy_assets.science.energy_table import fill_table
from magicpy_assets.science.forest import Forest, importance, train
from magicpy_assets.science.forest_quality import quality, taken
from magicpy_assets.science.reconstruction import (
    DISP_FEATURES,
    ENERGY_FEATURES,
    EVENT_FEATURES,
    Direction,
    Forests,
    column,
    direction,
    disp_columns,
    event_columns,
    table_columns,
    true_disp_mm,
)

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]

MIN_EVENTS = 200
SIZE_BINS, ZENITH_BINS = 10, 5
MAX_WEIGHT_QUANTILE = 0.98


@dataclass(frozen=True)
class Sample:
    """Events to learn from: gamma rays with the number of their shower, OFF events with the number of their run."""

    gammas: pd.DataFrame
    showers: NDArray[np.int64]
    hadrons: pd.DataFrame
    runs: NDArray[np.int64]

    def check(self) -> None:
        """Refuse a sample that is too small.

        Raises
        ------
        InputError
            Saying how many events there are.
        """
        for name, events in (("simulated gamma", self.gammas), ("OFF", self.hadrons)):
            if len(events) < MIN_EVENTS:
                raise InputError(f"{len(events)} {name} events are too few to train with; {MIN_EVENTS} are needed")


def grow(sample: Sample, model: str, seed: int, say: Callable[[str], None]) -> tuple[Forests, dict[str, Any]]:
    """Grow all forests of a cell; returns them and a report of their quality on events they have not seen."""
    sample.check()
    halves = np.random.default_rng(seed).random(int(sample.showers.max()) + 1) < 0.5
    first = halves[sample.showers]
    hadron_first, held_out = half_of_runs(sample.runs, seed)
    say("direction forests, for each half and for all")
    crossed = [_disp(sample.gammas[part], model, seed) for part in (first, ~first)]
    final_disp = _disp(sample.gammas, model, seed)
    gammas = _located(sample.gammas, first, crossed)
    hadrons = _located(sample.hadrons, hadron_first, crossed)
    gamma_columns, hadron_columns = event_columns(sample.gammas, gammas), event_columns(sample.hadrons, hadrons)
    energy_columns = event_columns(sample.gammas, gammas, ENERGY_FEATURES)
    log_energy = np.log10(column(sample.gammas, "energy_gev_1"))
    weights = matching_weights(sample.gammas, sample.hadrons)

    def energy_and_separation(g: NDArray[np.bool_], h: NDArray[np.bool_]) -> tuple[Forest, Forest]:
        energy = train(model, energy_columns[g], log_energy[g], ENERGY_FEATURES, seed=seed)
        rows = np.concatenate([gamma_columns[g], hadron_columns[h]])
        target = np.concatenate([np.zeros(g.sum()), np.ones(h.sum())])
        balance = np.concatenate([weights[g] / weights[g].sum(), np.full(h.sum(), 1.0 / h.sum())])
        return energy, train(model, rows, target, EVENT_FEATURES, weights=balance, classify=True, seed=seed)

    say("energy and gamma/hadron forests on one half, to be judged on the other")
    test_energy, test_separation = energy_and_separation(first, hadron_first)
    say("energy and gamma/hadron forests on all events")
    energy, separation = energy_and_separation(np.ones_like(first), np.ones_like(hadron_first))
    tables = [fill_table(*table_columns(gamma_columns, n), log_energy) for n in (1, 2)]
    forests = Forests(final_disp, energy, separation, (tables[0], tables[1]))
    held = ~first
    report = quality(
        sample.gammas[held],
        taken(gammas, held),
        10.0 ** test_energy.predict(energy_columns[held]),
        test_separation.predict(gamma_columns[held]),
        test_separation.predict(hadron_columns[~hadron_first]),
        weights[held],
        column(sample.hadrons, "size_phe_1")[~hadron_first],
    )
    report |= {
        "model": model,
        "seed": seed,
        "gamma_events": len(sample.gammas),
        "gamma_showers": len(np.unique(sample.showers)),
        "off_events": len(sample.hadrons),
        "off_runs": len(np.unique(sample.runs)),
        "held_out": {"gammas": "half of the showers", "off": held_out},
        "importance": {
            "direction_1": importance(final_disp[0]),
            "direction_2": importance(final_disp[1]),
            "energy": importance(energy),
            "hadronness": importance(separation),
        },
    }
    return forests, report


def half_of_runs(runs: NDArray[np.int64], seed: int) -> tuple[NDArray[np.bool_], str]:
    """Choose the OFF events to learn from, about half of them, and say in words what is held back to judge by.

    Whole runs are held back, because events of one run are alike: they share their sky and, where they are simulated,
    showers. The events of a single run are divided at random.
    """
    numbers, counts = np.unique(runs, return_counts=True)
    if len(numbers) < 2:
        first = np.random.default_rng(seed + 1).random(len(runs)) < 0.5
        return first, "half of the events of the only OFF run, which are like those trained with"
    chosen: list[int] = []
    totals = [0, 0]
    for number, count in sorted(
        zip(numbers.tolist(), counts.tolist(), strict=True), key=lambda item: (-item[1], item[0])
    ):
        lighter = int(totals[1] < totals[0])
        totals[lighter] += count
        if lighter == 0:
            chosen.append(number)
    first = np.isin(runs, chosen)
    return first, f"all events of {len(numbers) - len(chosen)} of {len(numbers)} OFF runs"


def _disp(gammas: pd.DataFrame, model: str, seed: int) -> tuple[Forest, Forest]:
    grown = [
        train(model, disp_columns(gammas, n), true_disp_mm(gammas, n), DISP_FEATURES, seed=seed + n) for n in (1, 2)
    ]
    return grown[0], grown[1]


def _located(table: pd.DataFrame, first: NDArray[np.bool_], crossed: list[tuple[Forest, Forest]]) -> Direction:
    """Reconstruct directions, each half with the forests grown on the other."""
    disp = []
    for n in (1, 2):
        columns = disp_columns(table, n)
        disp.append(np.where(first, crossed[1][n - 1].predict(columns), crossed[0][n - 1].predict(columns)))
    return direction(table, (disp[0], disp[1]))


def matching_weights(gammas: pd.DataFrame, hadrons: pd.DataFrame) -> Floats:
    """Return weights that give the gamma rays the sizes and zenith distances of the OFF events.

    Without them a forest would learn the spectrum of the simulation and the pointings of the OFF data. The largest
    weights are capped, so that no single shower rules.
    """

    def place(table: pd.DataFrame) -> tuple[Floats, Floats]:
        size = np.log10(column(table, "size_phe_1") + column(table, "size_phe_2"))
        return size, column(table, "pointing_zd_deg_1")

    edges: list[Floats] = []
    for g, h in zip(place(gammas), place(hadrons), strict=True):
        low, high = min(g.min(), h.min()), max(g.max(), h.max()) + 1e-6
        edges.append(np.linspace(low, high, (SIZE_BINS if not edges else ZENITH_BINS) + 1))
    counts = [np.histogram2d(*place(table), bins=edges)[0] for table in (gammas, hadrons)]
    ratio = counts[1] / np.maximum(counts[0], 1)
    where = [
        np.clip(np.digitize(values, edge) - 1, 0, len(edge) - 2)
        for values, edge in zip(place(gammas), edges, strict=True)
    ]
    weights = ratio[where[0], where[1]]
    # A floor, so that zenith distances without OFF data still count a little.
    weights = np.maximum(weights, 0.02 * weights.mean())
    weights = np.minimum(weights, np.quantile(weights, MAX_WEIGHT_QUANTILE))
    return np.asarray(weights / weights.mean())
