"""star: calibrated files of one telescope -> image parameters (`_I_`), one file for each.

Run-card keys: `MJStar.MImgCleanStd.CleanMethod` (Absolute), `.CleanLevel1`, `.CleanLevel2` (phe),
`.UseSum`, `.UseTime` (yes); `MJStar.UseAddNoise` (no), `MJStar.MAddNoise.Method` (2), `.NewNoiseMean`, `.NewNoiseRMS`
(phe): the pedestal that the images are brought to.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from magicpy_assets.core.datalevels import Calibrated, Star
from magicpy_assets.core.errors import InputError, MagicpyError
from magicpy_assets.core.runs import parse_name
from magicpy_assets.engine.common import Flags, Log, files_of, output_path, run, version_card
from magicpy_assets.engine.star_pointing import FAR_S, Track, mc_pointing
from magicpy_assets.formats.calibrated import PEDESTAL, CalibratedFile, Drive, EventChunk, RunInfo
from magicpy_assets.formats.runcard import Runcard
from magicpy_assets.formats.star import write_star
from magicpy_assets.science.bad_pixels import interpolate_bad
from magicpy_assets.science.cleaning import CleaningCuts
from magicpy_assets.science.hillas import PARAMETERS, parametrise, source_parameters
from magicpy_assets.science.noise import AddedNoise, EmptyEvents, empty_events
from magicpy_assets.store.records import pending

Columns = dict[str, NDArray[Any]]

NO_SHOWERS = (2, PEDESTAL, 16)
"""Trigger patterns of calibration pulses, pedestals and the pin diode."""
MAX_EMPTY = 500
"""Pedestal events of a file on which added noise is checked."""
NOISE_TOLERANCE = 0.1
"""By how much the pedestal RMS of a file may exceed the one asked for: then nothing is added."""


@dataclass(frozen=True)
class Settings:
    """What card and flags ask for; `noise` is the pedestal mean and RMS (phe) to reach, or None."""

    cuts: CleaningCuts
    noise: tuple[float, float] | None
    keep_pixels: bool = False


@dataclass(frozen=True)
class Pedestal:
    """Pedestal of a file, mean and RMS (phe), and what is added to it."""

    mean_phe: float
    rms_phe: float
    added_mean_phe: float = 0.0
    added_rms_phe: float = 0.0


@dataclass(frozen=True)
class Job:
    """What the images of one file need: header, pointing, bad pixels, pedestal."""

    info: RunInfo
    drive: Drive | None
    bad: NDArray[np.bool_]
    pedestal: Pedestal | None
    settings: Settings


def main(argv: Sequence[str]) -> int:
    """Run star."""
    flags = Flags("star", "calibrated files of one telescope -> image parameters").with_input().with_mc()
    flags.add_argument("--outname", help="name of the output, for a single input file")
    flags.add_argument("-savecerevt", action="store_true", help="keep the charges and times of all pixels")
    return run("star", flags, argv, _star)


def _star(given: Any, card: Runcard, log: Log) -> str:
    settings = _settings(card, keep_pixels=given.savecerevt)
    files = files_of(given.ind, "--ind")
    outputs = _checked(files, given)
    cuts = settings.cuts
    log(f"{len(files)} files; cleaning levels {cuts.level1_phe:g} and {cuts.level2_phe:g} phe")
    total = sum(process(path, output, settings, log) for path, output in zip(files, outputs, strict=True))
    return f"{total} events written to {given.out if len(files) > 1 else outputs[0]}"


def _settings(card: Runcard, *, keep_pixels: bool) -> Settings:
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
    # Read in any case, so that they are not called unknown where no noise is wanted.
    card.choice("MJStar.MAddNoise.Method", ["2"], "2")
    mean = card.number("MJStar.MAddNoise.NewNoiseMean", -1, 0, 100)
    rms = card.number("MJStar.MAddNoise.NewNoiseRMS", -1, 0, 100)
    if not card.flag("MJStar.UseAddNoise"):
        return Settings(cuts, None, keep_pixels)
    if mean < 0 or rms < 0:
        raise InputError(f"{card.name}: MJStar.UseAddNoise needs MJStar.MAddNoise.NewNoiseMean and .NewNoiseRMS")
    return Settings(cuts, (mean, rms), keep_pixels)


def _checked(files: list[Path], given: Any) -> list[Path]:
    """Return the outputs of the files; whatever is wrong with any of them is said at once, before anything is made."""
    faults: list[str] = []
    if given.outname and len(files) > 1:
        faults.append(f"--outname={given.outname} names one file, but there are {len(files)} inputs")
    telescopes, outputs = set(), []
    for path in files:
        try:
            output = output_path(given.out, given.outname or _output_name(path), given.force)
            if output in outputs:
                faults.append(f"two inputs would make the same {output.name}")
            outputs.append(output)
            with CalibratedFile(path) as file:
                telescopes.add(file.info.telescope)
                if given.mc and not file.info.is_mc:
                    faults.append(f"{path.name} holds data, but -mc was given")
                if file.n_events == 0:
                    faults.append(f"{path.name} holds no events")
        except MagicpyError as error:
            faults.append(f"{error.message} ({error.hint})" if error.hint else error.message)
    if len(telescopes) > 1:
        faults.append("the input mixes files of M1 and M2; star takes one telescope at a time")
    if faults:
        raise InputError("\n".join(dict.fromkeys(faults)))
    return outputs


def _output_name(path: Path) -> str:
    name = parse_name(path)
    if name.level != Calibrated:
        raise InputError(f"{path.name} is not a calibrated (_Y_) file")
    return name.at(Star).name


def process(path: Path, output: Path, settings: Settings, log: Log) -> int:
    """Turn one calibrated file into a star file; returns the number of events written."""
    with CalibratedFile(path) as file:
        job = _job(file, settings, log)
        pieces = _Pieces(job, file.chunks())
        with pending(output) as temporary:
            n = write_star(
                temporary,
                job.info,
                pieces,
                provenance=_provenance(path, job),
                drive=vars(job.drive) if job.drive else None,
                pedestal=vars(job.pedestal) if job.pedestal else None,
                original_mc=file.original_mc,
                mc_header=file.mc_header,
            )
            if n == 0:
                raise InputError(f"{path.name}: no event has an image after cleaning ({file.n_events} read)")
    if pieces.track is not None and pieces.track.far:
        log(f"warning: {pieces.track.far} events are more than {FAR_S:g} s away from any drive report")
    if (empty := pieces.after_noise()) is not None:
        log(f"pedestal with noise: {empty}")
    log(f"{output.name}: {pieces.read} showers read, {n} images kept")
    return n


def _provenance(path: Path, job: Job) -> dict[str, str]:
    cuts, pedestal = job.settings.cuts, job.pedestal
    said = {"star": f"levels {cuts.level1_phe:g}/{cuts.level2_phe:g} phe", "input": path.name} | version_card("star")
    if job.settings.noise is not None and pedestal is not None:
        said["noise"] = f"{pedestal.added_mean_phe:.3f} +- {pedestal.added_rms_phe:.3f} phe added"
    return said


def _job(file: CalibratedFile, settings: Settings, log: Log) -> Job:
    info, found = file.info, file.pedestal_of_pixels
    bad = file.unusable_pixels
    hot = bad & ~file.bad_pixels
    log(
        f"{file.path.name}: run {info.run}, M{info.telescope}, {file.n_events} events, "
        f"{file.bad_pixels.sum()} bad and {hot.sum()} hot pixels"
    )
    pedestal = None
    if found is not None:
        pedestal = Pedestal(float(np.median(found.mean_phe[~bad])), float(np.median(found.rms_phe[~bad])))
        log(f"pedestal {pedestal.mean_phe:.2f} +- {pedestal.rms_phe:.2f} phe")
    if settings.noise is not None:
        pedestal = _with_noise(file.path, pedestal, settings.noise, log)
    drive = None
    if not info.is_mc:
        drive = file.drive
        if drive is None:
            raise InputError(
                f"{file.path.name} has no drive report: where did the telescope point?", hint="check merpp"
            )
        if len(drive.mjd) < 3:
            log(f"warning: only {len(drive.mjd)} drive reports")
    return Job(info, drive, bad, pedestal, settings)


def _with_noise(path: Path, pedestal: Pedestal | None, wanted: tuple[float, float], log: Log) -> Pedestal:
    """Return the pedestal with the bias and the spread (phe) that bring it to the one asked for."""
    if pedestal is None:
        raise InputError(f"{path.name} has neither pedestals nor pedestal events: how much noise is to be added?")
    if wanted[1] < pedestal.rms_phe * (1 - NOISE_TOLERANCE):
        raise InputError(
            f"{path.name}: its pedestal RMS of {pedestal.rms_phe:.2f} phe is above the {wanted[1]:.2f} phe asked for",
            hint="noise can only be added",
        )
    bias = max(wanted[0] - pedestal.mean_phe, 0.0)
    spread = float(np.sqrt(max(wanted[1] ** 2 - pedestal.rms_phe**2, 0.0)))
    log(f"adding {bias:.2f} +- {spread:.2f} phe" if bias or spread else "no noise added: there is enough")
    return Pedestal(pedestal.mean_phe, pedestal.rms_phe, bias, spread)


def _added_noise(job: Job) -> AddedNoise | None:
    """Return the noise that is to be added to a file, or None."""
    info, pedestal = job.info, job.pedestal
    if pedestal is None or not (pedestal.added_mean_phe or pedestal.added_rms_phe):
        return None
    now = pedestal.mean_phe, pedestal.rms_phe
    seed = (info.run, info.subrun, info.telescope)
    return AddedNoise(pedestal.added_mean_phe, pedestal.added_rms_phe, now, seed)


class _Pieces:
    """The event table of a file in pieces; counts the showers that it reads.

    Added noise is drawn from run, subrun and telescope, in the order of events, so that a file always gets the same.
    """

    def __init__(self, job: Job, chunks: Iterator[EventChunk]) -> None:
        self.job, self.chunks, self.read = job, chunks, 0
        self.track = Track(job.info, job.drive) if job.drive is not None else None
        self.empty: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = []
        self.noise = _added_noise(job)

    def __iter__(self) -> Iterator[Columns]:
        for chunk in self.chunks:
            showers = ~np.isin(chunk.event["trigger"], NO_SHOWERS)
            self.read += int(showers.sum())
            columns = self._columns(chunk, showers)
            if len(columns["size_phe"]):
                yield columns

    def _add_noise(self, chunk: EventChunk, noise: AddedNoise) -> None:
        """Add noise to all pixels, and keep the first pedestal events to tell what has become of them."""
        noise.add(chunk.charge_phe, chunk.time_slices)
        empty = np.flatnonzero(chunk.event["trigger"] == PEDESTAL)[: MAX_EMPTY - sum(len(q) for q, _ in self.empty)]
        if len(empty):
            self.empty.append((chunk.charge_phe[empty], chunk.time_slices[empty]))

    def after_noise(self) -> EmptyEvents | None:
        """Return what pedestal events look like with the noise added; None if there are none, or nothing was added."""
        if not self.empty:
            return None
        charge, time = (np.concatenate(parts) for parts in zip(*self.empty, strict=True))
        return empty_events(charge, time, ~self.job.bad, self.job.settings.cuts)

    def _columns(self, chunk: EventChunk, showers: NDArray[np.bool_]) -> Columns:
        """Return the columns of the showers of one chunk that have an image."""
        job, charge, time = self.job, chunk.charge_phe, chunk.time_slices
        if self.noise is not None:
            self._add_noise(chunk, self.noise)
        interpolate_bad(charge, time, np.flatnonzero(job.bad), job.bad)
        parameters, valid = parametrise(charge, time, job.settings.cuts)
        kept = valid & showers
        columns: Columns = {name: parameters[kept, i] for i, name in enumerate(PARAMETERS)}
        columns |= {name: values[kept] for name, values in chunk.event.items()}
        columns |= {"sin_delta": np.sin(columns["delta_rad"]), "cos_delta": np.cos(columns["delta_rad"])}
        columns |= {f"n_saturated_{gain}_gain": np.full(kept.sum(), -1) for gain in ("high", "low")}
        columns |= self.track.at(chunk.mjd[kept]) if self.track is not None else mc_pointing(chunk, kept)
        if job.settings.keep_pixels:
            columns |= {"charge_phe": charge[kept], "time_slices": time[kept]}
        return columns | source_parameters(columns, columns["source_x_mm"], columns["source_y_mm"])
