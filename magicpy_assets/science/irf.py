"""Instrument responses from simulated gammas: effective area, energy dispersion, and the background of a field.

Everything is at one offset from the camera centre (ring wobble). Energies in GeV, angles in deg, areas in m². pyirf
does the counting; what is added here is how few simulations are made to last: bins that grow where gammas are rare, and
simulations chosen around the zenith distance of the run, or interpolated to it (:mod:`magicpy_assets.science.zenith`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from magicpy_assets.core.errors import InputError
from magicpy_assets.science.cuts import Cuts

Floats = NDArray[np.float64]

TRUE_EDGES_GEV: Floats = np.geomspace(10.0, 1e5, 41)
"""10 bins per decade of true energy."""
MIGRATION_EDGES: Floats = np.geomspace(0.2, 5.0, 51)
"""Estimated over true energy."""
OFFSET_EDGES_DEG: Floats = np.array([0.3, 0.5])
"""One bin around the wobble offset of 0.4° at which the gammas are simulated."""
MIN_SELECTED = 60
"""Selected gammas in a bin of effective area: bins grow until they have as many (error at most 13 %)."""
MIN_MIGRATION = 150
"""Gammas behind the energy dispersion at one true energy."""
MAX_MIGRATION_DEX = 0.3
ZENITH_HALF_WIDTH = 0.05
"""Simulations within this of the run's cos(zenith distance) are used, if they are enough."""
MIN_WINDOW_EVENTS = 1500
POINT_LIKE, FULL_ENCLOSURE = "point-like", "full-enclosure"
KINDS = (POINT_LIKE, FULL_ENCLOSURE)
"""With the direction cut and an on radius, or without it and with a PSF."""
RAD_EDGES_DEG: Floats = np.concatenate([np.arange(0.0, 0.3, 0.02), np.arange(0.3, 1.001, 0.1)])
"""Distance from the true direction in the PSF."""
THRESHOLD_FRACTION = 0.1
EDGE_FACTOR = 1.3


