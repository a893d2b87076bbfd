"""superstar: star files of both telescopes -> stereo parameters (`_S_`), one file for each run.

Events are matched by the number of the array trigger, which both telescopes write down.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from magicpy_assets.core.datalevels import Star, SuperStar
from magicpy_assets.core.errors import InputError
from magicpy_assets.core.runs import DataFile, McFile, parse_name
from magicpy_assets.engine.common import Flags, Log, files_of, output_path, run, version_card
from magicpy_assets.formats import star as star_files
from magicpy_assets.formats.calibrated import DAY_S
from magicpy_assets.formats.runcard import Runcard
from magicpy_assets.formats.superstar import write_superstar
from magicpy_assets.science import corsika, stereo
from magicpy_assets.science.camera import FOCAL_MM
from magicpy_assets.science.live_time import mjd_of
from magicpy_assets.science.pointing import north_angle, radec_in_camera
from magicpy_assets.science.site import MAGNETIC_FIELD_T
from magicpy_assets.store.records import pending

if TYPE_CHECKING:
    import pandas as pd

Columns = dict[str, NDArray[Any]]


def main(argv: Sequence[str]) -> int:
    """Run superstar."""
    flags = Flags("superstar", "star files of M1 and M2 -> stereo parameters")
    flags.with_input("--ind1", "star files of M1").with_input("--ind2", "star files of M2").with_mc()
    return run("superstar", flags, argv, _superstar)


def _superstar(given: Any, card: Runcard, log: Log) -> str:
    runs = _runs(files_of(given.ind1, "--ind1"), 1), _runs(files_of(given.ind2, "--ind2"), 2)
    alone = sorted(runs[0].keys() ^ runs[1].keys())
    if alone:
        raise InputError(f"run {alone[0]} has star files of one telescope only; superstar needs both")
    outputs = {
        key: output_path(given.out, parse_name(files[0]).at(SuperStar).name, given.force)
        for key, files in runs[0].items()
    }
    total = sum(process(runs[0][key], runs[1][key], output, log) for key, output in outputs.items())
    return f"{total} events written to {given.out if len(outputs) > 1 else next(iter(outputs.values()))}"


def _runs(files: list[Path], telescope: int) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for path in files:
        name: DataFile | McFile = parse_name(path)
        if name.level != Star or name.telescope != telescope:
            raise InputError(f"{path.name} is not a star (_I_) file of M{telescope}")
        found.setdefault(str(name.run), []).append(path)
    return found


def process(files1: list[Path], files2: list[Path], output: Path, log: Log) -> int:
    """Turn the star files of one run into a stereo file; returns the number of events written."""
    import pandas as pd

    tables = [pd.concat([_read(path) for path in files], ignore_index=True) for files in (files1, files2)]
    first, second = matched(*tables)
    log(f"{output.name}: {len(tables[0])} images of M1, {len(tables[1])} of M2, {len(first)} in both")
    if len(first) == 0:
        raise InputError(f"no event of {files1[0].name} is in {files2[0].name}: are they of one run?")
    info = star_files.read_header(files1[0])
    events = {f"{name}_1": first[name].to_numpy() for name in first}
    events |= {f"{name}_2": second[name].to_numpy() for name in second}
    events |= reconstruct(events, is_mc=info.is_mc)
    original = star_files.read_original_mc(files1[0])
    with pending(output) as temporary:
        write_superstar(
            temporary,
            info,
            events,
            provenance=star_files.read_provenance(files1[0])
            | {"superstar": "matched by stereo number", "input": " ".join(path.name for path in files1 + files2)}
            | version_card("superstar"),
            drive=joined_drive(files1),
            original_mc={f"{name}_{tel}": values for tel in (1, 2) for name, values in (original or {}).items()}
            or None,
            mc_header=star_files.read_mc_header(files1[0]),
        )
    return len(first)


def _read(path: Path) -> pd.DataFrame:
    table = star_files.read_events(path)
    if "stereo_number" not in table or len(table) == 0:
        raise InputError(f"{path.name} holds no events")
    return table


def joined_drive(files: list[Path]) -> Columns | None:
    """Return the drive reports of the files of a run, each once; None if they have none."""
    reports = [found for path in files if (found := star_files.read_drive(path)) is not None]
    if not reports:
        return None
    joined = {name: np.concatenate([report[name] for report in reports]) for name in reports[0]}
    _, once = np.unique(joined["mjd"], return_index=True)
    return {name: values[once] for name, values in joined.items()}


def matched(first: pd.DataFrame, second: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the events that both telescopes saw, row by row the same event, in the order of M1.

    Matched by stereo number; 0 (no array trigger) matches nothing, and a number that occurs twice in a telescope
    (a bit flip) is left out there.
    """
    kept = []
    for table in (first, second):
        numbers = table["stereo_number"].to_numpy()
        _, inverse, counts = np.unique(numbers, return_inverse=True, return_counts=True)
        kept.append(table[(numbers != 0) & (counts[inverse] == 1)])
    _, in_first, in_second = np.intersect1d(
        kept[0]["stereo_number"].to_numpy(), kept[1]["stereo_number"].to_numpy(), return_indices=True
    )
    order = np.argsort(in_first)
    return kept[0].iloc[in_first[order]].reset_index(drop=True), kept[1].iloc[in_second[order]].reset_index(drop=True)


