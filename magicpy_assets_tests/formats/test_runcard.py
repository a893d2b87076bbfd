"""Run cards: ROOT's TEnv text, kept as it is, with values set before everything else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magicpy_assets.core.errors import InputError, MissingInputError
from magicpy_assets.formats.runcard import Runcard, untouched_in

STOCK = """\
# -------------------------------
# star for M1
# -------------------------------

MJStar.MImgCleanStd.CleanMethod: Absolute
MJStar.MImgCleanStd.CleanLevel1:   6.0   # phe
  MJStar.UseAddNoise: no
#MJStar.MAddNoise.NewNoiseMean: 3.0
MJStar.MImgCleanStd.CleanLevel1: 10
MJStar.Files: a.root b.root http://server:80/x
MJStar.Empty:
"""
KEYS = st.from_regex(r"[A-Za-z][A-Za-z0-9_.]{0,20}", fullmatch=True)
VALUES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_./:\-]{0,20}", fullmatch=True)
CARDS = st.lists(st.tuples(KEYS, VALUES), max_size=8)
LINES = st.one_of(
    st.builds(
        "{}{}:{}{}".format, st.sampled_from(["", " ", "\t"]), KEYS, VALUES, st.sampled_from(["", "  ", " # why", "\r"])
    ),
    st.text(st.characters(codec="utf-8", exclude_characters="\n")).map(lambda text: f"# {text}"),
    st.sampled_from(["", "   ", "\r"]),
)


def test_a_card_is_read_as_mars_would():
    card = Runcard.parse(STOCK)
    assert card.values == {
        "MJStar.MImgCleanStd.CleanMethod": "Absolute",
        "MJStar.MImgCleanStd.CleanLevel1": "6.0",
        "MJStar.UseAddNoise": "no",
        "MJStar.Files": "a.root b.root http://server:80/x",
        "MJStar.Empty": "",
    }


def test_comments_order_and_repetitions_are_kept():
    assert str(Runcard.parse(STOCK)) == STOCK
    assert str(Runcard.parse("")) == ""


@given(st.lists(LINES))
def test_any_card_is_written_as_it_was_read(lines):
    text = "".join(f"{line}\n" for line in lines)
    assert str(Runcard.parse(text)) == text


@given(st.binary())
def test_bytes_of_any_encoding_are_kept(tmp_path_factory, raw):
    path = tmp_path_factory.mktemp("cards") / "star.rc"
    path.write_bytes(b"# " + raw.replace(b"\n", b"\n# ") + b"\n")
    copy = path.with_suffix(".copy")
    Runcard.read(path).write(copy)
    assert copy.read_bytes() == path.read_bytes()


@given(CARDS)
def test_of_repeated_keys_the_first_counts(pairs):
    card = Runcard.parse("\n".join(f"{key}: {value}" for key, value in pairs))
    assert card.values == dict(reversed(pairs))
    assert Runcard.parse(str(card)).lines == card.lines


@given(CARDS, st.dictionaries(KEYS, st.one_of(VALUES, st.booleans(), st.integers(-9999, 9999)), max_size=4))
def test_what_is_set_wins_and_the_stock_card_stays_below(pairs, values):
    stock = Runcard.parse("\n".join(f"{key}: {value}" for key, value in pairs))
    card = Runcard.parse(str(stock.override(values)))
    assert str(card).endswith(str(stock))
    for key, value in values.items():
        expected = {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
        assert card.get(key) == expected
    assert {key: card.values[key] for key in stock.values if key not in values} == {
        key: value for key, value in stock.values.items() if key not in values
    }
    assert set(card.changes(stock)) <= set(values)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_that_is_set_comes_back_the_same(value):
    card = Runcard.parse(str(Runcard().override({"Key": value})))
    assert card.number("Key", 0.0) == value


@pytest.mark.parametrize("values", [{"a": "1\nb: 2"}, {"a b": 1}, {"a": "x # y"}, {"": 1}, {"a:b": 1}, {"#a": 1}])
def test_what_would_not_be_read_back_cannot_be_set(values):
    with pytest.raises(InputError):
        Runcard.parse("a: 0").override(values)


def test_changes_name_both_values():
    stock = Runcard.parse("a: 1\nb: 2\nc: 3")
    card = stock.override({"b": 5, "d": True, "c": 3})
    assert card.changes(stock) == {"b": ("2", "5"), "d": (None, "yes")}
    assert stock.values["b"] == "2"


@pytest.mark.parametrize("word", ["yes", "YES", "true", "on", "1", "y"])
def test_ways_to_say_yes(word):
    assert Runcard.parse(f"Key: {word}").flag("Key") is True


@pytest.mark.parametrize("word", ["no", "No", "false", "off", "0", "n"])
def test_ways_to_say_no(word):
    assert Runcard.parse(f"Key: {word}").flag("Key", default=True) is False


def test_what_is_not_set_is_the_default():
    card = Runcard.parse("# nothing")
    assert card.get("Key") is None
    assert card.number("Key", 6.5) == 6.5
    assert card.flag("Key", default=True) is True
    assert card.choice("Key", ["Absolute", "Scaled"], "Absolute") == "Absolute"


def test_values_that_do_not_fit_name_card_line_and_key():
    card = Runcard.parse("Level: six\nMinus: -1\nFlag: perhaps\nMethod: Wild\nOdd: nan", "/cards/star.rc")
    faults = {
        "Level": lambda: card.number("Level", 0.0),
        "Minus": lambda: card.number("Minus", 0.0, low=0.0),
        "Odd": lambda: card.number("Odd", 0.0, low=0.0, high=1.0),
        "Flag": lambda: card.flag("Flag"),
        "Method": lambda: card.choice("Method", ["Absolute", "Scaled"], "Absolute"),
    }
    for line, key in enumerate(["Level", "Minus", "Flag", "Method", "Odd"], start=1):
        with pytest.raises(InputError, match=rf"/cards/star\.rc:{line}: {key} is"):
            faults[key]()
    assert card.where("Method") == "/cards/star.rc:4"
    assert card.where("not there") == "/cards/star.rc"
    assert card.number("Minus", 0.0, low=-1.0, high=0.0) == -1.0


def test_all_broken_lines_are_named_at_once():
    with pytest.raises(InputError) as caught:
        Runcard.parse("good: 1\nno colon\n: no key\ntwo words: 1\n# fine", "star.rc")
    text = str(caught.value)
    assert [f"star.rc:{number}:" in text for number in range(1, 6)] == [False, True, True, True, False]


def test_keys_that_nobody_reads_are_told():
    card = Runcard.parse("a: 1\nMispelt: 2\nb: 3")
    card.number("a", 0.0)
    card.get("b")
    card.get("not there")
    assert card.untouched() == ["Mispelt"]


def test_a_card_that_is_not_there(tmp_path):
    with pytest.raises(MissingInputError, match=r"star\.rc"):
        Runcard.read(tmp_path / "star.rc")


def test_bytes_that_are_no_text_do_no_harm(tmp_path):
    path = tmp_path / "star.rc"
    path.write_bytes(b"# 10 \xb5s\nKey: 1\n")
    assert Runcard.read(path).get("Key") == "1"


def test_included_cards_count_after_the_card_itself(tmp_path):
    (tmp_path / "below").mkdir()
    (tmp_path / "main.rc").write_text("# main\nA: 1\nInclude: below/more.rc last.rc\n")
    (tmp_path / "below" / "more.rc").write_text("A: 2\nB: 2\nInclude: deep.rc\n")
    (tmp_path / "below" / "deep.rc").write_text("B: 3\nC: 3\n")
    (tmp_path / "last.rc").write_text("C: 4\nD: 4\n")
    whole = Runcard.read(tmp_path / "main.rc").with_includes()
    assert whole.values == {"A": "1", "B": "2", "C": "3", "D": "4"}
    assert "# Include: below/more.rc last.rc" in str(whole)
    assert Runcard.parse(str(whole)).values == whole.values  # it can be copied anywhere


def test_cards_that_include_each_other_and_missing_ones_are_refused(tmp_path):
    (tmp_path / "a.rc").write_text("Include: b.rc\n")
    with pytest.raises(MissingInputError, match=r"b\.rc"):
        Runcard.read(tmp_path / "a.rc").with_includes()
    (tmp_path / "b.rc").write_text("Include: a.rc\n")
    with pytest.raises(InputError, match="circle"):
        Runcard.read(tmp_path / "a.rc").with_includes()


def test_keys_that_nobody_read_are_found_in_the_logs_of_mars_and_ours():
    log = (
        "12:00:01  - Resource flute.minZD untouched\n12:00:01  - Resource flute.minZD untouched\n"
        "12:00:02 untouched: MJStar.Odd of a.rc was not read by star; did you mean MJStar.Old?\n2 resources have ...\n"
    )
    assert untouched_in(log) == ["flute.minZD", "MJStar.Odd"]
    assert untouched_in("nothing untouched") == []
