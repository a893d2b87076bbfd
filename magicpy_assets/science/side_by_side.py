"""Responses, fluxes and spectra of two sets of observations of the same runs, in one table each.

Every side keeps its own responses. Errors of differences know what both share: `correlation` is that of the counts, see
:mod:`magicpy_assets.science.matching`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from magicpy_assets.science import on_off, spectral_models
from magicpy_assets.science.agreement import excess_over_errors
from magicpy_assets.science.light_curve import light_curve
from magicpy_assets.science.light_curve_points import FLUX_UNIT
from magicpy_assets.science.spectral_models import FLUX_UNIT as DNDE_UNIT

if TYPE_CHECKING:
    from astropy.table import Table

    from magicpy_assets.science.spectrum import SpectrumResult

Floats = NDArray[np.float64]

PER_DECADE = 5


def responses(first: Sequence[Any], second: Sequence[Any], offset_deg: float) -> Table:
    """Return responses of both by true energy (TeV), means over the runs weighted with their live time.

    Columns `energy`, and of each side `area` (m²), `bias` and `resolution` (mean and width of estimated over true
    energy, less one) and `rad_max` (deg; not a number where the data have none).
    """
    from astropy.table import Table

    ranges = [on_off.safe_range(one) for one in (*first, *second)]
    low, high = max(each.low_tev for each in ranges), min(each.high_tev for each in ranges)
    energy = np.geomspace(low, high, max(2, round(PER_DECADE * np.log10(high / low)) + 1))
    table = Table({"energy": energy}, units={"energy": "TeV"})
    for side, observations in zip("12", (first, second), strict=True):
        weights = [float(one.observation_live_time_duration.to_value("s")) for one in observations]
        found = [_responses_of(one, energy, offset_deg) for one in observations]
        for column, unit in (("area", "m2"), ("bias", ""), ("resolution", ""), ("rad_max", "deg")):
            table[f"{column}_{side}"] = np.average([each[column] for each in found], axis=0, weights=weights)
            table[f"{column}_{side}"].unit = unit or None
    return table


def _responses_of(observation: Any, energy_tev: Floats, offset_deg: float) -> dict[str, Floats]:
    import astropy.units as u

    offset = offset_deg * u.deg
    area = observation.aeff.evaluate(energy_true=energy_tev * u.TeV, offset=offset).to_value("m2")
    axis = observation.edisp.axes["migra"]
    migra, width = axis.center.to_value(""), axis.bin_width.to_value("")
    density = observation.edisp.evaluate(
        energy_true=energy_tev[:, np.newaxis] * u.TeV, migra=migra[np.newaxis, :] * u.one, offset=offset
    ).to_value("")
    weight = np.clip(density, 0, None) * width
    total = np.maximum(weight.sum(axis=1), 1e-30)
    mean = (weight * migra).sum(axis=1) / total
    spread = np.sqrt((weight * (migra - mean[:, np.newaxis]) ** 2).sum(axis=1) / total)
    return {
        "area": np.asarray(area, dtype=np.float64).ravel(),
        "bias": mean - 1,
        "resolution": spread,
        "rad_max": _rad_max(observation.rad_max, energy_tev, offset_deg),
    }


def _rad_max(rad_max: Any, energy_tev: Floats, offset_deg: float) -> Floats:
    import astropy.units as u

    if rad_max is None:
        return np.full_like(energy_tev, np.nan)
    if rad_max.is_fixed_rad_max:
        return np.full_like(energy_tev, rad_max.quantity[0, 0].to_value("deg"))
    found = rad_max.evaluate(energy=energy_tev * u.TeV, offset=offset_deg * u.deg).to_value("deg")
    return np.asarray(found, dtype=np.float64).ravel()


def run_fluxes(
    first: Sequence[Any],
    second: Sequence[Any],
    position_deg: tuple[float, float],
    energy_min_tev: float,
    correlation: Mapping[int, float],
) -> Table:
    """Return integral fluxes (cm⁻² s⁻¹) of each run in both: a row per run, see :func:`_flux_table`."""
    curves = [light_curve(side, position_deg, energy_min_tev=energy_min_tev).table for side in (first, second)]
    rows: list[tuple[Any, ...]] = []
    places = [{int(label): place for place, label in enumerate(curve["label"])} for curve in curves]
    for run in sorted(set(places[0]) & set(places[1])):
        points = [curve[place[run]] for curve, place in zip(curves, places, strict=True)]
        numbers = [(float(one["flux"]), float(one["flux_err"]), float(one["predicted"])) for one in points]
        rows.append((run, float(points[0]["start_mjd"]), *numbers[0], *numbers[1], correlation.get(run, 0.0)))
    return _flux_table(rows)


def week_fluxes(runs: Table, week_of: Mapping[int, int], correlation: Mapping[int, float]) -> Table:
    """Return the fluxes of weeks: means over the runs, weighted with the events that the same spectrum predicts."""
    rows: list[tuple[Any, ...]] = []
    weeks = np.array([week_of[int(run)] for run in runs["group"]], dtype=np.int64)
    for week in sorted(set(weeks.tolist())):
        part = runs[weeks == week]
        numbers: list[float] = []
        for side in "12":
            flux, error, predicted = (
                np.asarray(part[f"{name}_{side}"], dtype=np.float64) for name in ("flux", "error", "predicted")
            )
            total = float(predicted.sum())
            spread = float(np.sqrt(np.sum((error * predicted) ** 2)))
            numbers += [float(np.sum(flux * predicted)) / total, spread / total, total]
        rows.append((week, float(part["start_mjd"].min()), *numbers, correlation.get(week, 0.0)))
    return _flux_table(rows)


def _flux_table(rows: list[tuple[Any, ...]]) -> Table:
    """Columns `group`, `start_mjd`, `flux_1`, `error_1`, `predicted_1`, the same of 2, `ratio`, `error`, `beyond`."""
    from astropy.table import Table

    sides = [f"{name}_{side}" for side in "12" for name in ("flux", "error", "predicted")]
    table = Table(rows=rows, names=["group", "start_mjd", *sides, "correlation"])
    flux = [np.asarray(table[f"flux_{side}"], dtype=np.float64) for side in "12"]
    errors = [np.asarray(table[f"error_{side}"], dtype=np.float64) for side in "12"]
    error = difference_error(errors[0], errors[1], np.asarray(table["correlation"], dtype=np.float64))
    table["ratio"] = np.divide(flux[1], flux[0], out=np.full_like(flux[0], np.nan), where=flux[0] > 0)
    table["error"] = error
    table["beyond"] = excess_over_errors(flux[0], flux[1], error)
    for name in ("flux_1", "flux_2", "error_1", "error_2", "error"):
        table[name].unit = FLUX_UNIT
    return table


def difference_error(first: Floats, second: Floats, correlation: Floats) -> Floats:
    """Error of the difference of two numbers that share part of their events."""
    variance = first**2 + second**2 - 2 * correlation * first * second
    return np.asarray(np.sqrt(np.maximum(variance, 0.0)), dtype=np.float64)


def spectra_table(first: SpectrumResult, second: SpectrumResult, correlation: float) -> Table:
    """Return fitted parameters of both, and the flux at the energy where the first knows it best.

    Columns `name`, `value_1`, `error_1`, `value_2`, `error_2`, `difference`, `error` (of the difference), `unit`. The
    last row is `dnde`, in cm⁻² s⁻¹ TeV⁻¹, at the decorrelation energy, which the name tells in GeV.
    """
    from astropy.table import Table

    energy = decorrelation_energy_tev(first)
    rows: list[tuple[Any, ...]] = []
    for row in first.parameters:
        pairs = [one.parameter(row["name"]) for one in (first, second)]
        rows.append((str(row["name"]), *_difference(pairs, correlation), str(row["unit"])))
    pairs = [_flux_at(one, energy) for one in (first, second)]
    rows.append((f"dnde_at_{1e3 * energy:.0f}_gev", *_difference(pairs, correlation), DNDE_UNIT))
    return Table(rows=rows, names=["name", "value_1", "error_1", "value_2", "error_2", "difference", "error", "unit"])


def _difference(pairs: Sequence[tuple[float, float]], correlation: float) -> tuple[float, ...]:
    (value_1, error_1), (value_2, error_2) = pairs
    error = difference_error(np.array(error_1), np.array(error_2), np.array(correlation))
    return value_1, error_1, value_2, error_2, value_2 - value_1, float(error)


def decorrelation_energy_tev(spectrum: SpectrumResult) -> float:
    """Energy (TeV) at which the fitted curve has the smallest relative error: there the flux is known best."""
    curve = spectrum.butterfly
    share = curve["dnde_err"].to_value(DNDE_UNIT) / np.maximum(curve["dnde"].to_value(DNDE_UNIT), 1e-40)
    return float(curve["energy"].to_value("TeV")[int(np.argmin(share))])


def _flux_at(spectrum: SpectrumResult, energy_tev: float) -> tuple[float, float]:
    curve = spectral_models.butterfly(spectrum.model, energy_tev, energy_tev * 1.001)
    return float(curve["dnde"].to_value(DNDE_UNIT)[0]), float(curve["dnde_err"].to_value(DNDE_UNIT)[0])
