"""The cell, its one codec, and what it is made of: periods, zenith ranges, moon levels."""

from __future__ import annotations

import math
from datetime import date, timedelta
from itertools import pairwise

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from magicpy_assets.core import datalevels, moons, periods, runs, zeniths
from magicpy_assets.core.cell import Cell
from magicpy_assets.core.errors import InputError, MagicpyError, OutOfRangeError, UnknownNameError

CELLS = st.builds(
    Cell, st.sampled_from(periods.all_periods()), st.sampled_from(zeniths.ALL), st.sampled_from(moons.ALL)
)


@given(CELLS)
def test_every_text_of_a_cell_leads_back_to_it(cell: Cell) -> None:
    assert Cell.parse(cell.text) == Cell.parse(cell.key) == Cell.parse(cell.folder) == cell
    assert hash(Cell.parse(cell.key)) == hash(cell)


def test_the_texts_of_a_cell() -> None:
    cell = Cell(periods.ST0316, zeniths.za35to50, moons.WeakMoon)
    assert (cell.text, cell.key) == ("ST0316/za35to50/weak", "ST0316|za35to50-weak")
    assert (cell.zenith_moon, cell.folder, str(cell)) == ("za35to50-weak", "ST0316/za35to50-weak", cell.text)


@pytest.mark.parametrize("text", ["", "ST0316", "ST0316/za35to50", "ST0316 za35to50 weak", "ST0316/35to50/weak"])
def test_what_is_no_cell_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="ST0316/za35to50/weak"):
        Cell.parse(text)


@pytest.mark.parametrize(
    ("text", "near"),
    [("ST031/za35to50/weak", "ST0316"), ("ST0316/za35to51/weak", "za35to50"), ("ST0316/za35to50/weka", "weak")],
)
def test_a_wrong_part_of_a_cell_names_the_nearest(text: str, near: str) -> None:
    with pytest.raises(UnknownNameError, match=near):
        Cell.parse(text)


@given(
    day=st.dates(date(2020, 10, 24), date(2021, 9, 29)),
    zd_deg=st.floats(5, 69.999),
    nsb=st.floats(0, 29.999),
)
def test_every_observation_inside_the_tables_is_in_exactly_one_cell(day: date, zd_deg: float, nsb: float) -> None:
    cell = Cell.of(date=day, zd_deg=zd_deg, nsb=nsb)
    assert day in cell.period
    assert [zenith for zenith in zeniths.ALL if zd_deg in zenith] == [cell.zenith]
    assert [moon for moon in moons.ALL if nsb in moon] == [cell.moon]


# Periods


@pytest.mark.parametrize("spelling", ["ST0316", "ST.03.16", "ST0316A", "st0316", "ST.03.16A"])
def test_a_period_has_many_spellings(spelling: str) -> None:
    assert periods.by_name(spelling) is periods.ST0316


def test_periods_are_attributes_and_are_listed() -> None:
    assert periods.by_name("ST0317") == periods.ST0317
    assert "ST0316" in dir(periods)
    with pytest.raises(AttributeError, match="ST0316"):
        periods.ST03161  # noqa: B018
    with pytest.raises(AttributeError):
        periods.nothing  # noqa: B018


def test_both_ends_belong_to_a_period() -> None:
    assert periods.of_date(date(2020, 10, 24)) == periods.of_date(date(2021, 9, 29)) == periods.ST0316


def test_a_period_may_be_interrupted_by_another() -> None:
    assert periods.of_date(date(2022, 8, 31)) == periods.of_date(date(2022, 12, 15)) == periods.ST0318
    assert periods.of_date(date(2022, 10, 1)).name == "M20318"


def test_an_open_period_goes_on() -> None:
    assert periods.of_date(date(2039, 1, 1)).name == "ST0321"


@given(st.dates(date(2021, 9, 30), date(2021, 12, 29)))
def test_a_date_in_a_gap_names_the_neighbours(day: date) -> None:
    with pytest.raises(OutOfRangeError, match=r"ST0316 ends on 2021-09-29, ST0317 begins on 2021-12-30"):
        periods.of_date(day)


def test_a_date_before_all_periods_names_the_first() -> None:
    with pytest.raises(OutOfRangeError, match=r"ST0316 begins on 2020-10-24") as caught:
        periods.of_date(date(2013, 8, 1))
    assert "ends" not in caught.value.message


def test_no_date_is_in_two_periods() -> None:
    known = periods.all_periods()
    for offset in range(365 * 7):
        day = date(2020, 1, 1) + timedelta(offset)
        assert sum(day in period for period in known) <= 1, day


# Zenith ranges


@pytest.mark.parametrize(
    ("zd_deg", "name"), [(5, "za05to35"), (34.999, "za05to35"), (35, "za35to50"), (50, "za50to62"), (69.9, "za62to70")]
)
def test_the_lower_edge_belongs_to_a_zenith_range(zd_deg: float, name: str) -> None:
    assert zeniths.of(zd_deg).name == name
    assert zeniths.by_name(name) == zeniths.of(zd_deg)


@pytest.mark.parametrize(("zd_deg", "near"), [(70, "za62to70"), (89, "za62to70"), (4.9, "za05to35")])
def test_beyond_all_ranges_names_the_nearest(zd_deg: float, near: str) -> None:
    with pytest.raises(OutOfRangeError, match=near):
        zeniths.of(zd_deg)


# Moon levels


