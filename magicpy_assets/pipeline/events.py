"""Single events, found by run and stereo number, and their images, made again from the calibrated files.

The cleaning is repeated with the levels that the record of the star file holds. What comes out is compared with the
star file: an image that is not the one that was analysed says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from magicpy_assets.core import datalevels
from magicpy_assets.core.cell import Cell
from magicpy_assets.core.datalevels import DataLevel
from magicpy_assets.core.errors import InputError, MissingInputError, UnknownNameError, unknown
from magicpy_assets.core.runs import DataFile, parse_name
from magicpy_assets.formats import melibea, star, superstar
from magicpy_assets.formats.calibrated import EVENT, CalibratedFile
from magicpy_assets.science.camera import FOCAL_MM
from magicpy_assets.science.cleaning import CleaningCuts
from magicpy_assets.science.event_image import EventImage, image_of
from magicpy_assets.science.live_time import mjd_of
from magicpy_assets.store.layout import Layout
from magicpy_assets.store.records import read_record

if TYPE_CHECKING:
    import pandas as pd

SAME_SIZE = 1e-4
"""How far (relative) the charge of an image may be from that of the star file: it is kept in single precision."""
CHOICES = ("brightest", "gamma", "random")
LEVELS = ("MJStar.MImgCleanStd.CleanLevel1", "MJStar.MImgCleanStd.CleanLevel2")
NOISE = "noise_rms_phe"


@dataclass(frozen=True)
class RunFiles:
    """Where the files of one run lie: of a source, in its cell and night."""

    layout: Layout
    source: str
    cell: Cell
    night: date
    run: int

    def at(self, level: DataLevel, telescope: int | None = None) -> list[Path]:
        """Return the files that are there at a level, by subrun; of one telescope if asked for."""
        if level == datalevels.Calibrated:
            folder = self.layout.calibrated(self.source, self.night, "any").parent
        else:
            folder = self.layout.data(self.source, level, self.cell, "any").parent
        found = []
        for path in sorted(folder.glob(f"*{self.run:08d}*_{level.letter}_*.root")):
            name = parse_name(path)
            if isinstance(name, DataFile) and name.run == self.run and telescope in (None, name.telescope):
                found.append(path)
        return found

    def stereo(self) -> Path:
        """Return the run's file with both telescopes: melibea's, or superstar's if that is all there is.

        Raises
        ------
        MissingInputError
            If there is neither.
        """
        if self.layout.telescopes.is_mono:
            raise MissingInputError(
                f"{self.source} is analysed {self.layout.telescopes.text}: no file holds events of both telescopes",
                hint="events are shown in both cameras; open the source with telescopes=(1, 2)",
            )
        for level in (datalevels.Melibea, datalevels.SuperStar):
            if found := self.at(level):
                return found[0]
        archived = self.layout.downloaded(self.source, datalevels.SuperStar, self.night, "any").parent
        if found := sorted(archived.glob(f"*{self.run:08d}*_S_*.root")):
            return found[0]
        raise MissingInputError(
            f"there is neither a melibea nor a superstar file of run {self.run} of {self.source}",
            hint=f"make them with `magicpy superstar {self.source}`",
        )

    def stereo_events(self) -> pd.DataFrame:
        """Return the events that both telescopes have, columns as in `formats.melibea` or `formats.superstar`."""
        path = self.stereo()
        read = melibea.read_events if parse_name(path).level == datalevels.Melibea else superstar.read_events
        return read(path)


@dataclass(frozen=True, eq=False)
class Event:
    """One event as both telescopes saw it.

    Attributes
    ----------
    source, run, number
        Of what; the number is that of the array trigger, which both telescopes write down.
    cell
        The cell of the run.
    images
        M1's and M2's, made again from the calibrated files.
    star_size_phe
        The charge of the two images (phe) by the star files.
    values
        The row of the melibea or superstar file, by column.
    simulated
        Whether the event is.
    """

    source: str
    run: int
    number: int
    cell: Cell
    images: tuple[EventImage, EventImage]
    star_size_phe: tuple[float, float]
    values: Mapping[str, float]
    simulated: bool

    @property
    def mjd(self) -> float:
        """When M1 was triggered."""
        return float(mjd_of(self.values))

    @property
    def direction_mm(self) -> tuple[float, float] | None:
        """The reconstructed direction in the camera (mm), by disp or else where the axes cross; None without any."""
        for x, y in (("reco_x_deg", "reco_y_deg"), ("direction_x_deg", "direction_y_deg")):
            point = self.values.get(x, np.nan), self.values.get(y, np.nan)
            if np.isfinite(point).all():
                return _mm(point[0]), _mm(point[1])
        return None

    @property
    def direction_by(self) -> str:
        """How the direction was found: `disp`, `crossing`, or nothing."""
        if np.isfinite(self.values.get("reco_x_deg", np.nan)):
            return "disp"
        return "crossing" if self.direction_mm else ""

    def source_mm(self, telescope: int) -> tuple[float, float]:
        """Return where the source was in a camera (mm)."""
        return self.values[f"source_x_mm_{telescope}"], self.values[f"source_y_mm_{telescope}"]

    @property
    def theta_deg(self) -> float:
        """Angle between the reconstructed direction and the source (deg); NaN without a direction."""
        if self.direction_mm is None:
            return float("nan")
        away = np.subtract(self.direction_mm, self.source_mm(1))
        return float(np.degrees(np.hypot(*away) / FOCAL_MM))

    @property
    def as_analysed(self) -> bool:
        """Whether both images are those of the star files."""
        return all(
            abs(image.size_phe - size) <= SAME_SIZE * size
            for image, size in zip(self.images, self.star_size_phe, strict=True)
        )

    @property
    def lines(self) -> list[str]:
        """The numbers of the event, for people."""
        value = self.values.get
        cuts = self.images[0].cuts
        lines = [
            f"zenith distance {value('pointing_zd_deg_1', np.nan):.1f}°, MJD {self.mjd:.6f}",
            f"cleaning {cuts.level1_phe:g} / {cuts.level2_phe:g} phe",
        ]
        lines += [
            f"M{image.telescope}: {size:.0f} phe, {image.used.sum()} pixels, impact {_m(value(f'impact_cm_{n}')):.0f} m"
            for n, (image, size) in enumerate(zip(self.images, self.star_size_phe, strict=True), start=1)
        ]
        if np.isfinite(value("max_height_cm", np.nan)):
            lines.append(f"shower maximum {_m(value('max_height_cm')) / 1e3:.1f} km above the site")
        if np.isfinite(value("energy_gev", np.nan)):
            lines.append(f"energy {value('energy_gev'):.0f} GeV, hadronness {value('hadronness'):.2f}")
        else:
            lines.append("no energy: melibea has not been run, or could not reconstruct it")
        if self.direction_by:
            lines.append(f"{self.theta_deg:.3f}° from the source (by {self.direction_by})")
        if not self.as_analysed:
            again = " and ".join(f"{image.size_phe:.0f}" for image in self.images)
            lines.append(f"images are not those of the star files: cleaned again, they hold {again} phe")
        return lines

    def to_dict(self) -> dict[str, Any]:
        """Return what is known of the event without its pixels, for JSON."""
        return {
            "source": self.source,
            "run": self.run,
            "event": self.number,
            "cell": self.cell.text,
            "mjd": self.mjd,
            "simulated": self.simulated,
            "as_analysed": self.as_analysed,
            "theta_deg": self.theta_deg,
            "values": dict(self.values),
        }

    def __str__(self) -> str:
        head = f"{self.source}, run {self.run}, event {self.number}, {self.cell.text}"
        return "\n".join([head + (" (simulated)" if self.simulated else ""), *(f"  {line}" for line in self.lines)])


def choose(events: pd.DataFrame, wanted: int | str, run: int) -> int:
    """Return the stereo number that is meant: a number, or `brightest`, `gamma` (least hadron-like), `random`.

    Raises
    ------
    UnknownNameError
        For an event that is not in the run, with its nearest numbers, or an unknown word.
    InputError
        For `gamma` in a run without hadronness.
    """
    numbers = events["stereo_number_1"].to_numpy()
    if isinstance(wanted, str) and not wanted.isdecimal():
        if wanted not in CHOICES:
            raise unknown("choice of an event", wanted, [*CHOICES, "or a number"])
        return int(numbers[_chosen(events, wanted, run)])
    number = int(wanted)
    if number not in numbers:
        near = ", ".join(map(str, sorted(numbers[np.argsort(np.abs(numbers.astype(np.int64) - number))[:3]])))
        raise UnknownNameError(
            f"run {run} has no event {number} that both telescopes have an image of",
            hint=f"nearest: {near}; or choose one by a word: {', '.join(CHOICES)}",
        )
    return number


def _chosen(events: pd.DataFrame, word: str, run: int) -> int:
    if word == "random":
        return int(np.random.default_rng().integers(len(events)))
    if word == "brightest":
        return int((events["size_phe_1"] + events["size_phe_2"]).to_numpy().argmax())
    if "hadronness" not in events or not events["hadronness"].notna().any():
        raise InputError(f"run {run} has no hadronness yet", hint="melibea finds it; or take the brightest event")
    # Of the many without any sign of a hadron, the brightest shows most.
    order = np.lexsort((-events["size_phe_1"], events["hadronness"].fillna(2.0)))
    return int(order[0])


def read_event(files: RunFiles, wanted: int | str) -> Event:
    """Find an event and make its images again.

    Raises
    ------
    UnknownNameError
        If the run does not have it.
    MissingInputError
        If the stereo file, the star files or the calibrated files of it are not there.
    """
    events = files.stereo_events()
    number = choose(events, wanted, files.run)
    row = events[events["stereo_number_1"] == number].iloc[0]
    found = [_image(files, telescope, number) for telescope in (1, 2)]
    return Event(
        source=files.source,
        run=files.run,
        number=number,
        cell=files.cell,
        images=(found[0][0], found[1][0]),
        star_size_phe=(found[0][1], found[1][1]),
        values={str(name): float(value) for name, value in row.items()},
        simulated=star.read_header(files.stereo()).simulated,
    )


def _image(files: RunFiles, telescope: int, number: int) -> tuple[EventImage, float]:
    """Return the image of an event in one telescope, and its charge by the star file (phe)."""
    stars = files.at(datalevels.Star, telescope)
    if not stars:
        raise MissingInputError(
            f"there is no star file of M{telescope} of run {files.run}, which says how it was cleaned",
            hint=f"runs that begin with the archive's superstar have none; else `magicpy star {files.source}`",
        )
    path, size = _star_of(stars, number)
    calibrated = files.layout.calibrated(files.source, files.night, parse_name(path).at(datalevels.Calibrated).name)
    if not calibrated.is_file():
        raise MissingInputError(
            f"the pixels of event {number} of run {files.run} are in {calibrated.name}, which is not in the store",
            hint=f"download it with `magicpy get {files.source}`",
        )
    with CalibratedFile(calibrated) as file:
        chunk, bad = file.event(number), file.unusable_pixels
    if chunk is None:
        raise InputError(f"{calibrated.name} does not hold event {number} once: is it another version of the file?")
    return image_of(telescope, chunk.charge_phe[0], chunk.time_slices[0], bad, cuts_of(path)), size


def _star_of(stars: list[Path], number: int) -> tuple[Path, float]:
    """Return the star file that holds an event, and the charge of its image (phe)."""
    wanted = tuple(branch for branch in star.EVENTS if branch.column in (EVENT[0].column, "size_phe"))
    for path in stars:
        table = star.read_events(path, wanted)
        here = table[table[EVENT[0].column] == number]
        if len(here) == 1:
            return path, float(here["size_phe"].iloc[0])
    names = f"{stars[0].name} and {len(stars) - 1} more" if len(stars) > 1 else stars[0].name
    raise MissingInputError(f"event {number} is not in {names}", hint="make the star files again")


def cuts_of(path: Path) -> CleaningCuts:
    """Return the cleaning of a star file, by its record.

    Raises
    ------
    MissingInputError
        If it has no record, or one without cleaning levels.
    InputError
        If noise was added to its images: they cannot be shown without it.
    """
    record = read_record(path)
    parameters = record.parameters if record is not None else {}
    if not set(LEVELS) <= set(parameters):
        raise MissingInputError(
            f"the record of {path.name} does not say how it was cleaned", hint="make the star file again"
        )
    if NOISE in parameters:
        raise InputError(f"noise was added to the images of {path.name}", hint="look at the run in its own cell")
    return CleaningCuts(float(parameters[LEVELS[0]]), float(parameters[LEVELS[1]]))


def _mm(angle_deg: float) -> float:
    return float(np.radians(angle_deg) * FOCAL_MM)


def _m(length_cm: float | None) -> float:
    return float("nan") if length_cm is None else length_cm / 100.0
