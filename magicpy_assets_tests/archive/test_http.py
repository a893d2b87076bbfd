"""Fetching from a server that misbehaves: what breaks is resumed, what is here is never fetched again."""

from __future__ import annotations

import base64
import hashlib
import logging
import random
import socket
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from rogue import PASSWORD, USER, Rogue, serve_rogue
from urllib3 import HTTPResponse

from magicpy_assets.archive.base import READING, TAPE, FetchReport, OfflineError, RemoteFile
from magicpy_assets.archive.checksums import given_checksums
from magicpy_assets.archive.connection import CHUNK, LONGEST_PAGE_BYTES, LONGEST_PAUSE_S, TRIES, BoundedRetry
from magicpy_assets.archive.http import HttpArchive
from magicpy_assets.core import datalevels
from magicpy_assets.core.errors import AccessDeniedError, ArchiveError, ConfigError, UnknownNameError
from magicpy_assets.core.progress import handler
from magicpy_assets.store.records import RECORDS

NAME = "20210314_M1_05095172.001_Y_CrabNebula-W0.40+035.root"
PATH = "/Data/Calibrated/v1/CrabNebula/2021_03_14/a.root"
DATE, LATER = "Sun, 14 Mar 2021 06:00:00 GMT", "Mon, 15 Mar 2021 06:00:00 GMT"
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
    return [path for path in target.parent.iterdir() if path.name != RECORDS] == [target]


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
    rogue.files[PATH], rogue.etag = CONTENT[::-1], '"v2"'
    fetch(rogue, target).raise_if_failed()
    assert target.read_bytes() == CONTENT[::-1]
    assert rogue.ranges(PATH)[-1] == ""


def test_without_a_tag_the_time_tells_versions_apart(rogue, target):
    rogue.etag, rogue.modified = "", DATE
    rogue.todo[PATH] = ["drop 100000"] * TRIES
    fetch(rogue, target)
    fetch(rogue, target).raise_if_failed()
    assert rogue.ranges(PATH)[-1] != ""
    assert target.read_bytes() == CONTENT
    target.unlink()
    rogue.todo[PATH] = ["drop 100000"] * TRIES
    fetch(rogue, target)
    rogue.files[PATH], rogue.modified = CONTENT[::-1], LATER
    fetch(rogue, target).raise_if_failed()
    assert rogue.ranges(PATH)[-1] == ""
    assert target.read_bytes() == CONTENT[::-1]


@pytest.mark.parametrize("tag", ["", 'W/"v1"'])
def test_without_a_strong_tag_or_a_time_nothing_old_is_gone_on_with(rogue, target, tag):
    rogue.etag = tag
    rogue.todo[PATH] = ["drop 100000"] * TRIES
    fetch(rogue, target)
    rogue.files[PATH] = CONTENT[::-1]
    fetch(rogue, target).raise_if_failed()
    assert target.read_bytes() == CONTENT[::-1]


def test_a_file_of_the_same_size_that_is_newer_on_the_server_is_fetched_again(rogue, target):
    rogue.modified = DATE
    fetch(rogue, target).raise_if_failed()
    assert fetch(rogue, target).items[0].status == "cached"
    rogue.files[PATH], rogue.modified, rogue.etag = CONTENT[::-1], LATER, '"v2"'
    (item,) = fetch(rogue, target).items
    assert (item.status, item.remote.etag, item.remote.modified) == ("fetched", "v2", "2021-03-15T06:00:00+00:00")
    assert target.read_bytes() == CONTENT[::-1]
    assert fetch(rogue, target).items[0].status == "cached"


def test_a_part_of_another_size_than_the_server_has_is_thrown_away(rogue, target):
    rogue.todo[PATH] = ["drop 600000"] * TRIES
    fetch(rogue, target)
    rogue.files[PATH] = CONTENT[:1000]
    fetch(rogue, target).raise_if_failed()
    assert target.read_bytes() == CONTENT[:1000]


def test_an_empty_file_is_a_file(rogue, target):
    rogue.files[PATH] = b""
    assert fetch(rogue, target).items[0].status == "fetched"
    assert target.read_bytes() == b""
    assert fetch(rogue, target).items[0].status == "cached"


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


def test_a_busy_server_is_not_obeyed_for_ever():
    def pause(seconds: int) -> float | None:
        return BoundedRetry().get_retry_after(HTTPResponse(headers={"Retry-After": str(seconds)}))

    assert (pause(5), pause(86400)) == (5, LONGEST_PAUSE_S)


