"""What `magicpy doctor` looks at: settings, Python, packages, store, programs, where they run, data server."""

from __future__ import annotations

import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from filelock import FileLock, Timeout

from magicpy_assets.compute.health import queue_state
from magicpy_assets.core import datalevels
from magicpy_assets.core.credentials import archive_password
from magicpy_assets.core.errors import AccessDeniedError, MagicpyError
from magicpy_assets.core.settings import Settings, load_settings
from magicpy_assets.mars.installation import CHAIN, UNKNOWN_VERSION, Installation, places
from magicpy_assets.pipeline.session import Session, open_session
from magicpy_assets.version import __version__

PACKAGES = ("dagster", "dagster-webserver", "uproot", "numba", "gammapy", "pyirf", "scikit-learn", "pandas", "pyarrow")
LITTLE_SPACE_GB = 2.0
OLDEST_PYTHON = (3, 11)


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
    found += [_python(), *_packages(), _store(settings), _locks(settings), _queue(settings), *_engines(settings)]
    try:
        session = open_session(settings)
    except MagicpyError as error:
        return [*found, Finding("programs", False, error.message, error.hint or "mend the mars settings above")]
    with session:
        found.append(_programs(session))
        found += _server(session)
    return found


def _python() -> Finding:
    good = sys.version_info >= OLDEST_PYTHON
    wanted = ".".join(map(str, OLDEST_PYTHON))
    return Finding("python", good, f"{platform.python_version()}, {sys.executable}", f"use Python {wanted} or newer")


def _packages() -> list[Finding]:
    found = []
    for name in PACKAGES:
        try:
            found.append(Finding(f"package {name}", True, version(name)))
        except PackageNotFoundError:
            found.append(Finding(f"package {name}", False, "not installed", "install magicpy_assets again"))
    return found


# The store


def _store(settings: Settings) -> Finding:
    root = Path(settings.store).absolute()
    folder = next(parent for parent in (root, *root.parents) if parent.exists())
    free = shutil.disk_usage(folder).free / 1e9
    text = f"{root}, {free:.0f} GB free"
    probe = folder / ".magicpy-probe"
    try:
        with FileLock(probe).acquire(timeout=5):
            pass
    except Timeout:
        return Finding("store", False, f"{root}: files cannot be locked there", "set store to another disk")
    except OSError as error:
        return Finding("store", False, f"{root} cannot be written to: {error}", "set store to another folder")
    finally:
        _forget(probe)
    return Finding("store", free > LITTLE_SPACE_GB, text, "make room, or set store to another disk")


def _forget(probe: Path) -> None:
    try:
        probe.unlink(missing_ok=True)
    except OSError:
        return  # where it could not be made


def _locks(settings: Settings) -> Finding:
    """Say who is at work in the store, and what killed processes have left; the next run mends that by itself."""
    marks = list(Path(settings.store).absolute().rglob("*.busy"))
    held = [mark for mark in marks if _is_held(mark.with_suffix(".lock"))]
    words = [f"{len(held)} products being made now"] if held else []
    left = len(marks) - len(held)
    words += [f"{left} left by processes that were killed: their next run clears them"] if left else []
    return Finding("locks", True, ", ".join(words) or "none")


def _is_held(path: Path) -> bool:
    try:
        with FileLock(path).acquire(timeout=0):
            return False
    except (Timeout, OSError):
        return True


# Programs, and where they run


def _queue(settings: Settings) -> Finding:
    state = queue_state(settings.compute)
    return Finding("queue", state.good, state.text, state.hint)


def _engines(settings: Settings) -> Iterator[Finding]:
    yield Finding("embedded engine", True, f"version {__version__}")
    marssys, rootsys = places(settings)
    if marssys is None:
        yield Finding("installed MARS", True, "none: neither mars.marssys nor $MARSSYS is set")
        return
    found = Installation(marssys, rootsys, keep=settings.mars.keep)
    there = [name for name, path in found.programs().items() if path is not None]
    versions = {name: found.version_of(name) for name in there if name in CHAIN}
    told = ", ".join(sorted(set(versions.values()))) or "no program of the chain"
    yield Finding("installed MARS", True, f"{marssys}: {told}; {', '.join(there) or 'nothing'}; ROOT: {rootsys or '-'}")


def _programs(session: Session) -> Finding:
    installation = session.installation
    text = f"{installation}, {installation.version}"
    faults = installation.mismatches(simulated=session.settings.archive.url == "embedded")
    if faults:
        return Finding("programs", False, "; ".join(faults), "set archive.url, or mars.installation = 'embedded'")
    silent = next((name for name in CHAIN if installation.version_of(name) == UNKNOWN_VERSION), None)
    if silent:
        words = " ".join(installation.ask(silent).split())[-200:]
        return Finding("programs", False, f"{silent} does not tell its version: {words}", "is mars.rootsys its ROOT?")
    return Finding("programs", True, text)


# The data server


def _server(session: Session) -> list[Finding]:
    """Return whether the server answers, and whether it lets us in."""
    archive = session.settings.archive
    place = str(archive.in_place or archive.url)
    known = "found" if archive.url != "embedded" and archive_password(session.settings) else "none"
    who = f"{archive.user or 'nobody'}, password: {known}" if archive.url != "embedded" else "by itself"
    try:
        names = session.archive.sources(datalevels.Calibrated)
    except AccessDeniedError as error:
        return [
            Finding("data server", True, f"{place} answers"),
            Finding("login", False, f"{error.message} ({who})", error.hint or "set archive.user and the password"),
        ]
    except MagicpyError as error:
        return [Finding("data server", False, error.message, error.hint or "")]
    return [Finding("data server", True, f"{place} answers: {len(names)} sources"), Finding("login", True, who)]
