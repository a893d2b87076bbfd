"""The data levels: order, letter in file names, scope, and what each is made from."""

from __future__ import annotations

from dataclasses import dataclass

from magicpy_assets.core.errors import unknown


@dataclass(frozen=True)
class DataLevel:
    """One level of the chain.

    Attributes
    ----------
    name, key
        As users and as folders and assets write it.
    letter
        In MARS file names; empty where the level has none.
    order
        Position in the chain.
    scope
        What one product covers: `subrun` (and telescope), `run` or `cell`.
    made_from
        Keys of the levels it is made from.
    meaning
        One line for people.
    """

    name: str
    key: str
    letter: str
    order: int
    scope: str
    made_from: tuple[str, ...]
    meaning: str

    def __str__(self) -> str:
        return self.name


Calibrated = DataLevel(
    "Calibrated", "calibrated", "Y", 0, "subrun", (), "charge and arrival time of every pixel, one telescope"
)
Star = DataLevel("Star", "star", "I", 1, "subrun", ("calibrated",), "cleaned image parameters, one telescope")
SuperStar = DataLevel("SuperStar", "superstar", "S", 2, "run", ("star",), "both telescopes' images of each event")
RandomForest = DataLevel(
    "RandomForest", "random_forest", "", 3, "cell", ("superstar",), "forests for hadronness, direction and energy"
)
Melibea = DataLevel(
    "Melibea", "melibea", "Q", 4, "run", ("superstar", "random_forest"), "events with hadronness, direction, energy"
)
DL3 = DataLevel("DL3", "dl3", "DL3", 5, "run", ("melibea",), "gamma-like events with instrument response, GADF FITS")
Spectra = DataLevel("Spectra", "spectra", "", 6, "cell", ("dl3",), "spectrum, θ² and light curve")

RawData = DataLevel("RawData", "raw", "D", -1, "subrun", (), "digitised samples of data runs")
RawPedestal = DataLevel("RawPedestal", "raw_pedestal", "P", -1, "subrun", (), "digitised samples of pedestal runs")
RawCalibration = DataLevel("RawCalibration", "raw_calibration", "C", -1, "subrun", (), "samples of calibration runs")

RAW: tuple[DataLevel, ...] = (RawData, RawPedestal, RawCalibration)
ALL: tuple[DataLevel, ...] = (Calibrated, Star, SuperStar, RandomForest, Melibea, DL3, Spectra)


def by_key(key: str) -> DataLevel:
    """Return the level with that key (`superstar`) or name (`SuperStar`), whatever the case."""
    for level in ALL:
        if key.lower() in (level.key, level.name.lower()):
            return level
    raise unknown("data level", key, [level.key for level in ALL])


by_name = by_key


def by_letter(letter: str) -> DataLevel:
    """Return the level with that letter in MARS file names."""
    for level in RAW + ALL:
        if letter and level.letter == letter:
            return level
    raise unknown("data level letter", letter, [level.letter for level in RAW + ALL if level.letter])
