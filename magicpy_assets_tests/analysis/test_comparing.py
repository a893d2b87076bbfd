"""Two analyses side by side: the same agree, one that was moved or has lost something does not, and says so."""

import shutil

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits

from magicpy_assets.analysis import Source, compare
from magicpy_assets.core.errors import InputError, MissingInputError
from magicpy_assets.core.periods import by_name
from magicpy_assets.plots.comparison import comparison_figure
from magicpy_assets.science.agreement import limits
from magicpy_assets.science.comparison import ComparisonResult
from magicpy_assets.science.exposure import Exposure
from magicpy_assets.science.verdict import Side, compared
from magicpy_assets_tests.formats import toy_dl3

pytestmark = pytest.mark.usefixtures("few_points")

EXPOSURE = Exposure("Toy", (1, 2), 7200.0, 59000.0, 59001.0, simulated=True)
WEEK = 7.0


def events(seed, runs=(1, 2), n=400):
    rng = np.random.default_rng(seed)
    return pd.concat(
        [
            pd.DataFrame({
                "run": run,
                "event_id": np.arange(n),
                "mjd": 59000.0 + WEEK * run + np.sort(rng.uniform(0, 0.01, n)),
                "ra_deg": 83.0 + rng.normal(0, 0.1, n),
                "dec_deg": 22.0 + rng.normal(0, 0.1, n),
                "energy_gev": 300 * rng.pareto(1.6, n) + 300,
                "region": rng.choice([1, 0, -1], n, p=[0.4, 0.3, 0.3]),
            }).assign(
                at_source=lambda table: table["region"] == 1,
                theta2_deg2=lambda table: np.where(table["region"] >= 0, rng.uniform(0, 0.02, n), 0.05),
            )
            for run in runs
        ],
        ignore_index=True,
    )  # fmt: skip


def side(table, name="a", runs=(1, 2)):
    return Side(
        name=name, runs=runs, events=table, exposure=EXPOSURE, start_mjd={run: 59000.0 + WEEK * run for run in runs},
        live_time_s=dict.fromkeys(runs, 1200.0), theta2=None, position_deg=(83.0, 22.0), alpha=1 / 3,
    )  # fmt: skip


def both(first, second, **options):
    return compared(side(first), side(second, "b", **options))


def answers(found):
    return {row["name"]: bool(row["agrees"]) for row in found.questions if row["asked"]}


def remark(found, name):
    (row,) = (row for row in found.questions if row["name"] == name)
    return str(row["remark"])


def test_an_analysis_agrees_with_itself(tmp_path):
    mine = events(1)
    found = both(mine, mine)
    assert found.agrees
    assert len(found.parts["events"]) == len(mine)
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
    found = both(mine, mine.assign(**{column: mine[column] * factor}))
    rows = answers(found)
    assert not rows.pop(question)
    assert all(rows.values())
    assert question.replace("_", " ") in found.verdict


def test_a_lost_third_of_the_signal_is_found_and_its_error_knows_that_events_are_shared():
    mine = events(1, n=3000)
    rng = np.random.default_rng(2)
    lost = (mine["region"] == 1) & (rng.random(len(mine)) < 1 / 3)
    found = both(mine, mine[~lost])
    runs = found.parts["runs"]
    assert np.all(np.asarray(runs["ratio"]) < 0.75)
    # Only the lost events count: far less than the Poisson error of two independent counts.
    assert np.all(np.asarray(runs["error"]) < np.sqrt(2 * np.asarray(runs["n_on_1"])))
    assert np.all(np.asarray(runs["correlation"]) > 0.7)
    rows = answers(found)
    assert not rows["excess_run"]
    assert not rows["excess_week"]
    assert not rows["theta2"]


def test_independent_counts_of_one_truth_agree_within_errors():
    """Other events of the same source: nothing is shared, so errors are those of both counts, and the runs agree."""
    first, second = events(3), events(4).assign(event_id=lambda table: table["event_id"] + 10_000)
    found = both(first, second)
    rows = answers(found)
    assert rows["excess_run"]
    assert not rows["events_common"]
    assert np.all(np.asarray(found.parts["runs"]["correlation"]) == 0)


