"""Spectra as results: parameters, flux points, residuals and the share of each cell. The fit is in `spectrum_fit`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from magicpy_assets.core.errors import unknown
from magicpy_assets.science import spectral_models
from magicpy_assets.science.exposure import Exposure
from magicpy_assets.science.exposure import from_dict as exposure_from
from magicpy_assets.science.flux_points import SED_UNIT
from magicpy_assets.science.results import Result, meta_of, plain, rows_of, table_of
from magicpy_assets.science.systematics import Systematics, of_curve

if TYPE_CHECKING:
    from astropy.table import Table


@dataclass(frozen=True)
class SpectrumResult(Result):
    """A fitted spectrum. Amplitudes in cm⁻² s⁻¹ TeV⁻¹ at 1 TeV, energies in TeV.

    Attributes
    ----------
    model_name
        The shape, one of `spectral_models.SHAPES`; with a redshift, of the source itself (intrinsic).
    parameters
        `name`, `value`, `error` (statistical), `systematic` (NaN if not asked for), `unit`.
    residuals
        By estimated energy (TeV): counts, excess, prediction, and the difference in standard deviations.
    contributions
        By cell, or whatever the runs were grouped by: time, counts, excess, and how it compares with the joint fit.
    redshift, ebl
        Absorption that was taken into account; None and "" if none.
    systematics, shifted
        How wrong energies, fluxes and background may be; and the parameters fitted to data scaled up and down by it, a
        row each: energies, then background.
    fixed
        Parameters of the shape that were not fitted.
    remark
        Why this shape, where the choice was left to the fit.
    """

    name: ClassVar[str] = "spectrum"
    exposure: Exposure
    model_name: str
    parameters: Table
    covariance: NDArray[np.float64]
    derived: Table
    flux_points: Table
    energy_range_tev: tuple[float, float]
    statistic: float
    degrees_of_freedom: int
    converged: bool
    joint_runs: bool
    n_on: int
    n_off: int
    excess: float
    significance: float
    residuals: Table | None = None
    contributions: Table | None = None
    redshift: float | None = None
    ebl: str = ""
    systematics: Systematics = field(default_factory=Systematics)
    shifted: Table | None = None
    fixed: Mapping[str, float] = field(default_factory=dict)
    remark: str = ""

    @property
    def formula(self) -> str:
        """The model in words."""
        found = spectral_models.shape(self.model_name).formula
        return found if self.redshift is None else f"{found}, times exp(-tau(E, z = {self.redshift:g}))"

    @property
    def intrinsic(self) -> Any:
        """Return the fitted shape as a gammapy model with its covariance, without absorption."""
        values = {row["name"]: float(row["value"]) for row in self.parameters}
        spectral = self._built(values)
        names = [p.name for p in spectral.parameters]
        place = [names.index(name) for name in self.parameters["name"]]
        full = np.zeros((len(names), len(names)))
        full[np.ix_(place, place)] = self.covariance
        spectral.covariance = full
        return spectral

    def _built(self, values: Mapping[str, float]) -> Any:
        """The shape with these values of the fitted parameters."""
        built = spectral_models.shape(self.model_name).build(**values)
        return spectral_models.fixed(built, self.fixed)

    def _arriving(self, intrinsic: Any) -> Any:
        return intrinsic if self.redshift is None else intrinsic * spectral_models.absorption(self.redshift, self.ebl)

    @property
    def model(self) -> Any:
        """Return the fitted gammapy model of what arrives here, with its covariance."""
        return self._arriving(self.intrinsic)

    def systematic_dnde(self, energy_tev: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the systematic error of the fitted curve (cm⁻² s⁻¹ TeV⁻¹) at energies; NaN if not asked for."""
        if not self.systematics.any:
            return np.full(len(energy_tev), np.nan)
        flux = self.systematics.flux_scale
        return of_curve(energy_tev, self.model, self.shifted, lambda row: self._arriving(self._built(row)), flux)

    def with_systematic_points(self) -> SpectrumResult:
        """Return the result with the systematic errors of the curve at its flux points."""
        if not self.systematics.any:
            return self
        points = self.flux_points.copy()
        energy = points["e_ref"].quantity.to_value("TeV")
        error = self.systematic_dnde(energy)
        points["dnde_systematic"] = error
        points["e2dnde_systematic"] = energy**2 * error
        points["dnde_systematic"].unit, points["e2dnde_systematic"].unit = spectral_models.FLUX_UNIT, SED_UNIT
        return replace(self, flux_points=points)

    @property
    def butterfly(self) -> Table:
        """Fitted curve with its one-sigma error (linear propagation) on 60 energies of the fit range.

        `dnde_systematic` is there if systematic errors were asked for.
        """
        found = spectral_models.butterfly(self.model, *self.energy_range_tev)
        if self.systematics.any:
            found["dnde_systematic"] = self.systematic_dnde(found["energy"].to_value("TeV")) * found["dnde"].unit
        return found

    @property
    def intrinsic_butterfly(self) -> Table:
        """The same before absorption."""
        return spectral_models.butterfly(self.intrinsic, *self.energy_range_tev)

    @property
    def caption(self) -> str:
        """What was fitted to what, for figures and files."""
        fit_words = "Joint fit of the runs" if self.joint_runs else "Fit to the stacked runs"
        if self.contributions is not None and len(self.contributions) > 1:
            fit_words = f"Joint fit of {len(self.contributions)} cells"
        words = (
            f"{self.exposure.caption}. {fit_words} to {self.energy_range_tev[0]:.3g}-{self.energy_range_tev[1]:.3g} TeV"
            f" of estimated energy (forward folding, W statistic {self.statistic:.1f} for {self.degrees_of_freedom}"
            f" degrees of freedom). {self.n_on} on events, excess {self.excess:.0f}, {self.significance:.1f} σ."
        )
        if self.redshift is not None:
            words += f" Absorption for z = {self.redshift:g} after {spectral_models.EBL_MODELS[self.ebl]}."
        if self.fixed:
            words += f" Fixed: {', '.join(f'{name} = {value:g}' for name, value in self.fixed.items())}."
        words += self.systematics.text
        if self.remark:
            words += f" {self.remark}"
        return words if self.converged else words + " The fit did not converge."

    @property
    def gammapy(self) -> Any:
        """Return the flux points as gammapy FluxPoints with the fitted model as their reference."""
        from astropy.table import Table
        from gammapy.estimators import FluxPoints

        kept = [name for name in self.flux_points.colnames if name.startswith(("e_", "dnde")) and "syst" not in name]
        table = Table(self.flux_points[[*kept, "is_ul"]])
        table.meta = {"SED_TYPE": "dnde"}
        return FluxPoints.from_table(table, sed_type="dnde", reference_model=self.model)

    def parameter(self, name: str) -> tuple[float, float]:
        """Value and error of a fitted or derived parameter."""
        for table in (self.parameters, self.derived):
            for row in table:
                if row["name"] == name:
                    return float(row["value"]), float(row["error"])
        raise unknown("parameter", name, [*self.parameters["name"], *self.derived["name"]])

    def tables(self) -> dict[str, Table]:
        """Return flux points, the fitted curve with its error band, parameters, residuals and contributions."""
        found = {"flux_points": self.flux_points, "butterfly": self.butterfly, "parameters": self.parameters}
        extra = {"residuals": self.residuals, "contributions": self.contributions}
        return found | {name: table for name, table in extra.items() if table is not None}

    def to_dict(self) -> dict[str, Any]:
        """Parameters as value, error and unit; flux points; counts; fit statistic; exposure."""
        document = {
            "model": self.model_name,
            "formula": self.formula,
            "parameters": _by_name(self.parameters),
            "derived": _by_name(self.derived),
            "covariance": {"names": list(self.parameters["name"]), "matrix": self.covariance},
            "energy_range": {"low": self.energy_range_tev[0], "high": self.energy_range_tev[1], "unit": "TeV"},
            "counts": {
                "n_on": self.n_on,
                "n_off": self.n_off,
                "excess": self.excess,
                "significance": self.significance,
            },
            "fit": {
                "statistic": self.statistic,
                "degrees_of_freedom": self.degrees_of_freedom,
                "converged": self.converged,
                "runs": "joint" if self.joint_runs else "stacked",
                "remark": self.remark,
            },
            "absorption": None if self.redshift is None else {"redshift": self.redshift, "model": self.ebl},
            "systematics": asdict(self.systematics),
            "shifted": None if self.shifted is None else rows_of(self.shifted),
            "fixed": dict(self.fixed),
            "flux_points": rows_of(self.flux_points),
            "residuals": None if self.residuals is None else rows_of(self.residuals),
            "contributions": None if self.contributions is None else rows_of(self.contributions),
            "exposure": self.exposure.to_dict(),
        }
        return dict(plain(document))

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> SpectrumResult:
        """Return the result from what :meth:`to_dict` gave."""
        exposure, counts, outcome = exposure_from(document["exposure"]), document["counts"], document["fit"]
        absorbed = document.get("absorption") or {}
        meta = meta_of(exposure)
        further = {name: document.get(name) for name in ("residuals", "contributions")}
        return cls(
            exposure=exposure,
            model_name=document["model"],
            parameters=_from_names(document["parameters"]),
            covariance=np.array(document["covariance"]["matrix"], dtype=np.float64),
            derived=_from_names(document["derived"]),
            flux_points=table_of(document["flux_points"], meta),
            energy_range_tev=(document["energy_range"]["low"], document["energy_range"]["high"]),
            statistic=outcome["statistic"],
            degrees_of_freedom=outcome["degrees_of_freedom"],
            converged=outcome["converged"],
            joint_runs=outcome["runs"] == "joint",
            residuals=None if further["residuals"] is None else table_of(further["residuals"], meta),
            contributions=None if further["contributions"] is None else table_of(further["contributions"], meta),
            redshift=absorbed.get("redshift"),
            ebl=absorbed.get("model", ""),
            systematics=Systematics(**document.get("systematics", {})),
            shifted=table_of(document["shifted"]) if document.get("shifted") else None,
            fixed=document.get("fixed", {}),
            remark=outcome.get("remark", ""),
            **counts,
        )


def _from_names(document: dict[str, dict[str, Any]]) -> Table:
    from astropy.table import Table

    told = any("systematic" in entry for entry in document.values())
    keys = ("value", "error", "systematic") if told else ("value", "error")
    rows = [
        (name, *(np.nan if entry.get(key) is None else entry[key] for key in keys), entry["unit"])
        for name, entry in document.items()
    ]
    return Table(rows=rows, names=["name", *keys, "unit"], dtype=[str, *(float for _ in keys), str])


def _by_name(table: Table) -> dict[str, dict[str, Any]]:
    keys = [key for key in ("value", "error", "systematic", "unit") if key in table.colnames]
    return {row["name"]: {key: row[key] for key in keys} for row in table}
