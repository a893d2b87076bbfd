"""Calibrated files (`_Y_`): charge and arrival time of every pixel, one telescope, one subrun; data and Monte Carlo.

The trees and branches are those that the public reader ctapipe-io-magic reads; whatever else a file holds is left
alone. Charges in photo-electrons, arrival times in slices of the readout.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from magicpy_assets.core.errors import InputError
from magicpy_assets.formats.root import (
    CARDS,
    Branch,
    Writer,
    characters,
    columns_of,
    has_tree,
    open_root,
    read,
    read_cards,
    read_table,
    text_of,
    tree_of,
)
from magicpy_assets.science.camera import N_PIXELS, N_SLOTS

Floats = NDArray[np.float32]
Table = dict[str, NDArray[Any]]

RUN_TYPE_DATA, RUN_TYPE_MC = 0, 256
STEREO, PEDESTAL, MC_STEREO = 128, 8, 1
"""Trigger patterns (`MTriggerPattern.fPrescaled`): stereo events of data, pedestals, events of Monte Carlo."""
CHARGE_STEP_PHE, TIME_STEP_SLICES = 1 / 32, 1 / 16
"""Steps to which we round what we write, so that it compresses; far below the resolution."""
UNSUITABLE = 2
"""Bit of the second word of a pixel in `MBadPixelsCam`: not to be used."""

EVENT = (
    Branch("MRawEvtHeader.fStereoEvtNumber", "stereo_number", "uint32", "", "number of the array trigger"),
    Branch("MRawEvtHeader.fDAQEvtNumber", "daq_number", "uint32", "", "restarts in every subrun"),
    Branch("MTriggerPattern.fPrescaled", "trigger", "uint8", "", "trigger pattern"),
)
TIME = (
    Branch("MRawEvtHeader.fTimeDiff", "time_diff_s", "float64", "s", "since the previous event"),
    Branch("MTime.fMjd", "mjd_day", "uint32", "d", "day"),
    Branch(
        "MTime.fTime.fMilliSec", "milliseconds", "int64", "ms", "of the day; negative before midnight in MARS files"
    ),
    Branch("MTime.fNanoSec", "nanoseconds", "uint32", "ns", "of the millisecond"),
)
MC_EVENT = (
    Branch("MMcEvt.fEnergy", "energy_gev", "float32", "GeV"),
    Branch("MMcEvt.fTheta", "theta_rad", "float32", "rad", "direction of the shower, CORSIKA"),
    Branch("MMcEvt.fPhi", "phi_rad", "float32", "rad"),
    Branch("MMcEvt.fTelescopeTheta", "telescope_theta_rad", "float32", "rad"),
    Branch("MMcEvt.fTelescopePhi", "telescope_phi_rad", "float32", "rad"),
    Branch("MMcEvt.fPartId", "particle", "int32", "", "1 gamma, 14 proton"),
    Branch("MMcEvt.fZFirstInteraction", "z_first_cm", "float32", "cm"),
    Branch("MMcEvt.fLongitmax", "longit_max", "float32", "g/cm²"),
    Branch("MMcEvt.fCoreX", "core_x_cm", "float32", "cm", "CORSIKA frame"),
    Branch("MMcEvt.fCoreY", "core_y_cm", "float32", "cm"),
    Branch("MMcEvt.fImpact", "impact_cm", "float32", "cm"),
    Branch("MMcEvt.fEvtNumber", "event_number", "uint32", "", "number of the shower"),
)
POINTING = (
    Branch("MPointingPos.fZd", "zd_deg", "float64", "deg"),
    Branch("MPointingPos.fAz", "az_deg", "float64", "deg"),
    Branch("MPointingPos.fRa", "ra_h", "float64", "h"),
    Branch("MPointingPos.fDec", "dec_deg", "float64", "deg"),
    Branch("MPointingPos.fDevZd", "dev_zd_deg", "float64", "deg", "true pointing: fZd - fDevZd"),
    Branch("MPointingPos.fDevAz", "dev_az_deg", "float64", "deg"),
    Branch("MPointingPos.fDevHa", "dev_ha_h", "float64", "h"),
    Branch("MPointingPos.fDevDec", "dev_dec_deg", "float64", "deg"),
)
DRIVE = (
    Branch("MReportDrive.fMjd", "mjd", "float64", "d"),
    Branch("MReportDrive.fCurrentZd", "zd_deg", "float64", "deg"),
    Branch("MReportDrive.fCurrentAz", "az_deg", "float64", "deg"),
    Branch("MReportDrive.fRa", "ra_h", "float64", "h"),
    Branch("MReportDrive.fDec", "dec_deg", "float64", "deg"),
)
ORIGINAL_MC = (
    Branch("MMcEvtBasic.fEnergy", "energy_gev", "float32", "GeV"),
    Branch("MMcEvtBasic.fImpact", "impact_cm", "float32", "cm"),
    Branch("MMcEvtBasic.fTelescopePhi", "telescope_phi_rad", "float32", "rad"),
    Branch("MMcEvtBasic.fTelescopeTheta", "telescope_theta_rad", "float32", "rad"),
)
MC_HEADER = (
    Branch("MMcCorsikaRunHeader.fSlopeSpec", "slope", "float32", "", "of the thrown spectrum, negative"),
    Branch("MMcCorsikaRunHeader.fELowLim", "energy_low_gev", "float32", "GeV"),
    Branch("MMcCorsikaRunHeader.fEUppLim", "energy_high_gev", "float32", "GeV"),
    Branch("MMcCorsikaRunHeader.fCorsikaVersion", "corsika_version", "int32"),
    Branch("MMcCorsikaRunHeader.fHeightLev[10]", "height_levels_cm", "float32", "cm"),
    Branch("MMcCorsikaRunHeader.fAtmosphericModel", "atmospheric_model", "float32"),
    Branch("MMcCorsikaRunHeader.fNumCT", "telescopes", "int32", "", "1 mono, 2 stereo"),
    Branch("MMcCorsikaRunHeader.fViewconeAngles[2]", "viewcone_deg", "float32", "deg"),
    Branch(
        "MMcRunHeader.fRandomPointingConeSemiAngle", "offset_deg", "float32", "deg", "of the source: radius of the ring"
    ),
    Branch("MMcRunHeader.fImpactMax", "impact_max_cm", "float32", "cm"),
    Branch("MMcRunHeader.fNumSimulatedShowers", "n_showers", "uint32", "", "re-use of showers included"),
    Branch("MMcRunHeader.fShowerThetaMin", "theta_min_deg", "float32", "deg"),
    Branch("MMcRunHeader.fShowerThetaMax", "theta_max_deg", "float32", "deg"),
    Branch("MMcRunHeader.fShowerPhiMin", "phi_min_deg", "float32", "deg"),
    Branch("MMcRunHeader.fShowerPhiMax", "phi_max_deg", "float32", "deg"),
    Branch("MMcRunHeader.fCWaveLower", "wavelength_low_nm", "float32", "nm"),
    Branch("MMcRunHeader.fCWaveUpper", "wavelength_high_nm", "float32", "nm"),
)
PEDESTAL_KINDS = ("MPedPhotFundamental", "MPedPhotFromExtractor", "MPedPhotFromExtractorRndm")
_PHOT, _ARRIVAL = "MCerPhotEvt.fPixels.fPhot", "MArrivalTime.fData"
_BAD = "MBadPixelsCam.fArray.fInfo"
_PRESCALER_STEREO = (0, 1, 0, 1, 0, 0, 0, 1)
DAY_S = 86_400.0


@dataclass(frozen=True)
class RunInfo:
    """What the headers say.

    `cards` is what the file says about its simulation; real data have none.
    """

    run: int
    subrun: int
    telescope: int
    run_type: int
    source_name: str
    source_ra_deg: float
    source_dec_deg: float
    observation_mode: str = ""
    project: str = ""
    sampling_mhz: float = 1639.0
    n_samples: int = 50
    cards: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_mc(self) -> bool:
        """Whether this is Monte Carlo in MARS's sense."""
        return self.run_type == RUN_TYPE_MC

    @property
    def simulated(self) -> bool:
        """Whether nothing of this was taken with a telescope."""
        return self.is_mc or self.cards.get("SIMULATED") == "yes"


