"""Runbooks of the simulated nights: what the online analysis saw follows from the truth."""

import math
from datetime import date

import numpy as np
import pytest

from magicpy_assets.formats.runbook import parse_runbook
from magicpy_assets.observatory import runbooks, sky
from magicpy_assets.observatory.programme import programme

PLANS = programme(316)
NIGHTS = sorted({plan.date for plan in PLANS})
BOOKS = {
    night: parse_runbook(runbooks.night_runbook([plan for plan in PLANS if plan.date == night], 316), night)
    for night in NIGHTS
    if runbooks.is_there(night)
}


def test_most_nights_are_in_the_standard_form_some_are_not_and_some_are_missing():
    assert len(NIGHTS) - len(BOOKS) == 2
    assert sum(not book.standard for book in BOOKS.values()) == 2
    assert all(book.simulated for book in BOOKS.values())


def test_fields_without_a_source_show_what_chance_allows():
    sigmas = [
        (result.le_sigma, result.he_sigma)
        for book in BOOKS.values()
        for result in book.results
        if result.source in {field.name for field in sky.fields() if not field.shines}
    ]
    low, high = np.array(sigmas).T
    for found in (low, high):
        assert abs(found.mean()) < 4 / math.sqrt(len(found))
        assert 0.7 < found.std() < 1.3
        assert np.abs(found).max() < 4.5


def test_the_crab_has_its_flux_and_the_flare_is_seen():
    crab = [result for book in BOOKS.values() for result in book.results if result.source == "CrabNebula"]
    weights = np.array([result.t_eff_s for result in crab])
    mean = np.average([result.he_flux_cu for result in crab], weights=weights)
    # 4.7 gamma rays a minute, less at large zenith distance: about 5000 in all.
    assert mean == pytest.approx(1.0, abs=0.1)
    flux = {
        night: result.he_flux_cu
        for night, book in BOOKS.items()
        for result in book.results
        if result.source == "PKS1222+216"
    }
    assert flux[date(2021, 3, 14)] > 5 * np.median(list(flux.values()))


def test_some_sources_are_written_otherwise():
    written = {result.source for book in BOOKS.values() for result in book.results}
    assert {"Crab", "CrabNebual"} < written
    assert runbooks.night_runbook([plan for plan in PLANS if plan.date == NIGHTS[3]], 316) == BOOKS[NIGHTS[3]].text
