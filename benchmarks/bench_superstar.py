"""Time superstar against just reading its input: `python benchmarks/bench_superstar.py [events]`.

Makes star files of one run from the event library, each shower as often as need be, and puts them together by the
program's entry point. Reading and the whole program run in turn in one process; times are processor seconds, of which
the shortest counts. Takes about half a minute.
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

from magicpy_assets.engine.__main__ import main as engine
from magicpy_assets.engine.superstar import matched, reconstruct
from magicpy_assets.formats.calibrated import RUN_TYPE_DATA, RunInfo
from magicpy_assets.formats.star import read_events, write_star
from magicpy_assets.observatory.library import open_shard
from magicpy_assets.observatory.telescopes import expose, noise_at
from magicpy_assets.science.cleaning import CleaningCuts
from magicpy_assets.science.hillas import PARAMETERS, parametrise, source_parameters
from magicpy_assets.science.pointing import altaz_of, camera_of

SOURCE_DEG, POINTING_DEG = (83.633, 22.014), (83.633, 22.414)
DAY, FIRST_MS, RATE_HZ = 60_266, 10_000_000, 250.0
SHOWERS = 1500
REPEATS = 5


def star_columns(n: int, telescope: int) -> dict[str, np.ndarray]:
    """Columns of a star file with about n images, of which the other telescope saw most."""
    images = open_shard("hadron_off_24to28").take(np.arange(SHOWERS))
    charge, arrival, _ = expose(images, noise_at(1.0), np.random.default_rng(1))
    found, valid = parametrise(charge[:, telescope - 1], arrival[:, telescope - 1], CleaningCuts())
    repeats = -(-n // SHOWERS)
    # In another order each time: compression would notice plain repetition. The same order for both telescopes.
    rng = np.random.default_rng(2)
    order = np.concatenate([rng.permutation(SHOWERS) for _ in range(repeats)])
    number = np.flatnonzero(valid[order])
    events = dict(zip(PARAMETERS, found[order[number]].T, strict=True))
    ms = FIRST_MS + np.floor(number * 1000 / RATE_HZ)
    mjd = DAY + ms / 86_400_000
    zd, az = altaz_of(*POINTING_DEG, mjd[[0, -1]])
    source_zd, source_az = altaz_of(*SOURCE_DEG, mjd[[0, -1]])
    x, y = camera_of(source_zd, source_az, zd, az)
    events |= {
        "stereo_number": number + 1,
        "daq_number": number + 1,
        "trigger": np.full(len(number), 128),
        "time_diff_s": np.full(len(number), 1 / RATE_HZ),
        "mjd_day": np.full(len(number), DAY),
        "milliseconds": ms.astype(np.int64),
        "nanoseconds": np.zeros(len(number)),
        "sin_delta": np.sin(events["delta_rad"]),
        "cos_delta": np.cos(events["delta_rad"]),
        "pointing_zd_deg": np.interp(mjd, mjd[[0, -1]], zd),
        "pointing_az_deg": np.interp(mjd, mjd[[0, -1]], az),
        "pointing_ra_h": np.full(len(number), POINTING_DEG[0] / 15),
        "pointing_dec_deg": np.full(len(number), POINTING_DEG[1]),
        "source_x_mm": np.interp(mjd, mjd[[0, -1]], x),
        "source_y_mm": np.interp(mjd, mjd[[0, -1]], y),
    }
    return events | source_parameters(events, events["source_x_mm"], events["source_y_mm"])


def seconds(action: Callable[[], object]) -> float:
    """Processor seconds of one call."""
    begin = time.process_time()
    action()
    return time.process_time() - begin


def main() -> None:
    """Print rates and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("events", type=int, nargs="?", default=100_000, help="events of the run")
    n = parser.parse_args().events
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = []
        for telescope in (1, 2):
            paths.append(folder / f"20231119_M{telescope}_05112345.001_I_CrabNebula-W0.40+000.root")
            info = RunInfo(5112345, 1, telescope, RUN_TYPE_DATA, "CrabNebula", *SOURCE_DEG, cards={"SIMULATED": "yes"})
            write_star(paths[-1], info, [star_columns(n, telescope)], provenance={"star": "benchmark"})

        def read() -> None:
            for path in paths:
                read_events(path)

        def whole() -> None:
            flags = [f"--ind{tel}={path}" for tel, path in zip((1, 2), paths, strict=True)]
            with contextlib.redirect_stdout(io.StringIO()) as log:
                assert engine(["superstar", *flags, f"--out={folder}", "-f"]) == 0, log.getvalue()

        whole()
        tables = [read_events(path) for path in paths]
        first, second = matched(*tables)
        events = {f"{key}_1": first[key].to_numpy() for key in first} | {
            f"{key}_2": second[key].to_numpy() for key in second
        }
        times = np.array(
            [
                [
                    seconds(read),
                    seconds(lambda: matched(*tables)),
                    seconds(lambda: reconstruct(events, is_mc=False)),
                    seconds(whole),
                ]
                for _ in range(REPEATS)
            ]
        )
    ratio = np.median(times[:, 3] / times[:, 0])
    print(f"{len(tables[0])} and {len(tables[1])} images, {len(first)} events in both; {REPEATS} repeats")
    for label, best in zip(
        ("reading", "matching", "reconstruction", "all of superstar"), times.min(axis=0), strict=True
    ):
        print(f"{label:18} {best:6.2f} s  {len(first) / best:10.0f} events/s")
    print(f"all against reading: {ratio:.2f} (median)")


if __name__ == "__main__":
    main()
