"""Runs: their numbers, the MARS file-name grammar both ways, and the columns of the run table."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from magicpy_assets.core import datalevels, moons, periods, zeniths
from magicpy_assets.core.cell import Cell
from magicpy_assets.core.datalevels import DataLevel
from magicpy_assets.core.errors import InputError, OutOfRangeError

if TYPE_CHECKING:
    import pandas as pd

_DATA = re.compile(
    r"(?P<date>\d{8})(?:_M(?P<telescope>[12]))?_(?P<run>\d{8})(?:\.(?P<subrun>\d{3}))?_(?P<level>[DCPYISQ]|DL3)_"
    r"(?P<source>.+?)(?:-(?P<wobble>W\d+(?:\.\d+)?(?:\+\d{1,3})?))?\.(?P<suffix>root|raw|raw\.gz|fits|fits\.gz)"
)
_MC = re.compile(
    r"GA(?:_M(?P<telescope>[12]))?_(?P<zenith>za\d{2}to\d{2})(?:_(?P<digit>\d))?(?:_(?P<run>\d{2,}(?:to\d+)?|TRAIN|TEST))?"
    r"_(?P<level>[YISQ])_(?P<wobble>w[0r])(?:_(?P<part>\d+))?\.root"
)


def plain(name: str) -> str:
    """Return a name that may become a part of a path: printable, no folder in it, not hidden.

    Raises
    ------
    InputError
        For any other: names come from servers and run reports, and must not lead elsewhere.
    """
    if not name or not name.isprintable() or name.startswith(".") or "/" in name or "\\" in name:
        raise InputError(f"{name!r} is no plain name: it could lead out of the store")
    return name


@dataclass(frozen=True)
class Wobble:
    """Offset of the pointing from the source (deg) and its position angle (deg); old data give only `W1` or `W2`.

    The texts keep their spelling: `W0.40+035`, and `W1` for old data, whose number counts positions.
    """

    offset_deg: float
    angle_deg: int | None

    @property
    def text(self) -> str:
        """As in file names."""
        if self.angle_deg is None:
            return f"W{self.offset_deg:g}" if self.offset_deg.is_integer() else f"W{self.offset_deg:.2f}"
        return f"W{self.offset_deg:.2f}+{self.angle_deg:03d}"

    @classmethod
    def parse(cls, text: str) -> Wobble:
        """Read `W0.40+035` or `W1`."""
        match = re.fullmatch(r"W(\d+(?:\.\d+)?)(?:\+(\d{1,3}))?", text)
        if match is None:
            raise InputError(f"{text!r} is not a wobble position", hint="write it as W0.40+035")
        return cls(float(match[1]), int(match[2]) if match[2] else None)

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class DataFile:
    """What the name of a data file says. Dates are MAGIC dates: the morning after."""

    date: date
    telescope: int | None
    run: int
    subrun: int | None
    level: DataLevel
    source: str
    wobble: Wobble | None = None
    suffix: str = "root"

    @property
    def name(self) -> str:
        """The file name."""
        telescope = f"_M{self.telescope}" if self.telescope else ""
        subrun = f".{self.subrun:03d}" if self.subrun is not None else ""
        wobble = f"-{self.wobble.text}" if self.wobble else ""
        head = f"{self.date:%Y%m%d}{telescope}_{self.run:08d}{subrun}"
        return f"{head}_{self.level.letter}_{self.source}{wobble}.{self.suffix}"

    def at(self, level: DataLevel, *, mono: bool = False) -> DataFile:
        """Return the file of another level that this one belongs to.

        Files of a run have no subrun, and no telescope: only those of mono analyses keep it, which is asked for with
        `mono` where this is a file of a subrun.
        """
        suffix = "fits" if level == datalevels.DL3 else "root"
        if level.scope == "subrun":
            return replace(self, level=level, suffix=suffix)
        telescope = self.telescope if mono or self.level.scope != "subrun" else None
        return replace(self, level=level, suffix=suffix, telescope=telescope, subrun=None)


@dataclass(frozen=True)
class McFile:
    """What the name of a Monte Carlo file says."""

    telescope: int | None
    zenith: str
    digit: int | None
    run: str | None
    level: DataLevel
    wobble: str
    part: int | None = None

    @property
    def name(self) -> str:
        """The file name."""
        parts = [
            "GA",
            f"M{self.telescope}" if self.telescope else None,
            self.zenith,
            str(self.digit) if self.digit is not None else None,
            self.run,
            self.level.letter,
            self.wobble,
            str(self.part) if self.part is not None else None,
        ]
        return "_".join(part for part in parts if part is not None) + ".root"

    def at(self, level: DataLevel, *, mono: bool = False) -> McFile:
        """Return the file of another level that this one belongs to; for the telescope see `DataFile.at`."""
        kept = mono or level.scope == "subrun" or self.level.scope != "subrun"
        return replace(self, level=level, telescope=self.telescope if kept else None)


def parse_name(path: Path | str) -> DataFile | McFile:
    """Read a MARS file name, data or Monte Carlo.

    Raises
    ------
    InputError
        If the name follows neither grammar, with an example of each.
    """
    name = Path(path).name
    if match := _MC.fullmatch(name):
        return McFile(
            telescope=_number(match["telescope"]),
            zenith=match["zenith"],
            digit=_number(match["digit"]),
            run=match["run"],
            level=datalevels.by_letter(match["level"]),
            wobble=match["wobble"],
            part=_number(match["part"]),
        )
    match = _DATA.fullmatch(name)
    if match is None:
        raise InputError(
            f"{name!r} is not a MARS file name",
            hint="data: 20210314_M1_05095172.001_Y_CrabNebula-W0.40+035.root; MC: GA_M1_za35to50_8_824318_Y_w0.root",
        )
    try:
        day = datetime.strptime(match["date"], "%Y%m%d").date()
    except ValueError as error:
        raise InputError(f"{name!r}: {match['date']} is not a date") from error
    return DataFile(
        date=day,
        telescope=_number(match["telescope"]),
        run=int(match["run"]),
        subrun=_number(match["subrun"]),
        level=datalevels.by_letter(match["level"]),
        source=match["source"],
        wobble=Wobble.parse(match["wobble"]) if match["wobble"] else None,
        suffix=match["suffix"],
    )


def _number(text: str | None) -> int | None:
    return int(text) if text else None


def is_stereo(run: int) -> bool:
    """Tell stereo runs (numbers of eight digits beginning with 05) from mono ones (beginning with 1 or 2)."""
    return f"{run:08d}".startswith("05")


def night_folder(day: date) -> str:
    """Return the folder of a night on the data server: `2020_11_16`."""
    return f"{day:%Y_%m_%d}"


def night_of(folder: str) -> date:
    """Return the MAGIC date of a night folder."""
    try:
        return datetime.strptime(folder, "%Y_%m_%d").date()
    except ValueError as error:
        raise InputError(f"{folder!r} is not a night folder", hint="it should look like 2020_11_16") from error


@dataclass(frozen=True)
class Column:
    """A column of a table: name, NumPy dtype, unit (empty if none), meaning."""

    name: str
    dtype: str
    unit: str
    meaning: str


REPORT_COLUMNS: tuple[Column, ...] = (
    Column("run", "int64", "", "run number"),
    Column("date", "datetime64[s]", "", "MAGIC date: the morning after"),
    Column("source", "str", "", "source name, as in file names"),
    Column("wobble", "str", "", "wobble position, as in file names"),
    Column("source_ra_deg", "float64", "deg", "right ascension of the source, ICRS"),
    Column("source_dec_deg", "float64", "deg", "declination of the source, ICRS"),
    Column("start_mjd", "float64", "d", "start of the run, UTC"),
    Column("duration_s", "float64", "s", "elapsed time"),
    Column("za_deg", "float64", "deg", "mean zenith distance"),
    Column("az_deg", "float64", "deg", "mean azimuth, from north through east"),
    Column("nsb", "float64", "dark sky", "night-sky background: the catalogue's estimate, or measured"),
    Column("dc_na", "float64", "nA", "median anode current of M1"),
    Column("hv", "str", "", "high voltage: nominal or reduced"),
    Column("filter", "str", "", "No_Filter or UV"),
    Column("L1_rate", "float64", "Hz", "mean first-level trigger rate"),
    Column("L3_rate", "float64", "Hz", "mean stereo trigger rate"),
    Column("sum_trigger", "str", "", "No_Sumt or Sumt"),
    Column("stereo", "bool", "", "both telescopes"),
    Column("subruns", "int64", "", "subruns per telescope"),
)
CELL_COLUMNS: tuple[Column, ...] = (
    Column("period", "str", "", "observing period; empty if none"),
    Column("za", "str", "", "zenith range; empty if none"),
    Column("moon_level", "str", "", "moon level; empty if none"),
    Column("cell", "str", "", "period/zenith/moon; empty if the run has no cell"),
    Column("no_cell_reason", "str", "", "why the run has no cell; empty if it has one"),
)
RUN_COLUMNS: tuple[Column, ...] = REPORT_COLUMNS + CELL_COLUMNS
SUBRUN_COLUMNS: tuple[Column, ...] = (
    Column("run", "int64", "", "run number"),
    Column("telescope", "int64", "", "1 or 2"),
    Column("subrun", "int64", "", "from 1"),
    Column("source", "str", "", "source name"),
    Column("date", "datetime64[s]", "", "MAGIC date"),
    Column("name", "str", "", "file name"),
    Column("size_bytes", "float64", "B", "size on the server; NaN where the server does not say"),
    Column("state", "str", "", "online, tape or reading"),
)


def with_cells(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a run table with `CELL_COLUMNS` added: every run gets exactly one cell, or the reason why it has none."""
    placed = [
        _place(row.date.date(), row.za_deg, row.nsb) for row in frame[["date", "za_deg", "nsb"]].itertuples(index=False)
    ]
    result = frame.copy()
    for position, column in enumerate(CELL_COLUMNS):
        result[column.name] = [values[position] for values in placed]
        result[column.name] = result[column.name].astype("str")
    return result


def _place(day: date, zd_deg: float, nsb: float) -> tuple[str, str, str, str, str]:
    reasons: list[str] = []

    def name_of(find: Callable[[], str]) -> str:
        try:
            return find()
        except OutOfRangeError as error:
            reasons.append(error.message)
            return ""

    period = name_of(lambda: periods.of_date(day).name)
    zenith = name_of(lambda: zeniths.of(zd_deg).name)
    moon = name_of(lambda: moons.of_nsb(nsb).key)
    cell = "" if reasons else Cell.parse(f"{period}/{zenith}/{moon}").text
    return period, zenith, moon, cell, "; ".join(reasons)
