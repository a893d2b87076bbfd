"""Trouble on purpose, met where an analyst meets it: on the wire, through the archive's client, in the files."""

import re
import time
from datetime import date

import numpy as np
import pytest
import requests
import uproot

from magicpy_assets.archive.http import HttpArchive
from magicpy_assets.core import moons
from magicpy_assets.core.datalevels import Calibrated
from magicpy_assets.core.errors import ConfigError, InputError, UnknownNameError
from magicpy_assets.core.runs import is_stereo, night_folder, parse_name
from magicpy_assets.formats.calibrated import PEDESTAL, STEREO, CalibratedFile, pedestal_level
from magicpy_assets.formats.runreport import parse_run_report
from magicpy_assets.observatory import sky, troubles, truth
from magicpy_assets.observatory.programme import programme
from magicpy_assets.observatory.server import serve
from magicpy_assets.observatory.troubles import KINDS, Planted, Trouble

SEED = 316
DURATION_S = 3.0
NIGHT = date(2020, 11, 14)
MOONLIT = date(2020, 11, 23)
CLOUDY = date(2021, 1, 8)
NIGHTS = (NIGHT, MOONLIT, CLOUDY, date(2021, 1, 9), date(2021, 1, 11))
FIRST = 6
"""The first of that night's runs of the Crab Nebula between 23 and 35 deg."""
TAPE_S = 0.7
PLANS = programme(SEED, nights=NIGHTS, duration_s=DURATION_S)
SEASON = programme(SEED)


def trouble(kind, nth, **more):
    return Trouble(kind, NIGHT, "CrabNebula", nth, **more)


PLANTED = (
    trouble("truncated", FIRST, telescope=1, subrun=2, value=0.6),
    trouble("empty", FIRST, telescope=2, subrun=1),
    trouble("missing", FIRST, telescope=2, subrun=2),
    trouble("no_drive", FIRST + 1),
    trouble("tape", FIRST + 1, telescope=1, subrun=1, value=TAPE_S),
    trouble("replaced", FIRST + 2, value=0.9),
    trouble("no_l1", FIRST + 2),
    Trouble("wrong_nsb", MOONLIT, "CrabNebula", 3, value=0.6),
)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    cache = tmp_path_factory.mktemp("observatory")
    with serve(cache, SEED, nights=NIGHTS, duration_s=DURATION_S, password="x", trouble=PLANTED) as running:
        yield running


@pytest.fixture
def ask(server):
    with requests.Session() as session:
        session.auth = (server.user, server.password)
        yield lambda path, method="GET", **headers: session.request(method, server.url + path, headers=headers)


@pytest.fixture
def archive(server):
    found = HttpArchive(server.url, user=server.user, password=server.password, tape_patience_s=1.0)
    yield found
    found.close()


def run_of(nth: int, night=NIGHT):
    return [plan for plan in PLANS if (plan.date, plan.source) == (night, "CrabNebula")][nth - 1]


def path_of(plan, telescope=1, subrun=1) -> str:
    return f"/Data/Calibrated/v1/{plan.source}/{night_folder(plan.date)}/{plan.file(telescope, subrun).name}"


def files_of(archive, plan):
    listed = archive.files(Calibrated, plan.source, night_folder(plan.date))
    return [remote for remote in listed if parse_name(remote.name).run == plan.run]


def fetch(archive, remotes, folder):
    return archive.fetch([(remote, folder / remote.name) for remote in remotes]).items


@pytest.fixture(scope="module")
def fetched(server, tmp_path_factory):
    """Files of runs by run number, telescope and subrun, as the archive's client got them."""
    folder, found = tmp_path_factory.mktemp("fetched"), {}
    client = HttpArchive(server.url, user=server.user, password=server.password)
    for plan in (run_of(FIRST), run_of(FIRST + 1), run_of(3, MOONLIT), run_of(1, CLOUDY), *mono_and_sum_trigger()):
        wanted = [remote for remote in files_of(client, plan) if remote.state == "online"]
        for item in fetch(client, wanted, folder):
            assert item.status == "fetched", item.message
            name = parse_name(item.remote.name)
            found[name.run, name.telescope, name.subrun] = item.target
    client.close()
    return found


def mono_and_sum_trigger():
    return [plan for plan in PLANS if plan.mode != "stereo"]


def test_a_file_cut_short_comes_whole_and_cannot_be_read(fetched, ask):
    run = run_of(FIRST).run
    cut, whole = fetched[run, 1, 2], fetched[run, 1, 1]
    assert int(ask(path_of(run_of(FIRST), 1, 2), "HEAD").headers["Content-Length"]) == cut.stat().st_size
    assert 0.3 * whole.stat().st_size < cut.stat().st_size < 0.9 * whole.stat().st_size
    with pytest.raises(InputError, match=re.escape(cut.name)), CalibratedFile(cut) as file:
        list(file.chunks())
    with CalibratedFile(whole) as file:
        assert sum(map(len, file.chunks())) == file.n_events > 0


