"""The forests of cells: which are there, which are missing and how to get them, and training many at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from magicpy_assets.core import moons, zeniths
from magicpy_assets.core.cell import Cell
from magicpy_assets.core.errors import UnknownNameError, unknown
from magicpy_assets.core.periods import Period
from magicpy_assets.core.settings import Settings
from magicpy_assets.core.telescopes import STEREO, Telescopes
from magicpy_assets.mars.programs import forest_files
from magicpy_assets.pipeline.plan import cells_of
from magicpy_assets.pipeline.report import Report
from magicpy_assets.pipeline.run import process
from magicpy_assets.pipeline.runs import known_runs
from magicpy_assets.pipeline.session import Session, open_session
from magicpy_assets.plots.bars import bars
from magicpy_assets.plots.forests import ForestReport
from magicpy_assets.store.records import is_complete, read_record

if TYPE_CHECKING:
    import pandas as pd

NEAREST = "nearest"
FALLBACKS = (NEAREST,)


@dataclass(frozen=True)
class FoundForests:
    """Which cells have forests.

    Attributes
    ----------
    found
        Folder of the forests by cell.
    instead
        For cells without, the cell whose forests are used instead, because that was asked for.
    missing
        Cells without any.
    telescopes
        Of which analyses.
    """

    found: dict[Cell, Path]
    instead: dict[Cell, Cell] = field(default_factory=dict)
    missing: tuple[Cell, ...] = ()
    telescopes: Telescopes = STEREO

    @property
    def usable(self) -> list[Cell]:
        """The cells that can go on."""
        return sorted([*self.found, *self.instead])

    def lines(self, source: str, *, trained_next: bool = False) -> list[str]:
        """Return what is said before the forests are applied to a source; missing ones may be trained next."""
        lines = [f"Random Forest for {_words(cell)} found: {folder}" for cell, folder in sorted(self.found.items())]
        lines += [
            f"Random Forest for {_words(cell)} missing: that for {_words(other)} is used instead, as asked"
            for cell, other in sorted(self.instead.items())
        ]
        if trained_next:
            return lines + [f"Random Forest for {_words(cell)} missing: trained now" for cell in sorted(self.missing)]
        for cell in sorted(self.missing):
            lines += [
                f"Random Forest for {_words(cell)} missing. Train it with",
                f"    {training_line(cell, self.telescopes)}",
            ]
        if not self.usable:
            return [*lines, f"No RFs found. melibea does not run for {source}."]
        if self.missing or self.instead:
            total = len(self.usable) + len(self.missing)
            return [*lines, f"{len(self.found)} of {total} RFs found. Running melibea for {source} where there is one."]
        return [*lines, f"All RFs found. Running melibea for {source}."]


def _words(cell: Cell) -> str:
    return f"{cell.period.name} {cell.zenith.name} {cell.moon.key} moon"


def training_line(cell: Cell, telescopes: Telescopes = STEREO) -> str:
    """Return the line that trains the forests of a cell."""
    words = [f"mp.periods.{cell.period.name}", f"mp.zeniths.{cell.zenith.name}", f"mp.moons.{cell.moon.name}"]
    words += [f"telescopes={telescopes.numbers}"] if telescopes.is_mono else []
    option = f" --telescopes {telescopes.alone}" if telescopes.is_mono else ""
    return f"mp.analysis.Off({', '.join(words)}).train()    or: magicpy train {cell.text}{option}"


def have_forests(session: Session, cell: Cell) -> bool:
    """Tell whether all forests of a cell have been trained and are whole."""
    products = [session.layout.forest(cell) / name for name in forest_files(session.telescopes)]
    record = read_record(products[0])
    return (
        record is not None
        and record.outcome == "done"
        and all(is_complete(product, record.fingerprint) for product in products)
    )


def find_forests(session: Session, cells: Iterable[Cell], fallback: str | None = None) -> FoundForests:
    """Look for the forests of cells.

    Parameters
    ----------
    fallback
        None, or `nearest`: a cell without forests uses those of the nearest cell of its period.

    Raises
    ------
    UnknownNameError
        For another fallback.
    """
    if fallback not in (None, *FALLBACKS):
        raise unknown("fallback for missing forests", fallback, FALLBACKS)
    wanted = sorted(set(cells))
    found = {cell: session.layout.forest(cell) for cell in wanted if have_forests(session, cell)}
    lacking = [cell for cell in wanted if cell not in found]
    near = {cell: nearest(session, cell) for cell in lacking} if fallback == NEAREST else {}
    instead = {cell: other for cell, other in near.items() if other is not None}
    return FoundForests(found, instead, tuple(cell for cell in lacking if cell not in instead), session.telescopes)


def nearest(session: Session, cell: Cell) -> Cell | None:
    """Return the cell of the same period with forests that is most like another, or None.

    A cell of the same zenith range comes before any of another, however far its moon level; of two as near, the darker.
    """
    there = [
        Cell(cell.period, zenith, moon)
        for zenith in zeniths.ALL
        for moon in moons.ALL
        if have_forests(session, Cell(cell.period, zenith, moon))
    ]

    def distance(other: Cell) -> tuple[int, int, int]:
        zenith = abs(zeniths.ALL.index(other.zenith) - zeniths.ALL.index(cell.zenith))
        level = moons.ALL.index(other.moon)
        return zenith, abs(level - moons.ALL.index(cell.moon)), level

    return min(there, key=distance, default=None)


@dataclass(frozen=True)
class TrainedForests:
    """What became of training the forests of several cells.

    Attributes
    ----------
    report
        Every task.
    forests
        Quality by cell, of the cells that have forests now.
    missing
        Why the others have none.
    """

    report: Report
    forests: dict[Cell, ForestReport]
    missing: dict[Cell, str]

    @property
    def table(self) -> pd.DataFrame:
        """A row per cell: `cell`, `state`, `auc`, `off_runs`, `off_events`, `gamma_events`, `held_out`, `reason`."""
        import pandas as pd

        rows = [
            (cell.text, "trained", got["auc"], got["off_runs"], got["off_events"], got["gamma_events"],
             got["held_out"]["off"], "")
            for cell, got in self.forests.items()
        ]  # fmt: skip
        rows += [(cell.text, "missing", float("nan"), 0, 0, 0, "", why) for cell, why in self.missing.items()]
        names = ["cell", "state", "auc", "off_runs", "off_events", "gamma_events", "held_out", "reason"]
        return pd.DataFrame(rows, columns=names).sort_values("cell", ignore_index=True)

    def __str__(self) -> str:
        return f"{self.report}\n{self.table.round(4).to_string(index=False)}"

    def _repr_html_(self) -> str:
        return str(self.table.round(4).to_html(index=False))


def train_forests(
    session: Session, cells: Iterable[Cell], *, force: bool = False, quiet: bool = False
) -> TrainedForests:
    """Train the forests of cells, all in one plan, and keep a report on their quality beside each.

    What fails, or has no OFF data or Monte Carlo, is reported; the others are trained.
    """
    wanted = sorted(set(cells))
    with bars(quiet=quiet):
        report = process(session, None, wanted, "random_forest", force=force)
    forests, missing = {}, {}
    for row in report.rows:
        if row.stage != "random_forest":
            continue
        cell = Cell.parse(row.cell)
        if row.state in ("done", "cached"):
            forests[cell] = ForestReport.read(session.layout.forest(cell), cell.text)
            forests[cell].save(session.layout.forest(cell))
        else:
            missing[cell] = row.reason
    return TrainedForests(report, forests, missing)


def train_random_forests(
    period: Period,
    cells: Sequence[Cell] | None = None,
    *,
    settings: Settings | None = None,
    session: Session | None = None,
    force: bool = False,
    quiet: bool = False,
) -> TrainedForests:
    """Train the whole set of forests of a period in one call, in parallel.

    Parameters
    ----------
    cells
        Cells of the period; by default all in which a source that is no OFF field was observed.

    Raises
    ------
    UnknownNameError
        For a cell of another period, or if nothing was observed in the period.
    """
    if strange := [cell.text for cell in cells or () if cell.period != period]:
        raise UnknownNameError(f"{', '.join(strange)}: no cell of {period.name}")
    opened = session or open_session(settings)
    try:
        opened.catalogue.refresh()
        chosen = list(cells) if cells is not None else observed_cells(opened, period)
        if not chosen:
            raise UnknownNameError(f"the run catalogue holds no cell of {period.name} with a source to analyse")
        return train_forests(opened, chosen, force=force, quiet=quiet)
    finally:
        if session is None:
            opened.close()


def observed_cells(session: Session, period: Period) -> list[Cell]:
    """Return the cells of a period in which a source that is no OFF field was observed."""
    runs = known_runs(session)
    return cells_of(runs[~runs["off"] & (runs["period"] == period.name)], None)
