"""All seven levels of a cell through Dagster, then again with nothing to do."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

import dagster as dg
import pytest

from magicpy_assets.store.provenance import history
from magicpy_assets_tests.small_world import SmallWorld, metadata_of

pytestmark = pytest.mark.slow

CELL = "ST0316|za35to50-weak"
LEVELS = ("calibrated", "star", "superstar", "melibea", "dl3", "spectra")
RESULTS = ("theta2", "light_curve", "skymap")


@pytest.fixture(scope="module")
def world():
    with SmallWorld() as made:
        yield made


def test_seven_levels_of_a_cell_then_nothing(world):
    assert world.run_job("refresh").success
    result = world.run_job("full_analysis__CrabNebula", CELL)
    assert result.success
    for level in LEVELS:
        metadata = metadata_of(result, f"CrabNebula/{level}")
        assert metadata["done"] > 0, level
        assert metadata["failed"] == metadata["blocked"] == 0, level
        assert metadata["simulated"] is True
        assert metadata["why"].startswith("made "), level
        if level != "spectra":
            assert all(metadata[amount] > 0 for amount in ("runs", "hours", "events")), level
    assert metadata_of(result, "random_forest")["auc"] > 0.9
    spectra = metadata_of(result, "CrabNebula/spectra")
    assert "data:image/png;base64" in spectra["sed"]
    assert len(spectra["sed"]) < 50_000
    drawing = Path(unquote(urlsplit(spectra["sed_file"]).path))
    drawn = drawing.stat().st_mtime_ns
    asked = {(check.asset_key.path[0], check.asset_key.path[-1]) for check in result.get_asset_check_evaluations()}
    assert asked == {
        *(("CrabNebula", level) for level in (*LEVELS, *RESULTS)),
        *((shared, level) for shared in ("off", "mc") for level in LEVELS[:3]),
        ("mc", "melibea"),
        ("random_forest", "random_forest"),
    }
    bad = [
        (check.asset_key.to_user_string(), check.check_name, check.metadata)
        for check in result.get_asset_check_evaluations()
        if not check.passed
    ]
    assert not bad

    assert_events_and_histories_lead_to_each_other(result)

    assert_the_report_is_written_once(world)

    combined = world.run_job("combine__CrabNebula", "ST0316")
    for name in ("period_spectrum", "spectrum"):
        numbers = metadata_of(combined, f"CrabNebula/{name}")
        assert numbers["done"] + numbers["cached"] == 1, name

    versions = data_versions(result)
    assert world.run_job("train_random_forests", CELL).success
    assert world.run_job("fast_analysis__CrabNebula", CELL).success
    again = world.run_job("full_analysis__CrabNebula", CELL)
    assert drawing.stat().st_mtime_ns == drawn
    for level in LEVELS:
        metadata = metadata_of(again, f"CrabNebula/{level}")
        assert metadata["done"] == 0, level
        assert metadata["cached"] > 0, level
        assert metadata["why"].startswith("nothing to do: "), level
    assert data_versions(again) == versions

    assert_checks_are_asked_alone(world)


def assert_checks_are_asked_alone(world):
    """Without making the asset: one of them, or all, of what stands in the store."""
    made = world.instance.get_latest_materialization_event(dg.AssetKey(["CrabNebula", "dl3"]))
    (found,) = world.ask(CELL, "CrabNebula/dl3", "exposure_closes").values()
    assert found.passed
    assert found.partition == CELL
    assert found.metadata["live_s"].value > 0
    (victim,) = list((Path(world.settings.store) / "CrabNebula" / "dl3").glob("*/*/*.fits"))[:1]
    content = victim.read_bytes()
    victim.write_bytes(content[:2880])
    answers = world.ask(CELL, "CrabNebula/dl3")
    assert len(answers) == 6
    assert not answers["everything_is_there"].passed
    victim.write_bytes(content)
    assert all(answer.passed for answer in world.ask(CELL, "CrabNebula/dl3").values())
    assert world.instance.get_latest_materialization_event(dg.AssetKey(["CrabNebula", "dl3"])) == made


def assert_the_report_is_written_once(world):
    """It holds what is there, says where it is, and is not written again while no record changes."""
    runs = [world.materialize("ST0316", assets=[world.only("CrabNebula/report")]) for _ in range(2)]
    first, again = (metadata_of(run, "CrabNebula/report") for run in runs)
    assert (first["why"], again["why"][:13]) == ("written", "nothing to do")
    assert first["text"] == again["text"]
    assert "SIMULATED" in Path(first["html"]).read_text(encoding="utf-8")
    assert data_versions(runs[0]) == data_versions(runs[1])
    page = Path(first["html"])
    page.write_text("spoilt", encoding="utf-8")
    third = world.materialize("ST0316", assets=[world.only("CrabNebula/report")])
    assert metadata_of(third, "CrabNebula/report")["why"] == "written"
    assert page.stat().st_size > 10_000


def assert_events_and_histories_lead_to_each_other(result):
    """The event names the records and fingerprints; the history of a product names the run, also of its inputs."""
    metadata = metadata_of(result, "CrabNebula/superstar")
    folder = Path(metadata["records"]).parent
    tree = history(next(iter(folder.glob("*_S_*.root"))))
    assert tree.run == result.run_id
    assert {node.run for node in tree.inputs} == {result.run_id}
    assert f"Dagster run {result.run_id}" in str(tree)
    assert tree.to_dict()["dagster_run"] == result.run_id
    assert tree.fingerprint[:12] in metadata["fingerprints"]


def data_versions(result):
    return {
        event.asset_key.to_user_string(): event.step_materialization_data.materialization.tags["dagster/data_version"]
        for event in result.all_events
        if event.is_step_materialization
    }


def test_a_cell_without_data_is_empty_and_does_not_fail(world):
    result = world.materialize("ST0316|za62to70-high", assets=[world.only("CrabNebula/calibrated")])
    assert result.success
    assert "no data" in metadata_of(result, "CrabNebula/calibrated")["empty"]
    checks = result.get_asset_check_evaluations()
    assert len(checks) == 5
    assert all(check.passed and "no data" in check.metadata["asked"].value for check in checks)
