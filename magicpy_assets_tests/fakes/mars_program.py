"""A stand-in for a program of an installed MARS: it talks, makes files, and misbehaves as a file tells it to.

It is copied into a folder under the names of the programs. There it looks for `behaviour` in `$MARSSYS`, of lines
`word`, `program: word` or `program once: word` (for its first call only). `ok` copies `good.root` to wherever the real
program would write; `work` lets the embedded engine do the work; `replay` copies what it has made of the same input
elsewhere, in the store that `replay` in `$MARSSYS` names. As a real one, it takes one pattern for each flag,
needs a run card and `-b`, refuses flags that it does not know, and tells which keys of the card nobody has read.
"""

import glob
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

NAMES = {
    "star": (r"_Y_", "_I_"),
    "superstar": (r"(?:_M[12])?(_(?:za\d+to\d+_\d_)?\d+)(?:\.\d{3})?_I_", r"\1_S_"),
    "melibea": (r"(?:\.\d{3})?_[SI]_", "_Q_"),
}
FORESTS = ("RF.root", "disp1/DispRF.root", "disp2/DispRF.root", "EnRF_Stereo.root", "Energy_Table.root")
FLAGS = {
    "star": {"--ind", "-savecerevt", "-saveimages", "-saveimagesclean", "--out", "-f", "-mc", "--outname", "--log"},
    "superstar": {"--ind1", "--ind2", "--out", "-f", "-mc", "--outname", "--log"},
    "quate": {"--ind", "--stereo", "--out", "-f", "--times"},
    "selectmc": {"--pathMC", "-joinmc", "--out", "--outname", "-f", "--log"},
    "coach": {"-RFgh", "-RFdisp", "-RFenStereo", "-LUTs"},
    "melibea": {"--ind", "--stereo", "--rf", "--rftree", "--calc-disp-rf", "--rfdisptree", "--calc-disp2-rf"}
    | {"--rfdisp2tree", "--calcstereodisp", "--disp-rf-sstrained", "-erec-rf", "-erec", "--erf", "--etab"}
    | {"--timeslices", "--out", "-f", "-mc", "--log"},
    "odie": {"--ind", "--outname", "-s"},
    "caspar": {"--ind"},
    "flute": {"--log", "--debug", "--onlyWobblePos", "--showctc"},
    "foam": {"--outputfile"},
    "fold": {"--inputfile", "--function", "--NormalizationE", "--redshift", "--log", "--debug"},
}
COMMON = {"--config", "-b", "-q"}
NO_CARD = ("selectmc", "caspar", "foam", "fold")
SAYS = {
    "no memory": "terminate called after throwing an instance of 'std::bad_alloc'",
    "no disk": "Error in <TFile::WriteBuffer>: error writing to file: No space left on device",
    "other ROOT": "star: error while loading shared libraries: libCore.so: cannot open shared object file",
    "no display": "Error in <TGClient::TGClient>: can't open display, switching to batch mode...",
    "no drive": "MReportDrive: no drive reports, check merpp",
    "wrong card": "flute: kWrongConfigFile",
}


def told_to(marssys: Path, program: str) -> str:
    """How to behave, this time."""
    found = "ok"
    for line in (marssys / "behaviour").read_text().splitlines():
        whom, colon, word = line.partition(": ")
        if not colon:
            found = line.strip()
        elif whom == program:
            found = word.strip()
        elif whom == f"{program} once":
            done = marssys / f"{program}.once"
            if not done.exists():
                done.write_text("")
                found = word.strip()
    return found


def matches(pattern: str) -> list[str]:
    return sorted(glob.glob(pattern))  # noqa: PTH207


def outputs(program: str, given: dict[str, str], card: dict[str, str]) -> list[Path]:
    folder = Path(given.get("--out", "."))
    if program == "coach":
        mono = re.search(r"_M([12])_", Path(card["RF.mcdata"]).name)
        names = (FORESTS[0], FORESTS[int(mono[1])], "EnRF.root") if mono else FORESTS
        return [Path(card["RF.outpath"]) / name for name in names]
    if program == "quate":
        return [folder / "good" / Path(name).name for name in matches(given["--ind"])]
    if program == "selectmc":
        return [folder / given["--outname"]]
    if program == "odie":
        return [folder / card.get("Odie.outFileName", "Output_odie.root")]
    if program == "caspar":
        return [folder / "Status_caspar.root"]
    if program == "flute":
        name = Path(given["--config"]).stem
        return [folder / f"Output_{name}.root", folder / f"Status_{name}.root"]
    if program == "foam":
        return [Path(given["--outputfile"])]
    if program == "fold":
        return [folder / "Output_fold.root", folder / "Status_fold.root"]
    names = [Path(found).name for key in given if key.startswith("--ind") for found in matches(given[key])]
    return sorted({folder / given.get("--outname", re.sub(*NAMES[program], name)) for name in names})


