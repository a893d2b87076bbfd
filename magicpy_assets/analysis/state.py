"""Saved analyses: what was selected and how it is set, as a small TOML file that people can read and edit.

It lies in `<store>/<Source>/analysis.toml`. Products are not in it: the records beside them know what is there. The
conditions of the filters are kept beside the runs: applied again, they let in runs that were taken since then.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from magicpy_assets.core.errors import InputError, MissingInputError
from magicpy_assets.core.selection import as_plain
from magicpy_assets.core.settings import Settings, load_settings
from magicpy_assets.store.layout import Layout
from magicpy_assets.store.records import pending

FILE_NAME = "analysis.toml"
SEARCHES = "searches"
VERSION = 1
_RANGE = {"from", "to"}


@dataclass(frozen=True)
class Saved:
    """A saved analysis.

    Attributes
    ----------
    source, period
        What was searched for; no period means all.
    conditions
        Filters in order: column and condition.
    runs
        The runs that were selected.
    settings
        Settings that were not the default, by dotted key.
    saved
        When, UTC.
    """

    source: str
    period: str | None
    conditions: tuple[tuple[str, Any], ...]
    runs: tuple[int, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    saved: datetime | None = None


@dataclass(frozen=True)
class Since:
    """What has changed among selected runs: run numbers that are new, and that are gone."""

    new: tuple[int, ...]
    gone: tuple[int, ...]

    def __str__(self) -> str:
        if not (self.new or self.gone):
            return "nothing has changed"
        return "; ".join(
            f"{len(runs)} runs {word}: {', '.join(map(str, runs))}"
            for word, runs in (("new", self.new), ("gone", self.gone))
            if runs
        )


def compared(before: Iterable[int], now: Iterable[int]) -> Since:
    """Compare two selections by run number."""
    old, current = set(before), set(now)
    return Since(tuple(sorted(current - old)), tuple(sorted(old - current)))


def place_of(layout: Layout, source: str, search: str | None = None) -> Path:
    """Return where an analysis, or a search under a name, is kept."""
    folder = layout.root / source
    return folder / FILE_NAME if search is None else folder / SEARCHES / f"{_plain_name(search)}.toml"


def _plain_name(name: str) -> str:
    if not name or name.startswith(".") or any(not (sign.isalnum() or sign in "-_.") for sign in name):
        raise InputError(f"{name!r} cannot be the name of a search", hint="use letters, digits, - and _")
    return name


def explicit(settings: Settings) -> dict[str, Any]:
    """Return the settings that were made on purpose, by dotted key; where the store is does not belong to them."""
    found: dict[str, Any] = {}
    for key in settings.origins:
        value: Any = settings.model_dump(mode="json")
        for name in key.split("."):
            value = value[name]
        if key != "store" and value is not None:
            found[key] = value
    return found


def in_force(settings: Settings, saved: Saved) -> Settings:
    """Return the settings with which a saved analysis goes on: its own, unless they are made otherwise now."""
    fresh = {key: value for key, value in saved.settings.items() if key not in settings.origins}
    return settings if not fresh else load_settings(**{**explicit(settings), "store": str(settings.store), **fresh})


def write(path: Path, saved: Saved) -> None:
    """Write an analysis.

    Raises
    ------
    InputError
        For a condition that is a function: it cannot be written down.
    """
    import tomli_w

    document = {
        "version": VERSION,
        "source": saved.source,
        **({"period": saved.period} if saved.period else {}),
        "saved": (saved.saved or datetime.now(UTC)).replace(microsecond=0),
        "runs": list(saved.runs),
        "filter": [{"column": column, "condition": _written(column, value)} for column, value in saved.conditions],
        "settings": dict(saved.settings),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with pending(path) as temporary:
        temporary.write_text(tomli_w.dumps(document), encoding="utf-8")


def _written(column: str, condition: Any) -> Any:
    if callable(condition):
        raise InputError(
            f"the condition on {column} is a function, which cannot be saved",
            hint='write it as a value, a list, a range or a comparison such as ">0.0"',
        )
    if isinstance(condition, tuple):
        return {name: as_plain(end) for name, end in zip(("from", "to"), condition, strict=True) if end is not None}
    if isinstance(condition, list):
        return [as_plain(item) for item in condition]
    if isinstance(condition, set | frozenset):
        return sorted((as_plain(item) for item in condition), key=str)
    return as_plain(condition)


def read(path: Path) -> Saved:
    """Read an analysis.

    Raises
    ------
    MissingInputError
        If there is none.
    InputError
        If the file cannot be understood; it is left as it is.
    """
    if not path.is_file():
        raise MissingInputError(f"there is no saved analysis {path}", hint="save one with .save()")
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is no TOML any more: {error}", hint="mend it by hand, or save again") from error
    if values.get("version") != VERSION:
        raise InputError(
            f"{path} is of version {values.get('version', 'none')}, this program reads {VERSION}",
            hint="it was left as it is; move it away and save again, or use the program that wrote it",
        )
    try:
        return Saved(
            source=_text(values["source"]),
            period=_text(values["period"]) if "period" in values else None,
            conditions=tuple((_text(row["column"]), _read_condition(row["condition"])) for row in values["filter"]),
            runs=tuple(int(run) for run in values["runs"]),
            settings={_text(key): value for key, value in values["settings"].items()},
            saved=values["saved"],
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path} is not complete: {error!r}", hint="mend it by hand, or save again") from error


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _read_condition(value: Any) -> Any:
    if isinstance(value, dict):
        if not value or set(value) - _RANGE:
            raise ValueError(f"{value} is no range")
        return value.get("from"), value.get("to")
    if not isinstance(value, str | int | float | bool | list | date | datetime):
        raise TypeError(f"{value!r} is no condition")
    return value
