"""The programs: star, superstar, coach, melibea of MARS, and dl3 and spectra, which are ours alone.

Flags and run-card keys are those that public drivers of MARS use.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar, Self

from magicpy_assets.compute.base import Outcome
from magicpy_assets.core import datalevels, telescopes
from magicpy_assets.core.datalevels import DataLevel
from magicpy_assets.core.errors import InputError
from magicpy_assets.core.runs import DataFile, McFile, parse_name
from magicpy_assets.core.telescopes import Telescopes
from magicpy_assets.mars.acceptance import count_fault
from magicpy_assets.mars.declaration import PathLike, each, expanded, listed
from magicpy_assets.mars.program import Program

FOREST_FILES = ("RF.root", "disp1/DispRF.root", "disp2/DispRF.root", "EnRF_Stereo.root", "Energy_Table.root")
TRAINING_REPORT = "training_report.json"
MONO_ENERGY_FOREST = "EnRF.root"
_FORESTS_OF = {
    "-RFgh": FOREST_FILES[:1],
    "-RFdisp": FOREST_FILES[1:3],
    "-RFenStereo": FOREST_FILES[3:4],
    "-LUTs": FOREST_FILES[4:],
}
_MONO_FLAGS = {"-RFgh": slice(0, 1), "-RFdisp": slice(1, 2), "-RFenStereo": slice(2, 3), "-LUTs": slice(3, 3)}
SPECTRA_FILES = ("spectrum.json", "theta2.json", "light_curve.json", "skymap.json", "skymap.fits")


def forest_files(telescopes: Telescopes) -> tuple[str, ...]:
    """Return the names of the forests of an analysis with some telescopes."""
    if telescopes.alone is None:
        return FOREST_FILES
    return FOREST_FILES[0], FOREST_FILES[telescopes.alone], MONO_ENERGY_FOREST


class _ByName(Program):
    """A program whose outputs follow from the names of its inputs."""

    takes: DataLevel
    makes: ClassVar[DataLevel]
    mono = False
    """Whether it takes the files of one telescope and makes files that say so."""

    def __init__(self, files: PathLike | Iterable[PathLike], out: PathLike = ".", *, mc: bool = False) -> None:
        super().__init__(files, out)
        self.mc = mc

    def by_output(self) -> dict[Path, list[Path]]:
        """Return the files that it will make, and the inputs of each; inputs with odd names are left out."""
        found: dict[Path, list[Path]] = {}
        given = self.values.get("--outname")
        if given and len(self.files) == 1:
            return {self.out / str(given): list(self.files)}
        for path in self.files:
            if (name := _parsed(path)) is not None:
                found.setdefault(self.out / name.at(self.makes, mono=self.mono).name, []).append(path)
        return found

    @property
    def outputs(self) -> list[Path]:
        """The files that it will make."""
        return list(self.by_output())

    def parts(self) -> list[Self]:
        """Return a program for each output."""
        parts = []
        for files in self.by_output().values():
            part = copy.copy(self)
            part.asked, part.files = list(files), files
            parts.append(part)
        return parts

    def output_fault(self, *, embedded: bool) -> str:
        """Return what is wrong with the outputs, or an empty text; of events no more may come out than go in."""
        found = super().output_fault(embedded=embedded)
        return found or next(
            (why for product, files in self.by_output().items() if (why := count_fault(product, files))), ""
        )

    def faults(self) -> list[str]:
        """Return what is wrong with inputs and parameters."""
        found = super().faults()
        for path in self.files:
            try:
                level = parse_name(path).level
            except InputError as error:
                found.append(error.message)
                continue
            if level != self.takes:
                found.append(f"{path.name} is a {level.name} file, not {self.takes.name}")
        if self.takes.scope == self.makes.scope:
            for output, files in self.by_output().items():
                if len(files) > 1:
                    found.append(f"{' and '.join(str(path) for path in files)} would make the same {output.name}")
        return found


class Star(_ByName):
    """star: calibrated files of one telescope -> image parameters, a file each.

    ``Star("…/*_M1_*_Y_*.root", out="star").add_noise(3.0, 1.3).run()``
    """

    name = "star"
    results_version = 3
    takes, makes = datalevels.Calibrated, datalevels.Star

    def add_noise(self, mean_phe: float, rms_phe: float) -> Self:
        """Ask for noise to be added until the pedestal has this mean and RMS (phe)."""
        self.set_parameter("MJStar.UseAddNoise", True).set_parameter("MJStar.MAddNoise.Method", 2)
        self.set_parameter("MJStar.MAddNoise.NewNoiseMean", float(mean_phe))
        return self.set_parameter("MJStar.MAddNoise.NewNoiseRMS", float(rms_phe))

    def arguments(self) -> list[str]:
        """Return the words of the command line after the program's name."""
        words = each("--ind", self.files) + self.common_arguments() + self.flag_arguments()
        return [*words, "-mc"] if self.mc else words

    @property
    def telescope(self) -> int | None:
        """The telescope of its files."""
        return next((found for path in self.files if (found := _telescope(path))), None)

    def faults(self) -> list[str]:
        """Return what is wrong with inputs and parameters."""
        found = super().faults()
        if len({_telescope(path) for path in self.files} - {None}) > 1:
            found.append("files of M1 and M2 are mixed: star takes one telescope at a time")
        return found


