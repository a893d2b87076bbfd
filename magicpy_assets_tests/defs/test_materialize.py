"""All seven levels of a cell through Dagster, then again with nothing to do."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

import dagster as dg
import pytest

from magicpy_assets.definitions import build_defs
from magicpy_assets.store.provenance import history
from magicpy_assets_tests.conftest import settings_for

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("chain")]

CELL = "ST0316|za35to50-weak"
REPORT = dg.AssetKey(["CrabNebula", "report"])
LEVELS = ("calibrated", "star", "superstar", "melibea", "dl3", "spectra")


@pytest.fixture(scope="module")
def built(environment, tmp_path_factory):
    return build_defs(settings_for(tmp_path_factory.mktemp("dagster-store")))


def run_job(built, instance, name, partition=None):
    """Run a job as the queue would, in this process."""
    result = built.resolve_job_def(name).execute_in_process(instance=instance, partition_key=partition)
    assert result.success
    return result


def metadata_of(result, key):
    found = result.asset_materializations_for_node(key.replace("/", "__"))
    return found[0].metadata


def test_seven_levels_of_a_cell_then_nothing(built):
    with dg.DagsterInstance.ephemeral() as instance:
        run_job(built, instance, "refresh")
        result = run_job(built, instance, "full_analysis__CrabNebula", CELL)
        for level in LEVELS:
            metadata = metadata_of(result, f"CrabNebula/{level}")
            assert metadata["done"].value > 0, level
            assert metadata["failed"].value == metadata["blocked"].value == 0, level
            assert metadata["simulated"].value is True
            assert metadata["why"].value.startswith("made "), level
            if level != "spectra":
                assert all(metadata[amount].value > 0 for amount in ("runs", "hours", "events")), level
        assert metadata_of(result, "random_forest")["auc"].value > 0.9
        spectra = metadata_of(result, "CrabNebula/spectra")
        assert "data:image/png;base64" in spectra["sed"].value
        assert len(spectra["sed"].value) < 50_000
        drawing = Path(unquote(urlsplit(spectra["sed_file"].value).path))
        drawn = drawing.stat().st_mtime_ns
        checks = result.get_asset_check_evaluations()
        assert len(checks) == 36
        assert all(check.passed for check in checks)

        assert_events_and_histories_lead_to_each_other(result)

        assert_the_report_is_written_once(built, instance)
        combined = run_job(built, instance, "combine__CrabNebula", "ST0316")
        for name in ("period_spectrum", "spectrum"):
            assert metadata_of(combined, f"CrabNebula/{name}")["done"].value == 1

        versions = data_versions(result)
        run_job(built, instance, "train_random_forests", CELL)
        run_job(built, instance, "fast_analysis__CrabNebula", CELL)
        again = run_job(built, instance, "full_analysis__CrabNebula", CELL)
        assert drawing.stat().st_mtime_ns == drawn
        for level in LEVELS:
            metadata = metadata_of(again, f"CrabNebula/{level}")
            assert metadata["done"].value == 0, level
            assert metadata["cached"].value > 0, level
            assert metadata["why"].value.startswith("nothing to do: "), level
        assert data_versions(again) == versions


def assert_the_report_is_written_once(built, instance):
    """It holds what is there, says where it is, and is not written again while no record changes."""
    (report,) = (asset for asset in built.assets if isinstance(asset, dg.AssetsDefinition) if asset.key == REPORT)
    runs = [
        dg.materialize([report], resources=built.resources, instance=instance, partition_key="ST0316") for _ in range(2)
    ]
    first, again = (metadata_of(run, "CrabNebula/report") for run in runs)
    assert (first["why"].value, again["why"].value[:13]) == ("written", "nothing to do")
    assert first["text"].value == again["text"].value
    assert "SIMULATED" in Path(first["html"].value).read_text(encoding="utf-8")
    assert data_versions(runs[0]) == data_versions(runs[1])
    page = Path(first["html"].value)
    page.write_text("spoilt", encoding="utf-8")
    third = dg.materialize([report], resources=built.resources, instance=instance, partition_key="ST0316")
    assert metadata_of(third, "CrabNebula/report")["why"].value == "written"
    assert page.stat().st_size > 10_000


def assert_events_and_histories_lead_to_each_other(result):
    """The event names the records and fingerprints; the history of a product names the run, also of its inputs."""
    metadata = metadata_of(result, "CrabNebula/superstar")
    folder = Path(metadata["records"].value).parent
    tree = history(next(iter(folder.glob("*_S_*.root"))))
    assert tree.run == result.run_id
    assert {node.run for node in tree.inputs} == {result.run_id}
    assert f"Dagster run {result.run_id}" in str(tree)
    assert tree.to_dict()["dagster_run"] == result.run_id
    assert tree.fingerprint[:12] in metadata["fingerprints"].value


def data_versions(result):
    return {
        event.asset_key.to_user_string(): event.step_materialization_data.materialization.tags["dagster/data_version"]
        for event in result.all_events
        if event.is_step_materialization
    }


def test_a_cell_without_data_is_empty_and_does_not_fail(built):
    with dg.DagsterInstance.ephemeral() as instance:
        assets = [asset for asset in built.assets if asset.key.to_user_string() == "CrabNebula/calibrated"]
        result = dg.materialize(
            assets, resources=built.resources, instance=instance, partition_key="ST0316|za62to70-high"
        )
    assert result.success
    assert "no data" in metadata_of(result, "CrabNebula/calibrated")["empty"].value
