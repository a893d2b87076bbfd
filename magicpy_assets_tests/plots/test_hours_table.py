"""The table of hours: as users know it, and whatever it is given."""

from __future__ import annotations

import pandas as pd
import pytest

from magicpy_assets.core.runs import with_cells
from magicpy_assets.plots.tables import HoursTable, grid

HOURS = [
    ("2020-11-16", 40.0, 1.0, 4.17),
    ("2020-11-16", 20.0, 1.0, 11.46),
    ("2020-11-24", 20.0, 2.5, 0.24),
    ("2020-11-24", 40.0, 9.0, 1.5),
    ("2022-01-10", 20.0, 1.0, 1.18),
]


def runs(rows=HOURS) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["date", "za_deg", "nsb", "hours"])
    return with_cells(frame.assign(date=pd.to_datetime(frame["date"]), duration_s=frame["hours"] * 3600.0))


def test_moon_down_zenith_across():
    assert (
        str(HoursTable(runs(), "ST0316", "nothing downloaded yet"))
        == """\
Total runs: 5, Total hours: 18.55
Period: ST0316, Total runs: 4, Total hours: 17.37
+----------+----------+----------+
| ST0316   | za05to35 | za35to50 |
|----------+----------+----------|
| weak     | 11.46    | 4.17     |
| moderate | 0.24     | 0        |
| high     | 0        | 1.5      |
+----------+----------+----------+
nothing downloaded yet"""
    )


def test_numbers_text_and_html_come_from_the_same_data():
    table = HoursTable(runs(), "ST0316")
    numbers = table.to_table()
    assert list(numbers.index) == ["weak", "moderate", "high"]
    assert numbers.to_numpy().sum() == pytest.approx(17.37)
    assert repr(table) == str(table)
    page = table._repr_html_()
    assert "11.46" in page
    assert "Period: ST0316" in page


def test_all_periods_together():
    assert HoursTable(runs()).to_table().loc["weak", "za05to35"] == pytest.approx(12.64)
    assert str(HoursTable(runs())).splitlines()[2].startswith("| all ")


@pytest.mark.parametrize("rows", [[], HOURS[:1], [("2020-11-16", 80.0, 1.0, 1.0)], HOURS * 500])
def test_a_face_never_raises(rows):
    table = HoursTable(runs(rows), "ST0316", "<note>")
    assert str(table).startswith(f"Total runs: {len(rows)}, ")
    assert "<note>" in str(table)
    assert "&lt;note&gt;" in table._repr_html_()


def test_runs_without_a_cell_are_told_with_the_reason():
    told = str(HoursTable(runs([*HOURS, ("2020-11-16", 80.0, 1.0, 1.0)]), "ST0316"))
    assert "1 runs without a cell: zenith distance 80.0 deg is in no zenith range" in told


def test_a_grid_is_as_wide_as_its_widest_cell():
    lines = grid(["a", "long head"], [["long cell", "b"]])
    assert len({len(line) for line in lines}) == 1
    assert lines[1] == "| a         | long head |"
