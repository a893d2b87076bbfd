"""The lidar: reports of the atmosphere's transparency, as columns of the ``Laser`` tree of calibrated files.

Only the transmissions, the pointing and the return signal follow from the sky; the rest is set to quiet values
(``tables/laser.csv``).
"""

from __future__ import annotations

import csv
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

REPORT_INTERVAL_S = 60.0
_HEIGHTS_KM = (3, 6, 9, 12)
_BINS, _BIN_M = 128, 150.0
_AEROSOL_SCALE_KM = 1.2


def laser_columns(
    day: int, second: float, duration_s: float, zd_deg: float, az_deg: float, transmission_9km: float
) -> dict[str, NDArray[Any]]:
    """Return the lidar's reports during a run: arrays by branch name, one row per report.

    Parameters
    ----------
    day, second
        Modified Julian Day and seconds of UTC in it at the start; the seconds may be negative.
    duration_s
        Length of the run in s.
    zd_deg, az_deg
        Pointing of the telescopes; the lidar looks 5° away from it.
    transmission_9km
        True transmission of aerosols and clouds from 9 km to the ground.
    """
    times = second + np.arange(0.5 * min(REPORT_INTERVAL_S, duration_s), duration_s, REPORT_INTERVAL_S)
    n = len(times)
    text = files("magicpy_assets.observatory").joinpath("tables", "laser.csv").read_text(encoding="utf-8")
    columns: dict[str, NDArray[Any]] = {
        row["branch"]: np.full(n, float(row["value"])).astype(row["dtype"]) for row in csv.DictReader(text.splitlines())
    }
    columns["MTimeLaser.fMjd"] = np.full(n, day, dtype=np.uint32)
    columns["MTimeLaser.fTime.fMilliSec"] = np.round(times * 1000.0).astype(np.int64)
    columns["MReportLaser.fZenith"] = np.full(n, abs(zd_deg - 5.0), dtype=np.float32)
    columns["MReportLaser.fAzimuth"] = np.full(n, az_deg, dtype=np.float32)
    depth = -np.log(transmission_9km)
    share = {
        height: -np.expm1(-height / _AEROSOL_SCALE_KM) / -np.expm1(-9 / _AEROSOL_SCALE_KM) for height in _HEIGHTS_KM
    }
    for height in _HEIGHTS_KM:
        columns[f"MReportLaser.fTransmission{height}km"] = np.full(n, np.exp(-depth * share[height]), dtype=np.float32)
    distance_m = (np.arange(_BINS) + 0.5) * _BIN_M
    signal = 1e8 * np.exp(-distance_m / 8000.0) / distance_m**2
    columns["MReportLaser.fPheCounts"] = np.tile(np.round(signal).astype(np.int32), (n, 1))
    return columns