@dataclass
class EventChunk:
    """Some events: charges (phe) and times (slices), (n, 1039), and columns by name.

    `event` has the columns of `EVENT`, for data also those of `TIME`; `mc` those of `MC_EVENT` and `pointing` those of
    `POINTING` for Monte Carlo, else None.
    """

    charge_phe: Floats
    time_slices: Floats
    event: Table
    mc: Table | None = None
    pointing: Table | None = None

    def __len__(self) -> int:
        return len(self.charge_phe)

    @property
    def mjd(self) -> NDArray[np.float64]:
        """Event times as MJD (UTC), to about a microsecond."""
        seconds = self.event["milliseconds"] * 1e-3 + self.event["nanoseconds"] * 1e-9
        return np.asarray(self.event["mjd_day"] + seconds / DAY_S, dtype=np.float64)


@dataclass(frozen=True)
class Pedestals:
    """Pedestal updates: times (MJD), mean and RMS of each pixel (k, 1039) in phe."""

    mjd: NDArray[np.float64]
    mean_phe: Floats
    rms_phe: Floats


@dataclass(frozen=True)
class Drive:
    """Drive reports: time (MJD), and pointing as zenith distance, azimuth (deg), right ascension (h), declination."""

    mjd: NDArray[np.float64]
    zd_deg: NDArray[np.float64]
    az_deg: NDArray[np.float64]
    ra_h: NDArray[np.float64]
    dec_deg: NDArray[np.float64]


