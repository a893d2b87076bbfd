"""The sensor asks for just the affected cells, again for what was left, and marks cells without data."""

import json
import logging
import time
from datetime import date

import dagster as dg
import pandas as pd
import pytest
from dagster._core.definitions.observe import observe

from magicpy_assets.core.runs import night_folder
from magicpy_assets.core.settings import load_settings
from magicpy_assets.definitions import build_defs
from magicpy_assets.defs import new_nights
from magicpy_assets.defs.described import UNFINISHED_TAG
from magicpy_assets.formats.runreport import OPEN_REMARK, SIMULATED_REMARK, format_run_report, report_name
from magicpy_assets.observatory.programme import programme
from magicpy_assets.observatory.reports import run_table
from magicpy_assets.observatory.run_plans import Observation
from magicpy_assets.observatory.server import serve
from magicpy_assets.store.layout import Layout
from magicpy_assets_tests.conftest import FIRST_NIGHTS, SEED, settings_for

OLD, LATER = FIRST_NIGHTS[0], date(2020, 12, 18)
EXPECTED = {f"ST0316|{zenith}-{moon}" for zenith in ("za05to35", "za35to50") for moon in ("weak", "moderate")}


def tick(built, cursor=None, instance=None, name="new_nights"):
    """Let the sensor look once."""
    sensor = next(sensor for sensor in built.sensors if sensor.name == name)
    with dg.DagsterInstance.ephemeral() as own:
        given = {"instance": instance or own, "cursor": cursor, "resources": dict(built.resources)}
        with dg.build_sensor_context(**given, definitions=built) as context:
            return sensor(context)


def cells_asked(result):
    return {request.partition_key for request in result.run_requests}


def marks_of(result):
    return [event for event in result.asset_events if isinstance(event, dg.AssetMaterialization)]


@pytest.fixture(scope="module")
def built(environment, tmp_path_factory):
    return build_defs(settings_for(tmp_path_factory.mktemp("sensors")))


pytestmark = pytest.mark.xdist_group("chain")


def test_affected_cells_are_asked_for_once(built):
    first = tick(built)
    assert cells_asked(first) == EXPECTED
    assert all(request.job_name == "full_analysis__CrabNebula" for request in first.run_requests)
    observed = {
        (event.asset_key.path[0], event.partition)
        for event in first.asset_events
        if isinstance(event, dg.AssetObservation)
    }
    assert observed >= {(source, cell) for source in ("CrabNebula", "mc") for cell in EXPECTED}
    assert {source for source, _ in observed} == {"CrabNebula", "mc", "off"}
    assert tick(built, first.cursor).run_requests == []


def test_a_damaged_cursor_asks_again_and_the_records_keep_work_from_being_redone(built):
    assert cells_asked(tick(built, "{broken")) == EXPECTED


def run_of(instance, request, status, **tags):
    """Put a run of a request into the instance, ended as told."""
    run = instance.create_run_for_job(
        dg.job(name="as_asked")(lambda: None), tags={"dagster/run_key": request.run_key, **tags}
    )
    if status == dg.DagsterRunStatus.FAILURE:
        instance.report_run_failed(run)
    else:
        instance.handle_new_event(
            instance_event(run, dg.DagsterEventType.RUN_SUCCESS)
            if status == dg.DagsterRunStatus.SUCCESS
            else instance_event(run, dg.DagsterEventType.RUN_CANCELED)
        )
    return run


def instance_event(run, kind):
    return dg.EventLogEntry(
        error_info=None,
        level=logging.INFO,
        user_message="",
        run_id=run.run_id,
        timestamp=time.time(),
        dagster_event=dg.DagsterEvent(event_type_value=kind.value, job_name=run.job_name),
    )


