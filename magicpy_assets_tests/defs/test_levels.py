"""What a level does besides making products: nothing where nobody needs it, again what can change, warnings."""

import shutil
from datetime import date
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from magicpy_assets.core import periods
from magicpy_assets.core.cell import Cell
from magicpy_assets.core.settings import load_settings
from magicpy_assets.definitions import build_defs
from magicpy_assets.defs import checks, level
from magicpy_assets.pipeline.report import Report
from magicpy_assets.store.layout import Layout
from magicpy_assets_tests.conftest import settings_for

EMPTY = "ST0316|za62to70-high"
SHARED = ("off/calibrated", "off/superstar", "mc/calibrated", "mc/superstar", "mc/melibea", "random_forest")


def assets_of(built, *keys):
    return [
        asset for asset in built.assets if isinstance(asset, dg.AssetsDefinition) and asset.key.to_user_string() in keys
    ]


def test_a_cell_in_which_no_source_was_observed_needs_no_monte_carlo_and_no_forests(environment, tmp_path):
    built = build_defs(settings_for(tmp_path))
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize(
            assets_of(built, *SHARED), resources=built.resources, instance=instance, partition_key=EMPTY
        )
    assert result.success
    for key in SHARED:
        (event,) = result.asset_materializations_for_node(key.replace("/", "__"))
        assert "no data" in event.metadata["why"].value
    assert not (tmp_path / "MC").exists()
    assert not (tmp_path / "RFs").exists()


def test_a_job_makes_what_is_shared_also_of_a_source_with_fewer_periods(environment, tmp_path):
    for night, names in ((date(2020, 11, 16), ["CrabNebula", "OJ287"]), (date(2022, 1, 4), ["CrabNebula"])):
        Layout(tmp_path).catalogue(night).parent.mkdir(exist_ok=True)
        pd.DataFrame({"source": names}).to_parquet(Layout(tmp_path).catalogue(night))
    both = {"sources": ("CrabNebula", "OJ287"), "periods": ("ST0316", "ST0317")}
    built = build_defs(settings_for(tmp_path).model_copy(update=both))
    shutil.rmtree(Layout(tmp_path).catalogue(date(2020, 11, 16)).parent)  # no more than the definitions ask for
    job = built.resolve_job_def("fast_analysis__OJ287")
    assert {key.period for key in map(Cell.parse, job.partitions_def.get_partition_keys())} == {periods.ST0316}
    with dg.DagsterInstance.ephemeral() as instance:
        result = job.execute_in_process(instance=instance, partition_key=EMPTY)
        for key in (*SHARED, "OJ287/calibrated", "OJ287/spectra"):
            assert instance.get_materialized_partitions(dg.AssetKey(key.split("/"))) == {EMPTY}
    assert result.success
    assert all(check.partition == EMPTY for check in result.get_asset_check_evaluations())


def test_a_server_that_is_down_is_asked_again_a_few_times(tmp_path, monkeypatch):
    monkeypatch.setattr(level, "RETRY_S", 0.0)
    built = build_defs(load_settings(store=str(tmp_path), archive={"url": "http://127.0.0.1:9"}))
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize(
            assets_of(built, "run_catalogue"), resources=built.resources, instance=instance, raise_on_error=False
        )
    kinds = [event.event_type for event in result.all_events]
    assert not result.success
    assert kinds.count(dg.DagsterEventType.STEP_UP_FOR_RETRY) == level.MOST_RETRIES


def test_what_will_not_change_is_not_tried_again(tmp_path):
    built = build_defs(load_settings(store=str(tmp_path), archive={"in_place": tmp_path / "nowhere"}))
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize(
            assets_of(built, "run_catalogue"), resources=built.resources, instance=instance, raise_on_error=False
        )
    assert not result.success
    assert dg.DagsterEventType.STEP_UP_FOR_RETRY not in [event.event_type for event in result.all_events]


def test_a_question_that_goes_wrong_only_warns():
    def of_nothing(session, report):
        return 1 / len(report)

    verdict = checks.answered(lambda: of_nothing(None, Report()))
    answer = checks.as_result(verdict, dg.AssetKey("some"), "of_nothing")
    assert not answer.passed
    assert answer.severity == dg.AssetCheckSeverity.WARN
    assert "ZeroDivisionError" in answer.metadata["reason"].value


@pytest.fixture
def failed(environment, tmp_path):
    """Definitions, an instance and a run of it that has failed."""
    built = build_defs(settings_for(tmp_path))
    with dg.DagsterInstance.ephemeral() as instance:
        run = instance.create_run_for_job(dg.job(name="some_job")(lambda: None))
        instance.report_run_failed(run, "the disk is full")
        yield built, instance, instance.get_run_by_id(run.run_id)


def test_what_is_broken_is_written_when_a_run_fails_and_again_when_one_ends_well(failed, tmp_path):
    built, instance, run = failed
    sensors = {sensor.name: sensor for sensor in built.sensors}
    (event,) = (
        entry.dagster_event for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.PIPELINE_FAILURE)
    )

    def look(name):
        given = {"dagster_event": event, "dagster_instance": instance, "dagster_run": run}
        with dg.build_run_status_sensor_context(name, **given, resources=dict(built.resources)) as context:
            sensors[name](context.for_run_failure() if name == "what_is_broken" else context)

    look("what_is_mended")
    page = Path(tmp_path) / "broken.md"
    assert not page.exists()
    look("what_is_broken")
    text = page.read_text(encoding="utf-8")
    assert run.run_id in text
    assert "the disk is full" in text
    look("what_is_mended")
    assert "the disk is full" not in page.read_text(encoding="utf-8")


def test_every_morning_the_run_reports_and_runbooks_are_asked_for():
    (schedule,) = build_defs(load_settings()).schedules
    assert schedule.job_name == "refresh"
    assert schedule.cron_schedule == "0 10 * * *"
