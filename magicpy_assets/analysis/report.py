"""The report of an analysis: what can be sent on, and everything that somebody asks who has to believe it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from magicpy_assets.analysis.flare import flare_text, spectrum_text, variability_text
from magicpy_assets.analysis.methods import methods_of
from magicpy_assets.analysis.results import LIGHT_CURVE, NIGHTS, SKYMAP, SPECTRUM, THETA2, Results, results_of
from magicpy_assets.core import datalevels
from magicpy_assets.pipeline.quality import images, physics, rates
from magicpy_assets.pipeline.quality.verdict import Verdict
from magicpy_assets.pipeline.report import Report, Row
from magicpy_assets.plots.document import Document, Section
from magicpy_assets.plots.hours import hours_figure
from magicpy_assets.plots.reference import crab_flux
from magicpy_assets.store.provenance import history
from magicpy_assets.store.records import read_record
from magicpy_assets.version import __version__

if TYPE_CHECKING:
    import pandas as pd
    from astropy.table import Table
    from matplotlib.figure import Figure

    from magicpy_assets.analysis.source import Source

SYSTEMATICS = (
    "11-18 % on the flux, 15 % on the energy scale, 0.15 on the index (Aleksić et al. 2016, Astropart. Phys. 72)"
)
MOST_SETASIDE = 40
POINT_COLUMNS = ("e_ref", "e_min", "e_max", "e2dnde", "e2dnde_err", "e2dnde_ul", "ts", "is_ul", "counts")
CELLS_CAPTION = "What each cell contributes; ratio: its excess over the joint fit"
QUESTIONS = {
    datalevels.Calibrated: (images.pedestals_fit_the_moon_level,),
    datalevels.SuperStar: (images.telescopes_match, rates.rates_fit_the_zenith),
    datalevels.DL3: (physics.exposure_closes, physics.dl3_is_valid),
}


@dataclass
class AnalysisReport:
    """A report that can be looked at, sent and kept.

    Attributes
    ----------
    document
        What is written to HTML and PDF.
    text
        The short text for other people.
    """

    document: Document
    text: str
    paths: list[Path] = field(default_factory=list)

    def save(self, folder: Path) -> list[Path]:
        """Write ``report.html``, ``report.pdf`` and ``report.txt`` into a folder."""
        from magicpy_assets.store.records import pending

        self.paths = self.document.save(folder)
        path = folder / "report.txt"
        with pending(path) as temporary:
            temporary.write_text(self.text + "\n", encoding="utf-8")
        self.paths.append(path)
        return self.paths

    def __str__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return self.document.html()


def report_of(source: Source, results: Results | None = None) -> AnalysisReport:
    """Write the report of the selected runs of a source: what there is, and of the rest why it is not there."""
    found = results if results is not None else results_of(source)
    simulated = found.simulated or _is_simulated(source)
    text = flare_text(source, found, simulated=simulated)
    drawn = found.figures()
    period = source.period.name if source.period else "all periods"
    runs = len(source.runs_in_period)
    document = Document(
        title=", ".join([source.name, period, *([source.telescopes.text] if source.telescopes.is_mono else [])]),
        subtitle=f"Analysis of {found.theta2.exposure.caption if found.theta2 else f'{runs} runs, without a result'}",
        numbers=tuple(_numbers(found)),
        sections=tuple(
            section
            for section in (
                Section("To send on", quote=text),
                _data(source, simulated),
                _signal(found, drawn),
                _sky(found, drawn),
                _time(found, drawn),
                _energy(found, drawn),
                _checks(source),
                _failures(source, found),
                Section("Methods", texts=tuple(methods_of(source, found.tuning.lines if found.tuning else ()))),
                _provenance(source),
            )
            if section is not None
        ),
        simulated=simulated,
        footer=f"Written by magicpy_assets {__version__} on {datetime.now(UTC):%Y-%m-%d %H:%M} UTC.",
    )
    return AnalysisReport(document, text)


def _numbers(found: Results) -> list[tuple[str, str]]:
    theta2, curve = found.theta2, found.light_curve
    numbers = []
    if theta2 is not None:
        numbers += [
            ("Significance (Li & Ma)", f"{theta2.significance:.1f} σ"),
            ("Live time", f"{theta2.live_time_s / 3600:.2f} h in {len(theta2.runs)} runs"),
            ("Excess", f"{theta2.excess:.0f} ± {theta2.excess_error:.0f}"),
        ]
    if curve is not None:
        crab = 100 / crab_flux(curve.energy_min_tev)
        flux = f"{curve.mean_flux * crab:.0f} ± {curve.mean_flux_error * crab:.0f} % Crab"
        numbers.append((f"Flux above {1e3 * curve.energy_min_tev:.0f} GeV", flux))
    return numbers


def _is_simulated(source: Source) -> bool:
    """Tell from the records of what there is, for there may be no result that knows."""
    records = (
        read_record(path)
        for level in (datalevels.DL3, datalevels.Melibea, datalevels.SuperStar, datalevels.Star)
        for paths in source.files(level).values()
        for path in paths[:1]
    )
    downloads = (read_record(task.product) for task in source.plan(datalevels.Calibrated.key))
    return any(record.simulated for record in chain(records, downloads) if record is not None)


def _data(source: Source, simulated: bool) -> Section:
    check = source.moon_check()
    books = source.balance()
    before, after = check.before.to_table(), check.after.to_table()
    return Section(
        "Data",
        texts=(*check.after.totals, *(line.strip() for line in check.lines()[:1])),
        tables=(
            ("Hours by moon level and zenith range, as the run reports have them", _indexed(before)),
            ("The same after the pedestals were measured", _indexed(after)),
            ("Cut flow of the selection", source.selection.table),
            ("Hours found and used, cell by cell", _indexed(books.by_cell.round(2))),
        ),
        figures=(("hours", hours_figure(after, title=f"{source.name}: hours", simulated=simulated)),),
    )


def _signal(found: Results, drawn: dict[str, Figure]) -> Section:
    title = "Is there a signal?"
    chosen = tuple(f"{line}." for line in found.tuning.lines) if found.tuning else ()
    if found.by_cell is None:
        return Section(title, texts=(*chosen, _why_not(found, THETA2)))
    return Section(
        title,
        texts=chosen,
        tables=(("θ² counts, cell by cell", _frame(found.by_cell.table)),),
        figures=(("theta2", drawn["theta2"]), ("growth", drawn["growth"])),
    )


def _why_not(found: Results, product: str) -> str:
    """Return the sentence that stands where a product is missing."""
    return f"There is no {product}: {found.failed.get(product, 'it was not made')}."


def _sky(found: Results, drawn: dict[str, Figure]) -> Section:
    if found.skymap is None:
        return Section("Sky map", texts=(_why_not(found, SKYMAP),))
    peak, x, y = found.skymap.peak
    words = (
        f"The highest significance is {peak:.1f} σ, {x:+.2f}° and {y:+.2f}° from the source. Beside the source the"
        f" significances have a mean of {found.skymap.residual_mean:.2f} and an rms of {found.skymap.residual_rms:.2f};"
        " without anything else in the field they would have 0 and 1."
    )
    return Section("Sky map", texts=(words,), figures=(("skymap", drawn["skymap"]),))


def _time(found: Results, drawn: dict[str, Figure]) -> Section:
    missing = [name for name, curve in ((LIGHT_CURVE, found.light_curve), (NIGHTS, found.nights)) if curve is None]
    names = ["label", "start_mjd", "stop_mjd", "runs", "n_on", "n_off", "significance", "flux", "flux_err", "flux_ul"]
    figures = [("light curve by run", drawn["light_curve"])] if found.light_curve is not None else []
    tables = []
    if found.nights is not None:
        tables.append(("Night by night (flux in cm⁻² s⁻¹)", _frame(found.nights.table[names], units=False)))
        if len(found.nights.table) > 1:
            figures.append(("light curve by night", drawn["nights"]))
    said = [variability_text(found)] if len(missing) < 2 else []
    return Section(
        "Does it vary?",
        texts=(*said, *(_why_not(found, name) for name in missing)),
        tables=tuple(tables),
        figures=tuple(figures),
    )


def _energy(found: Results, drawn: dict[str, Figure]) -> Section:
    spectrum = found.spectrum
    if spectrum is None:
        return Section("Spectrum", texts=(_why_not(found, SPECTRUM),))
    points = spectrum.flux_points[list(POINT_COLUMNS)]
    tables: list[tuple[str, pd.DataFrame]] = [
        (f"Fitted parameters of {spectrum.formula}", _frame(spectrum.parameters)),
        ("Flux points (TeV, TeV cm⁻² s⁻¹; limits at 95 %)", _frame(points, units=False)),
    ]
    if spectrum.contributions is not None:
        tables.append((CELLS_CAPTION, _frame(spectrum.contributions)))
    texts = (f"{spectrum_text(spectrum)} {spectrum.remark}".strip(), f"Systematic uncertainties: {SYSTEMATICS}.")
    return Section("Spectrum", texts=texts, tables=tuple(tables), figures=(("sed", drawn["sed"]),))


def _checks(source: Source) -> Section:
    import pandas as pd

    rows = []
    questions_of = dict(QUESTIONS)
    if source.telescopes.is_mono:
        del questions_of[datalevels.SuperStar]
    for level, questions in questions_of.items():
        reports = {cell: Report(its) for cell, its in _rows(source, level.key).items()}
        for question in questions if reports else ():
            verdicts = {cell: question(source.session, report) for cell, report in reports.items()}
            bad = {cell: verdict for cell, verdict in verdicts.items() if not verdict.passed}
            meaning = (question.__doc__ or "").strip().splitlines()[0]
            told = "; ".join(f"{cell}: {_told(verdict)}" for cell, verdict in bad.items())
            if len(verdicts) == 1:
                told = _told(next(iter(verdicts.values())))
            answer = f"{len(verdicts) - len(bad)} of {len(verdicts)} cells" if len(verdicts) > 1 else "yes"
            rows.append((level.name, meaning, "NO" if len(bad) == len(verdicts) else answer, told))
    table = pd.DataFrame(rows, columns=["level", "question", "yes", "numbers"])
    if not table["numbers"].any():
        table = table.drop(columns="numbers")
    return Section("Checks", tables=(("What was asked of the files, cell by cell, and the answers", table),))


def _told(verdict: Verdict) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in verdict.numbers.items())


def _rows(source: Source, stage: str) -> dict[str, list[Row]]:
    """Return what is there at a level, cell by cell, as a report would have it."""
    planned = source.plan(stage).where(lambda task: task.stage == stage and task.source == source.name)
    found: dict[str, list[Row]] = {}
    for task in planned:
        if planned.state(task).state == "up to date":
            found.setdefault(task.cell.text if task.cell else "", []).append(Row.of(task, "cached", ""))
    return found


def _failures(source: Source, found: Results) -> Section:
    import pandas as pd

    aside = source.balance().set_aside
    tables: list[tuple[str, pd.DataFrame]] = []
    words = ["Every run that was found has been used." if aside.empty else _aside_words(aside)]
    if found.failed:
        words.append(f"{len(found.failed)} results could not be made.")
        tables.append(("Results not made, and why", pd.DataFrame(found.failed.items(), columns=["result", "why"])))
    if not aside.empty:
        tables.append(("Runs not used, and why", aside.head(MOST_SETASIDE)))
    return Section("What is missing", texts=tuple(words), tables=tuple(tables))


def _aside_words(aside: pd.DataFrame) -> str:
    more = f" The first {MOST_SETASIDE} are listed." if len(aside) > MOST_SETASIDE else ""
    return f"{len(aside)} runs ({float(aside['hours'].sum()):.2f} h) were found and not used.{more}"


def _provenance(source: Source) -> Section | None:
    """Return where the files of each cell come from: the tree of one; the others of a cell differ in their runs."""
    trees = []
    for cell, paths in source.files(datalevels.DL3).items():
        if read_record(paths[0]) is not None:
            more = f", like {len(paths) - 1} more" if len(paths) > 1 else ""
            trees.append((f"{cell.text}: {paths[0].name}{more}", history(paths[0]).outline()))
    if not trees:
        return None
    words = (
        "Every file has a record of what it was made from. This is the tree of one DL3 file of each cell; the others of"
        " the cell differ in their runs."
    )
    return Section("Provenance", texts=(words,), listings=tuple(trees))


def _indexed(table: pd.DataFrame) -> pd.DataFrame:
    return table.reset_index()


def _frame(table: Table, *, units: bool = True) -> pd.DataFrame:
    """Return an astropy table without empty columns, with its units in the heads unless the caption tells them."""
    frame: pd.DataFrame = table.to_pandas().dropna(axis="columns", how="all")
    heads = {name: f"{name} ({table[name].unit})" for name in frame.columns if units and table[name].unit}
    return frame.rename(columns=heads)
