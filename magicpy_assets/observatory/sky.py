"""The truth of the simulated observatory: what shines, how bright the nights are, and the random streams of the rest.

Nothing of this is served: the data server, the run reports and the calibrated files show only what telescopes would
have measured. What is planned and public lives in ``programme``.
"""

from __future__ import annotations

import csv
import math
import zlib
from dataclasses import dataclass, replace
from datetime import date
from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from magicpy_assets.core.errors import unknown

DARK_NSB = 1.0
CLEAR_TRANSMISSION_9KM = 0.92
NSB_SCATTER = 0.03


@dataclass(frozen=True)
class Field:
    """A field of the sky: position of its source (ICRS, degrees) and the source's true gamma-ray spectrum.

    The spectrum is a log-parabola, ``flux_1tev (E / TeV)^-(alpha + beta log10(E / TeV))``, cut off by
    ``exp(-E / cutoff_tev)`` if there is a cut-off; no flux for an OFF field.
    ``library`` says from which shards of the event library its hadrons come ("data" or "off"), so that an OFF run and
    a run of a source never share a shower.
    """

    name: str
    ra_deg: float
    dec_deg: float
    flux_1tev_per_cm2_s_tev: float
    alpha: float
    beta: float
    library: str
    cutoff_tev: float = math.inf

    @property
    def shines(self) -> bool:
        """Whether the field holds a gamma-ray source."""
        return self.flux_1tev_per_cm2_s_tev > 0.0

    def flux_per_cm2_s_tev(self, energy_tev: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the differential flux in cm⁻² s⁻¹ TeV⁻¹ at true energies in TeV."""
        exponent = -(self.alpha + self.beta * np.log10(energy_tev))
        return np.asarray(self.flux_1tev_per_cm2_s_tev * energy_tev**exponent * np.exp(-energy_tev / self.cutoff_tev))


@dataclass(frozen=True)
class Conditions:
    """A night's true sky: brightness in units of the dark sky, and transmission from 9 km down to the telescopes."""

    nsb: float
    transmission_9km: float


def _rows(table: str) -> list[dict[str, str]]:
    text = files("magicpy_assets.observatory").joinpath("tables", table).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


@cache
def _fields() -> dict[str, Field]:
    return {
        row["name"]: Field(
            name=row["name"],
            ra_deg=float(row["ra_deg"]),
            dec_deg=float(row["dec_deg"]),
            flux_1tev_per_cm2_s_tev=float(row["flux_1tev_per_cm2_s_tev"]),
            alpha=float(row["alpha"]),
            beta=float(row["beta"]),
            library=row["library"],
        )
        for row in _rows("fields.csv")
    }


@cache
def _flares() -> dict[tuple[str, date], float]:
    return {(row["source"], date.fromisoformat(row["date"])): float(row["factor"]) for row in _rows("flares.csv")}


@cache
def _conditions() -> dict[date, Conditions]:
    return {
        date.fromisoformat(row["date"]): Conditions(float(row["nsb"]), float(row["transmission_9km"]))
        for row in _rows("conditions.csv")
    }


def fields() -> tuple[Field, ...]:
    """Return every field of the sky, without flares."""
    return tuple(_fields().values())


def field(name: str, night: date | None = None) -> Field:
    """Return the field called ``name`` as it shines in a night (MAGIC date), or without flares if none is given.

    Raises
    ------
    UnknownNameError
        With the nearest names.
    """
    known = _fields()
    if name not in known:
        raise unknown("field of the simulated sky", name, known)
    factor = 1.0 if night is None else _flares().get((name, night), 1.0)
    found = known[name]
    return replace(found, flux_1tev_per_cm2_s_tev=factor * found.flux_1tev_per_cm2_s_tev)


def flares(name: str) -> dict[date, float]:
    """Return the nights in which a source shines differently, and how many times as bright as otherwise."""
    return {night: factor for (source, night), factor in _flares().items() if source == name}


def conditions(night: date) -> Conditions:
    """Return the true conditions of a night (MAGIC date); a night without an entry is dark and clear."""
    return _conditions().get(night, Conditions(DARK_NSB, CLEAR_TRANSMISSION_9KM))


def nsb_of_run(seed: int, night: date, run: int) -> float:
    """Return the true sky brightness of a run in units of the dark sky: the night's, a few per cent up or down."""
    scatter = float(np.clip(stream(seed, run, "nsb").normal(), -2.0, 2.0)) * NSB_SCATTER
    return conditions(night).nsb * math.exp(scatter)


def stream(seed: int, run: int, purpose: str) -> np.random.Generator:
    """Return the random stream of one purpose in one run: independent of every other, the same at every call."""
    return np.random.default_rng([seed, run, zlib.crc32(purpose.encode())])
