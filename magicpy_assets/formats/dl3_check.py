"""Checking DL3 of any origin: what GADF and gammapy ask for, whether FITS is kept, whether the numbers close.

Nothing is changed. What the format asks for is in `tables/gadf.csv`, each row with its source: what gammapy cannot do
without is an error, what only the standard wants is a warning. gammapy's own `DataStore.check("observations")` cannot
be used (2.1 asks point-like data for a background and fails on its own columns); the parts of it that work are.
"""

from __future__ import annotations

import csv
import logging
import shutil
import subprocess
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from magicpy_assets.core.errors import MagicpyError
from magicpy_assets.formats import dl3, dl3_files

GOOD, NOTE, WARNING, ERROR = "good", "note", "warning", "error"
VERDICTS = (GOOD, NOTE, WARNING, ERROR)
_NEED = {"gammapy": ERROR, "gadf": WARNING, "optional": NOTE}
LIVETIME_TOLERANCE = 1e-3
TIME_TOLERANCE_S = 1e-3
KEEP = "read it with formats.dl3.open_observations, which mends this in memory"


@dataclass(frozen=True)
class Finding:
    """One answer: of which file, by which check, how bad (`good`, `note`, `warning`, `error`), and what to do."""

    file: str
    check: str
    verdict: str
    what: str
    advice: str = ""

    def to_dict(self) -> dict[str, str]:
        """Plain text by name."""
        return asdict(self)


@cache
def rules() -> tuple[dict[str, str], ...]:
    """Return the columns and cards that GADF and gammapy ask for, with the consequence of their absence."""
    text = resources.files("magicpy_assets.formats").joinpath("tables", "gadf.csv").read_text(encoding="utf-8")
    return tuple(csv.DictReader(text.splitlines()))


def check(place: Path | str) -> list[Finding]:
    """Check a folder of DL3 files or one file: at least one finding for each file and check.

    Raises
    ------
    MissingInputError
        If there is no FITS file.
    """
    found: list[Finding] = []
    for path in dl3_files.files(place):
        found += check_file(path)
    return found + _check_index(Path(place))


def worst(findings: Iterable[Finding]) -> str:
    """Return the worst verdict of some findings."""
    return max((finding.verdict for finding in findings), key=VERDICTS.index, default=GOOD)


def check_file(path: Path) -> list[Finding]:
    """Check one file; a check that finds nothing wrong says `good`."""
    checks: dict[str, Callable[[Path], Iterator[tuple[str, str, str]]]] = {
        "FITS standard": _fitsverify,
        "keywords": _keywords,
        "contents": _contents,
        "gammapy": _gammapy,
    }
    found = []
    for name, look in checks.items():
        try:
            seen = [Finding(path.name, name, *answer) for answer in look(path)]
        except MagicpyError as error:
            seen = [Finding(path.name, name, ERROR, error.message, error.hint or "")]
        except Exception as error:  # noqa: BLE001 - whatever foreign files hold, the check of the others goes on
            text = f"it cannot be checked to the end ({type(error).__name__}: {error})"
            seen = [Finding(path.name, name, ERROR, text, "a column or card is missing, or of another kind than usual")]
        found += seen or [Finding(path.name, name, GOOD, "nothing to complain of")]
    return found


def _fitsverify(path: Path) -> Iterator[tuple[str, str, str]]:
    program = shutil.which("fitsverify")
    if program is None:
        yield NOTE, "fitsverify is not installed", "apt install fitsverify, to have the FITS standard checked"
        return
    done = subprocess.run([program, str(path)], capture_output=True, text=True, errors="replace", check=False)
    said = [line.strip() for line in (done.stdout + done.stderr).splitlines()]
    for line in said:
        if line.startswith("*** Error:"):
            yield ERROR, line.removeprefix("*** Error:").strip(), "whoever made the file should write it again"
        elif line.startswith("*** Warning:"):
            yield WARNING, line.removeprefix("*** Warning:").strip(), "harmless to gammapy"
    if done.returncode and not any(line.startswith("*** ") for line in said):
        yield ERROR, f"fitsverify ends with {done.returncode}: {said[-1] if said else ''}", "is this FITS?"


def _keywords(path: Path) -> Iterator[tuple[str, str, str]]:
    with dl3_files.opened(path) as hdus:
        kinds = {_kind(hdu): hdu for hdu in hdus[1:]}
        for kind in ("EVENTS", "GTI"):
            if kind not in kinds:
                yield ERROR, f"there is no {kind} table", "this is not a DL3 file that can be analysed"
        for kind in ("EFF_AREA", "EDISP"):
            if kind not in kinds:
                yield WARNING, f"there is no {kind} response", "maps of counts can be made, fluxes cannot"
        for rule in rules():
            if rule["hdu"] in kinds and rule["class"] in ("", _class(kinds[rule["hdu"]])):
                yield from _rule(rule, kinds[rule["hdu"]])


