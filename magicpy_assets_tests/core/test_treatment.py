"""What is done with a run follows from its own sky, voltage and filter."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magicpy_assets.core import moons


@pytest.mark.parametrize(
    ("state", "levels", "words"),
    [
        ((1.0, "nominal", "No_Filter"), (6.0, 3.5), ""),
        ((2.5, "nominal", "No_Filter"), (7.0, 4.5), ""),
        ((7.9, "nominal", "No_Filter"), (9.0, 5.5), ""),
        ((9.5, "reduced", "No_Filter"), (13.0, 8.0), ""),
        ((14.0, "reduced", "No_Filter"), (14.0, 9.0), ""),
        ((4.0, "reduced", "No_Filter"), (10.0, 6.0), "forests for decent moon are made for nominal"),
        ((18.0, "nominal", "UV"), (9.0, 5.5), "through the UV filter"),
    ],
)
def test_each_state_has_its_row_and_some_stop_at_superstar(state, levels, words):
    treated = moons.treatment(*state)
    assert (treated.cleaning.level1_phe, treated.cleaning.level2_phe) == levels
    assert not treated.fault
    assert words in treated.aside
    assert bool(treated.aside) == bool(words)


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ((8.5, "nominal", "No_Filter"), "no cleaning level for NSB 8.5"),
        ((25.0, "reduced", "No_Filter"), "no cleaning level for NSB 25"),
        ((1.0, "nominal", "UV"), "no cleaning level for NSB 1"),
        ((1.0, "nominal", "IR"), "filter ir"),
    ],
)
def test_what_the_table_does_not_know_cannot_be_cleaned(state, words):
    treated = moons.treatment(*state)
    assert treated.cleaning is None
    assert words in treated.fault


@given(st.floats(0, 29.9), st.sampled_from(["nominal", "reduced"]), st.sampled_from(["No_Filter", "none", "UV"]))
def test_every_run_has_a_cleaning_or_a_reason(nsb, hv, optical_filter):
    treated = moons.treatment(nsb, hv, optical_filter)
    assert (treated.cleaning is None) == bool(treated.fault)
    if not treated.aside:
        # What reaches the forests has the noise that they are made for.
        moon = moons.of_nsb(nsb)
        assert treated.cleaning.level1_phe == moons.target(moon, [(nsb, 1.0)]).level1_phe


def test_a_level_is_brought_to_the_row_in_which_most_time_was_observed():
    assert moons.target(moons.StrongMoon) == moons.cleaning(6.0)
    high = moons.HighMoon
    assert moons.target(high) == moons.cleaning(9.0, "reduced")
    assert moons.target(high, [(9.0, 900.0), (13.0, 1800.0)]) == moons.cleaning(13.0, "reduced")
    assert moons.target(high, [(9.0, 900.0), (13.0, 900.0)]) == moons.cleaning(9.0, "reduced")


def test_the_page_on_moonlight_shows_the_table_that_is_used():
    page = Path(__file__).parents[2] / "docs" / "moonlight.md"
    lines = [line.strip("| ").split(" | ") for line in page.read_text(encoding="utf-8").splitlines() if line[:1] == "|"]
    shown = [tuple(line) for line in lines if len(line) == 8][2:]
    known = [
        (f"{row.nsb_low:g} - {row.nsb_high:g}", hv, optical_filter, *(f"{value:g}" for value in numbers(row)))
        for hv, optical_filter in (("nominal", "none"), ("reduced", "none"), ("nominal", "uv"))
        for row in moons.cleanings(hv, optical_filter)
    ]
    assert shown == known
    levels = [line for line in lines if len(line) == 3][2:]
    assert levels == [[m.key, f"{m.nsb_low:g} - {m.nsb_high:g}", moons.voltage_of(m)] for m in moons.ALL]


def numbers(row):
    """The numbers of a row in the order of the page."""
    return row.level1_phe, row.level2_phe, row.pedestal_mean_phe, row.pedestal_rms_phe, row.size_cut_phe
