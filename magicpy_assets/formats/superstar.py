"""Superstar files (`_S_`): both telescopes' images of each event, and the shower they give.

Containers of one telescope carry `_1` or `_2`, in branches and in columns; those of the pair carry nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from magicpy_assets.formats.calibrated import DRIVE, EVENT, MC_EVENT, ORIGINAL_MC, TIME, RunInfo
from magicpy_assets.formats.root import Branch, open_root, read_table, tree_of
from magicpy_assets.formats.root_writer import Writer, columns_of
from magicpy_assets.formats.star import IMAGE, POINTING, SOURCE, write_headers

if TYPE_CHECKING:
    import pandas as pd

Table = Mapping[str, NDArray[Any]]

STEREO = (
    Branch("MStereoPar.fDirectionX", "direction_x_deg", "float32", "deg", "where the long axes cross, in the camera"),
    Branch("MStereoPar.fDirectionY", "direction_y_deg", "float32", "deg"),
    Branch("MStereoPar.fDirectionZd", "direction_zd_deg", "float32", "deg"),
    Branch("MStereoPar.fDirectionAz", "direction_az_deg", "float32", "deg"),
    Branch("MStereoPar.fDirectionRA", "direction_ra_h", "float64", "h"),
    Branch("MStereoPar.fDirectionDec", "direction_dec_deg", "float64", "deg"),
    Branch("MStereoPar.fCoreX", "core_x_cm", "float32", "cm", "frame of CORSIKA, see science.corsika"),
    Branch("MStereoPar.fCoreY", "core_y_cm", "float32", "cm"),
    Branch("MStereoPar.fM1Impact", "impact_cm_1", "float32", "cm"),
    Branch("MStereoPar.fM2Impact", "impact_cm_2", "float32", "cm"),
    Branch("MStereoPar.fMaxHeight", "max_height_cm", "float32", "cm", "height of maximum over the site"),
    Branch("MStereoPar.fTheta2", "theta2_crossing_deg2", "float32", "deg²", "from the source, of the crossing"),
    Branch("MStereoPar.fCosBSangle", "cos_field_angle", "float32", "", "between shower and magnetic field"),
    Branch("MStereoPar.fValid", "valid", "int32", "", "1: reconstructed"),
)


def suffixed(branch: Branch, telescope: int) -> Branch:
    """Return the branch of one telescope in a stereo file: `MHillas.fSize` becomes `MHillas_1.fSize`."""
    return replace(
        branch, branch=re.sub(r"^(\w+)\.", rf"\1_{telescope}.", branch.branch), column=f"{branch.column}_{telescope}"
    )


def both(branches: Sequence[Branch]) -> tuple[Branch, ...]:
    """Return the branches of both telescopes."""
    return tuple(suffixed(branch, telescope) for telescope in (1, 2) for branch in branches)


EVENTS = both(EVENT + TIME + IMAGE + SOURCE + POINTING + MC_EVENT) + STEREO
ORIGINAL = both(ORIGINAL_MC)


def write_superstar(
    path: Path,
    info: RunInfo,
    events: Table,
    *,
    provenance: Mapping[str, str],
    branches: Sequence[Branch] = EVENTS,
    drive: Table | None = None,
    original_mc: Table | None = None,
    mc_header: Table | None = None,
) -> None:
    """Write a stereo file: columns of `branches` that `events` has, and the run's trees."""
    with Writer(path) as file:
        write_headers(file, info, provenance, mc_header, telescopes=(1, 2))
        file.tree("Events", columns_of(events, branches))
        if drive is not None:
            file.tree("Drive", columns_of(drive, DRIVE))
        if original_mc is not None:
            file.tree("OriginalMC", columns_of(original_mc, ORIGINAL))


def read_events(path: Path, branches: Sequence[Branch] = EVENTS) -> pd.DataFrame:
    """Read the events of a stereo file as columns; branches that the file does not have are left out."""
    import pandas as pd

    with open_root(path) as file:
        return pd.DataFrame(read_table(tree_of(file, "Events", path), branches, path, optional=True))


def read_original_mc(path: Path) -> dict[str, NDArray[Any]] | None:
    """Return all thrown showers of a Monte Carlo file by the columns of `ORIGINAL`, or None for data."""
    with open_root(path) as file:
        if not any(key.startswith("OriginalMC") for key in file.keys(recursive=False)):
            return None
        return read_table(tree_of(file, "OriginalMC", path), ORIGINAL, path, optional=True)
