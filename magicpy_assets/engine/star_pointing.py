"""Where the telescope pointed at each event, and where in the camera the source then was."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from magicpy_assets.core.errors import InputError
from magicpy_assets.formats.calibrated import DAY_S, Drive, EventChunk, RunInfo
from magicpy_assets.science import corsika
from magicpy_assets.science.pointing import altaz_of, camera_of

Columns = dict[str, NDArray[Any]]

FAR_S = 60.0
_DEVIATIONS = ("dev_zd_deg", "dev_az_deg", "dev_ha_h", "dev_dec_deg")


class Track:
    """Pointing and source position of a data file at any time, interpolated between drive reports.

    Events before the first and after the last report continue the drift between the nearest few; `far` counts those
    that are more than `FAR_S` away.
    """

    def __init__(self, info: RunInfo, drive: Drive) -> None:
        source_zd, source_az = altaz_of(info.source_ra_deg, info.source_dec_deg, drive.mjd)
        x, y = camera_of(source_zd, source_az, drive.zd_deg, drive.az_deg)
        self.mjd = drive.mjd
        self.far = 0
        self.columns: Columns = {
            "pointing_zd_deg": drive.zd_deg,
            "pointing_az_deg": np.degrees(np.unwrap(np.radians(drive.az_deg))),
            "pointing_ra_h": np.unwrap(drive.ra_h, period=24.0),
            "pointing_dec_deg": drive.dec_deg,
            "source_x_mm": x,
            "source_y_mm": y,
        }

    def at(self, mjd: NDArray[np.float64]) -> Columns:
        """Return the columns of events at times (MJD)."""
        away = np.maximum(self.mjd[0] - mjd, mjd - self.mjd[-1]) * DAY_S
        self.far += int((away > FAR_S).sum())
        found = {name: _interpolated(mjd, self.mjd, values) for name, values in self.columns.items()}
        found["pointing_az_deg"] %= 360.0
        found["pointing_ra_h"] %= 24.0
        return found | {name: np.zeros(len(mjd)) for name in _DEVIATIONS}


def _interpolated(
    mjd: NDArray[np.float64], known_mjd: NDArray[np.float64], known: NDArray[np.float64]
) -> NDArray[np.float64]:
    found = np.interp(mjd, known_mjd, known)
    few = min(4, len(known) - 1)
    if few:
        for outside, end, inner in ((mjd < known_mjd[0], 0, few), (mjd > known_mjd[-1], -1, -1 - few)):
            slope = (known[inner] - known[end]) / (known_mjd[inner] - known_mjd[end])
            found[outside] = known[end] + slope * (mjd[outside] - known_mjd[end])
    return found


def mc_pointing(chunk: EventChunk, kept: NDArray[np.bool_]) -> Columns:
    """Take pointing and source position of simulated events from the truth, which is among the columns returned.

    The pointing is that of MMcEvt or, where a file lacks it, that of MPointingPos less its deviation.
    """
    assert chunk.mc is not None
    truth = {name: values[kept] for name, values in chunk.mc.items()}
    pointing = {name: values[kept] for name, values in (chunk.pointing or {}).items()}
    none = np.zeros(int(kept.sum()))
    if {"telescope_theta_rad", "telescope_phi_rad"} <= truth.keys():
        zd, az = np.degrees(truth["telescope_theta_rad"]), corsika.azimuth_deg(truth["telescope_phi_rad"])
    elif {"zd_deg", "az_deg"} <= pointing.keys():
        zd = pointing["zd_deg"] - pointing.get("dev_zd_deg", none)
        az = (pointing["az_deg"] - pointing.get("dev_az_deg", none)) % 360.0
    else:
        raise InputError("Monte Carlo without MMcEvt.fTelescopeTheta and without MPointingPos: no pointing")
    x, y = camera_of(np.degrees(truth["theta_rad"]), corsika.azimuth_deg(truth["phi_rad"]), zd, az)
    return truth | {
        "pointing_zd_deg": zd,
        "pointing_az_deg": az,
        "pointing_ra_h": pointing.get("ra_h", none) + pointing.get("dev_ha_h", none),
        "pointing_dec_deg": pointing.get("dec_deg", none) - pointing.get("dev_dec_deg", none),
        "source_x_mm": x,
        "source_y_mm": y,
        **dict.fromkeys(_DEVIATIONS, none),
    }
