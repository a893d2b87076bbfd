"""Figures: they say what they show, from which runs, and that it is simulated where it is."""

import numpy as np
import pandas as pd
import pytest
from astropy.table import Table

from magicpy_assets.plots.forest_overview import forest_figure
from magicpy_assets.plots.hours import hours_figure
from magicpy_assets.plots.light_curve import light_curve_figure
from magicpy_assets.plots.reference import is_crab
from magicpy_assets.plots.sed import sed_figure
from magicpy_assets.plots.theta2 import theta2_figure
from magicpy_assets.science.counts import FieldEvents, count
from magicpy_assets.science.exposure import Exposure
from magicpy_assets.science.light_curve import LightCurveResult
from magicpy_assets.science.selections import selection
from magicpy_assets.science.spectrum import SpectrumResult


def exposure(simulated, source="CrabNebula"):
    return Exposure(source, (5093001, 5093002), 2400.0, 59165.2, 59165.3, (14.0, 26.0), simulated)


def theta2_result(simulated):
    rng = np.random.default_rng(1)
    x, y = (
        np.r_[rng.normal(0.4, 0.05, 200), rng.uniform(-1, 1, 900)],
        np.r_[rng.normal(0, 0.05, 200), rng.uniform(-1, 1, 900)],
    )
    field = FieldEvents(x, y, np.array(0.4), np.array(0.0))
    return count([field], exposure(simulated), selection("FR"))


def spectrum_result(simulated, *, only_limits=False, source="CrabNebula"):
    energy = np.geomspace(0.1, 10, 6)
    e2 = 3e-11 * energy**-0.4
    points = Table(
        {
            "e_ref": energy, "e_min": energy / 1.2, "e_max": energy * 1.2, "e2dnde": e2, "e2dnde_err": 0.2 * e2,
            "e2dnde_ul": 1.5 * e2, "is_ul": np.arange(6) >= (0 if only_limits else 4),
        }
    )  # fmt: skip
    parameters = Table(
        rows=[("amplitude", 3.2e-11, 3e-12, ""), ("alpha", 2.5, 0.1, ""), ("beta", 0.1, 0.05, "")],
        names=["name", "value", "error", "unit"],
    )
    derived = Table(rows=[("beta_log10", 0.23, 0.12, "")], names=["name", "value", "error", "unit"])
    return SpectrumResult(
        exposure=exposure(simulated, source), model_name="log_parabola", parameters=parameters,
        covariance=np.diag([9e-24, 0.01, 0.0025]), derived=derived, flux_points=points, energy_range_tev=(0.1, 10.0),
        statistic=20.0, degrees_of_freedom=18, converged=True, joint_runs=False, n_on=200, n_off=90, excess=170.0,
        significance=15.0,
    )  # fmt: skip


def light_curve_result(simulated, is_ul=(False, True)):
    table = Table(
        {
            "start_mjd": [59165.2, 59165.22], "stop_mjd": [59165.21, 59165.23], "flux": [1.2e-10, 1e-11],
            "flux_err": [1e-11, 2e-11], "flux_ul": [1.4e-10, 5e-11], "is_ul": list(is_ul),
        }
    )  # fmt: skip
    return LightCurveResult(exposure(simulated), table, "run", 0.3, "index 2.5", 1.1e-10, 9e-12, 12.0, 1)


def hours(simulated):
    table = pd.DataFrame({"za05to35": [11.46, 0.24], "za35to50": [4.17, 0.0]}, index=["weak", "moderate"])
    return hours_figure(table, title="CrabNebula", caption="Hours of 118 runs.", simulated=simulated)


def forest_report(simulated):
    rows = [
        {"energy_low_gev": low, "energy_high_gev": 1.6 * low, "events": 90, "theta39_deg": 0.07, "theta68_deg": 0.12,
         "energy_bias": 0.02, "energy_resolution": 0.18}
        for low in (200.0, 320.0, 512.0)
    ]  # fmt: skip
    kept = np.linspace(0, 1, 101)
    return {
        "auc": 0.95, "roc": {"gamma_kept": kept.tolist(), "off_kept": (kept**8).tolist()}, "by_energy": rows,
        "model": "random_forest", "gamma_events": 2714, "gamma_showers": 1503, "off_events": 13773,
        "importance": {"hadronness": {f"feature_{i}": 1 / (i + 2) for i in range(21)}},
        "provenance": {"simulated": "yes" if simulated else "no"},
    }  # fmt: skip


