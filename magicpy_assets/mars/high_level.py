"""Programs that only an installed MARS has: quality selection, Monte Carlo samples, and everything after melibea.

The embedded engine does their work in other ways, see `tables/programs.csv`. Their results are read back by
`formats.flute` and `formats.odie`.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

from magicpy_assets.core.errors import InputError
from magicpy_assets.core.runs import parse_name
from magicpy_assets.formats.flute import FluteResults, read_flute
from magicpy_assets.formats.odie import OdieNumbers, read_odie
from magicpy_assets.mars.acceptance import is_simulated
from magicpy_assets.mars.declaration import PathLike, each, expanded, listed
from magicpy_assets.mars.program import Program
from magicpy_assets.mars.programs import Coach, Dl3, Melibea, Spectra, Star, SuperStar

QUATE_FOLDERS = ("good", "bad", "out-of-zd", "out-of-az")


class _OfMars(Program):
    """A program that only an installed MARS has."""

    trees: ClassVar[tuple[str, ...]] = ()
    letter: ClassVar[str] = ""
    """Letter of the data level that it takes; empty for any file."""

    def faults(self) -> list[str]:
        """Return what is wrong with inputs and parameters."""
        found = super().faults()
        return found + [
            f"{path.name} is no _{self.letter}_ file" for path in self.inputs() if self.letter and not self._fits(path)
        ]

    def simulated(self) -> bool:
        """Tell whether any input says of itself that it is simulated."""
        return any(is_simulated(path) for path in self.inputs())

    def _fits(self, path: Path) -> bool:
        try:
            return parse_name(path).level.letter == self.letter
        except InputError:
            return False


class Quate(_OfMars):
    """quate: superstar files -> sorted by quality into the folders good, bad, out-of-zd and out-of-az.

    ``Quate("superstar/*_S_*.root", out="quate").set_parameter("DCMax", 2000.0).run()``
    """

    name = "quate"
    letter = "S"

    @property
    def outputs(self) -> list[Path]:
        """The files that it will make, less the sorted ones: which is sorted where cannot be foreseen."""
        times = ["excluded_1.times", "excluded_2.times", "excluded.times"] if self.values.get("--times") else []
        return [self.out / name for name in ("Overview.pdf", *times)]

    def output_fault(self, *, embedded: bool) -> str:
        """Return what is wrong with the outputs, or an empty text; every input must have been sorted."""
        sorted_ = {path.name for folder in QUATE_FOLDERS for path in (self.out / folder).glob("*.root")}
        lost = [path.name for path in self.files if path.name not in sorted_]
        return super().output_fault(embedded=embedded) or (f"{lost[0]} was sorted into no folder" if lost else "")

    def arguments(self) -> list[str]:
        """Return the words of the command line after the program's name."""
        return [*each("--ind", self.files), "--stereo", f"--out={self.out}", "-b", "-f", *self.flag_arguments()]


class SelectMc(_OfMars):
    """selectmc: superstar files of Monte Carlo -> one joined file.

    ``SelectMc("mc/GA_*_S_*.root", "GA_za05to35_TRAIN_S_wr.root", out="mc").run()``
    """

    name = "selectmc"
    letter = "S"
    trees = ("Events", "RunHeaders")

    def __init__(self, files: PathLike | Iterable[PathLike], joined: str, out: PathLike = ".") -> None:
        super().__init__(files, out)
        self.joined = joined

    @property
    def outputs(self) -> list[Path]:
        """The joined file."""
        return [self.out / self.joined]

    def arguments(self) -> list[str]:
        """Return the words of the command line after the program's name."""
        words = [*each("--pathMC", self.files), f"--outname={self.joined}", "-joinmc"]
        return [*words, *self.common_arguments(), *self.flag_arguments()]


class Odie(_OfMars):
    """odie: melibea files -> θ² plot and significance; the numbers come back by `formats.odie.read_odie`.

    ``Odie("melibea/20*_Q_*.root", out="odie").set_parameter("Odie.eRange", "FR").run()``
    """

    name = "odie"
    letter = "Q"
    here = True

    @property
    def outputs(self) -> list[Path]:
        """The output, named by `Odie.outFileName` if that was set."""
        return [self.out / str(self.values.get("Odie.outFileName", "Output_odie.root"))]

    def arguments(self) -> list[str]:
        """Return the words of the command line after the program's name."""
        return [*each("--ind", [path.absolute() for path in self.files]), "-b", "-q", *self.flag_arguments()]

    def results(self) -> OdieNumbers:
        """Return the numbers of the output, see `formats.odie`."""
        return read_odie(self.outputs[0])


