"""The report of a small cell: its numbers are those of the results, and it is written whatever is missing."""

import os
import re
import shutil

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from astropy.table import Table
from pypdf import PdfReader

from magicpy_assets.analysis import Source
from magicpy_assets.analysis.fast import newest_first, run_fast, teller, to_json
from magicpy_assets.analysis.flare import HINT_SIGMA, SEEN_SIGMA, flare_text
from magicpy_assets.analysis.report import report_of
from magicpy_assets.analysis.results import LIGHT_CURVE, SKYMAP, SPECTRUM, THETA2, Results, results_of
from magicpy_assets.analysis.tuning import chosen
from magicpy_assets.core import datalevels
from magicpy_assets.core.cell import Cell
from magicpy_assets.core.periods import by_name
from magicpy_assets.pipeline.runs import known_runs
from magicpy_assets.pipeline.session import open_session
from magicpy_assets.science.counts import FieldEvents, count
from magicpy_assets.science.exposure import Exposure
from magicpy_assets.science.light_curve import LightCurveResult
from magicpy_assets.science.selections import selection
from magicpy_assets.science.theta2 import Theta2ByCell
from magicpy_assets_tests.conftest import CELL, settings_for
from magicpy_assets_tests.small_world import FailingExecutor

pytestmark = pytest.mark.usefixtures("few_points")


def cell(text):
    return Cell.parse(f"ST0316/{text}")


def test_energies_follow_thresholds_and_live_time_alone():
    low, high = cell("za05to35/weak"), cell("za50to62/weak")
    one = chosen({low: 0.22}, {low: 1.0})
    assert (one.energy_min_tev, one.selection) == (0.3, "FR")
    # A tenth of the time at high zenith distance does not raise the energy; half of it does.
    assert chosen({low: 0.22, high: 0.8}, {low: 9.0, high: 1.0}).energy_min_tev == 0.3
    both = chosen({low: 0.22, high: 0.8}, {low: 1.0, high: 1.0})
    assert both.energy_min_tev == 1.0
    assert "220 GeV to 800 GeV" in both.lines[0] or "220 to 800 GeV" in both.lines[0]
    assert "2.00 of 2.00 h" in both.lines[1]
    assert chosen({high: 0.8}, {high: 1.0}).selection == "HE"
    assert chosen({low: 0.1}, {low: 1.0}).selection == "LE"


def test_the_choice_says_which_energies_the_spectrum_is_fitted_in():
    low, high = cell("za05to35/weak"), cell("za50to62/weak")
    lines = chosen({low: 0.22, high: 0.8}, {low: 1.0, high: 1.0}, {low: 18.0, high: 24.0}).lines
    assert lines[3].startswith("Spectrum: each cell from its threshold to 18 to 24 TeV")
    assert "to 18 TeV" in chosen({low: 0.22}, {low: 1.0}, {low: 18.0}).lines[3]


# The text to send on

EXPOSURE = Exposure("Mrk421", (1, 2), 2400.0, 59165.2, 59165.23, (14.0, 26.0), simulated=True)


def results(n_on, n_off, **failed):
    """Counts of so many events at the source and at the three off positions, with a light curve."""
    x = np.r_[np.full(n_on, 0.4), np.full(n_off, -0.4)]
    counted = count([FieldEvents(x, np.zeros(len(x)), np.array(0.4), np.array(0.0))], EXPOSURE, selection("FR"))
    points = Table({"start_mjd": [59165.2], "stop_mjd": [59165.23], "flux": [2e-11]})
    curve = LightCurveResult(EXPOSURE, points, "run", 0.3, "index 2.5", 2.2e-11, 6e-12, 0.0, 0, mean_flux_ul=3.4e-11)
    names = {name.replace("_", " "): why for name, why in failed.items()}
    return Results(
        by_cell=Theta2ByCell({}, counted),
        light_curve=None if LIGHT_CURVE in names else curve,
        failed={SPECTRUM: "too few events"} | names,
    )


def text_of(found):
    return flare_text(Source("Mrk421", quiet=True), found, simulated=True)


def test_a_hint_is_called_a_hint_and_has_a_flux():
    found = results(18, 15)
    assert HINT_SIGMA <= found.theta2.significance < SEEN_SIGMA
    words = text_of(found)
    assert "seen as a hint only: 18 events in the signal region, 5.0 expected" in words
    assert "The mean flux above 300 GeV is (2.20e-11 +- 6.0e-12) cm-2 s-1" in words
    assert "No spectrum: too few events." in words
    assert "One point in time" in words
    assert "ALL DATA ARE SIMULATED" in words


@pytest.mark.parametrize(("n_on", "n_off"), [(7, 15), (0, 4), (0, 0)])
def test_what_is_not_detected_has_an_upper_limit(n_on, n_off):
    words = text_of(results(n_on, n_off))
    assert f"not detected: {n_on} events in the signal region" in words
    assert "The flux above 300 GeV is below 3.4e-11 cm-2 s-1" in words
    assert "95 % confidence" in words
    assert "spectrum" not in words
    assert "mean flux" not in words


