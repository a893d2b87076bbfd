"""Conditions on the command line."""

from datetime import date

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from magicpy_assets.cli.options import parse_where
from magicpy_assets.core.errors import InputError
from magicpy_assets.core.selection import Selection


def test_the_forms_of_a_condition():
    assert parse_where(None) == []
    texts = ["za=za05to35", "nsb<3", "L1_rate >= 0.5", "wobble=W0.40+035,W0.40+215", "hv!=reduced"]
    assert parse_where(texts) == [
        ("za", "za05to35"),
        ("nsb", "<3"),
        ("L1_rate", ">=0.5"),
        ("wobble", ["W0.40+035", "W0.40+215"]),
        ("hv", "!=reduced"),
    ]


def test_both_ends_of_a_range_hold():
    assert parse_where(["date>=2020-11-16", "nsb<3", "date<2020-11-18"]) == [
        ("date", ">=2020-11-16"),
        ("nsb", "<3"),
        ("date", "<2020-11-18"),
    ]


@pytest.mark.parametrize("text", ["", "za", "za=", "=3", "za~3"])
def test_what_is_no_condition_is_told(text):
    with pytest.raises(InputError, match="no condition"):
        parse_where([text])


def test_a_column_that_is_to_equal_two_things_is_told():
    with pytest.raises(InputError, match="two values of za"):
        parse_where(["za=za05to35", "za=za35to50"])


@given(st.from_regex(r"[a-z_0-9]{1,10}", fullmatch=True), st.sampled_from(["<", ">=", "!="]), st.floats(0, 100))
def test_a_comparison_comes_through(column, sign, value):
    assert parse_where([f"{column}{sign}{value}"]) == [(column, f"{sign}{value}")]


def test_dates_count_as_dates():
    runs = pd.DataFrame(
        {
            "date": pd.to_datetime(["2020-11-15", "2020-11-16", "2020-11-17"]).astype("datetime64[s]"),
            "duration_s": [900.0, 900.0, 900.0],
        }
    )
    for condition in (date(2020, 11, 16), "2020-11-16", [date(2020, 11, 16)], ("2020-11-16", date(2020, 11, 16))):
        assert len(Selection.of(runs).filter({"date": condition}).runs) == 1, condition
    assert len(Selection.of(runs).filter({"date": ">=2020-11-16"}).runs) == 2
