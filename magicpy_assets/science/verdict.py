"""The questions that are asked of two analyses of the same runs, and their answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from magicpy_assets.core.errors import InputError, MagicpyError
from magicpy_assets.science import side_by_side
from magicpy_assets.science.agreement import Answer, at_least, excess_over_errors, not_asked, table_of_answers, within
from magicpy_assets.science.comparison import ComparisonResult
from magicpy_assets.science.exposure import Exposure
from magicpy_assets.science.matching import Grouped, Pairs, count_both, matched
from magicpy_assets.science.spectral_models import shape
from magicpy_assets.science.theta2 import Theta2Result

if TYPE_CHECKING:
    import pandas as pd
    from astropy.table import Table

WEEK_D = 7.0
THETA2_EDGES_DEG2 = (0.0, 0.005, 0.01, 0.02, 0.04, 0.08)
"""The last is where the regions of a source 0.4° from the centre begin to touch with three off regions."""
NO_DL3 = "both need DL3 files"


@dataclass(frozen=True)
class Side:
    """One of two analyses.

    Attributes
    ----------
    name
        What it is called.
    runs
        All runs that it has files of. Everything else is of the runs that both have.
    events
        Events after cuts, columns `science.matching.COLUMNS`.
    exposure
        Of these events.
    start_mjd, live_time_s
        Of each run.
    theta2
        Counts around the source.
    position_deg
        Right ascension and declination of the source.
    alpha
        On/off ratio of exposure.
    observations
        Gammapy observations by run, if there are DL3 files.
    """

    name: str
    runs: tuple[int, ...]
    events: pd.DataFrame
    exposure: Exposure
    start_mjd: Mapping[int, float]
    live_time_s: Mapping[int, float]
    theta2: Theta2Result | None
    position_deg: tuple[float, float]
    alpha: float
    observations: Mapping[int, Any] = field(default_factory=dict)


def compared(
    first: Side, second: Side, *, energy_min_tev: float = 0.3, model: str = "auto", products: bool = True
) -> ComparisonResult:
    """Compare two analyses.

    Parameters
    ----------
    first, second
        The analyses.
    energy_min_tev
        Lower end of the fluxes.
    model
        Shape of the spectra; `auto` takes for both what fits the first.
    products
        Whether fluxes and spectra are made, too, where there are DL3 files.

    Raises
    ------
    InputError
        If they have no run in common.
    """
    shared = sorted(set(first.runs) & set(second.runs))
    if not shared:
        raise InputError(f"{first.name} and {second.name} have no run in common")
    pairs = matched(first.events, second.events)
    start = min(first.start_mjd[run] for run in shared)
    week_of = {run: int((first.start_mjd[run] - start) // WEEK_D) for run in shared}
    parts = _counted(first, second, pairs, week_of)
    answers = [_missing_runs(first, second), *_event_answers(first, second, pairs), *_count_answers(parts)]
    parts["events"] = _common_events(first, second, pairs)
    spectra: tuple[Any, ...] = ()
    if products:
        found = _Products(first, second, shared, week_of, parts, energy_min_tev, model)
        answers += found.answers()
        spectra = found.spectra
    return ComparisonResult(
        exposure=first.exposure,
        names=(first.name, second.name),
        questions=table_of_answers(answers),
        parts=parts,
        theta2=tuple(side.theta2 for side in (first, second) if side.theta2 is not None),
        spectra=spectra,
    )


def _missing_runs(first: Side, second: Side) -> Answer:
    """Name the runs that only one of the two has files of."""
    sides = ((first, second), (second, first))
    only = {one.name: sorted(set(one.runs) - set(other.runs)) for one, other in sides}
    words = "; ".join(f"only in {name}: {', '.join(map(str, runs))}" for name, runs in only.items() if runs)
    return within("runs_both", float(sum(map(len, only.values()))), words)


def _event_answers(first: Side, second: Side, pairs: Pairs) -> list[Answer]:
    names = ("events_common", "energy_median", "direction_median")
    if pairs.remark:
        return [not_asked(name, pairs.remark) for name in names]
    fewer = min(len(first.events), len(second.events))
    if not fewer:
        return [not_asked(name, "one of the two has no events") for name in names]
    common = at_least("events_common", len(pairs.first) / fewer)
    if not len(pairs.first):
        return [common, *(not_asked(name, "there are no common events") for name in names[1:])]
    one, other = _paired(first, second, pairs)
    ratio = float(np.median(other["energy_gev"].to_numpy() / one["energy_gev"].to_numpy()))
    apart = float(np.median(_distance_deg(one, other)))
    return [common, within("energy_median", abs(ratio - 1), f"ratio {ratio:.3f}"), within("direction_median", apart)]


def _paired(first: Side, second: Side, pairs: Pairs) -> tuple[pd.DataFrame, pd.DataFrame]:
    return first.events.iloc[pairs.first], second.events.iloc[pairs.second]


def _distance_deg(one: pd.DataFrame, other: pd.DataFrame) -> NDArray[np.float64]:
    """Distance of the two directions of each event, which is small."""
    ra, dec = ([events[name].to_numpy(dtype=np.float64) for events in (one, other)] for name in ("ra_deg", "dec_deg"))
    turn = (ra[0] - ra[1] + 180.0) % 360.0 - 180.0
    return np.asarray(np.hypot(turn * np.cos(np.radians(0.5 * (dec[0] + dec[1]))), dec[0] - dec[1]))


def _common_events(first: Side, second: Side, pairs: Pairs) -> Table:
    from astropy.table import Table

    one, other = _paired(first, second, pairs)
    return Table(
        {
            "run": one["run"].to_numpy(),
            "event_id": one["event_id"].to_numpy(),
            "energy_1": one["energy_gev"].to_numpy(),
            "energy_2": other["energy_gev"].to_numpy(),
            "distance": _distance_deg(one, other),
        },
        units={"energy_1": "GeV", "energy_2": "GeV", "distance": "deg"},
    )


def _counted(first: Side, second: Side, pairs: Pairs, week_of: Mapping[int, int]) -> dict[str, Table]:
    """Count both by run, by week and by distance from the source."""

    def counted(
        group: Callable[[pd.DataFrame], Any], region: Callable[[pd.DataFrame], Any], groups: list[int]
    ) -> Table:
        sides = [
            Grouped(np.asarray(group(side.events), dtype=np.int64), np.asarray(region(side.events), dtype=np.int64))
            for side in (first, second)
        ]
        return count_both(sides[0], sides[1], pairs, first.alpha, groups)

    edges = np.array(THETA2_EDGES_DEG2)
    runs = counted(lambda events: events["run"], lambda events: events["region"], sorted(week_of))
    for number, side in enumerate((first, second), 1):
        runs[f"live_time_{number}"] = [side.live_time_s[run] for run in sorted(week_of)]
        runs[f"live_time_{number}"].unit = "s"
    weeks = counted(
        lambda events: events["run"].map(week_of), lambda events: events["region"], sorted(set(week_of.values()))
    )
    theta2 = counted(
        lambda events: np.searchsorted(edges, events["theta2_deg2"], side="right") - 1,
        lambda events: events["at_source"].astype(int),
        list(range(len(edges) - 1)),
    )
    theta2["theta2_min"], theta2["theta2_max"] = edges[:-1], edges[1:]
    return {"runs": runs, "weeks": weeks, "theta2": theta2}


def _count_answers(parts: Mapping[str, Table]) -> list[Answer]:
    asked = {"excess_run": "runs", "excess_week": "weeks", "theta2": "theta2"}
    answers = [within(name, float(np.max(parts[part]["beyond"]))) for name, part in asked.items()]
    return [*answers, _live_times(parts["runs"])]


def _live_times(runs: Table) -> Answer:
    times = [np.asarray(runs[f"live_time_{side}"], dtype=np.float64) for side in "12"]
    apart = excess_over_errors(times[0], times[1], np.zeros_like(times[0]))
    total = float(times[1].sum() / times[0].sum()) if times[0].sum() > 0 else np.nan
    return within(
        "live_time", float(apart.max()), f"run {runs['group'][int(apart.argmax())]}; ratio of all {total:.3f}"
    )


class _Products:
    """What can be asked where both have DL3 files. What fails is not asked, with the reason; the rest is."""

    NAMES = ("flux_run", "flux_week", "spectrum_flux", "spectrum_slope", "energy_bias", "energy_resolution",
             "effective_area", "rad_max")  # fmt: skip

    def __init__(
        self, first: Side, second: Side, shared: Sequence[int], week_of: Mapping[int, int], parts: dict[str, Table],
        energy_min_tev: float, model: str,
    ) -> None:  # fmt: skip
        self.sides = first, second
        self.shared = shared
        self.week_of = week_of
        self.parts = parts
        self.energy_min_tev = energy_min_tev
        self.model = model
        self.spectra: tuple[Any, ...] = ()

    def answers(self) -> list[Answer]:
        """Ask everything; tables that were made are added to the parts."""
        if not all(set(self.shared) <= set(side.observations) for side in self.sides):
            return [not_asked(name, NO_DL3) for name in self.NAMES]
        found: list[Answer] = []
        steps = ((self._fluxes, self.NAMES[:2]), (self._spectra, self.NAMES[2:4]), (self._responses, self.NAMES[4:]))
        for ask, names in steps:
            try:
                found += ask()
            except MagicpyError as error:
                found += [not_asked(name, error.message) for name in names]
        return found

    def _observations(self) -> list[list[Any]]:
        return [[side.observations[run] for run in self.shared] for side in self.sides]

    def _correlation(self, part: str) -> dict[int, float]:
        table = self.parts[part]
        return dict(zip(map(int, table["group"]), map(float, table["correlation"]), strict=True))

    def _fluxes(self) -> list[Answer]:
        one, other = self._observations()
        runs = side_by_side.run_fluxes(
            one, other, self.sides[0].position_deg, self.energy_min_tev, self._correlation("runs")
        )
        weeks = side_by_side.week_fluxes(runs, self.week_of, self._correlation("weeks"))
        self.parts |= {"fluxes": runs, "flux_weeks": weeks}
        return [
            within(name, float(np.max(table["beyond"])), f"ratio of all {_mean_ratio(table):.3f}")
            for name, table in (("flux_run", runs), ("flux_week", weeks))
        ]

    def _spectra(self) -> list[Answer]:
        from magicpy_assets.science.spectrum_fit import fit

        one, other = self._observations()
        position = self.sides[0].position_deg
        first = fit(one, position, model=self.model)
        second = fit(other, position, model=first.model_name)
        if not (first.converged and second.converged):
            raise InputError("a fit of the spectrum did not converge")
        table = side_by_side.spectra_table(first, second, self._whole_correlation())
        self.spectra = first, second
        self.parts["spectra"] = table
        flux = table[len(table) - 1]
        (slope,) = (row for row in table if row["name"] == shape(first.model_name).first[1])
        values = [np.array([float(flux[name])]) for name in ("value_1", "value_2", "error")]
        beyond = float(excess_over_errors(*values)[0])
        turned = max(abs(float(slope["difference"])) - 3 * float(slope["error"]), 0.0)
        return [
            within("spectrum_flux", beyond, f"ratio {flux['value_2'] / flux['value_1']:.3f}, {flux['name']}"),
            within("spectrum_slope", turned, f"{slope['name']} differs by {slope['difference']:+.3f}"),
        ]

    def _whole_correlation(self) -> float:
        table = self.parts["runs"]
        weights = np.asarray(table["n_on_1"], dtype=np.float64) + 1e-9
        return float(np.average(np.asarray(table["correlation"]), weights=weights))

    def _responses(self) -> list[Answer]:
        one, other = self._observations()
        offset = float(np.mean([_offset_deg(each, self.sides[0].position_deg) for each in one]))
        table = side_by_side.responses(one, other, offset)
        self.parts["responses"] = table
        answers = []
        for name, column in (("energy_bias", "bias"), ("energy_resolution", "resolution")):
            apart = np.abs(np.asarray(table[f"{column}_2"]) - np.asarray(table[f"{column}_1"]))
            answers.append(within(name, float(np.median(apart))))
        for name, column in (("effective_area", "area"), ("rad_max", "rad_max")):
            ratio = float(np.median(np.asarray(table[f"{column}_2"]) / np.asarray(table[f"{column}_1"])))
            told = within(name, abs(ratio - 1), f"ratio {ratio:.3f}")
            answers.append(told if np.isfinite(ratio) else not_asked(name, "one of the two has none"))
        return answers


def _mean_ratio(table: Table) -> float:
    one, other = (
        np.average(np.asarray(table[f"flux_{side}"]), weights=np.asarray(table[f"predicted_{side}"])) for side in "12"
    )
    return float(other / one) if one > 0 else float("nan")


def _offset_deg(observation: Any, position_deg: tuple[float, float]) -> float:
    from astropy.coordinates import SkyCoord

    card = observation.events.table.meta
    pointing = SkyCoord(float(card["RA_PNT"]), float(card["DEC_PNT"]), unit="deg")
    return float(pointing.separation(SkyCoord(*position_deg, unit="deg")).deg)
