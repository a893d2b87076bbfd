"""Fetching from a server that misbehaves: what breaks is resumed, what is here is never fetched again."""

from __future__ import annotations

import logging
import random
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rogue import PASSWORD, USER, Rogue, serve_rogue

from magicpy_assets.archive.base import READING, TAPE, FetchReport, RemoteFile
from magicpy_assets.archive.http import CHUNK, TRIES, HttpArchive
from magicpy_assets.core import datalevels
from magicpy_assets.core.errors import AccessDeniedError, ArchiveError, ConfigError, UnknownNameError

PATH = "/Data/Calibrated/v1/CrabNebula/2021_03_14/a.root"
CONTENT = random.Random(316).randbytes(700_000)


@pytest.fixture
def rogue() -> Iterator[Rogue]:
    for server in serve_rogue():
        server.files[PATH] = CONTENT
        yield server


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "store" / "a.root"


def fetch(server: Rogue, target: Path, path: str = PATH, **given: object) -> FetchReport:
    return HttpArchive(server.url).fetch([(RemoteFile(path, **given), target)])


def only(target: Path) -> bool:
    return list(target.parent.iterdir()) == [target]


def listing(*names: str, state: str = "Online") -> str:
    rows = [f'<tr><td><i title="{state}"></i></td><td><a href="{name}">{name}</a></td></tr>' for name in names]
    return "<table>" + "".join(rows) + "</table>"


# Getting


def test_a_file_comes_whole_and_only_once(rogue, target):
    (first,) = fetch(rogue, target).items
    assert (first.status, first.size) == ("fetched", len(CONTENT))
    assert target.read_bytes() == CONTENT
    assert only(target)
    (second,) = fetch(rogue, target).items
    assert second.status == "cached"
    assert rogue.count("GET", PATH) == 1
    assert rogue.sent[PATH] == len(CONTENT)


def test_a_broken_transfer_goes_on_where_it_stopped(rogue, target):
    rogue.todo[PATH] = ["drop 300000", "drop 200000"]
    (item,) = fetch(rogue, target).items
    assert item.status == "fetched"
    assert target.read_bytes() == CONTENT
    whole, *resumed = rogue.ranges(PATH)
    first, second = (int(wanted.removeprefix("bytes=").removesuffix("-")) for wanted in resumed)
    assert whole == ""
    assert 300_000 - CHUNK < first <= 300_000
    assert first + 200_000 - CHUNK < second <= first + 200_000
    assert rogue.sent[PATH] == 500_000 + len(CONTENT) - second
    assert only(target)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drops=st.lists(st.integers(0, 300_000), min_size=1, max_size=2))
def test_wherever_it_breaks_hardly_anything_is_sent_twice(rogue, tmp_path_factory, drops):
    before, target = rogue.sent[PATH], tmp_path_factory.mktemp("fetch") / "a.root"
    rogue.todo[PATH] = [f"drop {number}" for number in drops]
    fetch(rogue, target).raise_if_failed()
    assert target.read_bytes() == CONTENT
    assert len(CONTENT) <= rogue.sent[PATH] - before < len(CONTENT) + len(drops) * CHUNK


def test_a_connection_that_always_breaks_fails_and_the_next_try_goes_on(rogue, target):
    rogue.todo[PATH] = ["drop 100000"] * TRIES
    report = fetch(rogue, target)
    assert report.items[0].status == "failed"
    assert f"broke {TRIES} times" in report.items[0].message
    assert not target.exists()
    with pytest.raises(ArchiveError, match=r"a\.root") as caught:
        report.raise_if_failed()
    assert not caught.value.permanent
    assert fetch(rogue, target).items[0].status == "fetched"
    assert target.read_bytes() == CONTENT
    assert len(CONTENT) <= rogue.sent[PATH] < len(CONTENT) + TRIES * CHUNK
    assert only(target)


def test_a_server_that_cannot_resume_starts_over(rogue, target):
    rogue.todo[PATH] = ["drop 300000", "ignore range"]
    fetch(rogue, target).raise_if_failed()
    assert target.read_bytes() == CONTENT
    assert rogue.sent[PATH] == 300_000 + len(CONTENT)


def test_a_file_that_has_changed_since_is_fetched_anew(rogue, target):
    rogue.todo[PATH] = ["drop 100000"] * TRIES
    fetch(rogue, target)
    rogue.files[PATH], rogue.etag = CONTENT[::-1], "v2"
    fetch(rogue, target).raise_if_failed()
    assert target.read_bytes() == CONTENT[::-1]
    assert rogue.ranges(PATH)[-1] == ""


