"""The short text that a flare advocate sends: what was seen, in sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from magicpy_assets.analysis.results import Results
from magicpy_assets.plots.reference import crab_flux

if TYPE_CHECKING:
    from magicpy_assets.analysis.source import Source
    from magicpy_assets.science.spectrum import SpectrumResult

SEEN_SIGMA = 5.0
HINT_SIGMA = 3.0


def flare_text(source: Source, found: Results) -> str:
    """Return the short text that says what was seen, in sentences that can be sent."""
    theta2, curve, spectrum = found.theta2, found.light_curve, found.spectrum
    exposure = theta2.exposure
    crab = crab_flux(curve.energy_min_tev)
    state = (
        "detected" if theta2.significance >= SEEN_SIGMA else "seen as a hint only"
        if theta2.significance >= HINT_SIGMA else "not detected"
    )  # fmt: skip
    first, last = (_day(mjd) for mjd in (exposure.start_mjd, exposure.stop_mjd))
    when = f"on {first}" if first == last else f"between {first} and {last}"
    alone = f" with one telescope ({source.telescopes.text})" if source.telescopes.is_mono else ""
    lines = [
        f"{source.name} was observed{alone} {when} (UTC) for {theta2.live_time_s / 3600:.2f} h of good data"
        f" ({len(exposure.runs)} runs, {_zeniths(exposure)}) and {state}: {theta2.n_on} events in the signal region,"
        f" {theta2.alpha * theta2.n_off:.1f} expected from background, {theta2.significance:.1f} sigma (Li & Ma 1983,"
        f" eq. 17)."
    ]
    above = f"{1e3 * curve.energy_min_tev:.0f} GeV"
    if theta2.significance >= HINT_SIGMA:
        lines.append(
            f"The mean flux above {above} is ({curve.mean_flux:.2e} +- {curve.mean_flux_error:.1e}) cm-2 s-1, or"
            f" {100 * curve.mean_flux / crab:.0f} +- {100 * curve.mean_flux_error / crab:.0f} % of the Crab Nebula"
            " (statistical errors)."
        )
        lines.append(variability_text(found))
        lines.append(spectrum_text(spectrum))
    else:
        limit = curve.mean_flux_ul
        lines.append(
            f"The flux above {above} is below {limit:.1e} cm-2 s-1 ({100 * limit / crab:.0f} % of the Crab Nebula; 95 %"
            " confidence)."
        )
    lines.append("This is an automatic analysis and preliminary. Systematic uncertainties are not included.")
    if theta2.simulated:
        lines.append("ALL DATA ARE SIMULATED: this says nothing about the real sky.")
    return "\n".join(lines)


def variability_text(found: Results) -> str:
    """Return a sentence on whether the flux varies."""
    curve = found.nights if found.nights.degrees_of_freedom > 0 else found.light_curve
    kind = "night by night" if curve is found.nights else "run by run"
    if curve.degrees_of_freedom < 1:
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


def _zeniths(exposure: Any) -> str:
    low, high = exposure.zd_range_deg
    return f"zenith distance {low:.0f} to {high:.0f} deg"


def _day(mjd: float) -> str:
    from astropy.time import Time

    return str(Time(mjd, format="mjd", scale="utc").strftime("%Y-%m-%d"))
