"""From gammapy observations to on/off counts per energy: axes, regions, energy thresholds, stacking.

This is the one place that knows what an analysis like MAGIC's needs of gammapy; where events are counted is said by
:mod:`magicpy_assets.science.regions`. Spectrum and light curve start from here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from magicpy_assets.core.errors import InputError
from magicpy_assets.science import regions
from magicpy_assets.science.field import Neighbour, neighbours

BINS_PER_DECADE_RECO = 10
BINS_PER_DECADE_TRUE = 20
TRUE_RANGE_TEV = (0.01, 100.0)
RECO_FLOOR_TEV = 0.05
"""Below, the energy-dependent on regions of MAGIC are so large that three off regions overlap at 0.4°."""
RECO_CEILING_TEV = 50.0
THRESHOLD_FRACTION = 0.1


@dataclass(frozen=True)
class EnergyRange:
    """Range of estimated energy in TeV that may be used."""

    low_tev: float
    high_tev: float


def safe_range(observation: Any, position_deg: tuple[float, float] | None = None) -> EnergyRange:
    """Energies at which the effective area can be trusted.

    From LO_THRES and HI_THRES of the effective area where the file gives them, else from where the area passes 10 % of
    its maximum to where it ends. Evaluated at the offset of the source at `position_deg` (ra, dec ICRS), by default of
    the object that the file names, or at the nearest offset that there is.
    """
    aeff = observation.aeff
    energy = aeff.axes["energy_true"]
    area = _area_at(observation, position_deg or _object_of(observation))
    used = np.flatnonzero(area > THRESHOLD_FRACTION * area.max())
    if used.size == 0:
        raise InputError(f"run {observation.obs_id}: the effective area is zero at all energies")
    low = float(energy.edges_min[used[0]].to_value("TeV"))
    high = float(energy.edges_max[np.flatnonzero(area > 0)[-1]].to_value("TeV"))
    low = float(aeff.meta.get("LO_THRES") or low)
    high = float(aeff.meta.get("HI_THRES") or high)
    return EnergyRange(low, high)


def _object_of(observation: Any) -> tuple[float, float]:
    cards = observation.events.table.meta
    return tuple(float(cards.get(f"{name}_OBJ", cards[f"{name}_PNT"])) for name in ("RA", "DEC"))  # type: ignore[return-value]


def _area_at(observation: Any, position_deg: tuple[float, float]) -> Any:
    """Effective area at the offset of a position, by true energy; beyond the offsets of the file that of the last."""
    import astropy.units as u

    aeff = observation.aeff
    offsets = aeff.axes["offset"].center.to_value("deg")
    offset = float(np.clip(regions.offset_deg(observation, position_deg), offsets.min(), offsets.max()))
    if len(offsets) == 1:
        return aeff.data[:, 0]
    return np.ravel(aeff.evaluate(energy_true=aeff.axes["energy_true"].center, offset=offset * u.deg).to_value("m2"))


def peak_energy_tev(observations: Sequence[Any], index: float = 2.6) -> float:
    """Return the true energy (TeV) at which the rate of gamma rays with the spectrum E^-index peaks, after cuts.

    This is what is called the energy threshold; at an offset of 0.4°, the wobble distance.
    """
    import astropy.units as u

    energy = np.geomspace(0.03, 20, 600)
    rate = np.zeros_like(energy)
    for observation in observations:
        area = observation.aeff.evaluate(energy_true=energy * u.TeV, offset=0.4 * u.deg).to_value("m2")
        rate += np.ravel(area) * energy ** (1 - index)  # per logarithm of energy
    return float(energy[int(np.argmax(rate))])


def reduce(
    observations: Sequence[Any],
    position_deg: tuple[float, float],
    *,
    energy_range_tev: tuple[float | None, float | None] = (None, None),
    n_off: int = 3,
    edge_tev: float = 1.0,
    factors: tuple[float, float] = (1.0, 1.0),
    avoid: Sequence[Neighbour] | None = None,
) -> Any:
    """Return gammapy Datasets with one on/off spectrum per observation.

    Each has its safe range as mask: the energies of :func:`safe_range` cut to `energy_range_tev` (None: no further
    cut), rounded inwards to the common axis of 10 bins per decade, of which `edge_tev` is an edge.
    `factors` scale the estimated energies of all events, and the background, to see what wrong ones would do. Off
    regions that hold one of the sources `avoid` (by default the known ones of the field) are not used.

    Raises
    ------
    InputError
        If there are no observations or no energy is left.
    OutOfRangeError
        If the off regions overlap.
    """
    from gammapy.datasets import Datasets

    if len(observations) == 0:
        raise InputError("no observations: there is nothing to analyse", hint="look at the run selection")
    axis = _reco_axis(edge_tev)
    scaled = observations if factors[0] == 1.0 else [_scaled(one, factors[0]) for one in observations]
    others = neighbours(position_deg) if avoid is None else tuple(avoid)
    radius_deg = regions.psf_radius_deg(observations, position_deg)
    datasets = []
    for one in scaled:
        region = regions.on_region(one, position_deg, radius_deg)
        dataset = regions.with_off_counts(_on_counts(one, region, axis), one, n_off, others)
        dataset.mask_safe = _mask(one, dataset, position_deg, energy_range_tev)
        dataset.acceptance_off.data = dataset.acceptance_off.data / factors[1]
        datasets.append(dataset)
    return Datasets(datasets)


def _scaled(observation: Any, factor: float) -> Any:
    """Return an observation whose events have other energies."""
    from gammapy.data import EventList

    table = observation.events.table.copy()
    table["ENERGY"] = table["ENERGY"] * factor
    return observation.copy(in_memory=True, events=EventList(table))


def stacked(datasets: Any, groups: Mapping[int, str] | None = None) -> Any:
    """Stack runs, those of each group into one dataset; without groups all of them.

    The W statistic finds the background of each bin of each dataset from its off counts. Where these are few it takes
    signal for background, and the more so the finer the data are cut: runs of 15 to 20 minutes, fitted jointly, give a
    flux that is too low and a spectrum too soft (docs/results.md has numbers). Runs whose on regions differ in kind
    (fixed and energy-dependent radius) are left alone; the very same object comes back when nothing is stacked.
    """
    from gammapy.datasets import Datasets

    if not groups:
        return _stacked(datasets, "stacked")
    named = {
        label: [d for d in datasets if groups.get(int(d.name), "") == label] for label in sorted(set(groups.values()))
    }
    left = [dataset for dataset in datasets if int(dataset.name) not in groups]
    parts = [_stacked(Datasets(part), label) for label, part in named.items() if part]
    return Datasets([dataset for part in (*parts, left) for dataset in part])


def _stacked(datasets: Any, name: str) -> Any:
    """Stack runs into one dataset; its on/off ratio is that of the exposures, weighted with the time of the runs."""
    from gammapy.datasets import Datasets

    one_kind = len({type(dataset.counts.geom.region).__name__ for dataset in datasets}) == 1
    if len(datasets) < 2 or not one_kind:
        return datasets
    together = datasets.stack_reduce(name=name)
    weights = [float(dataset.gti.time_sum.to_value("s")) for dataset in datasets]
    # gammapy finds the stacked on/off ratio from the off counts, which fails where there are none
    off_per_on = float(np.average([1 / nominal_alpha(dataset) for dataset in datasets], weights=weights))
    together.acceptance.data = np.ones_like(together.acceptance.data)
    together.acceptance_off.data = np.full_like(together.acceptance_off.data, off_per_on)
    return Datasets([together])


@dataclass(frozen=True)
class Totals:
    """On and off counts inside the masks, summed over runs; `significance` after Li & Ma 1983, eq. 17."""

    n_on: int
    n_off: int
    excess: float
    significance: float


def totals(datasets: Any) -> Totals:
    """Add up the counts of on/off datasets inside their masks; runs of different on/off ratio are weighted."""
    from magicpy_assets.science.theta2 import li_ma

    on = sum(float(d.counts.data[d.mask].sum()) for d in datasets)
    off = sum(float(d.counts_off.data[d.mask].sum()) for d in datasets)
    background = sum(float(d.background.data[d.mask].sum()) for d in datasets)
    alpha = background / off if off > 0 else nominal_alpha(datasets[0])
    return Totals(int(on), int(off), on - background, li_ma(int(on), int(off), alpha))


def nominal_alpha(dataset: Any) -> float:
    """On/off ratio of exposure of a dataset, from its acceptances (median over energies: it is the same in all)."""
    return float(np.median(dataset.acceptance.data / np.maximum(dataset.acceptance_off.data, 1e-12)))


def used_range(datasets: Any) -> tuple[float, float]:
    """Lowest and highest estimated energy (TeV) that any dataset may use."""
    lows, highs = zip(*(_masked_range(dataset) for dataset in datasets), strict=True)
    return min(lows), max(highs)


def energy_edges(datasets: Any, per_decade: int) -> Any:
    """Edges (Quantity, TeV) for flux points: `per_decade` to the decade over the range of :func:`used_range`."""
    import astropy.units as u

    low, high = used_range(datasets)
    edges = datasets[0].counts.geom.axes["energy"].edges.to_value("TeV")
    usable = edges[(edges > low * 0.999) & (edges < high * 1.001)]
    chosen = np.union1d(usable[:: BINS_PER_DECADE_RECO // per_decade], usable[-1:])
    return chosen * u.TeV


def _masked_range(dataset: Any) -> tuple[float, float]:
    axis = dataset.counts.geom.axes["energy"]
    used = np.flatnonzero(dataset.mask_safe.data.ravel())
    return float(axis.edges_min[used[0]].to_value("TeV")), float(axis.edges_max[used[-1]].to_value("TeV"))


def _on_counts(observation: Any, region: Any, reco: Any) -> Any:
    """Counts of one observation in its on region, with exposure and energy dispersion, as a SpectrumDataset.

    The exposure of full-enclosure responses is that of the share of gamma rays which the region holds.
    """
    from gammapy.datasets import SpectrumDataset
    from gammapy.makers import SpectrumDatasetMaker
    from gammapy.maps import MapAxis, RegionGeom

    true = MapAxis.from_energy_bounds(
        *TRUE_RANGE_TEV, BINS_PER_DECADE_TRUE, per_decade=True, unit="TeV", name="energy_true"
    )
    geom = RegionGeom.create(region, axes=[reco])
    empty = SpectrumDataset.create(geom=geom, energy_axis_true=true, name=str(observation.obs_id))
    maker = SpectrumDatasetMaker(
        containment_correction=not regions.is_point_like(observation),
        selection=["counts", "exposure", "edisp"],
        use_region_center=True,
    )
    return maker.run(empty, observation)


def _reco_axis(edge_tev: float) -> Any:
    """Axis of estimated energy, 10 bins per decade, with an edge at `edge_tev`: the same for every run."""
    from gammapy.maps import MapAxis

    first = np.ceil(BINS_PER_DECADE_RECO * np.log10(RECO_FLOOR_TEV / edge_tev) - 1e-6)
    last = np.floor(BINS_PER_DECADE_RECO * np.log10(RECO_CEILING_TEV / edge_tev) + 1e-6)
    edges = edge_tev * 10.0 ** (np.arange(first, last + 1) / BINS_PER_DECADE_RECO)
    return MapAxis.from_energy_edges(edges, unit="TeV", name="energy")


def _mask(
    observation: Any, dataset: Any, position_deg: tuple[float, float], wanted: tuple[float | None, float | None]
) -> Any:
    """Mask of the bins that lie wholly inside the safe and wanted energies."""
    from gammapy.maps import RegionNDMap

    safe = safe_range(observation, position_deg)
    low = max(safe.low_tev, wanted[0] or 0.0)
    high = min(safe.high_tev, wanted[1] or np.inf)
    axis = dataset.counts.geom.axes["energy"]
    inside = (axis.edges_min.to_value("TeV") > low * 0.999) & (axis.edges_max.to_value("TeV") < high * 1.001)
    if not inside.any():
        raise InputError(
            f"run {observation.obs_id}: no energy bin between {low:.3g} and {high:.3g} TeV",
            hint=f"this run can be used from {safe.low_tev:.3g} to {safe.high_tev:.3g} TeV",
        )
    return RegionNDMap.from_geom(dataset.counts.geom, data=inside[:, np.newaxis, np.newaxis])