def test_without_a_tag_nothing_old_is_gone_on_with(rogue, target):
    rogue.etag = ""
    rogue.todo[PATH] = ["drop 100000"] * TRIES
    fetch(rogue, target)
    rogue.files[PATH] = CONTENT[::-1]
    fetch(rogue, target).raise_if_failed()
    assert target.read_bytes() == CONTENT[::-1]


def test_another_range_than_asked_for_is_not_taken(rogue, target):
    rogue.todo[PATH] = ["drop 600000", *["wrong range"] * (TRIES + 4)]
    assert fetch(rogue, target).items[0].status == "failed"
    assert not target.exists()
    rogue.todo[PATH] = []
    fetch(rogue, target).raise_if_failed()
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("code", ["429", "500", "502", "503", "504"])
def test_a_busy_server_is_asked_again(rogue, target, code):
    rogue.todo[PATH] = [code, code]
    fetch(rogue, target).raise_if_failed()
    assert target.read_bytes() == CONTENT
    assert rogue.count("GET", PATH) == 3


def test_a_server_that_stays_busy_fails_but_not_for_good(rogue, target):
    rogue.todo[PATH] = ["503"] * 50
    report = fetch(rogue, target)
    assert "busy" in report.items[0].message
    assert rogue.count("GET", PATH) == TRIES + 1
    assert not target.exists()
    rogue.todo[PATH] = []
    fetch(rogue, target).raise_if_failed()


@pytest.mark.parametrize("fault", ["shorter", "longer"])
def test_a_file_of_another_size_never_gets_its_name(rogue, target, fault):
    rogue.todo[PATH] = [fault] * 50
    (item,) = fetch(rogue, target).items
    assert item.status == "failed"
    assert "a.root" in item.message
    assert not target.exists()


def test_one_that_fails_stops_no_other(rogue, tmp_path):
    paths = [PATH, "/gone.root", "/b.root"]
    rogue.files["/b.root"] = b"b" * 1000
    archive = HttpArchive(rogue.url, concurrency=2)
    report = archive.fetch([(RemoteFile(path), tmp_path / path.rsplit("/", 1)[1]) for path in paths])
    assert [item.status for item in report.items] == ["fetched", "failed", "fetched"]
    assert "/gone.root" in report.items[1].message
    assert list(report.table["status"]) == ["fetched", "failed", "fetched"]
    assert str(report).startswith("3 files: 2 fetched, 1 failed")
    assert rogue.count("GET", "/gone.root") == 0


@pytest.mark.parametrize("state", [TAPE, READING])
def test_a_file_on_tape_is_waited_for_unless_it_is_here(rogue, target, state):
    (item,) = fetch(rogue, target, size=len(CONTENT), state=state).items
    assert item.status == "waiting"
    assert "tape" in item.message
    assert rogue.asked == []
    fetch(rogue, target).raise_if_failed()
    assert fetch(rogue, target, size=len(CONTENT), state=state).items[0].status == "cached"


def test_what_cannot_fit_is_refused_before_the_first_byte(rogue, target):
    with pytest.raises(ArchiveError, match="GB free"):
        fetch(rogue, target, size=10**18)
    assert rogue.asked == []


def test_a_server_that_is_not_there(target):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        archive = HttpArchive(f"http://127.0.0.1:{taken.getsockname()[1]}")
        (item,) = archive.fetch([(RemoteFile(PATH), target)]).items
    assert item.status == "failed"
    assert "cannot be reached" in item.message


def test_redirects_are_not_followed(rogue, target):
    rogue.todo[PATH] = ["redirect"]
    (item,) = fetch(rogue, target).items
    assert item.status == "failed"
    assert "302" in item.message
    assert not any(path == "/elsewhere" for _, path, _ in rogue.asked)


# Names and passwords


def test_the_password_opens_and_is_nowhere_to_be_read(rogue, target, caplog):
    rogue.locked = True
    rogue.todo[PATH] = ["503", "drop 1000"]
    archive = HttpArchive(rogue.url, user=USER, password=PASSWORD, listings=target.parent / "listings")
    with caplog.at_level(logging.DEBUG):
        report = archive.fetch([(RemoteFile(PATH), target), (RemoteFile("/gone"), target.with_name("gone"))])
    assert target.read_bytes() == CONTENT
    told = caplog.text + repr(archive) + str(report) + report.table.to_string()
    assert PASSWORD not in told
    assert all(PASSWORD.encode() not in path.read_bytes() for path in target.parent.rglob("*") if path.is_file())


