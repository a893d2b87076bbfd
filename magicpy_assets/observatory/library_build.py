"""Making of the event library: `build` makes its shards from nothing, piece by piece, in several processes.

It goes on where it was stopped: pieces that are there already are not made again.
"""

from __future__ import annotations

import logging
import lzma
import os
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import fields
from pathlib import Path

import numpy as np

from magicpy_assets.core.progress import announce
from magicpy_assets.observatory import emission, emission_tables
from magicpy_assets.observatory.library import SUFFIX, pack, shipped_folder, unpack
from magicpy_assets.observatory.shards import Shard, shard, shards
from magicpy_assets.observatory.showers import ShowerImages, shoot

logger = logging.getLogger(__name__)


def build(folder: Path, names: Iterable[str] | None = None, processes: int | None = None) -> list[Path]:
    """Make shards (all by default) in a folder; pieces that are there already are not made again.

    Without the emission tables, they are made first, in the package: showers are simulated with those alone.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not emission.is_there():
        emission_tables.build(shipped_folder() / emission.FILE)
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
    np.savez_compressed(temporary, **pack(images))
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
        np.savez(file, **pack(images))
    temporary.replace(path)
    thrown = len(item.all_thrown())
    logger.info("%s: %d events of %d showers, %.1f MB", item.name, len(images), thrown, path.stat().st_size / 1e6)


def _piece(folder: Path, item: Shard, piece: int) -> ShowerImages:
    with np.load(_piece_path(folder, item.name, piece)) as found:
        return unpack(found)


def _renumbered(images: ShowerImages, offset: int) -> ShowerImages:
    values = {item.name: getattr(images, item.name) for item in fields(images)}
    return ShowerImages(**(values | {"shower": images.shower + offset}))
