"""What an analyser says in a notebook, on a store in which the chain has been run."""

import pytest

import magicpy_assets as mp
from magicpy_assets.analysis.fast import run_fast, to_json
from magicpy_assets.core import datalevels
from magicpy_assets.core.errors import UnknownNameError
from magicpy_assets.store.records import read_record

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("chain")]


@pytest.fixture
def crab(chain):
    return mp.analysis.Source(name="Crab", period=mp.periods.ST0316, session=chain.session, quiet=True)


def test_search_prints_the_hours_by_zenith_and_moon(crab):
    table = crab.search()
    lines = str(table).splitlines()
    assert lines[0].startswith("Total runs: 8, Total hours: ")
    assert lines[1].startswith("Period: ST0316, Total runs: 8, ")
    assert "za05to35" in str(table)
    assert set(table.to_table().index) == {"weak", "moderate"}
    assert "<table" in table._repr_html_()


def test_runs_and_subruns_are_typed_tables(crab):
    assert set(crab.runs["source"]) == {"CrabNebula"}
    assert crab.runs["run"].dtype.kind == "i"
    subruns = crab.subruns
    assert len(subruns) == 8 * 2 * 2
    assert set(subruns["telescope"]) == {1, 2}


def test_filters_are_counted_explained_and_undone(crab):
    flow = crab.filter({"za": [mp.zeniths.za05to35], "moon_level": [mp.moons.WeakMoon], "L1_rate": ">0.0"})
    assert list(flow.table["runs left"]) == [8, 5, 4, 4]
    assert [cell.text for cell in crab.cells] == ["ST0316/za05to35/weak"]
    crab.filter({"nsb": ">20"})
    assert len(crab.runs) == 0
    assert "without nsb >20 there would be 4 runs" in crab.explain()
    crab.undo()
    assert len(crab.runs) == 4
    with pytest.raises(LookupError, match="did you mean moon_level"):
        crab.filter({"moon_levl": "weak"})


def test_every_step_of_the_chain_finds_its_work_done(crab):
    crab.filter({"za": ["za05to35"], "moon_level": ["weak"]})
    got = crab.get_data(datalevels.Calibrated)
    assert got.counts["cached"] == len(got) > 0
    for step in (crab.run_star, crab.run_superstar, crab.apply_rfs, crab.dl3):
        report = step()
        assert report.counts["cached"] == len(report) > 0, step.__name__
    assert not crab.plan().to_do


def test_whole_levels_are_fetched_with_a_line_for_each(crab, monkeypatch):
    crab.filter({"za": ["za05to35"], "moon_level": ["weak"]})
    crab.filter({"run": [int(crab.runs["run"].iloc[0])]})
    place, said = crab.session.layout.root / "CrabNebula", []
    report = crab.get_data(say=said.append)
    assert said == [
        f"Downloading data at level SuperStar to {place / 'superstar-archive'}",
        "Downloading 1 file from 1 directory.",
        f"Data at level Calibrated are in {place / 'calibrated'}: 4 files, nothing to download.",
    ]
    assert {(row.stage, row.state) for row in report.rows} == {("superstar", "done"), ("calibrated", "cached")}
    (product,) = report.products("superstar")
    assert read_record(product).simulated
    assert crab.get_data(datalevels.SuperStar, say=said.append).counts["cached"] == 1
    assert said[-1].startswith("Data at level SuperStar are in")

    monkeypatch.setattr(crab.session.archive, "offered_nights", lambda level, source: [])
    said.clear()
    assert len(crab.get_data(datalevels.SuperStar, say=said.append)) == 0
    assert said == ["The data server offers no data of CrabNebula at level SuperStar: passed over."]
    with pytest.raises(UnknownNameError, match="no data of level Melibea"):
        crab.get_data(datalevels.Melibea)


def test_results_are_of_the_selected_cells(crab):
    crab.filter({"za": ["za05to35"], "moon_level": ["weak"]})
    counted = crab.theta2()
    assert counted.simulated
    assert len(counted.runs) == 4
    fitted = crab.spectrum(model="power_law")
    assert {row["name"] for row in fitted.parameters} >= {"index", "amplitude"}
    assert fitted.live_time_s == pytest.approx(80.0, rel=0.02)
    assert len(crab.light_curve().tables()) >= 1


def test_go_does_everything_and_says_so(crab):
    crab.filter({"za": ["za05to35"], "moon_level": ["weak"]})
    said = []
    results = run_fast(crab, say=said.append)
    text = "\n".join(said)
    assert text.startswith("Performing fast analysis for CrabNebula")
    assert "Data distribution after checking moon levels" in text
    assert "All of this is simulated" in text
    assert all(path.is_file() and path.stat().st_size > 10_000 for path in results["plots"])
    assert '"significance"' in to_json(results)


def test_an_unknown_source_is_refused_with_those_that_were_observed(chain):
    source = mp.analysis.Source(name="Betelgeuse", session=chain.session, quiet=True)
    with pytest.raises(LookupError, match="Betelgeuse"):
        source.search()
