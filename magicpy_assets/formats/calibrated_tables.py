"""What calibrated files hold: which branch is which column, and the values that readers and writers pass around."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from magicpy_assets.formats.root import Branch

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
    Branch("MMcEvt.fPartId", "particle", "int32", "", "1 gamma, 14 proton"),
    Branch("MMcEvt.fCoreX", "core_x_cm", "float32", "cm", "CORSIKA frame"),
    Branch("MMcEvt.fCoreY", "core_y_cm", "float32", "cm"),
    Branch("MMcEvt.fTelescopeTheta", "telescope_theta_rad", "float32", "rad"),
    Branch("MMcEvt.fTelescopePhi", "telescope_phi_rad", "float32", "rad"),
    Branch("MMcEvt.fZFirstInteraction", "z_first_cm", "float32", "cm"),
    Branch("MMcEvt.fLongitmax", "longit_max", "float32", "g/cm²"),
    Branch("MMcEvt.fImpact", "impact_cm", "float32", "cm"),
    Branch("MMcEvt.fEvtNumber", "event_number", "uint32", "", "number of the shower"),
)
MC_OPTIONAL = frozenset(
    {"telescope_theta_rad", "telescope_phi_rad", "z_first_cm", "longit_max", "impact_cm", "event_number"}
)
"""What Monte Carlo of others may lack."""
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
CHARGES, ARRIVALS = "MCerPhotEvt.fPixels.fPhot", "MArrivalTime.fData"
BAD_PIXELS = "MBadPixelsCam.fArray.fInfo"
PRESCALER_STEREO = (0, 1, 0, 1, 0, 0, 0, 1)
PRESCALER_MONO = (1, 1, 0, 1, 0, 0, 0, 0)
L3_STANDARD, L3_SUM_TRIGGER = "L3T_L1L1_100_SYNC", "L3T_SUMSUM_100_SYNC"
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
class PixelPedestal:
    """Charge of each pixel without light: mean and RMS (1039,) in phe, and from how many values each."""

    mean_phe: Floats
    rms_phe: Floats
    n: int


@dataclass(frozen=True)
class Drive:
    """Drive reports: time (MJD), and pointing as zenith distance, azimuth (deg), right ascension (h), declination."""

    mjd: NDArray[np.float64]
    zd_deg: NDArray[np.float64]
    az_deg: NDArray[np.float64]
    ra_h: NDArray[np.float64]
    dec_deg: NDArray[np.float64]
