"""How good forests are, judged on events that they have not seen: separation, direction, disp, energy."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from magicpy_assets.science.camera import FOCAL_MM
from magicpy_assets.science.reconstruction import column, true_disp_mm

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
Row = dict[str, float]

ENERGY_EDGES_GEV = 10 ** np.arange(1.8, 4.21, 0.2)
MIGRATION_EDGES_GEV = 10 ** np.arange(1.6, 4.61, 0.1)
SIZE_EDGES_PHE = 10 ** np.arange(1.75, 4.01, 0.25)
HADRONNESS_EDGES = np.linspace(0, 1, 41)
MIN_EVENTS = 20
"""A bin with fewer is left out."""


def quality(
    gammas: pd.DataFrame,
    found_mm: tuple[Floats, Floats],
    disp_mm: Mapping[int, Floats],
    energy_gev: Floats,
    gamma_hadronness: Floats,
    off_hadronness: Floats,
    weights: Floats,
    off_size_phe: Floats,
) -> dict[str, Any]:
    """Judge forests on simulated gamma rays and OFF events that they have not seen.

    Parameters
    ----------
    gammas, found_mm, disp_mm, energy_gev, gamma_hadronness
        The gamma rays and what is said of them: place in the camera (x, y), disp by telescope.
    off_hadronness, off_size_phe
        Of the OFF events.
    weights
        Of the gamma rays, so that they have the sizes of the OFF events; for the separation only.
    """
    return {
        **separation(gamma_hadronness, off_hadronness, weights),
        "by_energy": by_energy(gammas, found_mm, energy_gev, gamma_hadronness),
        "migration": migration(column(gammas, "energy_gev_1"), energy_gev),
        "disp": [row for telescope, disp in disp_mm.items() for row in disp_error(gammas, disp, telescope)],
        "off_median_size_phe": float(np.median(off_size_phe)),
    }


def separation(gamma_hadronness: Floats, off_hadronness: Floats, weights: Floats) -> dict[str, Any]:
    """Return the area under the curve, the curve itself, and the distributions of hadronness (sums of one)."""
    from sklearn.metrics import roc_auc_score, roc_curve

    labels = np.concatenate([np.zeros(len(gamma_hadronness)), np.ones(len(off_hadronness))])
    scores = np.concatenate([gamma_hadronness, off_hadronness])
    balance = np.concatenate([weights / weights.sum(), np.full(len(off_hadronness), 1.0 / len(off_hadronness))])
    # A hadron is the positive class: the false positives are gamma rays lost, the true ones OFF events rejected.
    gammas_lost, off_rejected, _ = roc_curve(labels, scores, sample_weight=balance)
    grid = np.linspace(0, 1, 101)
    off_kept = np.interp(grid, 1 - gammas_lost[::-1], 1 - off_rejected[::-1])
    gamma_share = np.histogram(gamma_hadronness, HADRONNESS_EDGES, weights=weights / weights.sum())[0]
    off_share = np.histogram(off_hadronness, HADRONNESS_EDGES)[0] / len(off_hadronness)
    return {
        "auc": float(roc_auc_score(labels, scores, sample_weight=balance)),
        "roc": {"gamma_kept": grid.tolist(), "off_kept": off_kept.tolist()},
        "hadronness": {
            "edges": HADRONNESS_EDGES.tolist(),
            "gammas": gamma_share.tolist(),
            "off": off_share.tolist(),
            "off_held_out": len(off_hadronness),
        },
    }


def by_energy(
    gammas: pd.DataFrame, found_mm: tuple[Floats, Floats], energy_gev: Floats, gamma_hadronness: Floats
) -> list[Row]:
    """Return a row per bin of true energy: angles that hold 39 and 68 %, bias and resolution of the energy."""
    truth = column(gammas, "energy_gev_1")
    theta = np.hypot(found_mm[0] - column(gammas, "source_x_mm_1"), found_mm[1] - column(gammas, "source_y_mm_1"))
    theta_deg = np.degrees(theta / FOCAL_MM)
    rows = []
    for low, high in pairwise(ENERGY_EDGES_GEV):
        inside = (truth >= low) & (truth < high)
        if inside.sum() < MIN_EVENTS:
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
    return rows


def migration(true_gev: Floats, estimated_gev: Floats) -> dict[str, Any]:
    """Return how many events of each true energy (rows) were given each energy (columns)."""
    counts = np.histogram2d(true_gev, estimated_gev, bins=(MIGRATION_EDGES_GEV, MIGRATION_EDGES_GEV))[0]
    return {"edges_gev": MIGRATION_EDGES_GEV.tolist(), "counts": counts.astype(int).tolist()}


def disp_error(gammas: pd.DataFrame, disp_mm: Floats, telescope: int) -> list[Row]:
    """Return a row per bin of size: bias and 68 % of the error of one telescope's disp (deg)."""
    error = np.degrees((disp_mm - true_disp_mm(gammas, telescope)) / FOCAL_MM)
    size = column(gammas, f"size_phe_{telescope}")
    rows = []
    for low, high in pairwise(SIZE_EDGES_PHE):
        inside = (size >= low) & (size < high)
        if inside.sum() < MIN_EVENTS:
            continue
        rows.append(
            {
                "telescope": telescope,
                "size_low_phe": float(low),
                "size_high_phe": float(high),
                "events": int(inside.sum()),
                "disp_bias_deg": float(np.median(error[inside])),
                "disp_error68_deg": float(np.quantile(np.abs(error[inside]), 0.68)),
            }
        )
    return rows