def test_a_server_that_stays_busy_fails_but_not_for_good(rogue, target):
    rogue.todo[PATH] = ["503"] * 50
    report = fetch(rogue, target)
    assert "busy" in report.items[0].message
    assert rogue.count("GET", PATH) == TRIES + 1
    assert not target.exists()
    rogue.todo[PATH] = []
    fetch(rogue, target).raise_if_failed()


@pytest.mark.parametrize("fault", ["shorter", "longer", "endless"])
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
def test_a_file_on_tape_is_asked_for_and_waited_for_without_stopping_others(rogue, target, state):
    rogue.files["/b.root"] = b"b" * 1000
    rogue.todo[PATH] = ["wait"]
    archive, other = HttpArchive(rogue.url, concurrency=1, tape_patience_s=0.2), target.with_name("b.root")
    wanted = [(RemoteFile(PATH, len(CONTENT), state=state), target), (RemoteFile("/b.root"), other)]
    waiting, fetched = archive.fetch(wanted).items
    assert (waiting.status, fetched.status) == ("waiting", "fetched")
    assert "tape" in waiting.message
    assert rogue.count("GET", PATH) == 1
    assert [path for _, path, _ in rogue.asked][-1] == PATH
    assert [item.status for item in archive.fetch(wanted).items] == ["fetched", "cached"]
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("answer", ["202", "503"])
def test_a_file_that_the_server_promises_for_later_is_waited_for(rogue, target, answer):
    rogue.todo[PATH] = [answer]
    assert fetch(rogue, target, state=TAPE).items[0].status == "waiting"
    assert fetch(rogue, target, state=TAPE).items[0].status == "fetched"


def test_a_file_on_tape_that_is_here_is_not_asked_for(rogue, target):
    fetch(rogue, target).raise_if_failed()
    asked = len(rogue.asked)
    assert fetch(rogue, target, size=len(CONTENT), state=TAPE).items[0].status == "cached"
    assert len(rogue.asked) == asked


def test_the_same_file_twice_is_fetched_once(rogue, target):
    report = HttpArchive(rogue.url).fetch([(RemoteFile(PATH), target)] * 4)
    assert sorted(item.status for item in report.items) == ["cached"] * 3 + ["fetched"]
    assert rogue.sent[PATH] == len(CONTENT)


FETCH = """
import sys
from pathlib import Path
from magicpy_assets.archive.base import RemoteFile
from magicpy_assets.archive.http import HttpArchive
report = HttpArchive(sys.argv[1]).fetch([(RemoteFile(sys.argv[2]), Path(sys.argv[3]))])
print(report.items[0].status)
"""


