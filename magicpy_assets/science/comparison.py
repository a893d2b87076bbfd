"""Two analyses of the same runs, event by event and run by run, and whether they agree.

Most events are in both analyses, so their Poisson fluctuations are the same. What two counts may differ by is given by
the events that only one of them has: the variance of the difference is their number.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from magicpy_assets.core.errors import InputError
from magicpy_assets.science.exposure import Exposure
from magicpy_assets.science.exposure import from_dict as exposure_from
from magicpy_assets.science.results import Result, plain, rows_of, table_of

if TYPE_CHECKING:
    import pandas as pd
    from astropy.table import Table

COLUMNS = ("run", "event_id", "mjd", "ra_deg", "dec_deg", "energy_gev", "region")
"""What is known of each event; `region` is 1 in the signal region, 0 in an off region, -1 elsewhere."""
SIGMA = 3.0
WEEK_D = 7.0


@dataclass(frozen=True)
class Limit:
    """How far two analyses may differ, in what unit, and who says so."""

    name: str
    limit: float
    unit: str
    meaning: str
    source: str


@cache
def limits() -> dict[str, Limit]:
    """Return the limits by name."""
    text = resources.files("magicpy_assets.science").joinpath("tables/agreement.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(text.splitlines())
    return {
        row["name"]: Limit(row["name"], float(row["limit"]), row["unit"], row["meaning"], row["source"]) for row in rows
    }


@dataclass(frozen=True)
class ComparisonResult(Result):
    """How two analyses of the same runs compare.

    Attributes
    ----------
    names
        What the two are called.
    questions
        A row for each question: `name`, `value`, `limit`, `unit`, `agrees`, `meaning`.
    runs, weeks
        Counts of both in the signal and off regions, excess, ratio of the second to the first, its error, `agrees`.
    events
        The events that both have: energies of both (GeV) and the distance of their directions (deg).
    """

    name: ClassVar[str] = "comparison"
    exposure: Exposure
    names: tuple[str, str]
    questions: Table
    runs_table: Table
    weeks: Table
    events: Table

    @property
    def agrees(self) -> bool:
        """Whether every question is answered well."""
        return bool(np.all(self.questions["agrees"]))

    @property
    def verdict(self) -> str:
        """The outcome in a sentence."""
        first, second = self.names
        if self.agrees:
            return f"{first} and {second} agree within the usual systematic uncertainties."
        bad = ", ".join(str(row["name"]).replace("_", " ") for row in self.questions if not row["agrees"])
        return f"{first} and {second} do not agree: {bad}."

    @property
    def caption(self) -> str:
        """What was compared, for figures and files."""
        first, second = self.names
        return f"{self.exposure.caption}. {first} (first) against {second} (second): {len(self.events)} common events."

    def tables(self) -> dict[str, Table]:
        """Return questions, runs, weeks and common events."""
        return {
            "comparison": self.questions,
            "comparison_runs": self.runs_table,
            "comparison_weeks": self.weeks,
            "comparison_events": self.events,
        }

    def to_dict(self) -> dict[str, Any]:
        """Verdict, questions, runs and weeks; the events are in their own table."""
        document = {
            "names": list(self.names),
            "verdict": self.verdict,
            "agrees": self.agrees,
            "questions": rows_of(self.questions),
            "runs": rows_of(self.runs_table),
            "weeks": rows_of(self.weeks),
            "events": rows_of(self.events),
            "exposure": self.exposure.to_dict(),
        }
        return dict(plain(document))

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> ComparisonResult:
        """Return the result from what :meth:`to_dict` gave."""
        return cls(
            exposure_from(document["exposure"]),
            (document["names"][0], document["names"][1]),
            table_of(document["questions"]),
            table_of(document["runs"]),
            table_of(document["weeks"]),
            table_of(document["events"]),
        )

    def __str__(self) -> str:
        shown = self.questions["name", "value", "limit", "unit", "agrees"].to_pandas().round(4)
        return f"{self.caption}\n{shown.to_string(index=False)}\n{self.verdict}"

    def _repr_html_(self) -> str:
        return f"<p>{self.verdict}</p>{self.questions.to_pandas().round(4).to_html(index=False)}"


def compared(
    first: pd.DataFrame, second: pd.DataFrame, exposure: Exposure, names: tuple[str, str], alpha: float
) -> ComparisonResult:
    """Compare the events of two analyses, columns `COLUMNS`; `alpha` is the on/off ratio of exposure.

    Raises
    ------
    InputError
        If they have no run in common.
    """
    shared = sorted(set(first["run"]) & set(second["run"]))
    if not shared:
        raise InputError(f"{names[0]} and {names[1]} have no run in common")
    first, second = (events[events["run"].isin(shared)] for events in (first, second))
    both = first.merge(second, on=["run", "event_id"], suffixes=("_1", "_2"))
    runs = _counts(first, second, both, alpha, "flux_run", {run: run for run in shared})
    start = float(first["mjd"].min())
    week_of = {run: int((float(first.loc[first["run"] == run, "mjd"].min()) - start) // WEEK_D) for run in shared}
    weeks = _counts(first, second, both, alpha, "flux_week", week_of)
    return ComparisonResult(exposure, names, _questions(first, second, both, runs, weeks), runs, weeks, _events(both))


def _events(both: pd.DataFrame) -> Table:
    from astropy.table import Table

    return Table(
        {
            "run": both["run"].to_numpy(),
            "event_id": both["event_id"].to_numpy(),
            "energy_1": both["energy_gev_1"].to_numpy(),
            "energy_2": both["energy_gev_2"].to_numpy(),
            "distance": _distance_deg(both),
        },
        units={"energy_1": "GeV", "energy_2": "GeV", "distance": "deg"},
    )


def _distance_deg(both: pd.DataFrame) -> Any:
    """Distance of the two directions of each event, which is small."""
    dec = np.radians(0.5 * (both["dec_deg_1"] + both["dec_deg_2"]))
    across = (both["ra_deg_1"] - both["ra_deg_2"]) * np.cos(dec)
    return np.hypot(across, both["dec_deg_1"] - both["dec_deg_2"]).to_numpy()


def _counts(
    first: pd.DataFrame, second: pd.DataFrame, both: pd.DataFrame, alpha: float, limit: str, group_of: dict[int, int]
) -> Table:
    """Return counts by group of runs, the ratio of excesses, and whether it is one within errors and the limit."""
    from astropy.table import Table

    allowed = limits()[limit].limit
    rows = []
    for group in sorted(set(group_of.values())):
        parts = [events[events["run"].map(group_of) == group] for events in (first, second, both)]
        on, off = ([int((part["region"] == region).sum()) for part in parts[:2]] for region in (1, 0))
        same = parts[2]["region_1"] == parts[2]["region_2"]
        kept_on, kept_off = (int((same & (parts[2]["region_1"] == region)).sum()) for region in (1, 0))
        excess = [n_on - alpha * n_off for n_on, n_off in zip(on, off, strict=True)]
        apart = sum(on) - 2 * kept_on + alpha**2 * (sum(off) - 2 * kept_off)
        ratio = excess[1] / excess[0] if excess[0] > 0 else np.nan
        error = float(np.sqrt(max(apart, 1.0))) / excess[0] if excess[0] > 0 else np.nan
        agrees = not np.isfinite(ratio) or abs(ratio - 1) <= allowed + SIGMA * error
        rows.append((group, *on, *off, *excess, ratio, error, bool(agrees)))
    names = ["group", "n_on_1", "n_on_2", "n_off_1", "n_off_2", "excess_1", "excess_2", "ratio", "error", "agrees"]
    return Table(rows=rows, names=names)


def _questions(first: pd.DataFrame, second: pd.DataFrame, both: pd.DataFrame, runs: Table, weeks: Table) -> Table:
    from astropy.table import Table

    share = len(both) / max(1, min(len(first), len(second)))
    energy = float(np.median(both["energy_gev_2"] / both["energy_gev_1"])) if len(both) else np.nan
    apart = float(np.median(_distance_deg(both))) if len(both) else np.nan
    worst = {
        name: float(np.nanmax(np.abs(np.asarray(table["ratio"], dtype=np.float64) - 1), initial=0.0))
        for name, table in (("flux_run", runs), ("flux_week", weeks))
    }
    known = limits()
    answers = {
        "events_common": (share, share >= known["events_common"].limit),
        "energy_median": (energy, abs(energy - 1) <= known["energy_median"].limit),
        "direction_median": (apart, apart <= known["direction_median"].limit),
        "flux_run": (worst["flux_run"], bool(np.all(runs["agrees"]))),
        "flux_week": (worst["flux_week"], bool(np.all(weeks["agrees"]))),
    }
    rows = [
        (name, value, known[name].limit, known[name].unit, bool(agrees), known[name].meaning)
        for name, (value, agrees) in answers.items()
    ]
    return Table(rows=rows, names=["name", "value", "limit", "unit", "agrees", "meaning"])
