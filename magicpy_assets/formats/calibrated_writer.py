"""Writing calibrated files: flat trees with the branches that public readers of MAGIC data look for."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from magicpy_assets.formats.calibrated_tables import (
    ARRIVALS,
    BAD_PIXELS,
    CHARGE_STEP_PHE,
    CHARGES,
    DAY_S,
    DRIVE,
    EVENT,
    L3_STANDARD,
    MC_EVENT,
    MC_HEADER,
    ORIGINAL_MC,
    PEDESTAL_KINDS,
    POINTING,
    PRESCALER_MONO,
    PRESCALER_STEREO,
    TIME,
    TIME_STEP_SLICES,
    UNSUITABLE,
    Drive,
    EventChunk,
    Floats,
    Pedestals,
    RunInfo,
    Table,
)
from magicpy_assets.formats.root import CARDS
from magicpy_assets.formats.root_writer import Writer, characters, columns_of
from magicpy_assets.science.camera import N_PIXELS, N_SLOTS


def write_calibrated(
    path: Path,
    info: RunInfo,
    events: Iterable[EventChunk],
    *,
    bad_pixels: NDArray[np.bool_],
    pedestals: Pedestals | None = None,
    drive: Drive | None = None,
    l3_table: str | None = L3_STANDARD,
    laser: Mapping[str, Any] | None = None,
    original_mc: Table | None = None,
    mc_header: Table | None = None,
) -> None:
    """Write a calibrated file with the trees and branches that readers of MAGIC data look for.

    Charges and times are rounded to `CHARGE_STEP_PHE` and `TIME_STEP_SLICES`, which the cards say.
    For data give `pedestals`, `drive` and the table of the stereo trigger, None if one telescope was alone; for Monte
    Carlo `original_mc` and `mc_header`.
    """
    with Writer(path) as file:
        _write_headers(file, info, bad_pixels, mc_header, drive)
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
            prescaler = PRESCALER_STEREO if l3_table else PRESCALER_MONO
            file.tree("Trigger", {"MTriggerPrescFact.fPrescFact": np.array([prescaler] * 2, dtype=np.int32)})
        if l3_table and not info.is_mc:
            file.tree("L3T", {"MReportL3T.fTablename": [l3_table] * 2})
        if laser:
            file.tree("Laser", laser)
        if original_mc is not None:
            file.tree("OriginalMC", columns_of(original_mc, ORIGINAL_MC))


def _write_headers(
    file: Writer, info: RunInfo, bad_pixels: NDArray[np.bool_], mc_header: Table | None, drive: Drive | None
) -> None:
    head = "MRawRunHeader"
    # Where the telescope points: beside the source, where it wobbles.
    ra_h = info.source_ra_deg / 15.0 if drive is None else float(drive.ra_h[0])
    dec_deg = info.source_dec_deg if drive is None else float(drive.dec_deg[0])
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
        f"{head}.fTelescopeRA": np.int32(round(ra_h * 3600)),
        f"{head}.fTelescopeDEC": np.int32(round(dec_deg * 3600)),
        f"{head}.fSourceName[80]": characters(info.source_name, 80),
        f"{head}.fObservationMode[60]": characters(info.observation_mode, 60),
        f"{head}.fProjectName[100]": characters(info.project, 100),
        f"{head}.fNumSamplesHiGain": np.uint16(info.n_samples),
        f"{head}.fSamplingFrequency": np.uint16(info.sampling_mhz),
        BAD_PIXELS: words.astype(">i4").reshape(-1).astype(np.int32),
    }
    if mc_header is not None:
        header |= {item.branch: np.asarray(mc_header[item.column], dtype=item.dtype) for item in MC_HEADER}
    if cards:
        header[CARDS] = json.dumps(cards, sort_keys=True)
    file.header(header)


def _event_columns(chunk: EventChunk, info: RunInfo, pedestals: Pedestals | None) -> dict[str, Any]:
    columns = columns_of(chunk.event, EVENT + (() if info.is_mc else TIME))
    columns[CHARGES] = _slots(chunk.charge_phe, CHARGE_STEP_PHE)
    columns[ARRIVALS] = _slots(chunk.time_slices, TIME_STEP_SLICES)
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