class SuperStar(_ByName):
    """superstar: star files of both telescopes -> stereo parameters, a file for each run.

    Files of M1 and M2 are told apart by name: ``SuperStar("star/*.root", out="superstar").run()``
    """

    name = "superstar"
    results_version = 1
    takes, makes = datalevels.Star, datalevels.SuperStar

    def arguments(self) -> list[str]:
        """Return the words of the command line after the program's name."""
        first, second = ([path for path in self.files if _telescope(path) == telescope] for telescope in (1, 2))
        words = each("--ind1", first) + each("--ind2", second) + self.common_arguments() + self.flag_arguments()
        return [*words, "-mc"] if self.mc else words

    def faults(self) -> list[str]:
        """Return what is wrong with inputs and parameters."""
        found = super().faults()
        for output, files in self.by_output().items():
            missing = {1, 2} - {_telescope(path) for path in files}
            found += [
                f"no file of M{one} for {output.name}: superstar needs both telescopes" for one in sorted(missing)
            ]
        return found


class Coach(Program):
    """coach: simulated gamma rays and OFF data -> the forests of a cell; mono, if given star files of one telescope."""

    name = "coach"
    results_version = 2
    trees = ()
    ours_alone = frozenset({TRAINING_REPORT})
    file_lists = ("RF.mcdata", "RF.data")

    def __init__(
        self,
        mc: PathLike | Iterable[PathLike],
        off: PathLike | Iterable[PathLike],
        out: PathLike = ".",
        *,
        zd_min: float = 0.0,
        zd_max: float = 90.0,
        zd_margin: float = 0.0,
        model: str = "xgboost",
    ) -> None:
        super().__init__([*listed(mc), *listed(off)], out)
        self.values = {
            "RF.mcdata": " ".join(map(str, expanded(mc))),
            "RF.data": " ".join(map(str, expanded(off))),
            "RF.outpath": str(self.out),
            "RF.zdmin": float(zd_min),
            "RF.zdmax": float(zd_max),
            "RF.model": model,
        }
        if zd_margin:
            self.values["RF.zdmargin"] = float(zd_margin)

    @property
    def outputs(self) -> list[Path]:
        """The files that it will make: all forests, or those that flags ask for."""
        names = forest_files(self.telescopes)
        given = [flag for flag in _FORESTS_OF if self.values.get(flag)]
        if self.telescopes.is_mono:
            asked = [name for flag in given for name in names[_MONO_FLAGS[flag]]]
        else:
            asked = [name for flag in given for name in _FORESTS_OF[flag]]
        return [self.out / name for name in (*(asked or names), TRAINING_REPORT)]

    @property
    def telescopes(self) -> Telescopes:
        """The telescopes whose forests these are: one alone if it is given star files."""
        return telescopes.alone(next((found for path in self.files if (found := _telescope(path))), None))

    @property
    def label(self) -> str:
        """What log and run card are called."""
        return self.name

    def arguments(self) -> list[str]:
        """Return the words of the command line after the program's name."""
        return self.common_arguments() + self.flag_arguments()

    def complete(self, outcome: Outcome) -> None:
        """Say in place of a training report that the coach of MARS measures none of it."""
        path = self.out / TRAINING_REPORT
        if not path.exists():
            path.write_text(json.dumps({"program": outcome.argv[0], "measured": False}) + "\n", encoding="utf-8")

    def faults(self) -> list[str]:
        """Return what is wrong with inputs and parameters."""
        found = super().faults()
        found += [f"no files for {key}" for key in ("RF.mcdata", "RF.data") if not self.values[key]]
        if len({_telescope(path) for path in self.files}) > 1:
            found.append("files of different telescopes are mixed: coach takes superstar files, or star files of one")
        blank = [str(path) for path in self.files if " " in str(path)]
        return found + [f"{path} has a blank in it, by which coach separates files" for path in blank[:1]]