@pytest.mark.parametrize(
    ("status", "tags", "again"),
    [
        (dg.DagsterRunStatus.FAILURE, {}, True),
        (dg.DagsterRunStatus.SUCCESS, {UNFINISHED_TAG: "calibrated: 3 waiting"}, True),
        (dg.DagsterRunStatus.SUCCESS, {}, False),
        (dg.DagsterRunStatus.CANCELED, {}, False),
    ],
)
def test_a_cell_with_something_left_is_asked_for_again_a_few_times(built, monkeypatch, status, tags, again):
    with dg.DagsterInstance.ephemeral() as instance:
        result = tick(built, instance=instance)
        (request,) = (request for request in result.run_requests if request.partition_key == "ST0316|za05to35-weak")
        run_of(instance, request, status, **tags)
        assert tick(built, result.cursor, instance).run_requests == []  # not at once
        monkeypatch.setattr(new_nights, "AGAIN_S", -1.0)
        keys = [request.run_key]
        for _ in range(new_nights.MOST_ATTEMPTS + 2):
            result = tick(built, result.cursor, instance)
            for asked in result.run_requests:
                keys.append(asked.run_key)
                run_of(instance, asked, status, **tags)
        assert len(keys) == len(set(keys)) == (new_nights.MOST_ATTEMPTS if again else 1)


def test_a_version_that_comes_back_is_asked_for_again(built):
    """A run that was added and taken away again: the results of the set between are no longer those that are wanted."""
    first = tick(built)
    cell = "CrabNebula|ST0316|za05to35-weak"
    keys = {request.run_key for request in first.run_requests}
    between = json.loads(first.cursor)
    between["asked"][cell][:2] = ["of another set of runs", 2]
    (back,) = tick(built, json.dumps(between)).run_requests
    assert back.run_key.startswith(cell)
    assert back.run_key not in keys


def test_a_tick_asks_for_so_much_and_no_more(built, monkeypatch):
    monkeypatch.setattr(new_nights, "MOST_REQUESTS", 3)
    first = tick(built)
    second = tick(built, first.cursor)
    assert (len(first.run_requests), len(second.run_requests)) == (3, 1)
    assert cells_asked(first) | cells_asked(second) == EXPECTED


def test_cells_without_data_are_marked_as_empty_once(built):
    cursor, marked = None, []
    with dg.DagsterInstance.ephemeral() as instance:
        for _ in range(5):
            result = tick(built, cursor, instance)
            cursor = result.cursor
            found = marks_of(result)
            assert len(found) <= new_nights.MOST_EVENTS
            marked += found
            for event in found:
                instance.report_runless_asset_event(event)
    empty = {(event.asset_key.to_user_string(), event.partition) for event in marked}
    # Nine assets of the source and eight that are shared: forests, test Monte Carlo, and three levels of two kinds.
    assert len(empty) == len(marked) == (20 - 4) * (9 + 8)
    assert {("CrabNebula/star", "ST0316|za62to70-high"), ("random_forest", "ST0316|za62to70-high")} <= empty
    assert all("no data" in event.metadata["empty"].value for event in marked)


def test_without_the_sensor_the_refresh_job_marks_them(built):
    with dg.DagsterInstance.ephemeral() as instance:
        assert built.resolve_job_def("refresh").execute_in_process(instance=instance).success
        found = instance.get_materialized_partitions(dg.AssetKey(["off", "star"]))
        assert len(found) == 20 - 4
        assert marks_of(tick(built, instance=instance)) == []
        assert instance.fetch_materializations(dg.AssetKey(["runbooks"]), limit=1).records
        records = instance.fetch_materializations(dg.AssetKey(["run_catalogue"]), limit=1).records
        metadata = records[0].asset_materialization.metadata
        assert metadata["runs"].value > 0
        assert metadata["hours_in_all"].value > 0
        assert "data:image/png" in metadata["hours_of_CrabNebula"].value


def test_with_conditions_the_sensor_only_observes(built, environment, tmp_path):
    declarative = build_defs(settings_for(tmp_path).model_copy(update={"automation": "declarative"}))
    result = tick(declarative)
    assert result.run_requests == []
    assert {event.asset_key.path[0] for event in result.asset_events} >= {"CrabNebula", "off", "mc"}


def test_the_archive_is_observed_cell_by_cell(built):
    """The observation function itself, as from the page: of a source, of the OFF data, of the Monte Carlo."""
    with dg.DagsterInstance.ephemeral() as instance:
        for source in ("CrabNebula", "off", "mc"):
            key = dg.AssetKey([source, "archive"])
            (asset,) = (asset for asset in built.assets if asset.key == key)
            assert observe([asset], resources=built.resources, instance=instance).success
            records = instance.fetch_observations(key, limit=50).records
            found = {record.partition_key: record.asset_observation.tags["dagster/data_version"] for record in records}
            assert set(found) <= EXPECTED
            assert set(found) == EXPECTED or source == "off"
            noted = json.loads(tick(built).cursor)["observed"]
            assert found == {
                name.partition("|")[2]: value for name, value in noted.items() if name.startswith(f"{source}|")
            }


