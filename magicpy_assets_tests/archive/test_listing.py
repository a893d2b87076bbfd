"""Listings: what a friendly server writes, and what a hostile one might."""

from __future__ import annotations

from html import escape
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magicpy_assets.archive.base import ONLINE, READING, TAPE, RemoteFile
from magicpy_assets.archive.listing import parse_listing
from magicpy_assets.core.errors import ArchiveError

FOLDER = "/Data/Calibrated/v1/CrabNebula/2021_03_14"
NAMES = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.+\-@:,=()\[\] ]{0,30}[A-Za-z0-9]", fullmatch=True)


def row(href: str, *, size: str = "12", modified: str = "2021-03-14 05:06:07", state: str = "Online") -> str:
    icon = f'<i class="disk icon" title="{escape(state)}"></i>'
    link = f'<a href="{escape(href)}" download="x">{escape(href)}</a>'
    return f"<tr><td>{icon}</td><td>{link}</td><td>{modified}</td><td>{size}</td></tr>"


def page(*rows: str) -> str:
    return "<html><body><table><tr><th>State</th><th>Name</th></tr>" + "".join(rows) + "</table></body></html>"


def test_a_row_says_name_size_time_and_state():
    files, folders = parse_listing(page(row("a.root", size="4096"), row("sub/", size="-", modified="-")), FOLDER)
    assert files == [RemoteFile(f"{FOLDER}/a.root", 4096, "2021-03-14T05:06:07+00:00", None, ONLINE)]
    assert files[0].name == "a.root"
    assert folders == ["sub"]


@given(st.lists(NAMES, unique=True, max_size=8), st.lists(st.integers(0, 1 << 50), min_size=8, max_size=8))
def test_every_plain_name_comes_back(names, sizes):
    rows = [row("./" + quote(name), size=str(size)) for name, size in zip(names, sizes, strict=False)]
    files, folders = parse_listing(page(*rows), FOLDER + "/")
    assert [(file.path, file.size) for file in files] == [
        (f"{FOLDER}/{name}", size) for name, size in zip(names, sizes, strict=False)
    ]
    assert folders == []


@pytest.mark.parametrize(
    "href",
    [
        "../a.root",
        "../../../etc/passwd",
        "..%2f..%2fetc%2fpasswd",
        "%2e%2e/a.root",
        "..",
        "../",
        "./",
        "",
        ".hidden",
        "%2ehidden",
        "/etc/passwd",
        "/Data/Calibrated/v1/Other/2021_03_14/a.root",
        "//evil.example/a.root",
        "http://evil.example/Data/Calibrated/v1/CrabNebula/2021_03_14/a.root",
        "https://server@evil.example/a.root",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "sub/a.root",
        "sub%2fa.root",
        "a\\b.root",
        "a%00.root",
        "a%0a.root",
        "a.root?C=M",
        "a.root#x",
        "a;rm -rf ~",
        "$(reboot)",
        "~root",
        "http://[broken",
    ],
)
def test_links_that_lead_elsewhere_are_left_out(href):
    files, folders = parse_listing(page(row(href), row("good.root")), FOLDER)
    assert [file.name for file in files] == ["good.root"]
    assert folders == []


@given(st.text(max_size=40))
def test_no_link_ever_leaves_the_folder(href):
    files, folders = parse_listing(page(row(href)), FOLDER)
    for name in [file.path.removeprefix(f"{FOLDER}/") for file in files] + folders:
        assert "/" not in name
        assert "\\" not in name
        assert not name.startswith(".")


@given(st.text(max_size=200))
def test_no_page_at_all_breaks_the_reader(text):
    files, _ = parse_listing("<table>" + text, FOLDER)
    assert all(file.path.startswith(f"{FOLDER}/") for file in files)


@pytest.mark.parametrize(
    ("title", "state"),
    [
        ("Online", ONLINE),
        ("On tape", TAPE),
        ("Tape", TAPE),
        ("Reading from tape", READING),
        ("reading", READING),
        ("", ONLINE),
    ],
)
def test_states(title, state):
    assert parse_listing(page(row("a.root", state=title)), FOLDER)[0][0].state == state


@pytest.mark.parametrize("size", ["-", "", "12 kB", "-5", "²", "9" * 5000])
def test_what_is_not_known_is_none(size):
    (file,), _ = parse_listing(page(row("a.root", size=size, modified="yesterday")), FOLDER)
    assert (file.size, file.modified) == (None, None)


def test_a_name_that_is_listed_twice_counts_once():
    files, folders = parse_listing(page(row("a.root"), row("a.root", size="13"), row("b/"), row("b/")), FOLDER)
    assert [file.size for file in files] == [13]
    assert folders == ["b"]


@pytest.mark.parametrize("text", ["", "Log in, please.", "<html><form></form></html>", '{"files": []}'])
def test_another_page_is_no_listing(text):
    with pytest.raises(ArchiveError, match="not a listing") as caught:
        parse_listing(text, FOLDER)
    assert FOLDER in str(caught.value)
