"""The asset graph loads, partitions mean cells, and the sensor asks for just the affected ones."""

import json

import dagster as dg
import pytest

from magicpy_assets.core.cell import Cell
from magicpy_assets.core.settings import load_settings
from magicpy_assets.definitions import build_defs
from magicpy_assets.defs import partitions
from magicpy_assets_tests.conftest import settings_for

GRAPH = {
    "run_catalogue": [],
    "CrabNebula/calibrated": ["run_catalogue"],
    "CrabNebula/star": ["CrabNebula/calibrated"],
    "CrabNebula/superstar": ["CrabNebula/star"],
    "random_forest": ["mc/superstar", "off/superstar"],
    "CrabNebula/melibea": ["CrabNebula/superstar", "random_forest"],
    "CrabNebula/dl3": ["CrabNebula/melibea", "mc/melibea"],
    "CrabNebula/spectra": ["CrabNebula/dl3"],
    "off/calibrated": ["run_catalogue"],
    "off/star": ["off/calibrated"],
    "off/superstar": ["off/star"],
    "mc/calibrated": [],
    "mc/star": ["mc/calibrated"],
    "mc/superstar": ["mc/star"],
    "mc/melibea": ["mc/superstar", "random_forest"],
}


@pytest.fixture(scope="module")
def definitions():
    return build_defs(load_settings())


def test_the_definitions_load(definitions):
    dg.Definitions.validate_loadable(definitions)


def test_the_asset_graph_is_the_chain(definitions):
    specs = definitions.resolve_all_asset_specs()
    found = {spec.key.to_user_string(): sorted(dep.asset_key.to_user_string() for dep in spec.deps) for spec in specs}
    assert found == GRAPH


def test_every_level_has_a_blocking_check(definitions):
    checked = {
        key.asset_key.to_user_string()
        for assets in definitions.assets or []
        if isinstance(assets, dg.AssetsDefinition)
        for key in assets.check_keys
    }
    assert checked == set(GRAPH) - {"run_catalogue"}


def test_descriptions_and_kinds_are_there(definitions):
    for spec in definitions.resolve_all_asset_specs():
        assert len(spec.description or "") > 40, spec.key
        assert spec.kinds, spec.key


def test_partition_keys_are_cells_both_ways():
    keys = partitions.cells(["ST0316", "ST0317"]).get_partition_keys()
    assert len(keys) == 2 * 4 * 5
    assert all(Cell.parse(key).key == key for key in keys)


@pytest.mark.xdist_group("chain")
def test_new_nights_ask_for_the_affected_cells_once(environment, tmp_path):
    built = build_defs(settings_for(tmp_path / "store"))
    sensor = next(iter(built.sensors or []))

    def tick(cursor=None):
        resources = {"magic": built.resources["magic"]}
        with (
            dg.DagsterInstance.ephemeral() as instance,
            dg.build_sensor_context(instance=instance, cursor=cursor, resources=resources) as context,
        ):
            return sensor(context)

    first = tick()
    cells = {request.partition_key for request in first.run_requests}
    expected = {f"ST0316|{zenith}-{moon}" for zenith in ("za05to35", "za35to50") for moon in ("weak", "moderate")}
    assert cells == expected
    assert all(request.job_name == "analyse_CrabNebula" for request in first.run_requests)
    assert tick(first.cursor).run_requests == []
    # As if a run of one cell had come later than the others.
    known = json.loads(first.cursor)
    late = next(iter(known))
    known[late] = "of the runs before"
    third = tick(json.dumps(known))
    assert [request.run_key.rsplit("|", 1)[0] for request in third.run_requests] == [late]
