"""Image parameters against ctapipe, against slow sums of their own, and against what the geometry must give."""

import numpy as np
import pytest
from camera_images import random_images
from hypothesis import given
from hypothesis import strategies as st

from magicpy_assets.science.camera import N_PIXELS, NEIGHBOURS, PIXEL_AREA_MM2, PIXEL_X_MM, PIXEL_Y_MM
from magicpy_assets.science.cleaning import CleaningCuts, clean
from magicpy_assets.science.hillas import PARAMETERS, parametrise, source_parameters

PLAIN = CleaningCuts(6.0, 3.5, use_sum=False, use_time=False, clip_phe=np.inf)


def table(charge, time, cuts):
    values, valid = parametrise(charge, time, cuts)
    return {name: values[:, i] for i, name in enumerate(PARAMETERS)}, valid


def same_axis(first, second):
    """Difference of two directions of a line (rad)."""
    return np.abs((np.asarray(first) - second + np.pi / 2) % np.pi - np.pi / 2)


@pytest.mark.filterwarnings("ignore")  # the other package's own, on images in a line
def test_plain_two_level_parameters_are_those_of_ctapipe():
    reader = pytest.importorskip("ctapipe_io_magic")
    import astropy.units as u
    from ctapipe.image import (
        concentration_parameters,
        hillas_parameters,
        leakage_parameters,
        number_of_islands,
        tailcuts_clean,
    )

    geometry = reader.load_camera_geometry()
    charge, time = random_images(400, seed=21, spread_mm=430.0)
    ours, valid = table(charge, time, PLAIN)
    _, used = clean(charge, time, PLAIN)
    compared = 0
    for event in range(len(charge)):
        mask = tailcuts_clean(
            geometry, charge[event], picture_thresh=6.0, boundary_thresh=3.5, min_number_picture_neighbors=1
        )
        np.testing.assert_array_equal(used[event], mask)
        assert valid[event] == (mask.sum() >= 3)
        if not valid[event]:
            continue
        compared += 1
        kept = np.where(mask, charge[event].astype(float), 0.0)
        ellipse = hillas_parameters(geometry[mask], kept[mask])
        leakage = leakage_parameters(geometry, charge[event].astype(float), mask)
        mine = {name: values[event] for name, values in ours.items()}
        assert mine["size_phe"] == pytest.approx(ellipse.intensity, rel=1e-6)
        # The public table of pixels is ours to 7 micrometres.
        for name, value in {
            "mean_x_mm": ellipse.x, "mean_y_mm": ellipse.y, "length_mm": ellipse.length, "width_mm": ellipse.width,
        }.items():  # fmt: skip
            assert mine[name] == pytest.approx(value.to_value(u.mm), abs=0.02), name
        if mine["length_mm"] > 1.05 * mine["width_mm"]:
            assert same_axis(mine["delta_rad"], ellipse.psi.to_value(u.rad)) < 5e-3
            flipped = np.cos(mine["delta_rad"] - ellipse.psi.to_value(u.rad)) < 0
            cubed = ellipse.skewness * ellipse.length.to_value(u.mm) ** 3 * (-1 if flipped else 1)
            assert mine["m3_long_mm"] ** 3 == pytest.approx(cubed, abs=1e-3 * mine["length_mm"] ** 3)
        assert mine["leakage1"] == pytest.approx(leakage.intensity_width_1, abs=1e-6)
        assert mine["leakage2"] == pytest.approx(leakage.intensity_width_2, abs=1e-6)
        assert mine["conc1"] == pytest.approx(concentration_parameters(geometry, kept, ellipse).pixel, rel=1e-6)
        assert mine["n_islands"] == number_of_islands(geometry, mask)[0]
        assert mine["n_used"] == mask.sum()
    assert compared > 300
    assert (ours["leakage2"] > 0.02).sum() > 20


