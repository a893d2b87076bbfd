"""The runbook of a night: what the shift wrote down, with the results of the online analysis (MOLA) of each source.

Nothing of MAGIC's own runbooks is public, so the standard form is ours: headings with a colon, and one block for each
source below ``MOLA results``. A runbook in any other form is kept as text; it is then known not to be standard.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from magicpy_assets.core.errors import InputError

TITLE = "MAGIC runbook of the night to"
SIMULATED_LINE = "SIMULATED: written by the embedded observatory, not by a shift of MAGIC"
_RESULTS = "MOLA results"
_NUMBER = r"([-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?)"
_BLOCK = re.compile(
    rf"Source: (?P<source>\S.*)\n t_eff: {_NUMBER} s\n LE: {_NUMBER} sigma\n HE: {_NUMBER} sigma\n"
    rf" HE flux: {_NUMBER} C\.U\.(?:\n|$)"
)


@dataclass(frozen=True)
class MolaResult:
    """What the online analysis has seen of a source in a night.

    Attributes
    ----------
    source
        The source, as the shift wrote it.
    t_eff_s
        Effective time in s.
    le_sigma, he_sigma
        Significance of the low-energy and the high-energy selection.
    he_flux_cu
        Flux of the high-energy selection, in units of that of the Crab Nebula.
    """

    source: str
    t_eff_s: float
    le_sigma: float
    he_sigma: float
    he_flux_cu: float


@dataclass(frozen=True)
class Runbook:
    """A night's runbook; fields that a text in another form does not give are empty.

    ``standard`` says whether the text has the standard form, ``simulated`` whether it says so of itself.
    """

    night: date
    shift: str = ""
    weather: str = ""
    technical: str = ""
    results: tuple[MolaResult, ...] = ()
    text: str = ""
    standard: bool = True
    simulated: bool = False


def runbook_name(night: date) -> str:
    """Return the name of a night's runbook (MAGIC date)."""
    return f"runbook_{night:%Y_%m_%d}.txt"


def format_runbook(
    night: date,
    *,
    shift: str,
    weather: str,
    technical: str,
    results: Iterable[MolaResult],
    simulated: bool = False,
) -> str:
    """Return the text of a runbook in the standard form.

    Raises
    ------
    InputError
        If a text has more than one line, or a source has no name.
    """
    lines = [f"{TITLE} {night.isoformat()}", *([SIMULATED_LINE] if simulated else []), ""]
    lines += [f"Shift: {_line(shift)}", f"Weather: {_line(weather)}", f"Technical: {_line(technical)}", "", _RESULTS]
    for result in results:
        if not result.source.strip():
            raise InputError("an online result is of no source")
        lines += [
            "",
            f"Source: {_line(result.source)}",
            f" t_eff: {result.t_eff_s:.1f} s",
            f" LE: {result.le_sigma:.1f} sigma",
            f" HE: {result.he_sigma:.1f} sigma",
            f" HE flux: {result.he_flux_cu:.2f} C.U.",
        ]
    return "\n".join(lines) + "\n"


def _line(text: str) -> str:
    if len(text.splitlines()) > 1 or text != text.strip():
        raise InputError(f"{text!r} is not one line of text")
    return text


def parse_runbook(text: str, night: date) -> Runbook:
    """Read a runbook. One in another form, or of another night than it should be, is kept as text only."""
    lines = text.splitlines()
    simulated = any(line.startswith("SIMULATED") for line in lines)
    head, _, tail = text.partition(f"\n{_RESULTS}\n")
    blocks = list(_BLOCK.finditer(tail))
    given = dict(line.split(": ", 1) for line in head.splitlines() if ": " in line)
    is_standard = (
        bool(lines)
        and lines[0] == f"{TITLE} {night.isoformat()}"
        and f"\n{_RESULTS}\n" in text
        and len(blocks) == sum(line.startswith("Source:") for line in tail.splitlines())
    )
    if not is_standard:
        return Runbook(night, text=text, standard=False, simulated=simulated)
    return Runbook(
        night,
        shift=given.get("Shift", ""),
        weather=given.get("Weather", ""),
        technical=given.get("Technical", ""),
        results=tuple(MolaResult(block["source"], *(float(block[i]) for i in range(2, 6))) for block in blocks),
        text=text,
        simulated=simulated,
    )
