"""θ² distributions as results, their sum over cells, and the significance of Li & Ma."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from magicpy_assets.science.exposure import Exposure
from magicpy_assets.science.exposure import from_dict as exposure_from
from magicpy_assets.science.results import Result, plain, rows_of, table_of
from magicpy_assets.science.selections import Selection

if TYPE_CHECKING:
    from astropy.table import Table

Floats = NDArray[np.float64]


def li_ma(n_on: int, n_off: int, alpha: float) -> float:
    """Significance of an excess in standard deviations, with the sign of the excess (Li & Ma 1983, eq. 17).

    `alpha` is the on/off ratio of exposure. No counts at all give 0.
    """
    from gammapy.stats import WStatCountsStatistic

    if n_on + n_off == 0:
        return 0.0
    return float(WStatCountsStatistic(n_on, n_off, alpha).sqrt_ts)


@dataclass(frozen=True)
class Theta2Result(Result):
    """θ² histograms and the counts inside the cut. ``off`` is the sum over the off regions, not yet times alpha.

    ``growth`` has a row per run in order of time: live time so far (h), counts so far, excess and significance.
    """

    name: ClassVar[str] = "theta2"
    exposure: Exposure
    selection: Selection
    n_on: int
    n_off: int
    alpha: float
    excess: float
    excess_error: float
    significance: float
    edges_deg2: Floats
    on: NDArray[np.int64]
    off: NDArray[np.int64]
    growth: Table | None = None

    @property
    def caption(self) -> str:
        """What was counted, for figures and files."""
        return (
            f"{self.exposure.caption}. Selection {self.selection.text}. Off: mean of {self.n_off_regions} regions"
            " turned about the camera centre; significance after Li & Ma (1983), eq. 17."
        )

    @property
    def n_off_regions(self) -> int:
        """How many off regions were used at the same time."""
        return round(1 / self.alpha)

    @property
    def excess_per_minute(self) -> float:
        """Excess per minute of live time."""
        return self.excess / (self.live_time_s / 60) if self.live_time_s > 0 else float("nan")

    @property
    def gammapy(self) -> Table:
        """Return the histogram as gammapy's make_theta_squared_table does, for its plot_theta_squared_table."""
        import astropy.units as u
        from astropy.table import Table
        from gammapy.stats import WStatCountsStatistic

        alpha = np.full(len(self.on), self.alpha)
        statistic = WStatCountsStatistic(self.on, self.off, alpha)
        columns = {
            "theta2_min": self.edges_deg2[:-1] * u.deg**2,
            "theta2_max": self.edges_deg2[1:] * u.deg**2,
            "counts": self.on,
            "counts_off": self.off,
            "acceptance": np.ones(len(self.on)),
            "acceptance_off": 1 / alpha,
            "alpha": alpha,
            "excess": statistic.n_sig,
            "sqrt_ts": statistic.sqrt_ts,
            "excess_errn": statistic.compute_errn(),
            "excess_errp": statistic.compute_errp(),
        }
        return Table(columns, meta={"caption": self.caption, "simulated": self.simulated})

    def tables(self) -> dict[str, Table]:
        """Return the histogram: θ² edges (deg²), on counts, off counts (summed), expected background."""
        from astropy.table import Table

        table = Table(
            {
                "theta2_min": self.edges_deg2[:-1],
                "theta2_max": self.edges_deg2[1:],
                "on": self.on,
                "off": self.off,
                "background": self.off * self.alpha,
            },
            units={"theta2_min": "deg2", "theta2_max": "deg2"},
            meta={"caption": self.exposure.caption, "selection": self.selection.text, "simulated": self.simulated},
        )
        return {"theta2": table} | ({} if self.growth is None else {"significance_growth": self.growth})

    def to_dict(self) -> dict[str, Any]:
        """Counts as value, error and unit."""
        numbers = {
            "n_on": {"value": self.n_on, "error": np.sqrt(self.n_on), "unit": ""},
            "n_off": {"value": self.n_off, "error": np.sqrt(self.n_off), "unit": ""},
            "alpha": {"value": self.alpha, "error": None, "unit": ""},
            "excess": {"value": self.excess, "error": self.excess_error, "unit": ""},
            "significance": {"value": self.significance, "error": None, "unit": "sigma"},
            "excess_per_minute": {"value": self.excess_per_minute, "error": None, "unit": "1/min"},
        }
        document = {
            "numbers": numbers,
            "selection": {"text": self.selection.text, **asdict(self.selection)},
            "off_regions": self.n_off_regions,
            "histogram": {"unit": "deg2", "edges": self.edges_deg2, "on": self.on, "off": self.off},
            "growth": None if self.growth is None else rows_of(self.growth),
            "exposure": self.exposure.to_dict(),
        }
        return dict(plain(document))

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> Theta2Result:
        """Return the result from what :meth:`to_dict` gave."""
        numbers = {name: entry["value"] for name, entry in document["numbers"].items()}
        cuts = {name: value for name, value in document["selection"].items() if name != "text" and value is not None}
        histogram = document["histogram"]
        return cls(
            exposure=exposure_from(document["exposure"]),
            selection=Selection(**cuts),
            n_on=numbers["n_on"],
            n_off=numbers["n_off"],
            alpha=numbers["alpha"],
            excess=numbers["excess"],
            excess_error=document["numbers"]["excess"]["error"],
            significance=numbers["significance"],
            edges_deg2=np.array(histogram["edges"], dtype=np.float64),
            on=np.array(histogram["on"], dtype=np.int64),
            off=np.array(histogram["off"], dtype=np.int64),
            growth=table_of(document["growth"]) if document.get("growth") else None,
        )


def grown(live_times_s: Sequence[float], on: Sequence[int], off: Sequence[int], alpha: float) -> Table:
    """Return how the signal grew, a row per run in the order given: totals up to and with it."""
    from astropy.table import Table

    hours, n_on, n_off = (np.cumsum(values) for values in (np.asarray(live_times_s) / 3600.0, on, off))
    columns = {
        "time": hours,
        "n_on": n_on.astype(int),
        "n_off": n_off.astype(int),
        "excess": n_on - alpha * n_off,
        "significance": [li_ma(int(a), int(b), alpha) for a, b in zip(n_on, n_off, strict=True)],
    }
    return Table(columns, units={"time": "h"})


@dataclass(frozen=True)
class Theta2ByCell:
    """θ² of each cell, and of all events together."""

    cells: Mapping[str, Theta2Result]
    total: Theta2Result

    @property
    def table(self) -> Table:
        """A row per cell and one for all: time (h), counts, excess with error, significance, excess per minute."""
        from astropy.table import Table

        rows = [
            (label, len(one.runs), one.live_time_s / 3600, one.n_on, one.n_off, one.alpha, one.excess,
             one.excess_error, one.significance, one.excess_per_minute)
            for label, one in [*self.cells.items(), ("all", self.total)]
        ]  # fmt: skip
        names = ["cell", "runs", "time", "n_on", "n_off", "alpha", "excess", "excess_error", "significance", "rate"]
        meta = {"caption": self.total.caption, "simulated": self.total.simulated}
        return Table(rows=rows, names=names, units={"time": "h", "rate": "1/min"}, meta=meta)

    def __str__(self) -> str:
        return str(self.table.to_pandas().round(2).to_string(index=False))

    def _repr_html_(self) -> str:
        return str(self.table.to_pandas().round(2).to_html(index=False))
