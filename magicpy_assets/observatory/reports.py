"""Run reports: what central control wrote down about the runs of a night, as the telescopes saw it.

The sky's brightness appears only as an estimate from the measured anode current; the truth stays in ``sky``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from magicpy_assets.core import zeniths
from magicpy_assets.formats.runreport import SIMULATED_REMARK, format_run_report
from magicpy_assets.observatory import sky, troubles
from magicpy_assets.observatory.nights import transmission
from magicpy_assets.observatory.run_plans import RunPlan
from magicpy_assets.observatory.telescopes import noise_at
from magicpy_assets.observatory.troubles import Planted

DC_PER_NSB_NA = 1100.0
"""Median anode current of M1 under a dark sky, nA: 1.1 µA, from the published moonlight performance paper
(arXiv:1704.00906), from memory."""

DC_SHARE = {"nominal": 1.0, "reduced": 1.0 / 1.7, "No_Filter": 1.0, "UV": 0.25}
"""Share of that current with reduced high voltage, which lowers the gain by 1.7 (same paper, abstract), and behind the
UV-pass filter, which keeps most of the moonlight away (about 0.25, from memory)."""

L1_RATE_HZ = 12_000.0
"""First-level rate of one telescope, mostly accidentals of night-sky light: a typical value, nothing simulates it."""

SHOWER_RATE_HZ = {"za05to35": 43.3, "za35to50": 42.3, "za50to62": 32.2, "za62to70": 17.1}
"""Rate of showers above the size threshold of the event library, by zenith range, within a few per cent in each of its
windows."""

TRIGGERED, LOST_PER_PHE = 1.02, 0.0385
"""Of them this share triggers, less so much for each photo-electron of the trigger threshold as it is without clouds or
filter; from 4 to 15 phe good to some per cent, measured on runs of this observatory. Central control reads a meter, the
files hold what was recorded."""


def run_table(plans: Sequence[RunPlan], seed: int, planted: Planted | None = None) -> pd.DataFrame:
    """Return the runs as central control saw them, its troubles included: the run table's columns, one row per plan."""
    planted = planted or Planted(plans, ())
    return pd.DataFrame([_row(plan, seed, planted) for plan in plans])


def night_report(plans: Sequence[RunPlan], seed: int, planted: Planted | None = None) -> str:
    """Return the text of the run report of one night."""
    nights = {plan.date for plan in plans}
    if len(nights) != 1:
        raise ValueError(f"A run report is of one night, got {sorted(nights)}.")
    remarks = (
        f"{SIMULATED_REMARK} observatory (mini shower Monte Carlo, not CORSIKA, not MAGIC data)",
        f"runs of the night to {nights.pop()}",
    )
    return format_run_report(run_table(plans, seed, planted), remarks=remarks)


def _row(plan: RunPlan, seed: int, planted: Planted) -> dict[str, object]:
    meter = sky.stream(seed, plan.run, "report")
    reading = 1.0 + 0.03 * float(np.clip(meter.normal(), -2.0, 2.0))
    misread = planted.value(plan, troubles.WRONG_NSB) or 1.0
    nsb = sky.nsb_of_run(seed, plan.date, plan.run) * reading * misread
    l1_rate = L1_RATE_HZ * (1.0 + 0.05 * float(meter.uniform(-1.0, 1.0)))
    l3_rate = stereo_rate_hz(plan, seed) * (1.0 + 0.01 * float(meter.uniform(-1.0, 1.0)))
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
        "dc_na": DC_PER_NSB_NA * DC_SHARE[plan.hv] * DC_SHARE[plan.filter] * nsb,
        "hv": plan.hv,
        "filter": plan.filter,
        "L1_rate": 0.0 if planted.of(plan, troubles.NO_L1) else l1_rate,
        "L3_rate": l3_rate if plan.stereo else 0.0,
        "sum_trigger": plan.sum_trigger,
        "stereo": plan.stereo,
        "subruns": plan.subruns,
    }


def stereo_rate_hz(plan: RunPlan, seed: int) -> float:
    """Return the rate of showers that trigger both telescopes in a run, without looking at any shower."""
    noise = noise_at(sky.nsb_of_run(seed, plan.date, plan.run), plan.hv, plan.filter)
    share = TRIGGERED - LOST_PER_PHE * noise.threshold_phe / transmission(plan)
    return SHOWER_RATE_HZ[zeniths.of(plan.zd_deg).name] * share
