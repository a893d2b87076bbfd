"""The history that records tell, and what of it goes into a product's own header."""

from __future__ import annotations

import json
import shutil
from datetime import date
from pathlib import Path

import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st

from magicpy_assets.core import datalevels
from magicpy_assets.core.cell import Cell
from magicpy_assets.core.errors import MissingInputError
from magicpy_assets.store.layout import Layout
from magicpy_assets.store.provenance import header_cards, history
from magicpy_assets.store.records import Record, fingerprint, record_path, write_record


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
    assert lines[0] == "s.root (superstar, superstar 2)"
    assert lines[1] == "  i1.root (star) [a=1, b=2]"
    assert lines[-1] == "    gone.root (no record)"


def test_what_many_products_were_made_from_is_told_once(tmp_path):
    layout, cell = Layout(tmp_path), Cell.parse("ST0316/za05to35/weak")
    forest, melibea = layout.forest(cell) / "RF.root", datalevels.Melibea
    superstars = [layout.data("CrabNebula", datalevels.SuperStar, cell, f"s{n}.root") for n in range(20)]
    melibeas = [layout.data("CrabNebula", melibea, cell, f"q{n}.root") for n in range(20)]
    spectrum = layout.data("CrabNebula", datalevels.Spectra, cell, "spectrum.json")
    for path in superstars:
        put(path, "superstar", {})
    put(forest, "random_forest", {path.name: f"f-{path.name}" for path in superstars})
    for path in melibeas:
        put(path, "melibea", {"RF.root": "f-RF.root"})
    put(spectrum, "spectra", {path.name: f"f-{path.name}" for path in melibeas})
    node = history(spectrum)
    assert len({child.inputs[0] for child in node.inputs}) == 1
    lines = str(node).splitlines()
    assert lines.count("    RF.root (as above)") == 19
    assert len(lines) == 1 + 20 + 20 + 20
    told = node.to_dict()
    assert [len(child["inputs"][0].get("inputs", ())) for child in told["inputs"]] == [20] + [0] * 19
    assert json.loads(json.dumps(told)) == told
    assert told["inputs"][3]["name"] == "q3.root"


def test_a_broken_record_that_names_itself_ends(tmp_path):
    made = fill(tmp_path)
    write_record(made, Record("f-self", "superstar", "", inputs=(("s.root", "f-self"),)))
    (itself,) = history(made).inputs
    assert itself.record is not None
    assert [(node.name, node.record) for node in itself.inputs] == [("s.root", None)]


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


# Header cards


def test_cards_say_what_made_a_product():
    wanted = fingerprint("star", 2, {}, [])
    record = Record(wanted, "star", "i.root", program="star", program_version="0.1", results_version=2, simulated=True)
    cards = header_cards(record.replace(inputs=(("y.root", "f"),), start="2026-11-23T12:00:00+00:00"))
    assert cards == {
        "STAGE": "star",
        "PROGRAM": "star",
        "PROGVERS": "0.1",
        "RESVERS": 2,
        "FINGERPR": wanted,
        "NINPUTS": 1,
        "MADE": "2026-11-23T12:00:00+00:00",
        "SIMULATD": True,
    }


@given(st.text(), st.text(), st.integers(0, 1000), st.booleans())
def test_cards_of_any_record_fit_into_a_fits_header(program, version, results_version, simulated):
    record = Record("f" * 64, "dl3", "", program=program, program_version=version, results_version=results_version)
    cards = header_cards(record.replace(simulated=simulated))
    header = fits.Header.fromstring(fits.Header(cards.items()).tostring())
    assert {key: header[key] for key in cards} == {
        key: value.rstrip() if isinstance(value, str) else value for key, value in cards.items()
    }
