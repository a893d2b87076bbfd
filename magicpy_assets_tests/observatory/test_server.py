"""The data server over HTTP, as any client sees it: listings, password, ranges, tags, files made when asked for."""

import base64
import http.client
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from urllib.parse import quote, unquote

import pytest
import requests

from magicpy_assets.core.runs import parse_name
from magicpy_assets.observatory.http import parse_range
from magicpy_assets.observatory.programme import programme
from magicpy_assets.observatory.server import serve

SEED = 316
DURATION_S = 3.0
NIGHT = "2020_11_16"
NIGHTS = (date(2020, 11, 16), date(2020, 11, 24), date(2020, 12, 15), date(2020, 12, 23))
PLANS = programme(SEED, nights=NIGHTS, duration_s=DURATION_S)
REPORT = f"/CCdata/{NIGHT}/CC_{NIGHT}_M1.run"
ROW = re.compile(r'<a href="([^"]+)"(?: download="([^"]+)")? title="([^"]+)">')


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("observatory")


@pytest.fixture(scope="module")
def server(cache):
    with serve(cache, SEED, nights=NIGHTS, duration_s=DURATION_S, password="secret") as running:
        yield running


@pytest.fixture
def client(server):
    with requests.Session() as session:
        session.auth = (server.user, server.password)
        yield lambda path, method="GET", **headers: session.request(method, server.url + path, headers=headers)


def links(page: str) -> list[str]:
    return [unquote(match[1]) for match in ROW.finditer(page)]


def test_the_tree_is_listed_from_the_root_down(client):
    assert links(client("/").text) == ["CCdata/", "Data/", "MC/", "Runbooks/"]
    assert links(client("/Data/Calibrated/v1/").text) == ["CrabNebula/", "OJ287/", "S20109+22/", "TXS0827+243/"]
    assert links(client("/Data/").text) == ["Calibrated/", "SuperStar/"]
    zeniths = ["za05to35/", "za35to50/", "za50to62/", "za62to70/"]
    assert links(client("/MC/Calibrated/v1/ST0316/").text) == zeniths
    assert links(client("/MC/Calibrated/v1/ST0316/za05to35/").text) == ["test/", "train/"]
    assert links(client("/CCdata/").text) == [f"{night:%Y_%m_%d}/" for night in NIGHTS]


