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

FORESTS = "RFs"
MONTE_CARLO = "MC"
CATALOGUE = "catalogue"
RUNBOOKS = "runbooks"
ARCHIVED = {datalevels.Calibrated: "calibrated", datalevels.SuperStar: "superstar-archive"}
"""Folders of what is downloaded. The archive's own superstar lies apart from what is made here."""
COMBINED, ALL_PERIODS = "combined", "all"


@dataclass(frozen=True)
class Place:
    """What a path in the store says: source (or `RFs`, `MC`), level, cell or night, and file name."""

    source: str
    level: DataLevel
    name: str
    cell: Cell | None = None
    night: date | None = None


@dataclass(frozen=True)
class Layout:
    """The paths of a store.

    Names of sources and files come from outside: one that could lead elsewhere has no path, but raises InputError.
    """

    root: Path

    @classmethod
    def of(cls, product: Path) -> Layout:
        """Return the layout of the store that a product lies in, as the names of the folders above it tell.

        Raises
        ------
        InputError
            If they are not those of a store.
        """
        levels = {level.key for level in datalevels.ALL} | set(ARCHIVED.values())
        for folder in product.absolute().parents:
            if folder.name in levels and folder.parents[1].name != MONTE_CARLO:
                return cls(folder.parents[1])
            if folder.name in (FORESTS, MONTE_CARLO):
                return cls(folder.parent)
        raise InputError(f"{product} is not where a product of a store would lie")

    def data(self, source: str, level: DataLevel, cell: Cell, name: str) -> Path:
        """Return the path of a product made here: `<source>/<level>/<period>/<zenith>-<moon>/<name>`."""
        return self.root / plain(source) / level.key / cell.period.name / cell.zenith_moon / plain(name)

    def calibrated(self, source: str, night: date, name: str) -> Path:
        """Return the path of a downloaded calibrated file: `<source>/calibrated/<YYYY_MM_DD>/<name>`."""
        return self.downloaded(source, datalevels.Calibrated, night, name)

    def downloaded(self, source: str, level: DataLevel, night: date, name: str) -> Path:
        """Return the path of a file that was downloaded: `<source>/<level>/<YYYY_MM_DD>/<name>`.

        The level's folder is `calibrated` or `superstar-archive`.
        """
        return self.root / plain(source) / ARCHIVED[level] / night_folder(night) / plain(name)

    def forest(self, cell: Cell) -> Path:
        """Return the folder of a cell's forests: `RFs/<period>/<zenith>/<moon>`."""
        return self.root / FORESTS / cell.period.name / cell.zenith.name / cell.moon.key

    def mc(self, level: DataLevel, period: str, zenith: str, use: str, name: str, *, moon: str | None = None) -> Path:
        """Return the path of a Monte Carlo file; from star on, it belongs to a moon level.

        `use` is `train` or `test`.
        """
        noise = f"{zenith}-{moon}" if moon else zenith
        return self.root / MONTE_CARLO / use / level.key / period / noise / plain(name)

    def combined(self, source: str, period: str | None, name: str) -> Path:
        """Return the path of a result over several cells: `<source>/combined/<period, or all>/<name>`."""
        return self.root / plain(source) / COMBINED / (period or ALL_PERIODS) / plain(name)

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
            return Place(parts[0], datalevels.by_key(parts[1]), parts[4], cell=Cell.parse(f"{parts[2]}/{parts[3]}"))
        raise InputError(f"{product} is not where a product of the store {self.root} would lie")
