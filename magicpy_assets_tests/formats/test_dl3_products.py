"""Products from the DL3 files of a toy instrument whose truth is known: shapes, absorption, cells, points in time."""

import numpy as np
import pytest
import toy_dl3

from magicpy_assets.core.errors import InputError, OutOfRangeError, UnknownNameError
from magicpy_assets.formats import dl3
from magicpy_assets.science import counts, spectral_models
from magicpy_assets.science.light_curve import LightCurveResult, light_curve
from magicpy_assets.science.light_curve_points import fractional_variability, point
from magicpy_assets.science.spectrum import SpectrumResult
from magicpy_assets.science.spectrum_fit import fit
from magicpy_assets.science.systematics import Systematics
from magicpy_assets.science.theta2 import Theta2Result, li_ma
from magicpy_assets.science.time_bins import RunCounts

pytestmark = pytest.mark.usefixtures("few_points")

FLUXES = (1.0, 1.0, 1.0, 3.0, 3.0, 3.0)
START = 59165.2
STEP = 0.01


@pytest.fixture(scope="module")
def responses():
    return toy_dl3.toy_responses(n_thrown=500_000)


@pytest.fixture(scope="module")
def observations(tmp_path_factory, responses):
    """Six runs, of which the last three are three times as bright."""
    place = tmp_path_factory.mktemp("products")
    for number, flux in enumerate(FLUXES):
        run = toy_dl3.crab_run(
            5093001 + number, 500, (35, 215)[number % 2], seed=60 + number, background_hz=1.0,
            start=START + STEP * number, flux=flux,
        )  # fmt: skip
        toy_dl3.write_run(place, run, responses)
    return dl3.open_observations(place)


@pytest.fixture(scope="module")
def groups(observations):
    return {int(one.obs_id): "dim" if k < 3 else "bright" for k, one in enumerate(observations)}


@pytest.fixture(scope="module")
def joint(observations, groups):
    return fit(observations, toy_dl3.CRAB_DEG, groups=groups)


# Spectra


@pytest.mark.parametrize("key", spectral_models.SHAPES)
def test_log_slopes_are_those_of_the_formula(key):
    """Numerical derivatives against larger steps; for the power law against the formula."""
    shape = spectral_models.shape(key)
    model = shape.build()
    energy = np.geomspace(0.1, 10, 7)
    slopes = spectral_models.log_slopes(model, energy)
    names = [p.name for p in model.parameters.free_parameters]
    assert slopes.shape == (len(names), 7)
    assert np.isfinite(slopes).all()
    assert slopes[names.index("amplitude")] == pytest.approx(1 / model.amplitude.value, rel=1e-6)
    if key == "power_law":
        assert slopes[names.index("index")] == pytest.approx(-np.log(energy), abs=1e-6)
    if key == "power_law_cutoff":
        assert slopes[names.index("lambda_")] == pytest.approx(-energy, rel=1e-4)


@pytest.mark.parametrize("key", spectral_models.SHAPES)
def test_every_shape_can_be_fitted_saved_and_read(observations, tmp_path, key):
    result = fit(observations, toy_dl3.CRAB_DEG, model=key)
    assert result.converged
    assert np.all(np.asarray(result.butterfly["dnde_err"]) > 0)
    result.save(tmp_path)
    again = SpectrumResult.load(tmp_path)
    assert again.to_dict() == result.to_dict()
    assert again.model(1 * again.butterfly["energy"].unit).value == pytest.approx(
        result.model(1 * result.butterfly["energy"].unit).value
    )


def test_the_simpler_shape_is_taken_unless_the_data_want_another(observations):
    chosen = fit(observations, toy_dl3.CRAB_DEG, model="auto")
    simple, curved = (fit(observations, toy_dl3.CRAB_DEG, model=key) for key in ("power_law", "log_parabola"))
    sigma = np.sqrt(max(simple.statistic - curved.statistic, 0))
    assert f"by {sigma:.1f} σ" in chosen.remark
    assert chosen.model_name == ("log_parabola" if sigma >= 3 else "power_law")
    narrow = fit(observations[:1], toy_dl3.CRAB_DEG, model="auto", energy_range_tev=(1.0, 5.0))
    assert narrow.model_name == "power_law"
    assert "simpler one is taken" in narrow.caption


