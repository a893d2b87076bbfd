"""Saved analyses: kept as text, gone on with in a new object, told when they cannot be read."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from magicpy_assets.analysis import state
from magicpy_assets.analysis.source import Source
from magicpy_assets.core import moons, periods, zeniths
from magicpy_assets.core.errors import InputError, MissingInputError
from magicpy_assets.core.settings import load_settings

FILTER = {
    "za": [zeniths.za05to35, zeniths.za35to50],
    "moon_level": [moons.WeakMoon],
    "L1_rate": ">0.0",
    "nsb": (None, 2.5),
    "date": (date(2020, 11, 1), date(2020, 12, 31)),
    "az_deg": (None, None),
    "sum_trigger": "No_Sumt",
}


@pytest.fixture
def settings(environment, tmp_path):
    return load_settings(store=str(tmp_path), forest={"off_hours": 0.5})


@pytest.fixture
def saved(settings):
    with Source("Crab", periods.ST0316, settings=settings, quiet=True) as crab:
        crab.search()
        crab.filter(FILTER)
        return crab.save(), crab.runs["run"].tolist()


@pytest.mark.xdist_group("chain")
def test_a_saved_analysis_goes_on_where_it_stopped(saved, tmp_path):
    path, runs = saved
    assert runs
    with Source.load("M1", settings=load_settings(store=str(tmp_path)), quiet=True) as again:
        assert (again.name, again.period) == ("CrabNebula", periods.ST0316)
        assert again.runs["run"].tolist() == runs
        assert [cut.column for cut in again.selection.cuts] == list(FILTER)
        assert again.session.settings.forest.off_hours == 0.5
        assert again.save() == path
    with Source.load("Crab", settings=load_settings(store=str(tmp_path), forest={"off_hours": 2}), quiet=True) as other:
        assert other.session.settings.forest.off_hours == 2  # what is set now wins


@pytest.mark.xdist_group("chain")
def test_the_file_is_text_for_people_and_holds_no_password(saved, observatory):
    path, _ = saved
    text = path.read_text(encoding="utf-8")
    assert 'condition = ">0.0"' in text
    assert "za05to35" in text
    assert observatory.password not in text


@pytest.mark.xdist_group("chain")
def test_a_function_cannot_be_saved_and_the_old_file_stays(saved, settings):
    path, _ = saved
    before = path.read_bytes()
    with Source("Crab", periods.ST0316, settings=settings, quiet=True) as crab:
        crab.search()
        crab.filter({"nsb": lambda value: value < 2})
        with pytest.raises(InputError, match="condition on nsb is a function"):
            crab.save()
    assert path.read_bytes() == before


@pytest.mark.xdist_group("chain")
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text.replace("version = 1", "version = 99"), "version 99"),
        (lambda text: text.replace("version = 1", ""), "version none"),
        (lambda text: text + "\n[[broken", "no TOML"),
        (lambda text: text.replace("runs =", "rums ="), "not complete"),
        (lambda text: text.replace('condition = ">0.0"', "condition = {a = 1}"), "not complete"),
        (lambda text: re.sub(r"saved = .*", "saved = 7", text), "no time"),
        (lambda text: re.sub(r"saved = .*", 'saved = "yesterday"', text), "no time"),
        (lambda text: re.sub(r"runs = \[", 'runs = ["12", ', text), "no run number"),
        (lambda text: re.sub(r"runs = \[", "runs = [true, ", text), "no run number"),
        (lambda text: re.sub(r"\[seen\.\d+\]", "[seen.first]", text, count=1), "not complete"),
    ],
)
def test_a_file_that_cannot_be_understood_is_told_and_left(saved, settings, change, words):
    path, _ = saved
    broken = change(path.read_text(encoding="utf-8"))
    path.write_text(broken, encoding="utf-8")
    with pytest.raises(InputError, match=words):
        Source.load("Crab", settings=settings)
    assert path.read_text(encoding="utf-8") == broken


def test_nothing_saved_is_told(tmp_path):
    with pytest.raises(MissingInputError, match="no saved analysis"):
        Source.load("Crab", settings=load_settings(store=str(tmp_path)))


@pytest.mark.xdist_group("chain")
def test_what_is_new_since_a_search(settings):
    with Source("Crab", periods.ST0316, settings=settings, quiet=True) as crab:
        crab.search()
        crab.filter({"moon_level": "weak"})
        crab.save_search("weak-only")
        assert str(crab.new_since("weak-only")) == "nothing has changed"
        kept = set(crab.runs["run"])
        crab.undo()
        since = crab.new_since("weak-only")
        assert set(since.new) == set(crab.runs["run"]) - kept != set()
        assert since.gone == ()
        with pytest.raises(InputError, match="name of a search"):
            crab.save_search("../elsewhere")


@pytest.mark.xdist_group("chain")
def test_runs_that_have_changed_since_a_search_are_told_with_what(settings):
    with Source("Crab", periods.ST0316, settings=settings, quiet=True) as crab:
        crab.search()
        path = crab.save_search("before")
        kept = state.read(path)
        first, second, third = kept.runs[:3]
        seen = {run: dict(columns) for run, columns in kept.seen.items()}
        seen[first]["cell"] = "ST0316/za05to35/high"
        seen[second] |= {"duration_s": 7.0, "nsb": 9.5}
        del seen[third]  # of a run that was kept before this was looked at, nothing can be said
        state.write(path, replace(kept, seen=seen))
        since = crab.new_since("before")
        now = crab.runs.set_index("run")
        assert since.changed == {
            first: {"cell": ("ST0316/za05to35/high", now.loc[first, "cell"])},
            second: {
                "duration_s": (7.0, pytest.approx(now.loc[second, "duration_s"], abs=0.05)),
                "nsb": (9.5, pytest.approx(now.loc[second, "nsb"], abs=0.005)),
            },
        }
        assert (since.new, since.gone) == ((), ())
        assert f"2 runs changed: {first} (cell ST0316/za05to35/high -> " in str(since)


@pytest.mark.xdist_group("chain")
def test_several_conditions_on_a_column_come_back(settings):
    with Source("Crab", periods.ST0316, settings=settings, quiet=True) as crab:
        crab.search()
        for text in (">=2020-11-16", "<2020-12-20"):
            crab.filter({"date": text})
        runs = crab.runs["run"].tolist()
        crab.save()
    with Source.load("Crab", settings=settings, quiet=True) as again:
        assert [(cut.column, cut.condition) for cut in again.selection.cuts] == [
            ("date", ">=2020-11-16"),
            ("date", "<2020-12-20"),
        ]
        assert again.runs["run"].tolist() == runs != []


conditions = st.one_of(
    st.text(max_size=20),
    st.integers(-(2**40), 2**40),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.dates(),
    st.lists(st.integers(0, 1000), max_size=4),
    st.tuples(st.one_of(st.none(), st.integers(0, 5)), st.one_of(st.none(), st.integers(5, 9))),
)


@example([("run", [2, 1000])], [])
@example([("nsb", (None, None))], [])
@given(
    st.lists(st.tuples(st.from_regex(r"[a-z]{1,8}", fullmatch=True), conditions), max_size=4), st.lists(st.integers(0))
)
def test_any_state_comes_back(tmp_path_factory, filters, runs):
    path = tmp_path_factory.mktemp("state") / "analysis.toml"
    saved = state.Saved("Crab", None, tuple(filters), tuple(runs))
    state.write(path, saved)
    read = state.read(path)
    assert read.conditions == saved.conditions
    assert (read.source, read.period, read.runs) == ("Crab", None, tuple(runs))
