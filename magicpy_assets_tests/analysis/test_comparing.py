"""Two analyses side by side: the same agree, one that was moved does not, other folders are refused."""

import shutil

import numpy as np
import pandas as pd
import pytest

from magicpy_assets.analysis import Source, compare
from magicpy_assets.core.errors import InputError, MissingInputError
from magicpy_assets.core.periods import by_name
from magicpy_assets.science.comparison import ComparisonResult, compared, limits
from magicpy_assets.science.exposure import Exposure

EXPOSURE = Exposure("Toy", (1, 2), 7200.0, 59000.0, 59001.0, simulated=True)


def events(seed, runs=(1, 2), n=400):
    rng = np.random.default_rng(seed)
    return pd.concat(
        [
            pd.DataFrame({
                "run": run,
                "event_id": np.arange(n),
                "mjd": 59000.0 + 7 * run + rng.uniform(0, 0.01, n),
                "ra_deg": 83.0 + rng.normal(0, 0.1, n),
                "dec_deg": 22.0 + rng.normal(0, 0.1, n),
                "energy_gev": 300 * rng.pareto(1.6, n) + 300,
                "region": rng.choice([1, 0, -1], n, p=[0.4, 0.3, 0.3]),
            })
            for run in runs
        ],
        ignore_index=True,
    )  # fmt: skip


def test_an_analysis_agrees_with_itself(tmp_path):
    mine = events(1)
    found = compared(mine, mine, EXPOSURE, ("a", "b"), 1 / 3)
    assert found.agrees
    assert len(found.events) == len(mine)
    assert np.all(np.asarray(found.parts["runs"]["ratio"]) == 1)
    assert "agree within" in found.verdict
    found.save(tmp_path)
    assert ComparisonResult.load(tmp_path).to_dict() == found.to_dict()


@pytest.mark.parametrize(
    ("change", "question"),
    [
        ({"energy_gev": 1.1}, "energy_median"),
        ({"dec_deg": 1.005}, "direction_median"),
    ],
)
def test_what_was_moved_is_named(change, question):
    mine = events(1)
    ((column, factor),) = change.items()
    found = compared(mine, mine.assign(**{column: mine[column] * factor}), EXPOSURE, ("a", "b"), 1 / 3)
    rows = {row["name"]: bool(row["agrees"]) for row in found.questions}
    assert not rows.pop(question)
    assert all(rows.values())
    assert question.replace("_", " ") in found.verdict


def test_a_lost_third_of_the_signal_is_found_and_its_error_knows_that_events_are_shared():
    mine = events(1, n=3000)
    rng = np.random.default_rng(2)
    lost = (mine["region"] == 1) & (rng.random(len(mine)) < 1 / 3)
    found = compared(mine, mine[~lost], EXPOSURE, ("a", "b"), 1 / 3)
    ratio, error = (np.asarray(found.parts["runs"][name], dtype=float) for name in ("ratio", "error"))
    excess = np.asarray(found.parts["runs"]["excess_1"], dtype=float)
    assert np.all(ratio < 0.75)
    # Only the lost events count: far less than the Poisson error of two independent counts.
    assert np.all(error < np.sqrt(2 * np.asarray(found.parts["runs"]["n_on_1"])) / excess)
    assert not found.agrees


def test_independent_counts_of_one_truth_agree_within_errors():
    """Other events of the same source: nothing is shared, so errors are those of both counts, and the runs agree."""
    first, second = events(3), events(4).assign(event_id=lambda table: table["event_id"] + 10_000)
    found = compared(first, second, EXPOSURE, ("a", "b"), 1 / 3)
    assert np.all(found.parts["runs"]["agrees"])
    rows = {row["name"]: bool(row["agrees"]) for row in found.questions}
    assert not rows["events_common"]


def test_every_limit_has_a_source():
    assert all(limit.source and limit.meaning for limit in limits().values())


@pytest.mark.slow
@pytest.mark.xdist_group("chain")
def test_folders_and_sources_are_compared(chain, tmp_path):
    with Source("CrabNebula", by_name("ST0316"), session=chain.session, quiet=True) as crab:
        folder = chain.session.layout.root / "CrabNebula" / "dl3"
        copy = tmp_path / "copy"
        shutil.copytree(folder, copy)
        same = compare(crab, copy)
        assert same.agrees
        assert same.simulated
        assert same.names == ("CrabNebula", "copy")
        melibea = chain.session.layout.root / "CrabNebula" / "melibea"
        assert compare(melibea, melibea).names == ("melibea (a)", "melibea (b)")
        (tmp_path / "empty").mkdir()
        with pytest.raises(MissingInputError, match="neither DL3 nor melibea"):
            compare(crab, tmp_path / "empty")
        with pytest.raises(InputError, match="no level in common"):
            compare(copy, melibea)
