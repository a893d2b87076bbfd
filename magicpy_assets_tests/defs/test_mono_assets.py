"""The mono chain in Dagster: a setting makes the graph without superstar, and a cell goes through it."""

import dagster as dg
import pytest

from magicpy_assets.core.settings import load_settings
from magicpy_assets.definitions import build_defs
from magicpy_assets_tests.conftest import CELL
from magicpy_assets_tests.small_world import SmallWorld, metadata_of


def made_from(definitions):
    return {
        spec.key.to_user_string(): {dep.asset_key.to_user_string() for dep in spec.deps}
        for spec in definitions.resolve_all_asset_specs()
    }


def test_the_mono_graph_is_that_of_stereo_without_superstar():
    stereo, mono = made_from(build_defs(load_settings())), made_from(build_defs(load_settings(telescopes=[1])))
    assert set(stereo) - set(mono) == {"CrabNebula/superstar", "off/superstar", "mc/superstar"}
    assert not set(mono) - set(stereo)
    changed = {key for key in mono if mono[key] != stereo[key]}
    assert changed == {"CrabNebula/melibea", "mc/melibea", "random_forest"}
    assert mono["CrabNebula/melibea"] == {"CrabNebula/star", "random_forest"}
    assert mono["random_forest"] == {"off/star", "mc/star"}
    dg.Definitions.validate_loadable(build_defs(load_settings(telescopes=[2])))


@pytest.mark.slow
@pytest.mark.xdist_group("chain")
def test_a_cell_goes_through_the_mono_chain_once(environment, tmp_path):
    settings = load_settings(store=str(tmp_path), telescopes=[1])
    with SmallWorld(settings) as world:
        result = world.materialize(CELL.key)
        assert result.success
        for level in ("calibrated", "star", "melibea", "dl3", "spectra"):
            metadata = metadata_of(result, f"CrabNebula/{level}")
            assert metadata["done"] > 0, level
            assert metadata["failed"] == metadata["blocked"] == 0, level
        assert (tmp_path / "CrabNebula" / "spectra-M1" / CELL.folder / "spectrum.json").is_file()
        bad = [
            (check.asset_key.to_user_string(), check.check_name, check.metadata)
            for check in result.get_asset_check_evaluations()
            if not check.passed
        ]
        assert not bad
        again = world.materialize(CELL.key)
        assert metadata_of(again, "CrabNebula/spectra")["done"] == 0
        assert metadata_of(again, "CrabNebula/melibea")["done"] == 0
