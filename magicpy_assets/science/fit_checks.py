"""How a fitted spectrum describes the counts: by energy, and by group of runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from magicpy_assets.science.on_off import nominal_alpha, totals, used_range

if TYPE_CHECKING:
    from astropy.table import Table


def residuals(datasets: Any) -> Table:
    """Return counts, excess and prediction by estimated energy (TeV), summed over datasets that carry a model.

    `residual` is excess minus prediction over the error that the prediction expects: that of on counts around
    prediction and background, and of the off counts.
    """
    from astropy.table import Table

    axis = datasets[0].counts.geom.axes["energy"]
    total = {name: np.zeros(axis.nbin) for name in ("n_on", "background", "variance", "predicted")}
    used = np.zeros(axis.nbin, dtype=bool)
    for dataset in datasets:
        mask, alpha = dataset.mask.data.ravel(), nominal_alpha(dataset)
        off = dataset.counts_off.data.ravel() * mask
        used |= mask
        total["n_on"] += dataset.counts.data.ravel() * mask
        total["background"] += alpha * off
        total["variance"] += alpha * (1 + alpha) * off
        total["predicted"] += dataset.npred_signal().data.ravel() * mask
    excess = total["n_on"] - total["background"]
    error = np.sqrt(np.maximum(total["predicted"], 0) + total["variance"])
    columns = {
        "e_min": axis.edges_min.to("TeV"),
        "e_max": axis.edges_max.to("TeV"),
        "n_on": total["n_on"].astype(int),
        "background": total["background"],
        "excess": excess,
        "predicted": total["predicted"],
        "error": error,
        "residual": (excess - total["predicted"]) / np.maximum(error, 1e-9),
    }
    return Table(columns)[used]


def contributions(runs: Any, spectral: Any, absorbed: Any, groups: Mapping[int, str] | None) -> Table:
    """Return what each group of runs adds to a joint fit: time (h), counts, excess, and excess over prediction."""
    from astropy.table import Table
    from gammapy.modeling.models import SkyModel

    runs.models = [SkyModel(spectral_model=spectral if absorbed is None else spectral * absorbed, name="source")]
    rows = []
    for label in sorted(set((groups or {}).values())):
        mine = [dataset for dataset in runs if (groups or {}).get(int(dataset.name)) == label]
        if not mine:
            continue
        found = totals(mine)
        predicted = sum(float(dataset.npred_signal().data[dataset.mask].sum()) for dataset in mine)
        alpha = (found.n_on - found.excess) / found.n_off if found.n_off else nominal_alpha(mine[0])
        error = float(np.sqrt(max(found.n_on, 1) + alpha**2 * max(found.n_off, 1)))
        hours = sum(float(dataset.gti.time_sum.to_value("h")) for dataset in mine)
        low, high = used_range(mine)
        rows.append(
            (label, len(mine), hours, low, high, found.n_on, found.n_off, found.excess, found.significance, predicted,
             found.excess / predicted if predicted > 0 else np.nan, error / predicted if predicted > 0 else np.nan)
        )  # fmt: skip
    names = ["group", "runs", "time", "e_min", "e_max", "n_on", "n_off", "excess", "significance", "predicted",
             "ratio", "ratio_error"]  # fmt: skip
    kinds = [str, int, float, float, float, int, int, float, float, float, float, float]
    return Table(rows=rows or None, names=names, dtype=kinds, units={"time": "h", "e_min": "TeV", "e_max": "TeV"})