def test_a_file_without_a_byte_is_fetched_without_one(fetched, ask):
    plan = run_of(FIRST)
    empty = fetched[plan.run, 2, 1]
    assert empty.stat().st_size == 0
    assert ask(path_of(plan, 2, 1)).content == b""
    assert ask(path_of(plan, 2, 1), Range="bytes=0-").status_code == 416
    with pytest.raises(InputError, match=re.escape(empty.name)):
        CalibratedFile(empty)


def test_a_missing_subrun_is_in_no_listing(archive, ask):
    plan = run_of(FIRST)
    found = {(name.telescope, name.subrun) for name in (parse_name(file.name) for file in files_of(archive, plan))}
    assert found == {(1, 1), (1, 2), (2, 1)}
    assert ask(path_of(plan, 2, 2)).status_code == 404


def test_a_run_without_drive_reports_says_nowhere_where_it_pointed(fetched):
    for subrun in (1, 2):
        with CalibratedFile(fetched[run_of(FIRST + 1).run, 2, subrun]) as file:
            assert file.drive is None
            assert file.pedestals is not None
    with CalibratedFile(fetched[run_of(FIRST).run, 1, 1]) as file:
        assert file.drive is not None


def test_measured_pedestals_contradict_a_wrong_report(fetched, ask):
    plan = run_of(3, MOONLIT)
    night = night_folder(plan.date)
    report = parse_run_report(ask(f"/CCdata/{night}/CC_{night}_M1.run").text).set_index("run")
    mean, rms, _ = pedestal_level(fetched[plan.run, 1, 1])
    assert moons.of_nsb(report.loc[plan.run, "nsb"]).key == "weak"
    assert moons.from_pedestal(mean, rms)[1].key == "moderate"


def test_the_report_has_no_first_level_rate_of_one_run(ask):
    night = night_folder(NIGHT)
    report = parse_run_report(ask(f"/CCdata/{night}/CC_{night}_M1.run").text).set_index("run")
    assert list(report.index[report["L1_rate"] == 0]) == [run_of(FIRST + 2).run]


def test_a_file_on_tape_comes_after_it_was_asked_for(archive, ask, tmp_path):
    plan = run_of(FIRST + 1)

    def listed():
        (found,) = (file for file in files_of(archive, plan) if file.name == plan.file(1, 1).name)
        return found

    assert listed().state == "tape"
    (item,) = fetch(archive, [listed()], tmp_path)
    assert (item.status, item.target.exists()) == ("waiting", False)
    assert "on tape" in item.message
    assert listed().state == "reading"
    answer = ask(path_of(plan))
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "1"
    time.sleep(TAPE_S)
    assert listed().state == "online"
    (item,) = fetch(archive, [listed()], tmp_path)
    assert item.status == "fetched"
    with CalibratedFile(item.target) as file:
        assert file.n_events > 0


def test_a_newer_version_takes_the_place_of_a_file_once_that_was_sent(archive, ask, tmp_path):
    plan = run_of(FIRST + 2)
    remotes = [remote for remote in files_of(archive, plan) if parse_name(remote.name).subrun == 1]
    before = fetch(archive, remotes, tmp_path / "before")
    again = fetch(archive, remotes, tmp_path / "before")
    assert [item.status for item in before + again] == ["fetched"] * 4
    assert [item.status for item in fetch(archive, remotes, tmp_path / "before")] == ["cached"] * 2
    for old, new in zip(before, again, strict=True):
        assert old.remote.etag != new.remote.etag
        assert old.remote.modified < new.remote.modified
        assert old.remote.size != new.remote.size
    listed = {remote.name: remote for remote in files_of(archive, plan)}
    assert all(listed[item.remote.name].modified == item.remote.modified for item in again)
    other = path_of(plan, 1, 2)  # that was not sent
    assert ask(other, "HEAD").headers["Last-Modified"] == "Sat, 14 Nov 2020 12:00:00 GMT"


def test_the_newer_version_is_the_better_one(server, ask, tmp_path):
    path = path_of(run_of(FIRST + 2), 2, 2)
    means = []
    for version in ("first", "second"):
        (tmp_path / version).write_bytes(ask(path).content)
        with CalibratedFile(tmp_path / version) as file:
            means.append(np.mean(next(file.chunks()).charge_phe))
    assert means[0] / means[1] == pytest.approx(0.9, rel=1e-3)


def test_a_file_that_is_replaced_on_command_breaks_a_download_that_goes_on_later(server, ask):
    plan = run_of(FIRST + 1)
    path = path_of(plan, 2, 1)
    tag = ask(path, "HEAD").headers["ETag"]
    old = ask(path).content
    server.replace(path)
    answer = ask(path, **{"Range": "bytes=100-", "If-Range": tag})
    assert (answer.status_code, answer.headers["ETag"] != tag) == (200, True)
    assert answer.content != old
    assert answer.headers["Last-Modified"] == "Sun, 15 Nov 2020 12:00:00 GMT"
    with pytest.raises(UnknownNameError, match="nothing"):
        server.replace("/Data/nothing")
    with pytest.raises(InputError, match="only calibrated"):
        server.replace(f"/CCdata/2020_11_14/CC_{night_folder(NIGHT)}_M1.run")


