"""The event library: simulated events without noise, shipped with the package; nights and Monte Carlo are made of them.

Shards are listed in `tables/shards.csv`: hadrons by pointing window, for data and for OFF fields, counted in seconds of
sky; gamma rays for training and test, counted in showers. Each has a seed of its own, so no shower is in two shards.
`build` makes them again from nothing, piece by piece, in several processes, and goes on where it was stopped.
"""

from __future__ import annotations

import csv
import hashlib
import io
import logging
import lzma
import os
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, fields, replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from magicpy_assets.core import zeniths
from magicpy_assets.core.errors import InputError, MissingInputError, unknown
from magicpy_assets.core.progress import announce
from magicpy_assets.observatory import emission
from magicpy_assets.observatory.primaries import Thrown, hadrons, ring_gammas
from magicpy_assets.observatory.showers import (
    E_PAR_SHARE,
    MIN_PHE,
    MODEL,
    MODEL_VERSION,
    PIXEL_FIELDS,
    ShowerImages,
    shoot,
)
from magicpy_assets.science.camera import PITCH_MM, PIXEL_X_MM, PIXEL_Y_MM, pixel_of

logger = logging.getLogger(__name__)

TIME_STEP_NS = 0.4
SUFFIX = ".npz.xz"
SECONDS_PER_PIECE = 10.0
SHOWERS_PER_PIECE = 500
MOVE_PITCHES = 4
"""How far, in pixels, showers are moved that are used again."""


@dataclass(frozen=True)
class Shard:
    """A part of the library: its row in the table."""

    name: str
    kind: str
    use: str
    zenith: str
    zd_deg: tuple[float, float]
    amount: float
    energy_gev: tuple[float, float]
    index: float
    radius_m: float
    cores: int
    seed: int
    az_deg: tuple[float, float] = (0.0, 360.0)
    """Of gamma rays; those that ship come from all sides."""

    @property
    def pieces(self) -> int:
        """Number of pieces it is made in."""
        return round(self.amount / (SECONDS_PER_PIECE if self.kind == "hadron" else SHOWERS_PER_PIECE))

    def thrown(self, piece: int) -> Thrown:
        """Return the showers of one piece, the same at every call."""
        rng = np.random.default_rng([self.seed, piece])
        if self.kind == "hadron":
            return hadrons(SECONDS_PER_PIECE, self.zd_deg, self.energy_gev, self.radius_m, self.cores, rng)
        return ring_gammas(
            SHOWERS_PER_PIECE, self.zd_deg, self.energy_gev, self.index, self.radius_m, self.cores, rng, self.az_deg
        )

    def all_thrown(self) -> Thrown:
        """Return every shower that was thrown for this shard, seen or not, in the order of `ShowerImages.shower`."""
        pieces = [self.thrown(piece) for piece in range(self.pieces)]
        return Thrown(*(np.concatenate([getattr(piece, item.name) for piece in pieces]) for item in fields(Thrown)))


@cache
def shards() -> dict[str, Shard]:
    """Return the shards of the table by name."""
    text = resources.files("magicpy_assets.observatory").joinpath("tables", "shards.csv").read_text(encoding="utf-8")
    found = {}
    for row in csv.DictReader(text.splitlines()):
        found[row["name"]] = Shard(
            name=row["name"],
            kind=row["kind"],
            use=row["use"],
            zenith=row["zenith"],
            zd_deg=(float(row["zd_low_deg"]), float(row["zd_high_deg"])),
            amount=float(row["amount"]),
            energy_gev=(float(row["energy_low_gev"]), float(row["energy_high_gev"])),
            index=float(row["index"] or 0),
            radius_m=float(row["radius_m"]),
            cores=int(row["cores"]),
            seed=int(row["seed"]),
        )
    return found


def shard(name: str) -> Shard:
    """Return the shard with that name."""
    if name not in shards():
        raise unknown("library shard", name, shards())
    return shards()[name]


def find(*, use: str, zenith: str | None = None, zd_deg: float | None = None) -> Shard:
    """Return the shard for a use (`data`, `off`, `mc_train`, `mc_test`) and a zenith range or distance.

    Hadrons are made in windows of a few degrees: of those in the zenith range, the nearest one serves.

    Raises
    ------
    InputError
        If the library has none, with the zenith ranges that it has.
    """
    wanted = zeniths.of(zd_deg).name if zenith is None and zd_deg is not None else zenith
    candidates = [item for item in shards().values() if item.use == use and item.zenith == wanted]
    if not candidates:
        known = ", ".join(sorted({item.zenith for item in shards().values() if item.use == use}))
        raise InputError(f"the event library has no {use} shard for zenith range {wanted}; it has {known}")
    return min(candidates, key=lambda item: abs(0.5 * sum(item.zd_deg) - (zd_deg or 0.0)))


def _folder() -> Path:
    return Path(str(resources.files("magicpy_assets.observatory").joinpath("library")))


def _file(name: str) -> Path:
    return _folder() / f"{name}{SUFFIX}"