def reconstruct(events: Columns, *, is_mc: bool) -> Columns:
    """Return the stereo columns of matched events: crossing of the axes, core, impacts, height of maximum."""
    basis = stereo.camera_basis(events["pointing_zd_deg_1"], events["pointing_az_deg_1"])
    x = events["mean_x_mm_1"], events["mean_x_mm_2"]
    y = events["mean_y_mm_1"], events["mean_y_mm_2"]
    direction, crosses = stereo.crossing(x, y, (events["delta_rad_1"], events["delta_rad_2"]), basis)
    shower = stereo.geometry(direction, (stereo.vectors(x[0], y[0], basis), stereo.vectors(x[1], y[1], basis)))
    x_mm, y_mm = stereo.camera_points(direction, basis)
    core_x, core_y = corsika.core_to_corsika_cm(shower.core_east_m, shower.core_north_m)
    x_deg, y_deg = np.degrees(x_mm / FOCAL_MM), np.degrees(y_mm / FOCAL_MM)
    source_x, source_y = (np.degrees(events[f"source_{axis}_mm_1"] / FOCAL_MM) for axis in ("x", "y"))
    ra_deg, dec_deg = radec_columns(events, x_mm, y_mm, is_mc=is_mc)
    field = MAGNETIC_FIELD_T / np.linalg.norm(MAGNETIC_FIELD_T)
    return {
        "direction_x_deg": x_deg,
        "direction_y_deg": y_deg,
        "direction_zd_deg": np.degrees(np.arccos(np.clip(direction[:, 2], -1, 1))),
        "direction_az_deg": np.degrees(np.arctan2(direction[:, 0], direction[:, 1])) % 360.0,
        "direction_ra_h": ra_deg / 15.0,
        "direction_dec_deg": dec_deg,
        "core_x_cm": core_x,
        "core_y_cm": core_y,
        "impact_cm_1": 100.0 * shower.impact_m[0],
        "impact_cm_2": 100.0 * shower.impact_m[1],
        "max_height_cm": 100.0 * shower.max_height_m,
        "theta2_crossing_deg2": (x_deg - source_x) ** 2 + (y_deg - source_y) ** 2,
        "cos_field_angle": direction @ field,
        "valid": crosses.astype(np.int32),
    }


def radec_columns(
    events: Columns, x_mm: NDArray[np.float64], y_mm: NDArray[np.float64], *, is_mc: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the sky position (deg, ICRS) of camera points (mm) of each event; NaN for Monte Carlo, which has no sky.

    The direction of north in the camera turns slowly, so it is found every ten seconds and interpolated.
    """
    if is_mc:
        return np.full(len(x_mm), np.nan), np.full(len(x_mm), np.nan)
    mjd = mjd_of(events)
    steps = max(2, int((mjd.max() - mjd.min()) * DAY_S / 10.0) + 2)
    grid = np.linspace(mjd.min(), mjd.max(), steps)
    order = np.argsort(mjd, kind="stable")
    ra, dec = events["pointing_ra_h_1"] * 15.0, events["pointing_dec_deg_1"]
    # Right ascension may pass zero; in between it must not go the long way round.
    grid_ra = np.interp(grid, mjd[order], np.unwrap(ra[order], period=360.0))
    grid_dec = np.interp(grid, mjd[order], dec[order])
    angle = np.degrees(np.unwrap(np.radians(north_angle(grid_ra, grid_dec, grid))))
    return radec_in_camera(x_mm, y_mm, ra, dec, np.interp(mjd, grid, angle))
