"""The report of a small cell: its numbers are those of the results, and the fast analysis looks early and writes it."""

import re

import pytest
from pypdf import PdfReader

from magicpy_assets.analysis import Source
from magicpy_assets.analysis.fast import run_fast
from magicpy_assets.analysis.report import report_of
from magicpy_assets.analysis.results import results_of
from magicpy_assets.analysis.tuning import chosen
from magicpy_assets.core import datalevels
from magicpy_assets.core.cell import Cell
from magicpy_assets.core.periods import by_name
from magicpy_assets_tests.conftest import CELL


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
    for title in ("To send on", "Data", "Is there a signal?", "Sky map", "Does it vary?", "Spectrum", "Checks",
                  "What is missing", "Methods", "Provenance"):  # fmt: skip
        assert title in page
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
