"""Direction from two distances along two axes, and features that do not know where in the camera an image lies."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from magicpy_assets.science.camera import FOCAL_MM
from magicpy_assets.science.forest import LOGISTIC, train
from magicpy_assets.science.reconstruction import (
    DISP_FEATURES,
    ENERGY_FEATURES,
    EVENT_FEATURES,
    MAX_DISTANCE_MM,
    Forests,
    direction,
    disp_columns,
    event_columns,
    true_disp_mm,
    usable,
)


def table(n, seed):
    """Images whose axes point to a source: everything that reconstruction looks at, at random."""
    rng = np.random.default_rng(seed)
    source = rng.uniform(-150, 150, (2, n))
    columns = {
        "valid": np.ones(n, dtype=np.int32),
        "max_height_cm": rng.uniform(5e5, 1.2e6, n),
        "direction_x_deg": np.degrees(np.arctan(source[0] / FOCAL_MM)),
        "direction_y_deg": np.degrees(np.arctan(source[1] / FOCAL_MM)),
    }
    angles = rng.uniform(-np.pi, np.pi, n), rng.uniform(0.5, np.pi - 0.5, n)
    for tel in (1, 2):
        angle = angles[0] + (tel - 1) * angles[1]
        distance = rng.uniform(50, 300, n)
        columns |= {
            f"source_x_mm_{tel}": source[0],
            f"source_y_mm_{tel}": source[1],
            f"mean_x_mm_{tel}": source[0] + distance * np.cos(angle),
            f"mean_y_mm_{tel}": source[1] + distance * np.sin(angle),
            f"delta_rad_{tel}": np.arctan(np.tan(angle)),
            f"size_phe_{tel}": 10 ** rng.uniform(1.8, 4, n),
            f"length_mm_{tel}": rng.uniform(20, 100, n),
            f"width_mm_{tel}": rng.uniform(5, 30, n),
            f"leakage1_{tel}": rng.uniform(0, 1, n),
            f"conc_{tel}": rng.uniform(0, 1, n),
            f"time_gradient_slices_per_mm_{tel}": rng.normal(0, 0.03, n),
            f"m3_long_mm_{tel}": rng.normal(0, 30, n),
            f"impact_cm_{tel}": rng.uniform(0, 3e4, n),
            f"pointing_zd_deg_{tel}": np.full(n, 25.0),
            f"pointing_az_deg_{tel}": np.full(n, 130.0),
        }
    return columns


def moved(columns, x_mm=0.0, y_mm=0.0, turn=0.0):
    """The same images elsewhere in the camera: turned around its centre, then shifted."""
    found = dict(columns)
    cos, sin = np.cos(turn), np.sin(turn)
    points = [(f"{name}_x_mm_{tel}", f"{name}_y_mm_{tel}") for name in ("mean", "source") for tel in (1, 2)]
    for x, y in points:
        found[x] = columns[x] * cos - columns[y] * sin + x_mm
        found[y] = columns[x] * sin + columns[y] * cos + y_mm
    cross = [np.tan(np.radians(columns[f"direction_{axis}_deg"])) * FOCAL_MM for axis in "xy"]
    new = cross[0] * cos - cross[1] * sin + x_mm, cross[0] * sin + cross[1] * cos + y_mm
    for axis, value in zip("xy", new, strict=True):
        found[f"direction_{axis}_deg"] = np.degrees(np.arctan(value / FOCAL_MM))
    for tel in (1, 2):
        found[f"delta_rad_{tel}"] = columns[f"delta_rad_{tel}"] + turn
    return found


@given(st.integers(0, 2**32 - 1))
def test_true_distances_give_the_true_direction(seed):
    columns = table(50, seed)
    disp = true_disp_mm(columns, 1), true_disp_mm(columns, 2)
    found = direction(columns, disp)
    np.testing.assert_allclose(found.x_mm, columns["source_x_mm_1"], atol=1e-6)
    np.testing.assert_allclose(found.y_mm, columns["source_y_mm_1"], atol=1e-6)
    np.testing.assert_allclose(found.difference_mm, 0, atol=1e-6)


@given(st.integers(0, 2**32 - 1), st.floats(0.5, 1.5))
def test_of_the_four_pairs_the_nearest_is_taken_and_the_brighter_image_counts_more(seed, scale):
    columns = table(30, seed)
    disp = scale * true_disp_mm(columns, 1), true_disp_mm(columns, 2) / scale
    found = direction(columns, disp)
    ends = []
    for tel, length in zip((1, 2), disp, strict=True):
        x, y, delta = (columns[f"{name}_{tel}"] for name in ("mean_x_mm", "mean_y_mm", "delta_rad"))
        ends.append([x + 1j * y + sign * length * np.exp(1j * delta) for sign in (1, -1)])
    apart = np.min([np.abs(a - b) for a in ends[0] for b in ends[1]], axis=0)
    np.testing.assert_allclose(found.difference_mm, apart, atol=1e-9)
    first, second = (found.points_mm[n][0] + 1j * found.points_mm[n][1] for n in (0, 1))
    np.testing.assert_allclose(np.abs(first - second), apart, atol=1e-9)
    share = np.sqrt(columns["size_phe_1"]) / (np.sqrt(columns["size_phe_1"]) + np.sqrt(columns["size_phe_2"]))
    np.testing.assert_allclose(found.x_mm + 1j * found.y_mm, share * first + (1 - share) * second, atol=1e-9)


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(-200, 200), st.floats(-200, 200), st.floats(-np.pi, np.pi))
def test_features_do_not_know_where_in_the_camera_an_image_lies(seed, x_mm, y_mm, turn):
    """All but the shower's geometry in space, for which the sky is not flat, stays the same in float32."""
    columns = table(20, seed)
    elsewhere = moved(columns, x_mm, y_mm, turn)
    for tel in (1, 2):
        here, there = disp_columns(columns, tel), disp_columns(elsewhere, tel)
        np.testing.assert_allclose(here, there, rtol=1e-4, atol=1e-2)
    found = [
        (lambda t: event_columns(t, direction(t, (true_disp_mm(t, 1), true_disp_mm(t, 2)))))(t)
        for t in (columns, elsewhere)
    ]
    flat = [i for i, name in enumerate(EVENT_FEATURES) if not name.startswith(("impact", "max_height"))]
    np.testing.assert_allclose(found[0][:, flat], found[1][:, flat], rtol=1e-4, atol=1e-2)