def fetch_elsewhere(server: Rogue, target: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", FETCH, server.url, PATH, str(target)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_of_two_processes_that_want_a_file_one_fetches_it(rogue, target):
    children = [fetch_elsewhere(rogue, target) for _ in range(2)]
    assert sorted(child.communicate()[0].strip() for child in children) == ["cached", "fetched"]
    assert rogue.sent[PATH] == len(CONTENT)
    assert target.read_bytes() == CONTENT


def test_a_killed_process_is_gone_on_for_where_it_stopped(rogue, target):
    rogue.todo[PATH] = ["stall 400000"]
    part = target.with_name(f".{target.name}.part")
    with fetch_elsewhere(rogue, target) as child:
        while not part.exists() or part.stat().st_size < 400_000 - CHUNK:
            assert child.poll() is None
            time.sleep(0.02)
        child.kill()
    assert not target.exists()
    have = part.stat().st_size
    assert fetch(rogue, target).items[0].status == "fetched"
    assert rogue.ranges(PATH) == ["", f"bytes={have}-"]
    assert target.read_bytes() == CONTENT
    assert only(target)


def test_closing_stops_what_is_being_fetched(rogue, target):
    rogue.todo[PATH] = ["endless"]
    rogue.files[PATH] = b"x" * (1 << 30)
    archive = HttpArchive(rogue.url)
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(archive.fetch, [(RemoteFile(PATH), target)])
        while rogue.sent[PATH] < 1_000_000:
            time.sleep(0.01)
        archive.close()
        (item,) = future.result().items
    assert (item.status, item.message) == ("failed", "a.root: stopped")
    assert not target.exists()


def test_an_interrupt_stops_what_is_being_fetched(rogue, target):
    rogue.todo[PATH] = ["endless"]
    rogue.files |= {PATH: b"x" * (1 << 30), "/b.root": b"b"}

    def interrupt(total: int, done: int, text: str) -> None:
        raise KeyboardInterrupt

    wanted = [(RemoteFile(PATH), target), (RemoteFile("/b.root"), target.with_name("b.root"))]
    with handler(interrupt), pytest.raises(KeyboardInterrupt):
        HttpArchive(rogue.url).fetch(wanted)
    assert not target.exists()


def test_the_observatory_is_a_data_server_like_any_other(observatory, tmp_path):
    archive = HttpArchive(observatory.url, user=observatory.user, password=observatory.password)
    wanted = [(remote, tmp_path / remote.name) for remote in archive.reports()]
    report = archive.fetch(wanted)
    assert [item.status for item in report.items] == ["fetched"] * len(wanted)
    for item in report.items:
        assert item.remote.etag
        assert item.target.read_text() == archive.read_text(item.remote)
    assert {item.status for item in archive.fetch(wanted).items} == {"cached"}


# Checksums


def digests(content: bytes) -> list[dict[str, str]]:
    """The same checksums as different servers give them."""
    sha = base64.b64encode(hashlib.sha256(content).digest()).decode()
    md5 = base64.b64encode(hashlib.md5(content).digest()).decode()
    return [
        {"Repr-Digest": f"sha-256=:{sha}:"},
        {"Repr-Digest": f"unheard-of=:eA==:, sha-256=:{sha}:"},
        {"Digest": f"SHA-256={sha},md5={md5}"},
        {"Digest": f"adler32={zlib.adler32(content):x}"},
        {"Content-MD5": md5},
    ]


@pytest.mark.parametrize("given", digests(CONTENT))
def test_a_file_with_its_checksum_is_taken(rogue, target, given):
    rogue.headers[PATH] = given
    rogue.todo[PATH] = ["drop 300000"]
    fetch(rogue, target).raise_if_failed()
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("given", digests(CONTENT))
def test_a_file_without_its_checksum_never_gets_its_name(rogue, target, given):
    rogue.headers[PATH] = given
    rogue.files[PATH] = CONTENT[:-1] + bytes([CONTENT[-1] ^ 1])
    (item,) = fetch(rogue, target).items
    assert item.status == "failed"
    assert "checksum" in item.message
    assert not target.exists()
    rogue.files[PATH] = CONTENT
    fetch(rogue, target).raise_if_failed()
    assert target.read_bytes() == CONTENT


@given(st.text(max_size=30), st.sampled_from(["Digest", "Repr-Digest", "Content-MD5"]))
@example("sha-256=:AAAA:", "Repr-Digest")
@example("adler32=xyz", "Digest")
def test_checksums_that_make_no_sense_count_as_none(text, header):
    assert given_checksums({header: text}) == {}


def test_what_cannot_fit_is_refused_before_the_first_byte(rogue, target):
    with pytest.raises(ArchiveError, match="GB free"):
        fetch(rogue, target, size=10**18)
    assert rogue.asked == []


def test_a_file_without_end_does_not_fill_the_disk(rogue, target, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=3_000_000))
    rogue.headers[PATH] = {"Content-Length": "x"}
    rogue.todo[PATH] = ["endless"] * 20
    (item,) = fetch(rogue, target).items
    assert (item.status, item.message) == ("failed", "a.root does not end where it should")
    assert not target.exists()
    assert sum(path.stat().st_size for path in target.parent.rglob("*")) < 3_000_000


def test_a_server_that_is_not_there(target):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        archive = HttpArchive(f"http://127.0.0.1:{taken.getsockname()[1]}")
        (item,) = archive.fetch([(RemoteFile(PATH), target)]).items
    assert item.status == "failed"
    assert "cannot be reached" in item.message


@pytest.mark.parametrize(
    "headers", [{"Content-Length": "many", "Connection": "close"}, {"Last-Modified": "yesterday"}, {"ETag": "v1"}]
)
def test_headers_that_make_no_sense_count_as_none(rogue, target, headers):
    rogue.headers[PATH] = headers
    fetch(rogue, target).raise_if_failed()
    assert target.read_bytes() == CONTENT


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


@pytest.mark.parametrize("address", ["", "data.magic", "ftp://data.magic", "file:///etc", "http://"])
def test_what_is_no_address_is_refused(address):
    with pytest.raises(ConfigError, match="no address"):
        HttpArchive(address)


# Listings


