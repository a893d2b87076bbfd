"""Where products lie: one template per kind, names that people can read. Hashes are in records only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

from magicpy_assets.core import datalevels
from magicpy_assets.core.cell import Cell
from magicpy_assets.core.datalevels import DataLevel
from magicpy_assets.core.errors import InputError
from magicpy_assets.core.runs import night_folder, night_of, plain
from magicpy_assets.core.telescopes import ALL, STEREO, Telescopes

FORESTS = "RFs"
MONTE_CARLO = "MC"
CATALOGUE = "catalogue"
RUNBOOKS = "runbooks"
ARCHIVED = {datalevels.Calibrated: "calibrated", datalevels.SuperStar: "superstar-archive"}
"""Folders of what is downloaded. The archive's own superstar lies apart from what is made here."""
COMBINED, ALL_PERIODS = "combined", "all"
SHOWN = ("plots", "report")
"""Folders of what people look at."""
SHARED_LEVELS = (datalevels.Calibrated, datalevels.Star, datalevels.SuperStar)
"""Levels whose products are the same for all analyses; those of the others differ between stereo and mono."""


@dataclass(frozen=True)
class Place:
    """What a path in the store says: source (or `RFs`, `MC`), level, cell or night, file name, telescopes."""

    source: str
    level: DataLevel
    name: str
    cell: Cell | None = None
    night: date | None = None
    telescopes: Telescopes = STEREO


@dataclass(frozen=True)
class Layout:
    """The paths of a store, for analyses with some telescopes.

    What is made with one telescope alone lies apart, in folders that end in its name: `melibea-M1`.

    Names of sources and files come from outside: one that could lead elsewhere has no path, but raises InputError.
    """

    root: Path
    telescopes: Telescopes = STEREO

    @classmethod
    def of(cls, product: Path) -> Layout:
        """Return the layout of the store that a product lies in, as the names of the folders above it tell.

        Raises
        ------
        InputError
            If they are not those of a store.
        """
        path = product.absolute()
        levels = _level_folders() | _folders_of_sources() | dict.fromkeys(ARCHIVED.values(), STEREO)
        for folder in path.parents:
            if folder.name in levels and folder.parents[1].name != MONTE_CARLO:
                return cls(folder.parents[1], levels[folder.name])
            below = path.relative_to(folder).parts[:-1]
            if folder.name == MONTE_CARLO:
                return cls(folder.parent, next((levels[name] for name in below[1:2] if name in levels), STEREO))
            if folder.name == FORESTS:
                return cls(folder.parent, next((one for one in ALL if one.is_mono and one.key in below[3:4]), STEREO))
        raise InputError(f"{product} is not where a product of a store would lie")

    def folder(self, level: DataLevel) -> str:
        """Return the name of a level's folders: its key and, for what one telescope gives alone, which."""
        return level.key if level in SHARED_LEVELS else f"{level.key}{self.telescopes.suffix}"

    def data(self, source: str, level: DataLevel, cell: Cell, name: str) -> Path:
        """Return the path of a product made here: `<source>/<level>/<period>/<zenith>-<moon>/<name>`."""
        return self.root / plain(source) / self.folder(level) / cell.period.name / cell.zenith_moon / plain(name)

    def calibrated(self, source: str, night: date, name: str) -> Path:
        """Return the path of a downloaded calibrated file: `<source>/calibrated/<YYYY_MM_DD>/<name>`."""
        return self.downloaded(source, datalevels.Calibrated, night, name)

    def downloaded(self, source: str, level: DataLevel, night: date, name: str) -> Path:
        """Return the path of a file that was downloaded: `<source>/<level>/<YYYY_MM_DD>/<name>`.

        The level's folder is `calibrated` or `superstar-archive`.
        """
        return self.root / plain(source) / ARCHIVED[level] / night_folder(night) / plain(name)

    def forest(self, cell: Cell) -> Path:
        """Return the folder of a cell's forests: `RFs/<period>/<zenith>/<moon>`, with `/M1` for those of M1 alone."""
        folder = self.root / FORESTS / cell.period.name / cell.zenith.name / cell.moon.key
        return folder / self.telescopes.key if self.telescopes.is_mono else folder

    def mc(self, level: DataLevel, period: str, zenith: str, use: str, name: str, *, moon: str | None = None) -> Path:
        """Return the path of a Monte Carlo file; from star on, it belongs to a moon level.

        `use` is `train` or `test`.
        """
        noise = f"{zenith}-{moon}" if moon else zenith
        return self.root / MONTE_CARLO / use / self.folder(level) / period / noise / plain(name)

    def combined(self, source: str, period: str | None, name: str) -> Path:
        """Return the path of a result over several cells: `<source>/combined/<period, or all>/<name>`."""
        return self.root / plain(source) / f"{COMBINED}{self.telescopes.suffix}" / (period or ALL_PERIODS) / plain(name)

    def shown(self, source: str, kind: str) -> Path:
        """Return the folder of what people look at, a kind of SHOWN: `<source>/plots`, `<source>/report`."""
        return self.root / plain(source) / f"{kind}{self.telescopes.suffix}"

    def runbook(self, night: date) -> Path:
        """Return the path of a night's runbook: `runbooks/<YYYY_MM_DD>.txt`."""
        return self.root / RUNBOOKS / f"{night_folder(night)}.txt"

    def catalogue(self, night: date) -> Path:
        """Return the path of a night of the run catalogue."""
        return self.root / CATALOGUE / f"{night_folder(night)}.parquet"

    def place(self, product: Path) -> Place:
        """Tell what a path made by `data` or `downloaded` stands for.

        Raises
        ------
        InputError
            If it is not such a path of this store.
        """
        try:
            parts = product.relative_to(self.root).parts
        except ValueError as error:
            raise InputError(f"{product} is not in the store {self.root}") from error
        archived = {folder: level for level, folder in ARCHIVED.items()}
        if len(parts) == 4 and parts[1] in archived:
            return Place(parts[0], archived[parts[1]], parts[3], night=night_of(parts[2]))
        if len(parts) == 5:
            telescopes = _level_folders().get(parts[1], STEREO)
            level = datalevels.by_key(parts[1].removesuffix(telescopes.suffix))
            return Place(parts[0], level, parts[4], Cell.parse(f"{parts[2]}/{parts[3]}"), telescopes=telescopes)
        raise InputError(f"{product} is not where a product of the store {self.root} would lie")


def _level_folders() -> dict[str, Telescopes]:
    """Return the telescopes by name of a level's folder."""
    return {Layout(Path(), one).folder(level): one for one in reversed(ALL) for level in datalevels.ALL}


def _folders_of_sources() -> dict[str, Telescopes]:
    """Return the telescopes by name of the folders that hold what is over the cells of a source."""
    return {f"{kind}{one.suffix}": one for one in ALL for kind in (COMBINED, *SHOWN)}