def refused(program: str, words: list[str], given: dict[str, str]) -> str:
    """What a real program would not put up with."""
    odd = sorted(given.keys() - FLAGS[program] - COMMON)
    if odd or len(given) < len([word for word in words if word.startswith("-")]):
        return f"kWrongArguments: {odd or words}"
    if "-b" not in given:
        return SAYS["no display"]
    if program in NO_CARD:
        return ""
    return "" if Path(given.get("--config", "")).is_file() else "kWrongConfigFile: no run card"


def card_of(path: str) -> dict[str, str]:
    """ROOT's rules: of repeated keys the first counts."""
    values: dict[str, str] = {}
    for line in Path(path).read_text().splitlines() if path else []:
        key, colon, value = line.partition(":")
        if colon and not line.startswith("#"):
            values.setdefault(key.strip(), value.strip())
    return values


def work(program: str, words: list[str]) -> int:
    """Let the embedded engine do it. It has an interpreter of its own, and takes no forest for a report."""
    forced = [*words, *(["-f"] if program == "coach" else [])]
    code = subprocess.call([sys.executable, "-m", "magicpy_assets.engine", program, *forced])
    if program == "coach" and code == 0:
        folder = Path(card_of(dict(word.partition("=")[::2] for word in words)["--config"])["RF.outpath"])
        (folder / "training_report.json").unlink()  # the real one writes none
    return code


def replay(store: Path, made: list[Path]) -> int:
    for path in made:
        tail = path.relative_to(path.parents[1]) if path.parent.name in ("disp1", "disp2") else Path(path.name)
        known = sorted(store.rglob(str(tail)))
        if not known:
            print(f"ERROR: nothing like {tail} in {store}")
            return 1
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(known[0], path)
    print(f"{len(made)} files copied")
    return 0


def main(program: str, words: list[str]) -> int:
    if words == ["-h"]:
        print(f"{program} - MARS V3-1-7 - Magic Analysis and Reconstruction Software")
        return 0
    marssys = Path(os.environ["MARSSYS"])
    given = dict(word.partition("=")[::2] for word in words if word.startswith("-"))
    if fault := refused(program, words, given):
        print(fault)
        return 255 if program == "flute" else 2
    card = card_of(given.get("--config", ""))
    for key, value in card.items():
        print(f"card: {key} = {value}")
    for key in card:
        if "Misspelt" in key:
            print(f" - Resource {key} untouched")
    print("environment:", *sorted(os.environ), flush=True)
    behaviour = told_to(marssys, program)
    if behaviour == "work":
        return work(program, words)
    if behaviour == "replay":
        return replay(Path((marssys / "replay").read_text()), outputs(program, given, card))
    for number in range(30):
        print(f"{program}: event {number}", flush=True)
    if behaviour == "fail":
        print(f"{program} ERROR: Events of a.root cannot be read")
        return 1
    if behaviour == "crash":
        return 255 if program == "flute" else 3
    if behaviour in SAYS:
        print(SAYS[behaviour])
        return 255 if program == "flute" else 1
    if behaviour == "hang":
        time.sleep(600)
    if behaviour == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    write(marssys, behaviour, outputs(program, given, card), given)
    if behaviour == "half and crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    print(f"{program} finished" if behaviour != "no last words" else f"{program} is nearly")
    return 0


def write(marssys: Path, behaviour: str, made: list[Path], given: dict[str, str]) -> None:
    own = marssys / f"{Path(sys.argv[0]).name}.root"
    good = (own if own.exists() else marssys / "good.root").read_bytes()
    half = good[: len(good) // 2]
    contents = {
        "half": half,
        "half and crash": half,
        "empty": b"",
        "no tree": (marssys / "no_tree.root").read_bytes(),
        "no events": (marssys / "no_events.root").read_bytes(),
        "too many": (marssys / "many.root").read_bytes(),
    }
    for path in made:
        path.parent.mkdir(parents=True, exist_ok=True)
    if behaviour == "half of the last":  # one of several files is not like the others
        made.pop().write_bytes(half)
    for path in made if behaviour != "lie" else []:
        path.write_bytes(contents.get(behaviour, good))
    if Path(sys.argv[0]).name == "quate" and behaviour != "lie":
        (Path(given["--out"]) / "Overview.pdf").write_bytes(b"%PDF-1.4\n")
        if behaviour == "loses one":
            made[-1].unlink()
        elif len(made) > 1:  # not all of them are good
            bad = Path(given["--out"]) / "bad"
            bad.mkdir(exist_ok=True)
            shutil.move(made[-1], bad / made[-1].name)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[0]).name, sys.argv[1:]))