@pytest.fixture
def sky(tmp_path, monkeypatch):
    """A data server of this test alone, with one night, and definitions that look at it."""
    with serve(tmp_path / "sky", SEED, nights=[OLD], duration_s=20.0) as server:
        monkeypatch.setenv("MAGICPY_ARCHIVE_PASSWORD", server.password)
        monkeypatch.setenv("MAGICPY_ARCHIVE__URL", server.url)
        monkeypatch.setenv("MAGICPY_ARCHIVE__USER", server.user)
        yield server


def test_new_nights_are_asked_for_when_they_are_observed(sky, tmp_path):
    built = build_defs(settings_for(tmp_path / "store"))
    first = tick(built)
    assert cells_asked(first)
    sky.observe(Observation(LATER, "CrabNebula", 56.0, 60.0, 35))
    new = tick(built, first.cursor)
    assert cells_asked(new) == {"ST0316|za50to62-weak"}
    assert tick(built, new.cursor).run_requests == []


def test_a_night_is_taken_when_it_is_closed_and_late_runs_when_they_come(tmp_path):
    """Run reports as central control of the observatory writes them: open first, closed, then with one run more."""
    settings = load_settings(store=str(tmp_path / "store"), archive={"in_place": tmp_path / "server"})
    observed = [Observation(LATER, "CrabNebula", low, low + 4.0, 35) for low in (24.0, 40.0, 56.0)]
    runs = run_table(programme(SEED, nights=(), extra_nights=observed), SEED)
    report = tmp_path / "server" / "CCdata" / night_folder(LATER) / report_name(LATER)
    report.parent.mkdir(parents=True)
    (tmp_path / "server" / "Data").mkdir()

    def written(table, *remarks):
        report.write_text(format_run_report(table, remarks=(SIMULATED_REMARK, *remarks)), encoding="utf-8")

    built = build_defs(settings)
    written(runs[:1], OPEN_REMARK)
    first = tick(built)
    assert first.run_requests == []
    written(runs[:2])
    closed = tick(built, first.cursor)
    assert cells_asked(closed) == {"ST0316|za50to62-weak", "ST0316|za35to50-weak"}
    written(runs)
    late = tick(built, closed.cursor)
    assert cells_asked(late) == {"ST0316|za05to35-weak"}
    # What a report says of a run has been corrected.
    written(runs.assign(duration_s=[*runs["duration_s"][:2], 100.0]))
    corrected = tick(built, late.cursor)
    assert cells_asked(corrected) == {"ST0316|za05to35-weak"}
    assert {request.run_key for request in corrected.run_requests}.isdisjoint(
        request.run_key for request in late.run_requests
    )


def test_new_off_data_ask_for_the_cells_that_are_trained_with_them(sky, tmp_path):
    built = build_defs(settings_for(tmp_path / "store"))
    sky.observe(Observation(LATER, "CrabNebula", 56.0, 60.0, 35))
    first = tick(built)
    cell = "ST0316|za50to62-weak"
    assert cell in cells_asked(first)
    sky.observe(Observation(date(2020, 12, 19), "OJ287", 56.0, 60.0, 35))
    again = tick(built, first.cursor)
    assert cells_asked(again) == {cell}
    gained = {event.asset_key.path[0] for event in again.asset_events if isinstance(event, dg.AssetObservation)}
    assert gained == {"off"}


def test_a_period_that_is_not_loaded_is_told_and_kept_for_later(environment, tmp_path, capfd):
    """A source that was observed elsewhere when the definitions were loaded."""
    both = settings_for(tmp_path).model_copy(update={"periods": ("ST0316", "ST0317")})
    night = Layout(tmp_path).catalogue(date(2022, 1, 4))
    night.parent.mkdir()
    pd.DataFrame({"source": ["CrabNebula"]}).to_parquet(night)
    built = build_defs(both)
    night.unlink()
    result = tick(built)
    assert result.run_requests == []
    assert "when they are loaded again: CrabNebula in ST0316" in capfd.readouterr().err
    assert cells_asked(tick(build_defs(both), result.cursor)) == EXPECTED