@cache
def open_shard(name: str, folder: Path | None = None) -> ShowerImages:
    """Load the events of a shard.

    Raises
    ------
    MissingInputError
        If it has not been made.
    """
    shard(name)
    path = _file(name) if folder is None else folder / f"{name}{SUFFIX}"
    if not path.is_file():
        raise MissingInputError(
            f"the event library has no file {path.name}", hint="make it with `magicpy observatory library build`"
        )
    with lzma.open(path) as file:
        packed = io.BytesIO(file.read())
    with np.load(packed) as found:
        return _unpacked(found)


def sky_slice(item: Shard, begin_s: float, end_s: float) -> tuple[ShowerImages, NDArray[np.float64]]:
    """Return the hadrons that arrive within a slice of sky time, and when they do (s), in order of time.

    Up to the shard's own amount, disjoint slices hold disjoint events. Beyond it the shard begins anew, with the same
    showers at other times. Each use of a shower is moved in both cameras by a few pixels, as if it had come from
    another direction: a shower serves for many places of its core, too, and unmoved they would all point to one spot
    of the sky. So an exposure of hours holds each shower several times, with noise and direction of its own each time.
    """
    if not 0 <= begin_s <= end_s:
        raise InputError(f"there is no slice of the sky from {begin_s:g} to {end_s:g} s")
    first, last = int(begin_s // item.amount), int(np.nextafter(end_s, begin_s) // item.amount)
    parts = [
        _once_around(item, turn, begin_s - turn * item.amount, end_s - turn * item.amount)
        for turn in range(first, last + 1)
    ]
    times = [arrival + turn * item.amount for turn, (_, arrival) in zip(range(first, last + 1), parts, strict=True)]
    return ShowerImages.joined([images for images, _ in parts]), np.concatenate(times)


def _once_around(item: Shard, turn: int, begin_s: float, end_s: float) -> tuple[ShowerImages, NDArray[np.float64]]:
    images = open_shard(item.name)
    rng = np.random.default_rng([item.seed, 10**7, turn] if turn else [item.seed, 10**7])
    arrival = rng.uniform(0, item.amount, len(images))
    vector = rng.integers(0, len(moves()), len(images))
    inside = np.flatnonzero((arrival >= begin_s) & (arrival < end_s))
    order = inside[np.argsort(arrival[inside])]
    return moved(images.take(order), vector[order]), arrival[order]


@cache
def moves() -> NDArray[np.int16]:
    """Return where each pixel goes (-1: out of the camera) by every vector of the lattice up to `MOVE_PITCHES`.

    Shape (61, 1039); the first move leaves everything in place.
    """
    near = np.flatnonzero(np.hypot(PIXEL_X_MM, PIXEL_Y_MM) < (MOVE_PITCHES + 0.1) * PITCH_MM)
    near = near[np.argsort(np.hypot(PIXEL_X_MM[near], PIXEL_Y_MM[near]), kind="stable")]
    return np.array(
        [
            [pixel_of(x + PIXEL_X_MM[k], y + PIXEL_Y_MM[k]) for x, y in zip(PIXEL_X_MM, PIXEL_Y_MM, strict=True)]
            for k in near
        ],
        dtype=np.int16,
    )


def moved(images: ShowerImages, vector: NDArray[np.int64]) -> ShowerImages:
    """Move the images of events in both cameras, each by one of `moves()`; light that leaves a camera is lost."""
    event = np.repeat(np.arange(len(images)), np.diff(images.start))
    pixel = moves()[vector[event], images.pixel]
    kept = pixel >= 0
    first_camera = np.arange(len(event)) < (images.start[:-1] + images.split)[event]
    count = np.bincount(event[kept], minlength=len(images))
    split = np.bincount(event[kept & first_camera], minlength=len(images))
    return replace(
        images,
        start=np.concatenate([[0], np.cumsum(count)]).astype(np.int64),
        split=split.astype(np.int32),
        pixel=pixel[kept].astype(np.uint16),
        phe=images.phe[kept],
        time_ns=images.time_ns[kept],
    )


@cache
def library_id() -> str:
    """Return a short identity of the library that is installed: a hash over the contents of its files."""
    digest = hashlib.sha256(f"{MODEL_VERSION}".encode())
    for name in sorted(shards()):
        path = _file(name)
        digest.update(path.read_bytes() if path.is_file() else b"")
    return digest.hexdigest()[:12]


def cards(item: Shard) -> dict[str, str]:
    """Return what headers say about events of this shard."""
    return {
        "SIMULATED": "yes",
        "SIMULATOR": "embedded observatory of magicpy_assets",
        "MODEL": MODEL,
        "MODEL_VERSION": str(MODEL_VERSION),
        "EPAR": f"E/{1 / E_PAR_SHARE:g}",
        "LIBRARY": f"{item.name} of {library_id()}",
        "MIN_PHE": f"{MIN_PHE}",
        "SEED": f"{item.seed}",
    }


def build(folder: Path, names: Iterable[str] | None = None, processes: int | None = None) -> list[Path]:
    """Make shards (all by default) in a folder; pieces that are there already are not made again.

    Without the emission tables, they are made first, in the package: showers are simulated with those alone.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not emission.is_there():
        emission.build(_folder() / emission.FILE)
    wanted = [shard(name) for name in (names or shards())]
    jobs = [(item.name, piece) for item in wanted for piece in range(item.pieces)]
    jobs = [job for job in jobs if not (folder / f"{job[0]}{SUFFIX}").is_file()]
    done = 0
    with ProcessPoolExecutor(processes) as pool:
        futures = {pool.submit(_build_piece, folder, name, piece): name for name, piece in jobs}
        left = {item.name: item.pieces for item in wanted}
        for future in as_completed(futures):
            future.result()
            done += 1
            announce(len(jobs), done, "event library")
            name = futures[future]
            left[name] -= 1
            if left[name] == 0:
                _merge(folder, shard(name))
    return [folder / f"{item.name}{SUFFIX}" for item in wanted]


def _piece_path(folder: Path, name: str, piece: int) -> Path:
    return folder / ".pieces" / f"{name}.{piece:04d}.npz"


def _build_piece(folder: Path, name: str, piece: int) -> None:
    path = _piece_path(folder, name, piece)
    if path.is_file():
        return
    path.parent.mkdir(exist_ok=True)
    images = make_piece(shard(name), piece)
    temporary = path.with_suffix(f".{os.getpid()}.npz")
    np.savez_compressed(temporary, **_packed(images))
    temporary.replace(path)


def make_piece(item: Shard, piece: int) -> ShowerImages:
    """Simulate one piece of a shard; its showers are numbered within the piece."""
    thrown = item.thrown(piece)
    seed = int(np.random.SeedSequence([item.seed, piece, 1]).generate_state(1)[0])
    return shoot(thrown.kind, thrown.energy_gev, thrown.pointing_deg, thrown.toward_deg, thrown.cores_m, seed)


def simulated(item: Shard) -> ShowerImages:
    """Simulate a whole shard now, in the order of its showers."""
    return _numbered_through(item, (make_piece(item, piece) for piece in range(item.pieces)))


def _numbered_through(item: Shard, pieces: Iterable[ShowerImages]) -> ShowerImages:
    """Join the pieces of a shard, the showers numbered through."""
    parts, offset = [], 0
    for piece, part in enumerate(pieces):
        parts.append(_renumbered(part, offset))
        offset += len(item.thrown(piece))
    return ShowerImages.joined(parts)


def _merge(folder: Path, item: Shard) -> None:
    """Join the pieces of a shard that were kept, its events in random order."""
    images = _numbered_through(item, (_piece(folder, item, piece) for piece in range(item.pieces)))
    images = images.take(np.random.default_rng([item.seed, 10**6]).permutation(len(images)))
    path = folder / f"{item.name}{SUFFIX}"
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with lzma.open(temporary, "wb", preset=9) as file:
        np.savez(file, **_packed(images))
    temporary.replace(path)
    thrown = len(item.all_thrown())
    logger.info("%s: %d events of %d showers, %.1f MB", item.name, len(images), thrown, path.stat().st_size / 1e6)


def _piece(folder: Path, item: Shard, piece: int) -> ShowerImages:
    with np.load(_piece_path(folder, item.name, piece)) as found:
        return _unpacked(found)


def _renumbered(images: ShowerImages, offset: int) -> ShowerImages:
    values = {item.name: getattr(images, item.name) for item in fields(images)}
    return ShowerImages(**(values | {"shower": images.shower + offset}))


def _packed(images: ShowerImages) -> dict[str, Any]:
    """Turn events into arrays that compress well: pixel numbers as differences, times in steps of 0.4 ns."""
    values = {item.name: getattr(images, item.name) for item in fields(images) if item.name not in PIXEL_FIELDS}
    steps = np.clip(np.round(images.time_ns / TIME_STEP_NS), -127, 127).astype(np.int8)
    difference = np.diff(images.pixel, prepend=np.uint16(0))
    return values | {
        "start": np.diff(images.start).astype(np.uint16),
        "pixel_step": difference.astype(np.uint16),
        "phe_low": (images.phe & 255).astype(np.uint8),
        "phe_high": (images.phe >> 8).astype(np.uint8),
        "time_step": steps,
    }


def _unpacked(found: np.lib.npyio.NpzFile) -> ShowerImages:
    packed = ("start", "pixel_step", "phe_low", "phe_high", "time_step")
    values = {name: found[name] for name in found.files if name not in packed}
    return ShowerImages(
        start=np.concatenate([[0], np.cumsum(found["start"], dtype=np.int64)]),
        pixel=np.cumsum(found["pixel_step"], dtype=np.uint16),
        phe=found["phe_low"] + (found["phe_high"].astype(np.uint16) << 8),
        time_ns=found["time_step"].astype(np.float32) * np.float32(TIME_STEP_NS),
        **values,
    )