@pytest.mark.filterwarnings("ignore")
def test_on_our_own_table_of_pixels_the_ellipse_is_ctapipes_to_single_precision():
    pytest.importorskip("ctapipe")
    import astropy.units as u
    from ctapipe.image import hillas_parameters
    from ctapipe.instrument import CameraGeometry, PixelShape

    geometry = CameraGeometry(
        name="MAGICCam",
        pix_id=np.arange(N_PIXELS),
        pix_x=PIXEL_X_MM * u.mm,
        pix_y=PIXEL_Y_MM * u.mm,
        pix_area=np.full(N_PIXELS, PIXEL_AREA_MM2) * u.mm**2,
        pix_type=PixelShape.HEXAGON,
    )
    charge, time = random_images(300, seed=22)
    ours, valid = table(charge, time, PLAIN)
    _, used = clean(charge, time, PLAIN)
    for event in np.flatnonzero(valid):
        ellipse = hillas_parameters(geometry[used[event]], charge[event][used[event]])
        for name, value in {
            "mean_x_mm": ellipse.x, "mean_y_mm": ellipse.y, "length_mm": ellipse.length, "width_mm": ellipse.width,
        }.items():  # fmt: skip
            assert ours[name][event] == pytest.approx(value.to_value(u.mm), rel=1e-6, abs=2e-4), name
        assert np.sin(same_axis(ours["delta_rad"][event], ellipse.psi.to_value(u.rad))) < 1e-6
    assert valid.sum() > 250


def slow_parameters(charge, time, core, used, clip):
    """What ctapipe does not know, in the simplest possible way."""
    q = np.minimum(charge.astype(float), clip)
    x, y, w = PIXEL_X_MM[used], PIXEL_Y_MM[used], q[used]
    mean = np.average(np.array([x, y]), weights=w, axis=1)
    values, vectors = np.linalg.eigh(np.cov(x, y, aweights=w, ddof=0))
    axis = vectors[:, 1] * (1 if vectors[0, 1] >= 0 else -1)
    along = (x - mean[0]) * axis[0] + (y - mean[1]) * axis[1]
    across = (y - mean[1]) * axis[0] - (x - mean[0]) * axis[1]
    bright = np.sort(w)[::-1]
    near = np.argsort(np.hypot(PIXEL_X_MM - mean[0], PIXEL_Y_MM - mean[1]))[:3]
    angle = np.arctan2(across, along)
    length, width = np.sqrt(np.maximum(values[::-1], 0))
    edge = length * width / np.sqrt((width * np.cos(angle)) ** 2 + (length * np.sin(angle)) ** 2 + 1e-300)
    gradient, const = np.polyfit(along, time[used].astype(float), 1, w=np.sqrt(w))
    return {
        "m3_long_mm": np.cbrt(np.average(along**3, weights=w)),
        "m3_trans_mm": np.cbrt(np.average(across**3, weights=w)),
        "asym_mm": -along[np.argmax(w)],
        "max_distance_mm": np.hypot(along, across).max(),
        "time_gradient_slices_per_mm": gradient,
        "time_const_slices": const,
        "conc": (bright[0] + bright[1]) / w.sum(),
        "conc1": bright[0] / w.sum(),
        "conc_cog": max(q[near].sum(), 0) / w.sum(),
        "conc_core": w[edge > np.hypot(along, across) - 15.0].sum() / w.sum(),
        "used_area_mm2": used.sum() * 900 * np.sqrt(3) / 2,
        "core_area_mm2": core.sum() * 900 * np.sqrt(3) / 2,
        "n_core": core.sum(),
    }


def test_the_other_parameters_are_those_of_slow_sums():
    charge, time = random_images(200, seed=23, spread_mm=400.0, sizes=(2.0, 4.5))
    cuts = CleaningCuts()
    ours, valid = table(charge, time, cuts)
    core, used = clean(charge, time, cuts)
    compared = 0
    for event in np.flatnonzero(valid & (ours["width_mm"] > 1) & (ours["length_mm"] > 1.02 * ours["width_mm"])):
        compared += 1
        expected = slow_parameters(charge[event], time[event], core[event], used[event], cuts.clip_phe)
        for name, value in expected.items():
            tolerance = 1e-3 if name.startswith("m3") else 1e-6
            assert ours[name][event] == pytest.approx(value, rel=1e-5, abs=tolerance), name
    assert compared > 150
    assert (charge.max(axis=1) > 750).sum() > 10  # so that clipping mattered