def _kind(hdu: Any) -> str:
    first = str(hdu.header.get("HDUCLAS1", hdu.name)).upper()
    second = str(hdu.header.get("HDUCLAS2", "")).upper()
    return {"PSF": "RPSF"}.get(second, second) if first == "RESPONSE" else first


def _class(hdu: Any) -> str:
    """How the response is written down; a PSF that does not say is taken for a table."""
    return str(hdu.header.get("HDUCLAS4", "psf_table")).lower()


def _rule(rule: dict[str, str], hdu: Any) -> Iterator[tuple[str, str, str]]:
    import astropy.units as u

    name, verdict = rule["name"], _NEED[rule["need"]]
    where = f"{name} of {hdu.name}"
    if rule["kind"] == "card":
        if name not in hdu.header:
            yield verdict, f"the card {where} is missing", rule["without"]
        return
    if name not in hdu.columns.names:
        yield verdict, f"the column {where} is missing", rule["without"]
        return
    written = hdu.columns[name].unit
    if rule["unit"]:
        try:
            fits_it = bool(written) and u.Unit(written).is_equivalent(u.Unit(rule["unit"]))
        except ValueError:
            fits_it = False
        if not fits_it:
            yield verdict, f"the column {where} has the unit {written!r}, not {rule['unit']}", "give it its unit"


def _contents(path: Path) -> Iterator[tuple[str, str, str]]:
    with dl3_files.opened(path) as hdus:
        kinds = {_kind(hdu): hdu for hdu in hdus[1:]}
        events, gti = kinds.get("EVENTS"), kinds.get("GTI")
        if events is None or gti is None:
            return
        yield from _of_header(events.header)
        yield from _of_times(events, gti)
        names = set(events.columns.names)
        if "RA" in names and len(events.data) and not 0 <= np.min(events.data["RA"]) <= np.max(events.data["RA"]) < 360:
            yield WARNING, "right ascensions lie outside 0 to 360 deg", KEEP
        if "EVENT_ID" in names and len(np.unique(events.data["EVENT_ID"])) < len(events.data):
            yield WARNING, "events share an EVENT_ID", "they cannot be matched with those of other files"
        area = kinds.get("EFF_AREA")
        if area is not None and str(area.header.get("HDUCLAS3", "")).upper() == "POINT-LIKE":
            if "RAD_MAX" not in kinds and "RAD_MAX" not in area.header:
                yield ERROR, "point-like, but without an on radius (RAD_MAX)", "gammapy cannot count on events"
        elif area is not None and "RPSF" not in kinds and "RAD_MAX" not in kinds:
            yield WARNING, "full-enclosure, but without a PSF", "fluxes in a small on region cannot be corrected"
        if "BKG" not in kinds:
            yield NOTE, "there is no background", "maps take their background from a ring: magicpy skymap"


def _of_header(header: Any) -> Iterator[tuple[str, str, str]]:
    equinox = header.get("EQUINOX", 2000.0)
    if not isinstance(equinox, int | float):
        yield WARNING, f"EQUINOX is the text {equinox!r}, not the number 2000.0", KEEP
    twice = sorted({name for name in header if name not in ("COMMENT", "HISTORY", "") and header.count(name) > 1})
    if twice:
        yield WARNING, f"cards are there more than once: {', '.join(twice)}", f"{KEEP}: the first counts"
    if "SIMULATD" not in header:
        yield NOTE, "the file does not say whether it is simulated (SIMULATD)", "taken as real data"
    elif header["SIMULATD"]:
        yield NOTE, "the data is simulated", "nothing made from it is about the real sky"


def _of_times(events: Any, gti: Any) -> Iterator[tuple[str, str, str]]:
    header = events.header
    if gti.data is None or len(gti.data) == 0:
        yield ERROR, "there is no good time", "the run has no exposure"
        return
    if not {"START", "STOP"} <= set(gti.columns.names):
        return  # the keywords have said so
    start, stop = (np.asarray(gti.data[name], dtype=np.float64) for name in ("START", "STOP"))
    good_s = float((stop - start).sum())
    if np.any(stop <= start) or np.any(start[1:] < stop[:-1]):
        yield ERROR, "good time intervals overlap or run backwards", "the exposure is wrong"
    deadc, live_s, on_s = (header.get(name) for name in ("DEADC", "LIVETIME", "ONTIME"))
    if isinstance(deadc, int | float):
        if not 0 < deadc <= 1:
            yield ERROR, f"DEADC is {deadc:g}, not a share of time", "the exposure is wrong"
        wanted_s = good_s * deadc
        if isinstance(live_s, int | float) and abs(live_s - wanted_s) > LIVETIME_TOLERANCE * wanted_s:
            text = f"LIVETIME is {live_s:.1f} s, good time x DEADC {wanted_s:.1f} s"
            yield WARNING, text, "gammapy uses the latter and says nothing"
    if isinstance(on_s, int | float) and abs(on_s - good_s) > LIVETIME_TOLERANCE * good_s:
        yield WARNING, f"ONTIME is {on_s:.1f} s, the good time {good_s:.1f} s", "gammapy uses the good time"
    if len(events.data) == 0:
        yield NOTE, "there are no events", "the run counts as exposure all the same"
        return
    if "TIME" not in events.columns.names:
        return
    shift = sum(86400.0 * (header.get(name, 0.0) - gti.header.get(name, 0.0)) for name in ("MJDREFI", "MJDREFF"))
    times = np.asarray(events.data["TIME"], dtype=np.float64) + shift
    if np.any(np.diff(times) < 0):
        yield WARNING, "events are not in order of time", "harmless to gammapy"
    place = np.clip(np.searchsorted(start, times + TIME_TOLERANCE_S, side="right") - 1, 0, None)
    outside = int(((times < start[place] - TIME_TOLERANCE_S) | (times > stop[place] + TIME_TOLERANCE_S)).sum())
    if outside:
        yield WARNING, f"{outside} of {len(times)} events lie outside the good time", "gammapy leaves them out"


