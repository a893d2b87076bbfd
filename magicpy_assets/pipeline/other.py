"""Events of an analysis, ours or another's, in the columns by which analyses are compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from magicpy_assets.core import datalevels, sources
from magicpy_assets.core.datalevels import DataLevel
from magicpy_assets.core.errors import UnknownNameError
from magicpy_assets.core.runs import DataFile, parse_name
from magicpy_assets.science.counts import ABOVE_300_GEV, FieldEvents
from magicpy_assets.science.exposure import Exposure, of_observations
from magicpy_assets.science.live_time import SECONDS_PER_DAY, mjd_of
from magicpy_assets.science.pointing import circular_mean_deg
from magicpy_assets.science.selections import Selection, selection

if TYPE_CHECKING:
    import pandas as pd

OFF_REGIONS = 3
CUTS = "LE"


@dataclass(frozen=True)
class Events:
    """Events that pass the cuts (columns of `science.comparison.COLUMNS`), their exposure, and the on/off ratio."""

    table: pd.DataFrame
    exposure: Exposure
    alpha: float = 1 / OFF_REGIONS


def events_of(paths: Sequence[Path], level: DataLevel) -> Events:
    """Read the events of DL3 or melibea files, a run each."""
    import pandas as pd

    if level == datalevels.DL3:
        from magicpy_assets.formats.dl3 import open_observations

        observations = open_observations(list(paths), allow_mixed=True)
        tables = [_of_dl3(one, ABOVE_300_GEV) for one in observations]
        return Events(pd.concat(tables, ignore_index=True), of_observations(observations))
    tables = [_of_melibea(path, selection(CUTS)) for path in paths]
    table = pd.concat(tables, ignore_index=True)
    spans = [float(part["mjd"].max() - part["mjd"].min()) for part in tables if len(part)]
    exposure = Exposure(
        source=_source_of(paths[0])[0],
        runs=tuple(int(run) for run in dict.fromkeys(table["run"])),
        live_time_s=sum(spans) * SECONDS_PER_DAY,
        start_mjd=float(table["mjd"].min()),
        stop_mjd=float(table["mjd"].max()),
        simulated=any(_simulated(path) for path in paths),
    )
    return Events(table, exposure)


def _of_dl3(observation: Any, cuts: Selection) -> pd.DataFrame:
    table, meta = observation.events.table, observation.events.table.meta
    position = (float(meta["RA_OBJ"]) % 360, float(meta["DEC_OBJ"]))
    pointing = (float(meta["RA_PNT"]), float(meta["DEC_PNT"]))
    return _table(
        int(observation.obs_id),
        np.asarray(table["EVENT_ID"], dtype=np.int64),
        np.asarray(observation.events.time.utc.mjd, dtype=np.float64),
        table["RA"].quantity.to_value("deg").astype(np.float64),
        table["DEC"].quantity.to_value("deg").astype(np.float64),
        table["ENERGY"].quantity.to_value("GeV").astype(np.float64),
        pointing,
        position,
        cuts,
    )


def _of_melibea(path: Path, cuts: Selection) -> pd.DataFrame:
    from magicpy_assets.formats import melibea

    wanted = [branch for branch in melibea.EVENTS if branch.column == "stereo_number_1"]
    events = melibea.read_events(path, (*melibea.FOR_COUNTING, *wanted))
    right_ascension = circular_mean_deg(15.0 * events["pointing_ra_h_1"].to_numpy(dtype=np.float64))
    pointing = (right_ascension, float(events["pointing_dec_deg_1"].median()))
    kept = events[cuts.passes(events) & np.isfinite(events["reco_ra_deg"].to_numpy())]
    _, position, run = _source_of(path)
    return _table(
        run,
        kept["stereo_number_1"].to_numpy(dtype=np.int64),
        mjd_of(kept),
        kept["reco_ra_deg"].to_numpy(dtype=np.float64),
        kept["reco_dec_deg"].to_numpy(dtype=np.float64),
        kept["energy_gev"].to_numpy(dtype=np.float64),
        pointing,
        position,
        cuts,
    )


def _table(
    run: int,
    event_id: NDArray[np.int64],
    mjd: NDArray[np.float64],
    ra_deg: NDArray[np.float64],
    dec_deg: NDArray[np.float64],
    energy_gev: NDArray[np.float64],
    pointing: tuple[float, float],
    position: tuple[float, float],
    cuts: Selection,
) -> pd.DataFrame:
    import pandas as pd

    field = FieldEvents.on_sky(ra_deg, dec_deg, pointing, position)
    turns = [360.0 * k / (OFF_REGIONS + 1) for k in range(OFF_REGIONS + 1)]
    inside = np.array([field.theta2_deg2(turn) < cuts.theta2_max_deg2 for turn in turns])
    region = np.where(inside[0], 1, np.where(inside[1:].any(axis=0), 0, -1))
    table = pd.DataFrame(
        {"run": run, "event_id": event_id, "mjd": mjd, "ra_deg": ra_deg, "dec_deg": dec_deg,
         "energy_gev": energy_gev, "region": region}
    )  # fmt: skip
    return table[(energy_gev > cuts.energy_min_gev) & (energy_gev < cuts.energy_max_gev)].reset_index(drop=True)


def _source_of(path: Path) -> tuple[str, tuple[float, float], int]:
    """Return name and position of the source of a melibea file, and the run."""
    from magicpy_assets.formats import star

    name = parse_name(path)
    assert isinstance(name, DataFile), path
    try:
        known = sources.by_name(name.source)
        return known.name, (known.ra_deg, known.dec_deg), name.run
    except UnknownNameError:
        info = star.read_header(path)
        return name.source, (info.source_ra_deg, info.source_dec_deg), name.run


def _simulated(path: Path) -> bool:
    from magicpy_assets.formats import star

    return bool(star.read_header(path).simulated)
