"""A stand-in for a program of an installed MARS: it talks, makes files, and misbehaves as a file tells it to.

It is copied into a folder under the names of the programs. There it looks for `behaviour` (one word), `good.root` and
`no_tree.root`, both in `$MARSSYS`, and copies one of them to wherever the real program would write.
"""

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
FORESTS = ("RF.root", "disp1/DispRF.root", "disp2/DispRF.root", "EnRF_Stereo.root", "training_report.json")


def outputs(program: str, words: list[str]) -> list[Path]:
    given = [word.partition("=")[::2] for word in words]
    folder = next(Path(value) for key, value in given if key == "--out")
    if program == "coach":
        return [folder / name for name in FORESTS]
    inputs = [Path(value).name for key, value in given if re.fullmatch(r"--ind\d?", key)]
    return [folder / re.sub(*NAMES[program], name) for name in inputs]


def main(program: str, words: list[str]) -> int:
    if words == ["-h"]:
        print(f"{program} - MARS V3-1-7 - Magic Analysis and Reconstruction Software")
        return 0
    marssys = Path(os.environ["MARSSYS"])
    behaviour = (marssys / "behaviour").read_text().strip()
    for number in range(30):
        print(f"{program}: event {number}")
    print("environment:", *sorted(os.environ), flush=True)
    if behaviour == "fail":
        print(f"{program} ERROR: Events of a.root cannot be read")
        return 1
    if behaviour == "crash":
        return 3
    if behaviour == "hang":
        time.sleep(600)
    if behaviour == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    good = (marssys / "good.root").read_bytes()
    contents = {
        "half": good[: len(good) // 2],
        "empty": b"",
        "no tree": (marssys / "no_tree.root").read_bytes(),
    }
    for path in outputs(program, words) if behaviour != "lie" else []:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(contents.get(behaviour, good))
    if behaviour != "no last words":
        print(f"{program} finished")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[0]).name, sys.argv[1:]))
