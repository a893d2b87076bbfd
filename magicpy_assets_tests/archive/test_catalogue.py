"""The run catalogue: against the embedded observatory, and with reports that change or are broken."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from rogue import Rogue, serve_rogue

from magicpy_assets.archive.catalogue import Catalogue
from magicpy_assets.archive.http import HttpArchive
from magicpy_assets.core import periods
from magicpy_assets.core.runs import RUN_COLUMNS, SUBRUN_COLUMNS, parse_name
from magicpy_assets.formats.runreport import format_run_report, report_name
from magicpy_assets.observatory.programme import programme
from magicpy_assets.observatory.reports import run_table
from magicpy_assets.observatory.server import Server
from magicpy_assets.store.layout import Layout
from magicpy_assets_tests.conftest import FIRST_NIGHTS

SEED, RUN_S = 316, 20.0
PLANS = programme(SEED, nights=FIRST_NIGHTS, duration_s=RUN_S)
NIGHTS = sorted({plan.date for plan in PLANS})


def open_catalogue(server: Server, store: Path, *, offline: bool = False) -> Catalogue:
    archive = HttpArchive(
        server.url, user=server.user, password=server.password, offline=offline, listings=store / ".listings"
    )
    return Catalogue(Layout(store), archive)


@pytest.fixture
def catalogue(observatory: Server, tmp_path: Path) -> Catalogue:
    return open_catalogue(observatory, tmp_path)


def test_an_empty_catalogue_has_the_columns_and_no_rows(catalogue):
    table = catalogue.runs()
    assert list(table.columns) == [column.name for column in RUN_COLUMNS]
    assert len(table) == 0


def test_it_holds_every_run_of_the_programme_with_its_cell(catalogue):
    assert sorted(catalogue.refresh()) == NIGHTS
    table = catalogue.runs()
    assert list(table.columns) == [column.name for column in RUN_COLUMNS]
    assert sorted(table["run"]) == sorted(plan.run for plan in PLANS)
    assert (np.diff(table["start_mjd"]) > 0).all()
    by_run = {plan.run: plan for plan in PLANS}
    for row in table.itertuples():
        assert row.source == by_run[row.run].source
        assert bool(row.cell) != bool(row.no_cell_reason)
    for row in table[table["cell"] != ""].itertuples():
        assert row.cell == f"{row.period}/{row.za}/{row.moon_level}"


def test_only_what_is_new_is_read(catalogue):
    catalogue.refresh()
    before = {path: path.stat().st_mtime_ns for path in catalogue.layout.root.rglob("*.parquet")}
    assert len(before) == len(NIGHTS)
    assert catalogue.refresh() == []
    assert {path: path.stat().st_mtime_ns for path in catalogue.layout.root.rglob("*.parquet")} == before
    catalogue.layout.catalogue(NIGHTS[0]).unlink()
    assert catalogue.refresh() == [NIGHTS[0]]


def test_a_table_that_was_given_away_may_be_changed(catalogue):
    catalogue.refresh()
    expected = catalogue.runs()
    for given in (catalogue.runs(), catalogue.runs(expected["source"][0])):
        given["nsb"] = -1.0
        given.loc[0, "source"] = "changed"
    assert catalogue.runs().equals(expected)


REFRESH = """
import sys
from pathlib import Path
from magicpy_assets.archive.catalogue import Catalogue
from magicpy_assets.archive.http import HttpArchive
from magicpy_assets.store.layout import Layout
archive = HttpArchive(sys.argv[1], user=sys.argv[2], password=sys.stdin.readline().strip())
print(len(Catalogue(Layout(Path(sys.argv[3])), archive).refresh()))
"""


def test_of_two_processes_that_refresh_one_does_the_work(observatory, tmp_path):
    command = [sys.executable, "-c", REFRESH, observatory.url, observatory.user, str(tmp_path)]
    children = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for child in children:
        assert child.stdin is not None
        child.stdin.write(observatory.password + "\n")
        child.stdin.flush()
    assert sorted(int(child.communicate()[0]) for child in children) == [0, len(NIGHTS)]
    assert len(open_catalogue(observatory, tmp_path).runs()) == len(PLANS)


def test_runs_by_source_and_period(catalogue):
    catalogue.refresh()
    everything = catalogue.runs()
    for source in everything["source"].unique():
        chosen = catalogue.runs(source)
        assert set(chosen["source"]) == {source}
        assert len(chosen) == (everything["source"] == source).sum()
    assert len(catalogue.runs(period=periods.by_name("ST0316"))) == (everything["period"] == "ST0316").sum()
    assert len(catalogue.runs("NoSuchSource")) == 0


def test_subruns_are_the_calibrated_files_of_both_telescopes(catalogue):
    night, source = NIGHTS[0], next(plan.source for plan in PLANS if plan.date == NIGHTS[0])
    table = catalogue.subruns(source, [night])
    assert list(table.columns) == [column.name for column in SUBRUN_COLUMNS]
    assert set(table["telescope"]) == {1, 2}
    assert set(table["run"]) == {plan.run for plan in PLANS if (plan.date, plan.source) == (night, source)}
    assert (table["state"] == "online").all()
    for row in table.itertuples():
        name = parse_name(row.name)
        assert (name.run, name.telescope, name.subrun) == (row.run, row.telescope, row.subrun)
    assert len(catalogue.subruns(source, [])) == 0


def test_offline_keeps_what_is_known(observatory, tmp_path):
    open_catalogue(observatory, tmp_path).refresh()
    expected = open_catalogue(observatory, tmp_path).runs()
    offline = open_catalogue(observatory, tmp_path, offline=True)
    assert offline.refresh() == []
    assert offline.runs().equals(expected)


def test_a_damaged_list_of_what_is_known_is_made_anew(catalogue):
    catalogue.refresh()
    expected = catalogue.runs()
    (state,) = catalogue.layout.root.glob("catalogue/*.json")
    state.write_text('{"2021_')
    assert sorted(catalogue.refresh()) == NIGHTS
    assert catalogue.runs().equals(expected)
    assert catalogue.refresh() == []


# Reports that change, or cannot be read


@pytest.fixture
def rogue() -> Iterator[Rogue]:
    """A server with the reports of the first two nights."""
    for server in serve_rogue():
        for night in NIGHTS[:2]:
            put(server, night)
        yield server


def put(server: Rogue, night: date, text: str | None = None, *, folder: str | None = None) -> None:
    table = run_table(PLANS, SEED)
    report = format_run_report(table[table["date"].dt.date == night]) if text is None else text
    name, folder = report_name(night), folder or f"{night:%Y_%m_%d}"
    server.pages[f"/CCdata/{folder}/"] = (
        f'<table><tr><td></td><td><a href="{name}">x</a></td><td>2021-01-01 00:00:00</td><td>{len(report)}</td></tr>'
        "</table>"
    )
    server.pages[f"/CCdata/{folder}/{name}"] = report
    folders = [path.split("/")[2] for path in server.pages if path.count("/") == 3 and path.endswith("/")]
    rows = "".join(f'<tr><td><a href="{name}/">x</a></td></tr>' for name in folders)
    server.pages["/CCdata/"] = f"<table>{rows}</table>"


def rogue_catalogue(server: Rogue, store: Path) -> Catalogue:
    return Catalogue(Layout(store), HttpArchive(server.url))


def test_a_report_that_has_grown_is_read_again(rogue, tmp_path):
    catalogue, night = rogue_catalogue(rogue, tmp_path), NIGHTS[0]
    whole = rogue.pages[f"/CCdata/{night:%Y_%m_%d}/{report_name(night)}"]
    put(rogue, night, "\n".join(whole.splitlines()[:-1]) + "\n")
    assert sorted(catalogue.refresh()) == NIGHTS[:2]
    before = len(catalogue.runs())
    put(rogue, night, whole)
    assert catalogue.refresh() == [night]
    assert len(catalogue.runs()) == before + 1


def test_a_broken_report_is_left_for_the_next_time(rogue, tmp_path, caplog):
    catalogue = rogue_catalogue(rogue, tmp_path)
    put(rogue, NIGHTS[0], "05000000 this is no report\n")
    with caplog.at_level(logging.WARNING):
        assert catalogue.refresh() == [NIGHTS[1]]
    assert report_name(NIGHTS[0]) in caplog.text
    assert set(catalogue.runs()["date"].dt.date) == {NIGHTS[1]}
    put(rogue, NIGHTS[0])
    assert catalogue.refresh() == [NIGHTS[0]]


def test_an_odd_folder_hides_no_report(rogue, tmp_path, caplog):
    put(rogue, NIGHTS[0], folder="old")
    with caplog.at_level(logging.WARNING):
        assert sorted(rogue_catalogue(rogue, tmp_path).refresh()) == NIGHTS[:2]
    assert "old" in caplog.text
