"""The whole of DL3 and spectrum on a toy instrument: what was put in comes out."""

import numpy as np
import pytest
import toy_dl3

from magicpy_assets.core.errors import InputError, OutOfRangeError, UnknownNameError
from magicpy_assets.formats import dl3
from magicpy_assets.science import counts, on_off, spectrum_fit
from magicpy_assets.science.light_curve import LightCurveResult, light_curve
from magicpy_assets.science.spectrum import SpectrumResult

TRUTH = np.array([toy_dl3.SPECTRUM[name] for name in ("amplitude", "alpha", "beta")])


@pytest.fixture(scope="module")
def responses():
    return toy_dl3.toy_responses(n_thrown=600_000)


@pytest.fixture(scope="module")
def observations(tmp_path_factory, responses):
    place = tmp_path_factory.mktemp("closure")
    for number in range(6):
        run = toy_dl3.crab_run(5093001 + number, 400, (35, 215)[number % 2], seed=40 + number, background_hz=4.0)
        toy_dl3.write_run(place, run, responses)
    return dl3.open_observations(place)


@pytest.fixture(scope="module")
def result(observations):
    return spectrum_fit.fit(observations, toy_dl3.CRAB_DEG)


def test_the_spectrum_put_in_is_recovered(result):
    """Distance from the truth in the three parameters together: chi² for 3 degrees of freedom, 3 sigma is 14.2.

    The responses come from 600 000 showers, 2 % at most energies: small beside the 7 % of the counts.
    """
    assert result.converged
    assert not result.joint_runs
    off = np.array([result.parameter(name)[0] for name in ("amplitude", "alpha", "beta")]) - TRUTH
    assert off @ np.linalg.solve(result.covariance, off) < 14.2
    points = result.flux_points[~result.flux_points["is_ul"]]
    energy = np.asarray(points["e_ref"])
    truth = TRUTH[0] * energy ** (-TRUTH[1] - TRUTH[2] * np.log(energy))
    pulls = (np.asarray(points["dnde"]) - truth) / np.asarray(points["dnde_err"])
    assert np.sum(pulls**2) < len(pulls) + 4 * np.sqrt(2 * len(pulls))


def test_derived_numbers_follow_from_the_fit(result):
    beta, error = result.parameter("beta")
    assert result.parameter("beta_log10") == pytest.approx((beta * np.log(10), error * np.log(10)))
    name = next(name for name in result.derived["name"] if name.startswith("flux_above"))
    flux, flux_error = result.parameter(name)
    import astropy.units as u

    by_gammapy = result.model.integral(result.energy_range_tev[0] * u.TeV, 100 * u.TeV).to_value("cm-2 s-1")
    assert flux == pytest.approx(by_gammapy, rel=0.01)
    assert 0 < flux_error < 0.2 * flux
    band = result.butterfly
    assert np.all(band["dnde_err"] > 0)
    with pytest.raises(UnknownNameError, match="amplitude"):
        result.parameter("amplitud")


def test_a_joint_fit_agrees_with_the_stacked_one(observations, result):
    joint = spectrum_fit.fit(observations, toy_dl3.CRAB_DEG, stack=False)
    assert joint.joint_runs
    assert (joint.n_on, joint.n_off) == (result.n_on, result.n_off)
    for name in ("amplitude", "alpha"):
        value, error = result.parameter(name)
        assert abs(joint.parameter(name)[0] - value) < 1.5 * error


def test_an_empty_position_gives_limits_above_its_flux(observations):
    """A wobble partner: 0.4° from the pointing of every run on the side away from the Crab there is nothing."""
    runs = [observation for i, observation in enumerate(observations) if i % 2 == 0]
    pointing = runs[0].events.table.meta
    mirror = (2 * pointing["RA_PNT"] - toy_dl3.CRAB_DEG[0], 2 * pointing["DEC_PNT"] - toy_dl3.CRAB_DEG[1])
    empty = spectrum_fit.fit(runs, mirror, model="power_law", n_off=1, avoid=())
    # the Crab itself is the off region here, so the excess is far below zero and every point a limit
    assert empty.excess < 0
    assert empty.flux_points["is_ul"].all()
    assert np.all(np.asarray(empty.flux_points["dnde_ul"]) > 0)


