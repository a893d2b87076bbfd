"""Run reports: the programme as central control saw it, without the truth."""

import numpy as np
import pytest

from magicpy_assets.core.runs import REPORT_COLUMNS, with_cells
from magicpy_assets.formats.runreport import parse_run_report
from magicpy_assets.observatory import library, sky
from magicpy_assets.observatory.nights import hadron_shard, hadron_slice_s
from magicpy_assets.observatory.programme import programme
from magicpy_assets.observatory.reports import DC_PER_NSB_NA, night_report, run_table

SEED = 316
PLANS = programme(SEED)


def test_the_table_has_the_columns_of_the_run_table():
    assert list(run_table(PLANS, SEED).columns) == [column.name for column in REPORT_COLUMNS]


def test_a_nights_report_is_read_back_as_the_programme():
    for night in sorted({plan.date for plan in PLANS}):
        plans = [plan for plan in PLANS if plan.date == night]
        read = parse_run_report(night_report(plans, SEED))
        assert read.attrs["simulated"]
        assert list(read["run"]) == [plan.run for plan in plans]
        assert list(read["source"]) == [plan.source for plan in plans]
        assert list(read["wobble"]) == [plan.wobble.text for plan in plans]
        np.testing.assert_allclose(read["start_mjd"], [plan.start_mjd for plan in plans], atol=1e-8, rtol=0)
        assert read["stereo"].all()
        assert (read["subruns"] == 2).all()


def test_every_run_falls_into_the_cell_that_its_true_sky_says():
    table = with_cells(run_table(PLANS, SEED))
    assert (table["no_cell_reason"] == "").all()
    for row, plan in zip(table.itertuples(), PLANS, strict=True):
        zenith = "za05to35" if plan.zd_high_deg < 35 else "za35to50"
        moon = "weak" if sky.nsb_of_run(SEED, plan.date, plan.run) < 2 else "moderate"
        assert row.cell == f"ST0316/{zenith}/{moon}"


def test_the_brightness_is_an_estimate_and_not_the_truth():
    table = run_table(PLANS, SEED)
    truth = np.array([sky.nsb_of_run(SEED, plan.date, plan.run) for plan in PLANS])
    assert np.all(table["nsb"] != truth)
    np.testing.assert_allclose(table["nsb"], truth, rtol=0.07)
    np.testing.assert_allclose(table["dc_na"], DC_PER_NSB_NA * table["nsb"])
    assert run_table(PLANS, SEED).equals(table)
    assert not run_table(programme(SEED + 1), SEED + 1)["nsb"].equals(table["nsb"])


def test_the_stereo_rate_is_about_that_of_the_event_library():
    for plan, rate in zip(PLANS, run_table(PLANS, SEED)["L3_rate"], strict=True):
        images, _ = library.sky_slice(hadron_shard(plan), *hadron_slice_s(plan, PLANS))
        assert rate == pytest.approx(len(images) / plan.duration_s, rel=0.08)


def test_a_report_is_of_one_night():
    with pytest.raises(ValueError, match="one night"):
        night_report(PLANS, SEED)
