"""OFF data, Monte Carlo and training as an analyser says it, on a store in which the chain has been run."""

import re
import shutil
import sys
from types import ModuleType

import pandas as pd
import pytest

import magicpy_assets as mp
from magicpy_assets.analysis.random_forests import find_forests, train_random_forests
from magicpy_assets.core.cell import Cell
from magicpy_assets.core.errors import InputError
from magicpy_assets.pipeline.off_data import OffSelection, off_runs, selection_path
from magicpy_assets.pipeline.plan import plan
from magicpy_assets.pipeline.runs import known_runs
from magicpy_assets.store.records import read_record

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("chain")]

MODERATE = Cell.parse("ST0316/za05to35/moderate")


def off_of(chain, cell=None):
    """OFF data of a cell of the season of the tests."""
    found = cell or chain.cell
    return mp.analysis.Off(
        period=found.period, zenith=found.zenith, moon_level=found.moon, session=chain.session, quiet=True
    )


@pytest.fixture
def off(chain):
    """OFF data of the cell of the chain; the store is left without a selection."""
    found = off_of(chain)
    yield found
    found.clear()


@pytest.fixture
def mola(monkeypatch):
    """Online results as the runbooks would give them: one field shows a signal."""
    module = ModuleType("magicpy_assets.analysis.runbooks")

    def combined_mola(session, sources, nights):
        strong = {sources[0]: 6.2}
        rows = [(name, 7200.0, strong.get(name, -0.4), 0.3) for name in sources]
        return pd.DataFrame(rows, columns=["source", "t_eff_s", "le_sigma", "he_sigma"])

    module.combined_mola = combined_mola
    monkeypatch.setitem(sys.modules, module.__name__, module)


def test_candidates_are_told_by_source_as_users_know_it(off):
    table = off.search()
    assert "CrabNebula" not in table.to_table().index
    assert table.to_table().loc["Total", "runs"] == len(off.runs) == len(table) == 2
    lines = str(table).splitlines()
    assert lines[0] == "OFF candidates for ST0316/za05to35/weak:"
    assert lines[-1] == "Total 2 runs 0.0 h"
    assert "<table" in table._repr_html_()
    assert "CrabNebula" in off.refused


def test_monte_carlo_and_off_data_train_the_forests_and_judge_them(off):
    mc = mp.analysis.MC(off_source=off)
    assert mc.cell == off.cell
    files = mc.files()
    runs = {use: set(rows["run"]) for use, rows in files.groupby("use")}
    assert runs["train"].isdisjoint(runs["test"])
    assert len(runs["train"]) == len(runs["test"]) > 0
    assert files["name"].str.contains("_za05to35_.*_Y_wr").all()
    steps = (off.get_data, off.run_star, off.run_superstar, mc.get_data, mc.run_star, mc.run_superstar)
    for step in steps:
        report = step()
        assert report.counts["failed"] == 0 < len(report), step
        assert set(report.table["stage"]) <= {"calibrated", "star", "superstar"}
    quality = off.train(mc_data=mc)
    assert 0.9 < quality["auc"] <= 1.0
    assert quality["held_out"]["off"] == "all events of 1 of 2 OFF runs"
    assert quality.simulated
    folder = off.session.layout.forest(off.cell)
    assert (folder / "quality" / "separation.png").stat().st_size > 10_000
    assert len(pd.read_csv(folder / "quality" / "by_energy.csv")) > 3
    assert mc.apply_rfs().counts["failed"] == 0
    other = mp.analysis.MC(off_source=off_of(off, MODERATE))
    with pytest.raises(InputError, match="the Monte Carlo is that of ST0316/za05to35/moderate"):
        off.train(mc_data=other)


def test_a_selection_is_what_everything_trains_with(off):
    runs = sorted(off.runs["run"])
    chosen = off.select(hours=20 / 3600, mola=False)
    assert len(chosen) == 2  # never fewer, if there are more
    path = selection_path(off.session, off.cell)
    path.write_text(path.read_text().replace(str(runs[0]), "1"))
    assert list(off.runs["run"]) == runs[1:]
    planned = plan(off.session, None, [off.cell], "random_forest")
    used = {task.unit for task in planned if task.stage == "superstar" and not task.source.startswith("MC/")}
    assert used == {f"{runs[1]:08d}"}
    forest = planned.only("random_forest")
    assert "input gone" in forest.to_table()["reason"].iloc[0]
    off.clear()
    assert plan(off.session, None, [off.cell], "random_forest").to_do == ()


