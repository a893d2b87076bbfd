"""Time star against just reading the two arrays it needs: `python benchmarks/bench_star.py`.

Both run in turn in one process, so that a busy machine slows both alike; times are processor seconds of one core, so
rates are per core. "All" is the whole program by its entry point: opening, reading, cleaning, parameters, writing.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import uproot

from magicpy_assets.engine.__main__ import main as engine
from magicpy_assets.formats import root_writer
from magicpy_assets.formats.calibrated import Drive, EventChunk, Pedestals, RunInfo, write_calibrated
from magicpy_assets.observatory.library import open_shard
from magicpy_assets.observatory.telescopes import expose, noise_at
from magicpy_assets.science.camera import N_PIXELS
from magicpy_assets.science.cleaning import CleaningCuts
from magicpy_assets.science.hillas import parametrise
from magicpy_assets.science.pointing import altaz_of

NAME = "20201217_M1_05093711.001_Y_CrabNebula-W0.40+035.root"
COMPRESSIONS = {"zlib": uproot.ZLIB(1), "lz4": uproot.LZ4(1), "zstd": uproot.ZSTD(1), "none": None}
ARRAYS = ("MCerPhotEvt.fPixels.fPhot", "MArrivalTime.fData")
DAY = 59_199
RATE_HZ = 250.0


def images(n: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Charges and times (n, 1039) of hadrons as one telescope sees them, each shower as often as need be."""
    shard = open_shard("hadron_off_24to28")
    rng = np.random.default_rng(seed)
    parts, found = [], 0
    while found < n:
        charge, times, triggered = expose(shard.take(rng.integers(0, len(shard), 4000)), noise_at(1.0), rng)
        seen = triggered[:, 0]
        parts.append((charge[seen, 0], times[seen, 0]))
        found += int(seen.sum())
    charge, times = (np.concatenate(columns)[:n] for columns in zip(*parts, strict=True))
    return charge, times


def write(path: Path, charge: np.ndarray, times: np.ndarray, basket: int) -> None:
    """Write a calibrated file with so many events a basket."""
    n = len(charge)
    milliseconds = (np.arange(n) * 1000 / RATE_HZ).astype(np.int64)
    event = {
        "stereo_number": np.arange(n) + 1,
        "daq_number": np.arange(n),
        "trigger": np.full(n, 128),
        "time_diff_s": np.full(n, 1 / RATE_HZ),
        "mjd_day": np.full(n, DAY),
        "milliseconds": milliseconds,
        "nanoseconds": np.zeros(n),
    }
    mjd = DAY + np.arange(-5, n / RATE_HZ + 5) / 86_400
    zd, az = altaz_of(83.6, 22.4, mjd)
    pieces = (slice(first, first + basket) for first in range(0, n, basket))
    write_calibrated(
        path,
        RunInfo(5_093_711, 1, 1, 0, "CrabNebula", 83.633, 22.014),
        (EventChunk(charge[p], times[p], {name: values[p] for name, values in event.items()}) for p in pieces),
        bad_pixels=np.isin(np.arange(N_PIXELS), [3, 77, 500]),
        pedestals=Pedestals(mjd[:3], np.full((3, N_PIXELS), 2, np.float32), np.full((3, N_PIXELS), 1, np.float32)),
        drive=Drive(mjd, zd, az, np.full(len(mjd), 83.6 / 15), np.full(len(mjd), 22.4)),
    )


def read_arrays(path: Path) -> None:
    """Read charges and times, the fastest way that uproot offers, in pieces that fit into memory."""
    with uproot.open(path, handler=uproot.MemmapSource) as file:
        for _ in file["Events"].iterate(ARRAYS, library="ak", step_size=2048):
            pass


def run_star(path: Path, out: Path) -> None:
    with contextlib.redirect_stdout(io.StringIO()) as log:
        code = engine(["star", f"--ind={path}", f"--out={out}", "-f"])
    if code:
        raise SystemExit(log.getvalue())


def seconds(work: Callable[[], object]) -> float:
    begin = time.process_time()
    work()
    return time.process_time() - begin


def in_turn(path: Path, out: Path) -> tuple[float, float]:
    """Return the seconds of just reading, and of star."""
    return seconds(lambda: read_arrays(path)), seconds(lambda: run_star(path, out))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--baskets", type=int, nargs="*", default=[1000, 7], help="events a basket")
    parser.add_argument("--compressions", nargs="*", default=list(COMPRESSIONS), choices=COMPRESSIONS)
    given = parser.parse_args()
    charge, times = images(given.events)
    n = given.events
    parametrise(charge[:10], times[:10], CleaningCuts())
    for name, cuts in {
        "two levels": CleaningCuts(use_sum=False, use_time=False),
        "sum and time": CleaningCuts(),
    }.items():
        took = min(seconds(lambda cuts=cuts: parametrise(charge, times, cuts)) for _ in range(given.repeats))
        print(f"kernel, {name}: {took / n * 1e6:.1f} us an image, {n / took:,.0f} images/s/core")
    print(f"{n} images; median (least to most) of {given.repeats} repeats")
    with tempfile.TemporaryDirectory() as folder:
        for compression in given.compressions:
            for basket in given.baskets:
                root_writer.COMPRESSION = COMPRESSIONS[compression]
                path = Path(folder) / NAME
                write(path, charge, times, basket)
                root_writer.COMPRESSION = COMPRESSIONS["zstd"]
                run_star(path, Path(folder) / "star")
                pairs = np.array([in_turn(path, Path(folder) / "star") for _ in range(given.repeats)])
                ratio = pairs[:, 1] / pairs[:, 0]
                read, star = n / np.median(pairs, axis=0)
                print(
                    f"{compression:5} {basket:5} events a basket, {path.stat().st_size / 1e6:6.1f} MB: "
                    f"reading {read:9,.0f}/s, star {star:9,.0f}/s, star / reading = {np.median(ratio):.2f} "
                    f"({ratio.min():.2f} to {ratio.max():.2f})"
                )


if __name__ == "__main__":
    main()
