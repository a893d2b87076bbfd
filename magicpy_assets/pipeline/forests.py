"""The Monte Carlo and the forests of a cell, written out as tasks: shared by all sources."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from magicpy_assets.archive.base import RemoteFile
from magicpy_assets.core import datalevels, moons
from magicpy_assets.core.cell import Cell
from magicpy_assets.core.errors import InputError
from magicpy_assets.core.runs import McFile, parse_name
from magicpy_assets.mars import programs
from magicpy_assets.pipeline.file_names import mc_name, unit_of
from magicpy_assets.pipeline.images import Images, download
from magicpy_assets.pipeline.off_data import margin_deg, off_runs
from magicpy_assets.pipeline.session import Session
from magicpy_assets.pipeline.tasks import Task
from magicpy_assets.pipeline.way import Way

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)

FORESTS = "RFs"
USES = ("train", "test")
WOBBLES = ("wr", "w0")
"""Monte Carlo with its source anywhere on the ring of the wobble offset, or at one place of it: the first there is."""


class Forests(Images):
    """Adds Monte Carlo, forests, and the files that the forests have judged.

    Parameters
    ----------
    forests
        Cells that use the forests of another one, because that was asked for.
    """

    def __init__(
        self,
        session: Session,
        runs: pd.DataFrame,
        everything: pd.DataFrame | None = None,
        forests: Mapping[Cell, Cell] | None = None,
    ) -> None:
        super().__init__(session, runs, everything)
        self.forest_of = dict(forests or {})
        self._mc: dict[Cell, dict[str, list[RemoteFile]]] = {}

    def random_forest(self, cell: Cell) -> list[Task]:
        """The forests of a cell, from OFF data of the cell and the training Monte Carlo."""
        off = [task for run in off_runs(self.session, self.everything, cell).itertuples(index=False)
               for task in self.images_of(run.source, cell, run)]  # fmt: skip
        mc = [task.product for tasks in self.mc_images(cell, "train") for task in tasks]
        folder = self.layout.forest(cell)
        model = self.session.settings.forest.model
        margin = margin_deg(self.session, cell)
        task = Task(
            stage=datalevels.RandomForest.key,
            source=FORESTS,
            cell=cell,
            unit=cell.zenith_moon,
            products=tuple(
                folder / name for name in (*programs.forest_files(self.telescopes), programs.TRAINING_REPORT)
            ),
            folder=folder,
            inputs={"MC train": tuple(mc), "OFF": tuple(task.product for task in off)},
            optional=frozenset({"MC train", "OFF"}),
            parameters={"model": model, "zenith": cell.zenith.name} | ({"zenith_margin_deg": margin} if margin else {}),
            results_version=programs.Coach.results_version,
            build=lambda inputs, out: programs.Coach(
                mc=inputs["MC train"],
                off=inputs["OFF"],
                out=out,
                zd_min=cell.zenith.low_deg,
                zd_max=cell.zenith.high_deg,
                zd_margin=margin,
                model=model,
            ),
        )
        return [self.add(task)]

    # Monte Carlo

    def mc(self, cell: Cell, use: str, up_to: str) -> list[Task]:
        """The Monte Carlo of a cell up to a level."""
        if up_to == datalevels.Calibrated.key:
            return self.mc_calibrated(cell, use)
        images = self.mc_images(cell, use)
        if up_to in (datalevels.Star.key, datalevels.SuperStar.key):
            return [task for tasks in images for task in tasks]
        return self.judged(f"MC/{use}", cell, images)

    def mc_calibrated(self, cell: Cell, use: str) -> list[Task]:
        """Downloads of the Monte Carlo of a cell's period and zenith range, for training or test."""
        found = self._mc_files(cell)
        runs = {name: {mc_name(Path(remote.name)).run for remote in files} for name, files in found.items()}
        both = runs["train"] & runs["test"]
        tasks = []
        for remote in found[use]:
            if mc_name(Path(remote.name)).telescope not in self.telescopes.numbers:
                continue
            product = self.layout.mc(datalevels.Calibrated, cell.period.name, cell.zenith.name, use, remote.name)
            run = mc_name(Path(remote.name)).run
            fault = f"run {run} is in the training and in the test sample" if run in both else ""
            tasks.append(self.add(download(f"MC/{use}", cell, remote, product, fault=fault)))
        return tasks

    def mc_images(self, cell: Cell, use: str) -> list[list[Task]]:
        """Monte Carlo brought to the noise of the cell, through star and superstar (mono: star), run by run."""
        target = self.target(cell)
        way = Way(target, noise=None if cell.moon == moons.WeakMoon else target)
        by_run: dict[str, list[Task]] = {}
        for task in self.mc_calibrated(cell, use):
            star = self._star(f"MC/{use}", cell, task, way)
            by_run.setdefault(mc_name(star.product).run or "", []).append(star)
        if self.telescopes.is_mono:
            return list(by_run.values())
        return [[self._superstar(f"MC/{use}", cell, tasks)] for tasks in by_run.values()]

    def _mc_files(self, cell: Cell) -> dict[str, list[RemoteFile]]:
        """Return the files of a cell for each use: of its zenith range, all of one kind of wobble."""
        if cell not in self._mc:
            folder = f"{cell.period.name}/{cell.zenith.name}"
            listed = {use: self._listed(datalevels.Calibrated, f"MC/{use}", folder) for use in USES}
            named = [(use, remote, name) for use in USES for remote in listed[use] if (name := _fitting(remote, cell))]
            wobble = next((kind for kind in WOBBLES if any(name.wobble == kind for _, _, name in named)), "")
            self._mc[cell] = {
                use: [remote for its, remote, name in named if its == use and name.wobble == wobble] for use in USES
            }
        return self._mc[cell]

    # What forests judge

    def judged(
        self, source: str, cell: Cell, images: list[list[Task]], aside: Mapping[Path, str] | None = None
    ) -> list[Task]:
        """Melibea products of runs, each given by its images; `aside` says of some of these why they go no further."""
        own = self.forest_of.get(cell, cell)
        forest = self.random_forest(own)[0]
        files = len(programs.forest_files(self.telescopes))
        taken = datalevels.Star.key if self.telescopes.is_mono else datalevels.SuperStar.key
        tasks = []
        for its in images:
            product = self.product(source, datalevels.Melibea, cell, parse_name(its[0].product))
            faults = (task.fault or (aside or {}).get(task.product, "") for task in its)
            task = Task(
                stage=datalevels.Melibea.key,
                source=source,
                cell=cell,
                unit=unit_of(product.name),
                products=(product,),
                folder=product.parent,
                inputs={taken: tuple(task.product for task in its), "forest": forest.products[:files]},
                parameters={} if own == cell else {"forest_cell": own.text},
                results_version=programs.Melibea.results_version,
                build=lambda inputs, out: programs.Melibea(
                    files=inputs[taken], forest=forest.folder, out=out, mc=source.startswith("MC/")
                ),
                fault=next(filter(None, faults), ""),
                note="" if own == cell else f"with the forests of {own.text}, as asked",
            )
            tasks.append(self.add(task))
        return tasks


def _fitting(remote: RemoteFile, cell: Cell) -> McFile | None:
    """Return what the name of a Monte Carlo file says, or None, with a warning, if it does not belong to a cell."""
    try:
        name = parse_name(remote.name)
    except InputError:
        name = None
    if isinstance(name, McFile) and (name.zenith, name.level) == (cell.zenith.name, datalevels.Calibrated):
        return name
    logger.warning("%s is not calibrated Monte Carlo of %s: left out", remote.path, cell.zenith.name)
    return None
