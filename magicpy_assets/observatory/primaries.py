"""What arrives from the sky: fluxes of cosmic rays, and draws of showers to simulate.

Fluxes per m² s sr GeV. Hadrons are drawn with their natural spectra, so that every event counts once; far cores and
wide angles, which matter at high energies only, are left out at low ones and the sky time is counted accordingly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from magicpy_assets.science.site import LATITUDE_DEG

Floats = NDArray[np.float64]

CONE_DEG = 4.5
"""Hadrons come from directions within this angle of the pointing."""
TRACK_DECLINATION_DEG = 22.0
"""Declination of the fields whose rising track the hadrons are made for."""
WOBBLE_DEG = 0.4


@dataclass(frozen=True)
class CosmicRay:
    """A power-law flux: `norm` at 1 TeV (per m² s sr GeV), spectral `index`."""

    kind: str
    norm: float
    index: float

    def integral(self, low_gev: float, high_gev: float) -> float:
        """Return the flux between two energies (per m² s sr)."""
        g = self.index - 1
        return self.norm * 1000.0 / g * ((low_gev / 1000.0) ** -g - (high_gev / 1000.0) ** -g)


PROTONS = CosmicRay("proton", 0.096e-3, 2.70)
HELIUM = CosmicRay("helium", 0.0719e-3, 2.64)
HADRONS = (PROTONS, HELIUM)


@dataclass(frozen=True)
class Thrown:
    """Showers to simulate: kind, energy (GeV), pointing and direction (zd, az in deg), cores (n, K, 2 in m)."""

    kind: NDArray[np.str_]
    energy_gev: Floats
    pointing_deg: Floats
    toward_deg: Floats
    cores_m: Floats

    def __len__(self) -> int:
        return len(self.energy_gev)


def power_law(low: float, high: float, index: float, n: int, rng: np.random.Generator) -> Floats:
    """Draw n energies from E^-index between two energies."""
    u, g = rng.random(n), 1.0 - index
    if abs(g) < 1e-9:
        return np.asarray(low * (high / low) ** u)
    return np.asarray((low**g + u * (high**g - low**g)) ** (1.0 / g))


def reach(energy_gev: Floats) -> tuple[Floats, Floats]:
    """Return the shares of the full radius and cone that hold over 99 % of the hadron events at an energy."""
    x = np.clip(np.log(energy_gev / 100.0) / math.log(30.0), 0.0, 1.0)
    return 0.65 + 0.35 * x, 0.60 + 0.40 * x


def throws_per_second(ray: CosmicRay, low_gev: float, high_gev: float, radius_m: float, cores: int) -> float:
    """Return how many draws of a shower with that many cores make one second of sky."""
    solid_angle = 2 * math.pi * (1 - math.cos(math.radians(CONE_DEG)))
    return ray.integral(low_gev, high_gev) * math.pi * radius_m**2 * solid_angle / cores


def track_azimuth_deg(zd_deg: Floats) -> Floats:
    """Return the azimuth at which a field of the track's declination rises through a zenith distance."""
    phi, dec = math.radians(LATITUDE_DEG), math.radians(TRACK_DECLINATION_DEG)
    altitude = np.radians(90.0 - zd_deg)
    cosine = (math.sin(dec) - np.sin(altitude) * math.sin(phi)) / (np.cos(altitude) * math.cos(phi))
    return np.asarray(np.degrees(np.arccos(np.clip(cosine, -1, 1))))


def hadrons(
    seconds: float,
    zd_deg: tuple[float, float],
    energy_gev: tuple[float, float],
    radius_m: float,
    cores: int,
    rng: np.random.Generator,
) -> Thrown:
    """Draw the protons and helium nuclei of some seconds of sky, pointing along the rising track."""
    kinds, energies = [], []
    for ray in HADRONS:
        n = rng.poisson(seconds * throws_per_second(ray, *energy_gev, radius_m, cores))
        drawn = power_law(*energy_gev, ray.index, n, rng)
        radius, cone = reach(drawn)
        drawn = drawn[rng.random(n) < radius**2 * cone**2]
        energies.append(drawn)
        kinds.append(np.full(len(drawn), ray.kind))
    energy, kind = np.concatenate(energies), np.concatenate(kinds)
    zd = rng.uniform(*zd_deg, len(energy))
    pointing = np.column_stack([zd, track_azimuth_deg(zd)])
    radius, cone = reach(energy)
    angle = np.arccos(1 - rng.random(len(energy)) * (1 - np.cos(np.radians(CONE_DEG * cone))))
    toward = tilted(pointing, angle, rng.uniform(0, 2 * math.pi, len(energy)))
    return Thrown(kind, energy, pointing, toward, disc_cores(toward, radius_m * radius, cores, rng))


