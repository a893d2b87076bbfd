"""Downloads as a whole: tapes hold nobody up, the disk is asked first, offline says so, data may be used in place."""

from __future__ import annotations

import os
import shutil
from collections import namedtuple
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from magicpy_assets.archive.base import RemoteFile
from magicpy_assets.archive.inplace import InPlaceArchive
from magicpy_assets.core import datalevels
from magicpy_assets.core.cell import Cell
from magicpy_assets.core.errors import ArchiveError, ConfigError
from magicpy_assets.core.runs import night_folder
from magicpy_assets.core.settings import load_settings
from magicpy_assets.observatory.server import serve
from magicpy_assets.observatory.troubles import Trouble
from magicpy_assets.pipeline.downloads import LONGEST_PAUSE_S, Patience, held_up, needed_bytes
from magicpy_assets.pipeline.images import download
from magicpy_assets.pipeline.plan import Plan, assess_all, plan
from magicpy_assets.pipeline.report import Report, Row
from magicpy_assets.pipeline.run import _patiently, process, run
from magicpy_assets.pipeline.session import open_session
from magicpy_assets.store.records import read_record
from magicpy_assets_tests.conftest import FIRST_NIGHTS, RUN_S, SEED, settings_for

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("downloads")]

CELL = Cell.parse("ST0316/za35to50/moderate")
CRAB = "CrabNebula"
NAME = "20201116_M1_0509311{}.001_Y_CrabNebula-W0.40+035.root"
TAPE_S = 3.0
PASSWORD = "tape-monkey-7"
Usage = namedtuple("Usage", "total used free")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server whose only moderate-moon run has its M2 files on tape."""
    folder = tmp_path_factory.mktemp("tapes")
    given = {"nights": FIRST_NIGHTS, "duration_s": RUN_S, "password": PASSWORD}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MAGICPY_ARCHIVE_PASSWORD", PASSWORD)
        with serve(folder, SEED, trouble=(), **given) as probe:
            mine = [plan for plan in probe.tree.plans if plan.source == CRAB]
            archive = {"url": probe.url, "user": probe.user}
            with open_session(store=str(folder / "probe"), archive=archive) as session:
                session.catalogue.refresh()
                runs = session.catalogue.runs(source=CRAB)
        wanted = set(runs[runs["cell"] == CELL.text]["run"])
        (chosen,) = [plan for plan in mine if plan.run in wanted]
        nth = sorted(plan.run for plan in mine if plan.date == chosen.date).index(chosen.run) + 1
        tape = Trouble("tape", chosen.date, CRAB, nth, telescope=2, value=TAPE_S)
        with serve(folder, SEED, trouble=(tape,), **given) as running:
            yield running


@pytest.fixture(scope="module")
def settings(server, tmp_path_factory):
    store = tmp_path_factory.mktemp("store")
    return load_settings(store=str(store), archive={"url": server.url, "user": server.user}, compute={"workers": 2})


@pytest.fixture(scope="module")
def first(settings):
    """What a run up to star says while the tapes are being read."""
    with open_session(settings) as session:
        session.catalogue.refresh()
        return process(session, CRAB, [CELL], "star")


def states(report, stage):
    table = report.table
    mine = table[table["stage"] == stage]
    return dict(zip(mine["unit"].str[9:11], mine["state"], strict=True))


def test_a_file_on_tape_holds_up_nothing_else(first):
    assert states(first, "calibrated") == {"M1": "done", "M2": "waiting"}
    assert states(first, "star") == {"M1": "done", "M2": "blocked"}
    assert first.counts["failed"] == 0
    assert all(row.until is not None and "on tape" in row.reason for row in first.waiting)
    assert "waiting: calibrated CrabNebula" in str(first)
    assert all(read_record(Path(row.product)).attempts == 0 for row in first.waiting)


def test_whoever_waits_gets_it_and_what_is_made_from_it(first, settings):
    with open_session(settings) as session:
        report = process(session, CRAB, [CELL], "superstar", wait_min=5.0)
    assert states(report, "calibrated") == {"M1": "cached", "M2": "done"}
    assert states(report, "star") == {"M1": "cached", "M2": "done"}
    assert report.counts["waiting"] == report.counts["blocked"] == 0
    assert report.table["product"].is_unique


def test_offline_says_once_what_is_missing_and_how_old_the_listings_are(first, settings, tmp_path):
    store = Path(settings.store)
    shutil.copytree(store / ".listings", tmp_path / "store" / ".listings")
    shutil.copytree(store / "catalogue", tmp_path / "store" / "catalogue")
    given = {"url": settings.archive.url, "user": settings.archive.user, "offline": True}
    with open_session(store=str(tmp_path / "store"), archive=given) as session:
        planned = plan(session, CRAB, [CELL], "star")
        report = process(session, CRAB, [CELL], "star")
    assert "listings of the data server are as of" in str(planned).splitlines()[0]
    assert "listings of the data server are as of" in planned._repr_html_()
    text = str(report)
    assert text.count("hint: set archive.offline to false") == 1
    assert text.count("offline: listings") == 1
    assert report.counts["blocked"] == len(report) > 0
    assert not list((tmp_path / "store").rglob("*.root"))


def test_data_are_used_where_they_lie(first, settings, server, tmp_path):
    with open_session(settings) as session:
        process(session, CRAB, [CELL], "calibrated", wait_min=5.0)
        files = list(plan(session, CRAB, [CELL], "calibrated"))
        reports = session.archive.reports()
        texts = {remote.path: session.archive.read_text(remote) for remote in reports}
    root = tmp_path / "pic"
    for task in files:
        place = root / task.remote.path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(task.product, place)
    for path, text in texts.items():
        place = root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    for path in [root, *root.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = {path: path.stat().st_mtime_ns for path in [root, *root.rglob("*")]}

    given = {"in_place": str(root / "Data")}
    with open_session(store=str(tmp_path / "store"), archive=given, compute={"workers": 2}) as session:
        session.catalogue.refresh()
        made = process(session, CRAB, [CELL], "superstar")
        assert set(made.table["state"]) == {"done"}
        again = process(session, CRAB, [CELL], "superstar")
        assert set(again.table["state"]) == {"cached"}
        links = made.products("calibrated")
        assert all(link.is_symlink() and root in link.resolve().parents for link in links)
        assert all(read_record(link).measured for link in links)
        assert {path: path.stat().st_mtime_ns for path in [root, *root.rglob("*")]} == before
        moved = links[0].resolve()
        os.utime(moved, (1.6e9, 1.6e9))
        changed = plan(session, CRAB, [CELL], "superstar").to_table()
        changed = changed[changed["state"] == "to do"].set_index("stage")
        assert changed.loc["calibrated", "reason"].startswith("changed on the server: modified")
        assert sorted(changed.index) == ["calibrated", "star", "superstar"]
        redone = process(session, CRAB, [CELL], "superstar")
        assert redone.counts["done"] == 3


def test_a_folder_that_is_no_archive_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="in_place"):
        InPlaceArchive(tmp_path)
    (tmp_path / "Data" / "Calibrated" / "v1").mkdir(parents=True)
    assert InPlaceArchive(tmp_path / "Data").root == InPlaceArchive(tmp_path).root == tmp_path
    archive = InPlaceArchive(tmp_path)
    assert archive.offered_nights(datalevels.SuperStar, CRAB) == []
    with pytest.raises(ArchiveError, match="there is no"):
        archive.files(datalevels.Calibrated, CRAB, "2020_11_16")


# The disk


def tasks_of(session, *sizes):
    night = FIRST_NIGHTS[0]
    found = []
    for number, size in enumerate(sizes):
        name = NAME.format(number)
        remote = RemoteFile(f"/Data/Calibrated/v1/{CRAB}/{night_folder(night)}/{name}", size)
        found.append(download(CRAB, CELL, remote, session.layout.calibrated(CRAB, night, name)))
    return found


def test_a_plan_that_does_not_fit_is_not_begun(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**12, 0, 4 * 10**9))
    store = tmp_path / "store"
    with open_session(store=str(store), archive={"url": "http://127.0.0.1:9"}) as session:
        tasks = tasks_of(session, 2 * 10**9, 2 * 10**9, None)
        with pytest.raises(ArchiveError, match=r"6\.0 GB are to be fetched.*4\.0 GB free"):
            run(session, Plan(tuple(tasks), assess_all(tasks, frozenset())))
    assert not store.exists()


@pytest.mark.parametrize(
    ("sizes", "expected"), [((100, 300), 400), ((100, 300, None), 600), ((None, None), 0), ((), 0)]
)
def test_unknown_sizes_are_taken_from_the_same_level(tmp_path, sizes, expected):
    with open_session(store=str(tmp_path)) as session:
        assert needed_bytes(session, tasks_of(session, *sizes)) == expected


def test_what_is_in_the_store_tells_how_large_files_are(first, settings):
    with open_session(settings) as session:
        tasks = tasks_of(session, None, None)
        sizes = [read_record(path).size for path in first.products("calibrated")]
        assert 0.5 * min(sizes) < needed_bytes(session, tasks) / 2 < 2 * max(sizes)
        part = tasks[0].product.with_name(f".{tasks[0].product.name}.part")
        whole = needed_bytes(session, tasks)
        part.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(b"x" * 1000)
        assert needed_bytes(session, tasks) == whole - 1000
        part.unlink()


# Patience and reports


def test_patience_sleeps_until_the_first_file_may_have_come():
    slept, now = [], datetime.now(UTC)
    patience = Patience(60.0, sleep=slept.append)
    patience.pause([now + timedelta(seconds=90), now + timedelta(seconds=40), None])
    patience.pause([now - timedelta(seconds=5)])
    patience.pause([])
    assert slept == pytest.approx([40.0, 0.5, LONGEST_PAUSE_S], abs=1.0)
    assert Patience(0.0).left_s == 0.0


def test_it_is_tried_again_while_files_are_waited_for_and_what_failed_is_left_alone():
    asked, now = [], datetime.now(UTC)
    ends = iter([("waiting", "failed"), ("waiting", ""), ("done", "")])

    def once(patient, failed):
        asked.append((patient, sorted(failed)))
        rows = zip(("a", "b"), next(ends), strict=True)
        return Report([Row("star", CRAB, "", name, name, end, "", "", 0.0, now) for name, end in rows if end])

    found = _patiently(once, wait_min=5.0)
    assert asked == [(True, []), (True, ["b"]), (True, ["b"])]
    assert [(row.product, row.state) for row in found.rows] == [("a", "done"), ("b", "failed")]


def test_only_what_needs_a_file_that_is_waited_for_is_held_up(tmp_path):
    with open_session(store=str(tmp_path)) as session:
        first, second = tasks_of(session, 1, 1)
    stars = [
        replace(task, products=(Path(f"star{n}"),), inputs={"": task.products})
        for n, task in enumerate((first, second))
    ]
    both = replace(first, products=(Path("superstar"),), inputs={"star": (stars[0].product, stars[1].product)})
    planned = Plan((first, second, *stars, both), {})
    assert held_up(planned, [second.product]) == {second.product, stars[1].product, both.product}
    assert held_up(planned, []) == set()


def test_a_merged_report_has_a_row_for_each_product():
    def row(product, state):
        return Row("star", CRAB, "", product, product, state, "", "", 0.0)

    report = Report([row("a", "waiting"), row("b", "done")]) + Report([row("a", "done"), row("b", "cached")])
    assert [(found.product, found.state) for found in report.merged().rows] == [("a", "done"), ("b", "done")]


def test_settings_name_the_folder_from_the_file(tmp_path):
    (tmp_path / "magicpy.toml").write_text('[archive]\nin_place = "pic/Data"\n')
    assert load_settings(tmp_path / "magicpy.toml").archive.in_place == tmp_path / "pic" / "Data"
    assert settings_for(tmp_path).archive.in_place is None