def test_cells_are_fitted_jointly_and_say_what_they_contribute(joint, observations, groups):
    table = joint.contributions
    assert list(table["group"]) == ["bright", "dim"]
    assert table["n_on"].sum() == joint.n_on
    bright, dim = table["ratio"]
    # The joint flux lies between them; their ratio is three.
    assert bright / dim == pytest.approx(3.0, abs=4 * 3 * np.hypot(*(table["ratio_error"] / table["ratio"])))
    assert dim < 1 < bright
    assert "Joint fit of 2 cells" in joint.caption
    alone = fit(observations[3:], toy_dl3.CRAB_DEG)
    assert alone.parameter("amplitude")[0] > joint.parameter("amplitude")[0]
    assert alone.contributions is None


def test_a_cell_of_a_single_run_is_fitted_with_the_others(observations):
    """A run alone is not stacked: it is the same object in the fit and in the list of contributions."""
    groups = {int(one.obs_id): "one" if k == 0 else "others" for k, one in enumerate(observations)}
    found = fit(observations, toy_dl3.CRAB_DEG, groups=groups)
    assert list(found.contributions["runs"]) == [1, 5]
    assert found.contributions["n_on"].sum() == found.n_on
    assert len(found.flux_points) > 3


def test_residuals_add_up_and_scatter_as_they_should(joint):
    table = joint.residuals
    assert table["n_on"].sum() == joint.n_on
    assert np.sum(table["excess"]) == pytest.approx(joint.excess, rel=1e-6)
    assert np.sum(table["predicted"]) == pytest.approx(joint.excess, rel=0.05)
    used = np.asarray(table["predicted"]) > 5
    pulls = np.asarray(table["residual"])[used]
    assert np.sum(pulls**2) < len(pulls) + 4 * np.sqrt(2 * len(pulls))


def test_absorption_hardens_the_source_and_leaves_what_arrives(observations):
    plain = fit(observations, toy_dl3.CRAB_DEG, model="power_law")
    absorbed = fit(observations, toy_dl3.CRAB_DEG, model="power_law", redshift=0.1)
    assert absorbed.parameter("index")[0] < plain.parameter("index")[0] - 0.3
    energy = 0.3 * plain.butterfly["energy"].unit
    assert absorbed.model(energy).value == pytest.approx(plain.model(energy).value, rel=0.3)
    assert absorbed.intrinsic(energy).value > absorbed.model(energy).value
    assert "z = 0.1 after Domínguez" in absorbed.caption
    assert SpectrumResult.from_dict(absorbed.to_dict()).to_dict() == absorbed.to_dict()


def test_absorption_is_that_of_the_model():
    """Near 1 TeV and z = 0.1 about 0.3 to 0.6 is left in models of today; none at 50 GeV."""
    import astropy.units as u

    for name in spectral_models.EBL_MODELS:
        left = spectral_models.absorption(0.1, name)
        assert 0.25 < float(left(1 * u.TeV)) < 0.65
        assert float(left(0.05 * u.TeV)) > 0.97
    with pytest.raises(UnknownNameError, match="dominguez"):
        spectral_models.absorption(0.1, "domingues")
    with pytest.raises(OutOfRangeError, match="redshift of 7"):
        spectral_models.absorption(7.0)


def test_a_wrong_energy_scale_moves_the_flux_as_a_power_law_does(observations):
    result = fit(observations, toy_dl3.CRAB_DEG, model="power_law", systematics=Systematics(energy_scale=0.15))
    rows = {row["name"]: row for row in result.parameters}
    # Energies scaled by s move the amplitude of E^-g by s^(g - 1).
    index = rows["index"]["value"]
    moved = (1.15 ** (index - 1) - 0.85 ** (index - 1)) / 2
    assert rows["amplitude"]["systematic"] / rows["amplitude"]["value"] == pytest.approx(moved, rel=0.35)
    assert rows["index"]["systematic"] < 0.1
    assert "energies ± 15%" in result.caption
    with pytest.raises(OutOfRangeError, match="energy scale"):
        Systematics(energy_scale=0.7)


