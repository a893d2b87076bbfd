"""Flux points without a fit of ours: what another program has measured, in the columns of our own spectra."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from magicpy_assets.science.exposure import Exposure
from magicpy_assets.science.exposure import from_dict as exposure_from
from magicpy_assets.science.results import Result, plain, rows_of, table_of

if TYPE_CHECKING:
    from astropy.table import Table

SED_UNIT = "TeV cm-2 s-1"


@dataclass(frozen=True)
class FluxPointsResult(Result):
    """Points of a spectral energy distribution: `e_ref`, `e_min`, `e_max` (TeV), `e2dnde`, `_err`, `_ul`, `is_ul`.

    Attributes
    ----------
    origin
        Which program measured them.
    """

    name: ClassVar[str] = "flux_points"
    exposure: Exposure
    flux_points: Table
    origin: str

    def tables(self) -> dict[str, Table]:
        """Return the points."""
        return {"flux_points": self.flux_points}

    def to_dict(self) -> dict[str, Any]:
        """Points, origin, exposure."""
        points = rows_of(self.flux_points)
        return dict(plain({"origin": self.origin, "flux_points": points, "exposure": self.exposure.to_dict()}))

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> FluxPointsResult:
        """Return the result from what :meth:`to_dict` gave."""
        exposure = exposure_from(document["exposure"])
        return cls(exposure, table_of(document["flux_points"]), document["origin"])