class CalibratedFile:
    """A calibrated file, open for reading: a context manager.

    Raises
    ------
    MissingInputError, InputError
        If the file is not there, cut short, or lacks a tree or branch that no analysis can do without.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._opened = open_root(self.path)
        self._file = self._opened.__enter__()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        self._opened.__exit__(*error)

    @cached_property
    def _events(self) -> Any:
        return tree_of(self._file, "Events", self.path)

    @cached_property
    def _headers(self) -> Any:
        tree = tree_of(self._file, "RunHeaders", self.path)
        if tree.num_entries == 0:
            raise InputError(f"{self.path}: tree RunHeaders is empty", hint="the file was not closed; get it again")
        return tree

    def _header(self, branch: str, default: Any = None) -> Any:
        found = read(self._headers, branch, self.path, 0, 1, optional=default is not None)
        return default if found is None else found[0]

    @cached_property
    def info(self) -> RunInfo:
        """The headers."""
        head = "MRawRunHeader"
        return RunInfo(
            run=int(self._header(f"{head}.fRunNumber")),
            subrun=int(self._header(f"{head}.fSubRunIndex")),
            telescope=int(self._header(f"{head}.fTelescopeNumber")),
            run_type=int(self._header(f"{head}.fRunType")),
            source_name=text_of(self._header(f"{head}.fSourceName[80]", np.zeros(80))),
            source_ra_deg=float(self._header(f"{head}.fSourceRA")) / 3600.0 * 15.0,
            source_dec_deg=float(self._header(f"{head}.fSourceDEC")) / 3600.0,
            observation_mode=text_of(self._header(f"{head}.fObservationMode[60]", np.zeros(60))),
            project=text_of(self._header(f"{head}.fProjectName[100]", np.zeros(100))),
            sampling_mhz=float(self._header(f"{head}.fSamplingFrequency")),
            n_samples=int(self._header(f"{head}.fNumSamplesHiGain")),
            cards=read_cards(self._file, self.path),
        )

    @property
    def n_events(self) -> int:
        """Number of entries, pedestal events included."""
        return int(self._events.num_entries)

    @cached_property
    def bad_pixels(self) -> NDArray[np.bool_]:
        """Pixels that the calibration calls unsuitable, (1039,)."""
        found = read(self._headers, _BAD, self.path, 0, 1, optional=True)
        if found is None:
            return np.zeros(N_PIXELS, dtype=np.bool_)
        words = np.asarray(found[0]).reshape(-1, 4)[:N_PIXELS]
        return np.asarray((words[:, 1] & UNSUITABLE) != 0)

    def chunks(self, most: int = 4096) -> Iterator[EventChunk]:
        """Go through the events in pieces of at most `most`, so that memory stays bounded."""
        for begin in range(0, self.n_events, most):
            yield self._chunk(begin, min(begin + most, self.n_events))

    def _chunk(self, begin: int, end: int) -> EventChunk:
        def columns(branches: Iterable[Branch], *, optional: bool = False) -> Table:
            found = {b.column: read(self._events, b.branch, self.path, begin, end, optional=optional) for b in branches}
            return {name: values for name, values in found.items() if values is not None}

        event = columns(EVENT)
        if not self.info.is_mc:
            event |= columns(TIME)
        return EventChunk(
            charge_phe=self._pixels(_PHOT, begin, end),
            time_slices=self._pixels(_ARRIVAL, begin, end),
            event=event,
            mc=columns(MC_EVENT) if self.info.is_mc else None,
            pointing=columns(POINTING) if self.info.is_mc else None,
        )

    def _pixels(self, branch: str, begin: int, end: int) -> Floats:
        found = read(self._events, branch, self.path, begin, end)
        assert found is not None
        if found.ndim != 2 or found.shape[1] < N_PIXELS:
            raise InputError(f"{self.path}: {branch} holds {found.shape[-1]} pixels, not {N_PIXELS} or more")
        return np.ascontiguousarray(found[:, :N_PIXELS], dtype=np.float32)

    @cached_property
    def pedestals(self) -> Pedestals | None:
        """Pedestal updates of data, or None where the file has none."""
        if not has_tree(self._file, "Pedestals"):
            return None
        tree = tree_of(self._file, "Pedestals", self.path)
        kind = PEDESTAL_KINDS[2]
        mean = read(tree, f"{kind}.fArray.fMean", self.path, optional=True)
        rms = read(tree, f"{kind}.fArray.fRms", self.path, optional=True)
        if mean is None or rms is None or len(mean) == 0:
            return None
        times = [read(tree, f"MTimePedestals.{name}", self.path) for name in ("fMjd", "fTime.fMilliSec", "fNanoSec")]
        day, milliseconds, nanoseconds = (np.asarray(values) for values in times)
        mjd = day + (milliseconds * 1e-3 + nanoseconds * 1e-9) / DAY_S
        return Pedestals(mjd, mean[:, :N_PIXELS].astype(np.float32), rms[:, :N_PIXELS].astype(np.float32))

    @cached_property
    def drive(self) -> Drive | None:
        """Drive reports of data in order of time, or None where the file has none."""
        if not has_tree(self._file, "Drive"):
            return None
        columns = read_table(tree_of(self._file, "Drive", self.path), DRIVE, self.path)
        order = np.argsort(columns["mjd"], kind="stable")
        return Drive(**{name: values[order] for name, values in columns.items()}) if len(order) else None

    @cached_property
    def trigger_table(self) -> str:
        """Name of the L3 trigger table; empty where the file has none."""
        if not has_tree(self._file, "L3T"):
            return ""
        found = read(tree_of(self._file, "L3T", self.path), "MReportL3T.fTablename", self.path, optional=True)
        return str(found[min(1, len(found) - 1)]) if found is not None and len(found) else ""

    @cached_property
    def original_mc(self) -> Table | None:
        """All showers that were thrown, for Monte Carlo."""
        if not has_tree(self._file, "OriginalMC"):
            return None
        return read_table(tree_of(self._file, "OriginalMC", self.path), ORIGINAL_MC, self.path, optional=True)

    @cached_property
    def mc_pedestal(self) -> tuple[float, float]:
        """Pedestal mean and RMS (phe) that Monte Carlo was made with, averaged over the camera."""
        kind = PEDESTAL_KINDS[2]
        values = [read(self._events, f"{kind}.fArray.{name}", self.path, 0, 1) for name in ("fMean", "fRms")]
        mean, rms = (float(np.median(np.asarray(value)[0, :N_PIXELS])) for value in values)
        return mean, rms

    @cached_property
    def mc_header(self) -> Table | None:
        """Headers of the simulation, single values by name, for Monte Carlo."""
        if not self.info.is_mc:
            return None
        columns = read_table(self._headers, MC_HEADER, self.path, optional=True)
        return {name: values[0] for name, values in columns.items()}


def pedestal_level(path: Path) -> tuple[float, float, int]:
    """Measure the pedestal of a calibrated file: mean and RMS (phe), averaged over good pixels, and on how many values.

    From the pedestal updates of the file or, where it has none, from its pedestal events.

    Raises
    ------
    InputError
        If the file has neither.
    """
    with CalibratedFile(path) as file:
        if file.info.is_mc:
            return *file.mc_pedestal, 1
        good = ~file.bad_pixels
        found = file.pedestals
        if found is not None:
            mean, rms = found.mean_phe[:, good], found.rms_phe[:, good]
            return float(np.median(mean.mean(axis=0))), float(np.median(rms.mean(axis=0))), int(mean.size)
        charges = [chunk.charge_phe[chunk.event["trigger"] == PEDESTAL] for chunk in file.chunks()]
        charge = np.concatenate(charges)[:, good] if charges else np.empty((0, 0), dtype=np.float32)
    if len(charge) < 2:
        raise InputError(f"{path} has neither a Pedestals tree nor pedestal events: its noise cannot be measured")
    return float(np.median(charge.mean(axis=0))), float(np.median(charge.std(axis=0))), int(charge.size)


def write_calibrated(
    path: Path,
    info: RunInfo,
    events: Iterable[EventChunk],
    *,
    bad_pixels: NDArray[np.bool_],
    pedestals: Pedestals | None = None,
    drive: Drive | None = None,
    l3_table: str = "L3T_L1L1_100_SYNC",
    laser: Mapping[str, Any] | None = None,
    original_mc: Table | None = None,
    mc_header: Table | None = None,
) -> None:
    """Write a calibrated file with the trees and branches that readers of MAGIC data look for.

    Charges and times are rounded to `CHARGE_STEP_PHE` and `TIME_STEP_SLICES`, which the cards say.
    For data give `pedestals` and `drive`, for Monte Carlo `original_mc` and `mc_header`.
    """
    with Writer(path) as file:
        _write_headers(file, info, bad_pixels, mc_header)
        file.tree(
            "RunTails",
            {
                "MMarsVersion_sorcerer.fMARSVersionCode": np.array([2 << 16 | 19 << 8 | 11], dtype=np.int32),
                "MMarsVersion_sorcerer.fROOTVersionCode": np.array([5 << 16 | 34 << 8 | 38], dtype=np.int32),
            },
        )
        for chunk in events:
            file.tree("Events", _event_columns(chunk, info, pedestals))
        if pedestals is not None and not info.is_mc:
            file.tree("Pedestals", _pedestal_columns(pedestals))
        if drive is not None:
            file.tree("Drive", columns_of(vars(drive), DRIVE))
        if not info.is_mc:
            file.tree("Trigger", {"MTriggerPrescFact.fPrescFact": np.array([_PRESCALER_STEREO] * 2, dtype=np.int32)})
            file.tree("L3T", {"MReportL3T.fTablename": [l3_table] * 2})
        if laser:
            file.tree("Laser", laser)
        if original_mc is not None:
            file.tree("OriginalMC", columns_of(original_mc, ORIGINAL_MC))


def _write_headers(file: Writer, info: RunInfo, bad_pixels: NDArray[np.bool_], mc_header: Table | None) -> None:
    head = "MRawRunHeader"
    words = np.zeros((N_SLOTS, 4), dtype=np.int32)
    words[: len(bad_pixels), 1] = bad_pixels * UNSUITABLE
    cards = dict(info.cards)
    if info.simulated:
        cards |= {"CHARGE_STEP": f"{CHARGE_STEP_PHE} phe", "TIME_STEP": f"{TIME_STEP_SLICES} slices"}
    header: dict[str, Any] = {
        f"{head}.fRunNumber": np.uint32(info.run),
        f"{head}.fRunType": np.uint16(info.run_type),
        f"{head}.fTelescopeNumber": np.uint16(info.telescope),
        f"{head}.fSubRunIndex": np.uint16(info.subrun),
        f"{head}.fSourceRA": np.int32(round(info.source_ra_deg / 15.0 * 3600)),
        f"{head}.fSourceDEC": np.int32(round(info.source_dec_deg * 3600)),
        f"{head}.fTelescopeRA": np.int32(round(info.source_ra_deg / 15.0 * 3600)),
        f"{head}.fTelescopeDEC": np.int32(round(info.source_dec_deg * 3600)),
        f"{head}.fSourceName[80]": characters(info.source_name, 80),
        f"{head}.fObservationMode[60]": characters(info.observation_mode, 60),
        f"{head}.fProjectName[100]": characters(info.project, 100),
        f"{head}.fNumSamplesHiGain": np.uint16(info.n_samples),
        f"{head}.fSamplingFrequency": np.uint16(info.sampling_mhz),
        _BAD: words.astype(">i4").reshape(-1).astype(np.int32),
    }
    if mc_header is not None:
        header |= {item.branch: np.asarray(mc_header[item.column], dtype=item.dtype) for item in MC_HEADER}
    if cards:
        header[CARDS] = json.dumps(cards, sort_keys=True)
    file.header(header)


def _event_columns(chunk: EventChunk, info: RunInfo, pedestals: Pedestals | None) -> dict[str, Any]:
    columns = columns_of(chunk.event, EVENT + (() if info.is_mc else TIME))
    columns[_PHOT] = _slots(chunk.charge_phe, CHARGE_STEP_PHE)
    columns[_ARRIVAL] = _slots(chunk.time_slices, TIME_STEP_SLICES)
    if info.is_mc:
        columns |= columns_of(chunk.mc or {}, MC_EVENT) | columns_of(chunk.pointing or {}, POINTING)
        if pedestals is not None:
            for kind in PEDESTAL_KINDS:
                columns[f"{kind}.fArray.fMean"] = np.repeat(_slots(pedestals.mean_phe[:1]), len(chunk), axis=0)
                columns[f"{kind}.fArray.fRms"] = np.repeat(_slots(pedestals.rms_phe[:1]), len(chunk), axis=0)
    return columns


def _pedestal_columns(pedestals: Pedestals) -> dict[str, Any]:
    day = np.floor(pedestals.mjd)
    milliseconds = (pedestals.mjd - day) * DAY_S * 1e3
    columns: dict[str, Any] = {
        "MTimePedestals.fMjd": day.astype(np.uint32),
        "MTimePedestals.fTime.fMilliSec": np.floor(milliseconds).astype(np.int64),
        "MTimePedestals.fNanoSec": ((milliseconds % 1.0) * 1e6).astype(np.uint32),
    }
    for kind in PEDESTAL_KINDS:
        columns[f"{kind}.fArray.fMean"] = _slots(pedestals.mean_phe)
        columns[f"{kind}.fArray.fRms"] = _slots(pedestals.rms_phe)
    return columns


def _slots(values: Floats, step: float | None = None) -> Floats:
    """Fill the 1183 slots of MARS files from 1039 pixels, rounded to a step."""
    slots = np.zeros((len(values), N_SLOTS), dtype=np.float32)
    slots[:, :N_PIXELS] = values if step is None else np.round(values / np.float32(step)) * np.float32(step)
    return slots
