"""The short text that a flare advocate sends: what was seen, in sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from magicpy_assets.analysis.results import LIGHT_CURVE, SPECTRUM, THETA2, Results
from magicpy_assets.plots.reference import crab_flux

if TYPE_CHECKING:
    from magicpy_assets.analysis.source import Source
    from magicpy_assets.science.exposure import Exposure
    from magicpy_assets.science.light_curve import LightCurveResult
    from magicpy_assets.science.spectrum import SpectrumResult
    from magicpy_assets.science.theta2 import Theta2Result

SEEN_SIGMA = 5.0
HINT_SIGMA = 3.0


def flare_text(source: Source, found: Results, *, simulated: bool) -> str:
    """Return the short text that says what was seen, in sentences that can be sent; also if that is nothing at all."""
    if found.theta2 is None:
        lines = [_without_result(source, found)]
    else:
        lines = [_seen(source.name, found.theta2), *_how_bright(found, found.theta2)]
    lines.append("This is an automatic analysis and preliminary. Systematic uncertainties are not included.")
    if simulated:
        lines.append("ALL DATA ARE SIMULATED: this says nothing about the real sky.")
    return "\n".join(lines)


def _without_result(source: Source, found: Results) -> str:
    runs = source.runs_in_period
    if not len(runs):
        return f"{source.name}: no run is selected, so there is no result."
    first, last = (f"{getattr(runs['date'], end)():%Y-%m-%d}" for end in ("min", "max"))
    when = f"in the night to {first}" if first == last else f"in nights from {first} to {last}"
    return (
        f"{source.name} was observed {when} for {runs['duration_s'].sum() / 3600:.2f} h ({len(runs)} runs), but there"
        f" is no result: {found.failed.get(THETA2, 'nothing was counted')}."
    )


def _seen(name: str, theta2: Theta2Result) -> str:
    exposure = theta2.exposure
    state = (
        "detected" if theta2.significance >= SEEN_SIGMA else "seen as a hint only"
        if theta2.significance >= HINT_SIGMA else "not detected"
    )  # fmt: skip
    first, last = (_day(mjd) for mjd in (exposure.start_mjd, exposure.stop_mjd))
    when = f"on {first}" if first == last else f"between {first} and {last}"
    alone = f" with one telescope ({exposure.array})" if exposure.array else ""
    return (
        f"{name} was observed{alone} {when} (UTC) for {theta2.live_time_s / 3600:.2f} h of good data"
        f" ({len(exposure.runs)} runs{_zeniths(exposure)}) and {state}: {theta2.n_on} events in the signal region,"
        f" {theta2.alpha * theta2.n_off:.1f} expected from background, {theta2.significance:.1f} sigma (Li & Ma 1983,"
        f" eq. 17)."
    )


def _how_bright(found: Results, theta2: Theta2Result) -> list[str]:
    """Return sentences on flux, variability and spectrum of what was seen; else an upper limit."""
    curve, spectrum = found.light_curve, found.spectrum
    if theta2.significance < HINT_SIGMA:
        return [_limit(curve) if curve is not None else f"No upper limit: {found.failed[LIGHT_CURVE]}."]
    return [
        _flux(curve) if curve is not None else f"No flux: {found.failed[LIGHT_CURVE]}.",
        variability_text(found),
        spectrum_text(spectrum) if spectrum is not None else f"No spectrum: {found.failed[SPECTRUM]}.",
    ]


def _flux(curve: LightCurveResult) -> str:
    crab = crab_flux(curve.energy_min_tev)
    return (
        f"The mean flux above {1e3 * curve.energy_min_tev:.0f} GeV is ({curve.mean_flux:.2e} +-"
        f" {curve.mean_flux_error:.1e}) cm-2 s-1, or {100 * curve.mean_flux / crab:.0f} +-"
        f" {100 * curve.mean_flux_error / crab:.0f} % of the Crab Nebula (statistical errors)."
    )


def _limit(curve: LightCurveResult) -> str:
    limit = curve.mean_flux_ul
    return (
        f"The flux above {1e3 * curve.energy_min_tev:.0f} GeV is below {limit:.1e} cm-2 s-1"
        f" ({100 * limit / crab_flux(curve.energy_min_tev):.0f} % of the Crab Nebula; 95 % confidence)."
    )


def variability_text(found: Results) -> str:
    """Return a sentence on whether the flux varies."""
    curves = ((found.nights, "night by night"), (found.light_curve, "run by run"))
    several = ((curve, kind) for curve, kind in curves if curve is not None and curve.degrees_of_freedom > 0)
    curve, kind = next(several, (None, ""))
    if curve is None:
        return "One point in time says nothing about variability."
    word = "varies" if curve.p_constant < 1e-3 else "is compatible with being constant"
    return f"The flux {word} {kind} (chi2 {curve.chi2_constant:.1f} for {curve.degrees_of_freedom} d.o.f.)."


def spectrum_text(spectrum: SpectrumResult) -> str:
    """Return a sentence with the fitted spectrum."""
    from magicpy_assets.science.spectral_models import shape

    shown = [
        f"{row['name'].strip('_')} {row['value']:.2f} +- {row['error']:.2f}{(' ' + row['unit']) if row['unit'] else ''}"
        for row in spectrum.parameters
        if row["name"] != "amplitude"
    ]
    flux, error = spectrum.parameter("amplitude")
    low, high = spectrum.energy_range_tev
    return (
        f"Between {1e3 * low:.0f} GeV and {high:.1f} TeV the spectrum is described by a"
        f" {shape(spectrum.model_name).words} with {', '.join(shown)} and ({flux:.2e} +- {error:.1e}) cm-2 s-1 TeV-1"
        " at 1 TeV."
    )


def _zeniths(exposure: Exposure) -> str:
    if exposure.zd_range_deg is None:
        return ""
    low, high = exposure.zd_range_deg
    return f", zenith distance {low:.0f} to {high:.0f} deg"


def _day(mjd: float) -> str:
    from astropy.time import Time

    return str(Time(mjd, format="mjd", scale="utc").strftime("%Y-%m-%d"))