def test_every_file_of_the_programme_is_listed_in_its_place(client):
    for plan in PLANS:
        page = client(quote(f"/Data/Calibrated/v1/{plan.source}/{plan.date:%Y_%m_%d}/")).text
        expected = {plan.file(telescope, subrun).name for telescope in (1, 2) for subrun in (1, 2)}
        assert expected <= set(links(page))
    names = links(client("/MC/Calibrated/v1/ST0316/za35to50/test/").text)
    parsed = [parse_name(name) for name in names]
    assert [item.telescope for item in parsed] == [1] * (len(names) // 2) + [2] * (len(names) // 2)
    assert {(item.zenith, item.level.letter, item.wobble) for item in parsed} == {("za35to50", "Y", "wr")}


def test_a_listing_is_a_table_with_a_header_row_and_the_state_of_every_file(client):
    page = client(f"/CCdata/{NIGHT}/").text
    rows = re.findall(r"<tr>.*?</tr>", page, re.S)
    assert "<th>" in rows[0]
    (match,) = ROW.finditer(rows[1])
    assert match[1] == match[2] == match[3] == f"CC_{NIGHT}_M1.run"
    assert '<i class="disk icon" title="Online"></i>' in rows[1]


def test_listing_makes_no_data_and_sizes_appear_once_files_are_made(tmp_path):
    with serve(tmp_path, SEED, nights=NIGHTS, duration_s=DURATION_S, password="secret") as running:
        auth = (running.user, running.password)
        folder = f"{running.url}/Data/Calibrated/v1/OJ287/{NIGHT}/"
        page = requests.get(folder, auth=auth).text
        assert page.count("<td>-</td></tr>") == 4
        assert not list(tmp_path.rglob("*.root"))
        size = int(requests.head(folder + links(page)[0], auth=auth).headers["Content-Length"])
        assert size > 100_000
        page = requests.get(folder, auth=auth).text
        assert f"<td>{size}</td></tr>" in page
        assert page.count("<td>-</td></tr>") == 0  # all files of a run are made together


def test_the_listing_of_a_run_report_never_changes(tmp_path):
    with serve(tmp_path, SEED, nights=NIGHTS, duration_s=DURATION_S, password="secret") as running:
        auth = (running.user, running.password)
        before = requests.get(f"{running.url}/CCdata/{NIGHT}/", auth=auth).text
        size = len(requests.get(running.url + REPORT, auth=auth).content)
        assert f"<td>{size}</td></tr>" in before
        assert requests.get(f"{running.url}/CCdata/{NIGHT}/", auth=auth).text == before


@pytest.mark.parametrize("auth", [None, ("magic", "wrong"), ("someone", "secret")])
@pytest.mark.parametrize("path", ["/", REPORT, "/nowhere"])
def test_nothing_is_shown_without_the_password(server, path, auth):
    with requests.Session() as session:
        session.trust_env = False
        answer = session.get(server.url + path, auth=auth)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Basic realm=")
    assert "CrabNebula" not in answer.text


def test_head_and_get_agree(client):
    head, get = client(REPORT, "HEAD"), client(REPORT)
    assert head.status_code == get.status_code == 200
    assert head.content == b""
    assert int(head.headers["Content-Length"]) == len(get.content)
    for header in ("ETag", "Last-Modified", "Accept-Ranges", "Content-Type"):
        assert head.headers[header] == get.headers[header]
    assert get.headers["Last-Modified"] == "Mon, 16 Nov 2020 12:00:00 GMT"


@pytest.mark.parametrize(
    ("asked", "first", "stop"),
    [("bytes=0-9", 0, 10), ("bytes=10-", 10, None), ("bytes=-7", -7, None), ("bytes=5-999999999", 5, None)],
)
def test_a_range_is_that_part_of_the_file(client, asked, first, stop):
    whole = client(REPORT).content
    part = client(REPORT, Range=asked)
    assert part.status_code == 206
    assert part.content == whole[first:stop]
    begin = first % len(whole)
    assert part.headers["Content-Range"] == f"bytes {begin}-{begin + len(part.content) - 1}/{len(whole)}"


def test_a_range_beyond_the_end_is_refused_with_the_size(client):
    size = len(client(REPORT).content)
    answer = client(REPORT, Range=f"bytes={size}-")
    assert answer.status_code == 416
    assert answer.headers["Content-Range"] == f"bytes */{size}"
    assert client(REPORT, Range="bytes=-0").status_code == 416


@pytest.mark.parametrize("odd", ["bytes=0-1,4-5", "bytes=9-2", "bytes=-", "pages=1-2"])
def test_a_range_that_makes_no_sense_gives_the_whole_file(client, odd):
    answer = client(REPORT, Range=odd)
    assert answer.status_code == 200
    assert answer.content == client(REPORT).content


def test_a_range_of_another_state_of_the_file_gives_the_whole_file(client):
    tag = client(REPORT, "HEAD").headers["ETag"]
    assert client(REPORT, **{"Range": "bytes=3-", "If-Range": tag}).status_code == 206
    assert client(REPORT, **{"Range": "bytes=3-", "If-Range": '"another"'}).status_code == 200


def test_parse_range_at_the_edges():
    assert parse_range("", 10) is None
    assert parse_range("bytes=0-0", 1) == (0, 1)
    assert parse_range("bytes=-50", 10) == (0, 10)
    with pytest.raises(ValueError, match="nothing of"):
        parse_range("bytes=0-", 0)


def test_tags_and_dates_are_the_same_after_a_restart_and_on_another_server_of_the_cache(server, cache, client):
    wanted = ("ETag", "Last-Modified", "Content-Length")
    before = client(REPORT, "HEAD").headers
    with serve(cache, SEED, nights=NIGHTS, duration_s=DURATION_S, password="secret") as other:
        after = requests.head(other.url + REPORT, auth=("magic", "secret")).headers
    assert [before[header] for header in wanted] == [after[header] for header in wanted]


def test_another_seed_never_answers_with_the_files_of_this_one(server, cache, client):
    with serve(cache, SEED + 1, nights=NIGHTS, duration_s=DURATION_S, password="secret") as other:
        answer = requests.get(other.url + REPORT, auth=("magic", "secret"))
    assert answer.content != client(REPORT).content
    assert answer.headers["ETag"] != client(REPORT).headers["ETag"]


def raw_status(server, target: str) -> int:
    """Ask for a target as it is: requests would tidy the path up."""
    token = base64.b64encode(f"{server.user}:{server.password}".encode()).decode()
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"))
    try:
        connection.putrequest("GET", target, skip_accept_encoding=True)
        connection.putheader("Authorization", f"Basic {token}")
        connection.endheaders()
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.parametrize(
    "target",
    [
        "/nowhere",
        "/../../etc/passwd",
        "/Data/../../../etc/passwd",
        "/CCdata/%2e%2e/%2e%2e/etc/passwd",
        "/CCdata/..%2f..%2fetc%2fpasswd",
        "//etc/passwd",
        "/CCdata/2020_11_16/..",
        "/CCdata/2020_11_16/.CC_2020_11_16_M1.run.lock",
        "/%00",
        f"{REPORT}/",
    ],
)
def test_nothing_outside_the_tree_can_be_reached(server, target):
    assert raw_status(server, REPORT) == 200
    assert raw_status(server, target) == 404


def test_a_folder_without_its_slash_is_sent_on(server, client):
    assert raw_status(server, "/CCdata") == 301
    assert client("/CCdata").url == server.url + "/CCdata/"


def test_a_file_asked_for_by_many_at_once_is_made_once(server, client, cache):
    plan = next(plan for plan in PLANS if plan.source == "CrabNebula")
    folder = f"/Data/Calibrated/v1/CrabNebula/{plan.date:%Y_%m_%d}/"
    paths = [folder + plan.file(telescope, subrun).name for telescope in (1, 2) for subrun in (1, 2)]
    start = threading.Barrier(8)

    def fetch(path):
        start.wait()
        return requests.get(server.url + path, auth=(server.user, server.password))

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(fetch, paths * 2))
    assert {answer.status_code for answer in answers} == {200}
    assert all(a.content == b.content for a, b in zip(answers[:4], answers[4:], strict=True))
    assert all(answer.content[:4] == b"root" for answer in answers)
    kept = [path for path in cache.rglob("*") if plan.file(1, 1).name.split(".")[0] in path.name]
    assert len(kept) == 2  # both subruns of M1, each once
    assert not list(cache.rglob(".*making*"))


