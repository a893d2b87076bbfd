"""The shards of the event library: what each holds, as `tables/shards.csv` says, and the showers thrown for it.

Hadrons are listed by pointing window, for data and for OFF fields, counted in seconds of sky; gamma rays for training
and test, counted in showers. Each shard has a seed of its own, so no shower is in two of them.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass, fields
from functools import cache
from importlib import resources

import numpy as np

from magicpy_assets.core import zeniths
from magicpy_assets.core.errors import InputError, unknown
from magicpy_assets.observatory.primaries import Thrown, hadrons, ring_gammas, track_azimuth_deg

SECONDS_PER_PIECE = 10.0
SHOWERS_PER_PIECE = 500


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
    from_track_deg: float | None = None
    """How far in azimuth gamma rays are from the rising track of the hadrons; those that ship come from all sides."""

    @property
    def pieces(self) -> int:
        """Number of pieces it is made in."""
        return round(self.amount / (SECONDS_PER_PIECE if self.kind == "hadron" else SHOWERS_PER_PIECE))

    @property
    def az_deg(self) -> tuple[float, float]:
        """Lowest and highest azimuth to which the telescopes point for gamma rays."""
        if self.from_track_deg is None:
            return 0.0, 360.0
        high, low = track_azimuth_deg(np.array(self.zd_deg))
        return float(low) - self.from_track_deg, float(high) + self.from_track_deg

    def thrown(self, piece: int) -> Thrown:
        """Return the showers of one piece, the same at every call."""
        rng = np.random.default_rng([self.seed, piece])
        if self.kind == "hadron":
            return hadrons(SECONDS_PER_PIECE, self.zd_deg, self.energy_gev, self.radius_m, self.cores, rng)
        return ring_gammas(
            SHOWERS_PER_PIECE, self.zd_deg, self.energy_gev, self.index, self.radius_m, self.cores, rng,
            self.from_track_deg,
        )  # fmt: skip

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