def test_a_wrong_flux_and_background_show_in_every_product(observations, tmp_path):
    asked = Systematics(flux_scale=0.11, background_scale=0.01)
    plain, told = (fit(observations, toy_dl3.CRAB_DEG, model="power_law", systematics=it) for it in (None, asked))
    values = {row["name"]: row for row in told.parameters}
    share = values["amplitude"]["systematic"] / values["amplitude"]["value"]
    assert 0.11 <= share < 0.12  # the background is small beside this source
    assert values["index"]["systematic"] < 0.02
    curve, points = told.butterfly, told.flux_points
    assert np.all(np.asarray(curve["dnde_systematic"] / curve["dnde"]) >= 0.11)
    expected = told.systematic_dnde(np.asarray(points["e_ref"]))
    assert np.asarray(points["dnde_systematic"]) == pytest.approx(expected)
    assert points["e2dnde_systematic"].unit == points["e2dnde"].unit
    assert "dnde_systematic" not in plain.flux_points.colnames
    assert np.isnan(plain.parameters["systematic"]).all()
    assert "Systematic errors: fluxes ± 11%, background ± 1%." in told.caption
    assert told.gammapy.to_table(sed_type="dnde")["dnde"].shape == (len(points),)
    told.save(tmp_path)
    assert SpectrumResult.load(tmp_path).to_dict() == told.to_dict()


def test_light_curves_tell_systematic_errors_too(observations, tmp_path):
    told = light_curve(observations, toy_dl3.CRAB_DEG, systematics=Systematics(flux_scale=0.11))
    assert np.asarray(told.table["systematic"]) == pytest.approx(0.11 * np.asarray(told.table["flux"]))
    scaled = light_curve(observations, toy_dl3.CRAB_DEG, systematics=Systematics(energy_scale=0.15))
    # an integral flux above an energy goes as energy^1.5
    shares = np.asarray(scaled.table["systematic"] / scaled.table["flux"])
    assert shares == pytest.approx((1.15**1.6 - 0.85**1.6) / 2, rel=0.35)
    assert len(set(shares.round(6))) == 1
    background = light_curve(observations, toy_dl3.CRAB_DEG, systematics=Systematics(background_scale=0.1))
    row = background.table[0]
    assert row["systematic"] == pytest.approx(0.1 * row["alpha"] * row["n_off"] * row["flux"] / (
        row["n_on"] - row["alpha"] * row["n_off"]))  # fmt: skip
    told.save(tmp_path)
    assert LightCurveResult.load(tmp_path).to_dict() == told.to_dict()


def test_the_exponent_of_a_cut_off_can_be_fixed(observations, tmp_path):
    found = fit(observations, toy_dl3.CRAB_DEG, model="power_law_super_cutoff", fixed={"alpha": 1.0})
    plain = fit(observations, toy_dl3.CRAB_DEG, model="power_law_cutoff")
    assert list(found.parameters["name"]) == list(plain.parameters["name"])
    assert found.statistic == pytest.approx(plain.statistic, abs=0.05)
    assert "Fixed: alpha = 1." in found.caption
    found.save(tmp_path)
    again = SpectrumResult.load(tmp_path)
    assert again.to_dict() == found.to_dict()
    assert again.intrinsic.alpha.frozen
    with pytest.raises(UnknownNameError, match="index"):
        fit(observations, toy_dl3.CRAB_DEG, model="power_law", fixed={"indx": 2.0})


def test_cut_off_shapes_are_their_formulas():
    import astropy.units as u

    energy = np.array([0.2, 1.0, 7.0])
    steep = spectral_models.power_law_super_cutoff(1e-11, 2.0, 0.2, 2.0)(energy * u.TeV).to_value("TeV-1 cm-2 s-1")
    assert steep == pytest.approx(1e-11 * energy**-2.0 * np.exp(-((0.2 * energy) ** 2)))
    curved = spectral_models.log_parabola_cutoff(1e-11, 2.0, 0.1, 0.2)(energy * u.TeV).to_value("TeV-1 cm-2 s-1")
    assert curved == pytest.approx(1e-11 * energy ** (-2.0 - 0.1 * np.log(energy)) * np.exp(-0.2 * energy))


def test_names_in_settings_are_those_of_the_models():
    from typing import get_args

    from magicpy_assets.core.result_settings import EblName, ModelName
    from magicpy_assets.science import spectrum_fit

    assert set(get_args(ModelName)) == set(spectrum_fit.MODELS)
    assert set(get_args(EblName)) == set(spectral_models.EBL_MODELS)


def test_spectra_and_light_curves_are_objects_of_gammapy_too(joint, observations):
    from gammapy.estimators import FluxPoints

    assert isinstance(joint.gammapy, FluxPoints)
    curve = light_curve(observations, toy_dl3.CRAB_DEG)
    axis = curve.gammapy.geom.axes["time"]
    assert axis.time_min.utc.mjd == pytest.approx(np.asarray(curve.table["start_mjd"]), abs=1e-6)
    assert curve.gammapy.flux.data.ravel() == pytest.approx(np.asarray(curve.table["flux"]))


# Light curves


