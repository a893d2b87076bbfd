"""The run report of a night: central control's list of runs, one blank-separated line per run.

The table ``tables/runreport.csv`` gives the column of every value and says which columns are those that public code of
the on-site analysis reads and which are ours. Unused columns hold ``-``; lines that begin with ``#`` are remarks.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from datetime import date
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from magicpy_assets.core.errors import InputError, MissingInputError
from magicpy_assets.core.runs import REPORT_COLUMNS, night_folder, plain

EMPTY = "-"
SIMULATED_REMARK = "SIMULATED"
OPEN_REMARK = "NIGHT OPEN"
"""A report with this remark goes on: more runs will come. Reports without it are of nights that are closed."""
_REDUCED_HV_SETS = ("reduced_20151112", "reduced_20160709", "4kQ_20131114", "3750Q_20131114")
_SUM_TRIGGER_TABLE, _STANDARD_TABLE = "L3T_SUMSUM_100_SYNC", "L3T_L1L1_100_SYNC"


@cache
def _columns() -> dict[str, int]:
    text = files("magicpy_assets.formats").joinpath("tables", "runreport.csv").read_text(encoding="utf-8")
    return {row["name"]: int(row["column"]) for row in csv.DictReader(text.splitlines())}


def report_name(night: date) -> str:
    """Return the file name of a night's report (MAGIC date), in the manner of central control's ``CC*M1*.run``."""
    return f"CC_{night_folder(night)}_M1.run"


def format_run_report(runs: pd.DataFrame, *, remarks: Iterable[str] = (), moon: float = 0.0) -> str:
    """Return the text of a night's report from the run table's columns (units there), one row per run.

    ``remarks`` go to the top as comment lines; ``moon`` is the lit fraction written in every line.
    """
    names = " ".join(f"{column}:{name}" for name, column in _columns().items())
    lines = [f"# {remark}" for remark in remarks] + [f"# {names}"]
    lines += [_format_row(row, moon) for row in runs.to_dict("records")]
    return "\n".join(lines) + "\n"


def _format_row(row: Mapping[Any, Any], moon: float) -> str:
    start = row["start_mjd"] % 1.0
    seconds = round(start * 86400.0) % 86400
    fields: dict[str, str] = {
        "run": f"{row['run']:08d}",
        "type": "DATA",
        "date": pd.Timestamp(row["date"]).strftime("%Y-%m-%d"),
        "time": f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}",
        "duration_s": f"{row['duration_s']:.3f}",
        "source": row["source"],
        "wobble": row["wobble"] or EMPTY,
        "subruns": str(row["subruns"]),
        "telescopes": "M1M2" if row["stereo"] else f"M{str(row['run'])[0]}",
        "za_deg": f"{row['za_deg']:.3f}",
        "az_deg": f"{row['az_deg']:.3f}",
        "L1_rate": f"{row['L1_rate']:.1f}",
        "L3_rate": f"{row['L3_rate']:.2f}",
        "L2_table": "L2_bypass",
        "L3_table": _SUM_TRIGGER_TABLE if row["sum_trigger"] == "Sumt" else _STANDARD_TABLE,
        "L2_rate": f"{row['L1_rate']:.1f}",
        "dc_na": f"{row['dc_na']:.1f}",
        "nsb": f"{row['nsb']:.3f}",
        "hv_set": "M1_reduced_20160709" if row["hv"] == "reduced" else "M1_nominal_20201020",
        "mjd": f"{row['start_mjd']:.9f}",
        "test_flag": "No_Test",
        "moon": f"{moon:.2f}",
        "ra_h": f"{row['source_ra_deg'] / 15.0:.8f}",
        "dec_deg": f"{row['source_dec_deg']:.7f}",
        "filter": "Filter" if row["filter"] == "UV" else "No_Filter",
    }
    columns = _columns()
    line = [EMPTY] * (max(columns.values()) + 1)
    for name, value in fields.items():
        line[columns[name]] = value
    return " ".join(line)


def read_run_report(path: Path) -> pd.DataFrame:
    """Read a night's report; see ``parse_run_report``. Raises MissingInputError when there is no such file."""
    if not path.is_file():
        raise MissingInputError(f"There is no run report {path}.")
    return parse_run_report(path.read_text(encoding="utf-8"), name=str(path))


def parse_run_report(text: str, *, name: str = "run report") -> pd.DataFrame:
    """Return the runs of a report as a table with the run table's columns (units there), in the order of the file.

    Only runs of type DATA are taken. ``attrs["simulated"]`` and ``attrs["open"]`` say whether the report says so of
    itself. Raises InputError that lists every line which cannot be understood.
    """
    rows: list[dict[str, Any]] = []
    faults: list[str] = []
    simulated = is_open = False
    for number, line in enumerate(text.splitlines(), start=1):
        if line.startswith("#"):
            simulated |= SIMULATED_REMARK in line
            is_open |= OPEN_REMARK in line
            continue
        if not line.strip():
            continue
        try:
            row = _parse_row(line.split())
        except ValueError as error:
            faults.append(f"line {number}: {error}")
            continue
        if row is not None:
            rows.append(row)
    if faults:
        raise InputError(f"{name} is not a run report that can be read:\n  " + "\n  ".join(faults))
    dtypes = {column.name: column.dtype for column in REPORT_COLUMNS}
    frame = pd.DataFrame(rows, columns=list(dtypes)).astype(dtypes)
    frame.attrs["simulated"], frame.attrs["open"] = simulated, is_open
    return frame


def _parse_row(words: list[str]) -> dict[str, Any] | None:
    columns = _columns()
    width = max(columns.values()) + 1
    if len(words) < width:
        raise ValueError(f"{len(words)} columns, expected {width}")
    value = {name: words[column] for name, column in columns.items()}
    if value["type"] != "DATA":
        return None
    return {
        "run": _number(value, "run", int),
        "date": np.datetime64(_date(value["date"]), "s"),
        "source": plain(value["source"]),
        "wobble": "" if value["wobble"] == EMPTY else plain(value["wobble"]),
        "source_ra_deg": 15.0 * _number(value, "ra_h"),
        "source_dec_deg": _number(value, "dec_deg"),
        "start_mjd": _number(value, "mjd"),
        "duration_s": _number(value, "duration_s"),
        "za_deg": _number(value, "za_deg"),
        "az_deg": _number(value, "az_deg"),
        "nsb": _number(value, "nsb"),
        "dc_na": _number(value, "dc_na"),
        "hv": "reduced" if _is_reduced(value["hv_set"]) else "nominal",
        "filter": "No_Filter" if value["filter"] == "No_Filter" else "UV",
        "L1_rate": _number(value, "L1_rate"),
        "L3_rate": _number(value, "L3_rate"),
        "sum_trigger": "Sumt" if "SUMSUM" in value["L3_table"] else "No_Sumt",
        "stereo": value["telescopes"] == "M1M2",
        "subruns": _number(value, "subruns", int),
    }


def _is_reduced(hv_set: str) -> bool:
    return "_reduced_" in hv_set or hv_set.endswith(_REDUCED_HV_SETS)


def _number(value: Mapping[str, str], name: str, kind: type[float] | type[int] = float) -> Any:
    if value[name] == EMPTY and kind is float:
        return float("nan")
    try:
        return kind(value[name])
    except ValueError:
        raise ValueError(f"{name} (column {_columns()[name]}) is {value[name]!r}, expected a number") from None


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"date (column {_columns()['date']}) is {text!r}, expected YYYY-MM-DD") from None
