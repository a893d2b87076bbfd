"""An archive that lives: superstar files made on demand, nights observed on command, checksums, several servers."""

import base64
import hashlib
import zlib
from dataclasses import replace
from datetime import date

import numpy as np
import pytest
import requests

from magicpy_assets.archive.http import HttpArchive
from magicpy_assets.core import moons
from magicpy_assets.core.datalevels import Calibrated, SuperStar
from magicpy_assets.core.errors import ConfigError, OutOfRangeError, ProgramError, UnknownNameError
from magicpy_assets.core.runs import night_folder, parse_name
from magicpy_assets.formats.runreport import parse_run_report
from magicpy_assets.formats.star import read_header
from magicpy_assets.formats.superstar import read_events
from magicpy_assets.observatory import superstar
from magicpy_assets.observatory.programme import programme
from magicpy_assets.observatory.reports import run_table
from magicpy_assets.observatory.run_plans import Observation
from magicpy_assets.observatory.server import serve
from magicpy_assets.observatory.troubles import Planted, Trouble

SEED = 316
DURATION_S = 6.0
NIGHTS = (date(2020, 11, 16), date(2020, 11, 24))
FURTHER = date(2020, 12, 19)
PASSWORD = "secret"


def open_server(cache, **more):
    usual = {"nights": NIGHTS, "duration_s": DURATION_S, "password": PASSWORD, "trouble": ()}
    return serve(cache, SEED, **(usual | more))


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("observatory")


@pytest.fixture(scope="module")
def server(cache):
    with open_server(cache) as running:
        yield running


def client_of(server) -> HttpArchive:
    return HttpArchive(server.url, user=server.user, password=server.password)


def get(server, path, method="GET", **headers):
    with requests.Session() as session:
        session.auth = (server.user, server.password)
        return session.request(method, server.url + path, headers=headers)


def plan_of(nights=NIGHTS, source="CrabNebula"):
    return next(plan for plan in programme(SEED, nights=nights, duration_s=DURATION_S) if plan.source == source)


# Superstar


def test_superstar_files_are_offered_of_runs_under_a_weak_moon(server):
    plans = [plan for plan in server.tree.plans if plan.source == "CrabNebula"]
    nsb = run_table(plans, SEED)["nsb"]
    weak = {plan.run for plan, value in zip(plans, nsb, strict=True) if value in moons.WeakMoon}
    archive = client_of(server)
    nights = archive.nights(SuperStar, "CrabNebula")
    offered = {parse_name(file.name).run for night in nights for file in archive.files(SuperStar, "CrabNebula", night)}
    assert offered == weak
    assert 0 < len(weak) < len(plans)


def test_a_superstar_file_is_made_of_the_calibrated_ones_when_it_is_asked_for(server, cache, tmp_path):
    archive = client_of(server)
    remote = archive.files(SuperStar, "CrabNebula", night_folder(NIGHTS[0]))[-1]
    assert remote.size is None
    assert not list(cache.rglob("*_S_*.root"))
    (item,) = archive.fetch([(remote, tmp_path / remote.name)]).items
    assert item.status == "fetched", item.message
    header = read_header(item.target)
    assert header.run == parse_name(remote.name).run
    assert header.simulated
    events = read_events(item.target)
    assert len(events) > 50
    assert np.isfinite(events["core_x_cm"]).all()
    # Dark-sky cleaning: its core pixels hold at least 6 phe, so no image is smaller than a few of them.
    assert events["size_phe_1"].min() > 3 * moons.cleaning_of(moons.WeakMoon).level1_phe
    assert not list(cache.rglob("*_I_*.root"))


@pytest.mark.parametrize("kind", ["no_drive", "replaced"])
def test_no_superstar_file_of_a_run_whose_files_are_not_well(tmp_path, kind):
    value = 0.9 if kind == "replaced" else None
    with open_server(tmp_path, trouble=[Trouble(kind, NIGHTS[0], "CrabNebula", 2, value=value)]) as running:
        runs = [plan.run for plan in running.tree.plans if (plan.date, plan.source) == (NIGHTS[0], "CrabNebula")]
        files = client_of(running).files(SuperStar, "CrabNebula", night_folder(NIGHTS[0]))
        offered = [parse_name(file.name).run for file in files]
    assert offered == [run for run in runs if run != runs[1]]


