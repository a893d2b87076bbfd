"""Saved analyses: what was selected and how it is set, as a small TOML file that people can read and edit.

It lies in `<store>/<Source>/analysis.toml`, that of a mono analysis in `analysis-M1.toml`. Products are not in it: the
records beside them know what is there. The conditions of the filters are kept beside the runs: applied again, they let
in runs that were taken since then.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from magicpy_assets.core.errors import InputError, MissingInputError
from magicpy_assets.core.selection import as_plain
from magicpy_assets.core.settings import Settings, load_settings
from magicpy_assets.store.layout import Layout
from magicpy_assets.store.records import pending

if TYPE_CHECKING:
    import pandas as pd

FILE_NAME = "analysis.toml"
SEARCHES = "searches"
VERSION = 1
LOOKED_AT = ("cell", "duration_s", "nsb")
"""What is kept of each run: when one of these differs, it has changed."""
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
    seen
        What was known of each run, by its number: the columns `LOOKED_AT`. Runs of older files have nothing.
    """

    source: str
    period: str | None
    conditions: tuple[tuple[str, Any], ...]
    runs: tuple[int, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    saved: datetime | None = None
    seen: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Since:
    """What has changed among selected runs: run numbers that are new, that are gone, and that are not what they were.

    `changed` says of each of these what was and what is, by column.
    """

    new: tuple[int, ...]
    gone: tuple[int, ...]
    changed: Mapping[int, Mapping[str, tuple[Any, Any]]] = field(default_factory=dict)

    def __str__(self) -> str:
        if not (self.new or self.gone or self.changed):
            return "nothing has changed"
        parts = [
            f"{_runs(len(runs))} {word}: {', '.join(map(str, runs))}"
            for word, runs in (("new", self.new), ("gone", self.gone))
            if runs
        ]
        if self.changed:
            each = (
                f"{run} ({', '.join(f'{column} {old} -> {new}' for column, (old, new) in columns.items())})"
                for run, columns in self.changed.items()
            )
            parts.append(f"{_runs(len(self.changed))} changed: {', '.join(each)}")
        return "; ".join(parts)


def _runs(count: int) -> str:
    return f"{count} run{'' if count == 1 else 's'}"


def seen_of(runs: pd.DataFrame) -> dict[int, dict[str, Any]]:
    """Return what is kept of each run of a run table, by its number: the columns `LOOKED_AT`."""
    kept = {
        "cell": runs["cell"].astype(str),
        "duration_s": runs["duration_s"].astype(float).round(1),
        "nsb": runs["nsb"].astype(float).round(2),
    }
    return {
        int(run): dict(zip(kept, values, strict=True))
        for run, *values in zip(runs["run"].tolist(), *(kept[name].tolist() for name in LOOKED_AT), strict=True)
    }


def compared(before: Saved, now: pd.DataFrame) -> Since:
    """Compare runs that were kept with a run table of now."""
    old, current = set(before.runs), seen_of(now)
    changed = {}
    for run in sorted(old & set(current) & set(before.seen)):
        was, now_is = before.seen[run], current[run]
        columns = {
            name: (was[name], now_is[name]) for name in LOOKED_AT if name in was and not _same(was[name], now_is[name])
        }
        if columns:
            changed[run] = columns
    return Since(tuple(sorted(set(current) - old)), tuple(sorted(old - set(current))), changed)


def _same(one: Any, other: Any) -> bool:
    return bool(one == other or (one != one and other != other))  # a number that is none equals nothing


def place_of(layout: Layout, source: str, search: str | None = None) -> Path:
    """Return where an analysis, or a search under a name, is kept."""
    folder = layout.root / source
    if search is not None:
        return folder / SEARCHES / f"{_plain_name(search)}.toml"
    return folder / f"{Path(FILE_NAME).stem}{layout.telescopes.suffix}.toml"


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
        "seen": {str(run): dict(columns) for run, columns in saved.seen.items()},
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
            runs=tuple(_whole(run) for run in values["runs"]),
            settings={_text(key): value for key, value in values["settings"].items()},
            saved=_time(values["saved"]),
            seen={int(run): dict(columns) for run, columns in values.get("seen", {}).items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path} is not complete: {error!r}", hint="mend it by hand, or save again") from error


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{value!r} is no run number")
    return value


def _time(value: Any) -> datetime:
    if not isinstance(value, datetime):
        raise TypeError(f"{value!r} is no time at which something was saved")
    return value


def _read_condition(value: Any) -> Any:
    if isinstance(value, dict):
        if set(value) - _RANGE:
            raise ValueError(f"{value} is no range")
        return value.get("from"), value.get("to")
    if not isinstance(value, str | int | float | bool | list | date | datetime):
        raise TypeError(f"{value!r} is no condition")
    return value
