"""ROOT files through uproot: what is written is read back, and whatever is wrong is said in one line."""

import awkward as ak
import numpy as np
import pytest
import uproot
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from magicpy_assets.core.errors import InputError, MissingInputError
from magicpy_assets.formats.root import (
    CARDS,
    Branch,
    branch_keys,
    has_tree,
    open_root,
    read,
    read_cards,
    read_table,
    text_of,
    tree_of,
)
from magicpy_assets.formats.root_writer import Writer, characters

DTYPES = ("uint8", "int16", "uint16", "int32", "uint32", "int64", "float32", "float64")


def read_back(path, tree, branch, *bounds):
    with open_root(path) as file:
        return read(tree_of(file, tree, path), branch, path, *bounds)


@settings(max_examples=40, deadline=None)
@given(st.data(), st.sampled_from(DTYPES), st.integers(1, 30), st.integers(0, 4))
def test_numbers_and_arrays_are_read_back_bit_by_bit(tmp_path_factory, data, dtype, n, columns):
    shape = (n, columns) if columns else (n,)
    values = data.draw(arrays.arrays(dtype, shape, elements=arrays.from_dtype(np.dtype(dtype), allow_nan=False)))
    path = tmp_path_factory.mktemp("root") / "file.root"
    with Writer(path) as file:
        file.tree("Events", {"MName.fValue": values})
    found = read_back(path, "Events", "MName.fValue")
    assert found.dtype == values.dtype
    np.testing.assert_array_equal(found, values)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40), min_size=1, max_size=5))
def test_text_is_read_back(tmp_path_factory, texts):
    path = tmp_path_factory.mktemp("root") / "file.root"
    with Writer(path) as file:
        file.tree("L3T", {"MReportL3T.fTablename": texts})
    assert read_back(path, "L3T", "MReportL3T.fTablename").tolist() == texts


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=100), st.integers(2, 90))
def test_characters_keep_what_fits(text, length):
    stored = characters(text, length)
    assert stored.shape == (length,)
    assert stored[-1] == 0
    assert text_of(stored) == text[: length - 1]


def test_letters_beyond_ascii_become_question_marks():
    assert text_of(characters("Große Blase θ", 80)) == "Gro?e Blase ?"


@pytest.mark.parametrize("names", [["fName[80]"], ["fName[80]", "fName[8]", "fName", "fOther[100]"]])
def test_names_with_brackets_are_as_in_mars_files(tmp_path, names):
    """uproot itself, which knows nothing of the trick, sees the name and the values."""
    path = tmp_path / "file.root"
    content = {f"MRawRunHeader.{name}": np.full((1, 5), i, np.int8) for i, name in enumerate(names)}
    with Writer(path) as file:
        file.header({name: values[0] for name, values in content.items()})
    with uproot.open(path) as file:
        tree = file["RunHeaders"]
        assert {key for key in tree.keys() if not key.startswith("n")} == set(content)  # noqa: SIM118
        for name, values in content.items():
            assert tree[name].array().to_list()[0] == values[0].tolist()


def test_several_pieces_are_one_tree_and_may_be_read_in_part(tmp_path):
    path = tmp_path / "file.root"
    pieces = [np.arange(n * 3, dtype=np.float32).reshape(n, 3) for n in (5, 1, 7)]
    with Writer(path) as file:
        for piece in pieces:
            file.tree("Events", {"a": piece, "b": piece[:, 0]})
    whole = np.concatenate(pieces)
    np.testing.assert_array_equal(read_back(path, "Events", "a"), whole)
    for begin, end in ((0, 3), (4, 8), (6, 13), (12, 13)):
        np.testing.assert_array_equal(read_back(path, "Events", "a", begin, end), whole[begin:end])


def test_missing_things_are_named_with_the_nearest(tmp_path):
    path = tmp_path / "file.root"
    with Writer(path) as file:
        file.tree("Events", {"MHillas.fSize": np.ones(3), "MHillas.fLength": np.ones(3)})
    with open_root(path) as file:
        assert has_tree(file, "Events")
        assert not has_tree(file, "Event")
        with pytest.raises(InputError, match="no tree Event") as tree_error:
            tree_of(file, "Event", path)
        tree = tree_of(file, "Events", path)
        with pytest.raises(InputError, match=r"no branch MHillas\.fSiez") as branch_error:
            read(tree, "MHillas.fSiez", path)
        assert read(tree, "MHillas.fNothing", path, optional=True) is None
        table = read_table(
            tree, (Branch("MHillas.fSize", "size", "f8"), Branch("MNo.fNo", "no", "f8")), path, optional=True
        )
        assert list(table) == ["size"]
        assert branch_keys(tree)["MHillas.fSize"] == "MHillas.fSize"
    assert "Events" in tree_error.value.hint
    assert "MHillas.fSize" in branch_error.value.hint


def test_entries_of_different_lengths_are_refused(tmp_path):
    path = tmp_path / "file.root"
    with uproot.recreate(path) as file:
        file.mktree("Events", {"x": "var * float64"})
        file["Events"].extend({"x": ak.Array([[1.0, 2.0], [3.0]])})
    with pytest.raises(InputError, match="differ in length: 1 to 2"):
        read_back(path, "Events", "x")


def test_a_file_that_is_not_there_empty_or_something_else(tmp_path):
    with pytest.raises(MissingInputError), open_root(tmp_path / "nothing.root"):
        pass
    for name, content in (("empty", b""), ("text", b"this is no ROOT file\n" * 30), ("root", b"root" + bytes(90))):
        path = tmp_path / f"{name}.root"
        path.write_bytes(content)
        with pytest.raises(InputError) as caught, open_root(path) as file:
            read(tree_of(file, "Events", path), "x", path)
        assert "\n" not in caught.value.message
        assert str(path) in caught.value.message


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A file with two trees, as bytes."""
    path = tmp_path_factory.mktemp("whole") / "whole.root"
    rng = np.random.default_rng(1)
    with Writer(path) as file:
        file.header({"MRawRunHeader.fSourceName[80]": characters("Crab", 80), CARDS: '{"SIMULATED": "yes"}'})
        for _ in range(3):
            file.tree("Events", {"a": rng.normal(size=(300, 20)), "b": rng.normal(size=300)})
    return path.read_bytes()


def read_everything(path):
    with open_root(path) as file:
        for name in ("RunHeaders", "Events"):
            tree = tree_of(file, name, path)
            for branch in branch_keys(tree):
                read(tree, branch, path)
        return read_cards(file, path)


@settings(max_examples=30, deadline=None)
@given(st.floats(0.0, 0.999))
def test_a_file_cut_short_anywhere_is_refused_in_one_line(tmp_path_factory, whole, share):
    path = tmp_path_factory.mktemp("cut") / "cut.root"
    path.write_bytes(whole)
    assert read_everything(path) == {"SIMULATED": "yes"}
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(InputError) as caught:
        read_everything(path)
    assert "\n" not in caught.value.message
    assert path.name in caught.value.message


def test_cards_of_a_file_without_headers_are_empty(tmp_path):
    path = tmp_path / "file.root"
    with Writer(path) as file:
        file.tree("Events", {"a": np.ones(2)})
    with open_root(path) as file:
        assert read_cards(file, path) == {}
