"""Questions about products: a healthy cell passes all of them, and each fails for what it is there to find."""

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from magicpy_assets.pipeline.quality import files, forests, images, physics, rates
from magicpy_assets.pipeline.report import Report
from magicpy_assets.pipeline.runs import known_runs

pytestmark = pytest.mark.xdist_group("chain")

COMMON = (files.everything_is_there, files.files_are_readable)
STAGES = {
    "calibrated": (
        files.something_is_there,
        *COMMON,
        files.events_as_expected,
        images.pedestals_fit_the_moon_level,
    ),
    "star": (
        *COMMON,
        files.events_as_expected,
        images.images_look_as_they_should,
        images.telescopes_see_the_same,
    ),
    "superstar": (
        *COMMON,
        files.events_as_expected,
        images.axes_cross,
        images.telescopes_match,
        rates.rates_fit_the_zenith,
    ),
    "random_forest": (*COMMON, forests.forests_separate, forests.forests_resolve),
    "melibea": (*COMMON, files.events_as_expected, physics.events_are_reconstructed),
    "dl3": (
        *COMMON,
        files.events_as_expected,
        physics.live_time_closes,
        physics.exposure_closes,
        physics.dl3_is_valid,
    ),
    "spectra": (
        *COMMON,
        files.theta2_is_there,
        files.light_curve_is_there,
        files.skymap_is_there,
        physics.fit_converged,
        physics.crab_is_the_crab,
    ),
}


def part(chain, stage, source=None):
    source = source or ("RFs" if stage == "random_forest" else "CrabNebula")
    return Report([row for row in chain.report.rows if row.stage == stage and row.source == source])


@pytest.mark.parametrize(("stage", "question"), [(stage, ask) for stage, asks in STAGES.items() for ask in asks])
def test_a_healthy_cell_passes(chain, stage, question):
    report = part(chain, stage)
    assert len(report)
    verdict = question(chain.session, report)
    assert verdict.passed, verdict.numbers
    assert verdict.numbers



@pytest.mark.parametrize("stage", ["calibrated", "star", "superstar", "melibea"])
def test_shared_data_passes_as_well(chain, stage):
    """OFF data and Monte Carlo of the cell are asked the same questions."""
    sources = {row.source for row in chain.report.rows if row.stage == stage} - {"CrabNebula"}
    assert sources
    for source in sources:
        for question in STAGES[stage]:
            verdict = question(chain.session, part(chain, stage, source))
            assert verdict.passed, (source, question.__name__, verdict.numbers)
