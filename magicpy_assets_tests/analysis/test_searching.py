"""Looking at runs: hours sorted in several ways, sizes, what was observed; the documented columns are true."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from magicpy_assets.analysis.observed import observed, with_hours
from magicpy_assets.analysis.source import Source
from magicpy_assets.cli import app
from magicpy_assets.core import periods, sources
from magicpy_assets.core.errors import UnknownNameError
from magicpy_assets.core.runs import RUN_COLUMNS, SUBRUN_COLUMNS
from magicpy_assets.core.selection import Selection
from magicpy_assets_tests.conftest import settings_for

pytestmark = pytest.mark.xdist_group("chain")
DOCS = Path(__file__).parents[2] / "docs" / "searching.md"


@pytest.fixture(scope="module")
def crab(environment, tmp_path_factory):
    with Source("Crab", periods.ST0316, settings=settings_for(tmp_path_factory.mktemp("searching")), quiet=True) as it:
        it.search()
        yield it


@pytest.mark.parametrize("by", ["moon", "night", "wobble"])
def test_hours_add_up_whatever_goes_down(crab, by):
    table = crab.hours(by).to_table()
    assert table.to_numpy().sum() == pytest.approx(crab.runs["duration_s"].sum() / 3600, abs=0.01 * table.size)
    assert str(table.index[0]) in str(crab.hours(by))
    assert "<table" in crab.hours(by)._repr_html_()


def test_an_unknown_way_to_sort_is_told(crab):
    with pytest.raises(UnknownNameError, match="wobbel"):
        crab.hours("wobbel")


def test_sizes_tell_what_is_not_known(crab):
    sizes = crab.sizes()
    assert sizes.files == len(crab.subruns)
    assert sizes.free_bytes > 0
    assert "files to download" in str(sizes)


def test_what_was_observed_comes_with_hours(crab):
    table = observed(crab.session).set_index("name")
    assert set(table.index) >= {"CrabNebula", "S20109+22", "OJ287", "TXS0827+243"}
    assert table["hours"].is_monotonic_decreasing
    mine = with_hours(crab.session, sources.search("crab")).iloc[0]
    assert mine["hours_ST0316"] == mine["hours"] == pytest.approx(crab.runs["duration_s"].sum() / 3600, abs=0.01)


def test_the_command_line_looks_for_sources(environment, tmp_path, monkeypatch):
    monkeypatch.setenv("MAGICPY_STORE", str(tmp_path))
    run = CliRunner().invoke
    assert "CrabNebula" in run(app, ["sources", "crab", "--hours"]).output
    assert "CrabNebula" in run(app, ["sources", "--cone", "83.6", "22.0", "1.0"]).output
    assert "no source" in run(app, ["sources", "nowhere"]).output


def table_of_runs():
    return pd.DataFrame({"a": [1, 2, 3, 4], "b": [1, 1, 2, 2], "duration_s": [900.0] * 4})


def test_the_condition_to_loosen_is_named():
    nothing = Selection.of(table_of_runs()).filter({"a": ">3", "b": 1})
    assert nothing.without_each() == [2, 1]
    assert nothing.explain() == "nothing is left; without a >3 there would be 2 runs"
    hopeless = Selection.of(table_of_runs()).filter({"a": ">9", "b": 7})
    assert "no single condition is to blame" in hopeless.explain()
    assert "2 of 4 runs" in Selection.of(table_of_runs()).filter({"a": "<3"}).explain()


def test_the_documentation_has_the_columns():
    text = DOCS.read_text(encoding="utf-8")
    for columns in (RUN_COLUMNS, SUBRUN_COLUMNS):
        for column in columns:
            assert f"| `{column.name}` | {column.dtype} | {column.unit} | {column.meaning} |" in text, column.name
