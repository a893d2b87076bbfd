"""star: calibrated files of one telescope -> image parameters (`_I_`), one file for each.

Run-card keys: `MJStar.MImgCleanStd.CleanMethod` (Absolute), `.CleanLevel1`, `.CleanLevel2` (phe),
`.UseSum`, `.UseTime` (yes); `MJStar.UseAddNoise` (no), `MJStar.MAddNoise.Method` (2), `.NewNoiseMean`, `.NewNoiseRMS`
(phe): the pedestal that the images are brought to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from magicpy_assets.core.datalevels import Calibrated, Star
from magicpy_assets.core.errors import InputError
from magicpy_assets.core.runs import parse_name
from magicpy_assets.engine.common import Flags, Log, files_of, output_path, run
from magicpy_assets.formats.calibrated import PEDESTAL, CalibratedFile, Drive, EventChunk, RunInfo, pedestal_level
from magicpy_assets.formats.runcard import Runcard
from magicpy_assets.formats.star import write_star
from magicpy_assets.science import corsika
from magicpy_assets.science.cleaning import CleaningCuts, hot_pixels, interpolate_bad
from magicpy_assets.science.hillas import PARAMETERS, parametrise, source_parameters
from magicpy_assets.science.noise import add_noise
from magicpy_assets.science.pointing import altaz_of, camera_of
from magicpy_assets.store.records import pending

Columns = dict[str, NDArray[Any]]
CHUNK = 4096


@dataclass(frozen=True)
class Settings:
    """What the run card asks for; `noise` is the pedestal mean and RMS (phe) to reach, or None."""

    cuts: CleaningCuts
    noise: tuple[float, float] | None


def main(argv: Sequence[str]) -> int:
    """Run star."""
    flags = Flags("star", "calibrated files of one telescope -> image parameters").with_input().with_mc()
    flags.add_argument("--outname", help="name of the output, for a single input file")
    return run("star", flags, argv, _star)


def _star(given: Any, card: Runcard, log: Log) -> str:
    settings = _settings(card)
    files = files_of(given.ind, "--ind")
    if given.outname and len(files) > 1:
        raise InputError(f"--outname={given.outname} names one file, but there are {len(files)} inputs")
    names = [given.outname or _output_name(path) for path in files]
    outputs = [output_path(given.out, name, given.force) for name in names]
    telescopes = {parse_name(path).telescope for path in files}
    if len(telescopes) > 1:
        raise InputError("the input mixes files of M1 and M2; star takes one telescope at a time")
    total = 0
    for path, output in zip(files, outputs, strict=True):
        total += process(path, output, settings, log, is_mc=given.mc)
    return f"{total} events written to {given.out if len(files) > 1 else outputs[0]}"


def _settings(card: Runcard) -> Settings:
    card.choice("MJStar.MImgCleanStd.CleanMethod", ["Absolute"], "Absolute")
    level1 = card.number("MJStar.MImgCleanStd.CleanLevel1", 6.0, 0.5, 100)
    level2 = card.number("MJStar.MImgCleanStd.CleanLevel2", 3.5, 0.0, 100)
    if level2 > level1:
        raise InputError(f"{card.name}: CleanLevel2 ({level2:g}) is above CleanLevel1 ({level1:g})")
    cuts = CleaningCuts(
        level1,
        level2,
        use_sum=card.flag("MJStar.MImgCleanStd.UseSum", True),
        use_time=card.flag("MJStar.MImgCleanStd.UseTime", True),
    )
    for key in ("MJStar.CalibStarguider", "MJStar.UseStarguider"):
        if card.flag(key):
            raise InputError(f"{card.name}: {key}: there is no starguider here; set it to no")
    if not card.flag("MJStar.UseAddNoise"):
        return Settings(cuts, None)
    card.choice("MJStar.MAddNoise.Method", ["2"], "2")
    mean = card.number("MJStar.MAddNoise.NewNoiseMean", -1, 0, 100)
    rms = card.number("MJStar.MAddNoise.NewNoiseRMS", -1, 0, 100)
    return Settings(cuts, (mean, rms))


def _output_name(path: Path) -> str:
    name = parse_name(path)
    if name.level != Calibrated:
        raise InputError(f"{path.name} is not a calibrated (_Y_) file")
    return name.at(Star).name


def process(path: Path, output: Path, settings: Settings, log: Log, *, is_mc: bool = False) -> int:
    """Turn one calibrated file into a star file; returns the number of events written."""
    with CalibratedFile(path) as file:
        info = file.info
        if is_mc and not info.is_mc:
            raise InputError(f"{path.name} holds data, but -mc was given")
        bad = _bad_pixels(file)
        log(f"{path.name}: run {info.run}, M{info.telescope}, {file.n_events} events, {bad.sum()} bad pixels")
        noise = _noise_to_add(path, settings, log)
        rng = np.random.default_rng([info.run, info.subrun, info.telescope])
        drive = None if info.is_mc else _drive(file)
        parts = [_images(chunk, info, drive, bad, settings.cuts, noise, rng) for chunk in file.chunks(CHUNK)]
        events = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]} if parts else {}
        if not events or len(events["size_phe"]) == 0:
            raise InputError(f"{path.name}: no event has an image after cleaning ({file.n_events} read)")
        with pending(output) as temporary:
            write_star(
                temporary,
                info,
                events,
                provenance={
                    "star": f"levels {settings.cuts.level1_phe:g}/{settings.cuts.level2_phe:g} phe",
                    "input": path.name,
                },
                drive=vars(drive) if drive else None,
                original_mc=file.original_mc,
                mc_header=file.mc_header,
            )
    log(f"{output.name}: {len(events['size_phe'])} images kept, median size {np.median(events['size_phe']):.0f} phe")
    return len(events["size_phe"])


def _bad_pixels(file: CalibratedFile) -> NDArray[np.bool_]:
    found = file.pedestals
    hot = hot_pixels(found.rms_phe.mean(axis=0)) if found is not None else False
    return np.asarray(file.bad_pixels | hot)


def _drive(file: CalibratedFile) -> Drive:
    if file.drive is None:
        raise InputError(f"{file.path.name} has no drive report: where did the telescope point?", hint="check merpp")
    return file.drive


def _noise_to_add(path: Path, settings: Settings, log: Log) -> tuple[float, float] | None:
    """Return the bias and the RMS (phe) that bring this file's pedestal to the one asked for."""
    if settings.noise is None:
        return None
    with CalibratedFile(path) as file:
        mean, rms = file.mc_pedestal if file.info.is_mc else pedestal_level(path)[:2]
    wanted_mean, wanted_rms = settings.noise
    if wanted_rms < rms * 0.98:
        raise InputError(
            f"{path.name}: its pedestal RMS of {rms:.2f} phe is above the {wanted_rms:.2f} phe asked for",
            hint="noise can only be added",
        )
    bias, spread = max(wanted_mean - mean, 0.0), float(np.sqrt(max(wanted_rms**2 - rms**2, 0.0)))
    log(f"pedestal {mean:.2f} +- {rms:.2f} phe: adding {bias:.2f} +- {spread:.2f} phe")
    return bias, spread


