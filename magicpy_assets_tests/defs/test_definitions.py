"""The asset graph loads, partitions mean cells, and the sensor asks for just the affected ones."""

import json
from datetime import date
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from magicpy_assets.core import sources
from magicpy_assets.core.cell import Cell
from magicpy_assets.core.settings import load_settings
from magicpy_assets.definitions import build_defs, periods_of
from magicpy_assets.defs import partitions
from magicpy_assets.store.layout import Layout
from magicpy_assets_tests.conftest import settings_for

GRAPH = Path(__file__).parent / "graph.txt"
"""The asset graph as text: every asset with its group, kinds, partitions, checks and what it is made from."""


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


def test_a_source_has_the_periods_in_which_it_was_observed(tmp_path):
    settings = load_settings(store=str(tmp_path), sources=("CrabNebula", "OJ287"), periods=("ST0316", "ST0317"))
    assert periods_of(settings) == {"CrabNebula": ["ST0316", "ST0317"], "OJ287": ["ST0316", "ST0317"]}
    layout = Layout(tmp_path)
    for night, source in ((date(2020, 11, 16), "CrabNebula"), (date(2022, 1, 4), "OJ287")):
        layout.catalogue(night).parent.mkdir(exist_ok=True)
        pd.DataFrame({"source": [source]}).to_parquet(layout.catalogue(night))
    assert periods_of(settings) == {"CrabNebula": ["ST0316"], "OJ287": ["ST0317"]}


def test_cells_roll_up_to_their_period_and_periods_to_the_source(definitions):
    specs = {spec.key.to_user_string(): spec for spec in definitions.resolve_all_asset_specs()}
    cells = specs["CrabNebula/dl3"].partitions_def
    rolled = specs["CrabNebula/period_spectrum"]
    (dep,) = rolled.deps
    mapping = dep.partition_mapping.get_upstream_mapped_partitions_result_for_partitions(
        downstream_partitions_subset=rolled.partitions_def.subset_with_partition_keys(["ST0316"]),
        downstream_partitions_def=rolled.partitions_def,
        upstream_partitions_def=cells,
    )
    assert set(mapping.partitions_subset.get_partition_keys()) == set(cells.get_partition_keys())
    (whole,) = specs["CrabNebula/spectrum"].deps
    assert whole.asset_key.to_user_string() == "CrabNebula/period_spectrum"
    assert specs["CrabNebula/spectrum"].partitions_def is None


def test_descriptions_and_kinds_are_there(definitions):
    for spec in definitions.resolve_all_asset_specs():
        assert len(spec.description or "") > 40, spec.key
        assert spec.kinds or spec.key.path[-1] == "archive", spec.key
        assert "dagster/code_references" in spec.metadata or spec.key.path[-1] in ("run_catalogue", "runbooks"), (
            spec.key
        )


def test_partition_keys_are_cells_both_ways():
    keys = partitions.cells(["ST0316", "ST0317"]).get_partition_keys()
    assert len(keys) == 2 * 4 * 5
    assert all(Cell.parse(key).key == key for key in keys)


def sensor_of(built, name):
    return next(sensor for sensor in built.sensors if sensor.name == name)


def tick(built, cursor=None, name="new_nights"):
    resources = {"magic": built.resources["magic"]}
    with (
        dg.DagsterInstance.ephemeral() as instance,
        dg.build_sensor_context(instance=instance, cursor=cursor, resources=resources) as context,
    ):
        return sensor_of(built, name)(context)


@pytest.fixture(scope="module")
def built(environment, tmp_path_factory):
    return build_defs(settings_for(tmp_path_factory.mktemp("sensors")))


@pytest.mark.xdist_group("chain")
def test_new_nights_ask_for_the_affected_cells_once(built):
    first = tick(built)
    cells = {request.partition_key for request in first.run_requests}
    expected = {f"ST0316|{zenith}-{moon}" for zenith in ("za05to35", "za35to50") for moon in ("weak", "moderate")}
    assert cells == expected
    assert all(request.job_name == "full_analysis__CrabNebula" for request in first.run_requests)
    observed = [event for event in first.asset_events if isinstance(event, dg.AssetObservation)]
    assert {event.partition for event in observed} == expected
    assert tick(built, first.cursor).run_requests == []
    # As if a run of one cell had come later than the others.
    known = json.loads(first.cursor)
    late = next(iter(known["asked"]))
    known["asked"][late] = "of the runs before"
    third = tick(built, json.dumps(known))
    assert [request.run_key.rsplit("|", 1)[0] for request in third.run_requests] == [late]
    assert third.asset_events[0].tags["dagster/data_version"] in third.run_requests[0].run_key


@pytest.mark.xdist_group("chain")
def test_cells_without_data_are_marked_as_empty_once(built):
    cursor, marked = None, []
    for _ in range(5):
        result = tick(built, cursor)
        cursor = result.cursor
        marked += [event for event in result.asset_events if isinstance(event, dg.AssetMaterialization)]
    empty = {(event.asset_key.to_user_string(), event.partition) for event in marked}
    assert len(empty) == len(marked) == (20 - 4) * 9
    assert ("CrabNebula/star", "ST0316|za62to70-high") in empty
    assert all("no data" in event.metadata["empty"].value for event in marked)


@pytest.mark.xdist_group("chain")
def test_a_damaged_cursor_asks_again_and_the_records_keep_work_from_being_redone(built):
    assert len(tick(built, "{broken").run_requests) == 4


@pytest.mark.xdist_group("chain")
def test_with_conditions_the_sensor_only_observes(built, environment, tmp_path):
    declarative = build_defs(settings_for(tmp_path).model_copy(update={"automation": "declarative"}))
    result = tick(declarative)
    assert result.run_requests == []
    assert len([event for event in result.asset_events if isinstance(event, dg.AssetObservation)]) == 4
    conditions = {
        spec.key.to_user_string(): spec.automation_condition for spec in declarative.resolve_all_asset_specs()
    }
    assert conditions["CrabNebula/star"] is not None
    plain = {spec.key.to_user_string(): spec.automation_condition for spec in built.resolve_all_asset_specs()}
    assert plain["CrabNebula/star"] is None


def test_settings_given_by_hand_reach_the_assets(tmp_path):
    settings = load_settings(store=str(tmp_path), forest={"off_hours": 0.5}, compute={"workers": 1})
    magic = build_defs(settings).resources["magic"]
    found = magic.settings()
    assert (found.store, found.forest.off_hours, found.compute.workers) == (tmp_path, 0.5, 1)


def test_every_source_of_the_table_can_be_shown(tmp_path):
    """Names with signs in them, such as VERJ0521+211, are groups and jobs as well."""
    names = tuple(source.name for source in sources.all_sources())
    built = build_defs(load_settings(store=str(tmp_path), sources=names))
    dg.Definitions.validate_loadable(built)
    groups = {spec.group_name for spec in built.resolve_all_asset_specs()}
    assert len(groups - {"shared", "off", "mc"}) == len(names)
    assert dg.AssetKey(["VERJ0521_211", "spectra"]) in {spec.key for spec in built.resolve_all_asset_specs()}
    assert any(job.name == "fast_analysis__VERJ0521_211" for job in built.jobs)
