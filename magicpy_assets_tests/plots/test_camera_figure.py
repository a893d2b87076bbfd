"""The camera as a figure: every pixel in its place, in its colour, with scales that agree."""

from __future__ import annotations

import io

import numpy as np
import pytest

from magicpy_assets.plots.camera import draw_camera, hexagons, mark, outline_pixels
from magicpy_assets.science.camera import (
    N_PIXELS,
    NEIGHBOURS,
    PITCH_MM,
    PIXEL_AREA_MM2,
    PIXEL_X_MM,
    PIXEL_Y_MM,
    degrees_of,
    pixel_of,
    pixels_of,
)


@pytest.fixture
def axes():
    from matplotlib.figure import Figure

    return Figure().add_subplot()


def test_hexagons_tile_the_camera():
    corners = hexagons()
    assert corners.shape == (N_PIXELS, 6, 2)
    x, y = corners[..., 0], corners[..., 1]
    area = 0.5 * np.abs((x * np.roll(y, -1, axis=1) - y * np.roll(x, -1, axis=1)).sum(axis=1))
    assert area == pytest.approx(PIXEL_AREA_MM2)
    # Neighbours share the two corners of one edge; a hexagon turned wrongly would share none.
    first = corners[0]
    for neighbour in NEIGHBOURS[0]:
        apart = np.hypot(*(first[:, None, :] - corners[neighbour][None, :, :]).transpose(2, 0, 1))
        assert (apart < 1e-6 * PITCH_MM).sum() == 2


def test_corners_belong_to_their_pixel():
    inner = 0.99 * (hexagons() - np.stack([PIXEL_X_MM, PIXEL_Y_MM], axis=-1)[:, None, :])
    for corner in range(6):
        x, y = PIXEL_X_MM + inner[:, corner, 0], PIXEL_Y_MM + inner[:, corner, 1]
        assert (pixels_of(x, y) == np.arange(N_PIXELS)).all()
    assert pixels_of(np.array([0.0, 9e3]), np.array([0.0, 0.0])).tolist() == [pixel_of(0.0, 0.0), -1]


def test_values_reach_their_pixels_and_hidden_ones_are_empty(axes):
    values = np.arange(N_PIXELS, dtype=np.float64)
    pixels = draw_camera(axes, values, shown=values % 2 == 0, label="charge (phe)")
    drawn = pixels.get_array()
    assert np.ma.getmaskarray(drawn).tolist() == (values % 2 == 1).tolist()
    assert np.ma.compressed(drawn).tolist() == values[::2].tolist()
    assert pixels.get_clim() == (0.0, N_PIXELS - 1)
    bars = [child for child in axes.child_axes if child.get_ylabel() == "charge (phe)"]
    assert len(bars) == 1


def test_the_scale_in_degrees_fits_the_one_in_millimetres(axes):
    draw_camera(axes, np.ones(N_PIXELS))
    axes.figure.savefig(io.BytesIO(), format="png")  # scales are set when drawn
    top = next(child for child in axes.child_axes if child.get_xlim() != axes.get_xlim() and child.get_xlim()[1] < 3)
    assert top.get_xlim() == pytest.approx([float(degrees_of(end)) for end in axes.get_xlim()])


def test_a_camera_without_any_value_is_drawn_empty(axes):
    pixels = draw_camera(axes, np.full(N_PIXELS, np.nan), power=0.5)
    assert np.ma.getmaskarray(pixels.get_array()).all()


def test_another_number_of_pixels_is_refused(axes):
    with pytest.raises(ValueError, match="1039 pixels"):
        draw_camera(axes, np.zeros(1183))


def test_marks_outside_and_outlines(axes):
    mark(axes, (0.0, 0.0), "x", colour="red", label="here")
    mark(axes, (900.0, 0.0), "x", colour="red", label="outside")
    assert axes.get_legend_handles_labels()[1] == ["here"]
    bad = np.zeros(N_PIXELS, dtype=bool)
    bad[[3, 5]] = True
    outline_pixels(axes, bad, colour="grey")
    outlines = axes.collections[-1]
    assert len(outlines.get_paths()) == 2