def ring_gammas(
    n: int,
    zd_deg: tuple[float, float],
    energy_gev: tuple[float, float],
    index: float,
    radius_m: float,
    cores: int,
    rng: np.random.Generator,
    from_track_deg: float | None = None,
) -> Thrown:
    """Draw gamma rays from a ring around the pointing, uniform in the cosine of zenith distance and in azimuth.

    With `from_track_deg` the pointing is at most as far in azimuth from the rising track.
    """
    low, high = np.cos(np.radians(zd_deg))
    zd = np.degrees(np.arccos(rng.uniform(high, low, n)))
    if from_track_deg is None:
        az = rng.uniform(0.0, 360.0, n)
    else:
        az = track_azimuth_deg(zd) + rng.uniform(-from_track_deg, from_track_deg, n)
    pointing = np.column_stack([zd, az])
    toward = tilted(pointing, np.full(n, math.radians(WOBBLE_DEG)), rng.uniform(0, 2 * math.pi, n))
    energy = power_law(*energy_gev, index, n, rng)
    return Thrown(np.full(n, "gamma"), energy, pointing, toward, disc_cores(toward, np.full(n, radius_m), cores, rng))


def tilted(pointing_deg: Floats, angle_rad: Floats, phi_rad: Floats) -> Floats:
    """Return directions (n, 2: zd, az in deg) at an angle from the pointing, turned by phi from rising altitude."""
    zd, az = np.radians(pointing_deg).T
    axis = np.column_stack([np.sin(zd) * np.sin(az), np.sin(zd) * np.cos(az), np.cos(zd)])
    up = np.column_stack([-np.cos(zd) * np.sin(az), -np.cos(zd) * np.cos(az), np.sin(zd)])
    side = np.column_stack([np.cos(az), -np.sin(az), np.zeros(len(az))])
    offset = np.cos(phi_rad)[:, None] * up + np.sin(phi_rad)[:, None] * side
    toward = np.cos(angle_rad)[:, None] * axis + np.sin(angle_rad)[:, None] * offset
    return np.column_stack(
        [np.degrees(np.arccos(np.clip(toward[:, 2], -1, 1))), np.degrees(np.arctan2(toward[:, 0], toward[:, 1])) % 360]
    )


def disc_cores(toward_deg: Floats, radius_m: Floats, cores: int, rng: np.random.Generator) -> Floats:
    """Draw cores uniformly in a disc across the shower axis and slide them along it to the ground, (n, cores, 2)."""
    n = len(toward_deg)
    zd, az = np.radians(toward_deg).T
    r = radius_m[:, None] * np.sqrt(rng.random((n, cores)))
    phi = rng.uniform(0, 2 * math.pi, (n, cores))
    along, across = r * np.cos(phi) / np.cos(zd)[:, None], r * np.sin(phi)
    sin, cos = np.sin(az)[:, None], np.cos(az)[:, None]
    return np.stack([along * sin + across * cos, along * cos - across * sin], axis=-1)


def impact_m(cores_m: Floats, toward_deg: Floats) -> Floats:
    """Return the distance of the shower axis from the middle between the telescopes, for cores (n, ..., 2)."""
    zd, az = np.radians(toward_deg).T
    shape = (len(zd),) + (1,) * (cores_m.ndim - 2)
    sin, cos = np.sin(az).reshape(shape), np.cos(az).reshape(shape)
    along = cores_m[..., 0] * sin + cores_m[..., 1] * cos
    across = cores_m[..., 0] * cos - cores_m[..., 1] * sin
    return np.asarray(np.hypot(along * np.cos(zd).reshape(shape), across))
