"""The chain, written out: which tasks make a cell, level by level, from the archive's files to the spectrum.

Nothing is decided and nothing is done here; see `pipeline.plan` and `pipeline.run`.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from magicpy_assets.archive.base import RemoteFile
from magicpy_assets.core import datalevels, moons
from magicpy_assets.core.cell import Cell
from magicpy_assets.core.datalevels import DataLevel
from magicpy_assets.core.runs import DataFile, McFile, night_folder, parse_name
from magicpy_assets.formats.dl3_index import write_index
from magicpy_assets.mars import programs
from magicpy_assets.pipeline.session import Session
from magicpy_assets.pipeline.tasks import Inputs, Task

if TYPE_CHECKING:
    import pandas as pd

ROOT_SUFFIX = ".root"


class Chain:
    """Collects the tasks of one plan, each product once, inputs before what is made from them."""

    def __init__(self, session: Session, runs: pd.DataFrame) -> None:
        self.session = session
        self.layout = session.layout
        self.runs = runs
        self.tasks: dict[Path, Task] = {}
        self._listings: dict[tuple[str, str], list[RemoteFile]] = {}

    def add(self, task: Task) -> Task:
        """Take a task into the chain, or return the one that already makes its product."""
        known = self.tasks.get(task.product)
        if known is None:
            self.tasks.update(dict.fromkeys(task.products, task))
            return task
        return known

    def ordered(self) -> list[Task]:
        """Every task once, in an order in which inputs come first."""
        return list(dict.fromkeys(self.tasks.values()))

    # Data, run by run

    def calibrated(self, source: str, cell: Cell) -> list[Task]:
        """Downloads of a source's calibrated files in one cell."""
        return [task for run in self._runs_of(source, cell) for task in self._calibrated_of(source, cell, run)]

    def star(self, source: str, cell: Cell) -> list[Task]:
        """Star products of a source in one cell, a file each."""
        return [self._star(source, cell, task) for task in self.calibrated(source, cell)]

    def superstar(self, source: str, cell: Cell) -> list[Task]:
        """Superstar products of a source in one cell, a run each."""
        by_run: dict[int, list[Task]] = {}
        for task in self.star(source, cell):
            by_run.setdefault(_data_name(task.product).run, []).append(task)
        return [self._superstar(source, cell, tasks) for tasks in by_run.values()]

    def melibea(self, source: str, cell: Cell) -> list[Task]:
        """Melibea products of a source in one cell, a run each."""
        superstars = self.superstar(source, cell)
        return self._melibea(source, cell, superstars, is_mc=False) if superstars else []

    def dl3(self, source: str, cell: Cell) -> list[Task]:
        """DL3 products of a source in one cell, a run each."""
        melibeas = self.melibea(source, cell)
        if not melibeas:
            return []
        test = tuple(
            task.product for task in self._melibea("MC/test", cell, self.mc_superstar(cell, "test"), is_mc=True)
        )
        folder = self.layout.data(source, datalevels.DL3, cell, "index").parent
        tasks = []
        for upstream in melibeas:
            name = _data_name(upstream.product)
            task = Task(
                stage=datalevels.DL3.key,
                source=source,
                cell=cell,
                unit=f"{name.run:08d}",
                products=(folder / name.at(datalevels.DL3).name,),
                folder=folder,
                inputs={"melibea": (upstream.product,), "MC test": test},
                optional=frozenset({"MC test"}),
                results_version=programs.Dl3.results_version,
                build=lambda inputs, out: programs.Dl3(files=inputs["melibea"], mc=inputs["MC test"], out=out),
                finish=write_index,
            )
            tasks.append(self.add(task))
        return tasks

    def spectra(self, source: str, cell: Cell) -> list[Task]:
        """The spectrum, θ² and light curve of a source in one cell."""
        upstream = self.dl3(source, cell)
        if not upstream:
            return []
        folder = self.layout.data(source, datalevels.Spectra, cell, "spectrum.json").parent
        task = Task(
            stage=datalevels.Spectra.key,
            source=source,
            cell=cell,
            unit=cell.zenith_moon,
            products=tuple(folder / name for name in programs.SPECTRA_FILES),
            folder=folder,
            inputs={"DL3": tuple(task.product for task in upstream)},
            optional=frozenset({"DL3"}),
            parameters={"source": source},
            results_version=programs.Spectra.results_version,
            build=lambda inputs, out: programs.Spectra(files=inputs["DL3"], source=source, out=out),
        )
        return [self.add(task)]

    # Forests and Monte Carlo, shared by all sources

    def random_forest(self, cell: Cell) -> list[Task]:
        """The forests of a cell, from OFF data of the cell and the training Monte Carlo."""
        off = [task.product for source in self._off_sources(cell) for task in self.superstar(source, cell)]
        mc = [task.product for task in self.mc_superstar(cell, "train")]
        folder = self.layout.forest(cell)
        model = self.session.settings.forest.model
        task = Task(
            stage=datalevels.RandomForest.key,
            source="RFs",
            cell=cell,
            unit=cell.zenith_moon,
            products=tuple(folder / name for name in (*programs.FOREST_FILES, programs.TRAINING_REPORT)),
            folder=folder,
            inputs={"MC train": tuple(mc), "OFF": tuple(off)},
            optional=frozenset({"MC train", "OFF"}),
            parameters={"model": model, "zenith": cell.zenith.name},
            results_version=programs.Coach.results_version,
            build=lambda inputs, out: programs.Coach(
                mc=inputs["MC train"],
                off=inputs["OFF"],
                out=out,
                zd_min=cell.zenith.low_deg,
                zd_max=cell.zenith.high_deg,
                model=model,
            ),
        )
        return [self.add(task)]

    def mc_calibrated(self, cell: Cell, use: str) -> list[Task]:
        """Downloads of the Monte Carlo of a cell's period and zenith range, for training or test."""
        tasks = []
        for remote in self._listed(f"MC/{use}", cell.period.name + "/" + cell.zenith.name):
            product = self.layout.mc(datalevels.Calibrated, cell.period.name, cell.zenith.name, use, remote.name)
            tasks.append(self.add(_download(f"MC/{use}", cell, remote, product, _unit(remote.name))))
        return tasks

    def mc_superstar(self, cell: Cell, use: str) -> list[Task]:
        """Monte Carlo brought to the noise of the cell's moon level, through star and superstar."""
        by_run: dict[str, list[Task]] = {}
        for download in self.mc_calibrated(cell, use):
            task = self._star(f"MC/{use}", cell, download)
            by_run.setdefault(_mc_name(task.product).run or "", []).append(task)
        return [self._superstar(f"MC/{use}", cell, tasks) for tasks in by_run.values()]

    def mc(self, cell: Cell, use: str, up_to: str) -> list[Task]:
        """The Monte Carlo of a cell up to a level."""
        if up_to == datalevels.Calibrated.key:
            return self.mc_calibrated(cell, use)
        superstars = self.mc_superstar(cell, use)
        if up_to in (datalevels.Star.key, datalevels.SuperStar.key):
            return superstars
        return self._melibea(f"MC/{use}", cell, superstars, is_mc=True)

    # One task each

    def _calibrated_of(self, source: str, cell: Cell, run: pd.Series) -> list[Task]:
        night = run["date"].date()
        files = [
            remote
            for remote in self._listed(source, night_folder(night))
            if _data_name(Path(remote.name)).run == int(run["run"])
        ]
        tasks = [
            self.add(
                _download(source, cell, remote, self.layout.calibrated(source, night, remote.name), _unit(remote.name))
            )
            for remote in files
        ]
        missing = {1, 2} - {_data_name(task.product).telescope for task in tasks}
        if missing and not tasks:
            name = f"{night:%Y%m%d}_{int(run['run']):08d}_Y_{source}-{run['wobble']}.root"
            fault = (
                f"run {int(run['run'])} of {source} is in the catalogue, but the archive holds no calibrated file of it"
            )
            product = self.layout.calibrated(source, night, name)
            return [
                self.add(Task("calibrated", source, cell, str(run["run"]), (product,), product.parent, fault=fault))
            ]
        return tasks

    def _star(self, source: str, cell: Cell, upstream: Task) -> Task:
        name = parse_name(upstream.product)
        cleaning = moons.cleaning_of(cell.moon)
        noise = self._added_noise(cell) if isinstance(name, McFile) else None
        product = self._product(source, datalevels.Star, cell, name)
        parameters = {
            "MJStar.MImgCleanStd.CleanLevel1": cleaning.level1_phe,
            "MJStar.MImgCleanStd.CleanLevel2": cleaning.level2_phe,
            **({"noise_mean_phe": noise[0], "noise_rms_phe": noise[1]} if noise else {}),
        }

        def build(inputs: Inputs, out: Path) -> programs.Star:
            star = programs.Star(files=inputs["calibrated"], out=out, mc=isinstance(name, McFile))
            star.set_parameter("MJStar.MImgCleanStd.CleanLevel1", cleaning.level1_phe)
            star.set_parameter("MJStar.MImgCleanStd.CleanLevel2", cleaning.level2_phe)
            return star.add_noise(*noise) if noise else star

        return self.add(
            Task(
                stage=datalevels.Star.key,
                source=source,
                cell=cell,
                unit=_unit(product.name),
                products=(product,),
                folder=product.parent,
                inputs={"calibrated": (upstream.product,)},
                parameters=parameters,
                results_version=programs.Star.results_version,
                build=build,
                fault=upstream.fault,
            )
        )

    def _superstar(self, source: str, cell: Cell, stars: list[Task]) -> Task:
        names = [parse_name(task.product) for task in stars]
        first = names[0]
        product = self._product(source, datalevels.SuperStar, cell, first)
        missing = sorted({1, 2} - {name.telescope for name in names})
        fault = next((task.fault for task in stars if task.fault), "")
        if missing and not fault:
            fault = f"no star file of telescope M{missing[0]} for {product.name}: superstar needs both telescopes"
        return self.add(
            Task(
                stage=datalevels.SuperStar.key,
                source=source,
                cell=cell,
                unit=_unit(product.name),
                products=(product,),
                folder=product.parent,
                inputs={"star": tuple(task.product for task in stars)},
                results_version=programs.SuperStar.results_version,
                build=lambda inputs, out: programs.SuperStar(
                    files=inputs["star"], out=out, mc=isinstance(first, McFile)
                ),
                fault=fault,
            )
        )

    def _melibea(self, source: str, cell: Cell, upstream: list[Task], *, is_mc: bool) -> list[Task]:
        forest = self.random_forest(cell)[0]
        tasks = []
        for superstar in upstream:
            product = self._product(source, datalevels.Melibea, cell, parse_name(superstar.product))
            task = Task(
                stage=datalevels.Melibea.key,
                source=source,
                cell=cell,
                unit=_unit(product.name),
                products=(product,),
                folder=product.parent,
                inputs={"superstar": (superstar.product,), "forest": forest.products[: len(programs.FOREST_FILES)]},
                results_version=programs.Melibea.results_version,
                build=lambda inputs, out: programs.Melibea(
                    files=inputs["superstar"], forest=forest.folder, out=out, mc=is_mc
                ),
                fault=superstar.fault,
            )
            tasks.append(self.add(task))
        return tasks

    # What there is

    def _runs_of(self, source: str, cell: Cell) -> Iterable[pd.Series]:
        chosen = self.runs[(self.runs["source"] == source) & (self.runs["cell"] == cell.text)]
        return (row for _, row in chosen.iterrows())

    def _off_sources(self, cell: Cell) -> list[str]:
        here = self.runs[self.runs["cell"] == cell.text]
        return sorted(set(here.loc[here["off"], "source"]))

    def _listed(self, source: str, folder: str) -> list[RemoteFile]:
        key = (source, folder)
        if key not in self._listings:
            archive = self.session.archive
            if source.startswith("MC/"):
                period, zenith = folder.split("/")
                found = archive.mc_files(period, zenith, source.removeprefix("MC/"))
            else:
                found = archive.files(datalevels.Calibrated, source, folder)
            self._listings[key] = [remote for remote in found if remote.name.endswith(ROOT_SUFFIX)]
        return self._listings[key]

    def _added_noise(self, cell: Cell) -> tuple[float, float] | None:
        if cell.moon == moons.WeakMoon:
            return None
        target = moons.cleaning_of(cell.moon)
        return target.pedestal_mean_phe, target.pedestal_rms_phe

    def _product(self, source: str, level: DataLevel, cell: Cell, name: DataFile | McFile) -> Path:
        if isinstance(name, McFile):
            use = source.removeprefix("MC/")
            return self.layout.mc(
                level, cell.period.name, cell.zenith.name, use, name.at(level).name, moon=cell.moon.key
            )
        return self.layout.data(source, level, cell, name.at(level).name)


def _download(source: str, cell: Cell, remote: RemoteFile, product: Path, unit: str) -> Task:
    return Task(
        stage=datalevels.Calibrated.key,
        source=source,
        cell=cell,
        unit=unit,
        products=(product,),
        folder=product.parent,
        remote=remote,
    )


def _data_name(path: Path) -> DataFile:
    name = parse_name(path)
    assert isinstance(name, DataFile), path
    return name


def _mc_name(path: Path) -> McFile:
    name = parse_name(path)
    assert isinstance(name, McFile), path
    return name


def _unit(name: str) -> str:
    """Return the short text by which people know a file: run, telescope, subrun."""
    parsed = parse_name(name)
    telescope = f" M{parsed.telescope}" if parsed.telescope else ""
    if isinstance(parsed, McFile):
        return f"{parsed.run}{telescope}"
    subrun = f".{parsed.subrun:03d}" if parsed.subrun is not None else ""
    return f"{parsed.run:08d}{telescope}{subrun}"
