"""What is over cells is asked for once, when the work on the cells of a source has come to rest."""

import dagster as dg
import pytest

from magicpy_assets.core.settings import load_settings
from magicpy_assets.definitions import build_defs

DL3 = dg.AssetKey(["CrabNebula", "dl3"])
CELLS = ("ST0316|za05to35-weak", "ST0316|za35to50-weak", "ST0317|za05to35-weak")


@pytest.fixture
def built(tmp_path):
    return build_defs(load_settings(store=str(tmp_path), periods=("ST0316", "ST0317")))


def look(built, instance, cursor=None):
    """Let the sensor look once; returns the periods asked for, and the cursor."""
    sensor = next(sensor for sensor in built.sensors if sensor.name == "combine_when_done")
    with dg.build_sensor_context(instance=instance, cursor=cursor) as context:
        result = sensor(context)
    if isinstance(result, dg.SkipReason):
        return [], cursor
    assert {request.job_name for request in result.run_requests} == {"combine__CrabNebula"}
    return [request.partition_key for request in result.run_requests], result.cursor


def make(instance, cell, **metadata):
    instance.report_runless_asset_event(dg.AssetMaterialization(DL3, partition=cell, metadata=metadata))


def test_many_cells_are_combined_once_for_each_period(built):
    with dg.DagsterInstance.ephemeral() as instance:
        assert look(built, instance) == ([], None)
        for cell in CELLS:
            make(instance, cell)
        periods, cursor = look(built, instance)
        assert periods == ["ST0316", "ST0317"]
        assert look(built, instance, cursor) == ([], cursor)
        make(instance, CELLS[2])
        assert look(built, instance, cursor)[0] == ["ST0317"]


def test_it_waits_for_cells_that_are_being_made_and_for_a_backfill(built):
    with dg.DagsterInstance.ephemeral() as instance:
        make(instance, CELLS[0])
        # As a backfill or the page launches them: a run of some assets, in no job of ours.
        job = built.resolve_implicit_global_asset_job_def()
        run = instance.create_run_for_job(
            job, status=dg.DagsterRunStatus.STARTED, asset_selection=frozenset({dg.AssetKey(["CrabNebula", "star"])})
        )
        assert look(built, instance) == ([], None)
        instance.report_run_canceled(run)
        assert look(built, instance)[0] == ["ST0316"]


def test_cells_that_are_marked_as_empty_are_nothing_to_combine(built):
    with dg.DagsterInstance.ephemeral() as instance:
        make(instance, CELLS[0], empty="no data")
        assert look(built, instance) == ([], None)


def test_the_combining_job_also_fits_all_periods(built):
    job = built.resolve_job_def("combine__CrabNebula")
    names = {key.path[-1] for key in job.asset_layer.executable_asset_keys}
    assert names == {"period_spectrum", "spectrum", "report"}


def test_with_conditions_the_sensor_asks_for_nothing(tmp_path):
    built = build_defs(load_settings(store=str(tmp_path), automation="declarative"))
    with dg.DagsterInstance.ephemeral() as instance:
        make(instance, CELLS[0])
        assert look(built, instance) == ([], None)
