"""How many entries a tree has, told from its header alone."""

import numpy as np
import pytest
import uproot

from magicpy_assets.core.errors import InputError
from magicpy_assets.formats.counting import entries_in, events_in
from magicpy_assets.formats.root import open_root, tree_of


def grown(path, *lengths):
    """Write a file whose tree of events has been written anew several times: a cycle for each length."""
    for k, length in enumerate(lengths):
        with uproot.recreate(path) if k == 0 else uproot.update(path) as file:
            file.mktree("Events", {"MHillas.fSize": "f8", "fNumber": "i4"})
            file["Events"].extend({"MHillas.fSize": np.arange(length, dtype=float), "fNumber": np.arange(length)})
    return path


@pytest.mark.parametrize("lengths", [(3,), (0,), (2, 700), (700, 2), (5, 5)])
def test_the_header_says_what_the_whole_tree_says(tmp_path, lengths):
    path = grown(tmp_path / "events.root", *lengths)
    with open_root(path) as file:
        assert events_in(path) == tree_of(file, "Events", path).num_entries == max(lengths)


def test_a_file_that_was_moved_is_not_opened_again_and_one_that_was_replaced_is(tmp_path, monkeypatch):
    path = grown(tmp_path / "here.root", 4)
    assert events_in(path) == 4
    there = path.rename(tmp_path / "there.root")
    with monkeypatch.context() as patch:
        patch.setattr("magicpy_assets.formats.root.open_root", lambda path: pytest.fail("opened again"))
        assert events_in(there) == 4
    grown(tmp_path / "new.root", 9).replace(there)
    assert events_in(there) == 9


def test_what_has_no_such_tree_and_what_is_cut_is_named(tmp_path):
    path = grown(tmp_path / "events.root", 50)
    with pytest.raises(InputError, match="no tree Event"):
        entries_in(path, "Event")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=r"events\.root"):
        events_in(path)