@pytest.mark.parametrize(
    ("nsb", "key"), [(0, "weak"), (1.99, "weak"), (2, "moderate"), (3, "decent"), (5, "strong"), (8, "high")]
)
def test_moon_levels_begin_at_their_lower_edge(nsb: float, key: str) -> None:
    assert moons.of_nsb(nsb).key == key
    assert moons.by_name(key) is moons.by_name(moons.of_nsb(nsb).name)


@pytest.mark.parametrize("nsb", [-0.1, 30, math.inf, math.nan])
def test_an_nsb_outside_all_levels_is_refused(nsb: float) -> None:
    with pytest.raises(OutOfRangeError, match="nearest"):
        moons.of_nsb(nsb)


def test_the_cleaning_gets_stricter_with_the_moon() -> None:
    levels = [moons.cleaning(nsb) for nsb in (0.5, 1.5, 2.5, 4, 6)]
    for earlier, later in pairwise(levels):
        assert earlier.level1_phe <= later.level1_phe
        assert earlier.level2_phe <= later.level2_phe
        assert earlier.pedestal_rms_phe < later.pedestal_rms_phe
        assert earlier.size_cut_phe < later.size_cut_phe
    assert (levels[0].level1_phe, levels[0].level2_phe) == (6.0, 3.5)
    assert (moons.cleaning(9, "reduced").level1_phe, moons.cleaning(20, "nominal", "UV").level1_phe) == (13.0, 9.0)


def test_a_level_is_cleaned_as_its_brightest_sky() -> None:
    assert moons.cleaning_of(moons.WeakMoon) == moons.cleaning(1.99)
    assert moons.cleaning_of(moons.ModerateMoon) == moons.cleaning(2.5)


def test_a_setting_that_is_not_used_says_where_it_is() -> None:
    with pytest.raises(OutOfRangeError, match="from 0 to 8"):
        moons.cleaning(9)
    with pytest.raises(OutOfRangeError, match="reduced HV or a filter"):
        moons.cleaning_of(moons.HighMoon)
    with pytest.raises(UnknownNameError, match="nominal HV"):
        moons.cleaning(1, "nominl")


@pytest.mark.parametrize(("hv", "optical_filter"), [("nominal", "none"), ("reduced", "none"), ("nominal", "UV")])
def test_pedestals_of_the_table_give_back_their_nsb(hv: str, optical_filter: str) -> None:
    for row in moons.cleanings(hv, optical_filter):
        for pedestal in ((row.pedestal_mean_phe, row.pedestal_rms_phe), (row.pedestal_mean_phe, math.nan)):
            nsb, moon = moons.from_pedestal(*pedestal, hv, optical_filter)
            assert nsb == pytest.approx(moons.middle_nsb(row))
            assert nsb in moon


@given(st.floats(0, 10), st.floats(0, 10))
def test_more_noise_never_means_less_light(one_phe: float, other_phe: float) -> None:
    less, more = sorted((one_phe, other_phe))
    assert moons.from_pedestal(2, less)[0] <= moons.from_pedestal(2, more)[0]


def test_a_pedestal_without_numbers_is_refused() -> None:
    with pytest.raises(InputError, match="nan"):
        moons.from_pedestal(math.nan, math.nan)


# Data levels and tables


def test_levels_are_made_from_earlier_ones() -> None:
    assert [level.order for level in datalevels.ALL] == list(range(7))
    for level in datalevels.ALL:
        assert all(datalevels.by_key(key).order < level.order for key in level.made_from)
        assert datalevels.by_name(level.name) == datalevels.by_key(level.key) == level
        if level.letter:
            assert datalevels.by_letter(level.letter) == level


def test_an_unknown_level_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="superstar"):
        datalevels.by_key("superstr")
    with pytest.raises(UnknownNameError, match="letter"):
        datalevels.by_letter("")


@pytest.mark.parametrize("words", [periods, zeniths, moons])
def test_tables_show_every_word(words: object) -> None:
    table = words.table()  # type: ignore[attr-defined]
    known = periods.all_periods() if words is periods else words.ALL  # type: ignore[attr-defined]
    assert {item.name for item in known} == set(table["name"])


# The run table


def test_every_run_gets_one_cell_or_a_reason() -> None:
    frame = pd.DataFrame(
        {
            "date": pd.to_datetime(["2020-11-16", "2020-11-16", "2021-10-15", "2020-11-16"]),
            "za_deg": [20.0, 71.0, 20.0, 3.0],
            "nsb": [1.0, 1.0, 1.0, 99.0],
        }
    )
    placed = runs.with_cells(frame)
    assert list(frame.columns) == ["date", "za_deg", "nsb"]
    assert list(placed["cell"]) == ["ST0316/za05to35/weak", "", "", ""]
    assert placed["no_cell_reason"][0] == ""
    assert "za62to70" in placed["no_cell_reason"][1]
    assert "ST0317 begins" in placed["no_cell_reason"][2]
    assert "zenith" in placed["no_cell_reason"][3]
    assert "NSB" in placed["no_cell_reason"][3]
    assert list(placed["period"]) == ["ST0316", "ST0316", "", "ST0316"]


def test_a_run_table_without_runs_has_the_columns_too() -> None:
    empty = pd.DataFrame({"date": pd.to_datetime([]), "za_deg": [], "nsb": []})
    placed = runs.with_cells(empty)
    assert len(placed) == 0
    assert {column.name for column in runs.CELL_COLUMNS} <= set(placed.columns)


def test_every_error_of_the_words_is_one_of_ours() -> None:
    for error in (OutOfRangeError, UnknownNameError, InputError):
        assert issubclass(error, MagicpyError)
    assert issubclass(OutOfRangeError, ValueError)
    assert issubclass(UnknownNameError, LookupError)