def test_bayesian_blocks_find_the_step_and_nothing_else(observations):
    curve = light_curve(observations, toy_dl3.CRAB_DEG, by="blocks")
    assert list(curve.table["runs"]) == [3, 3]
    dim, bright = curve.table["flux"]
    assert bright / dim == pytest.approx(3, abs=4 * 3 * np.hypot(*(curve.table["flux_err"] / curve.table["flux"])))
    steady = light_curve(observations[:3], toy_dl3.CRAB_DEG, by="blocks")
    assert list(steady.table["runs"]) == [3]
    assert curve.p_constant < 1e-6


def test_bins_of_time_cut_runs_and_lose_no_event(observations):
    whole = light_curve(observations, toy_dl3.CRAB_DEG)
    third = 500 / 86400 / 3
    edges = [START - 1, START + third, START + 2.5 * STEP, START + 1]
    bins = light_curve(observations, toy_dl3.CRAB_DEG, by=edges)
    assert bins.binning == "bins"
    assert bins.table["n_on"].sum() == whole.table["n_on"].sum()
    assert bins.table["live_time"].sum() == pytest.approx(whole.table["live_time"].sum(), rel=1e-3)
    assert bins.table["live_time"][0] == pytest.approx(500 / 3, rel=0.01)
    minutes = light_curve(observations, toy_dl3.CRAB_DEG, by="5 min")
    assert minutes.table["n_on"].sum() == whole.table["n_on"].sum()
    assert np.all(np.asarray(minutes.table["stop_mjd"]) - np.asarray(minutes.table["start_mjd"]) < 5.01 / 1440)


def test_bins_of_a_part_of_the_data_tell_the_time_of_that_part(observations, tmp_path):
    from astropy.table import Table

    part = light_curve(observations, toy_dl3.CRAB_DEG, by=[START - 0.1, START + 1.7 * STEP])
    assert part.runs == (5093001, 5093002)
    assert part.live_time_s == pytest.approx(1000, rel=1e-3) == pytest.approx(float(part.table["live_time"].sum()))
    assert "live time 16.7 min" in part.caption
    part.save(tmp_path)
    for suffix in ("ecsv", "parquet"):
        table = Table.read(tmp_path / f"light_curve.{suffix}")
        assert str(table["start_mjd"].unit) == str(table["stop_mjd"].unit) == "d"
        assert (table.meta["time_format"], table.meta["time_scale"]) == ("MJD", "UTC")


def test_bins_without_data_and_odd_edges_are_refused(observations):
    with pytest.raises(InputError, match="no data in any bin"):
        light_curve(observations, toy_dl3.CRAB_DEG, by=[59000.0, 59001.0])
    with pytest.raises(InputError, match="rising times"):
        light_curve(observations, toy_dl3.CRAB_DEG, by=[59001.0, 59000.0])
    with pytest.raises(UnknownNameError, match="blocks"):
        light_curve(observations, toy_dl3.CRAB_DEG, by="bloks")


def test_points_say_where_they_are_extrapolated(observations):
    low = light_curve(observations, toy_dl3.CRAB_DEG, energy_min_tev=0.05)
    assert low.table["extrapolated"].all()
    assert np.all(low.table["energy_from"] > 0.05)
    assert "extrapolated" in low.caption
    assert not light_curve(observations, toy_dl3.CRAB_DEG, energy_min_tev=0.5).table["extrapolated"].any()


def test_fractional_variability_is_that_put_in():
    rng = np.random.default_rng(3)
    error = np.full(4000, 0.1)
    flux = rng.normal(1.0, 0.3, 4000) + rng.normal(0, error)
    share, uncertainty = fractional_variability(flux, error)
    assert share == pytest.approx(0.3, abs=4 * 0.3 / np.sqrt(8000))
    assert 0 < uncertainty < 0.02
    assert np.isnan(fractional_variability(np.ones(5), np.ones(5))[0])


@pytest.mark.parametrize(("truth", "at_most"), [(3.0, 1.0), (30.0, 0.95)])
def test_upper_limits_cover_in_95_of_100_measurements(truth, at_most):
    """One-sided at 95 %, give or take 4 sigma of 1500; more near zero, for no limit takes a flux below zero for one."""
    rng = np.random.default_rng(5)
    trials, above = 1500, 0
    for _ in range(trials):
        n_on, n_off = rng.poisson(truth + 4.0), rng.poisson(12.0)
        one = RunCounts("1", 0.0, 1.0, 100.0, int(n_on), int(n_off), 1 / 3, 1.0, 0.3)
        above += point("x", [one], 1.0, 0.3)["flux_ul"] > truth
    spread = 4 * np.sqrt(0.05 * 0.95 / trials)
    assert 0.95 - spread < above / trials < at_most + spread


