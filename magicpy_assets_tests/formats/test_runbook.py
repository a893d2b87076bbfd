"""Runbooks: the standard form both ways, and texts that are something else."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magicpy_assets.core.errors import InputError
from magicpy_assets.formats.runbook import MolaResult, format_runbook, parse_runbook

NIGHT = date(2021, 2, 3)
words = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), max_size=30).map(str.strip)
names = st.from_regex(r"[A-Za-z0-9+\-]{1,12}( [0-9]{1,3})?", fullmatch=True)
tenths = st.integers(-500, 5000).map(lambda number: number / 10)
results = st.builds(
    MolaResult, names, tenths.map(abs), tenths, tenths, st.integers(-100, 3000).map(lambda number: number / 100)
)


@given(words, words, words, st.lists(results, max_size=5), st.booleans())
def test_what_is_written_is_read(shift, weather, technical, found, simulated):
    text = format_runbook(NIGHT, shift=shift, weather=weather, technical=technical, results=found, simulated=simulated)
    read = parse_runbook(text, NIGHT)
    assert read.standard
    assert (read.shift, read.weather, read.technical) == (shift, weather, technical)
    assert read.results == tuple(found)
    assert read.simulated == simulated
    assert read.text == text


@given(st.text(max_size=400))
def test_any_text_is_kept_and_stops_nothing(text):
    read = parse_runbook(text, NIGHT)
    assert read.text == text
    assert not read.standard


def test_a_block_that_cannot_be_read_makes_the_whole_not_standard():
    text = format_runbook(NIGHT, shift="", weather="", technical="", results=[MolaResult("Crab", 1, 2, 3, 1)])
    assert parse_runbook(text, NIGHT).standard
    assert not parse_runbook(text.replace("sigma", "standard deviations"), NIGHT).standard
    assert not parse_runbook(text, date(2021, 2, 4)).standard


def test_lines_within_a_field_are_refused():
    with pytest.raises(InputError, match="one line"):
        format_runbook(NIGHT, shift="a\nb", weather="", technical="", results=[])
    with pytest.raises(InputError, match="no source"):
        format_runbook(NIGHT, shift="", weather="", technical="", results=[MolaResult(" ", 1, 2, 3, 1)])
