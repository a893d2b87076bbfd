"""One bad run fails alone, is told on the page, and is taken up again when the trouble is over."""

from datetime import date

import pytest

from magicpy_assets.observatory.troubles import Trouble
from magicpy_assets.pipeline.status import broken, write_broken
from magicpy_assets.store.layout import Layout
from magicpy_assets_tests.conftest import CELL, settings_for
from magicpy_assets_tests.small_world import SmallWorld, metadata_of

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("chain")]


def test_a_run_that_fails_stops_no_other(environment, chain, tmp_path):
    settings = settings_for(tmp_path)
    runs = sorted(
        {row.unit.split()[0] for row in chain.report.rows if row.source == "CrabNebula" and row.stage == "dl3"}
    )
    bad = runs[0]
    with SmallWorld(settings, fail={"star": bad}) as world:
        result = world.materialize(CELL.key, "superstar")
        assert result.success
        star = metadata_of(result, "CrabNebula/star")
        assert star["failed"] == 4  # both subruns of both telescopes
        assert star["done"] > 0
        assert "failed as planned" in star["tasks"] or bad in star["tasks"]
        superstar = metadata_of(result, "CrabNebula/superstar")
        assert superstar["done"] == len(runs) - 1
        assert superstar["blocked"] == 1

    table = broken(Layout(settings.store))
    assert set(table["stage"]) == {"star"}
    assert all(bad in product for product in table["product"])
    page = write_broken(Layout(settings.store), "A run failed.").read_text(encoding="utf-8")
    assert "4 products failed" in page
    assert bad in page

    with SmallWorld(settings) as world:
        again = world.materialize(CELL.key, "superstar")
        assert metadata_of(again, "CrabNebula/star")["done"] == 4
        assert metadata_of(again, "CrabNebula/superstar")["done"] == 1
    assert broken(Layout(settings.store)).empty


def test_a_check_that_fails_stops_what_would_be_made_from_it():
    """No star file of the source is made: its superstar is not even begun, and the shared chains go on."""
    with SmallWorld(fail={"star": "CrabNebula"}) as world:
        result = world.materialize(CELL.key, "superstar", raise_on_error=False)
        assert not result.success
        (check,) = (one for one in result.get_asset_check_evaluations() if not one.passed and one.blocking)
        assert (check.asset_key.to_user_string(), check.check_name) == ("CrabNebula/star", "something_is_there")
        assert "failed as planned" in check.metadata["missing"].value or "failed" in check.metadata["missing"].value
        assert metadata_of(result, "CrabNebula/star")["done"] == 0
        assert not result.asset_materializations_for_node("CrabNebula__superstar")


def test_files_that_the_archive_lacks_are_told_and_stop_no_other_run():
    lost = Trouble("missing", date(2020, 11, 16), "CrabNebula", 3, telescope=2, subrun=1)
    cut = Trouble("truncated", date(2020, 12, 15), "CrabNebula", 1, telescope=1, subrun=2, value=0.5)
    with SmallWorld(trouble=[lost, cut]) as world:
        result = world.materialize(CELL.key, "superstar")
        assert result.success
        checks = {(one.asset_key.path[-1], one.check_name): one for one in result.get_asset_check_evaluations()}
        assert checks["superstar", "axes_cross"].passed
        told = {name: checks[name, "everything_is_there"] for name in ("calibrated", "superstar")}
        assert not told["superstar"].passed
        print(told)
