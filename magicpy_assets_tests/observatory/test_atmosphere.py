"""The atmosphere against the tables of the US Standard Atmosphere 1976, and against itself."""

import numpy as np
import pytest

from magicpy_assets.observatory.atmosphere import (
    DENSITY_KG_M3,
    DEPTH_G_CM2,
    GROUND_DEPTH_G_CM2,
    GROUND_M,
    HEIGHT_M,
    density_at,
    height_of,
    refraction_delay_m,
    refractivity,
    transmission,
)


def test_depth_at_the_telescopes_and_at_sea_level():
    assert pytest.approx(790.7, abs=1.0) == GROUND_DEPTH_G_CM2
    assert DEPTH_G_CM2[0] == pytest.approx(101_325 / 9.80665 / 10)


@pytest.mark.parametrize(
    ("height_m", "kg_m3"),
    [(0, 1.2250), (2000, 1.0066), (5000, 0.73643), (10_000, 0.41351), (20_000, 0.088910), (30_000, 0.018410)],
)
def test_density_is_that_of_the_standard(height_m, kg_m3):
    # The table is by geometric height, ours by geopotential height: up to 1.5 % apart at 30 km.
    assert density_at(float(height_m)) == pytest.approx(kg_m3, rel=0.035 if height_m > 15_000 else 0.01)


def test_height_and_depth_are_inverse():
    heights = np.linspace(GROUND_M, 45_000.0, 500)
    depths = np.exp(np.interp(heights, HEIGHT_M, np.log(DEPTH_G_CM2)))
    np.testing.assert_allclose([height_of(float(depth)) for depth in depths], heights, atol=5.0)


def test_heights_outside_the_table_are_held():
    assert height_of(0.1) == 59_000.0
    assert height_of(2000.0) == 0.0
    assert density_at(-100.0) == pytest.approx(DENSITY_KG_M3[0], rel=0.05)
    assert density_at(1e6) == DENSITY_KG_M3[-1]


def test_depth_is_the_integral_of_density():
    above = HEIGHT_M >= GROUND_M
    column = np.trapezoid(DENSITY_KG_M3[above], HEIGHT_M[above]) * 0.1
    assert column + DEPTH_G_CM2[-1] == pytest.approx(GROUND_DEPTH_G_CM2, rel=1e-3)


def test_refraction_delays_by_the_integral_of_refractivity():
    heights = np.linspace(GROUND_M, 10_000.0, 1000)
    delay_m = np.trapezoid([refractivity(density_at(float(h))) for h in heights], heights)
    depth = float(np.exp(np.interp(10_000.0, HEIGHT_M, np.log(DEPTH_G_CM2))))
    assert refraction_delay_m(depth, 1.0) == pytest.approx(delay_m, rel=2e-3)
    assert refraction_delay_m(depth, 0.5) == pytest.approx(2 * refraction_delay_m(depth, 1.0))


def test_light_from_higher_up_and_further_over_is_dimmed_more():
    vertical = [transmission(depth, height_of(depth) - GROUND_M, 1.0) for depth in (100.0, 300.0, 500.0, 780.0)]
    assert 0.7 < vertical[0] < vertical[1] < vertical[2] < vertical[3] < 1.0
    assert transmission(300.0, 7000.0, 0.5) == pytest.approx(transmission(300.0, 7000.0, 1.0) ** 2)
