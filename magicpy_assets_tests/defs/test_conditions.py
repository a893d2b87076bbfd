"""Conditions of assets: a cell that gains runs is asked for, and no other; stale marks follow the same versions."""

import dagster as dg
import pytest

from magicpy_assets.core.settings import load_settings
from magicpy_assets.definitions import build_defs

CELL, OTHER = "ST0316|za05to35-weak", "ST0316|za35to50-weak"
ARCHIVE, CALIBRATED = dg.AssetKey(["CrabNebula", "archive"]), dg.AssetKey(["CrabNebula", "calibrated"])


@pytest.fixture
def declarative(tmp_path):
    return build_defs(load_settings(store=str(tmp_path), automation="declarative"))


pytestmark = pytest.mark.filterwarnings("ignore::dagster.BetaWarning")  # what evaluates conditions in tests is beta


def observe(instance, cell, version):
    instance.report_runless_asset_event(
        dg.AssetObservation(ARCHIVE, partition=cell, tags={"dagster/data_version": version})
    )


def test_only_the_cell_that_gained_runs_is_asked_for(declarative):
    with dg.DagsterInstance.ephemeral() as instance:
        for cell in (CELL, OTHER):
            observe(instance, cell, "a")
            for spec in declarative.resolve_all_asset_specs():
                if spec.partitions_def is not None and spec.key.path[-1] not in (
                    "archive",
                    "period_spectrum",
                    "report",
                ):
                    instance.report_runless_asset_event(dg.AssetMaterialization(spec.key, partition=cell))
        first = dg.evaluate_automation_conditions(defs=declarative, instance=instance)
        observe(instance, CELL, "b")
        second = dg.evaluate_automation_conditions(defs=declarative, instance=instance, cursor=first.cursor)
        assert second.get_requested_partitions(CALIBRATED) == {CELL}
        # What is made from it goes in the same round, for the same cell alone.
        assert second.get_requested_partitions(dg.AssetKey(["CrabNebula", "star"])) == {CELL}
        observe(instance, CELL, "b")
        third = dg.evaluate_automation_conditions(defs=declarative, instance=instance, cursor=second.cursor)
        assert third.get_requested_partitions(CALIBRATED) == set()