def _images(
    chunk: EventChunk,
    info: RunInfo,
    drive: Drive | None,
    bad: NDArray[np.bool_],
    cuts: CleaningCuts,
    noise: tuple[float, float] | None,
    rng: np.random.Generator,
) -> Columns:
    """Return the columns of the events of one chunk that have an image; pedestal events are left out."""
    charge, time = chunk.charge_phe, chunk.time_slices
    if noise is not None:
        add_noise(charge, *noise, rng)
    interpolate_bad(charge, time, np.flatnonzero(bad), bad)
    parameters, valid = parametrise(charge, time, cuts)
    kept = valid & (chunk.event["trigger"] != PEDESTAL)
    columns: Columns = {name: parameters[kept, i] for i, name in enumerate(PARAMETERS)}
    columns |= {name: values[kept] for name, values in chunk.event.items()}
    columns |= {"sin_delta": np.sin(columns["delta_rad"]), "cos_delta": np.cos(columns["delta_rad"])}
    if drive is not None:
        columns |= _data_pointing(chunk.mjd[kept], info, drive)
    else:
        columns |= _mc_pointing(chunk, kept)
    return columns | source_parameters(columns, columns["source_x_mm"], columns["source_y_mm"])


def _data_pointing(mjd: NDArray[np.float64], info: RunInfo, drive: Drive) -> Columns:
    """Interpolate the pointing between drive reports, and find the source in the camera."""
    az = np.degrees(np.unwrap(np.radians(drive.az_deg)))
    source_zd, source_az = altaz_of(info.source_ra_deg, info.source_dec_deg, drive.mjd)
    x, y = camera_of(source_zd, source_az, drive.zd_deg, drive.az_deg)
    return {
        "pointing_zd_deg": np.interp(mjd, drive.mjd, drive.zd_deg),
        "pointing_az_deg": np.interp(mjd, drive.mjd, az) % 360.0,
        "pointing_ra_h": np.interp(mjd, drive.mjd, drive.ra_h),
        "pointing_dec_deg": np.interp(mjd, drive.mjd, drive.dec_deg),
        "source_x_mm": np.interp(mjd, drive.mjd, x),
        "source_y_mm": np.interp(mjd, drive.mjd, y),
    }


def _mc_pointing(chunk: EventChunk, kept: NDArray[np.bool_]) -> Columns:
    """Take the pointing and the source position of simulated gamma rays from the truth."""
    assert chunk.mc is not None
    truth = {name: values[kept] for name, values in chunk.mc.items()}
    pointing = {name: values[kept] for name, values in (chunk.pointing or {}).items()}
    zd, az = np.degrees(truth["telescope_theta_rad"]), corsika.azimuth_deg(truth["telescope_phi_rad"])
    x, y = camera_of(np.degrees(truth["theta_rad"]), corsika.azimuth_deg(truth["phi_rad"]), zd, az)
    return truth | {
        "pointing_zd_deg": zd,
        "pointing_az_deg": az,
        "pointing_ra_h": pointing.get("ra_h", np.zeros(len(zd))),
        "pointing_dec_deg": pointing.get("dec_deg", np.zeros(len(zd))),
        "source_x_mm": x,
        "source_y_mm": y,
    }
