"""Image parameters of toy ellipses whose moments are known, and of the same image turned or moved over the lattice."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from magicpy_assets.science.camera import N_PIXELS, PITCH_MM, PIXEL_X_MM, PIXEL_Y_MM, pixel_of
from magicpy_assets.science.cleaning import CleaningCuts
from magicpy_assets.science.hillas import PARAMETERS, parametrise

EVERYTHING = CleaningCuts(1e-9, 1e-9, use_sum=False, use_time=False, clip_phe=np.inf)
STANDARD = CleaningCuts()
KEPT_BY_TURNING = tuple(name for name in PARAMETERS if name not in ("delta_rad", "mean_x_mm", "mean_y_mm"))
SIGNED = ("m3_long_mm", "m3_trans_mm", "asym_mm", "time_gradient_slices_per_mm")
"""Their signs hang on which way along its axis an image is looked at."""


def ellipse(x, y, length, width, delta, gradient=0.0, size=2000.0):
    """Charges and times of an elliptical Gaussian without noise."""
    dx, dy = PIXEL_X_MM - x, PIXEL_Y_MM - y
    along, across = dx * np.cos(delta) + dy * np.sin(delta), dy * np.cos(delta) - dx * np.sin(delta)
    light = np.exp(-0.5 * ((along / length) ** 2 + (across / width) ** 2))
    return (size * light / light.sum()).astype(np.float32), (25 + gradient * along).astype(np.float32)


def parameters(charge, time, cuts=STANDARD):
    """The parameters of one image by name."""
    found, valid = parametrise(charge[None], time[None], cuts)
    assert valid[0]
    return dict(zip(PARAMETERS, found[0], strict=True))


def angle_between(first, second):
    """Difference of two axes, which have no head."""
    return abs((first - second + np.pi / 2) % np.pi - np.pi / 2)


@settings(max_examples=60)
@given(
    st.floats(-60, 60),
    st.floats(-60, 60),
    st.floats(45, 70),
    st.floats(26, 38),
    st.floats(-np.pi / 2, np.pi / 2),
    st.floats(-0.05, 0.05),
)
def test_the_moments_of_an_ellipse_are_found(x, y, length, width, delta, gradient):
    """A Gaussian as wide as a pixel or wider, sampled on the lattice: sums are integrals to a part in a thousand."""
    found = parameters(*ellipse(x, y, length, width, delta, gradient), EVERYTHING)
    assert found["size_phe"] == pytest.approx(2000, rel=1e-5)
    assert (found["mean_x_mm"], found["mean_y_mm"]) == pytest.approx((x, y), abs=0.1)
    assert found["length_mm"] == pytest.approx(length, rel=2e-3)
    assert found["width_mm"] == pytest.approx(width, rel=2e-3)
    assert angle_between(found["delta_rad"], delta) < 0.01
    # The third root makes much of little: a thousandth of the length cubed is a tenth of it.
    assert abs(found["m3_long_mm"]) < 0.1 * length
    sign = np.sign(np.cos(found["delta_rad"] - delta))
    assert sign * found["time_gradient_slices_per_mm"] == pytest.approx(gradient, abs=1e-4)
    assert found["mean_time_slices"] == pytest.approx(25, abs=0.01)
    assert found["n_islands"] == 1


def turned_pixels(sixths):
    """For each pixel the one that lies where turning by sixths of a circle takes it: the camera is the same then."""
    cos, sin = np.cos(sixths * np.pi / 3), np.sin(sixths * np.pi / 3)
    x, y = PIXEL_X_MM * cos - PIXEL_Y_MM * sin, PIXEL_X_MM * sin + PIXEL_Y_MM * cos
    found = np.array([pixel_of(a, b) for a, b in zip(x, y, strict=True)])
    assert sorted(found) == list(range(N_PIXELS))
    return found


TURNED = [turned_pixels(sixths) for sixths in range(6)]

images = st.builds(
    ellipse,
    st.floats(-250, 250),
    st.floats(-250, 250),
    st.floats(30, 80),
    st.floats(10, 25),
    st.floats(-np.pi / 2, np.pi / 2),
    st.floats(-0.05, 0.05),
    st.floats(300, 5000),
)


@settings(max_examples=40)
@given(images, st.integers(0, 2**32 - 1), st.integers(1, 5))
def test_a_turned_image_has_turned_axes_and_otherwise_the_same_parameters(image, seed, sixths):
    rng = np.random.default_rng(seed)
    charge = image[0] + rng.normal(2, 1, N_PIXELS).astype(np.float32)
    time = image[1] + rng.normal(0, 0.3, N_PIXELS).astype(np.float32)
    first = parameters(charge, time)
    turned_charge, turned_time = np.empty_like(charge), np.empty_like(time)
    turned_charge[TURNED[sixths]], turned_time[TURNED[sixths]] = charge, time
    second = parameters(turned_charge, turned_time)
    angle = sixths * np.pi / 3
    centre = (first["mean_x_mm"] + 1j * first["mean_y_mm"]) * np.exp(1j * angle)
    assert abs(second["mean_x_mm"] + 1j * second["mean_y_mm"] - centre) < 1e-3
    if first["length_mm"] > 1.05 * first["width_mm"]:
        assert angle_between(second["delta_rad"], first["delta_rad"] + angle) < 1e-3
    for name in KEPT_BY_TURNING:
        a, b = (abs(found[name]) if name in SIGNED else found[name] for found in (first, second))
        if name not in SIGNED or first["length_mm"] > 1.05 * first["width_mm"]:
            assert a == pytest.approx(b, rel=1e-3, abs=0.1 if name.startswith("m3") else 1e-3), name


@settings(max_examples=40)
@given(st.integers(-4, 4), st.integers(-4, 4), st.floats(35, 60), st.floats(12, 25), st.floats(-1.5, 1.5))
def test_a_moved_image_has_the_same_shape(columns, rows, length, width, delta):
    """Moved by whole pixels, away from the edge; off the middle of a pixel, where two neighbours are equally near."""
    first_step = PIXEL_X_MM[1] - PIXEL_X_MM[0], PIXEL_Y_MM[1] - PIXEL_Y_MM[0]
    second_step = PIXEL_X_MM[2] - PIXEL_X_MM[0], PIXEL_Y_MM[2] - PIXEL_Y_MM[0]
    assert np.hypot(*first_step) == pytest.approx(PITCH_MM)
    x, y = (columns * a + rows * b for a, b in zip(first_step, second_step, strict=True))
    here, there = (parameters(*ellipse(*place, length, width, delta, 0.01)) for place in ((5, 3), (x + 5, y + 3)))
    assert (there["mean_x_mm"] - here["mean_x_mm"], there["mean_y_mm"] - here["mean_y_mm"]) == pytest.approx(
        (x, y), abs=1e-2
    )
    for name in ("size_phe", "length_mm", "width_mm", "conc", "conc1", "conc_cog", "n_used", "n_core", "leakage1"):
        assert here[name] == pytest.approx(there[name], rel=1e-3, abs=1e-6), name


@pytest.mark.parametrize("factor", [0.5, 3.0])
def test_twice_the_light_and_twice_the_levels_change_no_shape(factor):
    charge, time = ellipse(20, -40, 50, 20, 0.7, 0.02)
    first = parameters(charge, time, CleaningCuts(6, 3.5, clip_phe=750))
    levels = CleaningCuts(6 * factor, 3.5 * factor, clip_phe=750 * factor)
    second = parameters(charge * np.float32(factor), time, levels)
    assert second["size_phe"] == pytest.approx(factor * first["size_phe"], rel=1e-5)
    for name in set(PARAMETERS) - {"size_phe", "size_main_island_phe", "size_sub_islands_phe", "size_single_phe"}:
        assert second[name] == pytest.approx(first[name], rel=1e-4, abs=0.05), name
