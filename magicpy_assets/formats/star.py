"""Star files (`_I_`): image parameters of one telescope, and what later levels need of the run."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from magicpy_assets.formats.calibrated import (
    DRIVE,
    EVENT,
    MC_EVENT,
    MC_HEADER,
    ORIGINAL_MC,
    RUN_TYPE_MC,
    TIME,
    RunInfo,
)
from magicpy_assets.formats.root import (
    CARDS,
    PROVENANCE,
    Branch,
    has_tree,
    open_root,
    read,
    read_cards,
    read_table,
    text_of,
    tree_of,
)
from magicpy_assets.formats.root_writer import Writer, characters, columns_of
from magicpy_assets.version import __version__

if TYPE_CHECKING:
    import pandas as pd

Table = Mapping[str, NDArray[Any]]

IMAGE = (
    Branch("MHillas.fSize", "size_phe", "float32", "phe"),
    Branch("MHillas.fLength", "length_mm", "float32", "mm"),
    Branch("MHillas.fWidth", "width_mm", "float32", "mm"),
    Branch("MHillas.fDelta", "delta_rad", "float32", "rad"),
    Branch("MHillas.fMeanX", "mean_x_mm", "float32", "mm"),
    Branch("MHillas.fMeanY", "mean_y_mm", "float32", "mm"),
    Branch("MHillas.fSinDelta", "sin_delta", "float32"),
    Branch("MHillas.fCosDelta", "cos_delta", "float32"),
    Branch("MHillasExt.fM3Long", "m3_long_mm", "float32", "mm"),
    Branch("MHillasExt.fM3Trans", "m3_trans_mm", "float32", "mm"),
    Branch("MHillasExt.fAsym", "asym_mm", "float32", "mm", "from the brightest pixel to the centre"),
    Branch("MHillasExt.fMaxDist", "max_distance_mm", "float32", "mm", "farthest pixel from the centre"),
    Branch("MHillasTimeFit.fP1Grad", "time_gradient_slices_per_mm", "float32", "slices/mm"),
    Branch("MHillasTimeFit.fP1Const", "time_const_slices", "float32", "slices"),
    Branch("MHillasTimeFit.fTimeRms", "time_spread_slices", "float32", "slices", "this name is ours"),
    Branch("MHillasTimeFit.fMeanTime", "mean_time_slices", "float32", "slices", "this name is ours"),
    Branch("MNewImagePar.fLeakage1", "leakage1", "float32"),
    Branch("MNewImagePar.fLeakage2", "leakage2", "float32"),
    Branch("MNewImagePar.fConc", "conc", "float32"),
    Branch("MNewImagePar.fConc1", "conc1", "float32"),
    Branch("MNewImagePar.fConcCOG", "conc_cog", "float32"),
    Branch("MNewImagePar.fConcCore", "conc_core", "float32"),
    Branch("MNewImagePar.fUsedArea", "used_area_mm2", "float32", "mm²"),
    Branch("MNewImagePar.fCoreArea", "core_area_mm2", "float32", "mm²"),
    Branch("MNewImagePar.fNumUsedPixels", "n_used", "int16"),
    Branch("MNewImagePar.fNumCorePixels", "n_core", "int16"),
    Branch("MImagePar.fNumIslands", "n_islands", "int16"),
    Branch("MImagePar.fNumSinglePixels", "n_single", "int16"),
    Branch("MImagePar.fSizeSinglePixels", "size_single_phe", "float32", "phe"),
    Branch("MImagePar.fSizeSubIslands", "size_sub_islands_phe", "float32", "phe"),
    Branch("MImagePar.fSizeMainIsland", "size_main_island_phe", "float32", "phe"),
    Branch("MImagePar.fNumSatPixelsHG", "n_saturated_high_gain", "int16", "", "-1: not known"),
    Branch("MImagePar.fNumSatPixelsLG", "n_saturated_low_gain", "int16", "", "-1: not known"),
)
SOURCE = (
    Branch("MHillasSrc.fAlpha", "alpha_deg", "float32", "deg"),
    Branch("MHillasSrc.fDist", "dist_mm", "float32", "mm"),
    Branch("MHillasSrc.fCosDeltaAlpha", "cos_delta_alpha", "float32"),
    Branch("MHillasSrc.fDCA", "dca_mm", "float32", "mm"),
    Branch("MHillasSrc.fDCADelta", "dca_delta_deg", "float32", "deg"),
    Branch("MSrcPosCam.fX", "source_x_mm", "float32", "mm"),
    Branch("MSrcPosCam.fY", "source_y_mm", "float32", "mm"),
)
POINTING = (
    Branch("MPointingPos.fZd", "pointing_zd_deg", "float64", "deg"),
    Branch("MPointingPos.fAz", "pointing_az_deg", "float64", "deg"),
    Branch("MPointingPos.fRa", "pointing_ra_h", "float64", "h"),
    Branch("MPointingPos.fDec", "pointing_dec_deg", "float64", "deg"),
    Branch("MPointingPos.fDevZd", "dev_zd_deg", "float64", "deg", "zero: the pointing above is the true one"),
    Branch("MPointingPos.fDevAz", "dev_az_deg", "float64", "deg"),
    Branch("MPointingPos.fDevHa", "dev_ha_h", "float64", "h"),
    Branch("MPointingPos.fDevDec", "dev_dec_deg", "float64", "deg"),
)
PIXELS = (
    Branch("MCerPhotEvt.fPixels.fPhot", "charge_phe", "float32", "phe", "as cleaned, only if asked for"),
    Branch("MArrivalTime.fData", "time_slices", "float32", "slices"),
)
LEVEL = (
    Branch("MPedestalLevel.fMean", "mean_phe", "float32", "phe", "of the median good pixel; this tree is ours"),
    Branch("MPedestalLevel.fRms", "rms_phe", "float32", "phe"),
    Branch("MPedestalLevel.fAddedMean", "added_mean_phe", "float32", "phe", "noise that was added to the images"),
    Branch("MPedestalLevel.fAddedRms", "added_rms_phe", "float32", "phe"),
)
EVENTS = EVENT + TIME + IMAGE + SOURCE + POINTING + MC_EVENT


def write_star(
    path: Path,
    info: RunInfo,
    events: Iterable[Table],
    *,
    provenance: Mapping[str, str],
    drive: Table | None = None,
    pedestal: Mapping[str, float] | None = None,
    original_mc: Table | None = None,
    mc_header: Table | None = None,
    branches: Sequence[Branch] = EVENTS + PIXELS,
) -> int:
    """Write a star file; returns the number of events.

    `events` are pieces of the event table, with the columns of `branches` that apply, all alike; they are written as
    they come. `pedestal` has the columns of `LEVEL`.
    """
    n = 0
    with Writer(path) as file:
        write_headers(file, info, provenance, mc_header)
        for piece in events:
            file.tree("Events", columns_of(piece, branches))
            n += len(piece[EVENTS[0].column])
        if drive is not None:
            file.tree("Drive", columns_of(drive, DRIVE))
        if pedestal is not None:
            file.tree("Pedestals", columns_of({name: np.array([value]) for name, value in pedestal.items()}, LEVEL))
        if original_mc is not None:
            file.tree("OriginalMC", columns_of(original_mc, ORIGINAL_MC))
    return n


def write_headers(
    file: Writer,
    info: RunInfo,
    provenance: Mapping[str, str],
    mc_header: Table | None = None,
    *,
    telescopes: Sequence[int] = (),
) -> None:
    """Write `RunHeaders` and `RunTails`; with `telescopes`, once for each under `MRawRunHeader_n`."""
    header: dict[str, Any] = {}
    for telescope in telescopes or (0,):
        head = f"MRawRunHeader_{telescope}" if telescope else "MRawRunHeader"
        header |= {
            f"{head}.fRunNumber": np.uint32(info.run),
            f"{head}.fRunType": np.uint16(info.run_type),
            f"{head}.fTelescopeNumber": np.uint16(telescope or info.telescope),
            f"{head}.fSubRunIndex": np.uint16(info.subrun),
            f"{head}.fSourceRA": np.int32(round(info.source_ra_deg / 15.0 * 3600)),
            f"{head}.fSourceDEC": np.int32(round(info.source_dec_deg * 3600)),
            f"{head}.fSourceName[80]": characters(info.source_name, 80),
            f"{head}.fObservationMode[60]": characters(info.observation_mode, 60),
            f"{head}.fProjectName[100]": characters(info.project, 100),
            f"{head}.fNumSamplesHiGain": np.uint16(info.n_samples),
            f"{head}.fSamplingFrequency": np.uint16(info.sampling_mhz),
        }
    if mc_header:
        known = [item for item in MC_HEADER if item.column in mc_header]
        header |= {item.branch: np.asarray(mc_header[item.column], dtype=item.dtype) for item in known}
    if info.cards:
        header[CARDS] = json.dumps(dict(info.cards), sort_keys=True)
    header[PROVENANCE] = json.dumps(dict(provenance), sort_keys=True)
    file.header(header)
    file.tree("RunTails", {"MMarsVersion_embedded.fVersion": [__version__]})


def read_header(path: Path) -> RunInfo:
    """Read the headers of a star file, or of one made from it (those of M1 where there are two)."""
    with open_root(path) as file:
        tree = tree_of(file, "RunHeaders", path)
        names = {key.rsplit("/", 1)[-1] for key in tree.keys()}  # noqa: SIM118 - not a dictionary
        head = "MRawRunHeader" if "MRawRunHeader.fRunNumber" in names else "MRawRunHeader_1"

        def value(member: str) -> Any:
            found = read(tree, f"{head}.{member}", path, 0, 1)
            assert found is not None
            return found[0]

        return RunInfo(
            run=int(value("fRunNumber")),
            subrun=int(value("fSubRunIndex")),
            telescope=int(value("fTelescopeNumber")),
            run_type=int(value("fRunType")),
            source_name=text_of(value("fSourceName[80]")),
            source_ra_deg=float(value("fSourceRA")) / 3600 * 15,
            source_dec_deg=float(value("fSourceDEC")) / 3600,
            observation_mode=text_of(value("fObservationMode[60]")),
            project=text_of(value("fProjectName[100]")),
            sampling_mhz=float(value("fSamplingFrequency")),
            n_samples=int(value("fNumSamplesHiGain")),
            cards=read_cards(file, path),
        )


def read_provenance(path: Path) -> dict[str, str]:
    """Return what a file says about the programs and inputs it was made with; empty for files of MARS."""
    with open_root(path) as file:
        return read_cards(file, path, PROVENANCE)


def read_events(path: Path, branches: Sequence[Branch] = EVENTS) -> pd.DataFrame:
    """Read the events of a file as columns; branches that the file does not have are left out."""
    import pandas as pd

    with open_root(path) as file:
        return pd.DataFrame(read_table(tree_of(file, "Events", path), branches, path, optional=True))


def named(table: pd.DataFrame, telescope: int) -> pd.DataFrame:
    """Return the events of one telescope under the names that they have in files of both: `size_phe_2`.

    What belongs to the event rather than to an image (time, pointing, numbers, source, truth) is found under `_1`
    whichever telescope it was.
    """
    of_event = {branch.column for branch in EVENT + TIME + SOURCE + POINTING + MC_EVENT}
    found = table.rename(columns={name: f"{name}_{telescope}" for name in table})
    if telescope != 1:
        found = found.assign(**{f"{name}_1": table[name] for name in table if name in of_event})
    return found


def read_named(path: Path) -> pd.DataFrame:
    """Read the events of a star file under the names of `named`."""
    return named(read_events(path), read_header(path).telescope)


def read_original_mc(path: Path) -> dict[str, NDArray[Any]] | None:
    """Return all showers that were thrown for a Monte Carlo file, or None for data."""
    with open_root(path) as file:
        if not has_tree(file, "OriginalMC"):
            return None
        return read_table(tree_of(file, "OriginalMC", path), ORIGINAL_MC, path, optional=True)


def read_mc_header(path: Path) -> dict[str, NDArray[Any]] | None:
    """Return the headers of the simulation behind a Monte Carlo file, or None for data."""
    if read_header(path).run_type != RUN_TYPE_MC:
        return None
    with open_root(path) as file:
        found = read_table(tree_of(file, "RunHeaders", path), MC_HEADER, path, optional=True)
        return {name: values[0] for name, values in found.items()}


def read_drive(path: Path) -> dict[str, NDArray[Any]] | None:
    """Return the drive reports of a file, or None where it has none."""
    with open_root(path) as file:
        return read_table(tree_of(file, "Drive", path), DRIVE, path) if has_tree(file, "Drive") else None


def read_pedestal(path: Path) -> dict[str, float] | None:
    """Return the pedestal level of a star file by the columns of `LEVEL`, or None where it has none."""
    with open_root(path) as file:
        if not has_tree(file, "Pedestals"):
            return None
        found = read_table(tree_of(file, "Pedestals", path), LEVEL, path, optional=True)
        return {name: float(values[0]) for name, values in found.items()}
