"""Showers as images: given primaries and pointings, the photo-electrons of every event in both cameras, free of noise.

Images are sparse: a pixel is kept if it or a neighbour holds at least `CORE_PHE` photo-electrons; the others are far
below what cleaning can see. An event is kept only if both telescopes hold at least `MIN_PHE` photo-electrons in
clusters, that is in pixels of at least `CLUSTER_PHE` that touch another such pixel. Both rules hold for every primary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cache

import numpy as np
from numba import njit
from numpy.typing import NDArray

from magicpy_assets.core.errors import unknown
from magicpy_assets.observatory import cascade, emission
from magicpy_assets.science.camera import N_PIXELS, NEIGHBOURS

Floats = NDArray[np.float64]

MODEL = "mini shower MC, hybrid transport (not CORSIKA, not MAGIC's official simulation)"
MODEL_VERSION = 1
MIN_PHE = 300
CLUSTER_PHE = 4
CORE_PHE = 5
KINDS = {"gamma": cascade.PHOTON, "electron": cascade.ELECTRON, "proton": cascade.NUCLEON, "helium": cascade.HELIUM}
E_PAR_SHARE = 1 / 200
E_PAR_RANGE_GEV = (1.0, 100.0)
EFFICIENCY_FULL = 0.092
"""Quantum efficiency x collection x reflectivity x shadowing, mean over 300-600 nm, tuned once on the threshold."""
EFFICIENCY_HYBRID = 0.089
"""The same for tabulated light, set so that the light pool agrees with following every particle."""


@dataclass(frozen=True)
class ShowerImages:
    """Events without noise, in compressed-row form: the pixels of event i lie at `start[i]:start[i + 1]`.

    `pixel` (uint16), `phe` (uint16) and `time_ns` (float32, relative to the mean of the telescope's image) run over
    the lit pixels of M1, then M2, of each event; `split[i]` counts those of M1. The other arrays have a row per
    event: energy (GeV), pointing and direction of the shower (deg, azimuth from north through east), core relative
    to the middle between the telescopes (m east, north), number of the shower, index of the primary in the request.
    """

    start: NDArray[np.int64]
    split: NDArray[np.int32]
    pixel: NDArray[np.uint16]
    phe: NDArray[np.uint16]
    time_ns: NDArray[np.float32]
    kind: NDArray[np.uint8]
    energy_gev: NDArray[np.float32]
    pointing_zd_deg: NDArray[np.float32]
    pointing_az_deg: NDArray[np.float32]
    zd_deg: NDArray[np.float32]
    az_deg: NDArray[np.float32]
    core_east_m: NDArray[np.float32]
    core_north_m: NDArray[np.float32]
    shower: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.split)

    def take(self, index: NDArray[np.int64]) -> ShowerImages:
        """Return some of the events, in the order asked for."""
        index = np.asarray(index, dtype=np.int64)
        lengths = self.start[index + 1] - self.start[index]
        start = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        where = np.repeat(self.start[index] - start[:-1], lengths) + np.arange(start[-1])
        values = {
            item.name: getattr(self, item.name)[where if item.name in PIXEL_FIELDS else index]
            for item in fields(self)
            if item.name != "start"
        }
        return ShowerImages(start=start, **values)

    @classmethod
    def joined(cls, parts: Sequence[ShowerImages]) -> ShowerImages:
        """Return the events of several sets, one after another."""
        if not parts:
            return cls.empty()
        offsets = np.cumsum([0] + [part.start[-1] for part in parts])
        start = np.concatenate([[0], *(part.start[1:] + offset for part, offset in zip(parts, offsets, strict=False))])
        values = {
            item.name: np.concatenate([getattr(part, item.name) for part in parts])
            for item in fields(cls)
            if item.name != "start"
        }
        return cls(start=start.astype(np.int64), **values)

    @classmethod
    def empty(cls) -> ShowerImages:
        """Return no events."""
        dtypes = {"split": np.int32, "pixel": np.uint16, "phe": np.uint16, "kind": np.uint8, "shower": np.int64}
        values = {
            item.name: np.empty(0, dtype=dtypes.get(item.name, np.float32))
            for item in fields(cls)
            if item.name != "start"
        }
        return cls(start=np.zeros(1, dtype=np.int64), **values)


PIXEL_FIELDS = ("pixel", "phe", "time_ns")


def e_par_of(energy_gev: float, share: float = E_PAR_SHARE) -> float:
    """Return the energy (GeV) below which particles of a shower are not followed; 0 for share 0."""
    if share == 0:
        return 0.0
    low, high = E_PAR_RANGE_GEV
    return min(max(energy_gev * share, low), high)


def direction(zd_deg: float, az_deg: float) -> Floats:
    """Return the unit vector (east, north, up) towards a place on the sky."""
    zd, az = np.radians(zd_deg), np.radians(az_deg)
    return np.array([np.sin(zd) * np.sin(az), np.sin(zd) * np.cos(az), np.cos(zd)])


def frame(zd_deg: float, az_deg: float) -> Floats:
    """Return pointing, direction of rising altitude and direction of rising azimuth as rows (3, 3)."""
    zd, az = np.radians(zd_deg), np.radians(az_deg)
    up = [-np.cos(zd) * np.sin(az), -np.cos(zd) * np.cos(az), np.sin(zd)]
    return np.array([direction(zd_deg, az_deg), up, [np.cos(az), -np.sin(az), 0.0]])


def shoot(
    kind: str | NDArray[np.str_],
    energy_gev: Floats,
    pointing_deg: Floats,
    toward_deg: Floats,
    cores_m: Floats,
    seed: int,
    *,
    e_par_share: float = E_PAR_SHARE,
    min_phe: float = MIN_PHE,
    first_shower: int = 0,
) -> ShowerImages:
    """Simulate showers, each seen with several cores, and keep the events that both telescopes see.

    Parameters
    ----------
    kind
        `gamma`, `electron`, `proton` or `helium`, one for all or one each.
    energy_gev
        (n,)
    pointing_deg, toward_deg
        Zenith distance and azimuth of the pointing and of where the shower comes from, (n, 2).
    cores_m
        Cores on the ground, east and north of the middle between the telescopes, (n, K, 2).
    e_par_share
        Particles below this share of the energy are not followed; 0 follows all.

    Raises
    ------
    UnknownNameError
        For a kind that cannot be simulated.
    """
    kinds = np.broadcast_to(np.asarray(kind), np.shape(energy_gev))
    for name in np.unique(kinds):
        if name not in KINDS:
            raise unknown("primary", str(name), KINDS)
    tables = emission.tables() if e_par_share else emission.no_tables()
    efficiency = EFFICIENCY_HYBRID if e_par_share else EFFICIENCY_FULL
    counts = np.zeros((cores_m.shape[1], 2, N_PIXELS))
    times = np.zeros_like(counts)
    seeds = np.random.SeedSequence(seed).generate_state(len(energy_gev))
    kept = _Kept()
    for i, energy in enumerate(energy_gev):
        counts[:] = 0
        times[:] = 0
        cascade.shower(
            KINDS[str(kinds[i])],
            float(energy),
            direction(*toward_deg[i]),
            np.ascontiguousarray(cores_m[i]),
            frame(*pointing_deg[i]),
            efficiency,
            e_par_of(float(energy), e_par_share),
            tables,
            _stack(),
            counts,
            times,
            int(seeds[i]),
        )
        for k in np.flatnonzero([seen_by_both(counts[k], min_phe) for k in range(len(counts))]):
            kept.add(
                counts[k],
                times[k],
                (KINDS[str(kinds[i])], energy, *pointing_deg[i], *toward_deg[i], *cores_m[i, k], first_shower + i),
            )
    return kept.images()


class _Kept:
    """Collects the sparse images of the events that are kept."""

    def __init__(self) -> None:
        self.sparse: list[tuple[NDArray[np.uint16], NDArray[np.uint16], NDArray[np.float32]]] = []
        self.split: list[int] = []
        self.truth: list[tuple[float, ...]] = []

    def add(self, counts: Floats, times: Floats, truth: tuple[float, ...]) -> None:
        """Keep one event: counts and summed times (2, 1039), and its truth."""
        telescopes = [sparse(counts[tel], times[tel]) for tel in range(2)]
        self.sparse += telescopes
        self.split.append(len(telescopes[0][0]))
        self.truth.append(truth)

    def images(self) -> ShowerImages:
        """Return what was kept."""
        if not self.split:
            return ShowerImages.empty()
        lengths = np.array([len(pixels) for pixels, _, _ in self.sparse]).reshape(-1, 2).sum(axis=1)
        truth = np.array(self.truth, dtype=np.float64).T
        return ShowerImages(
            start=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            split=np.array(self.split, dtype=np.int32),
            pixel=np.concatenate([pixels for pixels, _, _ in self.sparse]),
            phe=np.concatenate([phe for _, phe, _ in self.sparse]),
            time_ns=np.concatenate([time for _, _, time in self.sparse]),
            kind=truth[0].astype(np.uint8),
            energy_gev=truth[1].astype(np.float32),
            pointing_zd_deg=truth[2].astype(np.float32),
            pointing_az_deg=truth[3].astype(np.float32),
            zd_deg=truth[4].astype(np.float32),
            az_deg=truth[5].astype(np.float32),
            core_east_m=truth[6].astype(np.float32),
            core_north_m=truth[7].astype(np.float32),
            shower=truth[8].astype(np.int64),
        )


@njit(cache=True)
def clustered_phe(counts: Floats) -> float:
    """Return the photo-electrons of one camera (1039,) in pixels that are in a cluster."""
    total = 0.0
    for i in range(N_PIXELS):
        if counts[i] >= CLUSTER_PHE:
            for j in NEIGHBOURS[i]:
                if j >= 0 and counts[j] >= CLUSTER_PHE:
                    total += counts[i]
                    break
    return total


@njit(cache=True)
def seen_by_both(counts: Floats, min_phe: float) -> bool:
    """Tell whether both cameras (2, 1039) hold enough clustered photo-electrons."""
    return counts[0].sum() >= min_phe and clustered_phe(counts[0]) >= min_phe and clustered_phe(counts[1]) >= min_phe


@njit(cache=True)
def sparse(counts: Floats, times: Floats) -> tuple[NDArray[np.uint16], NDArray[np.uint16], NDArray[np.float32]]:
    """Turn one camera into lit pixels, photo-electrons and mean times (ns) relative to the mean of the image."""
    lit = counts >= CORE_PHE
    total = summed = 0.0
    for i in range(N_PIXELS):
        total += counts[i]
        summed += times[i]
        if 0 < counts[i] < CORE_PHE:
            for j in NEIGHBOURS[i]:
                if j >= 0 and counts[j] >= CORE_PHE:
                    lit[i] = True
                    break
    where = np.flatnonzero(lit)
    pixels, phe = np.empty(len(where), np.uint16), np.empty(len(where), np.uint16)
    when = np.empty(len(where), np.float32)
    for n in range(len(where)):
        i = where[n]
        pixels[n] = i
        phe[n] = min(int(counts[i]), 65535)
        when[n] = times[i] / counts[i] - summed / total
    return pixels, phe, when


@cache
def _stack() -> Floats:
    """Room for the particles of one shower, made once for each process."""
    return np.empty((cascade.STACK_SIZE, cascade.STACK_COLUMNS))