def test_runs_without_any_off_event_are_stacked_all_the_same(tmp_path, responses):
    for number in range(3):
        run = toy_dl3.crab_run(5093001 + number, 300, 35, seed=90 + number, background_hz=0.0)
        toy_dl3.write_run(tmp_path, run, responses)
    found = spectrum_fit.fit(dl3.open_observations(tmp_path), toy_dl3.CRAB_DEG, model="power_law")
    assert found.n_off == 0
    assert found.converged
    assert found.parameter("amplitude")[0] == pytest.approx(TRUTH[0], rel=0.4)


def test_energy_range_and_refusals(observations):
    narrow = on_off.reduce(observations, toy_dl3.CRAB_DEG, energy_range_tev=(0.3, 3.0))
    low, high = on_off.used_range(narrow)
    assert (low, high) == (pytest.approx(10**-0.5), pytest.approx(10**0.4))
    with pytest.raises(InputError, match="no energy bin between"):
        spectrum_fit.fit(observations, toy_dl3.CRAB_DEG, energy_range_tev=(60.0, 90.0))
    with pytest.raises(UnknownNameError, match="power_law"):
        spectrum_fit.fit(observations, toy_dl3.CRAB_DEG, model="power-law")
    with pytest.raises(OutOfRangeError, match="off regions overlap"):
        spectrum_fit.fit(observations, toy_dl3.CRAB_DEG, n_off=12)
    with pytest.raises(InputError, match="no observations"):
        spectrum_fit.fit([], toy_dl3.CRAB_DEG)


def test_the_light_curve_is_the_flux_put_in(observations, result):
    import astropy.units as u
    from gammapy.modeling.models import LogParabolaSpectralModel

    model = LogParabolaSpectralModel(
        amplitude=TRUTH[0] * u.Unit("cm-2 s-1 TeV-1"), reference=1 * u.TeV, alpha=TRUTH[1], beta=TRUTH[2]
    )
    truth = model.integral(0.3 * u.TeV, 100 * u.TeV).to_value("cm-2 s-1")
    curve = light_curve(observations, toy_dl3.CRAB_DEG, model=result.model)
    assert len(curve.table) == 6
    assert abs(curve.mean_flux - truth) < 4 * curve.mean_flux_error
    assert curve.p_constant > 0.001
    assert np.all(np.asarray(curve.table["flux_ul"]) > np.asarray(curve.table["flux"]))
    assert not curve.table["is_ul"].any()
    night = light_curve(observations, toy_dl3.CRAB_DEG, by="night", model=result.model)
    assert len(night.table) == 1
    assert night.table["n_on"][0] == curve.table["n_on"].sum()
    assert night.table["label"][0] == "59165"
    with pytest.raises(UnknownNameError, match="night"):
        light_curve(observations, toy_dl3.CRAB_DEG, by="nights")


def test_results_carry_their_runs_and_come_back_from_a_folder(observations, result, tmp_path):
    assert result.runs == tuple(range(5093001, 5093007))
    assert result.simulated
    assert result.live_time_s == pytest.approx(2400, rel=1e-4)
    assert "6 runs (5093001 to 5093006)" in result.exposure.caption
    curve = light_curve(observations, toy_dl3.CRAB_DEG)
    theta2 = counts.theta2(observations, toy_dl3.CRAB_DEG)
    names = {path.name for one in (result, curve, theta2) for path in one.save(tmp_path)}
    assert {"spectrum.json", "flux_points.ecsv", "light_curve.ecsv", "theta2.ecsv"} <= names
    assert SpectrumResult.load(tmp_path).to_dict() == result.to_dict()
    assert LightCurveResult.load(tmp_path).to_dict() == curve.to_dict()
    from astropy.table import Table

    points = Table.read(tmp_path / "flux_points.ecsv")
    assert str(points["dnde"].unit) == "1 / (TeV s cm2)"
    assert points.meta["simulated"] is True
