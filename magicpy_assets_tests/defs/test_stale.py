"""Marks of Dagster for what is out of date follow each change to exactly the cells that it affects.

Cells without data are materialised, which takes no program: what counts here is what Dagster makes of versions.
"""

import dagster as dg
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest

from magicpy_assets.core.settings import load_settings
from magicpy_assets.definitions import build_defs
from magicpy_assets_tests.defs.test_new_nights import sky

__all__ = ["sky"]
CELL, OTHER = "ST0316|za62to70-high", "ST0316|za62to70-strong"
SHARED = [f"{chain}/{level}" for chain in ("off", "mc") for level in ("calibrated", "star", "superstar")]
LEVELS = ("calibrated", "star", "superstar", "melibea", "dl3", "spectra")


def key_of(text):
    return dg.AssetKey(text.split("/"))


def stale(built, instance):
    """Return the cells of assets that are out of date, for causes of their own."""
    graph = built.resolve_asset_graph()
    resolver = CachingStaleStatusResolver(instance, graph, LoadingContextForTest(instance))
    return {
        (key.to_user_string(), cell)
        for key in graph.materializable_asset_keys
        for cell in (CELL, OTHER)
        if isinstance(graph.get(key).partitions_def, dg.MultiPartitionsDefinition)
        if resolver.get_status(key, cell) == StaleStatus.STALE
    }


def observe(instance, chain, cell, version):
    instance.report_runless_asset_event(
        dg.AssetObservation(key_of(f"{chain}/archive"), partition=cell, tags={"dagster/data_version": version})
    )


@pytest.fixture
def made(sky, tmp_path):
    """Definitions and an instance in which two cells are up to date."""
    built = build_defs(load_settings(store=str(tmp_path / "store")))
    with dg.DagsterInstance.ephemeral() as instance:
        for cell in (CELL, OTHER):
            for chain in ("CrabNebula", "off", "mc"):
                observe(instance, chain, cell, "a")
            cells = [
                asset
                for asset in built.assets
                if isinstance(asset, dg.AssetsDefinition) and asset.is_materializable
                if isinstance(asset.partitions_def, dg.MultiPartitionsDefinition)
            ]
            assert dg.materialize(cells, resources=built.resources, instance=instance, partition_key=cell).success
        yield built, instance


def test_each_change_marks_just_what_it_affects(made, tmp_path):
    built, instance = made
    assert stale(built, instance) == set()

    observe(instance, "CrabNebula", CELL, "a run more")
    assert stale(built, instance) == {("CrabNebula/calibrated", CELL)}
    observe(instance, "off", CELL, "another OFF run")
    assert stale(built, instance) == {("CrabNebula/calibrated", CELL), ("off/calibrated", CELL)}

    # New products of a level mark the next one, in the same cell.
    for upstream, downstream in (
        ("CrabNebula/star", {"CrabNebula/superstar"}),
        ("random_forest", {"CrabNebula/melibea", "mc/melibea"}),
        ("mc/melibea", {"CrabNebula/dl3"}),
        ("CrabNebula/spectra", {f"CrabNebula/{name}" for name in ("theta2", "light_curve", "skymap")}),
    ):
        before = stale(built, instance)
        tags = {"dagster/data_version": f"new {upstream}"}
        instance.report_runless_asset_event(dg.AssetMaterialization(key_of(upstream), partition=OTHER, tags=tags))
        assert stale(built, instance) - before == {(key, OTHER) for key in downstream}


@pytest.mark.parametrize(
    ("changed", "affected"),
    [
        ({"forest": {"model": "random_forest"}}, "random_forest"),
        ({"dl3": {"kind": "full-enclosure"}}, "CrabNebula/dl3"),
    ],
)
def test_a_changed_setting_marks_the_level_that_it_changes(made, tmp_path, changed, affected):
    _, instance = made
    built = build_defs(load_settings(store=str(tmp_path / "store"), **changed))
    assert stale(built, instance) == {(affected, CELL), (affected, OTHER)}


def test_a_changed_run_card_marks_star_everywhere(made, tmp_path, monkeypatch):
    """Other cleaning levels in the table of the package, as after an update."""
    from magicpy_assets.core import csvtables

    rows = csvtables.rows
    monkeypatch.setattr(
        csvtables,
        "rows",
        lambda name: [row | {"level1_phe": "99"} for row in rows(name)] if name == "cleaning" else rows(name),
    )
    _, instance = made
    built = build_defs(load_settings(store=str(tmp_path / "store")))
    assert stale(built, instance) == {
        (f"{chain}/star", cell) for chain in ("CrabNebula", "off", "mc") for cell in (CELL, OTHER)
    }