def test_a_limit_that_is_missing_is_told():
    words = text_of(results(0, 0, light_curve="no energy bin"))
    assert "No upper limit: no energy bin." in words


def test_the_newest_night_is_looked_at_first():
    runs = pd.DataFrame(
        {
            "run": [1, 2, 3, 4, 5],
            "date": pd.to_datetime(["2020-11-16", "2020-11-16", "2020-12-23", "2020-12-23", "2020-12-15"]),
            "start_mjd": [59169.0, 59169.1, 59206.1, 59206.0, 59198.0],
        }
    )
    assert newest_first(runs) == [4, 3, 5, 1, 2]


# Reports


TITLES = (
    "To send on", "Data", "Is there a signal?", "Sky map", "Does it vary?", "Spectrum", "Checks", "What is missing",
    "Methods",
)  # fmt: skip


@pytest.fixture(scope="module")
def crab(chain):
    source = Source("CrabNebula", by_name("ST0316"), session=chain.session, quiet=True)
    source.filter({"cell": CELL.text})
    return source


@pytest.mark.slow
@pytest.mark.xdist_group("chain")
def test_the_report_says_what_the_results_say(crab, tmp_path):
    results = results_of(crab)
    report = report_of(crab, results)
    html, pdf, text = report.save(tmp_path)
    page = html.read_text(encoding="utf-8")
    words = text.read_text(encoding="utf-8")
    theta2 = results.theta2
    assert f"{theta2.n_on} events in the signal region" in words
    assert f"{theta2.significance:.1f} sigma" in words
    assert "ALL DATA ARE SIMULATED" in words
    for title in (*TITLES, "Provenance"):
        assert title in page
    assert page.count("<details>") == 1
    assert f"<summary>{CELL.text}: " in page
    assert "SIMULATED" in page
    assert not re.search(r'(src|href)="(?!data:|#)', page)
    # Methods come from the records: cleaning levels, forests, programs.
    assert "6 and 3.5 phe" in page
    assert "melibea (embedded" in page
    paper = "\n".join(one.extract_text() for one in PdfReader(pdf).pages)
    assert f"{theta2.significance:.1f} σ" in paper
    assert len(PdfReader(pdf).pages) > 2


@pytest.mark.slow
@pytest.mark.xdist_group("chain")
def test_the_fast_analysis_looks_at_one_run_then_at_more(crab):
    planned = crab.plan(datalevels.Melibea.key)
    mine = [task for task in planned if (task.stage, task.source) == (datalevels.Melibea.key, crab.name)]
    lost = mine[-1].product
    lost.unlink()
    said = []
    results = run_fast(crab, say=said.append)
    assert lost.is_file()
    in_order(said, STAGES)
    assert "Running star on 0 runs" in "\n".join(said)
    assert any(line.startswith("Running melibea on 1 run ") for line in said)
    looks = [line for line in said if line.startswith("First look at")]
    runs = len(crab.runs_in_period)
    steps = [int(re.match(r"First look at (\d+) of", line)[1]) for line in looks]
    assert steps[0] == 1
    assert steps[-1] == runs
    assert steps == sorted(steps)
    assert "sigma" in looks[-1]
    assert results["report"].counts["failed"] == 0
    assert [path.suffix for path in results["paths"]] == [".html", ".pdf", ".txt"]
    assert all(path.is_file() for path in (*results["paths"], *results["plots"]))
    assert any(line.startswith("report: ") for line in said)
    # With all there, nobody need wait for a first look.
    again = []
    run_fast(crab, say=again.append)
    assert not any(line.startswith("First look at") for line in again)
    in_order(again, STAGES)
    assert f"Running melibea on 0 runs ({runs} up to date)..." in again


def test_a_quiet_source_says_nothing(capsys):
    teller(Source("CrabNebula", quiet=True))("star")
    assert capsys.readouterr().out == ""
    teller(Source("CrabNebula"))("star")
    assert capsys.readouterr().out == "star\n"


STAGES = (
    "Performing fast analysis for CrabNebula", "Current data distribution", "Total runs", "Data at level Calibrated",
    "Checking cleaning and moon levels", "Data distribution after checking moon levels", "Running star on",
    "Running superstar on", "Random Forest for ST0316 za05to35 weak moon found", "All RFs found. Running melibea",
    "Running melibea on", "Making DL3 files", "Energy thresholds", "Making θ² plots...", "Making sky maps...",
    "Fitting the spectrum...", "Making light curves...", "Writing the report...", "Done analysing CrabNebula",
)  # fmt: skip


def in_order(said, wanted):
    """Check that each of the beginnings of lines comes after the one before."""
    place = 0
    lines = [line.strip() for line in said]
    for beginning in wanted:
        later = [k for k in range(place, len(lines)) if lines[k].startswith(beginning)]
        assert later, f"{beginning!r} is not said after {lines[place - 1]!r}"
        place = later[0] + 1


