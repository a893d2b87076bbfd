"""What users give as settings: the values of a settings file and of the environment, by section.

Whether they fit, and what holds without them, is in :mod:`magicpy_assets.core.settings`.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from magicpy_assets.core.errors import ConfigError

FILE_NAME = "magicpy.toml"
PREFIX = "MAGICPY_"
CONFIG_VARIABLE = "MAGICPY_CONFIG"
NO_SETTINGS = frozenset(
    {
        CONFIG_VARIABLE,
        "MAGICPY_DEBUG",
        "MAGICPY_ARCHIVE_PASSWORD",
        "MAGICPY_REAL_DL3",
        "MAGICPY_SCREENSHOTS",
        "MAGICPY_CODE_HOST",
        "MAGICPY_CODE_PORT",
        "MAGICPY_POSTGRES_HOST",
        "MAGICPY_POSTGRES_PORT",
        "MAGICPY_POSTGRES_USER",
        "MAGICPY_POSTGRES_PASSWORD",
        "MAGICPY_POSTGRES_DATABASE",
    }
)
PATHS = (
    ("store",),
    ("compare_with",),
    ("archive", "in_place"),
    ("mars", "marssys"),
    ("mars", "rootsys"),
    ("compute", "logs"),
    ("compute", "python"),
    ("observatory", "cache"),
)
LISTS = ("sources", "periods", "telescopes", "mars.keep", "compute.setup", "compute.directives")


def find_file(config: Path | str | None) -> Path | None:
    """Return the settings file in force: the one named, by the environment too, else the nearest; None without one.

    Raises
    ------
    ConfigError
        If the file that was named is not there.
    """
    named = config or os.environ.get(CONFIG_VARIABLE)
    if named:
        path = Path(named)
        if not path.is_file():
            raise ConfigError(f"there is no settings file {path}")
        return path
    here = Path.cwd()
    return next((folder / FILE_NAME for folder in (here, *here.parents) if (folder / FILE_NAME).is_file()), None)


def read_file(path: Path) -> dict[str, Any]:
    """Return the values of a settings file, its paths as seen from anywhere.

    Raises
    ------
    ConfigError
        If it is not TOML.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error
    # A relative path in the file is meant from the file's own folder.
    for *sections, name in PATHS:
        place = values
        for section in sections:
            place = place.get(section, {}) if isinstance(place, dict) else {}
        if isinstance(place, dict) and isinstance(place.get(name), str):
            place[name] = str(path.absolute().parent / Path(place[name]).expanduser())
    return values


def is_setting(variable: str) -> bool:
    """Tell whether a variable of the environment sets something here."""
    return variable.startswith(PREFIX) and variable not in NO_SETTINGS


def from_environment() -> dict[str, Any]:
    """Return the values that variables of the environment give."""
    found: dict[str, Any] = {}
    for name, value in os.environ.items():
        if is_setting(name):
            key = name.removeprefix(PREFIX).lower().replace("__", ".")
            found[key] = tuple(value.split(",")) if key in LISTS else value
    return nested(found)


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values by dotted key as sections within sections."""
    result: dict[str, Any] = {}
    for key, value in values.items():
        *sections, name = key.split(".")
        place = result
        for section in sections:
            place = place.setdefault(section, {})
        if isinstance(value, Mapping):
            place.setdefault(name, {}).update(value)
        else:
            place[name] = value
    return result


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return sections within sections as values by dotted key."""
    result: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            result |= flat(value, f"{prefix}{key}.")
        else:
            result[prefix + key] = value
    return result
