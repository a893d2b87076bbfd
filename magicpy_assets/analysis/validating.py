"""Known answers: what the products of a source should be, what they are, and whether that is near enough."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from magicpy_assets.core import datalevels, moons, sources, zeniths
from magicpy_assets.core.cell import Cell
from magicpy_assets.core.errors import MagicpyError, MissingInputError, UnknownNameError
from magicpy_assets.mars.programs import TRAINING_REPORT
from magicpy_assets.plots.reference import is_crab
from magicpy_assets.science.counts import ABOVE_300_GEV, field_of, off_count
from magicpy_assets.science.cuts import CutRules, find_cuts
from magicpy_assets.science.expectations import NOT_ASKED, OUTSIDE, expectations
from magicpy_assets.science.known_answers import (
    Answer,
    containment_deg,
    energy_bias,
    energy_resolution,
    isotropy,
    null_mean,
    null_rms,
)
from magicpy_assets.science.on_off import peak_energy_tev

if TYPE_CHECKING:
    import pandas as pd

    from magicpy_assets.analysis.source import Source
    from magicpy_assets.science.cuts import Cuts

STANDARD_HADRONNESS, STANDARD_THETA2_DEG2 = 0.28, 0.02
"""Cuts of the LE selection, after which resolutions are given."""
OFF_REGIONS = 3
REJECTION = CutRules(0.8, 0.7, hadronness_range=(0.0, 1.0))
"""Cuts with which background is counted: tighter than those of the DL3 files."""
STEREO_ONLY = "what is expected is of both telescopes together"
ENOUGH_SIGMA, ENOUGH_EVENTS = 5.0, 10
"""Below these, fits and counts have no errors that a verdict could rest on."""


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
    """Ask everything that can be asked of the products of a source; of mono ones nothing that only stereo can reach.

    Raises
    ------
    MissingInputError
        If there are no DL3 files.
    """
    import pandas as pd

    facts = _Facts(source)
    rows = []
    for one in expectations():
        answer = facts.ask(one.name) if one.of == "any" or not source.telescopes.is_mono else STEREO_ONLY
        value, error = (np.nan, np.nan) if isinstance(answer, str) else answer
        remark = answer if isinstance(answer, str) else ""
        if not remark and facts.simulated:
            remark = one.not_of_simulations
        verdict = NOT_ASKED if remark else one.verdict(value, error)
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

    @cached_property
    def spectrum(self) -> Any:
        """Spectrum of the Crab Nebula; None of other sources."""
        return self.source.spectrum() if is_crab(self.source.name) else None

    def ask(self, name: str) -> Answer:
        """Return a value and its error, or why there is none; a question that fails leaves the others alone."""
        try:
            return self._ask(name)
        except MagicpyError as error:
            return error.message

    def _ask(self, name: str) -> Answer:
        for rate, of_bin in (("crab_rate_", self._rate), ("background_rate_", self._background)):
            if name.startswith(rate):
                low, high = (float(word) for word in name.removeprefix(rate).split("_"))
                return of_bin(low, high)
        asked: dict[str, Callable[[], Answer]] = {
            "crab_flux_1tev": lambda: self._of_crab("amplitude"),
            "crab_slope_1tev": lambda: self._of_crab("alpha"),
            "energy_threshold": self._threshold,
            "theta39": lambda: self._resolution(lambda seen: containment_deg(_theta(seen), 0.39), 250, 1000),
            "theta68_949": lambda: self._resolution(lambda seen: containment_deg(_theta(seen), 0.68), 750, 1200),
            "energy_resolution": lambda: self._resolution(lambda seen: energy_resolution(_ratio(seen)), 250, 1000),
            "energy_bias": lambda: self._resolution(lambda seen: energy_bias(_ratio(seen)), 400, 3000),
            "exposure_closure": self._closure,
            "off_isotropy": lambda: isotropy(self._counts),
            "null_mean": lambda: null_mean(self._counts),
            "null_rms": lambda: null_rms(self._counts),
            "null_signal": self._null_signal,
            "auc": self._auc,
        }
        return asked[name]()

    def _of_crab(self, parameter: str) -> Answer:
        if self.spectrum is None:
            return "not the Crab Nebula"
        if self.spectrum.significance < ENOUGH_SIGMA:
            return f"a signal of {self.spectrum.significance:.1f} sigma is too weak for a spectrum"
        if not self.spectrum.converged:
            return "the fit of the spectrum did not converge"
        value, error = self.spectrum.parameter(parameter)
        return float(value), float(error)

    def _rate(self, low_gev: float, high_gev: float) -> Answer:
        if not is_crab(self.source.name):
            return "not the Crab Nebula"
        if not self.low:
            return "no data below 35 deg"
        cuts = {"energy_min_gev": low_gev, "energy_max_gev": high_gev}
        seen = self.source.theta2(self.low, cuts=cuts)
        if seen.n_on < ENOUGH_EVENTS:
            return f"{seen.n_on} events are too few for a rate"
        minutes = seen.live_time_s / 60
        return seen.excess / minutes, seen.excess_error / minutes

    def _background(self, low_gev: float, high_gev: float) -> Answer:
        if self._cuts is None:
            return "no dark data below 35 deg, or no test Monte Carlo in the store"
        observations = self.source.observations(self.dark)
        position, energies = self.source.position_deg, (low_gev, high_gev)
        count = sum(off_count(one, position, self._cuts, energies, OFF_REGIONS) for one in observations)
        minutes = sum(float(one.observation_live_time_duration.to_value("min")) for one in observations)
        # Nothing seen is an error of one event.
        return count / OFF_REGIONS / minutes, max(count, 1) ** 0.5 / OFF_REGIONS / minutes

    @cached_property
    def _cuts(self) -> Cuts | None:
        if not self.dark or self._test_gammas is None:
            return None
        seen = self._test_gammas
        energy_gev, hadronness = (seen[name].to_numpy(dtype=np.float64) for name in ("energy_gev", "hadronness"))
        return find_cuts(energy_gev, hadronness, _theta(seen), REJECTION)

    def _null_signal(self) -> Answer:
        try:
            serves = sources.by_name(self.source.name).off
        except UnknownNameError:
            serves = False
        if not serves:
            return "not a field that serves as OFF data"
        seen = self.source.theta2()
        if seen.n_on + seen.n_off < ENOUGH_EVENTS:
            return f"{seen.n_on + seen.n_off} events are too few for a significance"
        return seen.significance, 1.0

    def _threshold(self) -> Answer:
        if not self.dark:
            return "no dark data below 35 deg"
        return 1e3 * peak_energy_tev(self.source.observations(self.dark)), 0.0

    @property
    def _gammas(self) -> pd.DataFrame | None:
        """The same after standard cuts."""
        seen = self._test_gammas
        return None if seen is None else seen[seen["hadronness"] < STANDARD_HADRONNESS]

    @cached_property
    def _test_gammas(self) -> pd.DataFrame | None:
        """Gamma rays of the test sample of the darkest and highest cell; None if gone."""
        import pandas as pd

        from magicpy_assets.formats import melibea

        cell = next(iter(self.dark or self.low), None)
        if cell is None:
            return None
        layout, place = self.source.session.layout, (cell.period.name, cell.zenith.name, "test", "any")
        files = sorted(layout.mc(datalevels.Melibea, *place, moon=cell.moon.key).parent.glob("*_Q_*.root"))
        if not files:
            return None
        events = pd.concat([melibea.read_events(path) for path in files], ignore_index=True)
        return events[np.isfinite(events["theta2_deg2"]) & np.isfinite(events["hadronness"])]

    def _resolution(self, answer: Callable[[Any], Answer], low_gev: float, high_gev: float) -> Answer:
        seen = self._gammas
        if seen is None:
            return "no test Monte Carlo below 35 deg in the store"
        return answer(seen[(seen["mc_energy_gev"] > low_gev) & (seen["mc_energy_gev"] < high_gev)])

    def _closure(self) -> Answer:
        pairs = [(card["EFFTIME"], card["EFFERR"], card["LIVETIME"]) for card in self.cards if "EFFTIME" in card]
        if not pairs:
            return "the files give no effective time"
        effective, error, live = (np.array(values, dtype=np.float64) for values in zip(*pairs, strict=True))
        return float(effective.sum() / live.sum()), float(np.sqrt((error**2).sum()) / live.sum())

    @cached_property
    def _counts(self) -> Any:
        """Counts above 300 GeV in each off region of each run, (runs, regions)."""
        turns = [360.0 * k / (OFF_REGIONS + 1) for k in range(1, OFF_REGIONS + 1)]
        fields = [field_of(one, self.source.position_deg, ABOVE_300_GEV) for one in self.source.observations()]
        return np.array(
            [[int((one.theta2_deg2(turn) < ABOVE_300_GEV.theta2_max_deg2).sum()) for turn in turns] for one in fields]
        )

    def _auc(self) -> Answer:
        found = [auc for cell in self.cells if (auc := self._auc_of(cell)) is not None]
        return (min(found), 0.0) if found else "no training report in the store"

    def _auc_of(self, cell: Cell) -> float | None:
        path = self.source.session.layout.forest(cell) / TRAINING_REPORT
        return float(json.loads(path.read_text(encoding="utf-8"))["auc"]) if path.is_file() else None


def _theta(gammas: pd.DataFrame) -> Any:
    return np.sqrt(gammas["theta2_deg2"].to_numpy(dtype=np.float64))


def _ratio(gammas: pd.DataFrame) -> Any:
    """Estimated over true energy of those near the source."""
    near = gammas[gammas["theta2_deg2"] < STANDARD_THETA2_DEG2]
    return (near["energy_gev"] / near["mc_energy_gev"]).to_numpy(dtype=np.float64)
