"""The Crab Nebula as MAGIC measured it, drawn where the source is the Crab."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from magicpy_assets.plots.style import REFERENCE_COLOUR

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CRAB_NAMES = ("crabnebula", "crab", "m1")


def is_crab(source: str) -> bool:
    """Whether a source is the Crab Nebula by its name."""
    return "".join(letter for letter in source.lower() if letter.isalnum()) in CRAB_NAMES


def crab_flux(energy_min_tev: float) -> float:
    """Return the integral flux of the Crab Nebula (MAGIC 2015) above an energy in TeV, cm⁻² s⁻¹."""
    import astropy.units as u

    from magicpy_assets.science.spectral_models import CEILING_TEV, crab_reference

    flux = crab_reference().integral(energy_min_tev * u.TeV, CEILING_TEV * u.TeV)
    return float(flux.to_value("cm-2 s-1"))


def draw_reference(axes: Axes) -> None:
    """Draw the Crab Nebula of MAGIC 2015 as E² dN/dE (TeV cm⁻² s⁻¹) against energy in TeV."""
    import astropy.units as u

    from magicpy_assets.science.spectral_models import FLUX_UNIT, crab_reference

    energy = np.geomspace(0.05, 30, 100)
    dnde = crab_reference()(energy * u.TeV).to_value(FLUX_UNIT)
    axes.plot(energy, energy**2 * dnde, color=REFERENCE_COLOUR, ls="--", lw=1.2, label="Crab Nebula, MAGIC 2015")
