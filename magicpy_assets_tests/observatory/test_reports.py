"""Run reports: the programme as central control saw it, without the truth."""

from datetime import date

import numpy as np
import pytest

from magicpy_assets.core import moons
from magicpy_assets.core.cell import Cell
from magicpy_assets.core.runs import REPORT_COLUMNS, with_cells
from magicpy_assets.formats.runreport import parse_run_report
from magicpy_assets.observatory import nights, sky, troubles
from magicpy_assets.observatory.nights import hadron_shard, transmission
from magicpy_assets.observatory.programme import programme
from magicpy_assets.observatory.reports import DC_PER_NSB_NA, night_report, run_table
from magicpy_assets.observatory.run_plans import RunPlan
from magicpy_assets.observatory.telescopes import noise_at
from magicpy_assets.observatory.troubles import Planted

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
        for column in ("hv", "filter", "sum_trigger", "stereo", "subruns"):
            assert list(read[column]) == [getattr(plan, column) for plan in plans]


def test_every_run_falls_into_the_cell_that_its_true_sky_says():
    table = with_cells(run_table(PLANS, SEED))
    for row, plan in zip(table.itertuples(), PLANS, strict=True):
        if not (date(2021, 9, 29) < plan.date < date(2021, 12, 30)):  # the gap between two periods
            middle = Cell.of(date=plan.date, zd_deg=plan.zd_deg, nsb=sky.conditions(plan.date).nsb)
            assert row.cell == middle.text
        else:
            assert row.cell == ""
            assert "ST0316" in row.no_cell_reason


def test_the_brightness_is_an_estimate_and_not_the_truth():
    table = run_table(PLANS, SEED)
    truth = np.array([sky.nsb_of_run(SEED, plan.date, plan.run) for plan in PLANS])
    assert np.all(table["nsb"] != truth)
    np.testing.assert_allclose(table["nsb"], truth, rtol=0.07)
    plain = (table["hv"] == "nominal") & (table["filter"] == "No_Filter")
    np.testing.assert_allclose(table["dc_na"][plain], DC_PER_NSB_NA * table["nsb"][plain])
    assert (table["dc_na"][~plain] < 0.6 * DC_PER_NSB_NA * table["nsb"][~plain]).all()
    assert run_table(PLANS, SEED).equals(table)
    assert not run_table(programme(SEED + 1), SEED + 1)["nsb"].equals(table["nsb"])


def _states() -> dict[tuple[object, ...], RunPlan]:
    """One run of every window of the library, state of the cameras and kind of sky."""
    found = {}
    for plan in programme(SEED, duration_s=40.0):
        conditions = sky.conditions(plan.date)
        bright = moons.of_nsb(conditions.nsb).key if plan.zd_deg < 35 else ""
        key = (hadron_shard(plan).name, plan.mode, plan.hv, plan.filter, bright, conditions.transmission_9km < 0.7)
        if plan.source == "CrabNebula" and plan.stereo:
            found[key] = plan
    return found


@pytest.mark.parametrize("plan", _states().values(), ids=lambda plan: f"{plan.run}")
def test_the_stereo_rate_is_about_what_is_recorded(plan):
    exposure = nights._Exposure(
        plan,
        SEED,
        nights._showers(plan, programme(SEED, duration_s=40.0), SEED)[0],
        noise_at(sky.nsb_of_run(SEED, plan.date, plan.run), plan.hv, plan.filter),
        transmission(plan),
    )
    recorded = exposure.triggered().sum()
    (rate,) = run_table([plan], SEED)["L3_rate"]
    assert rate * plan.duration_s == pytest.approx(recorded, rel=0.05, abs=4 * np.sqrt(recorded))


def test_clouds_and_filters_lower_the_stereo_rate_and_m1_alone_has_none():
    table = run_table(PLANS, SEED).set_index("run")
    rates = {plan.mode: table.loc[plan.run, "L3_rate"] for plan in PLANS if transmission(plan) > 0.9}
    assert set(rates) == {"stereo", "sumt", "mono"}
    assert rates["mono"] == 0
    dim = [table.loc[plan.run, "L3_rate"] for plan in PLANS if transmission(plan) < 0.6]
    assert len(dim) > 1
    assert max(dim) < 0.9 * table["L3_rate"].max()


def test_troubles_of_reports_are_in_the_report_and_in_no_other_run():
    plain = run_table(PLANS, SEED).set_index("run")
    planted = Planted(PLANS, troubles.listed())
    table = run_table(PLANS, SEED, planted).set_index("run")
    for plan in PLANS:
        factor = planted.value(plan, troubles.WRONG_NSB) or 1.0
        assert table.loc[plan.run, "nsb"] == pytest.approx(factor * plain.loc[plan.run, "nsb"])
        assert (table.loc[plan.run, "L1_rate"] == 0) == bool(planted.of(plan, troubles.NO_L1))
    assert table["L3_rate"].equals(plain["L3_rate"])
    misread = [plan for plan in PLANS if planted.of(plan, troubles.WRONG_NSB)]
    cells = with_cells(run_table(PLANS, SEED, planted)).set_index("run")["moon_level"]
    for plan in misread:
        assert cells[plan.run] != moons.of_nsb(sky.nsb_of_run(SEED, plan.date, plan.run)).key


def test_a_report_is_of_one_night():
    with pytest.raises(ValueError, match="one night"):
        night_report(PLANS, SEED)
