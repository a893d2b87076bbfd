"""Known answers: what the products of a source should be, what they are, and whether that is near enough."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np

from magicpy_assets.core import datalevels, moons, zeniths
from magicpy_assets.core.cell import Cell
from magicpy_assets.core.errors import MissingInputError
from magicpy_assets.mars.programs import TRAINING_REPORT
from magicpy_assets.plots.reference import is_crab

if TYPE_CHECKING:
    import pandas as pd

    from magicpy_assets.analysis.source import Source

SIGMA = 3.0
"""Statistical errors are allowed that many times, beside the tolerance."""
OK, OUTSIDE, NOT_ASKED = "ok", "outside", "not applicable"
STANDARD_HADRONNESS, STANDARD_THETA2_DEG2 = 0.28, 0.02
"""Cuts of the LE selection, after which resolutions are given."""
OFF_REGIONS = 3
Answer = tuple[float, float] | str
"""A value with its statistical error, or why there is none."""


@dataclass(frozen=True)
class Expectation:
    """What should come out: `kind` is relative, absolute, `at most` or `at least`; the tolerance is systematic."""

    name: str
    meaning: str
    kind: str
    expected: float
    tolerance: float
    unit: str
    source: str

    def verdict(self, value: float, error: float) -> str:
        """Tell whether a value is near enough."""
        slack = self.tolerance * (abs(self.expected) if self.kind == "relative" else 1.0) + SIGMA * error
        if self.kind == "at most":
            return OK if value <= self.expected + slack else OUTSIDE
        if self.kind == "at least":
            return OK if value >= self.expected - slack else OUTSIDE
        return OK if abs(value - self.expected) <= slack else OUTSIDE


@cache
def expectations() -> tuple[Expectation, ...]:
    """Return the table of expectations."""
    text = resources.files("magicpy_assets.science").joinpath("tables/expectations.csv").read_text(encoding="utf-8")
    return tuple(
        Expectation(
            row["name"], row["meaning"], row["kind"], float(row["expected"]), float(row["tolerance"]), row["unit"],
            row["source"],
        )
        for row in csv.DictReader(text.splitlines())
    )  # fmt: skip


@dataclass(frozen=True)
class Validation:
    """The answers.

    Attributes
    ----------
    table
        A row per expectation: `name`, `value`, `error`, `expected`, `tolerance`, `kind`, `unit`, `verdict`, `remark`,
        `meaning`, `source`.
    simulated
        Whether the data are.
    """

    table: pd.DataFrame
    simulated: bool

    @property
    def passed(self) -> bool:
        """Whether nothing lies outside."""
        return not (self.table["verdict"] == OUTSIDE).any()

    @property
    def outside(self) -> list[str]:
        """The names of what lies outside."""
        return [str(name) for name in self.table.loc[self.table["verdict"] == OUTSIDE, "name"]]

    def __str__(self) -> str:
        shown = self.table[["name", "value", "error", "expected", "tolerance", "kind", "unit", "verdict", "remark"]]
        lines = [shown.to_string(index=False, float_format=lambda value: f"{value:.4g}", na_rep="")]
        return "\n".join(lines + (["All of this is simulated."] if self.simulated else []))

    def _repr_html_(self) -> str:
        return str(self.table.drop(columns=["source"]).to_html(index=False, na_rep=""))


def validate(source: Source) -> Validation:
    """Ask everything that can be asked of the products of a source.

    Raises
    ------
    MissingInputError
        If there are no DL3 files.
    """
    import pandas as pd

    facts = _Facts(source)
    rows = []
    for one in expectations():
        answer = facts.ask(one.name)
        value, error = (np.nan, np.nan) if isinstance(answer, str) else answer
        remark = answer if isinstance(answer, str) else ""
        verdict = NOT_ASKED if isinstance(answer, str) else one.verdict(value, error)
        rows.append(
            (one.name, value, error, one.expected, one.tolerance, one.kind, one.unit, verdict, remark, one.meaning,
             one.source)
        )  # fmt: skip
    names = [
        "name",
        "value",
        "error",
        "expected",
        "tolerance",
        "kind",
        "unit",
        "verdict",
        "remark",
        "meaning",
        "source",
    ]
    return Validation(pd.DataFrame(rows, columns=names), facts.simulated)


class _Facts:
    """What is measured, each when it is first asked for."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.cells = list(source.files(datalevels.DL3))
        if not self.cells:
            raise MissingInputError(f"there are no DL3 files of {source.name}", hint="make them with .dl3()")
        self.low = [cell for cell in self.cells if cell.zenith == zeniths.za05to35]
        self.dark = [cell for cell in self.low if cell.moon == moons.WeakMoon]
        cards = [one.events.table.meta for one in source.observations()]
        self.simulated = any(bool(card.get("SIMULATD", False)) for card in cards)
        self.cards = cards
        self.spectrum = source.spectrum() if is_crab(source.name) else None

    def ask(self, name: str) -> Answer:
        """Return a value and its error, or why there is none."""
        if name.startswith("crab_rate_"):
            low, high = (float(word) for word in name.removeprefix("crab_rate_").split("_"))
            return self._rate(low, high)
        asked: dict[str, Callable[[], Answer]] = {
            "crab_flux_1tev": lambda: self._of_crab("amplitude"),
            "crab_slope_1tev": lambda: self._of_crab("alpha"),
            "energy_threshold": self._threshold,
            "theta39": lambda: self._resolution("theta", 250, 1000, 0.39),
            "theta68_949": lambda: self._resolution("theta", 750, 1200, 0.68),
            "energy_resolution": lambda: self._resolution("energy", 250, 1000),
            "energy_bias": lambda: self._resolution("bias", 400, 3000),
            "exposure_closure": self._closure,
            "off_isotropy": self._isotropy,
            "null_mean": lambda: self._null(0),
            "null_rms": lambda: self._null(1),
            "auc": self._auc,
        }
        return asked[name]()

    def _of_crab(self, parameter: str) -> Answer:
        return "not the Crab Nebula" if self.spectrum is None else self.spectrum.parameter(parameter)

    def _rate(self, low_gev: float, high_gev: float) -> Answer:
        if self.spectrum is None:
            return "not the Crab Nebula"
        if not self.low:
            return "no data below 35 deg"
        cuts = {"energy_min_gev": low_gev, "energy_max_gev": high_gev}
        seen = self.source.theta2(self.low, cuts=cuts)
        minutes = seen.live_time_s / 60
        return seen.excess / minutes, seen.excess_error / minutes

    def _threshold(self) -> Answer:
        import astropy.units as u

        if not self.dark:
            return "no dark data below 35 deg"
        energy = np.geomspace(0.03, 20, 600)
        total = np.zeros_like(energy)
        for observation in self.source.observations(self.dark):
            area = observation.aeff.evaluate(energy_true=energy * u.TeV, offset=0.4 * u.deg).to_value("m2")
            total += np.ravel(area) * energy**-1.6  # per logarithm of energy
        return 1e3 * float(energy[int(np.argmax(total))]), 0.0

    def _gammas(self) -> Any:
        """Return gamma rays of the test sample of the darkest and highest cell after standard cuts; None if gone."""
        from magicpy_assets.formats import melibea

        cell = next(iter(self.dark or self.low), None)
        if cell is None:
            return None
        place = self.source.session.layout.mc(
            datalevels.Melibea, cell.period.name, cell.zenith.name, "test", "x", moon=cell.moon.key
        ).parent
        files = sorted(place.glob("*_Q_*.root"))
        if not files:
            return None
        import pandas as pd

        events = pd.concat([melibea.read_events(path) for path in files], ignore_index=True)
        kept = (events["hadronness"] < STANDARD_HADRONNESS) & np.isfinite(events["theta2_deg2"])
        return events[kept]

    def _resolution(self, what: str, low_gev: float, high_gev: float, share: float = 0.0) -> Answer:
        gammas = self._gammas()
        if gammas is None:
            return "no test Monte Carlo below 35 deg in the store"
        chosen = gammas[(gammas["mc_energy_gev"] > low_gev) & (gammas["mc_energy_gev"] < high_gev)]
        if what == "theta":
            values = np.sqrt(chosen["theta2_deg2"].to_numpy(dtype=np.float64))
            found = float(np.quantile(values, share))
            return found, found * float(np.sqrt((1 - share) / share / max(len(values), 1))) / 2
        near = chosen[chosen["theta2_deg2"] < STANDARD_THETA2_DEG2]
        ratio = (near["energy_gev"] / near["mc_energy_gev"]).to_numpy(dtype=np.float64)
        low, middle, high = np.quantile(ratio, [0.16, 0.5, 0.84])
        width = float(high - low) / 2
        if what == "bias":
            return float(middle) - 1.0, 1.25 * width / float(np.sqrt(len(ratio)))
        return width, width / float(np.sqrt(2 * len(ratio)))

    def _closure(self) -> Answer:
        pairs = [(card["EFFTIME"], card["EFFERR"], card["LIVETIME"]) for card in self.cards if "EFFTIME" in card]
        if not pairs:
            return "the files give no effective time"
        effective, error, live = (np.array(values, dtype=np.float64) for values in zip(*pairs, strict=True))
        return float(effective.sum() / live.sum()), float(np.sqrt((error**2).sum()) / live.sum())

    def _counts(self) -> Any:
        """Counts above 300 GeV in each off region of each run, (runs, regions)."""
        from magicpy_assets.science.counts import ABOVE_300_GEV, field_of

        rows = []
        for observation in self.source.observations():
            field = field_of(observation, self.source.position_deg, ABOVE_300_GEV)
            turns = [360.0 * k / (OFF_REGIONS + 1) for k in range(1, OFF_REGIONS + 1)]
            rows.append([int((field.theta2_deg2(turn) < ABOVE_300_GEV.theta2_max_deg2).sum()) for turn in turns])
        return np.array(rows)

    def _isotropy(self) -> Answer:
        from scipy.stats import chisquare

        totals = self._counts().sum(axis=0)
        if totals.sum() < 5 * OFF_REGIONS:
            return "too few events in the off regions"
        return float(chisquare(totals).pvalue), 0.0

    def _null(self, moment: int) -> Answer:
        from magicpy_assets.science.theta2 import li_ma

        counts = self._counts()
        kept = counts[counts.sum(axis=1) >= 2 * OFF_REGIONS]
        if len(kept) < 5:
            return "too few runs with events in the off regions"
        alpha = 1 / (OFF_REGIONS - 1)
        values = np.array(
            [li_ma(int(row[k]), int(row.sum() - row[k]), alpha) for row in kept for k in range(OFF_REGIONS)]
        )
        # The regions of a run are compared with each other: only so many of them are independent.
        independent = len(kept) * (OFF_REGIONS - 1)
        if moment == 0:
            return float(values.mean()), float(1 / np.sqrt(independent))
        return float(values.std(ddof=1)), float(1 / np.sqrt(2 * independent))

    def _auc(self) -> Answer:
        found = [auc for cell in self.cells if (auc := self._auc_of(cell)) is not None]
        return (min(found), 0.0) if found else "no training report in the store"

    def _auc_of(self, cell: Cell) -> float | None:
        path = self.source.session.layout.forest(cell) / TRAINING_REPORT
        return float(json.loads(path.read_text(encoding="utf-8"))["auc"]) if path.is_file() else None
