"""Gamma-ray Monte Carlo as files: pairs of calibrated files, one per telescope, made from the event library.

Ring wobble: the source lies anywhere on a ring around the middle of the camera. Every thrown shower is in the tree
``OriginalMC``, seen or not, once for each of its uses; the sky is dark.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from magicpy_assets.core import zeniths
from magicpy_assets.core.datalevels import Calibrated
from magicpy_assets.core.runs import McFile
from magicpy_assets.formats.calibrated import (
    MC_STEREO,
    RUN_TYPE_MC,
    EventChunk,
    Pedestals,
    RunInfo,
    Table,
    write_calibrated,
)
from magicpy_assets.observatory import library, library_build, shards, sky
from magicpy_assets.observatory.primaries import WOBBLE_DEG, Thrown, impact_m
from magicpy_assets.observatory.shards import Shard
from magicpy_assets.observatory.showers import ShowerImages
from magicpy_assets.observatory.telescopes import N_SLICES, SAMPLING_MHZ, Noise, expose, noise_at
from magicpy_assets.science import corsika
from magicpy_assets.science.camera import N_PIXELS
from magicpy_assets.science.site import HEIGHT_M, TELESCOPES_EAST_NORTH_M

PERIODS = ("ST0316", "ST0317")
"""Periods with Monte Carlo: the same showers, seen with other noise."""
PAIRS = {"train": 4, "test": 4}
"""Into how many pairs of files the showers of a zenith range go."""

DARK_NSB = 1.0
GAMMA = 1
MC_MONO = 0
"""Trigger pattern of an event that only one of the telescopes saw, inside stereo Monte Carlo."""

EVENTS_PER_BASKET = 1000
_FIRST_RUN = 1_737_000
_WAVELENGTH_NM = (300.0, 600.0)
_NEVER_TRACKED = ("ra_h", "dec_deg", "dev_zd_deg", "dev_az_deg", "dev_ha_h", "dev_dec_deg")


@dataclass(frozen=True)
class Pair:
    """A Monte Carlo run: one file per telescope, with a share of the showers of a zenith range and use."""

    period: str
    zenith: str
    use: str
    run: int
    index: int

    @property
    def shard(self) -> Shard:
        """The shard of the event library that it is made from."""
        return shards.find(use=f"mc_{self.use}", zenith=self.zenith)

    @property
    def showers(self) -> tuple[int, int]:
        """The first of its showers in the shard, and the one after its last."""
        total, pairs = round(self.shard.amount), PAIRS[self.use]
        return self.index * total // pairs, (self.index + 1) * total // pairs

    def file(self, telescope: int) -> McFile:
        """Return the identity of one of its files."""
        return McFile(
            telescope=telescope, zenith=self.zenith, digit=8, run=str(self.run), level=Calibrated, wobble="wr"
        )


def production() -> tuple[Pair, ...]:
    """Return every Monte Carlo run that the archive holds, in the order of run numbers."""
    cases = [(period, zenith.name, use) for period in PERIODS for zenith in zeniths.ALL for use in PAIRS]
    return tuple(
        Pair(period, zenith, use, _FIRST_RUN + 1000 * block + index, index)
        for block, (period, zenith, use) in enumerate(cases, start=1)
        for index in range(PAIRS[use])
    )


def make_pair(pair: Pair, seed: int, folder: Path) -> None:
    """Write the two calibrated files of a Monte Carlo run into a folder, from the event library.

    Raises
    ------
    MissingInputError
        If the event library has not been made.
    """
    write_pair(pair, pair.shard, _images(pair), _thrown(pair), seed, folder)


def make_new_pair(pair: Pair, shard: Shard, seed: int, folder: Path) -> None:
    """Write the two files of a run whose showers are simulated now, as the shard says: as many as one has time for.

    The library holds what a package can carry: some thousand showers, each seen from several places. Studies that ask
    for more accurate responses make their own.
    """
    write_pair(pair, shard, library_build.simulated(shard), shard.all_thrown(), seed, folder)


def write_pair(pair: Pair, shard: Shard, images: ShowerImages, thrown: Thrown, seed: int, folder: Path) -> None:
    """Write the two files of a run that holds the images of given showers; `thrown` are all, seen or not."""
    noise = noise_at(DARK_NSB)
    charge, time, triggered = expose(images, noise, sky.stream(seed, pair.run, "noise"))
    stereo = triggered.all(axis=1)
    stereo_number = np.where(stereo, np.cumsum(stereo), 0)
    for telescope in (1, 2):
        seen = np.flatnonzero(triggered[:, telescope - 1])
        info = RunInfo(
            run=pair.run,
            subrun=1,
            telescope=telescope,
            run_type=RUN_TYPE_MC,
            source_name="",
            source_ra_deg=0.0,
            source_dec_deg=0.0,
            sampling_mhz=SAMPLING_MHZ,
            n_samples=N_SLICES,
            cards=library.cards(shard) | {"NSB": f"{DARK_NSB}"},
        )
        write_calibrated(
            folder / pair.file(telescope).name,
            info,
            (
                _chunk(images, charge, time, stereo_number, telescope, seen, first)
                for first in range(0, len(seen), EVENTS_PER_BASKET)
            ),
            bad_pixels=np.arange(N_PIXELS) == 0,  # pixel 0 is always flagged in MAGIC's Monte Carlo
            pedestals=_pedestals(noise),
            original_mc=_original_mc(thrown, telescope),
            mc_header=_header(shard, len(thrown)),
        )


def _images(pair: Pair) -> ShowerImages:
    """Return the library's events of a pair's showers in the order of showers."""
    images = library.open_shard(pair.shard.name)
    begin, end = pair.showers
    mine = np.flatnonzero((images.shower >= begin) & (images.shower < end))
    return images.take(mine[np.argsort(images.shower[mine], kind="stable")])


@cache
def _all_thrown(shard: str) -> Thrown:
    return shards.shard(shard).all_thrown()


def _thrown(pair: Pair) -> Thrown:
    thrown = _all_thrown(pair.shard.name)
    mine = slice(*pair.showers)
    return Thrown(
        thrown.kind[mine],
        thrown.energy_gev[mine],
        thrown.pointing_deg[mine],
        thrown.toward_deg[mine],
        thrown.cores_m[mine],
    )


def _chunk(
    images: ShowerImages,
    charge: NDArray[np.float32],
    time: NDArray[np.float32],
    stereo_number: NDArray[np.int64],
    telescope: int,
    seen: NDArray[np.int64],
    first: int,
) -> EventChunk:
    these = seen[first : first + EVENTS_PER_BASKET]
    number = stereo_number[these]
    return EventChunk(
        charge_phe=charge[these, telescope - 1],
        time_slices=time[these, telescope - 1],
        event={
            "stereo_number": number,
            "daq_number": np.arange(first, first + len(these)) + 1,
            "trigger": np.where(number > 0, MC_STEREO, MC_MONO),
        },
        mc=_truth(images, these, telescope),
        pointing={
            "zd_deg": images.pointing_zd_deg[these],
            "az_deg": images.pointing_az_deg[these],
            **{name: np.zeros(len(these)) for name in _NEVER_TRACKED},
        },
    )


def _truth(images: ShowerImages, these: NDArray[np.int64], telescope: int) -> Table:
    """Return what was put in, in the frame of CORSIKA; what the library does not keep is not a number."""
    unknown = np.full(len(these), np.nan, dtype=np.float32)
    cores_m = np.column_stack([images.core_east_m[these], images.core_north_m[these]]).astype(np.float64)
    toward_deg = np.column_stack([images.zd_deg[these], images.az_deg[these]]).astype(np.float64)
    x_cm, y_cm = corsika.core_to_corsika_cm(cores_m[:, 0], cores_m[:, 1])
    return {
        "energy_gev": images.energy_gev[these],
        "theta_rad": np.radians(toward_deg[:, 0]),
        "phi_rad": corsika.phi_rad(toward_deg[:, 1]),
        "telescope_theta_rad": np.radians(images.pointing_zd_deg[these]),
        "telescope_phi_rad": corsika.phi_rad(images.pointing_az_deg[these]),
        "particle": np.full(len(these), GAMMA),
        "z_first_cm": unknown,
        "longit_max": unknown,
        "core_x_cm": x_cm,
        "core_y_cm": y_cm,
        "impact_cm": 100.0 * impact_m(cores_m - TELESCOPES_EAST_NORTH_M[telescope - 1], toward_deg),
        "event_number": images.shower[these] + 1,
    }


def _original_mc(thrown: Thrown, telescope: int) -> Table:
    """Return the rows of ``OriginalMC``: every use of every shower that was thrown."""
    cores = thrown.cores_m.shape[1]
    impact = impact_m(thrown.cores_m - TELESCOPES_EAST_NORTH_M[telescope - 1], thrown.toward_deg)
    return {
        "energy_gev": np.repeat(thrown.energy_gev, cores),
        "impact_cm": 100.0 * impact.ravel(),
        "telescope_theta_rad": np.repeat(np.radians(thrown.pointing_deg[:, 0]), cores),
        "telescope_phi_rad": np.repeat(corsika.phi_rad(thrown.pointing_deg[:, 1]), cores),
    }


def _pedestals(noise: Noise) -> Pedestals:
    return Pedestals(
        mjd=np.zeros(1),
        mean_phe=np.full((1, N_PIXELS), noise.mean_phe, dtype=np.float32),
        rms_phe=np.full((1, N_PIXELS), noise.rms_phe, dtype=np.float32),
    )


def _header(shard: Shard, n_showers: int) -> Table:
    """Return what the headers say about the simulation; nothing of it is CORSIKA, so its version is 0."""
    levels = np.zeros(10)
    levels[0] = 100.0 * HEIGHT_M
    all_sides = shard.from_track_deg is None
    phi_deg = (0.0, 360.0) if all_sides else sorted(np.degrees(corsika.phi_rad(shard.az_deg)).tolist())
    values = {
        "slope": -shard.index,
        "energy_low_gev": shard.energy_gev[0],
        "energy_high_gev": shard.energy_gev[1],
        "corsika_version": 0,
        "height_levels_cm": levels,
        "atmospheric_model": 0,
        "telescopes": 2,
        "viewcone_deg": np.zeros(2),
        "offset_deg": WOBBLE_DEG,
        "impact_max_cm": 100.0 * shard.radius_m,
        "n_showers": n_showers * shard.cores,
        "theta_min_deg": shard.zd_deg[0],
        "theta_max_deg": shard.zd_deg[1],
        "phi_min_deg": phi_deg[0],
        "phi_max_deg": phi_deg[1],
        "wavelength_low_nm": _WAVELENGTH_NM[0],
        "wavelength_high_nm": _WAVELENGTH_NM[1],
    }
    return {name: np.asarray(value) for name, value in values.items()}