class Caspar(_OfMars):
    """caspar: melibea files -> sky map.

    Of caspar no interface is public: the flags are those that the other programs share, and its outputs are not known
    beforehand. Anything new in the folder counts as success.
    """

    name = "caspar"
    letter = "Q"
    here = True

    @property
    def outputs(self) -> list[Path]:
        """Nothing is known of them."""
        return []

    def output_fault(self, *, embedded: bool) -> str:
        """Return what is wrong with the outputs, or an empty text."""
        return "" if any(self.out.glob("*.root")) else f"no ROOT file was made in {self.out}"

    def arguments(self) -> list[str]:
        """Return the words of the command line after the program's name."""
        return [*each("--ind", [path.absolute() for path in self.files]), "-b", "-q", *self.flag_arguments()]


class Flute(_OfMars):
    """flute: melibea files of data and test Monte Carlo -> spectrum, SED, light curve.

    Its outputs are named after its run card. The results come back by `formats.flute.read_flute`.

    ``Flute("melibea/20*_Q_*.root", "melibea/GA_*_Q_*.root", out="flute", label="crab").run()``
    """

    name = "flute"
    letter = "Q"
    here = True
    last_words = "finished"
    file_lists = ("flute.data", "flute.mcdata")

    def __init__(
        self,
        files: PathLike | Iterable[PathLike],
        mc: PathLike | Iterable[PathLike],
        out: PathLike = ".",
        *,
        label: str = "",
    ) -> None:
        super().__init__(files, out)
        self.mc_files = expanded(mc)
        self._label = f"flute_{label}" if label else "flute"
        self.values = {
            "flute.data": " ".join(str(Path(item).absolute()) for item in listed(files)),
            "flute.mcdata": " ".join(str(Path(item).absolute()) for item in listed(mc)),
        }

    @property
    def label(self) -> str:
        """What log and run card are called, and so the outputs."""
        return self._label

    @property
    def outputs(self) -> list[Path]:
        """Results and status display."""
        return [self.out / f"{kind}_{self.label}.root" for kind in ("Output", "Status")]

    def inputs(self) -> list[Path]:
        """Return every file that the program reads."""
        return [*self.files, *self.mc_files]

    def arguments(self) -> list[str]:
        """Return the words of the command line after the program's name."""
        return ["-b", "-q", *self.flag_arguments()]

    def results(self, source: str = "unknown source") -> FluteResults:
        """Return what the output holds as results like our own, see `formats.flute`."""
        return read_flute(self.outputs[0], source, simulated=self.simulated())

    def faults(self) -> list[str]:
        """Return what is wrong with inputs and parameters."""
        found = super().faults() + [f"there is no file {path}" for path in self.mc_files if not path.is_file()]
        low, high = self.values.get("flute.minEnergyEst"), self.values.get("flute.maxEnergyEst")
        if isinstance(low, int | float) and low > 10:  # limits of flute itself, from its public source
            found.append(f"flute.minEnergyEst = {low:g}: flute wants 10 GeV or less")
        if isinstance(high, int | float) and high < 3e4:
            found.append(f"flute.maxEnergyEst = {high:g}: flute wants 3e4 GeV or more")
        return found if self.mc_files else [*found, "no test Monte Carlo: the collection area is made from it"]


class Foam(_OfMars):
    """foam: several outputs of flute -> one. ``Foam("flute/Output_flute_*.root", out="flute", label="all").run()``."""

    name = "foam"
    here = True

    def __init__(self, files: PathLike | Iterable[PathLike], out: PathLike = ".", *, label: str = "all") -> None:
        super().__init__(files, out)
        self._label = label

    @property
    def outputs(self) -> list[Path]:
        """The joined output."""
        return [self.out / f"Foam_{self._label}.root"]

    def arguments(self) -> list[str]:
        """Return the words of the command line after the program's name."""
        words = ["-b", "-q", f"--outputfile={self.outputs[0].absolute()}", *self.flag_arguments()]
        return [*words, *(str(path.absolute()) for path in self.files)]


class Fold(_OfMars):
    """fold: the output of flute or foam -> a spectrum fitted by forward folding.

    ``Fold("flute/Output_flute.root", out="fold").set_parameter("--function", "PWL").run()``
    """

    name = "fold"
    here = True

    @property
    def outputs(self) -> list[Path]:
        """Results and status display."""
        return [self.out / f"{kind}_fold.root" for kind in ("Output", "Status")]

    def arguments(self) -> list[str]:
        """Return the words of the command line after the program's name."""
        names = [f"--inputfile={path.absolute()}" for path in self.files]
        return [*names, "-b", "-q", *self.flag_arguments()]

    def faults(self) -> list[str]:
        """Return what is wrong with inputs and parameters."""
        found = super().faults()
        return found if len(self.files) == 1 else [*found, f"fold takes one file, not {len(self.files)}"]


ALL: dict[str, type[Program]] = {
    item.name: item
    for item in (
        *(Star, SuperStar, Quate, SelectMc, Coach, Melibea, Odie, Caspar, Flute, Foam, Fold),
        *(Dl3, Spectra),
    )
}