@pytest.mark.parametrize(("what", "value"), [("mode", "mono"), ("mode", "sumt"), ("hv", "reduced"), ("filter", "UV")])
def test_only_plain_stereo_runs_are_analysed_by_the_observatory(what, value):
    assert superstar.is_processed(plan_of(), 1.0)
    assert not superstar.is_processed(replace(plan_of(), **{what: value}), 1.0)
    assert not superstar.is_processed(plan_of(), 2.0)


def test_a_superstar_file_that_cannot_be_made_says_why(tmp_path):
    broken = [tmp_path / plan_of().file(telescope, 1).name for telescope in (1, 2)]
    for path in broken:
        path.write_bytes(b"root, but no more")
    with pytest.raises(ProgramError, match="not a whole ROOT file"):
        superstar.make_superstar(broken, tmp_path)
    assert sorted(tmp_path.iterdir()) == broken


# Nights on command


def crab(night=FURTHER, source="CrabNebula", zenith_deg=(24.0, 28.0), wobble=35):
    return Observation(night, source, *zenith_deg, wobble)


def test_a_further_night_appears_in_running_servers_and_stays(tmp_path):
    with open_server(tmp_path) as first, open_server(tmp_path) as second:
        archives = [client_of(first), client_of(second)]
        before = [remote.path for remote in archives[0].reports()]
        taken = first.observe(crab(), crab(wobble=215))
        assert [plan.wobble.text for plan in taken] == ["W0.40+035", "W0.40+215"]
        for archive in archives:
            assert night_folder(FURTHER) in archive.nights(Calibrated, "CrabNebula")
            new = [remote for remote in archive.reports() if remote.path not in before]
            (report,) = (parse_run_report(archive.read_text(remote)) for remote in new)
            assert list(report["run"]) == [plan.run for plan in taken]
        remote = archives[1].files(Calibrated, "CrabNebula", night_folder(FURTHER))[0]
        assert archives[1].fetch([(remote, tmp_path / "got.root")]).items[0].status == "fetched"
    with open_server(tmp_path) as later:
        assert later.tree.plans == first.tree.plans == second.tree.plans
    with open_server(tmp_path, duration_s=7.0) as another:  # an observatory of its own
        assert FURTHER not in {plan.date for plan in another.tree.plans}


def test_a_further_night_changes_nothing_of_the_others(tmp_path):
    with open_server(tmp_path) as running:
        path = f"/Data/Calibrated/v1/CrabNebula/{night_folder(NIGHTS[0])}/{plan_of().file(1, 1).name}"
        tag = get(running, path, "HEAD").headers["ETag"]
        plans = running.tree.plans
        running.observe(crab())
        assert [plan for plan in running.tree.plans if plan.date != FURTHER] == list(plans)
        assert get(running, path, "HEAD").headers["ETag"] == tag


@pytest.mark.parametrize(
    ("observation", "error", "said"),
    [
        (crab(NIGHTS[0]), ConfigError, "has been observed"),
        (crab(date(2020, 6, 20)), OutOfRangeError, "does not rise"),
        (crab(source="CrabNebla"), UnknownNameError, "CrabNebula"),
        (crab(zenith_deg=(70.0, 78.0)), OutOfRangeError, "zenith"),
    ],
)
def test_a_night_that_cannot_be_observed_leaves_everything_as_it_was(tmp_path, observation, error, said):
    with open_server(tmp_path) as running:
        plans = running.tree.plans
        with pytest.raises(error) as refused:
            running.observe(observation)
        assert said in str(refused.value)
        running.tree.refresh()
        assert running.tree.plans == plans


def test_the_same_night_is_not_observed_twice(tmp_path):
    with open_server(tmp_path) as running:
        running.observe(crab())
        with pytest.raises(ConfigError, match="has been observed"):
            running.observe(crab(wobble=215))


# Checksums and versions


