"""Run reports: what central control wrote down about the runs of a night, as the telescopes saw it.

The sky's brightness appears only as an estimate from the measured anode current; the truth stays in ``sky``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from magicpy_assets.formats.runreport import SIMULATED_REMARK, format_run_report
from magicpy_assets.observatory import sky
from magicpy_assets.observatory.programme import RunPlan

DC_PER_NSB_NA = 1100.0
"""Median anode current of M1 under a dark sky, nA: 1.1 µA, from the published moonlight performance paper
(arXiv:1704.00906), from memory."""

L1_RATE_HZ = 12_000.0
"""First-level rate of one telescope, mostly accidentals of night-sky light: a typical value, nothing simulates it."""

L3_RATE_HZ = 43.0
"""Rate of showers above the size threshold of the event library, within a few per cent in each of its windows; central
control reads a meter, the files hold what was recorded."""


def run_table(plans: Sequence[RunPlan], seed: int) -> pd.DataFrame:
    """Return the runs as central control saw them: the run table's columns, one row per plan."""
    return pd.DataFrame([_row(plan, seed) for plan in plans])


def night_report(plans: Sequence[RunPlan], seed: int) -> str:
    """Return the text of the run report of one night."""
    nights = {plan.date for plan in plans}
    if len(nights) != 1:
        raise ValueError(f"A run report is of one night, got {sorted(nights)}.")
    remarks = (
        f"{SIMULATED_REMARK} observatory (mini shower Monte Carlo, not CORSIKA, not MAGIC data)",
        f"runs of the night to {nights.pop()}",
    )
    return format_run_report(run_table(plans, seed), remarks=remarks)


def _row(plan: RunPlan, seed: int) -> dict[str, object]:
    meter = sky.stream(seed, plan.run, "report")
    reading = 1.0 + 0.03 * float(np.clip(meter.normal(), -2.0, 2.0))
    nsb = sky.nsb_of_run(seed, plan.date, plan.run) * reading
    return {
        "run": plan.run,
        "date": np.datetime64(plan.date, "s"),
        "source": plan.source,
        "wobble": plan.wobble.text,
        "source_ra_deg": plan.source_ra_deg,
        "source_dec_deg": plan.source_dec_deg,
        "start_mjd": plan.start_mjd,
        "duration_s": plan.duration_s,
        "za_deg": plan.zd_deg,
        "az_deg": plan.az_deg,
        "nsb": nsb,
        "dc_na": DC_PER_NSB_NA * nsb,
        "hv": "nominal",
        "filter": "No_Filter",
        "L1_rate": L1_RATE_HZ * (1.0 + 0.05 * float(meter.uniform(-1.0, 1.0))),
        "L3_rate": L3_RATE_HZ * (1.0 + 0.01 * float(meter.uniform(-1.0, 1.0))),
        "sum_trigger": "No_Sumt",
        "stereo": True,
        "subruns": plan.subruns,
    }
