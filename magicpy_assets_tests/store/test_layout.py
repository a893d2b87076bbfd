"""Where products lie, both ways, and the history that their records tell."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magicpy_assets.core import datalevels, moons, periods, zeniths
from magicpy_assets.core.cell import Cell
from magicpy_assets.core.errors import InputError, MagicpyError, MissingInputError
from magicpy_assets.store.layout import Layout, Place
from magicpy_assets.store.provenance import history
from magicpy_assets.store.records import Record, record_path, write_record

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


def test_other_folders_are_no_store(tmp_path):
    with pytest.raises(InputError, match=r"a\.root"):
        Layout.of(tmp_path / "a.root")


def test_paths_are_those_that_people_know():
    cell = Cell.parse("ST0316/za35to50/weak")
    day = date(2021, 3, 14)
    relative = {
        "star": LAYOUT.data("CrabNebula", datalevels.Star, cell, "a.root"),
        "calibrated": LAYOUT.calibrated("CrabNebula", day, "a.root"),
        "forest": LAYOUT.forest(cell),
        "mc": LAYOUT.mc(datalevels.Calibrated, "ST0316", "za35to50", "train", "a.root"),
        "mc star": LAYOUT.mc(datalevels.Star, "ST0316", "za35to50", "test", "a.root", moon="weak"),
        "catalogue": LAYOUT.catalogue(day),
    }
    assert {key: path.relative_to(LAYOUT.root).as_posix() for key, path in relative.items()} == {
        "star": "CrabNebula/star/ST0316/za35to50-weak/a.root",
        "calibrated": "CrabNebula/calibrated/2021_03_14/a.root",
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


# History


def put(product: Path, stage: str, inputs: dict[str, str], **fields: object) -> None:
    product.parent.mkdir(parents=True, exist_ok=True)
    product.write_text(stage)
    write_record(product, Record(f"f-{product.name}", stage, product.name, inputs=tuple(inputs.items()), **fields))


def fill(root: Path) -> Path:
    """Put a calibrated file, two star files and a superstar file into a store; return the last."""
    layout, cell = Layout(root), Cell.parse("ST0316/za05to35/weak")
    put(layout.calibrated("CrabNebula", date(2021, 3, 14), "y.root"), "calibrated", {})
    star, superstar = datalevels.Star, datalevels.SuperStar
    put(layout.data("CrabNebula", star, cell, "i1.root"), "star", {"y.root": "f-y.root"}, parameters={"b": 2, "a": 1})
    put(layout.data("CrabNebula", star, cell, "i2.root"), "star", {"y.root": "f-y.root", "gone.root": "f-gone"})
    made = layout.data("CrabNebula", superstar, cell, "s.root")
    put(made, "superstar", {"i1.root": "f-i1.root", "i2.root": "f-i2.root"}, program="superstar", program_version="2")
    return made


def test_a_history_reaches_to_the_archive(tmp_path):
    node = history(fill(tmp_path))
    assert [child.name for child in node.inputs] == ["i1.root", "i2.root"]
    assert [leaf.name for child in node.inputs for leaf in child.inputs] == ["y.root", "y.root", "gone.root"]
    gone = node.inputs[1].inputs[1]
    assert gone.record is None
    lines = str(node).splitlines()
    assert len(lines) == 6
    assert lines[0].startswith("s.root (superstar, superstar 2")
    assert lines[1].startswith("  i1.root (star")
    assert lines[1].endswith("[a=1, b=2]")
    assert lines[-1] == "    gone.root (no record)"


def test_a_moved_store_still_knows(tmp_path):
    made = fill(tmp_path / "old")
    expected = str(history(made))
    shutil.move(tmp_path / "old", tmp_path / "new")
    assert str(history(tmp_path / "new" / made.relative_to(tmp_path / "old"))) == expected


def test_a_product_made_anew_is_not_what_its_children_were_made_from(tmp_path):
    made = fill(tmp_path)
    star = made.parents[3] / "star" / "ST0316" / "za05to35-weak" / "i1.root"
    write_record(star, Record("another", "star", "i1.root"))
    first, second = history(made).inputs
    assert first.record is None
    assert second.record is not None


def test_what_has_no_record_has_no_history(tmp_path):
    made = fill(tmp_path)
    record_path(made).unlink()
    with pytest.raises(MissingInputError, match=r"s\.root has no record"):
        history(made)
