"""Two analyses of the same runs as a result: questions with their answers, and the tables they come from.

The questions are asked in :mod:`magicpy_assets.science.verdict`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from magicpy_assets.science.exposure import Exposure
from magicpy_assets.science.exposure import from_dict as exposure_from
from magicpy_assets.science.results import Result, plain, rows_of, table_of
from magicpy_assets.science.spectrum import SpectrumResult
from magicpy_assets.science.theta2 import Theta2Result

if TYPE_CHECKING:
    from astropy.table import Table


@dataclass(frozen=True)
class ComparisonResult(Result):
    """How two analyses of the same runs compare.

    Attributes
    ----------
    exposure
        Of the first, of the runs that both have.
    names
        What the two are called.
    questions
        A row for each question, see `science.agreement.table_of_answers`.
    parts
        Tables by name: `events` (those that both have: energies in GeV, distance of directions in deg), `runs`, `weeks`
        and `theta2` (counts of both, see `science.matching.count_both`); of DL3 files also `fluxes`, `flux_weeks`,
        `responses` and `spectra` (see `science.side_by_side`), as far as they could be made.
    theta2
        θ² of both.
    spectra
        Fitted spectra of both; none where there are no DL3 files, or they could not be fitted.
    """

    name: ClassVar[str] = "comparison"
    exposure: Exposure
    names: tuple[str, str]
    questions: Table
    parts: Mapping[str, Table]
    theta2: tuple[Theta2Result, ...] = ()
    spectra: tuple[SpectrumResult, ...] = ()

    @property
    def agrees(self) -> bool:
        """Whether every question that could be asked, and that counts, is answered well."""
        return not self._names_of(np.asarray(self.questions["counts"]) & ~np.asarray(self.questions["agrees"]))

    @property
    def verdict(self) -> str:
        """The outcome in a sentence or two."""
        first, second = self.names
        counting = np.asarray(self.questions["counts"], dtype=bool)
        bad = self._names_of(counting & ~np.asarray(self.questions["agrees"], dtype=bool))
        open_ones = self._names_of(counting & ~np.asarray(self.questions["asked"], dtype=bool))
        words = (
            f"{first} and {second} do not agree: {', '.join(bad)}." if bad
            else f"{first} and {second} agree within the usual systematic uncertainties."
        )  # fmt: skip
        return words + (f" Could not be asked: {', '.join(open_ones)}." if open_ones else "")

    def _names_of(self, these: Any) -> list[str]:
        return [str(name).replace("_", " ") for name in self.questions["name"][np.asarray(these, dtype=bool)]]

    @property
    def caption(self) -> str:
        """What was compared, for figures and files."""
        first, second = self.names
        common = len(self.parts["events"])
        return f"{self.exposure.caption}. {first} (first) against {second} (second): {common} common events."

    def tables(self) -> dict[str, Table]:
        """Return the questions, and every part, under names that begin with `comparison`."""
        return {"comparison": self.questions} | {f"comparison_{name}": table for name, table in self.parts.items()}

    def to_dict(self) -> dict[str, Any]:
        """Verdict, questions, and all parts."""
        document = {
            "names": list(self.names),
            "verdict": self.verdict,
            "agrees": self.agrees,
            "questions": rows_of(self.questions),
            "parts": {name: rows_of(table) for name, table in self.parts.items()},
            "theta2": [one.to_dict() for one in self.theta2],
            "spectra": [one.to_dict() for one in self.spectra],
            "exposure": self.exposure.to_dict(),
        }
        return dict(plain(document))

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> ComparisonResult:
        """Return the result from what :meth:`to_dict` gave."""
        return cls(
            exposure=exposure_from(document["exposure"]),
            names=(document["names"][0], document["names"][1]),
            questions=table_of(document["questions"]),
            parts={name: table_of(part) for name, part in document["parts"].items()},
            theta2=tuple(Theta2Result.from_dict(one) for one in document["theta2"]),
            spectra=tuple(SpectrumResult.from_dict(one) for one in document["spectra"]),
        )

    def _shown(self) -> Any:
        table = self.questions["name", "value", "limit", "unit", "agrees", "remark"].to_pandas()
        table["agrees"] = table["agrees"].map({True: "yes", False: "NO"}).where(self.questions["asked"], "not asked")
        return table

    def __str__(self) -> str:
        shown = self._shown().to_string(index=False, na_rep="", float_format=lambda value: f"{value:.4g}")
        return f"{self.caption}\n{shown}\n{self.verdict}"

    def _repr_html_(self) -> str:
        return f"<p>{self.verdict}</p>{self._shown().round(4).to_html(index=False, na_rep='')}"