CASES = {
    "forest": lambda simulated: forest_figure(forest_report(simulated), title="ST0316/za05to35/weak"),
    "theta2": lambda simulated: theta2_figure(theta2_result(simulated)),
    "sed": lambda simulated: sed_figure(spectrum_result(simulated)),
    "light curve": lambda simulated: light_curve_figure(light_curve_result(simulated)),
    "hours": hours,
}


def words(figure):
    """All text of a figure."""
    found = [text.get_text() for text in figure.texts]
    for axes in figure.axes:
        found += [axes.get_title(), axes.get_xlabel(), axes.get_ylabel(), *(text.get_text() for text in axes.texts)]
        if axes.get_legend():
            found += [text.get_text() for text in axes.get_legend().get_texts()]
    return "\n".join(found)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("simulated", [True, False])
def test_simulated_is_stamped_where_it_is_and_only_there(name, simulated, tmp_path):
    from matplotlib.figure import Figure

    figure = CASES[name](simulated)
    assert isinstance(figure, Figure)
    figure.savefig(tmp_path / "figure.png")
    assert ("SIMULATED" in words(figure)) == simulated
    assert ("Simulated data" in words(figure).replace("\n", " ")) == simulated


@pytest.mark.parametrize("name", ["theta2", "sed", "light curve"])
def test_captions_name_the_runs_and_the_time(name):
    text = words(CASES[name](False)).replace("\n", " ")
    assert "runs 5093001, 5093002" in text
    assert "live time 40.0 min" in text
    assert "zenith distance 14-26°" in text


@pytest.mark.parametrize("name", CASES)
def test_nothing_is_cut_off(name):
    """All text lies on the canvas."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure = CASES[name](True)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    width, height = canvas.get_width_height()
    for text in [*figure.texts, *(t for axes in figure.axes for t in (axes.title, axes.xaxis.label, axes.yaxis.label))]:
        if text.get_text() and text.get_text() != "SIMULATED":
            box = text.get_window_extent()
            assert box.x0 >= 0, text
            assert box.y0 >= 0, text
            assert box.x1 <= width, text
            assert box.y1 <= height, text


def test_axes_have_units_and_the_theta2_figure_its_numbers():
    result = theta2_result(False)
    text = words(theta2_figure(result))
    assert f"N$_{{on}}$ = {result.n_on}" in text
    assert f"{result.significance:.1f} σ" in text
    assert "deg²" in text
    sed = words(sed_figure(spectrum_result(False)))
    assert "Energy (TeV)" in sed
    assert "TeV cm$^{-2}$ s$^{-1}$" in sed
    assert "(3.20 ± 0.30) × 10$^{-11}$" in sed


def test_the_forest_figure_names_what_it_was_grown_from():
    text = words(forest_figure(forest_report(False))).replace("\n", " ")
    assert "2714 simulated gammas (1503 showers), 13773 OFF events" in text
    assert "area under the curve 0.950" in text
    assert "True energy (TeV)" in text


def test_the_crab_reference_is_drawn_for_the_crab_only():
    assert "MAGIC 2015" in words(sed_figure(spectrum_result(False)))
    assert "MAGIC 2015" not in words(sed_figure(spectrum_result(False, source="Mrk421")))
    assert is_crab("Crab Nebula")
    assert not is_crab("Crabby")


def test_a_spectrum_of_limits_only_is_drawn(tmp_path):
    spectrum = sed_figure(spectrum_result(False, only_limits=True))
    curve = light_curve_figure(light_curve_result(False, is_ul=(True, True)))
    for name, figure in (("spectrum", spectrum), ("curve", curve)):
        figure.savefig(tmp_path / f"{name}.png")
        assert (tmp_path / f"{name}.png").stat().st_size > 10_000
        assert "limit" in words(figure).lower()
