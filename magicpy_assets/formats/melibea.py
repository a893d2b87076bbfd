"""Melibea files (`_Q_`): superstar files with hadronness, energy and direction; or, mono, star files with them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from magicpy_assets.core.errors import InputError
from magicpy_assets.formats import star, superstar
from magicpy_assets.formats.root import Branch, branch_keys, open_root, read_table, tree_of

if TYPE_CHECKING:
    import pandas as pd

MELIBEA = (
    Branch("MHadronness.fHadronness", "hadronness", "float32", "", "0 gamma, 1 hadron"),
    Branch("MEnergyEst.fEnergy", "energy_est_gev", "float32", "GeV"),
    Branch("MEnergyEst.fUncertainty", "energy_uncertainty_gev", "float32", "GeV"),
    Branch("MEnergyEst_1.fEnergy", "energy_est_gev_1", "float32", "GeV", "by the energy table"),
    Branch("MEnergyEst_1.fUncertainty", "energy_uncertainty_gev_1", "float32", "GeV"),
    Branch("MEnergyEst_1.fImpact", "impact_est_cm_1", "float32", "cm", "with the direction by disp"),
    Branch("MEnergyEst_2.fEnergy", "energy_est_gev_2", "float32", "GeV"),
    Branch("MEnergyEst_2.fUncertainty", "energy_uncertainty_gev_2", "float32", "GeV"),
    Branch("MEnergyEst_2.fImpact", "impact_est_cm_2", "float32", "cm"),
    Branch("MEnergyEstStereoRF.fEnergy", "energy_rf_gev", "float32", "GeV"),
    Branch("MStereoParDisp.fDirectionX", "reco_x_deg", "float32", "deg", "direction by disp, in the camera"),
    Branch("MStereoParDisp.fDirectionY", "reco_y_deg", "float32", "deg"),
    Branch("MStereoParDisp.fDirectionRA", "reco_ra_h", "float64", "h"),
    Branch("MStereoParDisp.fDirectionDec", "reco_dec_deg", "float64", "deg"),
    Branch("MStereoParDisp.fTheta2", "theta2_deg2", "float32", "deg²", "from the source"),
    Branch("MStereoParDisp.fDispDiff2", "disp_diff2_deg2", "float32", "deg²", "between the two telescopes' answers"),
    Branch("MImageParDisp_1.fDisp", "disp_deg_1", "float32", "deg"),
    Branch("MImageParDisp_1.fXdisp", "disp_x_deg_1", "float32", "deg"),
    Branch("MImageParDisp_1.fYdisp", "disp_y_deg_1", "float32", "deg"),
    Branch("MImageParDisp_2.fDisp", "disp_deg_2", "float32", "deg"),
    Branch("MImageParDisp_2.fXdisp", "disp_x_deg_2", "float32", "deg"),
    Branch("MImageParDisp_2.fYdisp", "disp_y_deg_2", "float32", "deg"),
)
EVENTS = superstar.EVENTS + MELIBEA
MONO = (
    Branch("MHadronness.fHadronness", "hadronness", "float32", "", "0 gamma, 1 hadron"),
    Branch("MEnergyEst.fEnergy", "energy_est_gev", "float32", "GeV", "by forest"),
    Branch("MImageParDisp.fDisp", "disp_deg", "float32", "deg"),
    Branch("MImageParDisp.fXdisp", "reco_x_deg", "float32", "deg", "direction by disp, in the camera"),
    Branch("MImageParDisp.fYdisp", "reco_y_deg", "float32", "deg"),
    Branch("MImageParDisp.fDirectionRA", "reco_ra_h", "float64", "h", "this name and the following are ours"),
    Branch("MImageParDisp.fDirectionDec", "reco_dec_deg", "float64", "deg"),
    Branch("MImageParDisp.fTheta2", "theta2_deg2", "float32", "deg²", "from the source"),
    Branch("MImageParDisp.fHeadTail", "head_tail", "float32", "", "probability of the chosen side of the image"),
)
MONO_EVENTS = star.EVENTS + MONO
"""What a file of one telescope holds: the containers of star and melibea, without numbers in their names."""
_COUNTED = (
    "mjd_day_1", "milliseconds_1", "nanoseconds_1", "time_diff_s_1", "pointing_ra_h_1", "pointing_dec_deg_1",
    "pointing_zd_deg_1", "size_phe_1", "size_phe_2", "hadronness", "energy_rf_gev", "energy_est_gev", "reco_x_deg",
    "reco_y_deg", "reco_ra_h", "reco_dec_deg",
)  # fmt: skip
FOR_COUNTING = tuple(branch for branch in EVENTS if branch.column in _COUNTED)
"""What it takes to count events around a source."""


def read_events(path: Path, branches: Sequence[Branch] = EVENTS) -> pd.DataFrame:
    """Read the events of a melibea file, of either engine, stereo or mono.

    Columns of mono files have the names of stereo ones, see `formats.star.named`; `branches` are of stereo files, too.
    Besides the columns of the branches: `energy_gev`, by forest where the file has it, else the stereo average;
    `reco_ra_deg`; and, for Monte Carlo, the truth as `mc_energy_gev`.

    Raises
    ------
    InputError
        If the file has no hadronness, energy or direction.
    """
    table = _read_mono(path, branches) if is_mono(path) else superstar.read_events(path, branches)
    energy = "energy_rf_gev" if "energy_rf_gev" in table else "energy_est_gev"
    missing = {"hadronness", energy, "reco_x_deg"} - set(table)
    if missing:
        raise InputError(f"{path} lacks {', '.join(sorted(missing))}: has melibea been run on it?")
    table["energy_gev"] = table[energy].astype(np.float64)
    if "reco_ra_h" in table:
        table["reco_ra_deg"] = table["reco_ra_h"] * 15.0
    if "energy_gev_1" in table:
        table["mc_energy_gev"] = table["energy_gev_1"].astype(np.float64)
    return table


def is_mono(path: Path) -> bool:
    """Tell whether a melibea file holds the images of one telescope alone."""
    with open_root(path) as file:
        return "MHillas.fSize" in branch_keys(tree_of(file, "Events", path))


def _read_mono(path: Path, branches: Sequence[Branch]) -> pd.DataFrame:
    """Read those columns of a mono file that are meant by branches of stereo files."""
    import pandas as pd

    telescope = star.read_header(path).telescope
    wanted = {branch.column for branch in branches}
    needed = [
        branch
        for branch in MONO_EVENTS
        if wanted & {branch.column, f"{branch.column}_1", f"{branch.column}_{telescope}"} or branches is EVENTS
    ]
    with open_root(path) as file:
        table = pd.DataFrame(read_table(tree_of(file, "Events", path), needed, path, optional=True))
    found = [branch.column for branch in MONO if branch.column in table]
    return pd.concat([star.named(table.drop(columns=found), telescope), table[found]], axis=1)
