"""The report of an analysis: what can be sent on, and everything that somebody asks who has to believe it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from magicpy_assets.analysis.flare import flare_text, spectrum_text, variability_text
from magicpy_assets.analysis.methods import methods_of
from magicpy_assets.analysis.results import Results, results_of
from magicpy_assets.core import datalevels
from magicpy_assets.pipeline.quality import images, physics, rates
from magicpy_assets.pipeline.quality.verdict import Verdict
from magicpy_assets.pipeline.report import Report, Row
from magicpy_assets.plots.document import Document, Section
from magicpy_assets.plots.hours import hours_figure
from magicpy_assets.plots.reference import crab_flux
from magicpy_assets.store.provenance import history
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
    """Write the report of the selected runs of a source.

    Raises
    ------
    MissingInputError
        If they have not been brought to DL3.
    """
    found = results if results is not None else results_of(source)
    text = flare_text(source, found)
    drawn = found.figures()
    period = source.period.name if source.period else "all periods"
    document = Document(
        title=f"{source.name}, {period}",
        subtitle=f"Analysis of {found.theta2.exposure.caption}",
        numbers=tuple(_numbers(found)),
        sections=tuple(
            section
            for section in (
                Section("To send on", quote=text),
                _data(source, found),
                _signal(found, drawn),
                _sky(found, drawn),
                _time(found, drawn),
                _energy(found, drawn),
                _checks(source),
                _failures(source),
                Section("Methods", texts=tuple(methods_of(source, found.tuning.lines))),
                _provenance(source),
            )
            if section is not None
        ),
        simulated=found.theta2.simulated,
        footer=f"Written by magicpy_assets {__version__} on {datetime.now(UTC):%Y-%m-%d %H:%M} UTC.",
    )
    return AnalysisReport(document, text)


def _numbers(found: Results) -> list[tuple[str, str]]:
    theta2, curve = found.theta2, found.light_curve
    crab = 100 / crab_flux(curve.energy_min_tev)
    return [
        ("Significance (Li & Ma)", f"{theta2.significance:.1f} σ"),
        ("Live time", f"{theta2.live_time_s / 3600:.2f} h in {len(theta2.runs)} runs"),
        ("Excess", f"{theta2.excess:.0f} ± {theta2.excess_error:.0f}"),
        (
            f"Flux above {1e3 * curve.energy_min_tev:.0f} GeV",
            f"{curve.mean_flux * crab:.0f} ± {curve.mean_flux_error * crab:.0f} % Crab",
        ),
    ]


def _data(source: Source, found: Results) -> Section:
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
        figures=(("hours", hours_figure(after, title=f"{source.name}: hours", simulated=found.theta2.simulated)),),
    )


def _signal(found: Results, drawn: dict[str, Figure]) -> Section:
    return Section(
        "Is there a signal?",
        texts=tuple(f"{line}." for line in found.tuning.lines),
        tables=(("θ² counts, cell by cell", _frame(found.by_cell.table)),),
        figures=(("theta2", drawn["theta2"]), ("growth", drawn["growth"])),
    )


def _sky(found: Results, drawn: dict[str, Figure]) -> Section:
    if found.skymap is None:
        return Section("Sky map", texts=("There are too few events for a map.",))
    peak, x, y = found.skymap.peak
    words = (
        f"The highest significance is {peak:.1f} σ, {x:+.2f}° and {y:+.2f}° from the source. Beside the source the"
        f" significances have a mean of {found.skymap.residual_mean:.2f} and an rms of {found.skymap.residual_rms:.2f};"
        " without anything else in the field they would have 0 and 1."
    )
    return Section("Sky map", texts=(words,), figures=(("skymap", drawn["skymap"]),))


def _time(found: Results, drawn: dict[str, Figure]) -> Section:
    names = ["label", "start_mjd", "stop_mjd", "runs", "n_on", "n_off", "significance", "flux", "flux_err", "flux_ul"]
    several = len(found.nights.table) > 1
    figures = (("light curve by run", drawn["light_curve"]),) + (
        (("light curve by night", drawn["nights"]),) if several else ()
    )
    return Section(
        "Does it vary?",
        texts=(variability_text(found),),
        tables=(("Night by night (flux in cm⁻² s⁻¹)", _frame(found.nights.table[names])),),
        figures=figures,
    )


def _energy(found: Results, drawn: dict[str, Figure]) -> Section:
    spectrum = found.spectrum
    points = spectrum.flux_points[
        ["e_ref", "e_min", "e_max", "e2dnde", "e2dnde_err", "e2dnde_ul", "ts", "is_ul", "counts"]
    ]
    tables: list[tuple[str, pd.DataFrame]] = [
        (f"Fitted parameters of {spectrum.formula}", _frame(spectrum.parameters)),
        ("Flux points (TeV, TeV cm⁻² s⁻¹; limits at 95 %)", _frame(points)),
    ]
    if spectrum.contributions is not None:
        tables.append((CELLS_CAPTION, _frame(spectrum.contributions)))
    texts = (f"{spectrum_text(spectrum)} {spectrum.remark}".strip(), f"Systematic uncertainties: {SYSTEMATICS}.")
    return Section("Spectrum", texts=texts, tables=tuple(tables), figures=(("sed", drawn["sed"]),))


def _checks(source: Source) -> Section:
    import pandas as pd

    rows = []
    for level, questions in QUESTIONS.items():
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


def _failures(source: Source) -> Section:
    aside = source.balance().set_aside
    if aside.empty:
        return Section("What is missing", texts=("Nothing: every run that was found has been used.",))
    hours = float(aside["hours"].sum())
    words = f"{len(aside)} runs ({hours:.2f} h) were found and not used."
    return Section("What is missing", texts=(words,), tables=(("Runs not used, and why", aside.head(MOST_SETASIDE)),))


def _provenance(source: Source) -> Section | None:
    """Return where one DL3 file comes from; the others differ in their runs."""
    files = source.files(datalevels.DL3)
    if not files:
        return None
    path = next(iter(files.values()))[0]
    words = (
        "Every file has a record of what it was made from. This is the tree of one; the others differ in their runs."
    )
    return Section("Provenance", texts=(words,), listing=history(path).outline())


def _indexed(table: pd.DataFrame) -> pd.DataFrame:
    return table.reset_index()


def _frame(table: Table) -> pd.DataFrame:
    """Return an astropy table with its units in the heads of columns."""
    frame: pd.DataFrame = table.to_pandas()
    units = {name: str(table[name].unit) for name in table.colnames if table[name].unit}
    return frame.rename(columns={name: f"{name} ({unit})" for name, unit in units.items()})
