"""Settings of DL3 files and of the results made from them; what is not set is left to the programs.

They become keys of the run cards of `dl3` and `spectra` and so are parameters of what is made: a change remakes it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from magicpy_assets.core import sources

ModelName = Literal[
    "log_parabola", "power_law", "power_law_cutoff", "power_law_super_cutoff", "log_parabola_cutoff",
    "broken_power_law", "auto",
]  # fmt: skip
EblName = Literal["dominguez", "franceschini", "finke", "saldana-lopez"]
BINNING = r"run|night|blocks|\d+(\.\d+)? *min"

Share = Annotated[float, Field(ge=0.01, le=1)]
ThetaSquared = Annotated[float, Field(gt=0, le=0.16)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    def card(self) -> dict[str, Any]:
        """Return the run-card keys of what is set, and their values."""
        found = {}
        for name, described in type(self).model_fields.items():
            extra, value = described.json_schema_extra, getattr(self, name)
            if isinstance(extra, dict) and value is not None:
                found[str(extra["card"])] = value
        return found


def _key(card: str, description: str, **limits: Any) -> Any:
    """A setting that becomes a key of a run card."""
    return Field(default=None, description=description, json_schema_extra={"card": card}, **limits)


class Dl3Settings(_Section):
    """DL3 files."""

    kind: Literal["point-like", "full-enclosure"] = Field(
        default="point-like",
        description="responses with an on radius, or without it and with a PSF",
        json_schema_extra={"card": "dl3.kind"},
    )
    hadronness_efficiency: Share | None = _key("dl3.HadEffi", "share of gammas that the hadronness cut keeps")
    theta_efficiency: Share | None = _key("dl3.Theta2Effi", "share of gammas that the direction cut keeps")
    hadronness_cut: float | None = _key("dl3.fixedHadCut", "one hadronness cut for all energies instead", gt=0, le=1)
    theta2_cut_deg2: ThetaSquared | None = _key("dl3.fixedTheta2Cut", "one direction cut instead, deg²")
    hadronness_min: float | None = _key("dl3.allowedHadRangeMin", "lowest hadronness cut", ge=0, le=1)
    hadronness_max: float | None = _key("dl3.allowedHadRangeMax", "highest hadronness cut", gt=0, le=1)
    theta2_min_deg2: ThetaSquared | None = _key("dl3.allowedTheta2RangeMin", "smallest direction cut, deg²")
    theta2_max_deg2: ThetaSquared | None = _key("dl3.allowedTheta2RangeMax", "largest direction cut, deg²")
    min_size_phe: float | None = _key("dl3.minSize", "smallest image in both telescopes, phe", ge=0, le=1e5)

    @model_validator(mode="after")
    def _ranges(self) -> Self:
        for name, fixed, others in (
            ("hadronness", self.hadronness_cut, (self.hadronness_efficiency, self.hadronness_min, self.hadronness_max)),
            ("direction", self.theta2_cut_deg2, (self.theta_efficiency, self.theta2_min_deg2, self.theta2_max_deg2)),
        ):
            if fixed is not None and any(other is not None for other in others):
                raise ValueError(f"the {name} cut is either fixed, or has an efficiency and a range; not both")
            low, high = others[1:]
            if low is not None and high is not None and low > high:
                raise ValueError(f"the lowest {name} cut, {low:g}, is above the highest, {high:g}")
        return self


class SpectraSettings(_Section):
    """Spectra and light curves: of a cell, of several, and what `Source.spectrum()` does if nothing else is said."""

    model: ModelName | None = _key("spectra.model", "shape that is fitted; by default log_parabola")
    redshift: Annotated[float, Field(ge=0, le=2)] | Literal["auto"] | None = Field(
        default=None, description="fit the spectrum of the source itself: its redshift, or auto: that of the table"
    )
    ebl: EblName | None = _key("spectra.ebl", "model of the extragalactic background light")
    energy_min_tev: float | None = _key("spectra.emin", "lowest estimated energy of the fit, TeV", gt=0, le=1e3)
    energy_max_tev: float | None = _key("spectra.emax", "highest estimated energy of the fit, TeV", gt=0, le=1e3)
    light_curve: str | None = _key(
        "spectra.LCbinning", "points of the light curve: run, night, blocks, or as '10 min'", pattern=f"^({BINNING})$"
    )
    flux_above_gev: float | None = _key("spectra.EminLC", "lowest energy of the light curve, GeV", ge=10, le=1e5)
    energy_scale: float | None = _key("spectra.energyScale", "systematic error of energies, 0.15 is 15 %", ge=0, lt=0.5)
    flux_scale: float | None = _key("spectra.fluxScale", "systematic error of all fluxes, 0.11 is 11 %", ge=0, lt=1)
    background_scale: float | None = _key(
        "spectra.backgroundScale", "systematic error of the background, 0.01 is 1 %", ge=0, lt=0.5
    )

    @model_validator(mode="after")
    def _range(self) -> Self:
        low, high = self.energy_min_tev, self.energy_max_tev
        if low is not None and high is not None and low >= high:
            raise ValueError(f"the lowest energy, {low:g} TeV, is not below the highest, {high:g} TeV")
        return self

    def card_of(self, source: str) -> dict[str, Any]:
        """Return the run-card keys for a source: :meth:`card`, and its redshift if absorption is to be fitted."""
        redshift = sources.redshift_of(source, self.redshift)
        return self.card() | ({} if redshift is None else {"spectra.redshift": redshift})
