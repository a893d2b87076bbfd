"""Runbooks from the data server to the report, in the words that users know."""

from __future__ import annotations

import math
from datetime import date

import pytest

from magicpy_assets.analysis.off import Off
from magicpy_assets.analysis.runbooks import combined_mola, report_on
from magicpy_assets.analysis.source import Source
from magicpy_assets.core import moons, periods, zeniths
from magicpy_assets.core.errors import MissingInputError
from magicpy_assets.core.settings import load_settings
from magicpy_assets.observatory.server import serve
from magicpy_assets.pipeline.runbooks import runbooks_of

NIGHTS = [date(2020, 11, 14), date(2020, 11, 18), date(2020, 11, 26), date(2020, 12, 12), date(2020, 12, 14)]


@pytest.fixture(scope="module")
def crab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runbooks")
    with serve(folder / "cache", 316, nights=NIGHTS) as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("MAGICPY_ARCHIVE_PASSWORD", server.password)
        settings = load_settings(store=str(folder / "store"), archive={"url": server.url, "user": server.user})
        with Source("Crab", periods.ST0316, settings=settings, quiet=True) as source:
            source.search()
            yield source


def test_runbooks_come_once(crab):
    assert crab.download_runbooks() == NIGHTS[:4]
    assert crab.download_runbooks() == []
    assert "MOLA results" in crab.get_runbook(NIGHTS[0]).text
    with pytest.raises(MissingInputError, match="2020-12-12"):
        crab.get_runbook(date(2020, 12, 14))


def test_the_report_tells_every_night(crab):
    crab.download_runbooks()
    report = crab.runbook_report()
    text = str(report)
    assert text.startswith("Scanning for CrabNebula:")
    assert " opening runbook for 2020-11-14 ".center(92, "-") in text
    assert "MOLA results:\nt_eff: " in text
    assert "or source CrabNebula is somehow written differently" in text
    assert "There is no runbook of this night." in text
    assert "simulated" in text
    table = report.table.set_index("night")
    states = ["found", "not in standard form", "source not named", "found", "no runbook"]
    assert list(table["state"]) == states
    assert table.loc[NIGHTS[3], "he_flux_cu"] == pytest.approx(1.0, abs=0.25)
    assert math.isnan(table.loc[NIGHTS[1], "le_sigma"])
    assert "<table" in report._repr_html_()


def test_results_of_nights_add_up_by_time(crab):
    table = combined_mola(crab.session, ["CrabNebula", "OJ287"], NIGHTS).set_index("source")
    report = report_on(crab.session, "CrabNebula", NIGHTS)
    found = [item.result for item in report.nights if item.result]
    expected = sum(r.he_sigma * math.sqrt(r.t_eff_s) for r in found) / math.sqrt(sum(r.t_eff_s for r in found))
    assert table.loc["CrabNebula", "he_sigma"] == pytest.approx(expected)
    assert table.loc["CrabNebula", "mola_nights"] == 2
    assert math.isnan(table.loc["OJ287", "le_sigma"])


def test_a_damaged_list_of_what_is_known_costs_nothing_but_time(crab):
    crab.download_runbooks()
    books = runbooks_of(crab.session)
    books._state.write_text("{broken")
    assert books.refresh() == NIGHTS[:4]


def test_off_fields_are_ranked_with_them(crab):
    off = Off(periods.ST0316, zeniths.za05to35, moons.WeakMoon, session=crab.session, quiet=True)
    off.search()
    table = off.get_mola()
    assert list(table["verdict"]) == ["may serve"] * len(table)
