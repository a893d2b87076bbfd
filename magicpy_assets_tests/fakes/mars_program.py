"""A stand-in for a program of an installed MARS: it talks, makes files, and misbehaves as a file tells it to.

It is copied into a folder under the names of the programs. There it looks for `behaviour` (one word), `good.root` and
broken ones like it, all in `$MARSSYS`, and copies one of them to wherever the real program would write. As a real one,
it takes one pattern for each flag, needs a run card and `-b`, and refuses flags that it does not know.
"""

import glob
import os
import re
import signal
import sys
import time
from pathlib import Path

NAMES = {
    "star": (r"_Y_", "_I_"),
    "superstar": (r"(?:_M[12])?(_\d{8})(?:\.\d{3})?_I_", r"\1_S_"),
    "melibea": (r"_S_", "_Q_"),
}
FORESTS = ("RF.root", "disp1/DispRF.root", "disp2/DispRF.root", "EnRF_Stereo.root", "Energy_Table.root")
REPORT = "training_report.json"
FLAGS = {
    "star": {"--ind", "-savecerevt"},
    "superstar": {"--ind1", "--ind2"},
    "coach": {"-RFgh", "-RFdisp", "-RFenStereo", "-LUTs"},
    "melibea": {"--ind", "--stereo", "--rf", "--rftree", "--calc-disp-rf", "--rfdisptree", "--calc-disp2-rf"}
    | {"--rfdisp2tree", "--calcstereodisp", "-erec-rf", "-erec", "--erf", "--etab"},
}
COMMON = {"--config", "--out", "-b", "-q", "-f", "-mc"}
SAYS = {
    "no memory": "terminate called after throwing an instance of 'std::bad_alloc'",
    "no disk": "Error in <TFile::WriteBuffer>: error writing to file: No space left on device",
    "other ROOT": "star: error while loading shared libraries: libCore.so: cannot open shared object file",
    "no display": "Error in <TGClient::TGClient>: can't open display, switching to batch mode...",
}


def outputs(program: str, given: dict[str, str]) -> list[Path]:
    folder = Path(given["--out"])
    if program == "coach":
        return [folder / name for name in FORESTS]
    names = [Path(found).name for key in given if key.startswith("--ind") for found in glob.glob(given[key])]  # noqa: PTH207
    return sorted({folder / re.sub(*NAMES[program], name) for name in names})


def refused(program: str, words: list[str], given: dict[str, str]) -> str:
    """What a real program would not put up with."""
    odd = sorted(given.keys() - FLAGS[program] - COMMON)
    if odd or len(given) < len(words):
        return f"wrong arguments: {odd or words}"
    if "-b" not in given:
        return SAYS["no display"]
    return "" if Path(given.get("--config", "")).is_file() else "no run card"


def card_of(path: str) -> dict[str, str]:
    """ROOT's rules: of repeated keys the first counts."""
    values: dict[str, str] = {}
    for line in Path(path).read_text().splitlines():
        key, colon, value = line.partition(":")
        if colon and not line.startswith("#"):
            values.setdefault(key.strip(), value.strip())
    return values


def main(program: str, words: list[str]) -> int:
    if words == ["-h"]:
        print(f"{program} - MARS V3-1-7 - Magic Analysis and Reconstruction Software")
        return 0
    marssys = Path(os.environ["MARSSYS"])
    behaviour = (marssys / "behaviour").read_text().strip()
    given = dict(word.partition("=")[::2] for word in words)
    if fault := refused(program, words, given):
        print(fault)
        return 2
    for key, value in card_of(given["--config"]).items():
        print(f"card: {key} = {value}")
    for number in range(30):
        print(f"{program}: event {number}")
    print("environment:", *sorted(os.environ), flush=True)
    if behaviour == "fail":
        print(f"{program} ERROR: Events of a.root cannot be read")
        return 1
    if behaviour == "crash":
        return 3
    if behaviour in SAYS:
        print(SAYS[behaviour])
        return 1
    if behaviour == "hang":
        time.sleep(600)
    if behaviour == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    good = (marssys / "good.root").read_bytes()
    contents = {
        "half": good[: len(good) // 2],
        "empty": b"",
        "no tree": (marssys / "no_tree.root").read_bytes(),
        "no events": (marssys / "no_events.root").read_bytes(),
    }
    made = outputs(program, given)
    # One of several files is not like the others.
    if behaviour == "half of the last":
        made[-1].parent.mkdir(parents=True, exist_ok=True)
        made[-1].write_bytes(good[: len(good) // 2])
        made = made[:-1]
    for path in made if behaviour != "lie" else []:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(contents.get(behaviour, good))
    if program == "coach":
        (Path(given["--out"]) / REPORT).write_text("{}")
    print(f"{program} finished")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[0]).name, sys.argv[1:]))
