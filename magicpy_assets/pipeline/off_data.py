"""OFF data of a cell: which runs may serve, in which order they are taken, and the small file that keeps a choice.

A run serves if its field shows no signal and it was taken in the period and zenith range of the cell, under a sky as
dark as the cell's or darker: noise can be added, not taken away. Without a file, runs are taken in order up to
`forest.off_hours`; with one, those that it names.
"""

from __future__ import annotations

import json
import logging
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from magicpy_assets.core import moons
from magicpy_assets.core.cell import Cell
from magicpy_assets.core.errors import InputError, MagicpyError
from magicpy_assets.core.runs import Wobble
from magicpy_assets.store.records import pending

if TYPE_CHECKING:
    import pandas as pd

    from magicpy_assets.pipeline.session import Session

logger = logging.getLogger(__name__)

FILE_NAME = "off_selection.toml"
VERSION = 1
MC_WOBBLE_DEG = 0.40
"""The Monte Carlo has its source this far from the middle of the camera; OFF data must look alike."""


@dataclass(frozen=True)
class OffSelection:
    """Which OFF runs a cell is trained with.

    Attributes
    ----------
    cell
        The cell.
    runs
        Run numbers by source.
    hours
        How much was asked for; None if runs were picked by hand.
    zenith_margin_deg
        How far the runs may lie outside the zenith range (deg).
    refused
        Sources that were left out, and why.
    """

    cell: Cell
    runs: Mapping[str, Sequence[int]]
    hours: float | None = None
    zenith_margin_deg: float = 0.0
    refused: Mapping[str, str] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        """Write the selection as TOML that people can read and edit."""
        lines = [
            f"# OFF data that the forests of {self.cell.text} are trained with. May be edited; without this file,",
            "# runs are taken in order up to the setting forest.off_hours.",
            f"version = {VERSION}",
            f"cell = {json.dumps(self.cell.text)}",
            *([f"hours = {self.hours:g}"] if self.hours is not None else []),
            f"zenith_margin_deg = {self.zenith_margin_deg:g}",
            "",
            "[runs]",
            *(f"{json.dumps(source)} = {sorted(runs)}" for source, runs in sorted(self.runs.items())),
        ]
        if self.refused:
            lines += ["", "[refused]"]
            lines += [f"{json.dumps(source)} = {json.dumps(why)}" for source, why in sorted(self.refused.items())]
        path.parent.mkdir(parents=True, exist_ok=True)
        with pending(path) as temporary:
            temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> OffSelection:
        """Read a selection.

        Raises
        ------
        InputError
            If the file is no selection, or one of another version; it is left as it is.
        """
        hint = "mend it, or move it away: OFF data are then taken automatically"
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
            if values["version"] != VERSION:
                raise InputError(f"{path} is of version {values['version']}, not {VERSION}", hint=hint)
            return cls(
                Cell.parse(values["cell"]),
                {source: _numbers(runs) for source, runs in values["runs"].items()},
                None if values.get("hours") is None else float(values["hours"]),
                float(values.get("zenith_margin_deg", 0.0)),
                {source: str(why) for source, why in values.get("refused", {}).items()},
            )
        except KeyError as error:
            raise InputError(f"{path} has no {error}", hint=hint) from error
        except MagicpyError:
            raise
        except (ValueError, TypeError, AttributeError) as error:
            raise InputError(f"{path} is no selection of OFF data: {error}", hint=hint) from error


def _numbers(runs: Any) -> list[int]:
    if not (isinstance(runs, list) and all(type(run) is int for run in runs)):
        raise TypeError(f"run numbers are a list such as [5093174], not {runs!r}")
    return runs


def selection_path(session: Session, cell: Cell) -> Path:
    """Return where the selection of a cell lies: beside its forests."""
    return session.layout.forest(cell) / FILE_NAME


def selected(session: Session, cell: Cell) -> OffSelection | None:
    """Return the selection of a cell, or None if there is none.

    Raises
    ------
    InputError
        If its file cannot be used, or was made for another cell.
    """
    path = selection_path(session, cell)
    if not path.is_file():
        return None
    found = OffSelection.read(path)
    if found.cell != cell:
        raise InputError(f"{path} was made for {found.cell.text}, not for {cell.text}", hint="select again")
    return found


def margin_deg(session: Session, cell: Cell) -> float:
    """Return how far the OFF data of a cell may lie outside its zenith range (deg)."""
    chosen = selected(session, cell)
    return chosen.zenith_margin_deg if chosen else session.settings.forest.zenith_margin_deg


def candidates(runs: pd.DataFrame, cell: Cell, zenith_margin_deg: float = 0.0) -> pd.DataFrame:
    """Return the known runs that may serve a cell as OFF data, in the order in which they are best taken.

    First those of the cell's own moon level, then darker ones, the nearest level first. Within a level the fields take
    turns, so that none of them rules; a field's runs come in order of time. Column `darker` is the number of levels
    between a run and the cell.

    Parameters
    ----------
    runs
        As `pipeline.runs.known_runs` returns them.
    zenith_margin_deg
        How far outside the zenith range of the cell.
    """
    levels = {moon.key: position for position, moon in enumerate(moons.ALL)}
    low, high = cell.zenith.low_deg - zenith_margin_deg, cell.zenith.high_deg + zenith_margin_deg
    darker = levels[cell.moon.key] - runs["moon_level"].map(levels)
    fits = runs["off"] & (runs["period"] == cell.period.name) & (darker >= 0)
    fits &= (runs["za_deg"] >= low) & (runs["za_deg"] < high)
    fits &= runs["stereo"].astype(bool) & (runs["sum_trigger"] == "No_Sumt")
    found = runs[fits].assign(darker=darker[fits].astype(int))
    alike = [
        row.Index
        for row in found[["nsb", "hv", "filter", "wobble"]].itertuples()
        if not moons.treatment(row.nsb, row.hv, row.filter).aside and _offset_deg(row.wobble) == MC_WOBBLE_DEG
    ]
    found = found.loc[alike].sort_values(["darker", "source", "start_mjd"])
    turn = found.groupby(["darker", "source"]).cumcount()
    return found.assign(turn=turn).sort_values(["darker", "turn", "source"]).drop(columns="turn").reset_index(drop=True)


def _offset_deg(wobble: str) -> float:
    try:
        return Wobble.parse(wobble).offset_deg
    except InputError:
        return float("nan")


def first_hours(ordered: pd.DataFrame, hours: float) -> pd.DataFrame:
    """Return the first runs of a table until they make up some hours; two runs at least, to judge forests by one."""
    before_s = ordered["duration_s"].cumsum() - ordered["duration_s"]
    return ordered[(before_s < 3600.0 * hours - 1.0) | (before_s.rank(method="first") <= 2)]


def off_runs(session: Session, runs: pd.DataFrame, cell: Cell) -> pd.DataFrame:
    """Return the OFF runs that a cell is trained with, from known runs: those selected, or the first that serve.

    Selected runs that cannot serve, for example because measured pedestals have moved them to a brighter sky, are left
    out with a warning.
    """
    chosen = selected(session, cell)
    if chosen is None:
        forest = session.settings.forest
        return first_hours(candidates(runs, cell, forest.zenith_margin_deg), forest.off_hours)
    table = candidates(runs, cell, chosen.zenith_margin_deg)
    serving = set(table["run"])
    for source, numbers in chosen.runs.items():
        if gone := [str(run) for run in numbers if run not in serving]:
            logger.warning("%s: %s %s cannot serve %s", FILE_NAME, source, ", ".join(gone), cell.text)
    return table[table["run"].isin([run for numbers in chosen.runs.values() for run in numbers])]
