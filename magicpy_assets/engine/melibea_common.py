"""What melibea does alike with one telescope and with both: the forests that flags name, and columns of directions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from magicpy_assets.core.errors import InputError, MissingInputError
from magicpy_assets.engine.superstar import radec_columns
from magicpy_assets.formats.forests import read_forest
from magicpy_assets.science.camera import FOCAL_MM

Columns = dict[str, NDArray[Any]]
Loaded = tuple[Any, dict[str, str]]
"""A forest (or table) and its provenance."""


def named_files(given: Any, meant: Mapping[str, str], hint: str) -> dict[str, Path]:
    """Return the files of forests by the flags that name them; `meant` says what each flag is for.

    Raises
    ------
    MissingInputError
        If forests are missing: all of them are named at once.
    """
    paths = {flag: getattr(given, flag.removeprefix("--")) for flag in meant}
    faults = [
        f"{flag}= ({meant[flag]} forest) " + ("is missing" if path is None else f"names no file: {path}")
        for flag, path in paths.items()
        if path is None or not path.is_file()
    ]
    if faults:
        raise MissingInputError("; ".join(faults), hint=hint)
    return paths


def load(paths: Mapping[str, Path]) -> dict[str, Loaded]:
    """Read forests, by flag."""
    return {flag: read_forest(path) for flag, path in paths.items()}


def cards(loaded: Mapping[str, Loaded], meant: Mapping[str, str]) -> dict[str, str]:
    """Return what files made with the forests say of them.

    Raises
    ------
    InputError
        If the forests were trained in different ways.
    """
    trained = {provenance.get("coach", "") for _, provenance in loaded.values()}
    if len(trained) > 1:
        raise InputError("the forests were trained in different ways: " + " | ".join(sorted(trained)))
    versions = {provenance["coach version"] for _, provenance in loaded.values() if "coach version" in provenance}
    told = {"coach version": ", ".join(sorted(versions))} if versions else {}
    return {f"forest {meant[flag]}": loaded[flag][0].identity for flag in meant} | {
        "forest trained": trained.pop(),
        **told,
    }


def direction_columns(events: Columns, x_mm: NDArray[Any], y_mm: NDArray[Any], *, is_mc: bool) -> Columns:
    """Return what is known of directions in the camera (mm): in the camera (deg), in the sky, and theta2 (deg2)."""
    ra_deg, dec_deg = radec_columns(events, x_mm, y_mm, is_mc=is_mc)
    apart_mm = np.hypot(x_mm - events["source_x_mm_1"], y_mm - events["source_y_mm_1"])
    return {
        "reco_x_deg": np.degrees(x_mm / FOCAL_MM),
        "reco_y_deg": np.degrees(y_mm / FOCAL_MM),
        "reco_ra_h": ra_deg / 15.0,
        "reco_dec_deg": dec_deg,
        "theta2_deg2": np.degrees(apart_mm / FOCAL_MM) ** 2,
    }


def of_all(values: Columns, good: NDArray[np.bool_]) -> Columns:
    """Return columns that are known for some events as columns of all, NaN elsewhere."""
    result = {}
    for name, known in values.items():
        result[name] = np.full(len(good), np.nan)
        result[name][good] = known
    return result