def test_runs_of_m1_alone_and_of_the_sum_trigger_are_told_by_their_files(fetched):
    modes = {plan.mode: plan for plan in mono_and_sum_trigger()}
    assert set(modes) == {"mono", "sumt"}
    mono, sumt = modes["mono"].run, modes["sumt"].run
    assert not is_stereo(mono)
    assert {telescope for run, telescope, _ in fetched if run == mono} == {1}
    with CalibratedFile(fetched[mono, 1, 1]) as file:
        chunk = next(file.chunks())
        assert set(chunk.event["trigger"]) == {1, 8}
        assert not chunk.event["stereo_number"].any()
        assert file.trigger_table == ""
    with CalibratedFile(fetched[sumt, 2, 1]) as file:
        assert file.trigger_table == "L3T_SUMSUM_100_SYNC"
        assert STEREO in next(file.chunks()).event["trigger"]


def test_clouds_are_seen_by_the_lidar_and_make_showers_dim(fetched):
    sizes = {}
    for plan in (run_of(FIRST + 1), run_of(1, CLOUDY)):
        with CalibratedFile(fetched[plan.run, 2, 1]) as file:
            chunk = next(file.chunks())
            sizes[plan.date] = np.median(chunk.charge_phe[chunk.event["trigger"] == STEREO].sum(axis=1))
            empty = np.median(chunk.charge_phe[chunk.event["trigger"] == PEDESTAL].sum(axis=1))
        sizes[plan.date] -= empty
        with uproot.open(fetched[plan.run, 2, 1]) as file:
            measured = file["Laser"]["MReportLaser.fTransmission9km"].array(library="np")
            assert measured == pytest.approx(sky.conditions(plan.date).transmission_9km, rel=1e-5)
    assert sky.conditions(CLOUDY).transmission_9km < 0.6
    assert 0.3 < sizes[CLOUDY] / sizes[NIGHT] < 0.9


# The table and the truth


def test_every_kind_happens_to_some_run_of_the_season():
    planted = Planted(SEASON, troubles.listed())
    hit = {plan.run for plan in SEASON if planted.of(plan)}
    assert {item.kind for item in troubles.listed()} == set(KINDS)
    assert len(hit) == len(troubles.listed())  # no two in one run: each is met alone


def test_the_first_nights_are_without_trouble():
    planted = Planted(SEASON, troubles.listed())
    quiet = {date(2020, 11, 16), date(2020, 11, 24), date(2020, 12, 15), date(2020, 12, 23)}
    assert not [plan for plan in SEASON if plan.date in quiet and planted.of(plan)]


def test_the_truth_lists_what_was_planted_and_what_was_planned():
    table = truth.troubles(SEASON)
    planted = table[table["kind"].isin(KINDS)]
    assert len(planted) == len(troubles.listed())
    assert set(table["kind"]) == set(KINDS) | set(truth.PLANNED)
    assert set(planted.loc[planted["kind"].isin(["truncated", "empty", "missing"]), "file"].map(bool)) == {True}
    assert set(table["run"]) <= {plan.run for plan in SEASON}


def test_the_truth_has_every_source_and_run():
    sources = truth.sources().set_index("source")
    assert sources.loc["CrabNebula", "flux_1tev_per_cm2_s_tev"] == 3.23e-11
    assert (sources["flux_1tev_per_cm2_s_tev"] == 0).sum() >= 15
    runs = truth.runs(SEASON, SEED)
    assert set(runs["run"]) == {plan.run for plan in SEASON}
    assert set(runs["moon_level"]) == {moon.key for moon in moons.ALL}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"kind": "truncatd", "value": 0.5}, "truncated"),
        ({"kind": "truncated", "value": 0.5}, "which telescope"),
        ({"kind": "truncated", "telescope": 1, "subrun": 1}, "share of its bytes"),
        ({"kind": "no_drive", "value": 2.0}, "should be empty"),
    ],
)
def test_a_trouble_that_makes_no_sense_is_refused(wrong, said):
    with pytest.raises((ConfigError, UnknownNameError)) as error:
        Trouble(**({"date": NIGHT, "source": "CrabNebula", "nth": 1} | wrong))
    assert said in str(error.value)


@pytest.mark.parametrize(("nth", "subrun", "said"), [(99, 1, "has 11 runs"), (0, 1, "has 11"), (1, 3, "2 subruns")])
def test_a_trouble_of_a_run_that_was_not_taken_is_refused(nth, subrun, said):
    with pytest.raises(ConfigError, match=said):
        Planted(PLANS, [trouble("empty", nth, telescope=1, subrun=subrun)])


def test_troubles_of_nights_that_are_not_observed_are_left_out():
    elsewhere = Trouble("no_l1", date(2020, 12, 12), "CrabNebula", 1)
    planted = Planted(PLANS, [elsewhere])
    assert not [plan for plan in PLANS if planted.of(plan)]
