"""Light curves: the integral flux with time, with upper limits, and tests for a constant flux.

Points are runs, nights, Bayesian blocks of runs, or bins of the user's own. A flux is excess over the events that an
assumed spectrum predicts for it, times that spectrum's integral flux: one count above an energy, no fit of the shape.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from magicpy_assets.core.errors import InputError
from magicpy_assets.science import on_off
from magicpy_assets.science.exposure import Exposure, of_observations, together
from magicpy_assets.science.exposure import from_dict as exposure_from
from magicpy_assets.science.light_curve_points import (
    FLUX_UNIT,
    add_systematic,
    chi2_of_constant,
    flux_of,
    fractional_variability,
    point,
    points_table,
)
from magicpy_assets.science.results import Result, meta_of, plain, rows_of, table_of
from magicpy_assets.science.spectral_models import CEILING_TEV, power_law
from magicpy_assets.science.systematics import Systematics
from magicpy_assets.science.time_bins import RunCounts, edges_of, grouped, run_counts, within

if TYPE_CHECKING:
    from astropy.table import Table

logger = logging.getLogger(__name__)

Floats = NDArray[np.float64]

BINS = "bins"


@dataclass(frozen=True)
class LightCurveResult(Result):
    """Integral fluxes above `energy_min_tev` in cm⁻² s⁻¹; times in MJD (UTC).

    `mean_flux` is that of all runs together, `mean_flux_ul` its upper limit (95 %, one-sided). If systematic errors
    were asked for, the table has them as `systematic`.
    """

    name: ClassVar[str] = "light_curve"
    exposure: Exposure
    table: Table
    binning: str
    energy_min_tev: float
    spectrum_words: str
    mean_flux: float
    mean_flux_error: float
    chi2_constant: float
    degrees_of_freedom: int
    variability: float = float("nan")
    variability_error: float = float("nan")
    mean_flux_ul: float = float("nan")
    systematics: Systematics = field(default_factory=Systematics)

    @property
    def caption(self) -> str:
        """What the points are, for figures and files."""
        kept = {"run": "run", "night": "night", "blocks": "Bayesian block of runs", BINS: "bin of time"}[self.binning]
        words = (
            f"{self.exposure.caption}. One point per {kept}, assumed spectrum: {self.spectrum_words}. Points below 2 σ"
            f" are upper limits (95 %, one-sided). Constant flux: χ² = {self.chi2_constant:.1f} for "
            f"{self.degrees_of_freedom} degrees of freedom, p = {self.p_constant:.2g}."
        )
        if self.variability == self.variability:
            words += f" Fractional variability {self.variability:.2f} ± {self.variability_error:.2f}."
        if "extrapolated" in self.table.colnames and bool(np.any(self.table["extrapolated"])):
            words += " Open points were counted at higher energies and extrapolated with the assumed spectrum."
        return words + self.systematics.text

    @property
    def gammapy(self) -> Any:
        """Return the points as gammapy FluxPoints with an axis of time."""
        from astropy.table import Table
        from gammapy.estimators import FluxPoints

        ends = self.energy_min_tev, CEILING_TEV
        # Counted from the first day: over years leap seconds would come between.
        epoch = int(np.floor(np.min(self.table["start_mjd"])))
        energies = {"e_ref": float(np.sqrt(ends[0] * ends[1])), "e_min": ends[0], "e_max": ends[1]}
        # One energy bin: gammapy wants a further axis for it.
        values = {
            name: np.asarray(self.table[name], dtype=np.float64)[:, None] for name in ("flux", "flux_err", "flux_ul")
        }
        table = Table(
            {
                "time_min": np.asarray(self.table["start_mjd"]) - epoch,
                "time_max": np.asarray(self.table["stop_mjd"]) - epoch,
                **{name: np.full((len(self.table), 1), value) for name, value in energies.items()},
                **values,
                "is_ul": np.asarray(self.table["is_ul"], dtype=bool)[:, None],
            },
            units=dict.fromkeys(energies, "TeV") | dict.fromkeys(values, FLUX_UNIT),
        )
        table.meta = {
            "SED_TYPE": "flux",
            "TIMESYS": "utc",
            "MJDREFI": epoch,
            "MJDREFF": 0.0,
            "TIMEUNIT": "d",
        }
        return FluxPoints.from_table(table, format="lightcurve", sed_type="flux")

    @property
    def p_constant(self) -> float:
        """Probability of a chi² at least as large if the flux were constant."""
        from scipy.stats import chi2

        return float(chi2.sf(self.chi2_constant, self.degrees_of_freedom)) if self.degrees_of_freedom > 0 else 1.0

    def tables(self) -> dict[str, Table]:
        """Return the points of the light curve."""
        return {"light_curve": self.table}

    def to_dict(self) -> dict[str, Any]:
        """Points, mean flux as value, error and unit, and the test for a constant flux."""
        document = {
            "binning": self.binning,
            "energy_min": {"value": self.energy_min_tev, "unit": "TeV"},
            "spectrum": self.spectrum_words,
            "mean_flux": {
                "value": self.mean_flux,
                "error": self.mean_flux_error,
                "limit": self.mean_flux_ul,
                "unit": FLUX_UNIT,
            },
            "constant_flux": {
                "chi2": self.chi2_constant,
                "degrees_of_freedom": self.degrees_of_freedom,
                "probability": self.p_constant,
            },
            "systematics": asdict(self.systematics),
            "fractional_variability": {"value": self.variability, "error": self.variability_error, "unit": ""},
            "points": rows_of(self.table),
            "exposure": self.exposure.to_dict(),
        }
        return dict(plain(document))

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> LightCurveResult:
        """Return the result from what :meth:`to_dict` gave."""
        exposure = exposure_from(document["exposure"])
        return cls(
            exposure=exposure,
            table=table_of(document["points"], _meta(exposure)),
            binning=document["binning"],
            energy_min_tev=document["energy_min"]["value"],
            spectrum_words=document["spectrum"],
            mean_flux=document["mean_flux"]["value"],
            mean_flux_error=document["mean_flux"]["error"],
            chi2_constant=document["constant_flux"]["chi2"],
            degrees_of_freedom=document["constant_flux"]["degrees_of_freedom"],
            variability=_number(document.get("fractional_variability", {}).get("value")),
            variability_error=_number(document.get("fractional_variability", {}).get("error")),
            mean_flux_ul=_number(document["mean_flux"].get("limit")),
            systematics=Systematics(**document.get("systematics", {})),
        )


def _meta(exposure: Exposure) -> dict[str, Any]:
    return meta_of(exposure) | {"time_format": "MJD", "time_scale": "UTC"}


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def light_curve(
    observations: Sequence[Any],
    position_deg: tuple[float, float],
    *,
    by: str | Sequence[float] = "run",
    energy_min_tev: float = 0.3,
    model: Any = None,
    n_off: int = 3,
    systematics: Systematics | None = None,
) -> LightCurveResult:
    """Light curve of the source at `position_deg` (ra, dec ICRS) above an energy.

    Parameters
    ----------
    observations
        Gammapy observations.
    position_deg
        Right ascension and declination of the source.
    by
        "run", "night" (noon to noon UTC, named by the date of the morning), "blocks" (Bayesian blocks of runs),
        "10 min" (bins of as many minutes, from the start of each night), or edges of bins in MJD (UTC).
    energy_min_tev
        Lower end of the integral flux. Runs that can be used from higher energies on only are extrapolated, and marked.
    model
        Spectral model of gammapy whose shape is assumed; by default a power law of index 2.5.
    n_off
        Number of off regions.
    systematics
        How wrong energies, fluxes and background may be.

    Raises
    ------
    UnknownNameError
        For a binning that is none.
    InputError
        If there are no observations, or no bin holds any; bins without data are left out.
    """
    exposure = of_observations(observations)
    spectrum = model if model is not None else power_law()
    model_flux = _integral_flux(spectrum, energy_min_tev)

    def counted(some: Sequence[Any], factors: tuple[float, float] = (1.0, 1.0)) -> list[RunCounts]:
        datasets = on_off.reduce(
            some, position_deg, energy_range_tev=(energy_min_tev, None), n_off=n_off, edge_tev=energy_min_tev,
            factors=factors,
        )  # fmt: skip
        return [run_counts(dataset, spectrum) for dataset in datasets]

    edges = edges_of(by, observations)
    if edges is None:
        used = list(observations)
        groups = grouped(counted(used), str(by), model_flux)
    else:
        parts = {f"{low:.4f}": within(observations, low, high) for low, high in pairwise(edges)}
        used = [part for inside in parts.values() for part in inside]
        if not used:
            raise InputError("no data in any bin of the light curve", hint=f"the data are of {exposure.caption}")
        exposure = together([of_observations([part]) for part in used])
        groups = {label: counted(inside) for label, inside in parts.items() if inside}
    runs = [run for group in groups.values() for run in group]
    late = [run for run in runs if run.from_tev > 1.001 * energy_min_tev]
    if late:
        logger.warning(
            "%d of %d runs counted from up to %.3g TeV on; below, the flux is extrapolated",
            len(late), len(runs), max(run.from_tev for run in late),
        )  # fmt: skip
    table = points_table(groups, model_flux, energy_min_tev)
    table.meta = _meta(exposure)
    whole = point("all", runs, model_flux, energy_min_tev)
    mean, error = whole["flux"], whole["flux_err"]
    asked = systematics or Systematics()
    if asked.any:
        shift = 1 + asked.energy_scale, 1 - asked.energy_scale
        fluxes = [flux_of(counted(used, (factor, 1.0)), model_flux) for factor in shift if asked.energy_scale]
        share = abs(fluxes[0] - fluxes[1]) / (2 * mean) if fluxes and mean > 0 else 0.0
        add_systematic(table, asked, share, model_flux)
    variability = fractional_variability(np.asarray(table["flux"]), np.asarray(table["flux_err"]))
    return LightCurveResult(
        exposure=exposure,
        table=table,
        binning=BINS if edges is not None else str(by),
        energy_min_tev=energy_min_tev,
        spectrum_words=" ".join(f"{p.name} {p.value:.3g}" for p in spectrum.parameters if p.name != "reference"),
        mean_flux=mean,
        mean_flux_error=error,
        chi2_constant=chi2_of_constant(table, mean / model_flux),
        degrees_of_freedom=len(table) - 1,
        variability=variability[0],
        variability_error=variability[1],
        mean_flux_ul=whole["flux_ul"],
        systematics=asked,
    )


def _integral_flux(spectrum: Any, energy_min_tev: float) -> float:
    import astropy.units as u

    return float(spectrum.integral(energy_min_tev * u.TeV, CEILING_TEV * u.TeV).to_value(FLUX_UNIT))
