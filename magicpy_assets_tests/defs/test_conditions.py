"""Conditions of assets: a cell that gains runs is asked for, and no other; stale marks follow the same versions."""

from datetime import date

import dagster as dg
import pandas as pd
import pytest

from magicpy_assets.core.settings import load_settings
from magicpy_assets.definitions import build_defs
from magicpy_assets.store.layout import Layout
from magicpy_assets_tests.conftest import settings_for
from magicpy_assets_tests.defs.test_new_nights import tick

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


def test_new_forests_ask_for_each_source_in_the_cells_that_it_has(tmp_path):
    """One of the sources was observed in one period only, the forests are those of both."""
    for night, names in ((date(2020, 11, 16), ["CrabNebula", "OJ287"]), (date(2022, 1, 4), ["CrabNebula"])):
        Layout(tmp_path).catalogue(night).parent.mkdir(exist_ok=True)
        pd.DataFrame({"source": names}).to_parquet(Layout(tmp_path).catalogue(night))
    both = {"sources": ("CrabNebula", "OJ287"), "periods": ("ST0316", "ST0317")}
    built = build_defs(load_settings(store=str(tmp_path), automation="declarative", **both))
    cells = {CELL, CELL.replace("ST0316", "ST0317")}
    with dg.DagsterInstance.ephemeral() as instance:
        for spec in built.resolve_all_asset_specs():
            if isinstance(spec.partitions_def, dg.MultiPartitionsDefinition) and spec.key.path[-1] != "archive":
                for cell in cells & set(spec.partitions_def.get_partition_keys()):
                    instance.report_runless_asset_event(dg.AssetMaterialization(spec.key, partition=cell))
        first = dg.evaluate_automation_conditions(defs=built, instance=instance)
        for cell in cells:
            new = dg.AssetMaterialization("random_forest", partition=cell, tags={"dagster/data_version": "new"})
            instance.report_runless_asset_event(new)
        second = dg.evaluate_automation_conditions(defs=built, instance=instance, cursor=first.cursor)
        for source, wanted in (("CrabNebula", cells), ("OJ287", {CELL})):
            assert second.get_requested_partitions(dg.AssetKey([source, "melibea"])) == wanted
            assert second.get_requested_partitions(dg.AssetKey([source, "star"])) == set()


def test_from_a_fresh_store_the_whole_chain_is_asked_for_cell_by_cell(environment, tmp_path):
    """The sensor observes, the conditions ask; what they ask for is noted as made, until nothing more is asked for."""
    built = build_defs(settings_for(tmp_path).model_copy(update={"automation": "declarative"}))
    asked: dict[str, set[str]] = {}
    looks = evaluations = None
    with dg.DagsterInstance.ephemeral() as instance:
        for _ in range(4):
            result = tick(built, looks, instance)
            looks = result.cursor
            for event in result.asset_events:
                instance.report_runless_asset_event(event)
            evaluations = dg.evaluate_automation_conditions(
                defs=built, instance=instance, cursor=evaluations.cursor if evaluations else None
            )
            for spec in built.resolve_all_asset_specs():
                for partition in evaluations.get_requested_partitions(spec.key):
                    asked.setdefault(spec.key.to_user_string(), set()).add(partition)
                    instance.report_runless_asset_event(dg.AssetMaterialization(spec.key, partition=partition))
    cells = {f"ST0316|{zenith}-{moon}" for zenith in ("za05to35", "za35to50") for moon in ("weak", "moderate")}
    levels = ("calibrated", "star", "superstar")
    for key in [f"{chain}/{level}" for chain in ("CrabNebula", "mc") for level in levels]:
        assert asked[key] >= cells, key
    for key in ("random_forest", "mc/melibea", "CrabNebula/melibea", "CrabNebula/dl3", "CrabNebula/spectra"):
        assert asked[key] >= cells, key
    for level in levels:
        assert asked[f"off/{level}"] >= {cell for cell in cells if "moderate" not in cell}, level
    assert asked["CrabNebula/period_spectrum"] == {"ST0316"}
    assert asked["CrabNebula/spectrum"] == {None}
    # Cells in which nothing was observed are marked as empty, not made.
    assert all(found <= cells for key, found in asked.items() if key.startswith(("CrabNebula/cal", "CrabNebula/star")))
