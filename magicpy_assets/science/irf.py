"""Instrument responses from simulated gammas: effective area, energy dispersion, point spread, at one zenith distance.

Everything is at one offset from the camera centre (ring wobble). Energies in GeV, angles in deg, areas in m². A few
thousand gammas have to serve for all energies and zenith distances, so no response is that of one narrow bin: the share
of gammas that is seen is a smooth function of energy and zenith distance (:mod:`magicpy_assets.science.seen_share`),
and the energy dispersion is that of neighbouring gammas, moved to where it is asked for. Azimuth is not a dimension.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from magicpy_assets.core.errors import InputError
from magicpy_assets.science.cuts import Cuts
from magicpy_assets.science.seen_share import seen_share

Floats = NDArray[np.float64]

TRUE_EDGES_GEV: Floats = np.geomspace(10.0, 1e5, 81)
"""20 bins per decade of true energy: an area that rises by a factor of two from one to the next is still a line."""
MIGRATION_EDGES: Floats = np.geomspace(0.2, 5.0, 51)
"""Estimated over true energy."""
OFFSET_EDGES_DEG: Floats = np.array([0.3, 0.5])
"""One bin around the wobble offset of 0.4° at which the gammas are simulated."""
MIN_SELECTED = 60
"""Gammas that have to pass the cuts for any responses to be made."""
MIN_MIGRATION = 400
"""Gammas behind the energy dispersion at one true energy: its mean is good to 1 %."""
MAX_MIGRATION_DEX = 0.3
USUAL_MIGRATION = 0.7
"""Gammas whose logarithm of estimated over true energy is farther from the median do not say how it changes."""
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
class Responses:
    """Responses at one offset, with the direction cut (point-like) or without it (full-enclosure, which has a PSF).

    `area_m2` (n_true,), `dispersion` (n_true, n_migration) as probability density, `psf` (n_true, n_rad) per solid
    angle (sr⁻¹), `threshold_gev` and `ceiling_gev` the energies between which the area can be trusted. They hold at
    `zd_deg`; `n_gammas` passed the cuts, of simulations between the zenith distances `zd_range_deg`.
    """

    true_edges_gev: Floats
    area_m2: Floats
    migration_edges: Floats
    dispersion: Floats
    cuts: Cuts
    threshold_gev: float
    ceiling_gev: float
    zd_deg: float
    zd_range_deg: tuple[float, float]
    n_gammas: int
    psf: Floats | None = None

    @property
    def kind(self) -> str:
        """Point-like or full-enclosure."""
        return POINT_LIKE if self.psf is None else FULL_ENCLOSURE

    @property
    def text(self) -> str:
        """Which simulations they are of, short enough for a header card."""
        return "MC zenith {:.1f}-{:.1f} deg, at {:.1f}".format(*self.zd_range_deg, self.zd_deg)

    @property
    def identity(self) -> str:
        """Twelve hexadecimal digits that are the same for the same numbers."""
        arrays = [self.area_m2, self.dispersion.ravel(), self.true_edges_gev, self.migration_edges]
        digest = hashlib.sha256(self.cuts.identity.encode())
        for values in (*arrays, *(() if self.psf is None else (self.psf.ravel(),))):
            digest.update(np.asarray(values, dtype="<f8").tobytes())
        return digest.hexdigest()[:12]


def select(gammas: Gammas, cuts: Cuts, kind: str = POINT_LIKE) -> Gammas:
    """Return the gammas that pass the cuts of a kind of response."""
    kept = cuts.keep_gammas(gammas.energy_gev, gammas.hadronness)
    if kind == POINT_LIKE:
        kept &= cuts.keep_directions(gammas.energy_gev, gammas.theta_deg)
    return gammas.where(kept)


def make_responses(gammas: Gammas, thrown: Thrown, cuts: Cuts, zd_deg: float, kind: str = POINT_LIKE) -> Responses:
    """Make the responses at a zenith distance, from simulations around it.

    `gammas` are all reconstructed gammas of the same simulations as `thrown`. Beyond the zenith distances thrown, the
    responses are those of the nearest.

    Raises
    ------
    InputError
        If too few gammas pass the cuts to say anything.
    """
    selected = select(gammas, cuts, kind)
    if len(selected) < MIN_SELECTED:
        raise InputError(
            f"{len(selected)} of {len(thrown.energy_gev)} simulated gammas pass the cuts: too few for responses"
        )
    lowest, highest = float(thrown.zd_deg.min()), float(thrown.zd_deg.max())
    at_deg = float(np.clip(zd_deg, lowest, highest))
    area = effective_area(selected, thrown, at_deg)
    threshold, ceiling = trusted_range(area, thrown.energy_gev)
    chosen, true_gev, ratio = _near(selected, at_deg)
    return Responses(
        true_edges_gev=TRUE_EDGES_GEV,
        area_m2=area,
        migration_edges=MIGRATION_EDGES,
        dispersion=energy_dispersion(true_gev, ratio),
        cuts=cuts,
        threshold_gev=threshold,
        ceiling_gev=ceiling,
        zd_deg=at_deg,
        zd_range_deg=(lowest, highest),
        n_gammas=len(selected),
        psf=point_spread(true_gev, selected.theta_deg[chosen]) if kind == FULL_ENCLOSURE else None,
    )


def effective_area(selected: Gammas, thrown: Thrown, zd_deg: float) -> Floats:
    """Effective area (m²) at the centres of the bins of :data:`TRUE_EDGES_GEV`; zero outside the energies thrown."""
    share = seen_share(selected.true_energy_gev, selected.zd_deg, thrown.energy_gev, thrown.zd_deg)
    return thrown.area_m2 * share(np.sqrt(TRUE_EDGES_GEV[1:] * TRUE_EDGES_GEV[:-1]), zd_deg)


def trusted_range(area_m2: Floats, thrown_gev: Floats) -> tuple[float, float]:
    """Energies (GeV) from where the area passes 10 % of its maximum up to the highest energy thrown.

    Both stay away from the ends of the simulated energies by twice the energy resolution (a factor 1.3): beyond them
    there are real gammas, which migrate in, and no simulated ones.
    """
    first = int(np.argmax(area_m2 > THRESHOLD_FRACTION * area_m2.max()))
    low = max(float(TRUE_EDGES_GEV[first]), EDGE_FACTOR * float(thrown_gev.min()))
    return low, float(thrown_gev.max()) / EDGE_FACTOR


def energy_dispersion(true_gev: Floats, ratio: Floats) -> Floats:
    """Density of estimated over true energy (n_true, n_migration), each row with area 1 or all zero.

    `true_gev` are the energies that the gammas stand for, `ratio` their estimated over true energy, (n,).
    """
    import astropy.units as u
    from astropy.table import QTable
    from pyirf.irf import energy_dispersion as dispersion_of

    inside = np.clip(ratio, *(MIGRATION_EDGES[[0, -1]] * [1 + 1e-9, 1 - 1e-9]))
    events = QTable(
        {
            "true_energy": true_gev * u.GeV,
            "reco_energy": true_gev * inside * u.GeV,
            "true_source_fov_offset": np.full(len(true_gev), OFFSET_EDGES_DEG.mean()) * u.deg,
        }
    )
    matrix = dispersion_of(events, TRUE_EDGES_GEV * u.GeV, OFFSET_EDGES_DEG * u.deg, MIGRATION_EDGES)
    return np.asarray(matrix, dtype=np.float64)[:, :, 0]


def point_spread(true_gev: Floats, theta_deg: Floats) -> Floats:
    """Density per solid angle (sr⁻¹) of distances from the true direction (n_true, n_rad), each row with integral 1.

    `true_gev` are the energies that the gammas stand for. Gammas beyond 1° are left out.
    """
    import astropy.units as u
    from astropy.table import QTable
    from pyirf.irf import psf_table

    events = QTable(
        {
            "true_energy": true_gev * u.GeV,
            "theta": theta_deg * u.deg,
            "true_source_fov_offset": np.full(len(true_gev), OFFSET_EDGES_DEG.mean()) * u.deg,
        }
    )
    table = psf_table(events, TRUE_EDGES_GEV * u.GeV, RAD_EDGES_DEG * u.deg, OFFSET_EDGES_DEG * u.deg)
    return np.asarray(table.to_value("sr-1"), dtype=np.float64)[:, 0, :]


def _near(selected: Gammas, zd_deg: float) -> tuple[NDArray[np.int64], Floats, Floats]:
    """Gammas for each true energy of the bins: indices, the energy (GeV) they stand for, estimated over true energy.

    Of each bin those within it, or within as much as it takes to have 400 of them, at most 0.3 in log10 E. How the
    logarithm of estimated over true energy changes with energy and zenith distance is fitted to them (a plane), and
    each is moved along it to bin and zenith distance: near the threshold only gammas that look bright are seen.
    """
    log_true = np.log10(selected.true_energy_gev)
    tilt = np.cos(np.radians(selected.zd_deg)) - np.cos(np.radians(zd_deg))
    log_ratio = np.log(selected.energy_gev / selected.true_energy_gev)
    indices, centres, ratios = [], [], []
    for low, high in pairwise(np.log10(TRUE_EDGES_GEV)):
        away = log_true - 0.5 * (low + high)
        distance = np.abs(away)
        reach = np.sort(distance)[min(MIN_MIGRATION, len(distance)) - 1]
        near = np.flatnonzero(distance <= np.clip(reach, 0.5 * (high - low), MAX_MIGRATION_DEX))
        indices.append(near)
        centres.append(np.full(near.size, 10 ** (0.5 * (low + high))))
        ratios.append(np.exp(_moved(log_ratio[near], away[near], tilt[near])))
    return np.concatenate(indices), np.concatenate(centres), np.concatenate(ratios)


def _moved(log_ratio: Floats, *away: Floats) -> Floats:
    """Move values (n,) to where all `away` are zero, along the plane that fits those of the usual size."""
    if len(log_ratio) < MIN_SELECTED:
        return log_ratio
    slopes = np.column_stack(away)
    usual = np.abs(log_ratio - np.median(log_ratio)) < USUAL_MIGRATION
    plane = np.column_stack([np.ones(len(slopes)), slopes])
    fitted = np.linalg.lstsq(plane[usual], log_ratio[usual], rcond=None)[0]
    return np.asarray(log_ratio - slopes @ fitted[1:], dtype=np.float64)
