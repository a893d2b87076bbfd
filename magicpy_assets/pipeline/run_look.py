"""What one run looks like: its rates, its pedestals and its images, from whichever of its files are there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from magicpy_assets.core import datalevels
from magicpy_assets.core.errors import InputError, MissingInputError
from magicpy_assets.core.runs import parse_name
from magicpy_assets.formats import star
from magicpy_assets.formats.calibrated import DAY_S, TIME, CalibratedFile
from magicpy_assets.pipeline.events import RunFiles
from magicpy_assets.science.live_time import mjd_of

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]

SHOWN = ("size_phe", "length_mm", "width_mm", "mean_x_mm", "mean_y_mm", "time_gradient_slices_per_mm", "n_islands")
"""Image parameters that are looked at."""
_READ = TIME + tuple(branch for branch in star.EVENTS if branch.column in SHOWN)


@dataclass(frozen=True, eq=False)
class RunLook:
    """One run, as far as it has been made.

    Attributes
    ----------
    files
        Which run, and where its files lie.
    run
        Its row of the run table, by column of `core.runs.RUN_COLUMNS`.
    images
        Images of each telescope: the columns `SHOWN`, and `mjd`. Without star files, those of events in both.
    stereo
        Events of both telescopes, or None where there is no such file.
    stereo_level
        What the file of these is: `melibea` or `superstar`; empty if there is none.
    pedestals
        Time (MJD) and RMS (phe) of the median good pixel of each telescope, where calibrated files have been kept.
    simulated
        Whether the run is.
    notes
        What is not there.
    """

    files: RunFiles
    run: Mapping[str, Any]
    images: Mapping[int, pd.DataFrame]
    stereo: pd.DataFrame | None
    stereo_level: str
    pedestals: Mapping[int, tuple[Floats, Floats]]
    simulated: bool
    notes: tuple[str, ...] = field(default=())

    @property
    def start_mjd(self) -> float:
        """When the first image was taken."""
        return min(float(table["mjd"].min()) for table in self.images.values())

    def minutes(self, mjd: Any) -> Floats:
        """Return times as minutes since the first image."""
        return (np.asarray(mjd, dtype=np.float64) - self.start_mjd) * DAY_S / 60.0

    @property
    def stereo_mjd(self) -> Floats:
        """Times of the events of both telescopes."""
        return np.empty(0) if self.stereo is None else mjd_of(self.stereo)


def look_at(files: RunFiles, run: Mapping[str, Any]) -> RunLook:
    """Read what is there of a run.

    Raises
    ------
    MissingInputError
        If it has neither star files nor a file of both telescopes.
    """
    notes: list[str] = []
    try:
        stereo, level = files.stereo_events(), parse_name(files.stereo()).level.key
    except MissingInputError as error:
        stereo, level = None, ""
        notes.append(error.message)
    images = {}
    for telescope in (1, 2):
        table = _images(files, telescope, stereo)
        if table is None:
            notes.append(f"no star files of M{telescope}")
        else:
            images[telescope] = table
    if not images:
        raise MissingInputError(
            f"there are no star files of run {files.run} of {files.source}",
            hint=f"`magicpy star {files.source}` makes them; `magicpy status {files.source}` says how far it has come",
        )
    pedestals = {}
    for telescope in (1, 2):
        parts, faults = _pedestals(files, telescope)
        notes += faults
        if parts:
            mjd, rms = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
            pedestals[telescope] = mjd, rms
    if not pedestals:
        notes.append("no calibrated files with pedestals")
    header = star.read_header((files.at(datalevels.Star) or [files.stereo()])[0])
    return RunLook(files, run, images, stereo, level, pedestals, header.simulated, tuple(notes))


def _images(files: RunFiles, telescope: int, stereo: pd.DataFrame | None) -> pd.DataFrame | None:
    """Return the images of a telescope: from star files or, of a run that begins with superstar, those in both."""
    import pandas as pd

    tables = [star.read_events(path, _READ) for path in files.at(datalevels.Star, telescope)]
    if tables:
        table = pd.concat(tables, ignore_index=True)
    elif stereo is not None:
        table = pd.DataFrame({branch.column: stereo[f"{branch.column}_{telescope}"] for branch in _READ})
    else:
        return None
    return table.assign(mjd=mjd_of(table, ""))


def _pedestals(files: RunFiles, telescope: int) -> tuple[list[tuple[Floats, Floats]], list[str]]:
    """Return times and pedestals of each calibrated file of a telescope, and which of them cannot be read."""
    found, faults = [], []
    for path in files.at(datalevels.Calibrated, telescope):
        try:
            with CalibratedFile(path) as file:
                updates = file.pedestals
                if updates is not None:
                    rms = np.median(updates.rms_phe[:, ~file.unusable_pixels], axis=1).astype(np.float64)
                    found.append((updates.mjd, rms))
        except InputError:
            faults.append(f"{path.name}, which cannot be read")
    return found, faults
