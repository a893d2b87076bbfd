"""Growing the forests of a cell from simulated gamma rays and OFF data, and judging how good they are.

Direction forests learn from gamma rays only. The others see reconstructed directions, which on the events a forest has
learned from are better than nature allows; so directions for training come from forests grown on the other half.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from magicpy_assets.core.errors import InputError
from magicpy_assets.science.energy_table import fill_table
from magicpy_assets.science.forest import Forest, importance, train
from magicpy_assets.science.forest_quality import quality
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


class Way(Protocol):
    """How events are reconstructed: with both telescopes, or with one."""

    telescopes: tuple[int, ...]
    event_features: tuple[str, ...]
    energy_features: tuple[str, ...]
    names: tuple[str, ...]
    """What the direction forests are called in the report."""

    def grow(self, gammas: pd.DataFrame, model: str, seed: int) -> tuple[Forest, ...]:
        """Grow the direction forests."""

    def answers(self, table: pd.DataFrame, forests: tuple[Forest, ...]) -> tuple[Floats, ...]:
        """Return what the direction forests say of events."""

    def locate(self, table: pd.DataFrame, answers: tuple[Floats, ...]) -> Any:
        """Turn answers into directions."""

    def columns(self, table: pd.DataFrame, found: Any, features: tuple[str, ...]) -> NDArray[np.float32]:
        """Return the features of the other forests."""

    def disp_mm(self, found: Any) -> dict[int, Floats]:
        """Return the disp of each telescope."""


@dataclass(frozen=True)
class Grown:
    """Forests: of direction as their `Way` names them, of energy and hadronness; and the directions of the gammas."""

    direction: tuple[Forest, ...]
    energy: Forest
    hadronness: Forest
    gammas: Any


class Stereo:
    """Both telescopes: a disp forest for each, and what the pair says of the shower."""

    telescopes: tuple[int, ...] = (1, 2)
    event_features: tuple[str, ...] = EVENT_FEATURES
    energy_features: tuple[str, ...] = ENERGY_FEATURES
    names: tuple[str, ...] = ("direction_1", "direction_2")

    def grow(self, gammas: pd.DataFrame, model: str, seed: int) -> tuple[Forest, ...]:
        """Grow a disp forest for each telescope."""
        return tuple(
            train(model, disp_columns(gammas, n), true_disp_mm(gammas, n), DISP_FEATURES, seed=seed + n) for n in (1, 2)
        )

    def answers(self, table: pd.DataFrame, forests: tuple[Forest, ...]) -> tuple[Floats, ...]:
        """Return the disp of each telescope (mm)."""
        return tuple(forest.predict(disp_columns(table, n)) for n, forest in zip((1, 2), forests, strict=True))

    def locate(self, table: pd.DataFrame, answers: tuple[Floats, ...]) -> Direction:
        """Combine both."""
        return direction(table, (answers[0], answers[1]))

    def columns(self, table: pd.DataFrame, found: Direction, features: tuple[str, ...]) -> NDArray[np.float32]:
        """Return the features of the other forests."""
        return event_columns(table, found, features)

    def disp_mm(self, found: Direction) -> dict[int, Floats]:
        """Return the disp of each telescope."""
        return {1: found.disp_mm[0], 2: found.disp_mm[1]}


def grow(sample: Sample, model: str, seed: int, say: Callable[[str], None]) -> tuple[Forests, dict[str, Any]]:
    """Grow all forests of a cell; returns them and a report of their quality on events they have not seen."""
    grown, report = grow_in(Stereo(), sample, model, seed, say)
    gammas = event_columns(sample.gammas, grown.gammas)
    log_energy = np.log10(column(sample.gammas, "energy_gev_1"))
    tables = [fill_table(*table_columns(gammas, n), log_energy) for n in (1, 2)]
    disp = grown.direction[0], grown.direction[1]
    return Forests(disp, grown.energy, grown.hadronness, (tables[0], tables[1])), report


def grow_in(
    way: Way, sample: Sample, model: str, seed: int, say: Callable[[str], None]
) -> tuple[Grown, dict[str, Any]]:
    """Grow the forests of a way to reconstruct; returns them and a report of their quality on unseen events."""
    sample.check()
    halves = np.random.default_rng(seed).random(int(sample.showers.max()) + 1) < 0.5
    first = halves[sample.showers]
    hadron_first, held_out = half_of_runs(sample.runs, seed)
    say("direction forests, for each half and for all")
    crossed = [way.grow(sample.gammas[part], model, seed) for part in (first, ~first)]
    final = way.grow(sample.gammas, model, seed)
    gammas = _located(way, sample.gammas, first, crossed)
    hadrons = _located(way, sample.hadrons, hadron_first, crossed)
    gamma_columns, hadron_columns = (
        way.columns(table, found, way.event_features)
        for table, found in ((sample.gammas, gammas), (sample.hadrons, hadrons))
    )
    energy_columns = way.columns(sample.gammas, gammas, way.energy_features)
    log_energy = np.log10(column(sample.gammas, "energy_gev_1"))
    weights = matching_weights(sample.gammas, sample.hadrons, way.telescopes)

    def energy_and_separation(g: NDArray[np.bool_], h: NDArray[np.bool_]) -> tuple[Forest, Forest]:
        energy = train(model, energy_columns[g], log_energy[g], way.energy_features, seed=seed)
        rows = np.concatenate([gamma_columns[g], hadron_columns[h]])
        target = np.concatenate([np.zeros(g.sum()), np.ones(h.sum())])
        balance = np.concatenate([weights[g] / weights[g].sum(), np.full(h.sum(), 1.0 / h.sum())])
        return energy, train(model, rows, target, way.event_features, weights=balance, classify=True, seed=seed)

    say("energy and gamma/hadron forests on one half, to be judged on the other")
    test_energy, test_separation = energy_and_separation(first, hadron_first)
    say("energy and gamma/hadron forests on all events")
    energy, separation = energy_and_separation(np.ones_like(first), np.ones_like(hadron_first))
    held = ~first
    report = quality(
        sample.gammas[held],
        (gammas.x_mm[held], gammas.y_mm[held]),
        {n: disp[held] for n, disp in way.disp_mm(gammas).items()},
        10.0 ** test_energy.predict(energy_columns[held]),
        test_separation.predict(gamma_columns[held]),
        test_separation.predict(hadron_columns[~hadron_first]),
        weights[held],
        column(sample.hadrons, f"size_phe_{way.telescopes[0]}")[~hadron_first],
    )
    forests = dict(zip((*way.names, "energy", "hadronness"), (*final, energy, separation), strict=True))
    report |= {
        "model": model,
        "seed": seed,
        "telescopes": list(way.telescopes),
        "gamma_events": len(sample.gammas),
        "gamma_showers": len(np.unique(sample.showers)),
        "off_events": len(sample.hadrons),
        "off_runs": len(np.unique(sample.runs)),
        "held_out": {"gammas": "half of the showers", "off": held_out},
        "importance": {name: importance(forest) for name, forest in forests.items()},
    }
    return Grown(final, energy, separation, gammas), report


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


def _located(way: Way, table: pd.DataFrame, first: NDArray[np.bool_], crossed: list[tuple[Forest, ...]]) -> Any:
    """Reconstruct directions, each half with the forests grown on the other."""
    answers = [way.answers(table, forests) for forests in crossed]
    return way.locate(table, tuple(np.where(first, other, own) for own, other in zip(*answers, strict=True)))


def matching_weights(gammas: pd.DataFrame, hadrons: pd.DataFrame, telescopes: tuple[int, ...] = (1, 2)) -> Floats:
    """Return weights that give the gamma rays the sizes and zenith distances of the OFF events.

    Without them a forest would learn the spectrum of the simulation and the pointings of the OFF data. The largest
    weights are capped, so that no single shower rules.
    """

    def place(table: pd.DataFrame) -> tuple[Floats, Floats]:
        size = np.log10(sum(column(table, f"size_phe_{n}") for n in telescopes))
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