@dataclass(frozen=True)
class Gammas:
    """Simulated gammas after reconstruction, arrays (n,): energies in GeV, θ to the true direction in deg."""

    true_energy_gev: Floats
    energy_gev: Floats
    theta_deg: Floats
    hadronness: Floats
    zd_deg: Floats

    def __len__(self) -> int:
        return len(self.true_energy_gev)

    def where(self, mask: NDArray[np.bool_]) -> Gammas:
        """Return those gammas."""
        return Gammas(*(getattr(self, name)[mask] for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class Thrown:
    """All simulated showers before the trigger, arrays (m,), thrown evenly over a disc of `area_m2`."""

    energy_gev: Floats
    zd_deg: Floats
    area_m2: float

    def where(self, mask: NDArray[np.bool_]) -> Thrown:
        """Return those showers."""
        return replace(self, energy_gev=self.energy_gev[mask], zd_deg=self.zd_deg[mask])


@dataclass(frozen=True)
class ZenithWindow:
    """Range of cos(zenith distance) from which simulations are taken."""

    cos_low: float
    cos_high: float

    def holds(self, zd_deg: Floats) -> NDArray[np.bool_]:
        """Tell which zenith distances lie inside."""
        cosine = np.cos(np.radians(zd_deg))
        inside: NDArray[np.bool_] = (cosine >= self.cos_low) & (cosine <= self.cos_high)
        return inside

    @property
    def text(self) -> str:
        """The range in degrees."""
        high, low = (float(np.degrees(np.arccos(min(1.0, cosine)))) for cosine in (self.cos_low, self.cos_high))
        return f"MC zenith {low:.1f}-{high:.1f} deg"


@dataclass(frozen=True)
class Responses:
    """Responses at one offset, with the direction cut (point-like) or without it (full-enclosure, which has a PSF).

    `area_m2` (n_true,), `dispersion` (n_true, n_migration) as probability density, `psf` (n_true, n_rad) per solid
    angle (sr⁻¹), `threshold_gev` and `ceiling_gev` the energies between which the area can be trusted. `n_gammas`
    passed the cuts; `zenith_nodes_deg` are the zenith distances between which was interpolated, none with one window.
    """

    true_edges_gev: Floats
    area_m2: Floats
    migration_edges: Floats
    dispersion: Floats
    cuts: Cuts
    threshold_gev: float
    ceiling_gev: float
    window: ZenithWindow
    n_gammas: int
    psf: Floats | None = None
    zenith_nodes_deg: tuple[float, ...] = ()

    @property
    def kind(self) -> str:
        """Point-like or full-enclosure."""
        return POINT_LIKE if self.psf is None else FULL_ENCLOSURE

    @property
    def text(self) -> str:
        """Which simulations they are of, short enough for a header card."""
        nodes = " and ".join(f"{node:.1f}" for node in self.zenith_nodes_deg)
        return self.window.text + (f", interpolated between {nodes}" if nodes else "")

    @property
    def identity(self) -> str:
        """Twelve hexadecimal digits that are the same for the same numbers."""
        arrays = [self.area_m2, self.dispersion.ravel(), self.true_edges_gev, self.migration_edges]
        digest = hashlib.sha256(self.cuts.identity.encode())
        for values in (*arrays, *(() if self.psf is None else (self.psf.ravel(),))):
            digest.update(np.asarray(values, dtype="<f8").tobytes())
        return digest.hexdigest()[:12]


def zenith_window(gammas: Gammas, zd_deg: float) -> ZenithWindow:
    """Choose simulations around a zenith distance: within 0.05 in its cosine, wider until 1500 gammas are inside."""
    centre = float(np.cos(np.radians(zd_deg)))
    distance = np.sort(np.abs(np.cos(np.radians(gammas.zd_deg)) - centre))
    if distance.size == 0:
        raise InputError("no simulated gammas: no responses can be made")
    enough = distance[min(MIN_WINDOW_EVENTS, distance.size) - 1]
    half = max(ZENITH_HALF_WIDTH, float(enough) + 1e-9)
    return ZenithWindow(centre - half, centre + half)


def select(gammas: Gammas, cuts: Cuts, kind: str = POINT_LIKE) -> Gammas:
    """Return the gammas that pass the cuts of a kind of response."""
    kept = cuts.keep_gammas(gammas.energy_gev, gammas.hadronness)
    if kind == POINT_LIKE:
        kept &= cuts.keep_directions(gammas.energy_gev, gammas.theta_deg)
    return gammas.where(kept)


def make_responses(gammas: Gammas, thrown: Thrown, cuts: Cuts, zd_deg: float, kind: str = POINT_LIKE) -> Responses:
    """Make the responses for a run at a mean zenith distance, from the simulations in a window around it.

    `gammas` are all reconstructed gammas of the same simulations as `thrown`; both are cut to the same zenith window.

    Raises
    ------
    InputError
        If too few gammas pass the cuts to say anything.
    """
    return responses_in(zenith_window(gammas, zd_deg), gammas, thrown, cuts, kind)


def responses_in(window: ZenithWindow, gammas: Gammas, thrown: Thrown, cuts: Cuts, kind: str = POINT_LIKE) -> Responses:
    """Make the responses from the simulations of a zenith window."""
    selected = select(gammas.where(window.holds(gammas.zd_deg)), cuts, kind)
    all_thrown = thrown.where(window.holds(thrown.zd_deg))
    area = effective_area(selected.true_energy_gev, all_thrown)
    threshold, ceiling = trusted_range(area, all_thrown.energy_gev)
    return Responses(
        true_edges_gev=TRUE_EDGES_GEV,
        area_m2=area,
        migration_edges=MIGRATION_EDGES,
        dispersion=energy_dispersion(selected),
        cuts=cuts,
        threshold_gev=threshold,
        ceiling_gev=ceiling,
        window=window,
        n_gammas=len(selected),
        psf=point_spread(selected) if kind == FULL_ENCLOSURE else None,
    )


def effective_area(selected_gev: Floats, thrown: Thrown) -> Floats:
    """Effective area (m²) in the bins of :data:`TRUE_EDGES_GEV`.

    Selected over thrown gammas times the area thrown over, in bins merged upwards until each holds 60 selected ones,
    and from there linearly in log E back to the fine bins. Zero outside the energies thrown.
    """
    import astropy.units as u
    from pyirf.irf import effective_area as selected_share

    n_selected = np.histogram(selected_gev, TRUE_EDGES_GEV)[0]
    n_thrown = np.histogram(thrown.energy_gev, TRUE_EDGES_GEV)[0]
    used = np.flatnonzero(_covered(thrown.energy_gev) & (n_thrown > 0))
    if used.size == 0 or n_selected.sum() < MIN_SELECTED:
        raise InputError(
            f"{n_selected.sum()} of {n_thrown.sum()} simulated gammas pass the cuts: too few for an effective area"
        )
    groups = _merge(n_selected, used)
    selected, all_thrown = (np.array([counts[group].sum() for group in groups]) for counts in (n_selected, n_thrown))
    area = selected_share(selected, all_thrown, thrown.area_m2 * u.m**2).to_value("m2")
    log_centre = np.log10(np.sqrt(TRUE_EDGES_GEV[1:] * TRUE_EDGES_GEV[:-1]))
    nodes = np.array([np.average(log_centre[group], weights=n_thrown[group]) for group in groups])
    fine: Floats = np.zeros(len(n_thrown))
    fine[used] = np.interp(log_centre[used], nodes, area)
    return fine


def _covered(thrown_gev: Floats) -> NDArray[np.bool_]:
    """Bins whose logarithmic centre lies inside the energies thrown: one that is barely touched says nothing."""
    if thrown_gev.size == 0:
        return np.zeros(len(TRUE_EDGES_GEV) - 1, dtype=bool)
    centre = np.sqrt(TRUE_EDGES_GEV[1:] * TRUE_EDGES_GEV[:-1])
    inside: NDArray[np.bool_] = (centre >= thrown_gev.min()) & (centre <= thrown_gev.max())
    return inside


def _merge(n_selected: NDArray[np.int64], used: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Group neighbouring bins, from high energies down, so that each group has enough events.

    Below the peak of the selected events bins stay single: there few events mean a small area, not few simulations.
    """
    peak = used[int(np.argmax(n_selected[used]))]
    groups: list[list[int]] = []
    for index in used[::-1]:
        if groups and index >= peak and n_selected[groups[-1]].sum() < MIN_SELECTED:
            groups[-1].append(int(index))
        else:
            groups.append([int(index)])
    return [np.array(sorted(group)) for group in reversed(groups)]


def trusted_range(area_m2: Floats, thrown_gev: Floats) -> tuple[float, float]:
    """Energies (GeV) from where the area passes 10 % of its maximum up to the highest energy thrown.

    Both stay away from the ends of the simulated energies by twice the energy resolution (a factor 1.3): beyond them
    there are real gammas, which migrate in, and no simulated ones.
    """
    first = int(np.argmax(area_m2 > THRESHOLD_FRACTION * area_m2.max()))
    low = max(float(TRUE_EDGES_GEV[first]), EDGE_FACTOR * float(thrown_gev.min()))
    return low, float(thrown_gev.max()) / EDGE_FACTOR


def energy_dispersion(selected: Gammas) -> Floats:
    """Density of estimated over true energy (n_true, n_migration), each row with area 1 or all zero.

    At each true energy from the gammas within half a bin, or within as much as it takes to have 150 of them, at most
    0.3 in log10 E: the shape of the dispersion changes slowly, gammas are few at high energies.
    """
    import astropy.units as u
    from astropy.table import QTable
    from pyirf.irf import energy_dispersion as dispersion_of

    chosen, true_gev = _near(selected)
    ratio = selected.energy_gev[chosen] / selected.true_energy_gev[chosen]
    events = QTable(
        {
            "true_energy": true_gev * u.GeV,
            "reco_energy": true_gev * np.clip(ratio, *(MIGRATION_EDGES[[0, -1]] * [1 + 1e-9, 1 - 1e-9])) * u.GeV,
            "true_source_fov_offset": np.full(len(true_gev), OFFSET_EDGES_DEG.mean()) * u.deg,
        }
    )
    matrix = dispersion_of(events, TRUE_EDGES_GEV * u.GeV, OFFSET_EDGES_DEG * u.deg, MIGRATION_EDGES)
    return np.asarray(matrix, dtype=np.float64)[:, :, 0]


def point_spread(selected: Gammas) -> Floats:
    """Density per solid angle (sr⁻¹) of distances from the true direction (n_true, n_rad), each row with integral 1.

    From the same gammas as the energy dispersion. Gammas beyond 1° are left out.
    """
    import astropy.units as u
    from astropy.table import QTable
    from pyirf.irf import psf_table

    chosen, true_gev = _near(selected)
    events = QTable(
        {
            "true_energy": true_gev * u.GeV,
            "theta": selected.theta_deg[chosen] * u.deg,
            "true_source_fov_offset": np.full(len(true_gev), OFFSET_EDGES_DEG.mean()) * u.deg,
        }
    )
    table = psf_table(events, TRUE_EDGES_GEV * u.GeV, RAD_EDGES_DEG * u.deg, OFFSET_EDGES_DEG * u.deg)
    return np.asarray(table.to_value("sr-1"), dtype=np.float64)[:, 0, :]


def _near(selected: Gammas) -> tuple[NDArray[np.int64], Floats]:
    """Gammas for each true energy of the fine bins: their indices, and the energy (GeV) that they stand for."""
    log_true, log_edges = np.log10(selected.true_energy_gev), np.log10(TRUE_EDGES_GEV)
    indices, centres = [], []
    for low, high in pairwise(log_edges):
        distance = np.abs(log_true - 0.5 * (low + high))
        reach = np.sort(distance)[min(MIN_MIGRATION, len(distance)) - 1] if len(distance) else 0.0
        near = np.flatnonzero(distance <= np.clip(reach, 0.5 * (high - low), MAX_MIGRATION_DEX))
        indices.append(near)
        centres.append(np.full(near.size, 10 ** (0.5 * (low + high))))
    return np.concatenate(indices), np.concatenate(centres)
