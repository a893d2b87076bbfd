"""Growing the forests of a cell from simulated gamma rays and OFF data, and judging how good they are.

Direction forests learn from gamma rays only. The others see reconstructed directions, which on the events a forest has
learned from are better than nature allows; so directions for training come from forests grown on the other half.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from magicpy_assets.core.errors import InputError
from magicpy_assets.science.camera import FOCAL_MM
from magicpy_assets.science.energy_table import fill_table
from magicpy_assets.science.forest import Forest, importance, train
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
ENERGY_EDGES_GEV = 10 ** np.arange(1.8, 4.21, 0.2)


@dataclass(frozen=True)
class Sample:
    """Events to learn from: gamma rays with the number of their shower, and OFF events."""

    gammas: pd.DataFrame
    showers: NDArray[np.int64]
    hadrons: pd.DataFrame

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
    hadron_first = np.random.default_rng(seed + 1).random(len(sample.hadrons)) < 0.5
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
    report = quality(
        sample.gammas[~first],
        Direction(gammas.x_mm[~first], gammas.y_mm[~first], gammas.disp_mm, gammas.points_mm, gammas.difference_mm),
        10.0 ** test_energy.predict(energy_columns[~first]),
        test_separation.predict(gamma_columns[~first]),
        test_separation.predict(hadron_columns[~hadron_first]),
        weights[~first],
        column(sample.hadrons, "size_phe_1")[~hadron_first],
    )
    report |= {
        "model": model,
        "seed": seed,
        "gamma_events": len(sample.gammas),
        "gamma_showers": len(np.unique(sample.showers)),
        "off_events": len(sample.hadrons),
        "importance": {
            "direction_1": importance(final_disp[0]),
            "direction_2": importance(final_disp[1]),
            "energy": importance(energy),
            "hadronness": importance(separation),
        },
    }
    return forests, report


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


def quality(
    gammas: pd.DataFrame,
    found: Direction,
    energy_gev: Floats,
    gamma_hadronness: Floats,
    off_hadronness: Floats,
    weights: Floats,
    off_size_phe: Floats,
) -> dict[str, Any]:
    """Judge forests on events they have not seen: separation, angular and energy resolution by true energy."""
    from sklearn.metrics import roc_auc_score, roc_curve

    truth = column(gammas, "energy_gev_1")
    theta = np.hypot(found.x_mm - column(gammas, "source_x_mm_1"), found.y_mm - column(gammas, "source_y_mm_1"))
    theta_deg = np.degrees(theta / FOCAL_MM)
    labels = np.concatenate([np.zeros(len(gamma_hadronness)), np.ones(len(off_hadronness))])
    scores = np.concatenate([gamma_hadronness, off_hadronness])
    balance = np.concatenate([weights / weights.sum(), np.full(len(off_hadronness), 1.0 / len(off_hadronness))])
    # A hadron is the positive class: the false positives are gamma rays lost, the true ones OFF events rejected.
    gammas_lost, off_rejected, _ = roc_curve(labels, scores, sample_weight=balance)
    grid = np.linspace(0, 1, 101)
    off_kept = np.interp(grid, 1 - gammas_lost[::-1], 1 - off_rejected[::-1])
    rows = []
    for low, high in pairwise(ENERGY_EDGES_GEV):
        inside = (truth >= low) & (truth < high)
        if inside.sum() < 20:
            continue
        error = (energy_gev[inside] - truth[inside]) / truth[inside]
        low_q, middle, high_q = np.quantile(error, [0.16, 0.5, 0.84])
        rows.append(
            {
                "energy_low_gev": float(low),
                "energy_high_gev": float(high),
                "events": int(inside.sum()),
                "theta39_deg": float(np.quantile(theta_deg[inside], 0.393)),
                "theta68_deg": float(np.quantile(theta_deg[inside], 0.68)),
                "energy_bias": float(middle),
                "energy_resolution": float((high_q - low_q) / 2),
                "median_hadronness": float(np.median(gamma_hadronness[inside])),
            }
        )
    return {
        "auc": float(roc_auc_score(labels, scores, sample_weight=balance)),
        "roc": {"gamma_kept": grid.tolist(), "off_kept": off_kept.tolist()},
        "by_energy": rows,
        "off_median_size_phe": float(np.median(off_size_phe)),
    }
