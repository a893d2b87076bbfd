"""The first half of the chain, written out: the tasks that turn the archive's files into superstar, run by run.

A mono analysis has no superstar: the star files of its telescope take that place.

Each run is cleaned as its own sky, voltage and filter ask (`core.moons.treatment`). Darker OFF data and Monte Carlo are
brought to the noise of the cell that they serve. Nothing is done here; see `pipeline.plan` and `pipeline.run`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from magicpy_assets.archive.base import RemoteFile
from magicpy_assets.core import datalevels, moons
from magicpy_assets.core.cell import Cell
from magicpy_assets.core.datalevels import DataLevel
from magicpy_assets.core.moons import Cleaning
from magicpy_assets.core.runs import DataFile, McFile, night_folder, parse_name
from magicpy_assets.mars import programs
from magicpy_assets.pipeline.file_names import data_name, unit_of
from magicpy_assets.pipeline.session import Session
from magicpy_assets.pipeline.tasks import Inputs, Task
from magicpy_assets.pipeline.way import Way

if TYPE_CHECKING:
    import pandas as pd

ROOT_SUFFIX = ".root"
Run = Any
"""A row of the run table, as `DataFrame.itertuples` gives it."""


class Images:
    """Collects the tasks of one plan, each product once, inputs before what is made from them.

    Parameters
    ----------
    session
        Settings, archive, store.
    runs
        The runs to use, as `pipeline.runs.known_runs` returns them.
    everything
        All known runs, from which OFF data are taken; by default the same.
    """

    def __init__(self, session: Session, runs: pd.DataFrame, everything: pd.DataFrame | None = None) -> None:
        self.session = session
        self.layout = session.layout
        self.telescopes = session.telescopes
        self.runs = runs
        self.everything = runs if everything is None else everything
        self.tasks: dict[Path, Task] = {}
        self._listings: dict[tuple[str, str, str], list[RemoteFile]] = {}
        self._targets: dict[Cell, Cleaning] = {}
        self._identities: dict[str, dict[str, str]] = {}
        self._superstar_nights: dict[str, frozenset[str]] = {}

    def add(self, task: Task) -> Task:
        """Take a task into the chain, or return the one that already makes its product."""
        known = self.tasks.get(task.product)
        if known is None:
            task = replace(task, parameters={**task.parameters, **self._programs_of(task)})
            self.tasks.update(dict.fromkeys(task.products, task))
            return task
        return known

    def _programs_of(self, task: Task) -> dict[str, str]:
        """Return what an installed MARS adds to the identity of a task's products."""
        if task.stage not in self._identities:
            name = programs.Coach.name if task.stage == datalevels.RandomForest.key else task.stage
            self._identities[task.stage] = self.session.installation.identity(name)
        return self._identities[task.stage]

    def ordered(self) -> list[Task]:
        """Every task once, in an order in which inputs come first."""
        return list(dict.fromkeys(self.tasks.values()))

    # A source in its cell

    def calibrated(self, source: str, cell: Cell) -> list[Task]:
        """Downloads of a source's calibrated files in one cell."""
        return [task for run in self.runs_of(source, cell) for task in self._calibrated_of(source, cell, run)]

    def star(self, source: str, cell: Cell) -> list[Task]:
        """Star products of a source in one cell, a file each; none of runs that begin with superstar."""
        return [
            self._star(source, cell, task, self.way_of(run, cell))
            for run in self.runs_of(source, cell)
            if self._archived(source, cell, run) is None
            for task in self._calibrated_of(source, cell, run)
        ]

    def superstar(self, source: str, cell: Cell) -> list[Task]:
        """Superstar products of a source in one cell, a run each."""
        return [self.superstar_of(source, cell, run) for run in self.runs_of(source, cell)]

    def superstar_of(self, source: str, cell: Cell, run: Run) -> Task:
        """Return the superstar product of one run: the archive's own, or what is made from calibrated files."""
        remote = self._archived(source, cell, run)
        if remote is not None:
            product = self.layout.downloaded(source, datalevels.SuperStar, run.date.date(), remote.name)
            note = f"{cell.moon.key} moon begins with the archive's superstar"
            return self.add(download(source, cell, remote, product, level=datalevels.SuperStar, note=note))
        way = self.way_of(run, cell)
        stars = [self._star(source, cell, task, way) for task in self._calibrated_of(source, cell, run)]
        return self._superstar(source, cell, stars, self._why_calibrated(cell, run))

    def images_of(self, source: str, cell: Cell, run: Run) -> list[Task]:
        """Return the products of one run that forests are trained with and applied to: superstar or, mono, star."""
        if not self.telescopes.is_mono:
            return [self.superstar_of(source, cell, run)]
        way = self.way_of(run, cell)
        return [self._star(source, cell, task, way) for task in self._calibrated_of(source, cell, run)]

    def way_of(self, run: Run, cell: Cell) -> Way:
        """Decide how the images of a run are made for a cell: its own, or a brighter one that it serves as OFF data."""
        treated = moons.treatment(run.nsb, run.hv, run.filter)
        if treated.fault:
            return Way(None, fault=treated.fault)
        if run.moon_level == cell.moon.key:
            return Way(treated.cleaning)
        return Way(self.target(cell), noise=self.target(cell))

    def target(self, cell: Cell) -> Cleaning:
        """Return the cleaning, and the noise, of the Monte Carlo and of darker OFF data of a cell."""
        if cell not in self._targets:
            here = self.everything[
                (self.everything["cell"] == cell.text) & (self.everything["hv"] == moons.voltage_of(cell.moon))
            ]
            observed = list(zip(here["nsb"], here["duration_s"], strict=True))
            self._targets[cell] = moons.target(cell.moon, observed)
        return self._targets[cell]

    def runs_of(self, source: str, cell: Cell) -> list[Run]:
        """Return the runs of a source in a cell."""
        chosen = self.runs[(self.runs["source"] == source) & (self.runs["cell"] == cell.text)]
        return list(chosen.itertuples(index=False))

    # Beginning with the archive's superstar

    def _archived(self, source: str, cell: Cell, run: Run) -> RemoteFile | None:
        """Return the superstar file with which a run begins, or None if it begins with calibrated files."""
        if self.telescopes.is_mono:
            return None
        plain = (run.hv, run.filter) == ("nominal", "No_Filter") and run.moon_level == cell.moon.key
        if self.session.settings.archive.start_from != "superstar" or cell.moon != moons.WeakMoon or not plain:
            return None
        night = night_folder(run.date.date())
        if source not in self._superstar_nights:
            nights = self.session.archive.offered_nights(datalevels.SuperStar, source)
            self._superstar_nights[source] = frozenset(nights)
        found = self._listed(datalevels.SuperStar, source, night) if night in self._superstar_nights[source] else []
        return next((remote for remote in found if data_name(Path(remote.name)).run == int(run.run)), None)

    def _why_calibrated(self, cell: Cell, run: Run) -> str:
        if self.session.settings.archive.start_from != "superstar":
            return ""
        if cell.moon != moons.WeakMoon:
            return f"{cell.moon.key} moon is always made from calibrated"
        return "the archive holds no superstar of this run"

    # One task each

    def _calibrated_of(self, source: str, cell: Cell, run: Run) -> list[Task]:
        night = run.date.date()
        listed = self._listed(datalevels.Calibrated, source, night_folder(night))
        tasks = [
            self.add(download(source, cell, remote, self.layout.calibrated(source, night, remote.name)))
            for remote in listed
            if self._wants(data_name(Path(remote.name)), run)
        ]
        if tasks:
            return tasks
        alone = self.telescopes.alone
        telescope, of_it = (f"_M{alone}", f"M{alone} of it") if alone else ("", "it")
        name = f"{night:%Y%m%d}{telescope}_{int(run.run):08d}_Y_{source}-{run.wobble}.root"
        fault = (
            f"run {int(run.run)} of {source} is in the catalogue, but the archive holds no calibrated file of {of_it}"
        )
        product = self.layout.calibrated(source, night, name)
        return [self.add(Task("calibrated", source, cell, str(run.run), (product,), product.parent, fault=fault))]

    def _wants(self, name: DataFile, run: Run) -> bool:
        """Tell whether a file is of a run, and of a telescope that is used."""
        return name.run == int(run.run) and name.telescope in self.telescopes.numbers

    def _star(self, source: str, cell: Cell, upstream: Task, way: Way) -> Task:
        name = parse_name(upstream.product)
        product = self.product(source, datalevels.Star, cell, name)

        def build(inputs: Inputs, out: Path) -> programs.Star:
            return way.star(inputs["calibrated"], out, mc=isinstance(name, McFile))

        return self.add(
            Task(
                stage=datalevels.Star.key,
                source=source,
                cell=cell,
                unit=unit_of(product.name),
                products=(product,),
                folder=product.parent,
                inputs={"calibrated": (upstream.product,)},
                parameters=way.parameters,
                results_version=programs.Star.results_version,
                build=build,
                fault=upstream.fault or way.fault,
            )
        )

    def _superstar(self, source: str, cell: Cell, stars: list[Task], note: str = "") -> Task:
        names = [parse_name(task.product) for task in stars]
        first = names[0]
        product = self.product(source, datalevels.SuperStar, cell, first)
        fault = next((task.fault for task in stars if task.fault), "") or _incomplete(names, product.name)
        return self.add(
            Task(
                stage=datalevels.SuperStar.key,
                source=source,
                cell=cell,
                unit=unit_of(product.name),
                products=(product,),
                folder=product.parent,
                inputs={"star": tuple(task.product for task in stars)},
                results_version=programs.SuperStar.results_version,
                build=lambda inputs, out: programs.SuperStar(
                    files=inputs["star"], out=out, mc=isinstance(first, McFile)
                ),
                fault=fault,
                note=note,
            )
        )

    def _listed(self, level: DataLevel, source: str, folder: str) -> list[RemoteFile]:
        key = (level.key, source, folder)
        if key not in self._listings:
            archive = self.session.archive
            if source.startswith("MC/"):
                period, zenith = folder.split("/")
                found = archive.mc_files(period, zenith, source.removeprefix("MC/"))
            else:
                found = archive.files(level, source, folder)
            self._listings[key] = [remote for remote in found if remote.name.endswith(ROOT_SUFFIX)]
        return self._listings[key]

    def product(self, source: str, level: DataLevel, cell: Cell, name: DataFile | McFile) -> Path:
        """Return where the product of a level lies that a file belongs to."""
        its = name.at(level, mono=self.telescopes.is_mono).name
        if isinstance(name, McFile):
            use = source.removeprefix("MC/")
            return self.layout.mc(level, cell.period.name, cell.zenith.name, use, its, moon=cell.moon.key)
        return self.layout.data(source, level, cell, its)


