"""What `magicpy doctor` looks at: settings, store, data server, programs, packages."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from magicpy_assets.core import datalevels
from magicpy_assets.core.errors import MagicpyError
from magicpy_assets.core.settings import Settings, load_settings
from magicpy_assets.pipeline.session import Session, open_session

PACKAGES = ("dagster", "dagster-webserver", "uproot", "numba", "gammapy", "pyirf", "scikit-learn", "pandas", "pyarrow")
LITTLE_SPACE_GB = 2.0


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: whether it is good, what was found, how to mend it."""

    what: str
    good: bool
    text: str
    hint: str = ""


def examine() -> list[Finding]:
    """Look at everything; nothing that fails stops the rest."""
    try:
        settings = load_settings()
    except MagicpyError as error:
        return [Finding("settings", False, error.message, error.hint or "")]
    found = [
        Finding(f"setting {key}", True, f"{value or '-'} ({origin})") for key, value, origin, _ in settings.explain()
    ]
    found += [_store(settings), *_packages()]
    try:
        session = open_session(settings)
    except MagicpyError as error:
        return [*found, Finding("programs", False, error.message, error.hint or "mend the mars settings above")]
    with session:
        found.append(_try("programs", lambda: f"{session.installation}, {session.installation.version}"))
        found.append(_try("data server", lambda: _server(session)))
    return found


def _try(what: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(what, True, look())
    except MagicpyError as error:
        return Finding(what, False, error.message, error.hint or "")


def _server(session: Session) -> str:
    names = session.archive.sources(datalevels.Calibrated)
    archive = session.settings.archive
    where = f"{archive.in_place}, in place" if archive.in_place else f"{archive.url} answers"
    return "; ".join([f"{where}: {len(names)} sources", *([session.age] if session.age else [])])


def _store(settings: Settings) -> Finding:
    root = Path(settings.store).absolute()
    folder = next(parent for parent in (root, *root.parents) if parent.exists())
    free = shutil.disk_usage(folder).free / 1e9
    text = f"{root}, {free:.0f} GB free"
    try:
        probe = folder / ".magicpy-probe"
        probe.write_text("")
        probe.unlink()
    except OSError as error:
        return Finding("store", False, f"{root} cannot be written to: {error}", "set store to another folder")
    return Finding("store", free > LITTLE_SPACE_GB, text, "make room, or set store to another disk")


def _packages() -> list[Finding]:
    found = []
    for name in PACKAGES:
        try:
            found.append(Finding(f"package {name}", True, version(name)))
        except PackageNotFoundError:
            found.append(Finding(f"package {name}", False, "not installed", "install magicpy_assets again"))
    return found
