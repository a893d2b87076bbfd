"""Flux points of a fitted spectrum, with an upper limit in every bin."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from magicpy_assets.science import on_off

if TYPE_CHECKING:
    from astropy.table import Table

POINTS_PER_DECADE = 5
LIMIT_BELOW_TS = 4.0
"""A flux point with a smaller test statistic (2 standard deviations) is given as an upper limit at 95 %."""
LIMIT_SIGMA = 1.6449
"""Upper limits at 95 % confidence, one-sided: where the profile likelihood has risen by 2.71 = 1.6449².

None is lower than that of a measurement of zero, however far below that it is.
"""
COLUMNS = (
    "e_ref", "e_min", "e_max", "dnde", "dnde_err", "dnde_ul", "e2dnde", "e2dnde_err", "e2dnde_ul", "ts", "is_ul",
)  # fmt: skip


@contextmanager
def fitting() -> Iterator[None]:
    """What fits of gammapy run in.

    It keeps still about numbers that overflow or are none: with few events the minimum is at the edge of what fits.
    And where there is no `ray`, gammapy does not search all folders for it at every step, which is a fifth of its
    time.
    """
    without_ray = "ray" not in sys.modules and find_spec("ray") is None
    if without_ray:
        sys.modules["ray"] = None  # type: ignore[assignment]
    try:
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            yield
    finally:
        if without_ray:
            sys.modules.pop("ray", None)  # another thread may have done it


def flux_points(datasets: Any) -> Table:
    """Return dN/dE and E² dN/dE; each point scales the fitted model, which `datasets` carry, in its bin."""
    from gammapy.estimators import FluxPointsEstimator

    estimator = FluxPointsEstimator(
        energy_edges=on_off.energy_edges(datasets, POINTS_PER_DECADE),
        source="source",
        selection_optional=["ul"],
        n_sigma_ul=LIMIT_SIGMA,
    )
    with fitting():
        points = estimator.run(datasets)
    table = points.to_table(sed_type="dnde", format="gadf-sed", formatted=False)
    squared = points.to_table(sed_type="e2dnde", format="gadf-sed", formatted=False)
    for name in ("e2dnde", "e2dnde_err", "e2dnde_ul"):
        table[name] = squared[name].quantity.to("TeV cm-2 s-1")
    for limit, error in (("dnde_ul", "dnde_err"), ("e2dnde_ul", "e2dnde_err")):
        table[limit] = np.fmax(table[limit].quantity, LIMIT_SIGMA * table[error].quantity)
    table["is_ul"] = ~((np.asarray(table["ts"]) >= LIMIT_BELOW_TS) & (np.asarray(table["dnde"]) > 0))
    table["counts"] = np.nansum(np.atleast_2d(table["counts"]).reshape(len(table), -1), axis=1).astype(int)
    return table[[*COLUMNS, "counts"]]
