"""The filter grammar and its cut flow, on a small run table."""

from __future__ import annotations

import operator
from collections.abc import Callable

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from magicpy_assets.core import moons, zeniths
from magicpy_assets.core.errors import InputError, UnknownNameError
from magicpy_assets.core.selection import Selection, describe, mask

RUNS = pd.DataFrame(
    {
        "run": [1, 2, 3, 4],
        "date": pd.to_datetime(["2020-11-16", "2020-11-16", "2020-11-24", "2020-12-15"]),
        "za": ["za05to35", "za35to50", "za35to50", "za35to50"],
        "moon_level": ["weak", "weak", "moderate", "high"],
        "L1_rate": [100.0, 0.0, 250.0, 90.0],
        "nsb": [1.0, 1.5, 2.5, 9.0],
        "sum_trigger": ["No_Sumt", "No_Sumt", "Sumt", "No_Sumt"],
        "stereo": [True, True, True, False],
        "duration_s": [1800.0, 3600.0, 900.0, 900.0],
    }
)


Comparison = Callable[[float, float], bool]
COMPARISONS: dict[str, Comparison] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
}


def kept(column: str, condition: object) -> list[int]:
    return list(RUNS[mask(RUNS, column, condition)]["run"])


@pytest.mark.parametrize(
    ("column", "condition", "expected"),
    [
        ("za", zeniths.za05to35, [1]),
        ("za", [zeniths.za05to35, "za35to50"], [1, 2, 3, 4]),
        ("moon_level", [moons.WeakMoon, moons.ModerateMoon], [1, 2, 3]),
        ("moon_level", {"weak"}, [1, 2]),
        ("sum_trigger", "No_Sumt", [1, 2, 4]),
        ("L1_rate", ">0.0", [1, 3, 4]),
        ("L1_rate", " > 0.0 ", [1, 3, 4]),
        ("L1_rate", "0", [2]),
        ("sum_trigger", "!= No_Sumt", [3]),
        ("nsb", (1.5, 2.5), [2, 3]),
        ("nsb", (None, 1.5), [1, 2]),
        ("nsb", (2, None), [3, 4]),
        ("nsb", lambda value: value > 5, [4]),
        ("date", ">=2020-11-24", [3, 4]),
        ("date", "2020-11-16", [1, 2]),
        ("stereo", False, [4]),
        ("stereo", "true", [1, 2, 3]),
        ("run", [2, 99], [2]),
        ("run", ["2", "3"], [2, 3]),
    ],
)
def test_what_a_condition_can_be(column: str, condition: object, expected: list[int]) -> None:
    assert kept(column, condition) == expected


@given(
    st.sampled_from(list(COMPARISONS.items())),
    st.sampled_from([0.0, 90.0, 99.5, 100.0, 250.0]),
)
def test_comparisons_are_those_of_numbers(
    sign_and_meaning: tuple[str, Callable[[float, float], bool]], limit: float
) -> None:
    sign, meaning = sign_and_meaning
    expected = [run for run, rate in zip(RUNS["run"], RUNS["L1_rate"], strict=True) if meaning(rate, limit)]
    assert kept("L1_rate", f"{sign}{limit}") == expected


def test_an_unknown_column_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="L1_rate"):
        mask(RUNS, "L1_rat", ">0")


@pytest.mark.parametrize(
    ("column", "condition", "said"),
    [
        ("L1_rate", ">fast", "numbers"),
        ("L1_rate", "fast", "numbers"),
        ("nsb", (1, 2, 3), "pair"),
        ("date", ">yesterday", "2020-11-16"),
        ("stereo", "perhaps", "True or False"),
    ],
)
def test_a_condition_that_does_not_fit_says_what_would(column: str, condition: object, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        mask(RUNS, column, condition)
    assert column in caught.value.message


def test_the_cut_flow_counts_each_cut_alone_and_all_so_far() -> None:
    first = Selection.of(RUNS).filter({"za": [zeniths.za35to50], "L1_rate": ">0.0"})
    assert list(first.runs["run"]) == [3, 4]
    second = first.filter({"sum_trigger": "No_Sumt"})
    table = second.table
    assert list(table["column"]) == ["all", "za", "L1_rate", "sum_trigger"]
    assert list(table["runs alone"]) == [4, 3, 3, 3]
    assert list(table["runs left"]) == [4, 3, 2, 1]
    assert list(table["hours alone"]) == [2.0, 1.5, 1.0, 1.75]
    assert list(table["hours left"]) == [2.0, 1.5, 0.5, 0.25]
    assert "No_Sumt" in str(second)
    assert "<table" in second._repr_html_()


def test_a_filter_can_be_undone() -> None:
    start = Selection.of(RUNS)
    first = start.filter({"nsb": (0, 2)})
    second = first.filter({"za": zeniths.za05to35})
    assert list(second.undo().runs["run"]) == [1, 2]
    assert second.undo().undo() is start
    assert start.undo() is start
    assert len(RUNS) == 4


def test_why_nothing_is_left() -> None:
    start = Selection.of(RUNS)
    assert start.explain() == "4 of 4 runs are left"
    nothing = start.filter({"stereo": True}).filter({"nsb": ">50"})
    assert nothing.explain() == "nothing is left; without nsb >50 there would be 3 runs"
    assert Selection.of(RUNS[:0]).explain() == "there were no runs to begin with"


def test_no_runs_make_a_cut_flow_too() -> None:
    assert list(Selection.of(RUNS[:0]).filter({"nsb": ">1"}).table["runs left"]) == [0, 0]


@pytest.mark.parametrize(
    ("condition", "text"),
    [
        (">0.0", ">0.0"),
        ("No_Sumt", "= No_Sumt"),
        ([zeniths.za05to35, zeniths.za35to50], "in za05to35, za35to50"),
        (moons.WeakMoon, "= weak"),
        ((1, 2), "from 1 to 2"),
        ((None, 2), "up to 2"),
        ((1, None), "from 1"),
        (str.isupper, "isupper"),
    ],
)
def test_conditions_as_text(condition: object, text: str) -> None:
    assert describe(condition) == text
