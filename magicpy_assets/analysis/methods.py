"""The methods paragraph of a paper, written from what the records and headers of the products say."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from magicpy_assets.core import datalevels, moons
from magicpy_assets.mars.programs import TRAINING_REPORT
from magicpy_assets.store.records import Record, read_record

if TYPE_CHECKING:
    from magicpy_assets.analysis.source import Source
    from magicpy_assets.core.cell import Cell


def methods_of(source: Source, chosen: Iterable[str]) -> list[str]:
    """Return the paragraphs; `chosen` are sentences on cuts and energies. Without DL3 files there is one sentence."""
    files = source.files(datalevels.DL3)
    if not files:
        return ["No run has been brought to DL3, so there are no methods to tell of."]
    cells = list(files)
    paths = [path for its in files.values() for path in its]
    return [
        _images(source, cells),
        _forests(source, cells),
        _responses(source, paths),
        " ".join(f"{line}." for line in chosen),
        _fits(),
        f"Programs: {_programs(source, cells, paths)}.",
    ]


def _images(source: Source, cells: list[Cell]) -> str:
    treated = source.moon_check().treatments
    levels = treated.dropna(subset=["level1_phe"]).groupby(["level1_phe", "level2_phe"]).size()
    words = ", ".join(f"{first:g} and {second:g} phe ({count} runs)" for (first, second), count in levels.items())
    names = {cell.moon.key for cell in cells}
    moon = ", ".join(level.key for level in moons.ALL if level.key in names)
    said = (
        f"The data were taken under {moon} moonlight. The sky brightness of each run was measured from its pedestals,"
        " and images were cleaned with levels that follow from it (Ahnen et al. 2017, Astropart. Phys. 94, 29):"
        f" {words}."
    )
    if names == {moons.WeakMoon.key}:
        return said
    return f"{said} Monte Carlo and darker OFF data were brought to the noise of the brighter cells."


def _forests(source: Source, cells: list[Cell]) -> str:
    reports = []
    for cell in cells:
        path = source.session.layout.forest(source.forests.get(cell, cell)) / TRAINING_REPORT
        if path.is_file():
            reports.append(json.loads(path.read_text(encoding="utf-8")))
    if not reports:
        return "The forests that were applied have left no report."
    gammas, hadrons = (_span([found[name] for found in reports]) for name in ("gamma_events", "off_events"))
    models = ", ".join(sorted({str(found["model"]).replace("_", " ") for found in reports}))
    alone = (
        f" One telescope alone was used ({source.telescopes.text}): the direction lies on the long axis of its image,"
        " at a distance and on a side that forests tell."
        if source.telescopes.is_mono
        else ""
    )
    return (
        f"Direction, energy and hadronness come from forests ({models}), {_times(len(reports))} of period,"
        f" zenith distance and moon level (Albert et al. 2008, NIM A 588, 424), trained with {gammas} simulated gamma"
        f" rays and {hadrons} OFF events.{alone}"
    )


def _span(numbers: list[int]) -> str:
    return str(numbers[0]) if len(set(numbers)) == 1 else f"{min(numbers)} to {max(numbers)}"


def _times(count: int) -> str:
    return "those of the cell" if count == 1 else f"own ones for each of {count} cells"


def _responses(source: Source, paths: list[Path]) -> str:
    from astropy.io import fits

    rules, models = set(), set()
    for path in paths:
        header = fits.getheader(path, "EVENTS")
        rules.add(str(header.get("CUTRULES", "")))
        models.add(str(header.get("MCMODEL", "")))
    cuts = "; ".join(sorted(rules - {""}))
    told = "; ".join(sorted(models - {""}))
    return (
        f"Effective area and energy dispersion were made with Monte Carlo that no forest had seen ({told or 'of MARS'})"
        f" around the zenith distance of each run; cuts: {cuts or 'as the files say'}."
    )


def _fits() -> str:
    return (
        "Background was taken from regions at the same distance from the camera centre as the source. Spectra were"
        " fitted by forward folding with a Poisson likelihood of on and off counts (W statistic), all cells together,"
        " each with its own responses, with gammapy (Donath et al. 2023, A&A 678, A157)."
    )


def _programs(source: Source, cells: list[Cell], dl3: list[Path]) -> str:
    products: list[Path] = list(dl3[:1])
    for level in (datalevels.Star, datalevels.SuperStar, datalevels.Melibea):
        products += [its[0] for its in source.files(level, cells).values()][:1]
    records: list[Record] = [record for path in products if (record := read_record(path)) is not None]
    found: dict[str, Any] = {record.program: record.program_version for record in records if record.program}
    return ", ".join(f"{name} ({version})" for name, version in sorted(found.items())) or "not recorded"
