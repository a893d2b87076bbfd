"""Results of MARS's own programs read back. uproot writes graphs without errors only: those with errors are tried in
memory, in its own model of them."""

from __future__ import annotations

import numpy as np
import pytest
import uproot

from magicpy_assets.core.errors import InputError, UnknownNameError
from magicpy_assets.formats.flute import _constant, graph_of, read_flute
from magicpy_assets.formats.odie import CANVAS, parse_odie, read_odie
from magicpy_assets.plots.light_curve import light_curve_figure
from magicpy_assets.plots.sed import flux_points_figure
from magicpy_assets.science.flux_points import FluxPointsResult
from magicpy_assets.science.light_curve import LightCurveResult

TIMES = np.array([59001.1, 59002.1, 59003.1])
FLUX = np.array([1.2e-10, 1.0e-10, 0.1e-10])
ENERGY_GEV = np.array([100.0, 1000.0])
ODIE = "Time = 2.31 h\nN_{on} = 151; N_{off} = 20.3 #pm 2.6\nN_{ex} = 130.7\nSignificance (Li&Ma) = 15.2#sigma\n"


@pytest.fixture
def output(tmp_path):
    path = tmp_path / "Output_flute_crab.root"
    with uproot.recreate(path) as file:
        for name, x, y in (
            ("LightCurve", TIMES, FLUX),
            ("teffLC", TIMES, np.array([3600.0, 1800.0, 1800.0])),
            ("excessLC", TIMES, np.array([100.0, 50.0, 1.0])),
            ("offLC", TIMES, np.array([10.0, 5.0, 6.0])),
            ("UpperLimLC", TIMES[2:], np.array([0.4e-10])),
            ("SED", ENERGY_GEV, np.array([5e-11, 3e-11])),
            ("sedULs", np.array([10000.0]), np.array([1e-11])),
        ):
            file[name] = uproot.as_TGraph({"x": x, "y": y}, title=name)
        file["AeffVsEtrue"] = (np.array([1e4, 5e4, 1e5]), np.geomspace(10, 1e4, 4))
        file["migrmatrix"] = np.histogram2d([20.0, 200.0], [30.0, 300.0], bins=[np.geomspace(10, 1e3, 3)] * 2)
        file["AssumedSpectrum"] = "pow(x/300.,-2.6)"
    return path


def test_a_light_curve_of_flute_is_one_of_ours(output, tmp_path):
    curve = read_flute(output, "CrabNebula", simulated=True).light_curve
    table = curve.table
    assert list(table["flux"]) == list(FLUX)
    assert list(table["is_ul"]) == [False, False, True]
    assert table["flux_ul"][2] == pytest.approx(0.4e-10)
    assert list(table["n_on"]) == [110, 55, 7]
    assert curve.live_time_s == 7200
    assert str(table["flux"].unit) == "1 / (s cm2)"
    assert curve.energy_min_tev == 0.3
    assert curve.simulated
    curve.save(tmp_path)
    assert LightCurveResult.load(tmp_path).mean_flux == curve.mean_flux
    assert light_curve_figure(curve).axes[0].get_title().startswith("CrabNebula")


def test_the_points_of_flute_have_the_columns_of_ours(output, tmp_path):
    points = read_flute(output, "CrabNebula").flux_points
    assert list(points.flux_points["e_ref"]) == [0.1, 1.0, 10.0]
    assert list(points.flux_points["is_ul"]) == [False, False, True]
    assert points.flux_points["e2dnde"][0] == 5e-11
    assert points.flux_points["e2dnde_ul"][2] == 1e-11
    points.save(tmp_path)
    again = FluxPointsResult.load(tmp_path)
    assert again.origin == "flute (SED)"
    assert np.array_equal(again.flux_points["e2dnde"], points.flux_points["e2dnde"], equal_nan=True)
    words = " ".join(text.get_text() for text in flux_points_figure(points).axes[0].get_legend().get_texts())
    assert "flute" in words
    assert "MAGIC 2015" in words


def test_collection_area_and_migration_are_tables(output):
    results = read_flute(output)
    area = results.histogram("AeffVsEtrue").table()
    assert list(area["value"]) == [1e4, 5e4, 1e5]
    assert list(area["x_low"]) == pytest.approx([10, 100, 1000])
    migration = results.histogram("migrmatrix").table()
    assert len(migration) == 4
    assert migration["value"].sum() == 2
    assert migration[3]["y_high"] == pytest.approx(1000)
    with pytest.raises(UnknownNameError, match="migrmatrx"):
        results.histogram("migrmatrx")
    assert results.deabsorbed is None


def test_errors_of_graphs_are_read():
    x, y = np.array([1.0, 2.0]), np.array([3.0, 5.0])
    same = graph_of(uproot.as_TGraph({"x": x, "y": y, "x_errors": 0.1 * x, "y_errors": 0.2 * y}))
    assert list(same.x_low) == list(same.x_high) == [0.1, 0.2]
    assert list(same.y_high) == [0.6000000000000001, 1.0]
    sides = {f"{axis}_errors_{side}": factor * values for axis, values in (("x", x), ("y", y))
             for side, factor in (("low", 0.1), ("high", 0.3))}  # fmt: skip
    each = graph_of(uproot.as_TGraph({"x": x, "y": y} | sides))
    assert each.y_low == pytest.approx(0.1 * y)
    assert each.x_high == pytest.approx(0.3 * x)
    mean, error, chi2, degrees = _constant(same)
    weight = 1 / same.y_high**2
    assert mean == pytest.approx((weight * y).sum() / weight.sum())
    assert (error, degrees) == (pytest.approx(weight.sum() ** -0.5), 1)
    assert chi2 == pytest.approx(4 / (0.6**2 + 1.0**2))


def test_what_is_no_output_of_flute_is_refused(tmp_path):
    with uproot.recreate(tmp_path / "a.root") as file:
        file["x"] = "text"
    with pytest.raises(InputError, match="no graph and no histogram"):
        read_flute(tmp_path / "a.root")


def test_odie_tells_its_numbers_in_canvas_and_log(tmp_path):
    with uproot.recreate(tmp_path / "Output_odie.root", compression=uproot.ZLIB(4)) as file:
        file[CANVAS] = ODIE
    (tmp_path / "odie.log").write_text("".join(f"12:00:00 {line}\n" for line in ODIE.splitlines()))
    numbers = read_odie(tmp_path / "Output_odie.root")
    assert numbers == read_odie(tmp_path / "odie.log")
    assert vars(numbers) == {
        "time_h": 2.31,
        "n_on": 151,
        "n_off": 20.3,
        "n_off_error": 2.6,
        "excess": 130.7,
        "significance": 15.2,
    }
    assert numbers.table()["significance"][0] == 15.2


def test_numbers_that_odie_does_not_tell_are_named(tmp_path):
    with pytest.raises(InputError, match="n_off_error, excess"):
        parse_odie(ODIE.replace("#pm 2.6", "").replace("N_{ex}", "N"))
    with uproot.recreate(tmp_path / "b.root") as file:
        file["other"] = "text"
    with pytest.raises(InputError, match=CANVAS):
        read_odie(tmp_path / "b.root")
