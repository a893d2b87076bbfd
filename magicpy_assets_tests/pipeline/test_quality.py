"""Questions about products: a healthy cell passes all of them, and each fails for what it is there to find."""

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from magicpy_assets.pipeline import quality
from magicpy_assets.pipeline.report import Report
from magicpy_assets.pipeline.runs import known_runs

pytestmark = pytest.mark.xdist_group("chain")

STAGES = {
    "calibrated": (quality.files_are_readable, quality.pedestals_fit_the_catalogue),
    "star": (quality.telescopes_see_the_same,),
    "superstar": (quality.telescopes_match, quality.rates_agree),
    "dl3": (quality.exposure_closes, quality.dl3_is_valid),
    "spectra": (quality.crab_is_the_crab,),
}


def part(chain, stage):
    return Report([row for row in chain.report.rows if row.stage == stage and row.source == "CrabNebula"])


@pytest.mark.parametrize(("stage", "question"), [(stage, ask) for stage, asks in STAGES.items() for ask in asks])
def test_a_healthy_cell_passes(chain, stage, question):
    report = part(chain, stage)
    assert len(report)
    verdict = question(chain.session, report)
    assert verdict.passed, verdict.numbers
    assert verdict.numbers


def test_a_file_that_is_cut_is_named(chain, tmp_path):
    report = part(chain, "calibrated")
    whole = Path(report.rows[0].product)
    cut = tmp_path / whole.name
    cut.write_bytes(whole.read_bytes()[:1000])
    verdict = quality.files_are_readable(chain.session, Report([replace(report.rows[0], product=str(cut))]))
    assert not verdict.passed
    assert whole.name in verdict.numbers["faults"]


def with_durations(monkeypatch, chain, change):
    runs = known_runs(chain.session)
    runs["duration_s"] = [change(run, seconds) for run, seconds in zip(runs["run"], runs["duration_s"], strict=True)]
    monkeypatch.setattr(quality, "known_runs", lambda session: runs)


def test_a_run_that_stands_out_in_rate_is_named(chain, monkeypatch):
    report = part(chain, "superstar")
    odd = min(name.run for name in quality._names(report))
    with_durations(monkeypatch, chain, lambda run, seconds: seconds * (3 if run == odd else 1))
    verdict = quality.rates_agree(chain.session, report)
    assert not verdict.passed
    assert f"{odd}:" in verdict.numbers["odd"]


def test_exposure_that_is_missing_is_seen(chain, monkeypatch):
    with_durations(monkeypatch, chain, lambda run, seconds: seconds * 1.2)
    verdict = quality.exposure_closes(chain.session, part(chain, "dl3"))
    assert not verdict.passed
    assert verdict.numbers["ratio"] == pytest.approx(1 / 1.2, abs=0.02)


def test_a_run_that_the_catalogue_misplaced_counts_as_moved(chain, monkeypatch):
    runs = known_runs(chain.session)
    runs["nsb_catalogue"] = 6.0
    monkeypatch.setattr(quality, "known_runs", lambda session: runs)
    verdict = quality.pedestals_fit_the_catalogue(chain.session, part(chain, "calibrated"))
    assert not verdict.passed
    assert verdict.numbers["moved"] == verdict.numbers["runs"] > 0


def test_telescopes_that_differ_are_seen(chain, monkeypatch):
    report = part(chain, "star")
    monkeypatch.setattr(quality, "TELESCOPES_TOLERANCE", 0.0)
    assert not quality.telescopes_see_the_same(chain.session, report).passed
    alone = Report([row for row in report.rows if "_M1_" in row.product])
    assert quality.telescopes_see_the_same(chain.session, alone).numbers == {"telescopes": 1}


def test_a_crab_of_another_flux_is_not_the_crab(chain, monkeypatch):
    monkeypatch.setattr(quality, "CRAB_FLUX_1TEV", 5e-10)
    monkeypatch.setattr(quality, "CLEAR_SIGMA", 0.0)
    assert not quality.crab_is_the_crab(chain.session, part(chain, "spectra")).passed


def test_another_analysis_is_compared_where_there_is_one(chain, tmp_path):
    report = part(chain, "melibea")
    assert quality.agrees_with_the_other(chain.session, report).numbers == {"asked": "no"}
    for row in report.rows:
        shutil.copy(row.product, tmp_path)
    theirs = chain.session.settings.model_copy(update={"compare_with": tmp_path})
    verdict = quality.agrees_with_the_other(SimpleNamespace(settings=theirs), report)
    assert verdict.passed
    assert verdict.numbers["runs"] == len(report)
    assert verdict.numbers["events_common"] == 1.0
