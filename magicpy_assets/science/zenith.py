"""Responses at the zenith distance of a run, interpolated between simulations of neighbouring zenith distances.

pyirf interpolates in the cosine of the zenith distance: the logarithm of the effective area, and the shape of the
energy dispersion by its moments (its default, by quantiles, shifts energies by 2 % with our bins). The PSF is the
weighted mean of its neighbours (pyirf 0.13 cannot morph tables that carry units).

Limits: there have to be two bins with 1000 selected gammas each, and the run must lie between their means; nothing is
extrapolated. Else the responses are those of a window around the run, `irf.make_responses`.
Azimuth is not a dimension.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from magicpy_assets.science.cuts import Cuts
from magicpy_assets.science.irf import (
    POINT_LIKE,
    Gammas,
    Responses,
    Thrown,
    ZenithWindow,
    make_responses,
    responses_in,
    select,
    trusted_range,
)

Floats = NDArray[np.float64]

NODE_GAMMAS = 1000
MOST_NODES = 6
ENDS = 1e-6
"""pyirf's moment morphing fails exactly at the last node."""


def responses_at(gammas: Gammas, thrown: Thrown, cuts: Cuts, zd_deg: float, kind: str = POINT_LIKE) -> Responses:
    """Make the responses for a run, interpolated where the simulations allow it, else of a window around the run.

    Raises
    ------
    InputError
        If too few gammas pass the cuts to say anything.
    """
    bracket = _bracket(select(gammas, cuts, kind), thrown, float(np.cos(np.radians(zd_deg))))
    if bracket is None:
        return make_responses(gammas, thrown, cuts, zd_deg, kind)
    windows, nodes = bracket
    pair = [responses_in(window, gammas, thrown, cuts, kind) for window in windows]
    return _between(pair, nodes, float(np.cos(np.radians(zd_deg))), thrown)


def _bracket(selected: Gammas, thrown: Thrown, cosine: float) -> tuple[list[ZenithWindow], Floats] | None:
    """The two bins of cos(zenith distance) around a value, and their means; None if there are none."""
    count = min(MOST_NODES, len(selected) // NODE_GAMMAS)
    if count < 2:
        return None
    edges = np.quantile(np.cos(np.radians(selected.zd_deg)), np.linspace(0, 1, count + 1))
    of_thrown = np.cos(np.radians(thrown.zd_deg))
    edges[0], edges[-1] = min(edges[0], of_thrown.min()), max(edges[-1], of_thrown.max())
    windows = [ZenithWindow(float(low), float(high)) for low, high in pairwise(edges)]
    means = np.array([of_thrown[window.holds(thrown.zd_deg)].mean() for window in windows])
    place = int(np.searchsorted(means, cosine)) - 1
    if not 0 <= place < count - 1 or means[place + 1] - means[place] < 10 * ENDS:
        return None
    return windows[place : place + 2], means[place : place + 2]


def _between(pair: list[Responses], nodes: Floats, cosine: float, thrown: Thrown) -> Responses:
    import astropy.units as u
    from pyirf.interpolation import (
        EffectiveAreaEstimator,
        EnergyDispersionEstimator,
        MomentMorphInterpolator,
    )

    grid, first = nodes[:, np.newaxis], pair[0]
    target = np.array([[np.clip(cosine, nodes[0] + ENDS, nodes[1] - ENDS)]])
    areas = np.array([part.area_m2 for part in pair])
    area = EffectiveAreaEstimator(grid, areas.copy() * u.m**2)(target).to_value("m2").reshape(areas[0].shape)
    area[(areas == 0).any(axis=0)] = 0.0
    shapes, empty = _filled(np.array([part.dispersion for part in pair]))
    dispersion = EnergyDispersionEstimator(
        grid, first.migration_edges, shapes[..., np.newaxis], interpolator_cls=MomentMorphInterpolator
    )(target).reshape(first.dispersion.shape)
    dispersion[empty] = 0.0
    psf = None
    if first.psf is not None:
        shapes, empty = _filled(np.array([part.psf for part in pair]))
        share = float((target[0, 0] - nodes[0]) / (nodes[1] - nodes[0]))
        psf = (1 - share) * shapes[0] + share * shapes[1]
        psf[empty] = 0.0
    window = ZenithWindow(first.window.cos_low, pair[1].window.cos_high)
    threshold, ceiling = trusted_range(area, thrown.where(window.holds(thrown.zd_deg)).energy_gev)
    return replace(
        first,
        area_m2=area,
        dispersion=np.asarray(dispersion, dtype=np.float64),
        psf=psf,
        window=window,
        n_gammas=sum(part.n_gammas for part in pair),
        threshold_gev=threshold,
        ceiling_gev=ceiling,
        zenith_nodes_deg=tuple(float(np.degrees(np.arccos(node))) for node in nodes[::-1]),
    )


def _filled(tables: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Tables (2, n_true, n) whose empty rows are those of the other one, and which rows are empty in both."""
    filled = tables.sum(axis=2) > 0
    chosen = np.where(filled[..., np.newaxis], tables, tables[::-1])
    empty = ~filled.any(axis=0)
    chosen[:, empty] = 1.0
    return chosen, empty
