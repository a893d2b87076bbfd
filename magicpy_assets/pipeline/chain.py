"""The chain, written out: which tasks make a cell, level by level, from the archive's files to the spectrum.

`pipeline.images` has the first half, `pipeline.forests` what is shared by all sources; here is what is made of a source
once its images (superstar; mono: star) are there. Nothing is decided and nothing is done here; see `pipeline.plan` and
`pipeline.run`.
"""

from __future__ import annotations

from magicpy_assets.core import datalevels, moons
from magicpy_assets.core.cell import Cell
from magicpy_assets.mars import programs
from magicpy_assets.pipeline.file_names import data_name
from magicpy_assets.pipeline.forests import Forests
from magicpy_assets.pipeline.tasks import Task


class Chain(Forests):
    """The whole chain of some sources and cells."""

    def melibea(self, source: str, cell: Cell) -> list[Task]:
        """Melibea products of a source in one cell, a run each; runs without fitting Monte Carlo are set aside."""
        images, aside = [], {}
        for run in self.runs_of(source, cell):
            images.append(self.images_of(source, cell, run))
            why = moons.treatment(run.nsb, run.hv, run.filter).aside
            aside.update({task.product: why for task in images[-1]})
        return self.judged(source, cell, images, aside) if images else []

    def dl3(self, source: str, cell: Cell) -> list[Task]:
        """DL3 products of a source in one cell, a run each."""
        from magicpy_assets.formats.dl3_index import write_index

        melibeas = self.melibea(source, cell)
        if not melibeas:
            return []
        test = tuple(task.product for task in self.judged("MC/test", cell, self.mc_images(cell, "test")))
        folder = self.layout.data(source, datalevels.DL3, cell, "index").parent
        cuts = self.session.settings.dl3.card()
        tasks = []
        for upstream in melibeas:
            name = data_name(upstream.product)
            task = Task(
                stage=datalevels.DL3.key,
                source=source,
                cell=cell,
                unit=f"{name.run:08d}",
                products=(folder / name.at(datalevels.DL3).name,),
                folder=folder,
                inputs={"melibea": (upstream.product,), "MC test": test},
                optional=frozenset({"MC test"}),
                parameters=cuts,
                results_version=programs.Dl3.results_version,
                build=lambda inputs, out: programs.Dl3(
                    files=inputs["melibea"], mc=inputs["MC test"], out=out
                ).set_parameters(cuts),
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
        how = self.session.settings.spectra.card_of(source)
        task = Task(
            stage=datalevels.Spectra.key,
            source=source,
            cell=cell,
            unit=cell.zenith_moon,
            products=tuple(folder / name for name in programs.SPECTRA_FILES),
            folder=folder,
            inputs={"DL3": tuple(task.product for task in upstream)},
            optional=frozenset({"DL3"}),
            parameters={"source": source} | how,
            results_version=programs.Spectra.results_version,
            build=lambda inputs, out: programs.Spectra(files=inputs["DL3"], source=source, out=out).set_parameters(how),
        )
        return [self.add(task)]