def test_fields_and_runs_can_be_left_out(off):
    table = off.candidates
    name = table["source"].iloc[0]
    off.exclude(name)
    assert name not in set(off.candidates["source"])
    assert off.refused[name] == "excluded by hand"
    with pytest.raises(LookupError, match="unknown OFF candidate 'Crabby'"):
        off.exclude("Crabby")
    off.clear()
    off.exclude(int(table["run"].iloc[0]))
    assert len(off.candidates) == len(table) - 1
    off.clear()
    flow = off.filter({"za_deg": ">20"})
    assert set(off.candidates["run"]) == set(flow.runs["run"])
    # Training takes over what has been left out, though nobody called select.
    off._make("calibrated")
    assert sorted(off.runs["run"]) == sorted(flow.runs["run"])


def test_what_mola_has_seen_ranks_and_refuses(off, mola):
    table = off.get_mola()
    assert list(table["verdict"])[-1] == "MOLA sees 6.2 sigma, more than 3.5"
    loud = table["source"].iloc[-1]
    assert loud not in set(off.candidates["source"])
    with pytest.raises(InputError, match=re.escape(f"{loud} cannot serve as OFF data: MOLA sees 6.2 sigma")):
        off.select(fields=[loud])
    with pytest.raises(InputError, match=r"CrabNebula cannot serve as OFF data: it is analysed here"):
        off.select(fields=["Crab"])
    rest = len(off.candidates)
    assert rest < 2
    if rest:
        off.select()
        assert loud in OffSelection.read(selection_path(off.session, off.cell)).refused


def test_forests_are_found_named_missing_and_borrowed_only_if_asked(chain):
    found = find_forests(chain.session, [chain.cell, MODERATE])
    assert list(found.found) == [chain.cell]
    assert found.missing == (MODERATE,)
    lines = found.lines("CrabNebula")
    folder = chain.session.layout.forest(chain.cell)
    assert lines[0] == f"Random Forest for ST0316 za05to35 weak moon found: {folder}"
    assert lines[1] == "Random Forest for ST0316 za05to35 moderate moon missing. Train it with"
    assert "mp.moons.ModerateMoon).train()" in lines[2]
    assert "magicpy train ST0316/za05to35/moderate" in lines[2]
    assert lines[-1] == "1 of 2 RFs found. Running melibea for CrabNebula where there is one."
    asked = find_forests(chain.session, [MODERATE], fallback="nearest")
    assert asked.instead == {MODERATE: chain.cell}
    with pytest.raises(LookupError, match="did you mean nearest"):
        find_forests(chain.session, [MODERATE], fallback="nearst")
    assert find_forests(chain.session, [chain.cell]).lines("X")[-1] == "All RFs found. Running melibea for X."


def test_borrowed_forests_stand_in_the_record(chain):
    said = []
    crab = mp.analysis.Source(name="Crab", period=mp.periods.ST0316, session=chain.session, quiet=True)
    crab.filter({"za": ["za35to50"], "moon_level": ["moderate"]})
    report = crab.apply_rfs(say=said.append)
    assert len(report) == 0
    assert said[-1] == "No RFs found. melibea does not run for CrabNebula."
    report = crab.apply_rfs(say=said.append, fallback="nearest")
    assert report.counts["failed"] == 0
    products = report.products("melibea")
    assert products
    assert all(read_record(path).parameters == {"forest_cell": chain.cell.text} for path in products)
    assert "is used instead, as asked" in "\n".join(said)
    own = plan(chain.session, "CrabNebula", crab.cells, "melibea").only("melibea").to_table()
    # Without being asked again, nothing of another cell is taken for its own.
    assert not (own["state"] == "up to date").any()
    for path in products:
        shutil.rmtree(path.parent, ignore_errors=True)


def test_a_whole_period_is_trained_in_one_plan(chain):
    trained = train_random_forests(mp.periods.ST0316, [chain.cell], session=chain.session, quiet=True)
    assert list(trained.forests) == [chain.cell]
    assert trained.report.counts["cached"] == len(trained.report)
    assert trained.table["auc"].iloc[0] > 0.9
    with pytest.raises(LookupError, match="no cell of ST0316"):
        train_random_forests(mp.periods.ST0316, [Cell.parse("ST0317/za05to35/weak")], session=chain.session)
    with pytest.raises(LookupError, match="no cell of ST0320"):
        train_random_forests(mp.periods.ST0320, session=chain.session)


def test_the_moon_check_shows_hours_before_and_after(chain):
    crab = mp.analysis.Source(name="Crab", period=mp.periods.ST0316, session=chain.session, quiet=True)
    check = crab.moon_check()
    assert len(check.moved) == 0
    treated, text = check.treatments, str(check)
    measured = int(treated["measured"].sum())
    assert 4 <= measured < 8
    assert f"{measured} of 8 runs measured, 0 change cell" in text
    assert f"{8 - measured} runs have not been downloaded" in text
    weak = treated[treated["cell"].str.endswith("weak")]
    assert set(weak["level1_phe"]) == {6.0}
    assert set(treated["level1_phe"]) == {6.0, 7.0}
    runs = known_runs(chain.session)
    assert len(off_runs(chain.session, runs, chain.cell)) == 2