def test_limits_of_flux_points_rise_the_likelihood_by_as_much_as_95_percent_asks(joint):
    """With many events the limit is value + 1.645 errors; with fewer the likelihood is skew, and it is a bit more."""
    strong = joint.flux_points[np.asarray(joint.flux_points["ts"]) > 50]
    sigma = (strong["dnde_ul"] - strong["dnde"]) / strong["dnde_err"]
    assert np.all((np.asarray(sigma) > 1.6) & (np.asarray(sigma) < 1.9))
    assert joint.flux_points.meta["upper_limits"] == "95 % confidence, one-sided"


def test_a_light_curve_comes_back_from_a_folder(observations, tmp_path):
    curve = light_curve(observations, toy_dl3.CRAB_DEG, by="5 min")
    curve.save(tmp_path)
    assert LightCurveResult.load(tmp_path).to_dict() == curve.to_dict()


# θ²


def test_the_signal_grows_with_time_to_the_total(observations):
    result = counts.theta2(list(reversed(observations)), toy_dl3.CRAB_DEG)
    growth = result.growth
    assert list(growth["n_on"])[-1] == result.n_on
    assert growth["significance"][-1] == pytest.approx(result.significance)
    assert np.all(np.diff(growth["time"]) > 0)
    assert growth["time"][-1] == pytest.approx(result.live_time_s / 3600)
    # In order of time, whatever the order given: the dim runs come first.
    assert growth["n_on"][2] < 0.4 * result.n_on


def test_cells_add_up_to_the_count_of_all(observations):
    first, second = (counts.theta2(some, toy_dl3.CRAB_DEG) for some in (observations[:3], observations[3:]))
    whole = counts.theta2(observations, toy_dl3.CRAB_DEG)
    assert (first.n_on + second.n_on, first.n_off + second.n_off) == (whole.n_on, whole.n_off)
    np.testing.assert_array_equal(first.on + second.on, whole.on)
    assert whole.significance == pytest.approx(li_ma(whole.n_on, whole.n_off, whole.alpha))


def test_theta2_is_drawn_by_gammapy(observations):
    import astropy.units as u
    import matplotlib.pyplot as plt
    from astropy.coordinates import SkyCoord
    from gammapy.makers.utils import ThetaSquaredTable
    from gammapy.maps import MapAxis
    from gammapy.visualization import plot_theta_squared_table

    result = counts.theta2(observations, toy_dl3.CRAB_DEG, n_off=1)
    table = result.gammapy
    axis = MapAxis.from_edges(result.edges_deg2[:21], unit="deg2", interp="lin", name="theta_squared")
    position = SkyCoord(*toy_dl3.CRAB_DEG, unit="deg")
    theirs = ThetaSquaredTable(observations, axis, position, energy_edges=np.array([0.3, 1000.0]) * u.TeV).run()
    assert set(theirs.colnames) == set(table.colnames)
    # our planes are tangent to the pointing, theirs great circles: a few events change their bin
    for name in ("counts", "counts_off"):
        ours, their = int(table[name][:20].sum()), int(theirs[name].sum())
        assert abs(ours - their) < 0.02 * ours
    figure = plt.figure()
    plot_theta_squared_table(table)
    plt.close(figure)


@pytest.mark.parametrize("n_off", [1, 2, 3, 4, 5])
def test_one_to_five_off_regions(observations, n_off, tmp_path):
    result = counts.theta2(observations, toy_dl3.CRAB_DEG, n_off=n_off)
    assert result.alpha == pytest.approx(1 / n_off)
    assert result.n_off_regions == n_off
    result.save(tmp_path)
    assert Theta2Result.load(tmp_path).to_dict() == result.to_dict()


def test_tables_are_kept_as_parquet_too(joint, tmp_path):
    from astropy.table import Table

    joint.save(tmp_path)
    for name in ("flux_points", "residuals", "contributions", "parameters"):
        text, binary = (Table.read(tmp_path / f"{name}.{suffix}") for suffix in ("ecsv", "parquet"))
        assert text.colnames == binary.colnames
        assert len(text) == len(binary)
        assert text.meta["simulated"] is True
        assert binary.meta["caption"] == text.meta["caption"] == joint.caption
    assert str(Table.read(tmp_path / "flux_points.parquet")["dnde"].unit) == "1 / (TeV s cm2)"
