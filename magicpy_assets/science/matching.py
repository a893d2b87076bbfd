"""Events of two analyses that are the same, and counts of both that know what they share.

Most events are in both, so their Poisson fluctuations are the same. What two counts may differ by is given by the
events that only one of them has: the variance of the difference is their number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from magicpy_assets.science.agreement import excess_over_errors

if TYPE_CHECKING:
    import pandas as pd
    from astropy.table import Table

Places = NDArray[np.intp]

COLUMNS = ("run", "event_id", "mjd", "ra_deg", "dec_deg", "energy_gev", "theta2_deg2", "at_source", "region")
"""What is known of each event. `theta2_deg2` is from the nearest of the source and the off positions, `at_source` says
whether that is the source; `region` is 1 in the signal region, 0 in an off region, -1 elsewhere."""
SAME_TIME_D = 1e-3 / 86400
"""Events whose numbers are not unique must have been taken within a millisecond of each other."""


@dataclass(frozen=True)
class Pairs:
    """Places of the same events in two tables; `remark` says why they were not sought, and is empty if they were."""

    first: Places
    second: Places
    remark: str = ""

    @classmethod
    def none(cls, why: str) -> Pairs:
        """Return no pairs at all, and why."""
        nothing = np.empty(0, dtype=np.intp)
        return cls(nothing, nothing, why)


def matched(first: pd.DataFrame, second: pd.DataFrame) -> Pairs:
    """Find the events that both tables have, by run and number, and by time where numbers are not unique.

    Numbers that begin again within a run, as in some public files, say nothing alone. If number and time are not
    unique either, no event can be told from another, and nothing is matched.
    """
    import pandas as pd

    keys = ["run", "event_id"]
    numbered = [events[keys].assign(place=np.arange(len(events)), mjd=events["mjd"]) for events in (first, second)]
    if not any(events.duplicated(keys).any() for events in numbered):
        both = numbered[0].merge(numbered[1], on=keys, suffixes=("_1", "_2"), validate="one_to_one")
        return Pairs(both["place_1"].to_numpy(np.intp), both["place_2"].to_numpy(np.intp))
    if any(events.duplicated([*keys, "mjd"]).any() for events in numbered):
        return Pairs.none("event numbers are not unique within a run, nor are they together with times")
    # The nearest in time of those with the same number; twice the same partner is one too many.
    ordered = [events.sort_values("mjd") for events in numbered]
    right = ordered[1].rename(columns={"place": "place_2"}).assign(mjd_2=ordered[1]["mjd"])
    both = pd.merge_asof(ordered[0], right, on="mjd", by=keys, direction="nearest", tolerance=SAME_TIME_D)
    both = both.dropna(subset=["place_2"]).assign(apart=lambda table: (table["mjd"] - table["mjd_2"]).abs())
    both = both.sort_values("apart").drop_duplicates("place_2").sort_values("place")
    return Pairs(both["place"].to_numpy(np.intp), both["place_2"].to_numpy(np.intp))


@dataclass(frozen=True)
class Grouped:
    """Where the events of one table are counted: the group of each (-1: nowhere), and `region` as in `COLUMNS`."""

    group: NDArray[np.int64]
    region: NDArray[np.int64]

    def counts(self, group: int) -> tuple[int, int]:
        """Return on and off counts of a group."""
        inside = self.group == group
        return int((inside & (self.region == 1)).sum()), int((inside & (self.region == 0)).sum())


def count_both(first: Grouped, second: Grouped, pairs: Pairs, alpha: float, groups: list[int]) -> Table:
    """Return the counts of both by group; `alpha` is the on/off ratio of exposure.

    Columns `group`, `n_on_1`, `n_on_2`, `n_off_1`, `n_off_2`, `excess_1`, `excess_2`, `ratio` (second to first, not a
    number without excess), `error` (of the difference), `beyond` (share by which they differ beside three errors) and
    `correlation` of the two excesses.
    """
    from astropy.table import Table

    here, there = first.group[pairs.first], second.group[pairs.second]
    kind, other = first.region[pairs.first], second.region[pairs.second]
    same = (here == there) & (kind == other)
    rows: list[tuple[Any, ...]] = []
    for group in groups:
        (on_1, off_1), (on_2, off_2) = first.counts(group), second.counts(group)
        kept_on, kept_off = (int((same & (here == group) & (kind == region)).sum()) for region in (1, 0))
        excess = on_1 - alpha * off_1, on_2 - alpha * off_2
        variance = [n_on + alpha**2 * n_off for n_on, n_off in ((on_1, off_1), (on_2, off_2))]
        shared = kept_on + alpha**2 * kept_off
        apart = variance[0] + variance[1] - 2 * shared
        scale = float(np.sqrt(variance[0] * variance[1]))
        ratio = excess[1] / excess[0] if excess[0] > 0 else np.nan
        # One event more or less is never a difference.
        error = float(np.sqrt(max(apart, 1.0)))
        rows.append((group, on_1, on_2, off_1, off_2, *excess, ratio, error, shared / scale if scale > 0 else 0.0))
    names = ["group", "n_on_1", "n_on_2", "n_off_1", "n_off_2", "excess_1", "excess_2", "ratio", "error", "correlation"]
    table = Table(rows=rows, names=names)
    floats = [np.asarray(table[name], dtype=np.float64) for name in ("excess_1", "excess_2", "error")]
    table["beyond"] = excess_over_errors(*floats)
    return table