def put_tree(server: Rogue) -> None:
    server.pages["/Data/Calibrated/"] = listing("v1/", "v2/", "v10/", "vacuum/")
    server.pages["/Data/Calibrated/v10/"] = listing("CrabNebula/", "Mrk421/")
    server.pages["/Data/Calibrated/v10/CrabNebula/"] = listing("2021_03_14/")
    server.pages["/Data/Calibrated/v10/CrabNebula/2021_03_14/"] = listing(
        NAME,
        "ssignal_M1.root",
        NAME.replace("_Y_", "_I_"),
        "../../../x.root",
        "/etc/passwd",
        f"http://evil.example/{NAME}",
    )


def test_listings_lead_down_the_newest_tree_and_nowhere_else(rogue):
    put_tree(rogue)
    archive = HttpArchive(rogue.url)
    level = datalevels.Calibrated
    assert archive.sources(level) == ["CrabNebula", "Mrk421"]
    assert archive.nights(level, "CrabNebula") == ["2021_03_14"]
    files = archive.files(level, "CrabNebula", "2021_03_14")
    assert [file.path for file in files] == [f"/Data/Calibrated/v10/CrabNebula/2021_03_14/{NAME}"]
    with pytest.raises(UnknownNameError, match="CrabNebula"):
        archive.nights(level, "CrabNebla")


def test_what_is_not_there_names_what_is_nearest(rogue, target):
    put_tree(rogue)
    with pytest.raises(ArchiveError, match="did you mean 2021_03_14"):
        HttpArchive(rogue.url).files(datalevels.Calibrated, "CrabNebula", "2021_03_15")
    with pytest.raises(ArchiveError, match="did you mean CrabNebula"):
        HttpArchive(rogue.url).files(datalevels.Calibrated, "CrabNebla", "2021_03_14")
    (item,) = fetch(rogue, target, f"/Data/Calibrated/v10/CrabNebula/2021_03_14/{NAME.replace('-W', '_W')}").items
    assert f"did you mean {NAME}" in item.message


def test_a_listing_without_end_is_given_up(rogue):
    rogue.todo["/Data/Calibrated/"] = ["endless"]
    with pytest.raises(ArchiveError, match="does not come to an end"):
        HttpArchive(rogue.url).sources(datalevels.Calibrated)
    assert rogue.sent["/Data/Calibrated/"] < 2 * LONGEST_PAGE_BYTES


def test_offline_answers_from_the_last_listings(rogue, tmp_path):
    put_tree(rogue)
    level = datalevels.Calibrated
    online = HttpArchive(rogue.url, listings=tmp_path)
    seen = online.sources(level), online.nights(level, "CrabNebula"), online.files(level, "CrabNebula", "2021_03_14")
    asked = len(rogue.asked)
    offline = HttpArchive(rogue.url, listings=tmp_path, offline=True)
    assert offline.as_of is None
    again = (
        offline.sources(level),
        offline.nights(level, "CrabNebula"),
        offline.files(level, "CrabNebula", "2021_03_14"),
    )
    assert again == seen
    assert 0 <= (datetime.now(UTC) - offline.as_of).total_seconds() < 600
    assert repr(offline).endswith(f"offline, as of {offline.as_of:%Y-%m-%d %H:%M} UTC)")
    with pytest.raises(ArchiveError, match="never been listed"):
        offline.nights(level, "Mrk421")
    with pytest.raises(ArchiveError, match="offline"):
        offline.read_text(seen[2][0])
    assert len(rogue.asked) == asked


@pytest.mark.parametrize("text", ["", "{", "[]", '{"files": [{}], "folders": [], "at": "now"}'])
def test_a_damaged_listing_counts_as_none(rogue, tmp_path, text):
    put_tree(rogue)
    HttpArchive(rogue.url, listings=tmp_path).sources(datalevels.Calibrated)
    for path in tmp_path.rglob("*.json"):
        path.write_text(text)
    with pytest.raises(ArchiveError, match="never been listed"):
        HttpArchive(rogue.url, listings=tmp_path, offline=True).sources(datalevels.Calibrated)


def test_offline_fetches_nothing_but_knows_what_is_here(rogue, target):
    fetch(rogue, target)
    asked = len(rogue.asked)
    here, gone = RemoteFile(PATH, len(CONTENT)), RemoteFile("/b.root", 5)
    report = HttpArchive(rogue.url, offline=True).fetch([(here, target), (gone, target.with_name("b.root"))])
    assert [item.status for item in report.items] == ["cached", "offline"]
    with pytest.raises(OfflineError, match="not in the store") as caught:
        report.items[1].raise_if_missing()
    assert "archive.offline" in caught.value.hint
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