@pytest.mark.parametrize(("user", "password"), [(USER, "wr0ng-password"), (USER, None), (None, None)])
def test_a_closed_door_says_what_to_do(rogue, target, caplog, user, password):
    rogue.locked = True
    archive = HttpArchive(rogue.url, user=user, password=password)
    with caplog.at_level(logging.DEBUG), pytest.raises(AccessDeniedError, match="MAGICPY_ARCHIVE_PASSWORD") as caught:
        archive.fetch([(RemoteFile(PATH), target)])
    assert (user or "nobody") in str(caught.value)
    assert password is None or password not in caplog.text + str(caught.value)
    assert not target.exists()


def test_a_password_in_the_address_is_refused_without_repeating_it(rogue):
    with pytest.raises(ConfigError, match="MAGICPY_ARCHIVE_PASSWORD") as caught:
        HttpArchive(rogue.url.replace("//", f"//{USER}:{PASSWORD}@"))
    assert PASSWORD not in str(caught.value)


# Listings


def put_tree(server: Rogue) -> None:
    server.pages["/Data/Calibrated/"] = listing("v1/", "v2/", "v10/", "vacuum/")
    server.pages["/Data/Calibrated/v10/"] = listing("CrabNebula/", "Mrk421/")
    server.pages["/Data/Calibrated/v10/CrabNebula/"] = listing("2021_03_14/")
    server.pages["/Data/Calibrated/v10/CrabNebula/2021_03_14/"] = listing(
        "a.root", "../../../x.root", "/etc/passwd", "http://evil.example/y.root"
    )


def test_listings_lead_down_the_newest_tree_and_nowhere_else(rogue):
    put_tree(rogue)
    archive = HttpArchive(rogue.url)
    level = datalevels.Calibrated
    assert archive.sources(level) == ["CrabNebula", "Mrk421"]
    assert archive.nights(level, "CrabNebula") == ["2021_03_14"]
    files = archive.files(level, "CrabNebula", "2021_03_14")
    assert [file.path for file in files] == ["/Data/Calibrated/v10/CrabNebula/2021_03_14/a.root"]
    with pytest.raises(UnknownNameError, match="CrabNebula"):
        archive.nights(level, "CrabNebla")


def test_offline_answers_from_the_last_listings(rogue, tmp_path):
    put_tree(rogue)
    level = datalevels.Calibrated
    online = HttpArchive(rogue.url, listings=tmp_path)
    seen = online.sources(level), online.nights(level, "CrabNebula"), online.files(level, "CrabNebula", "2021_03_14")
    asked = len(rogue.asked)
    offline = HttpArchive(rogue.url, listings=tmp_path, offline=True)
    again = (
        offline.sources(level),
        offline.nights(level, "CrabNebula"),
        offline.files(level, "CrabNebula", "2021_03_14"),
    )
    assert again == seen
    with pytest.raises(ArchiveError, match="never been listed"):
        offline.nights(level, "Mrk421")
    with pytest.raises(ArchiveError, match="offline"):
        offline.read_text(seen[2][0])
    assert len(rogue.asked) == asked


def test_offline_fetches_nothing_but_knows_what_is_here(rogue, target):
    fetch(rogue, target)
    asked = len(rogue.asked)
    here, gone = RemoteFile(PATH, len(CONTENT)), RemoteFile("/b.root", 5)
    report = HttpArchive(rogue.url, offline=True).fetch([(here, target), (gone, target.with_name("b.root"))])
    assert [item.status for item in report.items] == ["cached", "failed"]
    assert len(rogue.asked) == asked


def test_a_listing_that_breaks_off_is_an_error_of_the_archive(rogue):
    put_tree(rogue)
    rogue.todo["/Data/Calibrated/"] = ["drop 20"] * 50
    with pytest.raises(ArchiveError, match="/Data/Calibrated/"):
        HttpArchive(rogue.url).sources(datalevels.Calibrated)


def test_a_tree_without_versions_says_so(rogue):
    rogue.pages["/Data/Calibrated/"] = listing("vacuum/", "old/")
    with pytest.raises(ArchiveError, match="no processing version in /Data/Calibrated"):
        HttpArchive(rogue.url).sources(datalevels.Calibrated)
