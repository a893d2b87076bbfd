"""The truth of the simulation as tables: what shone, how bright and clear it was, what went wrong. Never served.

For people who teach or test with the observatory; an analysis must find out by itself.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from magicpy_assets.core import moons
from magicpy_assets.observatory import sky
from magicpy_assets.observatory.run_plans import MONO, SUM_TRIGGER, RunPlan
from magicpy_assets.observatory.troubles import KINDS, Planted, Trouble, listed

PLANNED = {
    "clouds": "less than 0.8 of the light of a clear night comes through",
    "sum_trigger": "the sum trigger was used",
    "mono": "only M1 took part",
}
"""Troubles that the programme and the sky have, besides those that are planted, and what they mean."""
CLOUDY = 0.8
_NO_VALUE = float("nan")


def sources() -> pd.DataFrame:
    """Return the fields of the sky: position (ICRS), spectrum, nights in which they flare.

    The spectrum is the log-parabola of ``sky.Field``; a field without a source has no flux.
    """
    rows = []
    for field in sky.fields():
        flares = sky.flares(field.name)
        rows.append(
            {
                "source": field.name,
                "ra_deg": field.ra_deg,
                "dec_deg": field.dec_deg,
                "flux_1tev_per_cm2_s_tev": field.flux_1tev_per_cm2_s_tev,
                "alpha": field.alpha,
                "beta": field.beta,
                "flares": ", ".join(f"{night} x{factor:g}" for night, factor in sorted(flares.items())),
            }
        )
    return pd.DataFrame(rows)


def runs(plans: Sequence[RunPlan], seed: int) -> pd.DataFrame:
    """Return the true sky of every run: NSB (units of dark sky), moon level, transmission, state of the cameras."""
    rows = []
    for plan in plans:
        nsb = sky.nsb_of_run(seed, plan.date, plan.run)
        rows.append(
            {
                "run": plan.run,
                "date": plan.date.isoformat(),
                "source": plan.source,
                "za_deg": plan.zd_deg,
                "nsb": nsb,
                "moon_level": moons.of_nsb(nsb).key,
                "transmission_9km": sky.conditions(plan.date).transmission_9km,
                "hv": plan.hv,
                "filter": plan.filter,
                "mode": plan.mode,
            }
        )
    return pd.DataFrame(rows)


def troubles(plans: Sequence[RunPlan], trouble: Sequence[Trouble] | None = None) -> pd.DataFrame:
    """Return everything that went wrong, a row each: planted troubles, clouds, and runs of other triggers.

    ``file`` is the name of a file where only one has the trouble; ``value`` is what ``of_value`` says.
    """
    planted = Planted(plans, listed() if trouble is None else trouble)
    rows = []
    for plan in plans:
        rows += [_row(plan, item.kind, KINDS[item.kind].meaning, item) for item in planted.of(plan)]
        rows += [_row(plan, kind, PLANNED[kind]) for kind in _planned(plan)]
    columns = ["kind", "run", "date", "source", "file", "value", "of_value", "meaning"]
    return pd.DataFrame(rows, columns=columns).sort_values(["kind", "run"], ignore_index=True)


def _planned(plan: RunPlan) -> list[str]:
    cloudy = sky.conditions(plan.date).transmission_9km < CLOUDY * sky.CLEAR_TRANSMISSION_9KM
    found = {"clouds": cloudy, "sum_trigger": plan.mode == SUM_TRIGGER, "mono": plan.mode == MONO}
    return [kind for kind, is_so in found.items() if is_so]


def _row(plan: RunPlan, kind: str, meaning: str, trouble: Trouble | None = None) -> dict[str, object]:
    file, value, of_value = "", _NO_VALUE, ""
    if trouble is not None:
        if trouble.telescope is not None and trouble.subrun is not None:
            file = plan.file(trouble.telescope, trouble.subrun).name
        if trouble.value is not None:
            value, of_value = trouble.value, KINDS[kind].value
    elif kind == "clouds":
        value, of_value = sky.conditions(plan.date).transmission_9km, "transmission from 9 km"
    return {
        "kind": kind,
        "run": plan.run,
        "date": plan.date.isoformat(),
        "source": plan.source,
        "file": file,
        "value": value,
        "of_value": of_value,
        "meaning": meaning,
    }
