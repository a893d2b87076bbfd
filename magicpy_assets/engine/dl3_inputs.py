"""What the program dl3 reads: melibea files of a run and of simulated gammas, as the arrays of science."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from magicpy_assets.core import telescopes
from magicpy_assets.core.errors import InputError
from magicpy_assets.core.telescopes import Telescopes
from magicpy_assets.engine.dl3_triggers import by_array, event_ids, recorded, telescopes_of
from magicpy_assets.formats import melibea, star, superstar
from magicpy_assets.formats.calibrated import DAY_S, RunInfo
from magicpy_assets.formats.root import open_root, read, tree_of
from magicpy_assets.science.irf import Gammas, Thrown
from magicpy_assets.science.live_time import mjd_of

Floats = NDArray[np.float64]

TIMES = ("mjd_day_1", "milliseconds_1", "nanoseconds_1", "time_diff_s_1")
POINTING = ("pointing_zd_deg_1", "pointing_az_deg_1", "pointing_ra_h_1", "pointing_dec_deg_1")
COLUMNS = (
    *TIMES, *POINTING, "stereo_number_1", "daq_number_1", "size_phe_1", "size_phe_2", "valid", "hadronness",
    "energy_rf_gev", "energy_est_gev", "reco_x_deg", "reco_y_deg", "reco_ra_h", "reco_dec_deg", "theta2_deg2",
    "energy_gev_1",
)  # fmt: skip
FOREST_CARDS = ("forest gamma/hadron", "forest M1 direction", "forest M2 direction", "forest energy")
CLEANING_CARD = "star"
MAX_DRIFT_DEG = 0.2


@dataclass(frozen=True)
class RunEvents:
    """Events of one run of data.

    `mjd` and `time_since_trigger_s` are of all stereo events of the file, (n,); `n_triggers` is how many triggers the
    readout recorded, whether or not they are in the file; `kept` marks those that were
    reconstructed and large enough, and all other arrays are of these, (k,): angles in deg, energy in GeV.
    """

    path: Path
    info: RunInfo
    provenance: dict[str, str]
    mjd: Floats
    time_since_trigger_s: Floats | None
    n_triggers: int | None
    kept: NDArray[np.bool_]
    event_id: NDArray[np.int64]
    ra_deg: Floats
    dec_deg: Floats
    energy_gev: Floats
    hadronness: Floats
    pointing: dict[str, Floats]
    alt_deg: Floats
    az_deg: Floats
    telescopes: Telescopes = telescopes.STEREO
    by_array: bool = True
    """Whether both telescopes together triggered, as in every run that is not of one telescope alone."""


@dataclass(frozen=True)
class Simulations:
    """Simulated gammas after reconstruction, all that were thrown, and what says which simulations they are."""

    gammas: Gammas
    thrown: Thrown
    provenance: dict[str, str]
    cards: dict[str, str]
    identity: str
    n_files: int
    in_array: NDArray[np.bool_]
    """Which of the gammas triggered both telescopes: all but some of a mono analysis."""

    def seen_by(self, events: RunEvents) -> Gammas:
        """Return the gammas that would have triggered like the events of a run."""
        return self.gammas.where(self.in_array) if events.by_array else self.gammas


def read_run(path: Path, min_size_phe: float) -> RunEvents:
    """Read one melibea file of data.

    Raises
    ------
    InputError
        If it holds simulated gammas, no times, or no event that could be used.
    """
    info = star.read_header(path)
    if info.is_mc:
        raise InputError(f"{path.name} holds Monte Carlo; --ind takes data, --mc the Monte Carlo")
    table = _read(path)
    missing = [name for name in (*TIMES[:3], *POINTING[:2], "reco_ra_deg", "reco_dec_deg") if name not in table]
    if missing:
        raise InputError(f"{path.name} lacks {', '.join(missing)}")
    mjd = mjd_of(table)
    kept = _usable(table, min_size_phe)
    if telescopes_of(table).is_mono and by_array(table) and "stereo_number_1" in table:
        kept &= table["stereo_number_1"] > 0  # the responses are of events that both telescopes triggered
    if not kept.any():
        raise InputError(
            f"{path.name}: none of {len(kept)} events is reconstructed with images over {min_size_phe:g} phe"
        )
    number = event_ids(table, mjd)
    return RunEvents(
        path=path,
        info=info,
        provenance=star.read_provenance(path),
        mjd=mjd,
        time_since_trigger_s=table.get("time_diff_s_1"),
        n_triggers=recorded(mjd, table["daq_number_1"]) if "daq_number_1" in table else None,
        kept=kept,
        event_id=number[kept],
        ra_deg=table["reco_ra_deg"][kept],
        dec_deg=table["reco_dec_deg"][kept],
        energy_gev=table["energy_gev"][kept],
        hadronness=table["hadronness"][kept],
        pointing=_pointing(table, mjd, info, path),
        alt_deg=90.0 - table["pointing_zd_deg_1"][kept],
        az_deg=table["pointing_az_deg_1"][kept],
        telescopes=telescopes_of(table),
        by_array=by_array(table),
    )


def read_simulations(paths: Sequence[Path], min_size_phe: float) -> Simulations:
    """Read melibea files of simulated gammas: those reconstructed, and all thrown (tree OriginalMC).

    Raises
    ------
    InputError
        If a file is not Monte Carlo, or the files differ in area, forest or cleaning.
    """
    parts = [_read_simulation(path, min_size_phe) for path in paths]
    areas = {round(part.thrown.area_m2) for part in parts}
    if len(areas) > 1:
        raise InputError(f"the Monte Carlo files were thrown over different areas: {sorted(areas)} m²")
    for part, path in zip(parts, paths, strict=True):
        refuse_mixture(parts[0].provenance, part.provenance, paths[0].name, path.name)
    gammas = Gammas(**{name: _joined([part.gammas for part in parts], name) for name in Gammas.__dataclass_fields__})
    thrown = Thrown(
        energy_gev=_joined([part.thrown for part in parts], "energy_gev"),
        zd_deg=_joined([part.thrown for part in parts], "zd_deg"),
        area_m2=parts[0].thrown.area_m2,
    )
    return Simulations(
        gammas=gammas,
        thrown=thrown,
        provenance=parts[0].provenance,
        cards=parts[0].cards,
        identity=_content(gammas, thrown),
        n_files=len(paths),
        in_array=np.concatenate([part.in_array for part in parts]),
    )


def _content(gammas: Gammas, thrown: Thrown) -> str:
    """Twelve hexadecimal digits that are the same for the same simulated gammas, whatever the files are called."""
    digest = hashlib.sha256(f"{thrown.area_m2:.3f}".encode())
    for part in (gammas, thrown):
        for name in type(part).__dataclass_fields__:
            values = getattr(part, name)
            if isinstance(values, np.ndarray):
                digest.update(np.ascontiguousarray(values, dtype="<f8").tobytes())
    return digest.hexdigest()[:12]


def refuse_mixture(first: dict[str, str], second: dict[str, str], first_name: str, second_name: str) -> None:
    """Refuse files whose forests or cleaning differ: cuts and responses of one would be wrong for the other.

    Files that do not say (those of MARS) are taken on trust.
    """
    for card in (*FOREST_CARDS, CLEANING_CARD):
        if card in first and card in second and first[card] != second[card]:
            what = "cleaning" if card == CLEANING_CARD else card
            raise InputError(
                f"{first_name} and {second_name} differ in {what}: {first[card]} against {second[card]}",
                hint="use Monte Carlo that was analysed like the data; dl3.allowMixed: yes in the card goes on",
            )


def _read_simulation(path: Path, min_size_phe: float) -> Simulations:
    info = star.read_header(path)
    if not info.is_mc:
        raise InputError(f"{path.name} holds data; --mc takes Monte Carlo of gammas")
    table = _read(path)
    missing = [name for name in ("mc_energy_gev", "theta2_deg2", "pointing_zd_deg_1") if name not in table]
    if missing:
        raise InputError(f"{path.name} lacks {', '.join(missing)}")
    kept = _usable(table, min_size_phe) & np.isfinite(table["theta2_deg2"])
    gammas = Gammas(
        true_energy_gev=table["mc_energy_gev"][kept],
        energy_gev=table["energy_gev"][kept],
        theta_deg=np.sqrt(table["theta2_deg2"][kept]),
        hadronness=table["hadronness"][kept],
        zd_deg=table["pointing_zd_deg_1"][kept],
    )
    known = telescopes_of(table).is_mono and "stereo_number_1" in table
    in_array = table["stereo_number_1"][kept] > 0 if known else np.ones(len(gammas), dtype=bool)
    return Simulations(gammas, _read_thrown(path), star.read_provenance(path), dict(info.cards), "", 1, in_array)


def _read_thrown(path: Path) -> Thrown:
    """All showers of a Monte Carlo file, and the area of the disc that they were thrown over."""
    original = superstar.read_original_mc(path) or star.read_original_mc(path) or {}
    found = {name.removesuffix("_1"): values for name, values in original.items() if not name.endswith("_2")}
    if "energy_gev" not in found or "telescope_theta_rad" not in found:
        raise InputError(
            f"{path.name} does not say which showers were thrown (tree OriginalMC)",
            hint="star, superstar and melibea copy that tree on; make the file again with them",
        )
    radius_m = _impact_max_m(path)
    if radius_m is None:
        raise InputError(f"{path.name} does not say how far showers were thrown (MMcRunHeader.fImpactMax)")
    return Thrown(
        energy_gev=np.asarray(found["energy_gev"], dtype=np.float64),
        zd_deg=np.degrees(np.asarray(found["telescope_theta_rad"], dtype=np.float64)),
        area_m2=float(np.pi * radius_m**2),
    )


def _impact_max_m(path: Path) -> float | None:
    with open_root(path) as file:
        headers = tree_of(file, "RunHeaders", path)
        for name in ("MMcRunHeader.fImpactMax", "MMcRunHeader_1.fImpactMax"):
            found = read(headers, name, path, 0, 1, optional=True)
            if found is not None and len(found) and float(found[0]) > 0:
                return float(found[0]) / 100.0
    return None


def _read(path: Path) -> dict[str, NDArray[Any]]:
    """Columns of a melibea file that are needed here, as float64 where they are not whole numbers."""
    table = melibea.read_events(path, [branch for branch in melibea.EVENTS if branch.column in COLUMNS])
    return {name: table[name].to_numpy(dtype=np.float64) for name in table}


def _usable(table: dict[str, NDArray[Any]], min_size_phe: float) -> NDArray[np.bool_]:
    """Reconstructed events with finite results and both images above the size."""
    kept = np.isfinite(table["hadronness"]) & np.isfinite(table["energy_gev"]) & np.isfinite(table["reco_x_deg"])
    if "valid" in table:
        kept &= table["valid"] > 0
    for telescope in telescopes_of(table).numbers:
        if min_size_phe > 0:
            kept &= table[f"size_phe_{telescope}"] > min_size_phe
    return np.asarray(kept)


def _pointing(table: dict[str, NDArray[Any]], mjd: Floats, info: RunInfo, path: Path) -> dict[str, Floats]:
    """Pointing of a run, about once in ten seconds, in order of time; names as formats.gadf wants them."""
    from magicpy_assets.science.pointing import radec_of

    order = np.argsort(mjd)
    steps = max(2, int((mjd[order[-1]] - mjd[order[0]]) * DAY_S / 10))
    chosen = order[np.unique(np.linspace(0, len(order) - 1, steps).round().astype(np.int64))]
    found = {
        "mjd": mjd[chosen],
        "zd_deg": table["pointing_zd_deg_1"][chosen],
        "az_deg": table["pointing_az_deg_1"][chosen],
    }
    if "pointing_ra_h_1" in table and np.any(table["pointing_ra_h_1"] != 0):
        found |= {"ra_deg": table["pointing_ra_h_1"][chosen] * 15.0, "dec_deg": table["pointing_dec_deg_1"][chosen]}
    else:
        found["ra_deg"], found["dec_deg"] = radec_of(found["zd_deg"], found["az_deg"], found["mjd"])
    spread = float(np.ptp(found["dec_deg"]))
    if spread > MAX_DRIFT_DEG:
        raise InputError(
            f"{path.name}: the pointing moves by {spread:.2f}° in declination during run {info.run}",
            hint="events of one run must have one wobble position",
        )
    return found


def _joined(parts: Sequence[Any], name: str) -> Floats:
    return np.concatenate([getattr(part, name) for part in parts])
