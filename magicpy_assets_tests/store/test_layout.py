"""Where products lie, both ways."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magicpy_assets.core import datalevels, moons, periods, zeniths
from magicpy_assets.core.cell import Cell
from magicpy_assets.core.errors import InputError, MagicpyError
from magicpy_assets.core.telescopes import ALL, M1, M2
from magicpy_assets.store.layout import Layout, Place

LAYOUT = Layout(Path("/data/store"))
NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.+\-]{0,40}", fullmatch=True)
CELLS = st.builds(
    Cell, st.sampled_from(periods.all_periods()), st.sampled_from(zeniths.ALL), st.sampled_from(moons.ALL)
)
MADE_HERE = st.sampled_from([level for level in datalevels.ALL if level != datalevels.Calibrated])


@given(NAMES, MADE_HERE, CELLS, NAMES)
def test_a_product_is_found_again_from_its_path(source, level, cell, name):
    path = LAYOUT.data(source, level, cell, name)
    assert path.is_relative_to(LAYOUT.root)
    assert LAYOUT.place(path) == Place(source, level, name, cell=cell)
    assert Layout.of(path) == LAYOUT


@given(NAMES, st.dates(date(2003, 1, 1), date(2035, 1, 1)), NAMES)
def test_a_downloaded_file_is_found_again_from_its_path(source, night, name):
    path = LAYOUT.calibrated(source, night, name)
    assert LAYOUT.place(path) == Place(source, datalevels.Calibrated, name, night=night)
    assert Layout.of(path) == LAYOUT


@given(st.tuples(NAMES, MADE_HERE, CELLS, NAMES), st.tuples(NAMES, MADE_HERE, CELLS, NAMES))
def test_different_products_never_share_a_path(one, other):
    assert (LAYOUT.data(*one) == LAYOUT.data(*other)) == (one == other)


@given(CELLS, CELLS)
def test_forests_of_different_cells_never_share_a_folder(one, other):
    assert (LAYOUT.forest(one) == LAYOUT.forest(other)) == (one == other)


@given(CELLS, st.sampled_from(["train", "test"]), MADE_HERE, NAMES)
def test_forests_and_monte_carlo_know_their_store(cell, use, level, name):
    path = LAYOUT.mc(level, cell.period.name, cell.zenith.name, use, name, moon=cell.moon.key)
    assert Layout.of(path) == Layout.of(LAYOUT.forest(cell) / "disp1" / name) == LAYOUT


@pytest.mark.parametrize("telescopes", ALL, ids=lambda one: one.text)
def test_what_is_over_cells_is_found_in_its_store(telescopes):
    layout = Layout(LAYOUT.root, telescopes)
    assert Layout.of(layout.combined("CrabNebula", "ST0316", "spectrum.json")) == layout
    assert Layout.of(layout.combined("CrabNebula", None, "spectrum.json")) == layout
    assert Layout.of(layout.shown("CrabNebula", "report") / "ST0316" / "report.html") == layout


def test_other_folders_are_no_store(tmp_path):
    with pytest.raises(InputError, match=r"a\.root"):
        Layout.of(tmp_path / "a.root")


def test_paths_are_those_that_people_know():
    cell = Cell.parse("ST0316/za35to50/weak")
    day = date(2021, 3, 14)
    relative = {
        "star": LAYOUT.data("CrabNebula", datalevels.Star, cell, "a.root"),
        "calibrated": LAYOUT.calibrated("CrabNebula", day, "a.root"),
        "downloaded": LAYOUT.downloaded("CrabNebula", datalevels.SuperStar, day, "a.root"),
        "forest": LAYOUT.forest(cell),
        "mc": LAYOUT.mc(datalevels.Calibrated, "ST0316", "za35to50", "train", "a.root"),
        "mc star": LAYOUT.mc(datalevels.Star, "ST0316", "za35to50", "test", "a.root", moon="weak"),
        "catalogue": LAYOUT.catalogue(day),
    }
    assert {key: path.relative_to(LAYOUT.root).as_posix() for key, path in relative.items()} == {
        "star": "CrabNebula/star/ST0316/za35to50-weak/a.root",
        "calibrated": "CrabNebula/calibrated/2021_03_14/a.root",
        "downloaded": "CrabNebula/superstar-archive/2021_03_14/a.root",
        "forest": "RFs/ST0316/za35to50/weak",
        "mc": "MC/train/calibrated/ST0316/za35to50/a.root",
        "mc star": "MC/test/star/ST0316/za35to50-weak/a.root",
        "catalogue": "catalogue/2021_03_14.parquet",
    }


@pytest.mark.parametrize("path", ["/elsewhere/a.root", "/data/store", "/data/store/a.root", "/data/store/a/b/c/d/e/f"])
def test_other_paths_are_refused(path):
    with pytest.raises(InputError, match="store"):
        LAYOUT.place(Path(path))


@pytest.mark.parametrize(
    "path", ["CrabNebula/calibrated/yesterday/a.root", "CrabNebula/stars/ST0316/za35to50-weak/a", "a/star/ST0316/za/b"]
)
def test_misspelt_paths_are_refused(path):
    with pytest.raises(MagicpyError):
        LAYOUT.place(LAYOUT.root / path)


@given(NAMES, MADE_HERE, CELLS, NAMES, st.sampled_from(["train", "test"]))
def test_what_differs_between_stereo_and_mono_never_shares_a_path(source, level, cell, name, use):
    layouts = [Layout(LAYOUT.root, one) for one in ALL]
    paths = {layout.data(source, level, cell, name) for layout in layouts}
    monte_carlo = {layout.mc(level, cell.period.name, cell.zenith.name, use, name, moon="weak") for layout in layouts}
    shared = level in (datalevels.Star, datalevels.SuperStar)
    assert len(paths) == len(monte_carlo) == (1 if shared else 3)
    assert len({layout.forest(cell) for layout in layouts}) == 3
    assert len({layout.combined(source, "ST0316", name) for layout in layouts}) == 3
    assert len({layout.shown(source, "report") for layout in layouts}) == 3
    for layout in layouts:
        assert Layout.of(layout.forest(cell) / "disp1" / name) == layout
        if not shared:
            path = layout.data(source, level, cell, name)
            assert Layout.of(path) == layout
            assert layout.place(path) == Place(source, level, name, cell=cell, telescopes=layout.telescopes)
            path = layout.mc(level, cell.period.name, cell.zenith.name, use, name, moon="weak")
            assert Layout.of(path) == layout


def test_paths_of_one_telescope_alone():
    cell = Cell.parse("ST0316/za35to50/weak")
    m1, m2 = Layout(LAYOUT.root, M1), Layout(LAYOUT.root, M2)
    relative = {
        "melibea": m1.data("CrabNebula", datalevels.Melibea, cell, "a.root"),
        "dl3": m2.data("CrabNebula", datalevels.DL3, cell, "a.fits"),
        "forest": m1.forest(cell),
        "mc": m1.mc(datalevels.Melibea, "ST0316", "za35to50", "test", "a.root", moon="weak"),
        "combined": m2.combined("CrabNebula", None, "spectrum.json"),
    }
    assert {key: path.relative_to(LAYOUT.root).as_posix() for key, path in relative.items()} == {
        "melibea": "CrabNebula/melibea-M1/ST0316/za35to50-weak/a.root",
        "dl3": "CrabNebula/dl3-M2/ST0316/za35to50-weak/a.fits",
        "forest": "RFs/ST0316/za35to50/weak/M1",
        "mc": "MC/test/melibea-M1/ST0316/za35to50-weak/a.root",
        "combined": "CrabNebula/combined-M2/all/spectrum.json",
    }
