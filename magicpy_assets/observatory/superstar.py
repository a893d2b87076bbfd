"""Superstar files of the archive: what the observatory's own analysis makes of runs in dark and weakly moonlit nights.

As at the real archive, every run is cleaned with the levels of dark nights if its run report says that the moon was
weak, right or wrong. The programs are the embedded ones, started by command line.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from magicpy_assets.core import moons
from magicpy_assets.core.errors import ProgramError
from magicpy_assets.core.runs import DataFile, parse_name
from magicpy_assets.formats.runcard import Runcard
from magicpy_assets.observatory.run_plans import STEREO, RunPlan

LAST_LINES = 20


def is_processed(plan: RunPlan, nsb: float) -> bool:
    """Tell whether the observatory analyses a run, given the NSB that is reported of it (in units of dark sky)."""
    return plan.mode == STEREO and (plan.hv, plan.filter) == ("nominal", "No_Filter") and nsb in moons.WeakMoon


def make_superstar(calibrated: Sequence[Path], folder: Path) -> None:
    """Write the superstar file of a run into a folder.

    Parameters
    ----------
    calibrated
        All calibrated files of the run, of both telescopes.

    Raises
    ------
    ProgramError
        If star or superstar fails, with its last lines.
    """
    cleaning = moons.cleaning_of(moons.WeakMoon)
    with TemporaryDirectory(prefix=".star-", dir=folder) as work:
        card = Path(work, "star.rc")
        level = "MJStar.MImgCleanStd.CleanLevel"
        Runcard().override({f"{level}1": cleaning.level1_phe, f"{level}2": cleaning.level2_phe}).write(card)
        for telescope in (1, 2):
            mine = [path for path in calibrated if _telescope(path) == telescope]
            _run("star", [*(f"--ind={path}" for path in mine), f"--config={card}", f"--out={work}"])
        _run("superstar", [f"--ind1={work}/*_M1_*_I_*.root", f"--ind2={work}/*_M2_*_I_*.root", f"--out={folder}"])


def _telescope(path: Path) -> int | None:
    name = parse_name(path)
    assert isinstance(name, DataFile)
    return name.telescope


def _run(program: str, arguments: Sequence[str]) -> None:
    command = [sys.executable, "-m", "magicpy_assets.engine", program, "-b", "-q", "-f", *arguments]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = "\n".join((done.stdout + done.stderr).splitlines()[-LAST_LINES:])
        raise ProgramError(f"{program} of the observatory's own analysis failed:\n{last}")