def test_no_excess_against_a_clear_one_is_no_agreement():
    """Where the first has no excess there is no ratio, but there is a difference."""
    mine = events(1, n=1500)
    faint = mine.assign(region=np.where(mine["region"] == 1, 0, mine["region"]))
    found = both(faint, mine)
    runs = found.parts["runs"]
    assert np.all(np.asarray(runs["excess_1"]) < 0)
    assert np.all(np.isnan(np.asarray(runs["ratio"])))
    assert not answers(found)["excess_run"]
    # Two that see nothing agree.
    assert answers(both(faint, faint))["excess_run"]


def test_a_run_that_has_lost_its_events_counts():
    mine = events(1)
    found = both(mine, mine[mine["run"] == 1])
    assert list(found.parts["runs"]["group"]) == [1, 2]
    assert not answers(found)["excess_run"]


def test_runs_that_only_one_has_are_named_and_count():
    mine = events(1)
    found = compared(side(mine), side(mine, "b", runs=(1, 2, 7)))
    assert not answers(found)["runs_both"]
    assert remark(found, "runs_both") == "only in b: 7"
    assert "runs both" in found.verdict
    with pytest.raises(InputError, match="no run in common"):
        compared(side(mine), side(mine, "b", runs=(8,)))


def test_numbers_that_begin_again_are_told_by_time():
    """Numbers within a subrun only: the same two hundred, again and again."""
    mine = events(1, n=1000).assign(event_id=lambda table: table["event_id"] % 200)
    late = mine.assign(mjd=mine["mjd"] + 1e-4 / 86400)
    found = both(mine, late.sample(frac=0.95, random_state=1))
    assert len(found.parts["events"]) == len(late) * 0.95
    assert np.all(found.parts["events"]["energy_1"] == found.parts["events"]["energy_2"])
    assert found.agrees


def test_events_that_cannot_be_told_apart_are_not_matched_and_the_rest_is_compared():
    mine = events(1).assign(event_id=0, mjd=59007.0)
    found = both(mine, mine)
    assert not len(found.parts["events"])
    asked = answers(found)
    assert "energy_median" not in asked
    assert asked["excess_run"]
    assert "not unique" in remark(found, "events_common")
    assert "Could not be asked: events common" in found.verdict
    # Counts that may share everything or nothing are taken as sharing nothing.
    runs = found.parts["runs"]
    assert np.asarray(runs["error"]) == pytest.approx(
        np.sqrt(2 * (np.asarray(runs["n_on_1"]) + np.asarray(runs["n_off_1"]) / 9))
    )


def test_every_limit_has_a_source_and_belongs_to_a_question():
    assert all(limit.source and limit.meaning for limit in limits().values())
    found = both(events(1), events(1))
    assert set(found.questions["name"]) == set(limits())
    assert remark(found, "flux_run") == "both need DL3 files"


# DL3 files


@pytest.fixture(scope="module")
def responses():
    return toy_dl3.toy_responses(n_thrown=300_000)