@pytest.fixture
def other_store(chain, tmp_path):
    """A session on a copy of the store, to be changed."""
    store = tmp_path / "store"
    shutil.copytree(chain.session.layout.root, store, copy_function=os.link)
    with open_session(settings_for(store)) as session:
        yield session


@pytest.mark.slow
@pytest.mark.xdist_group("chain")
def test_a_field_without_a_signal_has_a_report_even_without_any_event(other_store, tmp_path):
    """An OFF field taken as a source is not detected; then its DL3 files lose the few events that they have."""
    runs = known_runs(other_store)
    name = runs.loc[runs["off"] & (runs["cell"] == CELL.text), "source"].iloc[0]
    with Source(name, by_name("ST0316"), session=other_store, quiet=True) as field:
        field.filter({"cell": CELL.text})
        field.make(datalevels.DL3).raise_if_failed()
        found = results_of(field)
        assert found.theta2.significance < HINT_SIGMA
        has_a_report(field, found, tmp_path / "quiet")
        for path in field.files(datalevels.DL3)[CELL]:
            with fits.open(path, memmap=False) as hdus:
                hdus["EVENTS"].data = hdus["EVENTS"].data[:0]
                path.unlink()
                hdus.writeto(path, checksum=True)
        empty = results_of(field)
        assert {SPECTRUM, SKYMAP} <= set(empty.failed)
        assert "no event in the on and off regions" in empty.failed[SPECTRUM]
        has_a_report(field, empty, tmp_path / "empty")


def has_a_report(source, found, folder):
    """Check that the report of something that is not detected is whole, and tells what could not be made."""
    html, pdf, text = report_of(source, found).save(folder)
    page = html.read_text(encoding="utf-8")
    for title in (*TITLES, "Provenance"):
        assert title in page
    for product, why in found.failed.items():
        assert f'<td class="words">{product}</td>' in page
        assert why[:30] in page
    assert pdf.stat().st_size > 5000
    words = text.read_text(encoding="utf-8")
    assert "not detected" in words
    assert "cm-2 s-1" in words
    assert "ALL DATA ARE SIMULATED" in words
    assert "SIMULATED" in page


@pytest.mark.slow
@pytest.mark.xdist_group("chain")
def test_runs_without_dl3_have_a_report(chain, tmp_path):
    with Source("CrabNebula", by_name("ST0316"), session=chain.session, quiet=True) as crab:
        crab.filter({"za": "za35to50"})
        found = results_of(crab)
        assert set(found.failed) >= {THETA2, SPECTRUM, LIGHT_CURVE}
        report = report_of(crab, found)
    assert "there is no result: there are no DL3 files of CrabNebula" in report.text
    page = report.save(tmp_path)[0].read_text(encoding="utf-8")
    assert "Results not made, and why" in page
    assert "Runs not used, and why" in page
    assert "There is no spectrum: there are no DL3 files" in page


@pytest.mark.slow
@pytest.mark.xdist_group("chain")
def test_the_fast_analysis_ends_with_a_report_though_nothing_can_be_made(other_store):
    """star fails on the only run: no DL3, no result, and a report that says so."""
    source = Source("CrabNebula", by_name("ST0316"), session=other_store, quiet=True)
    source.filter({"cell": CELL.text})
    source.filter({"run": int(source.runs_in_period["run"].iloc[0])})
    root = source.session.layout.root / "CrabNebula"
    for level in ("star", "superstar", "melibea", "dl3"):
        shutil.rmtree(root / level)
    source.session._pool = FailingExecutor(source.session.pool, {"star": f"{source.runs['run'].iloc[0]:08d}"})
    said = []
    results = run_fast(source, say=said.append)
    assert "star" in set(results["report"].failed["stage"])
    assert "theta2" not in results
    assert all(path.is_file() for path in results["paths"])
    assert "there is no result" in results["text"]
    assert results["simulated"]
    assert said[-1] == "Done analysing CrabNebula"
    assert '"failed"' in to_json(results)


@pytest.mark.slow
@pytest.mark.xdist_group("chain")
def test_a_run_that_has_moved_to_another_cell_counts_there_only(other_store):
    source = Source("CrabNebula", by_name("ST0316"), session=other_store, quiet=True)
    source.filter({"cell": CELL.text})
    there = source.files(datalevels.DL3)[CELL]
    old = source.session.layout.data("CrabNebula", datalevels.DL3, cell("za05to35/moderate"), "any").parent
    old.mkdir(parents=True)
    shutil.copy(there[0], old)
    source.undo()
    moderate = cell("za05to35/moderate")
    assert source.files(datalevels.DL3, [CELL, moderate]) == {CELL: there}
    assert len(source.observations([CELL, moderate])) == len(there)
