"""Systematic errors of spectra and light curves: how wrong energies, fluxes and background may be, and what follows.

What MAGIC states (Aleksić et al. 2016, Astropart. Phys. 72, 76): energies 15 %, flux normalisation 11 to 18 %,
background about 1 %.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from magicpy_assets.core.errors import OutOfRangeError
from magicpy_assets.science.spectral_models import FLUX_UNIT

if TYPE_CHECKING:
    from astropy.table import Table

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Systematics:
    """Shares by which energies, all fluxes and the background may be wrong; 0 leaves that one out."""

    energy_scale: float = 0.0
    flux_scale: float = 0.0
    background_scale: float = 0.0

    def __post_init__(self) -> None:
        for words, value, limit in (
            ("an energy scale", self.energy_scale, 0.5),
            ("a flux scale", self.flux_scale, 1.0),
            ("a background", self.background_scale, 0.5),
        ):
            if not 0 <= value < limit:
                raise OutOfRangeError(f"{words} uncertain by {value:g} is not between 0 and {limit:g}")

    @property
    def any(self) -> bool:
        """Whether there is anything to be uncertain about."""
        return bool(self.energy_scale or self.flux_scale or self.background_scale)

    @property
    def text(self) -> str:
        """A sentence for captions; empty if there is nothing to say."""
        named = {"energies": self.energy_scale, "fluxes": self.flux_scale, "background": self.background_scale}
        parts = [f"{name} ± {value:.0%}" for name, value in named.items() if value]
        return f" Systematic errors: {', '.join(parts)}." if parts else ""

    def variations(self) -> list[tuple[float, float]]:
        """Return factors of energy and background for which an analysis has to be repeated, in pairs: up, down."""
        found = []
        if self.energy_scale:
            found += [(1 + self.energy_scale, 1.0), (1 - self.energy_scale, 1.0)]
        if self.background_scale:
            found += [(1.0, 1 + self.background_scale), (1.0, 1 - self.background_scale)]
        return found


def of_parameters(values: Mapping[str, float], shifted: Table | None, asked: Systematics) -> dict[str, float]:
    """Return the systematic error of each parameter.

    Half of the difference between up and down for each pair of rows of `shifted`, and the flux scale on the amplitude,
    added in squares.
    """
    if not asked.any:
        return {}
    found = {}
    for name, value in values.items():
        flux = asked.flux_scale * value if name == "amplitude" else 0.0
        column = np.asarray(shifted[name], dtype=np.float64) if shifted is not None else np.zeros(0)
        found[name] = float(np.sqrt(flux**2 + (_half_differences(column) ** 2).sum()))
    return found


def of_curve(
    energy_tev: Floats, spectral: Any, shifted: Table | None, rebuilt: Callable[[Mapping[str, float]], Any], flux: float
) -> Floats:
    """Return the systematic error of dN/dE (cm⁻² s⁻¹ TeV⁻¹) at energies, from the curves of the shifted fits.

    `rebuilt` makes the model of a row of `shifted`; `flux` is the flux scale.
    """
    import astropy.units as u

    energy = energy_tev * u.TeV
    squares = (flux * spectral(energy).to_value(FLUX_UNIT)) ** 2
    if shifted is not None:
        curves = [
            rebuilt({name: float(row[name]) for name in shifted.colnames})(energy).to_value(FLUX_UNIT)
            for row in shifted
        ]
        squares = squares + (_half_differences(np.array(curves)) ** 2).sum(axis=0)
    return np.asarray(np.sqrt(squares), dtype=np.float64)


def _half_differences(rows: Floats) -> Floats:
    """Half of the difference of each pair of rows, (n / 2, …)."""
    return 0.5 * (rows[0::2] - rows[1::2])