def _gammapy(path: Path) -> Iterator[tuple[str, str, str]]:
    """Read with gammapy itself, then with our reader; all that either says counts."""
    from gammapy.data import Observation
    from gammapy.data.event_list import EventListChecker
    from gammapy.data.observations import ObservationChecker

    with _heard() as said:
        try:
            observation = Observation.read(path)
            records = list(ObservationChecker(observation).run(checks=["gti", "aeff", "edisp"]))
            checks = ["meta", "times", "coordinates_altaz"] if len(observation.events.table) > 1 else ["meta"]
            records += EventListChecker(observation.events).run(checks=checks)
        except Exception as error:  # noqa: BLE001 - whatever gammapy meets in foreign files is an answer
            records = []
            try:
                dl3.open_observations(path)
            except Exception as ours:  # noqa: BLE001 - the same files, the same surprises
                why = ours.message if isinstance(ours, MagicpyError) else f"{type(ours).__name__}: {ours}"
                yield ERROR, f"gammapy cannot read it ({type(error).__name__}: {error})", why
            else:
                yield WARNING, f"gammapy alone cannot read it ({type(error).__name__}: {error})", KEEP
    for line in dict.fromkeys(said):
        yield WARNING, f"gammapy warns: {line}", KEEP
    for record in records:
        if record["level"] in ("warning", "error"):
            yield WARNING, f"gammapy's check: {record['msg']}", ""


def _check_index(place: Path) -> list[Finding]:
    """Check the index files of a folder, if it has any: they must list what is there."""
    from gammapy.data import DataStore

    if not place.is_dir():
        return []
    names = [path.name for path in sorted(place.iterdir()) if path.name in dl3_files.INDEX_NAMES]
    if not names:
        advice = "magicpy reads without; gammapy's DataStore wants them: magicpy dl3 index"
        return [Finding(place.name, "index", NOTE, "there are no index files", advice)]
    again = "make it again: magicpy dl3 index"
    found = []
    with _heard() as said:
        try:
            hdu_name = next((name for name in names if name.startswith("hdu-")), "")
            obs_name = next((name for name in names if name.startswith("obs-")), "")
            store = DataStore.from_dir(place, hdu_name or "hdu-index.fits.gz", obs_name or "obs-index.fits.gz")
            listed = {str(name).strip() for name in store.hdu_table["FILE_NAME"]}
            for name in sorted({path.name for path in dl3_files.files(place)} ^ listed):
                text = f"{name} is {'listed, but not there' if name in listed else 'not listed'}"
                found.append(Finding(place.name, "index", ERROR, text, again))
            found += [
                Finding(place.name, "index", WARNING, f"gammapy's check: {record['msg']}", again)
                for record in store.check(["obs_table", "hdu_table", "consistency"])
                if record["level"] in ("warning", "error")
            ]
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            found.append(Finding(place.name, "index", ERROR, f"it cannot be read: {error}", again))
    found += [Finding(place.name, "index", WARNING, f"gammapy warns: {line}", again) for line in dict.fromkeys(said)]
    return found or [Finding(place.name, "index", GOOD, "nothing to complain of")]


@contextmanager
def _heard() -> Iterator[list[str]]:
    """Collect what gammapy and astropy say by warnings and by their logs."""
    lines: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    listener, log = Listener(logging.WARNING), logging.getLogger("gammapy")
    log.addHandler(listener)
    propagates, log.propagate = log.propagate, False
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            warnings.simplefilter("ignore", ResourceWarning)  # gammapy's own open files say nothing about these
            yield lines
        lines += [str(warning.message).splitlines()[0] for warning in caught]
    finally:
        log.removeHandler(listener)
        log.propagate = propagates