class Melibea(_ByName):
    """melibea: superstar files and the forests of their cell -> hadronness, direction, energy.

    Given star files of one telescope, and its forests, it does the same mono: a file for each run.
    """

    name = "melibea"
    results_version = 1
    takes, makes = datalevels.SuperStar, datalevels.Melibea

    def __init__(
        self, files: PathLike | Iterable[PathLike], forest: PathLike, out: PathLike = ".", *, mc: bool = False
    ) -> None:
        super().__init__(files, out, mc=mc)
        self.forest = Path(forest)
        if any(name.level == datalevels.Star for path in self.files if (name := _parsed(path)) is not None):
            self.takes, self.mono = datalevels.Star, True

    @property
    def telescopes(self) -> Telescopes:
        """The telescopes whose images it takes."""
        return telescopes.alone(next((found for path in self.files if (found := _telescope(path))), None))

    def arguments(self) -> list[str]:
        """Return the words of the command line after the program's name."""
        if self.mono:
            return self._mono_arguments()
        gamma_hadron, disp1, disp2, energy, table = (self.forest / name for name in FOREST_FILES)
        words = each("--ind", self.files) + self.common_arguments() + self.flag_arguments()
        words += ["--stereo", "--rf", f"--rftree={gamma_hadron}", "--calc-disp-rf", f"--rfdisptree={disp1}"]
        words += ["--calc-disp2-rf", f"--rfdisp2tree={disp2}", "--calcstereodisp", "-erec-rf", f"--erf={energy}"]
        words += ["-erec", f"--etab={table}"]
        return [*words, "-mc"] if self.mc else words

    def _mono_arguments(self) -> list[str]:
        """Those of stereo, less what asks for two telescopes."""
        gamma_hadron, disp, energy = (self.forest / name for name in forest_files(self.telescopes))
        words = each("--ind", self.files) + self.common_arguments() + self.flag_arguments()
        words += ["--rf", f"--rftree={gamma_hadron}", "--calc-disp-rf", f"--rfdisptree={disp}"]
        words += ["-erec-rf", f"--erf={energy}"]
        return [*words, "-mc"] if self.mc else words

    def faults(self) -> list[str]:
        """Return what is wrong with inputs and parameters."""
        found = super().faults()
        if self.mono and len({_telescope(path) for path in self.files}) > 1:
            found.append("files of M1 and M2 are mixed: mono melibea takes one telescope at a time")
        missing = [name for name in forest_files(self.telescopes) if not (self.forest / name).is_file()]
        if missing:
            found.append(f"no forest in {self.forest} ({', '.join(missing)}); train one for this cell with coach")
        return found


class Dl3(_ByName):
    """dl3: melibea files -> events and instrument response in GADF FITS, a file for each run.

    MARS has no such program in public: always of the embedded engine.
    """

    always_embedded = True
    takes, makes = datalevels.Melibea, datalevels.DL3
    name = "dl3"
    results_version = 4

    def __init__(
        self, files: PathLike | Iterable[PathLike], mc: PathLike | Iterable[PathLike], out: PathLike = "."
    ) -> None:
        super().__init__(files, out)
        self.mc_files = expanded(mc)

    def output_fault(self, *, embedded: bool) -> str:
        """Return what is wrong with the outputs, or an empty text; events are counted in ROOT files only."""
        return Program.output_fault(self, embedded=embedded)

    def inputs(self) -> list[Path]:
        """Return every file that the program reads."""
        return [*self.files, *self.mc_files]

    def parts(self) -> list[Self]:
        """Return itself: the index files of the folder are made at the end, for all runs."""
        return [self]

    def arguments(self) -> list[str]:
        """Return the words of the command line after the program's name."""
        words = each("--ind", self.files) + each("--mc", self.mc_files)
        return words + self.common_arguments() + self.flag_arguments()

    def faults(self) -> list[str]:
        """Return what is wrong with inputs and parameters."""
        found = super().faults() + [f"there is no file {path}" for path in self.mc_files if not path.is_file()]
        return found if self.mc_files else [*found, "no test Monte Carlo: the instrument response is made from it"]


class Spectra(Program):
    """spectra: DL3 files of a source -> spectrum, flux points, light curve and θ².

    MARS does this with programs of its own: always of the embedded engine.
    """

    name = "spectra"
    always_embedded = True
    results_version = 4

    def __init__(self, files: PathLike | Iterable[PathLike], source: str, out: PathLike = ".") -> None:
        super().__init__(files, out)
        self.source = source

    @property
    def outputs(self) -> list[Path]:
        """The files that it will make."""
        return [self.out / name for name in SPECTRA_FILES]

    def arguments(self) -> list[str]:
        """Return the words of the command line after the program's name."""
        return [*each("--ind", self.files), f"--source={self.source}", *self.common_arguments(), *self.flag_arguments()]


def _parsed(path: Path) -> DataFile | McFile | None:
    try:
        return parse_name(path)
    except InputError:
        return None


def _telescope(path: Path) -> int | None:
    name = _parsed(path)
    return name.telescope if name else None