@pytest.fixture(scope="module")
def dl3_folder(tmp_path_factory, responses):
    """Four runs in two weeks."""
    folder = tmp_path_factory.mktemp("mine")
    for number in range(4):
        run = toy_dl3.crab_run(
            5093001 + number, 900, (35, 215)[number % 2], seed=80 + number, start=59165.2 + 8 * (number // 2)
        )
        toy_dl3.write_run(folder, run, responses)
    return folder


def changed(folder, place, change):
    """Copy DL3 files under other names, each changed by a function of its HDUs."""
    place.mkdir()
    for number, path in enumerate(sorted(folder.glob("*.fits"))):
        with fits.open(path) as hdus:
            change(hdus, number)
            hdus.writeto(place / f"obs_{number}.fits.gz")
    return place


def lose(share):
    def change(hdus, number):
        kept = np.random.default_rng(number).random(len(hdus["EVENTS"].data)) > share
        hdus["EVENTS"].data = hdus["EVENTS"].data[kept]

    return change


def test_dl3_files_of_any_name_are_compared_to_the_spectrum(dl3_folder, tmp_path):
    other = changed(dl3_folder, tmp_path / "other", lose(0.03))
    found = compare(dl3_folder, other)
    assert found.agrees, str(found)
    assert set(answers(found)) == set(limits())
    assert set(found.parts) == {
        "runs", "weeks", "theta2", "events", "fluxes", "flux_weeks", "responses", "spectra"
    }  # fmt: skip
    assert len(found.parts["flux_weeks"]) == 2
    fluxes = found.parts["fluxes"]
    # Lost are three of a hundred; the error of the difference is that of the lost ones, not of the whole.
    assert np.all(np.asarray(fluxes["error"]) < 0.5 * np.hypot(fluxes["error_1"], fluxes["error_2"]))
    assert np.mean(np.asarray(fluxes["ratio"])) == pytest.approx(0.97, abs=0.04)
    found.save(tmp_path / "out")
    again = ComparisonResult.load(tmp_path / "out")
    assert again.to_dict() == found.to_dict()
    comparison_figure(again).savefig(tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 30_000


def test_responses_that_differ_show_in_fluxes_and_spectrum_and_not_in_counts(dl3_folder, tmp_path):
    def change(hdus, number):
        hdus["EFFECTIVE AREA"].data["EFFAREA"] *= 1.6

    found = compare(dl3_folder, changed(dl3_folder, tmp_path / "other", change))
    rows = answers(found)
    wrong = {name for name, agrees in rows.items() if not agrees}
    assert wrong == {"flux_run", "flux_week", "spectrum_flux", "effective_area"}
    # A larger area alone may come from other cuts: it is told, and does not count.
    assert "effective area" not in found.verdict
    assert np.asarray(found.parts["fluxes"]["ratio"]) == pytest.approx(1 / 1.6, rel=1e-3)


def test_energies_that_differ_show_in_the_slope(dl3_folder, tmp_path):
    def change(hdus, number):
        hdus["EVENTS"].data["ENERGY"] **= 0.6

    rows = answers(compare(dl3_folder, changed(dl3_folder, tmp_path / "other", change), model="power_law"))
    assert not rows["energy_median"]
    assert not rows["spectrum_slope"]
    assert rows["energy_bias"]


def test_files_that_cannot_be_compared_are_named(dl3_folder, tmp_path):
    def without_ids(hdus, number):
        hdus["EVENTS"] = fits.BinTableHDU.from_columns(
            [column for column in hdus["EVENTS"].columns if column.name != "EVENT_ID"], header=hdus["EVENTS"].header
        )

    def without_position(hdus, number):
        del hdus["EVENTS"].header["RA_OBJ"]

    def unknown(hdus, number):
        without_position(hdus, number)
        hdus["EVENTS"].header["OBJECT"] = "nowhere"

    with pytest.raises(InputError, match=r"obs_0\.fits\.gz: EVENTS has no column EVENT_ID"):
        compare(dl3_folder, changed(dl3_folder, tmp_path / "no_ids", without_ids))
    with pytest.raises(InputError, match=r"obs_0\.fits\.gz: neither RA_OBJ and DEC_OBJ nor .*'nowhere'"):
        compare(dl3_folder, changed(dl3_folder, tmp_path / "unknown", unknown))
    # A source that the table knows has its position there.
    assert answers(compare(dl3_folder, changed(dl3_folder, tmp_path / "known", without_position)))["excess_run"]
    shutil.copytree(dl3_folder, tmp_path / "twice" / "old")
    shutil.copytree(dl3_folder, tmp_path / "twice" / "new")
    with pytest.raises(InputError, match=r"run 5093001 is in two files: .*new.* and .*old"):
        compare(dl3_folder, tmp_path / "twice")


def test_a_dl3_run_without_any_event_counts(dl3_folder, tmp_path):
    def change(hdus, number):
        if number == 0:
            hdus["EVENTS"].data = hdus["EVENTS"].data[:0]

    found = compare(dl3_folder, changed(dl3_folder, tmp_path / "other", change))
    assert len(found.parts["runs"]) == 4
    rows = answers(found)
    assert not rows["excess_run"]
    assert not rows["flux_run"]


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
        events_only = compare(melibea, melibea)
        assert events_only.names == ("melibea (a)", "melibea (b)")
        assert {"excess_run", "theta2", "live_time"} <= set(answers(events_only))
        assert "flux_run" not in answers(events_only)
        (tmp_path / "empty").mkdir()
        with pytest.raises(MissingInputError, match="neither DL3 nor melibea"):
            compare(crab, tmp_path / "empty")
        with pytest.raises(InputError, match="no level in common"):
            compare(copy, melibea)
