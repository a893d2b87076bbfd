"""Settings: one frozen object, from `magicpy.toml`, the environment and arguments, each over the one before.

Unknown keys and values that do not fit are refused all at once, with the nearest names. Passwords are no settings.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, field_validator

from magicpy_assets.core import periods as known_periods
from magicpy_assets.core import sources as known_sources
from magicpy_assets.core.compute_settings import ComputeSettings
from magicpy_assets.core.errors import ConfigError, InputError, unknown
from magicpy_assets.core.given_settings import PATHS, PREFIX, find_file, flat, from_environment, nested, read_file
from magicpy_assets.core.result_settings import Dl3Settings, SpectraSettings
from magicpy_assets.core.telescopes import ALLOWED, Telescopes, of


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ArchiveSettings(_Section):
    """The data server."""

    url: str = Field(
        default="embedded", description="'embedded' for the simulated observatory, or the server's http(s) address"
    )
    user: str | None = Field(
        default=None, description="login name; the password comes from environment, netrc or keyring"
    )
    concurrency: int = Field(default=4, ge=1, le=64, description="files fetched at the same time")
    start_from: Literal["calibrated", "superstar"] = Field(
        default="calibrated", description="where weak-moon cells begin; brighter ones always begin with calibrated"
    )
    in_place: Path | None = Field(
        default=None,
        description="folder like the data server's Data; its files are used where they lie, none is copied",
    )
    offline: bool = Field(default=False, description="use the last listings and ask the server nothing")


ProgramSource = Literal["embedded", "installed"]


class StageSettings(_Section):
    """Programs that come from elsewhere than `mars.installation` says."""

    star: ProgramSource | None = Field(default=None, description="star: 'embedded' or 'installed'")
    superstar: ProgramSource | None = Field(default=None, description="superstar, likewise")
    coach: ProgramSource | None = Field(default=None, description="coach, likewise")
    melibea: ProgramSource | None = Field(default=None, description="melibea, likewise")
    dl3: Literal["embedded"] | None = Field(default=None, description="dl3: MARS has no such program in public")
    spectra: Literal["embedded"] | None = Field(default=None, description="spectra: of this package alone")


class MarsSettings(_Section):
    """The analysis programs."""

    installation: ProgramSource = Field(default="embedded", description="which programs to use")
    stages: StageSettings = StageSettings()
    marssys: Path | None = Field(default=None, description="root of an installed MARS; by default $MARSSYS")
    rootsys: Path | None = Field(default=None, description="root of the ROOT it was built with; by default $ROOTSYS")
    keep: tuple[str, ...] = Field(
        default=(), description="environment variables of ours that programs of an installed MARS get as well"
    )
    time_limit_s: float | None = Field(
        default=86400.0, gt=0, description="after that many seconds a program of an installed MARS is stopped"
    )


class ObservatorySettings(_Section):
    """The embedded observatory."""

    seed: int = Field(default=316, ge=0, description="everything simulated follows from it")
    cache: Path | None = Field(
        default=None, description="where made files are kept; by default in the user's cache folder"
    )

    @property
    def folder(self) -> Path:
        """The cache folder in force."""
        if self.cache is not None:
            return self.cache
        from platformdirs import user_cache_path

        return user_cache_path("magicpy_assets") / "observatory"


class ForestSettings(_Section):
    """The forests."""

    model: Literal["random_forest", "xgboost"] = Field(
        default="xgboost", description="random forests, or boosted trees"
    )
    off_hours: float = Field(
        default=10.0, gt=0, le=1000, description="OFF data that a cell is trained with where none were selected, hours"
    )
    zenith_margin_deg: float = Field(
        default=0.0, ge=0, le=10, description="how far OFF data may lie outside the zenith range of a cell, deg"
    )


class Settings(_Section):
    """Everything that can be set."""

    store: Path = Field(default=Path("magicpy_store"), description="folder of all products")
    sources: tuple[str, ...] = Field(default=("CrabNebula",), description="sources that Dagster shows")
    periods: tuple[str, ...] = Field(default=("ST0316",), description="observing periods that Dagster shows")
    telescopes: tuple[int, ...] = Field(
        default=(1, 2), description="telescopes that are used: [1, 2] together, [1] or [2] alone (mono)"
    )
    automation: Literal["sensor", "declarative"] = Field(
        default="sensor", description="who asks for new cells in Dagster: a sensor, or the conditions of the assets"
    )
    night_check_s: int = Field(default=300, ge=5, description="how often Dagster's sensor looks for new nights, s")
    compare_with: Path | None = Field(
        default=None, description="folder of melibea files of another analysis, of MARS for example; Dagster compares"
    )
    archive: ArchiveSettings = ArchiveSettings()
    mars: MarsSettings = MarsSettings()
    compute: ComputeSettings = ComputeSettings()
    observatory: ObservatorySettings = ObservatorySettings()
    forest: ForestSettings = ForestSettings()
    dl3: Dl3Settings = Dl3Settings()
    spectra: SpectraSettings = SpectraSettings()

    _origins: dict[str, str] = PrivateAttr(default_factory=dict)

    @field_validator("telescopes", mode="before")
    @classmethod
    def _known_telescopes(cls, value: Any) -> tuple[int, ...]:
        try:
            return of(value).numbers
        except (InputError, TypeError) as error:
            raise ValueError(f"allowed are {ALLOWED}") from error

    @property
    def array(self) -> Telescopes:
        """The telescopes that are used."""
        return of(self.telescopes)

    @field_validator("sources")
    @classmethod
    def _by_their_names(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        """Give sources the names of the table, each once; others stay as they are."""
        return tuple(dict.fromkeys(known_sources.normal_name(name) for name in given))

    @field_validator("periods")
    @classmethod
    def _known(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        """Give periods their one name, each once, and refuse those that there are not."""
        try:
            return tuple(dict.fromkeys(known_periods.by_name(name).name for name in given))
        except LookupError as error:
            raise ValueError(str(error)) from error

    @property
    def origins(self) -> Mapping[str, str]:
        """Where each value that is not a default came from, by dotted key."""
        return dict(self._origins)

    def to_toml(self) -> str:
        """Return all settings as the text of a settings file, paths as seen from here; what is not set is left out."""
        import tomli_w

        values = self.model_dump(mode="json", exclude_none=True)
        for *sections, key in PATHS:
            place = values
            for section in sections:
                place = place[section]
            if key in place:
                place[key] = str(Path(place[key]).absolute())
        return tomli_w.dumps(values)

    def explain(self) -> list[tuple[str, str, str, str]]:
        """Return a row per setting: dotted key, value, where it came from, meaning."""
        rows = []
        for key, value, meaning in _leaves(self, ""):
            rows.append((key, "" if value is None else str(value), self._origins.get(key, "default"), meaning))
        return rows


def _leaves(section: BaseModel, prefix: str) -> list[tuple[str, Any, str]]:
    found = []
    for name, described in type(section).model_fields.items():
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            found += _leaves(value, f"{prefix}{name}.")
        else:
            found.append((prefix + name, value, described.description or ""))
    return found


def known_keys() -> list[str]:
    """Return the dotted keys of all settings."""
    return [key for key, _, _ in _leaves(Settings(), "")]


def load_settings(config: Path | str | None = None, **arguments: Any) -> Settings:
    """Read the settings in force.

    Parameters
    ----------
    config
        A TOML file; by default `$MAGICPY_CONFIG`, or `magicpy.toml` in the working directory or above it.
    arguments
        Values over file and environment: sections as dictionaries, ``archive={"url": ...}``.

    Raises
    ------
    ConfigError
        For unknown keys or values that do not fit, all of them at once.
    """
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    path = find_file(config)
    layers: list[tuple[str, dict[str, Any]]] = []
    if path is not None:
        layers.append((str(path), read_file(path)))
    layers.append(("environment", from_environment()))
    layers.append(("argument", nested(arguments)))
    faults: list[str] = []
    for origin, layer in layers:
        for key, value in flat(layer).items():
            name = f"{PREFIX}{key.upper().replace('.', '__')}" if origin == "environment" else origin
            if key not in known_keys():
                faults.append(f"{name}: unknown setting {key!r}{_near(key)}")
                continue
            values[key], origins[key] = value, name
    if faults:
        raise ConfigError("\n".join(faults), hint="`magicpy doctor` lists all settings")
    try:
        settings = Settings.model_validate(nested(values))
    except ValidationError as error:
        lines = []
        for fault in error.errors():
            key = ".".join(str(part) for part in fault["loc"] if isinstance(part, str))
            lines.append(f"{origins.get(key, 'default')}: {key} = {fault['input']!r}: {fault['msg']}")
        raise ConfigError("\n".join(lines)) from error
    settings._origins.update(origins)
    return settings


def _near(key: str) -> str:
    hint = unknown("setting", key, known_keys()).hint or ""
    return f" ({hint})" if hint.startswith("did you mean") else ""
