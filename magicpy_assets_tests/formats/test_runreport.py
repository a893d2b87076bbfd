"""The run report: what is written is read back, and a broken report says where."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from magicpy_assets.core.errors import InputError, MissingInputError
from magicpy_assets.core.runs import REPORT_COLUMNS
from magicpy_assets.formats.runreport import format_run_report, parse_run_report, read_run_report

RUN = {
    "run": 5093116,
    "date": pd.Timestamp("2020-11-16"),
    "source": "CrabNebula",
    "wobble": "W0.40+035",
    "source_ra_deg": 83.633333,
    "source_dec_deg": 22.014444,
    "start_mjd": 59168.998807870,
    "duration_s": 125.0,
    "za_deg": 42.5,
    "az_deg": 87.68,
    "nsb": 0.97,
    "dc_na": 1067.0,
    "hv": "nominal",
    "filter": "No_Filter",
    "L1_rate": 12034.5,
    "L3_rate": 52.25,
    "sum_trigger": "No_Sumt",
    "stereo": True,
    "subruns": 2,
}


def table(*changes: dict[str, object]) -> pd.DataFrame:
    dtypes = {column.name: column.dtype for column in REPORT_COLUMNS}
    return pd.DataFrame([{**RUN, **change} for change in changes]).astype(dtypes)


def test_a_report_is_read_back_as_it_was_written(tmp_path):
    runs = table(
        {},
        {"run": 5093117, "source": "1ES0806+524", "hv": "reduced", "filter": "UV", "sum_trigger": "Sumt"},
        {"run": 1093118, "wobble": "", "stereo": False, "start_mjd": 59168.25},
    )
    path = tmp_path / "report.run"
    path.write_text(format_run_report(runs, remarks=["SIMULATED observatory"]))
    read = read_run_report(path)
    pd.testing.assert_frame_equal(read, runs, atol=1e-6, rtol=0, check_flags=False)
    assert read.attrs["simulated"]


@given(
    ra=st.floats(0, 360, exclude_max=True),
    dec=st.floats(-90, 90),
    mjd=st.floats(53000, 70000),
    zd=st.floats(0, 90),
)
def test_positions_and_times_survive_to_a_milliarcsecond_and_a_tenth_of_a_millisecond(ra, dec, mjd, zd):
    runs = table({"source_ra_deg": ra, "source_dec_deg": dec, "start_mjd": mjd, "za_deg": zd})
    read = parse_run_report(format_run_report(runs))
    assert read["source_ra_deg"][0] == pytest.approx(ra, abs=1e-6)
    assert read["source_dec_deg"][0] == pytest.approx(dec, abs=1e-6)
    assert read["start_mjd"][0] == pytest.approx(mjd, abs=1.2e-9)
    assert read["za_deg"][0] == pytest.approx(zd, abs=6e-4)


def test_the_columns_that_public_code_reads_are_where_it_looks():
    words = format_run_report(table({"hv": "reduced"}), moon=0.6).splitlines()[-1].split()
    assert float(words[9]) == 42.5
    assert float(words[10]) == 87.68
    assert "_reduced_" in words[20]
    assert float(words[37]) == pytest.approx(59168.99880787)
    assert words[38] == "No_Test"
    assert float(words[43]) == pytest.approx(22.014444)
    assert words[62] == "No_Filter"


def test_an_empty_report_is_an_empty_table_with_all_columns():
    read = parse_run_report("# nothing was observed\n\n")
    assert len(read) == 0
    assert list(read.columns) == [column.name for column in REPORT_COLUMNS]
    assert not read.attrs["simulated"]


def test_runs_of_other_kinds_are_left_out():
    text = format_run_report(table({}, {"run": 5093117}))
    lines = text.splitlines()
    lines[-1] = lines[-1].replace(" DATA ", " PEDESTAL ")
    assert list(parse_run_report("\n".join(lines))["run"]) == [5093116]


def test_every_fault_is_named_with_its_line():
    lines = format_run_report(table({}, {}, {})).splitlines()
    lines[1] = lines[1].replace(" 42.500 ", " high ")
    lines[2] = lines[2].replace("2020-11-16", "2020-11-36")
    lines[3] = "05093118 DATA"
    with pytest.raises(InputError) as caught:
        parse_run_report("\n".join(lines), name="CC_2020_11_16_M1.run")
    message = str(caught.value)
    assert "CC_2020_11_16_M1.run" in message
    assert "line 2: za_deg (column 9) is 'high'" in message
    assert "line 3: date (column 2) is '2020-11-36'" in message
    assert "line 4: 2 columns, expected 63" in message


def test_a_missing_report_says_so(tmp_path):
    with pytest.raises(MissingInputError, match=r"CC_2020_11_17_M1\.run"):
        read_run_report(tmp_path / "CC_2020_11_17_M1.run")