def download(
    source: str,
    cell: Cell | None,
    remote: RemoteFile,
    product: Path,
    *,
    level: DataLevel = datalevels.Calibrated,
    note: str = "",
    fault: str = "",
) -> Task:
    """Return the task that gets a file from the archive."""
    return Task(
        stage=level.key,
        source=source,
        cell=cell,
        unit=unit_of(remote.name),
        products=(product,),
        folder=product.parent,
        remote=remote,
        note=note,
        fault=fault,
    )


def _incomplete(names: Sequence[DataFile | McFile], product: str) -> str:
    """Return what the telescopes lack of a run: its live time would be wrong if only one had recorded a part of it."""
    subruns = {telescope: {_subrun(name) for name in names if name.telescope == telescope} for telescope in (1, 2)}
    for telescope, other in ((1, 2), (2, 1)):
        if not subruns[telescope]:
            return f"no star file of telescope M{telescope} for {product}: superstar needs both telescopes"
        if lacking := sorted(subruns[other] - subruns[telescope]):
            listed = ", ".join(f"{number:03d}" for number in lacking)
            return f"M{telescope} has no subrun {listed} of {product}, M{other} has: superstar needs both telescopes"
    return ""


def _subrun(name: DataFile | McFile) -> int:
    return name.subrun or 0 if isinstance(name, DataFile) else 0