@given(st.integers(0, 2**32 - 1))
def test_an_axis_has_no_head(seed):
    """Turned by 180 degrees, with signs along the axis turned too, an image has the same features."""
    columns = table(20, seed)
    turned = dict(columns)
    for tel in (1, 2):
        turned[f"delta_rad_{tel}"] = columns[f"delta_rad_{tel}"] + np.pi
        for name in ("time_gradient_slices_per_mm", "m3_long_mm"):
            turned[f"{name}_{tel}"] = -columns[f"{name}_{tel}"]
    found = []
    for one in (columns, turned):
        located = direction(one, (0.9 * true_disp_mm(one, 1), 1.1 * true_disp_mm(one, 2)))
        found.append((located.x_mm, located.y_mm, event_columns(one, located)))
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-3)


def test_columns_follow_their_names_and_are_finite_whatever_comes():
    columns = table(10, 1)
    columns["width_mm_1"][0] = columns["length_mm_1"][0] = 0.0
    columns["impact_cm_1"][1] = np.nan
    columns["direction_x_deg"][2] = 80.0
    found = direction(columns, (true_disp_mm(columns, 1), true_disp_mm(columns, 2)))
    disp, events = disp_columns(columns, 1), event_columns(columns, found)
    energy = event_columns(columns, found, ENERGY_FEATURES)
    assert disp.shape == (10, len(DISP_FEATURES))
    assert events.shape == (10, len(EVENT_FEATURES))
    for values in (disp, events, energy):
        assert values.dtype == np.float32
        assert np.isfinite(values).all()
    assert disp[2, DISP_FEATURES.index("distance_to_crossing")] == MAX_DISTANCE_MM
    np.testing.assert_allclose(disp[:, 0], np.log10(columns["size_phe_1"]), rtol=1e-6)
    np.testing.assert_array_equal(energy[:, ENERGY_FEATURES.index("zenith")], 25.0)
    assert not {"zenith", "mean_x_1", "source_x_1"} & set(EVENT_FEATURES)


def test_events_that_can_be_used_have_two_images_large_enough_and_axes_that_cross():
    columns = table(4, 2)
    columns["size_phe_1"][:] = columns["size_phe_2"][:] = 100.0
    columns["size_phe_2"][1] = 50.0
    columns["valid"][2] = 0
    assert usable(columns).tolist() == [True, False, False, True]
    assert usable(columns, 0.0).tolist() == [True, True, False, True]


@pytest.mark.parametrize("model", ["random_forest", "xgboost"])
def test_forests_together_give_position_energy_and_hadronness(model):
    columns = table(400, 3)
    truth = true_disp_mm(columns, 1), true_disp_mm(columns, 2)
    disp = tuple(train(model, disp_columns(columns, n), truth[n - 1], DISP_FEATURES, trees=40) for n in (1, 2))
    rows = event_columns(columns, direction(columns, truth))
    energy_rows = event_columns(columns, direction(columns, truth), ENERGY_FEATURES)
    energy = train(model, energy_rows, np.log10(columns["size_phe_1"]), ENERGY_FEATURES, trees=40)
    label = (columns["width_mm_1"] > 17).astype(float)
    hadronness = train(model, rows, label, EVENT_FEATURES, classify=True, trees=40)
    forests = Forests(disp, energy, hadronness)
    found = forests.locate(columns)
    # The distance to the crossing is among the features, and here exact: the forests must find the source well.
    off = np.hypot(found.x_mm - columns["source_x_mm_1"], found.y_mm - columns["source_y_mm_1"])
    assert np.median(off) < 15
    energies, judged = forests.judge(columns, found)
    assert np.corrcoef(np.log10(energies), np.log10(columns["size_phe_1"]))[0, 1] > 0.9
    assert ((judged >= 0) & (judged <= 1)).all()
    assert judged[label == 1].mean() > judged[label == 0].mean() + 0.5
    assert (hadronness.link == LOGISTIC) == (model == "xgboost")
