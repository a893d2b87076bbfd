"""Runbooks for people: the online (MOLA) results of a source night by night, and of many sources together."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from html import escape
from typing import TYPE_CHECKING

from magicpy_assets.core import sources
from magicpy_assets.core.errors import MissingInputError, UnknownNameError
from magicpy_assets.formats.runbook import MolaResult, Runbook
from magicpy_assets.pipeline.runbooks import runbooks_of

if TYPE_CHECKING:
    import pandas as pd

    from magicpy_assets.pipeline.session import Session

WIDTH = 92
MISSING, OTHER_FORM, FOUND = "no runbook", "not in standard form", "found"
NOT_NAMED = "source not named"
NOT_STANDARD = "Runbook does not follow standard setup, or source {source} is somehow written differently."


@dataclass(frozen=True)
class NightResult:
    """What the runbook of one night says of a source: the state, and the result if it was found."""

    night: date
    state: str
    result: MolaResult | None = None
    written: str = ""


@dataclass(frozen=True)
class RunbookReport:
    """The online results of a source, night by night."""

    source: str
    nights: tuple[NightResult, ...]
    simulated: bool = False

    @property
    def table(self) -> pd.DataFrame:
        """A row per night: `night`, `state`, `t_eff_s`, `le_sigma`, `he_sigma`, `he_flux_cu`, NaN where not found."""
        import pandas as pd

        names = ["t_eff_s", "le_sigma", "he_sigma", "he_flux_cu"]
        rows = [
            [item.night, item.state, *(getattr(item.result, name) if item.result else math.nan for name in names)]
            for item in self.nights
        ]
        return pd.DataFrame(rows, columns=["night", "state", *names])

    def __str__(self) -> str:
        lines = [f"Scanning for {self.source}:"]
        for item in self.nights:
            lines += [f" opening runbook for {item.night} ".center(WIDTH, "-"), *self._told(item)]
            lines.append(f" done with {item.night} ".center(WIDTH, "-"))
        if self.simulated:
            lines.append("All of this is simulated: it says nothing about the real sky.")
        return "\n".join(lines)

    def _told(self, item: NightResult) -> list[str]:
        if item.result is None:
            if item.state == MISSING:
                return ["There is no runbook of this night."]
            seen = f" It names: {item.written}." if item.written else ""
            return [NOT_STANDARD.format(source=self.source) + seen]
        result = item.result
        return [
            "MOLA results:",
            f"t_eff: {result.t_eff_s:.1f} s",
            f"LE: {result.le_sigma:.1f} sigma",
            f"HE: {result.he_sigma:.1f} sigma",
            f"HE flux: {result.he_flux_cu:.1f} C.U.",
        ]

    def _repr_html_(self) -> str:
        return f"<h4>{escape(self.source)}: online results</h4>{self.table.to_html(index=False, na_rep='-')}"


def report_on(session: Session, source: str, nights: Iterable[date]) -> RunbookReport:
    """Look a source up in the runbooks of some nights, those of the store; nothing is downloaded."""
    books, told, simulated = runbooks_of(session), [], False
    for night in sorted(set(nights)):
        try:
            book = books.read(night)
        except MissingInputError:
            told.append(NightResult(night, MISSING))
            continue
        simulated |= book.simulated
        told.append(_looked_up(book, source))
    return RunbookReport(source, tuple(told), simulated)


def _looked_up(book: Runbook, source: str) -> NightResult:
    if not book.standard:
        return NightResult(book.night, OTHER_FORM)
    for result in book.results:
        if _is(result.source, source):
            return NightResult(book.night, FOUND, result, result.source)
    return NightResult(book.night, NOT_NAMED, written=", ".join(result.source for result in book.results))


def _is(written: str, source: str) -> bool:
    """Tell whether a name in a runbook means a source: the same letters, or a known alias."""
    return _known(written) == _known(source)


def _known(name: str) -> str:
    try:
        return sources.by_name(name).name
    except UnknownNameError:
        return "".join(name.split()).lower()


def combined_mola(session: Session, fields: Sequence[str], nights: Sequence[date]) -> pd.DataFrame:
    """Return the combined online results of fields over nights, as far as there are runbooks in the standard form.

    Significances of nights are added up with the square root of time as weight (Stouffer's method): the sum of
    sigma sqrt(t), divided by the square root of the sum of t. Runbooks that are new on the server are read first.

    Returns
    -------
    pandas.DataFrame
        A row per field: `source`, `mola_nights`, `t_eff_h`, `le_sigma`, `he_sigma`; NaN where no runbook names it.
    """
    import pandas as pd

    books = runbooks_of(session)
    books.refresh()
    there = set(books.nights)
    found: dict[str, list[MolaResult]] = {name: [] for name in fields}
    for night in sorted(there & set(nights)):
        book = books.read(night)
        for name, results in found.items():
            results += [result for result in book.results if book.standard and _is(result.source, name)]
    rows = [
        (name, len(results), sum(result.t_eff_s for result in results) / 3600,
         _combined(results, "le_sigma"), _combined(results, "he_sigma"))
        for name, results in found.items()
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["source", "mola_nights", "t_eff_h", "le_sigma", "he_sigma"])


def _combined(results: Sequence[MolaResult], name: str) -> float:
    total_s = sum(result.t_eff_s for result in results)
    if total_s <= 0:
        return math.nan
    return float(sum(getattr(result, name) * math.sqrt(result.t_eff_s) for result in results) / math.sqrt(total_s))
