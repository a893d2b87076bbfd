"""The asset graph loads, all is said of every asset, partitions mean cells and roll up."""

import json
from datetime import date
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest
from dagster._core.definitions.partitions.utils.mapping import infer_partition_mapping

from magicpy_assets.core import sources
from magicpy_assets.core.cell import Cell
from magicpy_assets.core.errors import ConfigError
from magicpy_assets.core.settings import load_settings
from magicpy_assets.definitions import build_defs, periods_of
from magicpy_assets.defs import partitions
from magicpy_assets.pipeline.runs import periods_observed
from magicpy_assets.store.layout import Layout

GRAPH = Path(__file__).parent / "graph.txt"
"""The asset graph as text: all that is said of every asset, its checks and what it is made from."""


@pytest.fixture(scope="module")
def definitions():
    return build_defs(load_settings())


def test_the_definitions_load(definitions):
    dg.Definitions.validate_loadable(definitions)


def drawn(definitions):
    """The asset graph as text."""
    checks = {}
    for key in definitions.resolve_asset_graph().asset_check_keys:
        checks.setdefault(key.asset_key, []).append(key.name)
    lines = []
    for spec in sorted(definitions.resolve_all_asset_specs(), key=lambda spec: spec.key.to_user_string()):
        dimensions = getattr(spec.partitions_def, "partition_dimension_names", None)
        lines += [
            spec.key.to_user_string(),
            f"  group {spec.group_name}, kinds {', '.join(sorted(spec.kinds)) or '-'}",
            f"  owners {', '.join(spec.owners) or '-'}, level {spec.tags.get('level', '-')}",
            f"  code version {spec.code_version or '-'}",
            f"  partitions {' x '.join(dimensions) if dimensions else 'period' if spec.partitions_def else 'none'}",
            f"  made from {', '.join(sorted(dep.asset_key.to_user_string() for dep in spec.deps)) or '-'}",
            f"  checks {', '.join(sorted(checks.get(spec.key, []))) or '-'}",
        ]
    return "\n".join(lines) + "\n"


def test_the_asset_graph_is_the_one_that_is_kept(definitions):
    # After a change that is meant: write what this compares into graph.txt, and read the difference.
    assert drawn(definitions) == GRAPH.read_text(encoding="utf-8")


def test_every_level_has_a_blocking_check(definitions):
    specs = [spec for asset in definitions.assets for spec in getattr(asset, "check_specs", ())]
    blocked = {spec.key.asset_key.path[-1] for spec in specs if spec.blocking}
    cells = {spec.key.path[-1] for spec in definitions.resolve_all_asset_specs() if spec.partitions_def}
    assert blocked == cells - {"archive", "period_spectrum", "report"}
    assert all(spec.partitions_def is not None for spec in specs if spec.key.asset_key.path[-1] != "spectrum")


def keep_night(layout, night, *names):
    layout.catalogue(night).parent.mkdir(exist_ok=True)
    pd.DataFrame({"source": list(names)}).to_parquet(layout.catalogue(night))


def test_sources_have_the_periods_in_which_they_were_observed(tmp_path, caplog):
    settings = load_settings(store=str(tmp_path), sources=("CrabNebula", "OJ287"), periods=("ST0316", "ST0317"))
    assert periods_of(settings) == {"CrabNebula": ["ST0316", "ST0317"], "OJ287": ["ST0316", "ST0317"]}
    layout = Layout(tmp_path)
    keep_night(layout, date(2020, 11, 16), "CrabNebula")
    keep_night(layout, date(2022, 1, 4), "OJ287")
    assert periods_of(settings) == {"CrabNebula": ["ST0316"], "OJ287": ["ST0317"]}
    dg.Definitions.validate_loadable(build_defs(settings))
    crab = settings.model_copy(update={"sources": ("CrabNebula",)})
    built = build_defs(crab)
    dg.Definitions.validate_loadable(built)
    keys = {spec.key.path[-1]: spec for spec in built.resolve_all_asset_specs() if spec.key.path[0] == "CrabNebula"}
    assert set(keys["report"].partitions_def.get_partition_keys()) == {"ST0316"}
    # One that was observed in other periods only has none here, and that is said.
    only = settings.model_copy(update={"periods": ("ST0317",)})
    assert periods_of(only) == {"OJ287": ["ST0317"]}
    assert "not observed in ST0317: CrabNebula" in caplog.text
    dg.Definitions.validate_loadable(build_defs(only))


def test_what_the_nights_hold_is_kept_and_follows_them(tmp_path):
    layout = Layout(tmp_path)
    keep_night(layout, date(2020, 11, 16), "CrabNebula")
    assert periods_observed(layout) == {"CrabNebula": ("ST0316",)}
    kept = json.loads((tmp_path / "catalogue" / "observed.json").read_text(encoding="utf-8"))
    assert list(kept.values()) == [["CrabNebula"]]
    keep_night(layout, date(2020, 11, 16), "OJ287", "CrabNebula")
    keep_night(layout, date(2022, 1, 4), "OJ287")
    assert periods_observed(layout) == {"CrabNebula": ("ST0316",), "OJ287": ("ST0316", "ST0317")}
    (tmp_path / "catalogue" / "observed.json").write_text("spoilt", encoding="utf-8")
    assert periods_observed(layout)["OJ287"] == ("ST0316", "ST0317")


