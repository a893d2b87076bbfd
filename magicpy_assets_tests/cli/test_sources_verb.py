"""The verb for sources, and conditions on runs, as they are typed."""

from __future__ import annotations

import pytest


def test_a_typo_names_the_nearest(magicpy, alone):
    told = magicpy("sources", "Mrk4211")
    assert told.code == 0
    assert "no source of the table fits; did you mean Mrk421" in told.out
    assert magicpy("sources", "qqqqqqqqqqqq").out.strip() == "no source of the table fits"
    assert magicpy("sources", "Mrk4211", "--json").document == []
    assert "did you mean" not in magicpy("sources", "Mrk421", "--cone", "83.6", "22", "1").out


@pytest.mark.xdist_group("chain")
def test_both_ends_of_a_range_of_dates(magicpy, chain, monkeypatch):
    monkeypatch.setenv("MAGICPY_STORE", str(chain.session.layout.root))
    runs = chain.session.catalogue.runs(source="CrabNebula")
    nights = sorted(runs["date"].unique())
    low, high = (f"{night:%Y-%m-%d}" for night in (nights[1], nights[2]))
    told = magicpy("search", "Crab", "--where", f"date>={low}", "--where", f"date<{high}", "--json")
    assert told.code == 0, told.err
    wanted = runs[runs["date"] == nights[1]]
    assert 0 < len(wanted) < len(runs)
    assert told.document["runs"] == len(wanted)
