"""The points of a light curve: which runs, or parts of runs, belong together."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from magicpy_assets.core.errors import InputError, unknown
from magicpy_assets.science import on_off

Floats = NDArray[np.float64]

BINNINGS = ("run", "night", "blocks")
MINUTES = re.compile(r"(\d+(?:\.\d+)?) *min")
FALSE_ALARM = 0.05
"""Probability that a constant flux is cut into blocks at all (Scargle et al. 2013, ApJ 764, 167, from its eq. 21)."""


@dataclass(frozen=True)
class RunCounts:
    """Counts of one run and the events that the assumed spectrum predicts."""

    run: str
    start_mjd: float
    stop_mjd: float
    live_time_s: float
    n_on: int
    n_off: int
    alpha: float
    predicted: float
    from_tev: float


def run_counts(dataset: Any, spectrum: Any) -> RunCounts:
    """Count one run, and what the spectrum (gammapy model) predicts for it."""
    from gammapy.modeling.models import SkyModel

    dataset.models = [SkyModel(spectral_model=spectrum, name="source")]
    total = on_off.totals([dataset])
    background = total.n_on - total.excess
    return RunCounts(
        run=str(dataset.name),
        start_mjd=float(dataset.gti.time_start.utc.mjd.min()),
        stop_mjd=float(dataset.gti.time_stop.utc.mjd.max()),
        live_time_s=float(dataset.exposure.meta["livetime"].to_value("s")),
        n_on=total.n_on,
        n_off=total.n_off,
        alpha=background / total.n_off if total.n_off > 0 else on_off.nominal_alpha(dataset),
        predicted=float(dataset.npred_signal().data[dataset.mask].sum()),
        from_tev=on_off.used_range([dataset])[0],
    )


def edges_of(by: str | Sequence[float], observations: Sequence[Any]) -> Floats | None:
    """Return the edges (MJD) of bins that cut runs; None for points that are made of whole runs."""
    if not isinstance(by, str):
        edges = np.asarray(by, dtype=np.float64)
        if edges.ndim != 1 or len(edges) < 2 or not np.all(np.diff(edges) > 0):
            raise InputError(f"the edges of a light curve are rising times in MJD, not {by!r}")
        return edges
    minutes = MINUTES.fullmatch(by.strip())
    if minutes is None:
        if by not in BINNINGS:
            raise unknown("binning", by, (*BINNINGS, "10 min"))
        return None
    width = float(minutes[1]) / 1440.0
    nights: dict[int, list[float]] = {}
    for observation in observations:
        start, stop = (float(t.utc.mjd) for t in (observation.gti.time_start.min(), observation.gti.time_stop.max()))
        nights.setdefault(morning(start), []).extend((start, stop))
    parts = [
        min(times) + width * np.arange(np.ceil((max(times) - min(times)) / width) + 1) for times in nights.values()
    ]
    return np.sort(np.concatenate(parts))


def within(observations: Sequence[Any], start_mjd: float, stop_mjd: float) -> list[Any]:
    """Return the parts of observations within an interval of time; parts shorter than a second are left out."""
    from astropy.time import Time

    interval = Time([start_mjd, stop_mjd], format="mjd", scale="utc")
    found = []
    for observation in observations:
        first, last = observation.gti.time_start.utc.mjd.min(), observation.gti.time_stop.utc.mjd.max()
        if last > start_mjd and first < stop_mjd:
            part = observation.select_time(interval)
            if part.gti.table is not None and len(part.gti.table) and part.gti.time_sum.to_value("s") > 1.0:
                found.append(part)
    return found


def grouped(runs: Sequence[RunCounts], by: str, model_flux: float) -> dict[str, list[RunCounts]]:
    """Return the runs of each point by its label."""
    groups: dict[str, list[RunCounts]] = {}
    if by == "blocks":
        return blocks(sorted(runs, key=lambda run: run.start_mjd), model_flux)
    for run in runs:
        groups.setdefault(run.run if by == "run" else str(morning(run.start_mjd)), []).append(run)
    return groups


def blocks(runs: Sequence[RunCounts], model_flux: float) -> dict[str, list[RunCounts]]:
    """Group runs, in order of time, into Bayesian blocks of their fluxes.

    The errors are those that the mean flux expects: with the observed ones, runs that fluctuate down would rule.
    """
    from astropy.stats import bayesian_blocks

    if len(runs) < 2:
        return {run.run: [run] for run in runs}
    level = sum(run.n_on - run.alpha * run.n_off for run in runs) / max(sum(run.predicted for run in runs), 1e-9)
    expected = np.array([max(level * run.predicted, 0.5) for run in runs])
    background = np.array([run.alpha * run.n_off for run in runs])
    scale = np.array([model_flux / run.predicted if run.predicted > 0 else np.nan for run in runs])
    usable = np.isfinite(scale)
    kept = [run for run, good in zip(runs, usable, strict=True) if good]
    flux = np.array([run.n_on - run.alpha * run.n_off for run in kept]) * scale[usable]
    alpha = np.array([run.alpha for run in kept])
    error = scale[usable] * np.sqrt(
        expected[usable] + background[usable] + alpha * np.maximum(background[usable], alpha)
    )
    middle = np.array([0.5 * (run.start_mjd + run.stop_mjd) for run in kept])
    edges = bayesian_blocks(middle, flux / model_flux, error / model_flux, fitness="measures", p0=FALSE_ALARM)
    place = np.clip(np.searchsorted(edges, middle, side="right") - 1, 0, len(edges) - 2)
    groups: dict[str, list[RunCounts]] = {}
    for run, block in zip(kept, place, strict=True):
        groups.setdefault(f"block {block + 1}", []).append(run)
    return groups


def morning(mjd: float) -> int:
    """Night of a time as the MJD of its morning: noon to noon UTC."""
    return int(np.floor(mjd + 0.5))
