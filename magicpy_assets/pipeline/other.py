"""Events of an analysis, ours or another's, as one side of a comparison."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from magicpy_assets.core import sources
from magicpy_assets.core.errors import InputError, UnknownNameError
from magicpy_assets.core.runs import DataFile, parse_name
from magicpy_assets.core.telescopes import STEREO, Telescopes, alone
from magicpy_assets.science.counts import ABOVE_300_GEV, FieldEvents, theta2, theta2_of_melibea
from magicpy_assets.science.exposure import of_observations
from magicpy_assets.science.live_time import measure, mjd_of
from magicpy_assets.science.pointing import circular_mean_deg
from magicpy_assets.science.selections import Selection, selection
from magicpy_assets.science.verdict import Side

if TYPE_CHECKING:
    import pandas as pd

OFF_REGIONS = 3
ALPHA = 1 / OFF_REGIONS
CUTS = "LE"
FEWEST_EVENTS = 2
"""Below these the length of a run cannot be told from its events."""


def dl3_side(name: str, files: Mapping[int, Path], runs: Iterable[int]) -> Side:
    """Read one side of a comparison from DL3 files.

    Parameters
    ----------
    name
        What the analysis is called.
    files
        The files to compare, by run.
    runs
        All runs that the analysis has files of.

    Raises
    ------
    InputError
        If a file cannot be used, or does not say where its source is.
    """
    import pandas as pd

    from magicpy_assets.formats.dl3 import open_observations

    observations = {int(one.obs_id): one for one in open_observations(list(files.values()), allow_mixed=True)}
    everything = list(observations.values())
    positions = {run: _position_of(one, files[run]) for run, one in observations.items()}
    tables = [_of_dl3(one, files[run], positions[run]) for run, one in observations.items()]
    position = next(iter(positions.values()))
    return Side(
        name=name,
        runs=tuple(sorted(runs)),
        events=pd.concat(tables, ignore_index=True),
        exposure=of_observations(everything),
        start_mjd={run: float(one.gti.time_start.utc.mjd.min()) for run, one in observations.items()},
        live_time_s={run: float(one.observation_live_time_duration.to_value("s")) for run, one in observations.items()},
        theta2=theta2(everything, position, n_off=OFF_REGIONS),
        position_deg=position,
        alpha=ALPHA,
        observations=observations,
    )


def melibea_side(name: str, files: Mapping[int, Path], runs: Iterable[int]) -> Side:
    """Read one side of a comparison from melibea files, with the LE cuts; parameters as of :func:`dl3_side`.

    Raises
    ------
    InputError
        If a file lacks the numbers of events, or no file has events.
    """
    import pandas as pd

    cuts = selection(CUTS)
    found = {run: _MelibeaRun.read(path) for run, path in sorted(files.items())}
    tables = [one.table(run, cuts) for run, one in found.items()]
    filled = {run: one.events for run, one in found.items() if len(one.events) >= FEWEST_EVENTS}
    if not filled:
        raise InputError(f"{name}: no melibea file has events: {', '.join(path.name for path in files.values())}")
    first = next(iter(found.values()))
    counted = theta2_of_melibea(
        filled,
        first.position_deg,
        cuts,
        source=first.source,
        simulated=any(one.simulated for one in found.values()),
        n_off=OFF_REGIONS,
        telescopes=first.telescopes,
    )
    return Side(
        name=name,
        runs=tuple(sorted(runs)),
        events=pd.concat(tables, ignore_index=True),
        exposure=counted.exposure,
        start_mjd={run: one.start_mjd for run, one in found.items()},
        live_time_s={run: one.live_time_s for run, one in found.items()},
        theta2=counted,
        position_deg=first.position_deg,
        alpha=ALPHA,
    )


def _position_of(observation: Any, path: Path) -> tuple[float, float]:
    """Return where the source is: as the file says, else as the table of sources does."""
    meta = observation.events.table.meta
    if "RA_OBJ" in meta and "DEC_OBJ" in meta:
        return float(meta["RA_OBJ"]) % 360, float(meta["DEC_OBJ"])
    name = str(meta.get("OBJECT", ""))
    try:
        known = sources.by_name(name)
    except UnknownNameError as error:
        raise InputError(
            f"{path}: neither RA_OBJ and DEC_OBJ nor the name of a known source (OBJECT is {name!r})",
            hint="write RA_OBJ and DEC_OBJ into the header of EVENTS",
        ) from error
    return known.ra_deg, known.dec_deg


def _of_dl3(observation: Any, path: Path, position: tuple[float, float]) -> pd.DataFrame:
    table, meta = observation.events.table, observation.events.table.meta
    if "EVENT_ID" not in table.colnames:
        raise InputError(
            f"{path}: EVENTS has no column EVENT_ID, so its events cannot be found in another file",
            hint="GADF wants it; write the files again with it",
        )
    return _table(
        int(observation.obs_id),
        np.asarray(table["EVENT_ID"], dtype=np.int64),
        np.asarray(observation.events.time.utc.mjd, dtype=np.float64),
        table["RA"].quantity.to_value("deg").astype(np.float64),
        table["DEC"].quantity.to_value("deg").astype(np.float64),
        table["ENERGY"].quantity.to_value("GeV").astype(np.float64),
        (float(meta["RA_PNT"]), float(meta["DEC_PNT"])),
        position,
        ABOVE_300_GEV,
    )


@dataclass(frozen=True)
class _MelibeaRun:
    """The events of a melibea file, and what its name and header say. Times of a run without events are its night's."""

    path: Path
    events: pd.DataFrame
    source: str
    position_deg: tuple[float, float]
    night: date
    simulated: bool
    telescopes: Telescopes = STEREO

    @classmethod
    def read(cls, path: Path) -> _MelibeaRun:
        from magicpy_assets.formats import melibea, star

        wanted = [branch for branch in melibea.EVENTS if branch.column == "stereo_number_1"]
        events = melibea.read_events(path, (*melibea.FOR_COUNTING, *wanted))
        if "stereo_number_1" not in events:
            raise InputError(f"{path}: no numbers of events (stereo number), so they cannot be found in another file")
        name, header = parse_name(path), star.read_header(path)
        assert isinstance(name, DataFile), path
        try:
            known = sources.by_name(name.source)
            source, position = known.name, (known.ra_deg, known.dec_deg)
        except UnknownNameError:
            source, position = name.source, (header.source_ra_deg, header.source_dec_deg)
        return cls(path, events, source, position, name.date, bool(header.simulated), alone(name.telescope))

    @property
    def start_mjd(self) -> float:
        from astropy.time import Time

        if len(self.events):
            return float(np.min(mjd_of(self.events)))
        return float(Time(self.night.isoformat(), scale="utc").mjd)

    @property
    def live_time_s(self) -> float:
        if len(self.events) < FEWEST_EVENTS:
            return 0.0
        since = self.events["time_diff_s_1"].to_numpy() if "time_diff_s_1" in self.events else None
        return measure(mjd_of(self.events), since).live_time_s

    def table(self, run: int, cuts: Selection) -> pd.DataFrame:
        """Return the events after cuts, columns `science.matching.COLUMNS`."""
        kept = self.events[
            cuts.passes(self.events, self.telescopes) & np.isfinite(self.events["reco_ra_deg"].to_numpy())
        ]
        pointing = (
            (
                circular_mean_deg(15.0 * self.events["pointing_ra_h_1"].to_numpy(dtype=np.float64)),
                float(self.events["pointing_dec_deg_1"].median()),
            )
            if len(self.events)
            else self.position_deg
        )
        return _table(
            run,
            kept["stereo_number_1"].to_numpy(dtype=np.int64),
            mjd_of(kept),
            kept["reco_ra_deg"].to_numpy(dtype=np.float64),
            kept["reco_dec_deg"].to_numpy(dtype=np.float64),
            kept["energy_gev"].to_numpy(dtype=np.float64),
            pointing,
            self.position_deg,
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
    distances = np.array([field.theta2_deg2(turn) for turn in turns])
    nearest = distances.argmin(axis=0)
    theta2_deg2 = distances.min(axis=0)
    region = np.where(theta2_deg2 < cuts.theta2_max_deg2, np.where(nearest == 0, 1, 0), -1)
    table = pd.DataFrame(
        {"run": run, "event_id": event_id, "mjd": mjd, "ra_deg": ra_deg, "dec_deg": dec_deg,
         "energy_gev": energy_gev, "theta2_deg2": theta2_deg2, "at_source": nearest == 0, "region": region}
    )  # fmt: skip
    return table[(energy_gev > cuts.energy_min_gev) & (energy_gev < cuts.energy_max_gev)].reset_index(drop=True)