def test_checksums_are_given_to_those_who_ask_and_are_right(server):
    night = night_folder(NIGHTS[0])
    path = f"/CCdata/{night}/CC_{night}_M1.run"
    plain = get(server, path, "HEAD").headers
    assert "Repr-Digest" not in plain
    assert "Digest" not in plain
    wanted = {"Want-Repr-Digest": "sha-256=10", "Want-Digest": "adler32;q=1"}
    answer = get(server, path, **wanted)
    digest = base64.b64encode(hashlib.sha256(answer.content).digest()).decode()
    assert answer.headers["Repr-Digest"] == f"sha-256=:{digest}:"
    assert answer.headers["Digest"] == f"adler32={zlib.adler32(answer.content):08x}"
    part = get(server, path, **wanted, Range="bytes=0-9")
    assert part.headers["Repr-Digest"] == answer.headers["Repr-Digest"]  # of the whole file, as RFC 9530 says


def test_checksums_follow_a_file_that_is_replaced(tmp_path):
    with open_server(tmp_path) as running:
        plan = plan_of()
        path = f"/Data/Calibrated/v1/CrabNebula/{night_folder(plan.date)}/{plan.file(1, 1).name}"
        seen = set()
        for _ in range(3):
            answer = get(running, path, **{"Want-Repr-Digest": "sha-256=1"})
            digest = base64.b64encode(hashlib.sha256(answer.content).digest()).decode()
            assert answer.headers["Repr-Digest"] == f"sha-256=:{digest}:"
            seen.add((digest, answer.headers["ETag"], answer.headers["Last-Modified"]))
            running.replace(path)
        assert len(seen) == 3


def test_other_servers_of_a_folder_know_of_replaced_files_and_of_tape(tmp_path):
    plan = plan_of()
    path = f"/Data/Calibrated/v1/CrabNebula/{night_folder(plan.date)}/{plan.file(1, 1).name}"
    on_tape = [Trouble("tape", plan.date, "CrabNebula", 1, value=3600.0)]
    with open_server(tmp_path, trouble=on_tape) as first, open_server(tmp_path, trouble=on_tape) as second:
        before = get(second, path, "HEAD").headers
        first.replace(path)
        assert get(second, path, "HEAD").headers["ETag"] != before["ETag"]
        assert get(first, path).status_code == 503
        assert 3500 < int(get(second, path).headers["Retry-After"]) <= 3600
        folder = path.rpartition("/")[0] + "/"
        assert get(second, folder).text.count('title="Reading from tape"') == 1
        assert get(second, folder).text.count('title="Tape"') == 2 * plan.subruns - 1


def test_files_with_another_trouble_are_other_files(tmp_path):
    cut = [Trouble("truncated", NIGHTS[0], "CrabNebula", 1, 1, 1, 0.5)]
    with open_server(tmp_path) as well, open_server(tmp_path, trouble=cut) as ill:
        plan = plan_of()
        path = f"/Data/Calibrated/v1/CrabNebula/{night_folder(plan.date)}/{plan.file(1, 1).name}"
        sizes = [int(get(server, path, "HEAD").headers["Content-Length"]) for server in (well, ill)]
    assert sizes[1] == round(0.5 * sizes[0])


def test_a_run_has_the_trouble_that_is_looked_for():
    plans = programme(SEED, nights=NIGHTS, duration_s=DURATION_S)
    planted = Planted(plans, [Trouble("tape", NIGHTS[0], "CrabNebula", 1, telescope=2, value=5.0)])
    plan = plan_of()
    assert planted.of_file(plan, plan.file(2, 1), "tape").value == 5.0
    assert planted.of_file(plan, plan.file(1, 1), "tape") is None
    assert planted.of_file(plan, plan.file(2, 1), "empty") is None
    assert (planted.of_files(plan), planted.value(plan, "replaced")) == ((), None)


def test_the_archive_can_be_listed_from_end_to_end_without_making_a_file(tmp_path):
    with serve(tmp_path, SEED, duration_s=DURATION_S, password=PASSWORD) as running:
        for folder in running.tree.folders:
            if folder.parts[1:2] != ("CCdata",):
                assert get(running, f"{folder}/".replace("//", "/")).status_code == 200
        assert not list(tmp_path.rglob("*.root"))
