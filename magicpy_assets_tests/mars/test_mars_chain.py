"""The whole chain through a stand-in for an installed MARS, and through a mix of both, by one changed setting each."""

from __future__ import annotations

import json

import pytest

from magicpy_assets.core.settings import load_settings
from magicpy_assets.mars.programs import TRAINING_REPORT
from magicpy_assets.pipeline.plan import plan
from magicpy_assets.pipeline.run import process
from magicpy_assets.pipeline.session import open_session
from magicpy_assets.store.records import read_record
from magicpy_assets_tests.fakes.mars_installation import FakeMars, fake_mars

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("chain")]
OF_MARS = ("star", "superstar", "random_forest", "melibea")


@pytest.fixture
def mars(chain, tmp_path, monkeypatch) -> FakeMars:
    """A MARS that can be found by the environment, and makes what the engine has made of the same files."""
    found = fake_mars(tmp_path, able=True)
    (found.marssys / "replay").write_text(str(chain.session.layout.root))
    found.behave("replay")
    monkeypatch.setenv("MARSSYS", str(found.marssys))
    monkeypatch.setenv("ROOTSYS", str(found.rootsys))
    return found


def test_the_chain_through_mars_then_through_a_mix(chain, mars, tmp_path):
    store = str(tmp_path / "store")
    with open_session(load_settings(store=store, mars={"installation": "installed"})) as session:
        session.catalogue.refresh()
        report = process(session, "CrabNebula", [chain.cell])
        assert report.counts["done"] == len(report), str(report)
        assert not plan(session, "CrabNebula", [chain.cell]).to_do
        for stage in (*OF_MARS, "dl3", "spectra"):
            record = read_record(report.products(stage)[0])
            by_mars = stage in OF_MARS
            assert record.program_version.startswith("MARS V3-1-7" if by_mars else "embedded"), stage
            assert ("stock card" in record.parameters) == by_mars
            assert record.simulated
            if by_mars:
                assert record.command[0] == str(mars.marssys / record.program)
        # MARS measures no forests; what stands in place of the report says so.
        forests = report.products("random_forest")[0].parent
        assert json.loads((forests / TRAINING_REPORT).read_text())["measured"] is False

    mix = {"installation": "installed", "stages": {"melibea": "embedded"}}
    with open_session(load_settings(store=store, mars=mix)) as session:
        planned = plan(session, "CrabNebula", [chain.cell]).to_table()
        again = planned[planned["state"] == "to do"]
        assert set(again["stage"]) == {"melibea", "dl3", "spectra"}
        assert again["reason"].iloc[0] == "parameter changed: MARS MARS V3-1-7 -> none"
        report = process(session, "CrabNebula", [chain.cell], up_to="melibea")
        assert report.counts["cached"] > report.counts["done"] > 0
        assert read_record(report.products("melibea")[0]).program_version.startswith("embedded")


def test_a_new_version_of_mars_or_another_card_calls_for_new_products(chain, mars, tmp_path):
    cell = [chain.cell]
    with open_session(load_settings(store=str(tmp_path), mars={"installation": "installed"})) as session:
        before = session.installation.identity("star")
        card = mars.marssys / "mrcfiles" / "star_M2_OSA.rc"
        card.write_text(card.read_text() + "MJStar.More: 1\n")
        after = session.installation.identity("star")
        assert before["stock card"] != after["stock card"]
        assert before["MARS"] == after["MARS"] == "MARS V3-1-7"
        session.catalogue.refresh()
        commands = plan(session, "CrabNebula", cell, "star").commands()
        assert commands


def test_a_real_mars_refuses_what_is_simulated_and_says_why(chain, mars, tmp_path):
    (mars.marssys / "magicpy.rc").unlink()
    stars = {"installation": "embedded", "stages": {"star": "installed", "superstar": "installed"}}
    with open_session(load_settings(store=str(tmp_path / "store"), mars=stars)) as session:
        session.catalogue.refresh()
        runs = [int(name.name.split("_")[1]) for name in chain.report.products("dl3")[:1]]
        report = process(session, "CrabNebula", [chain.cell], "superstar", runs=runs)
    failed = report.table[report.table["state"] == "failed"]
    assert set(failed["stage"]) == {"star"}
    assert "cannot be given to the star of MARS: MARS cannot read files that this package" in failed["reason"].iloc[0]
    assert "mars.stages.star = 'embedded'" in failed["reason"].iloc[0]
