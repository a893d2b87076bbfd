"""The event library: simulated events without noise, shipped with the package; nights and Monte Carlo are made of them.

Its shards are listed in :mod:`magicpy_assets.observatory.shards`, a file each; they are made by
:mod:`magicpy_assets.observatory.library_build`.
"""

from __future__ import annotations

import hashlib
import io
import lzma
from dataclasses import fields, replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from magicpy_assets.core.errors import InputError, MissingInputError
from magicpy_assets.observatory.shards import Shard, shard, shards
from magicpy_assets.observatory.showers import E_PAR_SHARE, MIN_PHE, MODEL, MODEL_VERSION, PIXEL_FIELDS, ShowerImages
from magicpy_assets.science.camera import PITCH_MM, PIXEL_X_MM, PIXEL_Y_MM, pixel_of

TIME_STEP_NS = 0.4
SUFFIX = ".npz.xz"
MOVE_PITCHES = 4
"""How far, in pixels, showers are moved that are used again."""


def shipped_folder() -> Path:
    """Return the folder of the library that ships with the package."""
    return Path(str(resources.files("magicpy_assets.observatory").joinpath("library")))


def _file(name: str) -> Path:
    return shipped_folder() / f"{name}{SUFFIX}"


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
        return unpack(found)


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


def pack(images: ShowerImages) -> dict[str, Any]:
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


def unpack(found: np.lib.npyio.NpzFile) -> ShowerImages:
    """Turn what `pack` returned, as it was written, into events."""
    packed = ("start", "pixel_step", "phe_low", "phe_high", "time_step")
    values = {name: found[name] for name in found.files if name not in packed}
    return ShowerImages(
        start=np.concatenate([[0], np.cumsum(found["start"], dtype=np.int64)]),
        pixel=np.cumsum(found["pixel_step"], dtype=np.uint16),
        phe=found["phe_low"] + (found["phe_high"].astype(np.uint16) << 8),
        time_ns=found["time_step"].astype(np.float32) * np.float32(TIME_STEP_NS),
        **values,
    )