def test_names_in_settings_are_those_of_the_tables():
    """In any spelling: other names would give assets that never have data."""
    settings = load_settings(sources=("Crab", "CrabNebula", "MyOwnField"), periods=("ST.03.16", "st0317"))
    assert settings.sources == ("CrabNebula", "MyOwnField")
    assert settings.periods == ("ST0316", "ST0317")
    with pytest.raises(ConfigError, match=r"unknown period 'ST0361'.*\n?.*did you mean ST0316"):
        load_settings(periods=("ST0361",))


def test_a_source_is_added_without_code(tmp_path, monkeypatch):
    monkeypatch.setenv("MAGICPY_STORE", str(tmp_path))
    monkeypatch.setenv("MAGICPY_SOURCES", "CrabNebula,OJ287")
    keys = {spec.key for spec in build_defs().resolve_all_asset_specs()}
    assert {dg.AssetKey(["OJ287", name]) for name in ("archive", "star", "dl3", "report")} <= keys


@pytest.fixture
def two_periods(tmp_path):
    """Two sources, one of them observed in one of two periods only."""
    layout = Layout(tmp_path)
    keep_night(layout, date(2020, 11, 16), "CrabNebula", "OJ287")
    keep_night(layout, date(2022, 1, 4), "CrabNebula")
    both = {"sources": ("CrabNebula", "OJ287"), "periods": ("ST0316", "ST0317")}
    built = build_defs(load_settings(store=str(tmp_path), **both))
    dg.Definitions.validate_loadable(built)
    return {spec.key.to_user_string(): spec for spec in built.resolve_all_asset_specs()}


def upstream_of(specs, key, upstream, partitions):
    """Keys of an upstream asset's partitions that some partitions of an asset are made from."""
    asset, above = specs[key], specs[upstream]
    (dep,) = (dep for dep in asset.deps if dep.asset_key == above.key)
    mapping = dep.partition_mapping or infer_partition_mapping(None, asset.partitions_def, above.partitions_def)
    wanted = asset.partitions_def and asset.partitions_def.subset_with_partition_keys(partitions)
    found = mapping.get_upstream_mapped_partitions_result_for_partitions(
        wanted, asset.partitions_def, above.partitions_def
    )
    return set(found.partitions_subset.get_partition_keys())


def test_cells_roll_up_to_their_period_and_periods_to_the_source(two_periods):
    cells = set(two_periods["CrabNebula/dl3"].partitions_def.get_partition_keys())
    assert len(cells) == 40
    for period in ("ST0316", "ST0317"):
        found = upstream_of(two_periods, "CrabNebula/period_spectrum", "CrabNebula/dl3", [period])
        assert found == {key for key in cells if key.startswith(period)}
    assert two_periods["CrabNebula/spectrum"].partitions_def is None
    found = upstream_of(two_periods, "CrabNebula/spectrum", "CrabNebula/period_spectrum", [])
    assert found == {"ST0316", "ST0317"}
    for name in ("period_spectrum", "report"):
        assert set(two_periods[f"OJ287/{name}"].partitions_def.get_partition_keys()) == {"ST0316"}


def test_cells_of_a_source_are_made_from_the_same_cells_of_what_is_shared(two_periods):
    """Also of a source that was observed in fewer periods than others."""
    assert len(two_periods["random_forest"].partitions_def.get_partition_keys()) == 40
    assert len(two_periods["OJ287/melibea"].partitions_def.get_partition_keys()) == 20
    cell = "ST0316|za35to50-weak"
    assert upstream_of(two_periods, "OJ287/melibea", "random_forest", [cell]) == {cell}
    assert upstream_of(two_periods, "OJ287/dl3", "mc/melibea", [cell]) == {cell}
    assert upstream_of(two_periods, "random_forest", "off/superstar", [cell]) == {cell}


def test_all_is_said_of_every_asset(definitions):
    for spec in definitions.resolve_all_asset_specs():
        assert len(spec.description or "") > 40, spec.key
        assert spec.kinds, spec.key
        assert spec.owners == ["team:magic"], spec.key
        assert spec.tags["level"], spec.key
        assert "dagster/code_references" in spec.metadata, spec.key
        assert spec.code_version or spec.key.path[-1] == "archive", spec.key


def test_code_versions_follow_the_settings_that_change_results(tmp_path):
    def versions(**changed):
        built = build_defs(load_settings(store=str(tmp_path), **changed))
        return {spec.key.to_user_string(): spec.code_version for spec in built.resolve_all_asset_specs()}

    before = versions()
    for changed, affected in (
        ({"forest": {"model": "random_forest"}}, {"random_forest"}),
        ({"dl3": {"kind": "full-enclosure"}}, {"CrabNebula/dl3"}),
        ({"compute": {"workers": 1}}, set()),
    ):
        after = versions(**changed)
        assert {key for key in before if before[key] != after[key]} == affected


def test_partition_keys_are_cells_both_ways():
    keys = partitions.cells(["ST0316", "ST0317"]).get_partition_keys()
    assert len(keys) == 2 * 4 * 5
    assert all(Cell.parse(key).key == key for key in keys)


def test_every_source_of_the_table_can_be_shown(tmp_path):
    """Names with signs in them, such as VERJ0521+211, are groups and jobs as well."""
    names = tuple(source.name for source in sources.all_sources())
    built = build_defs(load_settings(store=str(tmp_path), sources=names))
    dg.Definitions.validate_loadable(built)
    groups = {spec.group_name for spec in built.resolve_all_asset_specs()}
    assert len(groups - {"shared", "off", "mc"}) == len(names)
    assert dg.AssetKey(["VERJ0521_211", "spectra"]) in {spec.key for spec in built.resolve_all_asset_specs()}
    assert any(job.name == "fast_analysis__VERJ0521_211" for job in built.jobs)
