"""Runbooks: what the shift of a simulated night wrote down, with what an online analysis (MOLA) would have seen.

The online results come from the truth by counting statistics alone, no event is looked at: expected rates of gamma rays
and of background, scaled by the source's flux and by zenith distance, and a Poisson draw of them.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from datetime import date
from functools import cache
from importlib.resources import files

import numpy as np

from magicpy_assets.core import moons
from magicpy_assets.formats.runbook import MolaResult, format_runbook
from magicpy_assets.observatory import sky
from magicpy_assets.observatory.nights import transmission
from magicpy_assets.observatory.run_plans import RunPlan
from magicpy_assets.science.theta2 import li_ma

FREE, MISSING, SPELLED = "free", "missing", "spelled"
_PLAIN = {"form": "", "source": "", "written": ""}
LIVE_SHARE = 0.98
N_OFF = 3
ONLINE_RATES_PER_MIN = {"LE": (7.30, 6.47, 0.1), "HE": (4.66, 0.123, 0.5)}
"""Crab gamma rays and background per minute at low zenith distance, and the energy (TeV) at which fluxes are compared:
63-158 GeV and above 251 GeV of table A.7 of MAGIC's performance paper (2016)."""
GAMMA_FALL, BACKGROUND_FALL = 2.0, 1.0
"""Powers of the cosine of zenith distance by which the rates fall: invented, of the right order."""


@cache
def _oddities() -> dict[date, dict[str, str]]:
    text = files("magicpy_assets.observatory").joinpath("tables", "runbooks.csv").read_text(encoding="utf-8")
    return {date.fromisoformat(row["date"]): row for row in csv.DictReader(text.splitlines())}


def is_there(night: date) -> bool:
    """Tell whether the runbook of a night was uploaded."""
    return _oddities().get(night, _PLAIN)["form"] != MISSING


def night_runbook(plans: Sequence[RunPlan], seed: int) -> str:
    """Return the text of a night's runbook."""
    night = plans[0].date
    oddity = _oddities().get(night, _PLAIN)
    results = [_online(name, [plan for plan in plans if plan.source == name], seed) for name in _in_order(plans)]
    if oddity["form"] == FREE:
        return _in_free_form(night, results)
    spelled = {oddity["source"]: oddity["written"]} if oddity["form"] == SPELLED else {}
    return format_runbook(
        night,
        shift="simulated, nobody was on the mountain",
        weather=_weather(night),
        technical=_technical(plans),
        results=[
            MolaResult(spelled.get(r.source, r.source), r.t_eff_s, r.le_sigma, r.he_sigma, r.he_flux_cu)
            for r in results
        ],
        simulated=True,
    )


def _in_order(plans: Sequence[RunPlan]) -> list[str]:
    return list(dict.fromkeys(plan.source for plan in plans))


def _online(source: str, plans: Sequence[RunPlan], seed: int) -> MolaResult:
    """Return what the online analysis would have seen of a source in a night."""
    minutes = LIVE_SHARE * sum(plan.duration_s for plan in plans) / 60.0
    light = float(np.mean([transmission(plan) for plan in plans]))
    cosine = math.cos(math.radians(float(np.mean([plan.zd_deg for plan in plans]))))
    rng = sky.stream(seed, plans[0].run, "online analysis")
    sigma, flux = {}, 0.0
    for name, (gammas, background, energy_tev) in ONLINE_RATES_PER_MIN.items():
        strength = _in_crab_units(source, plans[0].date, energy_tev)
        signal, noise = gammas * cosine**GAMMA_FALL * minutes, background * cosine**BACKGROUND_FALL * minutes
        n_on, n_off = int(rng.poisson(light * strength * signal + noise)), int(rng.poisson(N_OFF * noise))
        sigma[name] = float(li_ma(n_on, n_off, 1.0 / N_OFF))
        flux = (n_on - n_off / N_OFF) / signal
    return MolaResult(source, 60.0 * minutes, sigma["LE"], sigma["HE"], flux)


def _in_crab_units(source: str, night: date, energy_tev: float) -> float:
    energy = np.array([energy_tev])
    mine, crab = (sky.field(name, night).flux_per_cm2_s_tev(energy)[0] for name in (source, "CrabNebula"))
    return float(mine / crab)


def _weather(night: date) -> str:
    conditions = sky.conditions(night)
    words = "clear" if conditions.transmission_9km > 0.85 else "clouds"
    return f"{words}, transmission from 9 km {conditions.transmission_9km:.2f}"


def _technical(plans: Sequence[RunPlan]) -> str:
    notes = []
    if any(plan.hv == "reduced" for plan in plans):
        notes.append("reduced high voltage because of the moon")
    if any(plan.filter == "UV" for plan in plans):
        notes.append("UV-pass filters mounted")
    if any(not plan.stereo for plan in plans):
        notes.append("one run with M1 alone")
    if any(plan.sum_trigger == "Sumt" for plan in plans):
        notes.append("one run with the sum trigger")
    level = moons.of_nsb(sky.conditions(plans[0].date).nsb).name
    return "; ".join([f"planned for {level}", *notes])


def _in_free_form(night: date, results: Sequence[MolaResult]) -> str:
    told = ", ".join(f"{result.source} ({result.t_eff_s / 60:.0f} min)" for result in results)
    return (
        f"SIMULATED runbook, night of {night:%d.%m.%Y}\n\nDear all, a quiet night. We took {told}.\n"
        "The online analysis ran, see the plots on the wall. Good night!\n"
    )