def test_a_file_that_cannot_be_made_is_an_error_with_the_reason_and_leaves_nothing(tmp_path, monkeypatch):
    from magicpy_assets.core.errors import InputError
    from magicpy_assets.observatory import tree

    def broken(plans, seed, planted):
        raise InputError("the telescopes were covered in ice")

    monkeypatch.setattr(tree.reports, "night_report", broken)
    with serve(tmp_path, SEED, nights=NIGHTS, duration_s=DURATION_S, password="secret") as running:
        auth = (running.user, running.password)
        answer = requests.get(running.url + REPORT, auth=auth)
        assert answer.status_code == 500
        assert "covered in ice" in answer.text
        assert requests.get(f"{running.url}/CCdata/{NIGHT}/", auth=auth).status_code == 500
        assert not list(tmp_path.rglob("*.run"))
        monkeypatch.undo()
        assert requests.get(running.url + REPORT, auth=auth).status_code == 200


def test_what_a_killed_server_left_behind_is_cleared_away(tmp_path):
    with serve(tmp_path, SEED, nights=NIGHTS, duration_s=DURATION_S, password="secret") as running:
        auth = (running.user, running.password)
        folder = tmp_path / running.tree.identity / "CCdata" / NIGHT
        leftover = folder / f".CC_{NIGHT}_M1.run.making-abc"
        leftover.mkdir(parents=True)
        (leftover / "half.run").write_text("05093114 DA")
        answer = requests.get(running.url + REPORT, auth=auth)
        assert answer.status_code == 200
        assert answer.text.endswith("\n")
        assert not leftover.exists()
        assert links(requests.get(f"{running.url}/CCdata/{NIGHT}/", auth=auth).text) == [f"CC_{NIGHT}_M1.run"]


def test_the_truth_is_not_served(client):
    text = client(REPORT).text
    assert text.startswith("# SIMULATED")
    assert "flux" not in text
    for path in ("/sky.py", "/Data/truth", "/fields.csv"):
        assert client(path).status_code == 404


def test_a_stopped_server_answers_no_more(tmp_path):
    with serve(tmp_path, SEED, nights=NIGHTS, duration_s=DURATION_S) as running, requests.Session() as session:
        session.auth = (running.user, running.password)
        assert session.get(running.url + "/").status_code == 200
        url = running.url
    with pytest.raises(requests.ConnectionError):
        requests.get(url + "/", timeout=5)


def test_an_archive_with_little_monte_carlo(tmp_path):
    """Fewer pairs of each kind, the same files: what small cells are made with."""
    with (
        serve(tmp_path / "all", 316, nights=(date(2020, 11, 16),), duration_s=20) as whole,
        serve(tmp_path / "one", 316, nights=(date(2020, 11, 16),), duration_s=20, mc_pairs=1) as small,
    ):
        every, few = ({name for name in one.tree.files if "/MC/" in str(name)} for one in (whole, small))
    assert few < every
    assert len(every) == 4 * len(few)