def test_islands_and_dropped_pixels_are_counted():
    charge, time = np.zeros((1, N_PIXELS), np.float32), np.full((1, N_PIXELS), 25.0, np.float32)
    charge[0, [0, *NEIGHBOURS[0].tolist()]] = 20.0
    charge[0, [600, NEIGHBOURS[600][0], NEIGHBOURS[600][1]]] = 10.0
    charge[0, 900] = 9.0
    ours, valid = table(charge, time, CleaningCuts(6.0, 3.5, use_sum=False))
    assert valid[0]
    assert ours["n_islands"][0] == 2
    assert ours["size_main_island_phe"][0] == pytest.approx(140.0)
    assert ours["size_sub_islands_phe"][0] == pytest.approx(30.0)
    assert ours["n_single"][0] == 1
    assert ours["size_single_phe"][0] == pytest.approx(9.0)


@pytest.mark.parametrize("pixels", [[0], [0, 1]])
def test_fewer_than_three_pixels_are_no_image(pixels):
    charge, time = np.zeros((1, N_PIXELS), np.float32), np.full((1, N_PIXELS), 25.0, np.float32)
    charge[0, pixels] = 30.0
    assert not parametrise(charge, time, PLAIN)[1][0]


def test_three_pixels_in_a_line_have_no_width():
    charge, time = np.zeros((1, N_PIXELS), np.float32), np.full((1, N_PIXELS), 25.0, np.float32)
    charge[0, [NEIGHBOURS[0][0], 0, NEIGHBOURS[0][3]]] = 30.0
    ours, valid = table(charge, time, PLAIN)
    assert valid[0]
    assert ours["width_mm"][0] == pytest.approx(0.0, abs=1e-4)
    assert ours["length_mm"][0] == pytest.approx(30 * np.sqrt(2 / 3))
    assert ours["conc_core"][0] == pytest.approx(1.0)


positions = st.floats(-500, 500)


@given(positions, positions, positions, positions, st.floats(-np.pi / 2, np.pi / 2))
def test_source_parameters_belong_together(mean_x, mean_y, source_x, source_y, delta):
    image = {"mean_x_mm": np.array([mean_x]), "mean_y_mm": np.array([mean_y]), "delta_rad": np.array([delta])}
    found = {
        name: values[0] for name, values in source_parameters(image, np.array([source_x]), np.array([source_y])).items()
    }
    towards = np.array([mean_x - source_x, mean_y - source_y])
    assert found["dist_mm"] == pytest.approx(np.hypot(*towards))
    assert abs(found["alpha_deg"]) <= 90
    assert 0 <= found["dca_delta_deg"] <= 360
    if found["dist_mm"] < 1e-3:
        return
    # The foot of the perpendicular from the source on the axis, and the sign of the cross product there.
    axis = np.array([np.cos(delta), np.sin(delta)])
    foot = towards - (towards @ axis) * axis
    assert abs(found["dca_mm"]) == pytest.approx(np.hypot(*foot), abs=1e-6)
    assert found["cos_delta_alpha"] * found["dist_mm"] == pytest.approx(towards @ axis, abs=1e-6)
    assert np.sin(np.radians(found["alpha_deg"])) * found["dist_mm"] == pytest.approx(
        axis[0] * towards[1] - axis[1] * towards[0], abs=1e-6
    )
    back = towards - foot
    cross = back[0] * foot[1] - back[1] * foot[0]
    if abs(cross) > 1e-3:
        assert np.sign(found["dca_mm"]) == np.sign(cross)
        angle = np.radians(found["dca_delta_deg"])
        np.testing.assert_allclose([np.cos(angle), np.sin(angle)], back / np.hypot(*back), atol=1e-6)


def test_a_source_at_the_centre_of_an_image_gives_numbers():
    image = {name: np.zeros(1) for name in ("mean_x_mm", "mean_y_mm", "delta_rad")}
    assert all(np.isfinite(values).all() for values in source_parameters(image, np.zeros(1), np.zeros(1)).values())
