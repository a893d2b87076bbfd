"""One bad run fails alone, is told on the page, and is taken up again when the trouble is over."""

import pytest

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
        result = world.materialize(CELL.key, up_to="superstar")
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
        again = world.materialize(CELL.key, up_to="superstar")
        assert metadata_of(again, "CrabNebula/star")["done"] == 4
        assert metadata_of(again, "CrabNebula/superstar")["done"] == 1
    assert broken(Layout(settings.store)).empty
