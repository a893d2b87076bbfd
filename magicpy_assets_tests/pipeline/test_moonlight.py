"""What a plan does with moonlight: each run by its own state, OFF data and Monte Carlo by their cell."""

from dataclasses import dataclass, field
from datetime import datetime
from types import SimpleNamespace

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from magicpy_assets.archive.base import RemoteFile
from magicpy_assets.core import moons
from magicpy_assets.core.cell import Cell
from magicpy_assets.core.errors import InputError
from magicpy_assets.core.runs import REPORT_COLUMNS, night_folder, with_cells
from magicpy_assets.core.settings import Settings
from magicpy_assets.core.telescopes import STEREO
from magicpy_assets.mars.installation import Installation
from magicpy_assets.pipeline.off_data import OffSelection, candidates, first_hours, off_runs, selection_path
from magicpy_assets.pipeline.plan import plan
from magicpy_assets.pipeline.runs import PEDESTAL_MEAN, PEDESTAL_RMS, known_runs, moved_runs
from magicpy_assets.store.layout import Layout
from magicpy_assets.store.records import Record, write_record

DECENT = Cell.parse("ST0316/za05to35/decent")
WEAK = Cell.parse("ST0316/za05to35/weak")
HIGH = Cell.parse("ST0316/za05to35/high")
DAY = "2020-11-16"


def a_run(number, source="CrabNebula", nsb=1.0, **changes):
    """A row of the run table: a quarter of an hour at low zenith distance."""
    row = {
        "run": 5_093_000 + number, "date": datetime.fromisoformat(DAY), "source": source, "wobble": "W0.40+035",
        "source_ra_deg": 83.6, "source_dec_deg": 22.0, "start_mjd": 59169.0 + number / 100, "duration_s": 900.0,
        "za_deg": 20.0, "az_deg": 120.0, "nsb": nsb, "dc_na": 1100.0 * nsb, "hv": "nominal", "filter": "No_Filter",
        "L1_rate": 1e4, "L3_rate": 250.0, "sum_trigger": "No_Sumt", "stereo": True, "subruns": 1,
    }  # fmt: skip
    return row | changes


@dataclass
class Listings:
    """An archive that has one subrun of each run, superstar files of some, and Monte Carlo."""

    runs: list
    superstar: tuple = ()
    mc: dict = field(default_factory=dict)

    def files(self, level, source, night):
        mine = [run for run in self.runs if run["source"] == source and night_folder(run["date"]) == night]
        if level.key == "superstar":
            names = [f"20201116_{run['run']:08d}_S_{source}-{run['wobble']}.root" for run in mine]
            names = [name for name in names if int(name[9:17]) in self.superstar]
        else:
            names = [
                f"20201116_M{telescope}_{run['run']:08d}.001_Y_{source}-{run['wobble']}.root"
                for run in mine for telescope in ((1, 2) if run["stereo"] else (1,))
            ]  # fmt: skip
        return [RemoteFile(f"/Data/{level.name}/v1/{source}/{night}/{name}") for name in names]

    def offered_nights(self, level, source):
        return sorted({night_folder(run["date"]) for run in self.runs if run["source"] == source})

    def mc_files(self, period, zenith, use):
        names = self.mc.get(use, [f"GA_M{tel}_{zenith}_8_{173700 + (use == 'test')}_Y_wr.root" for tel in (1, 2)])
        return [RemoteFile(f"/MC/Calibrated/v1/{period}/{zenith}/{use}/{name}") for name in names]


class Opened(SimpleNamespace):
    """Parts of a session; like one it is only equal to itself."""

    __hash__ = object.__hash__


@pytest.fixture
def opened(tmp_path):
    """Make a session of runs that knows no server and runs no programs."""

    def make(runs, *, superstar=(), mc=None, **settings):
        table = with_cells(pd.DataFrame(runs, columns=[column.name for column in REPORT_COLUMNS]))
        return Opened(
            settings=Settings(**settings),
            installation=Installation.from_settings(Settings()),
            telescopes=STEREO,
            age="",
            layout=Layout(tmp_path / "store"),
            archive=Listings(runs, superstar, mc or {}),
            catalogue=SimpleNamespace(
                version=(),
                runs=lambda source=None: (table if source is None else table[table["source"] == source]).copy(),
            ),
        )

    return make


def rows(session, source, cell, up_to="melibea"):
    """The plan as a table, with what determines each product."""
    planned = plan(session, source, None if cell is None else [cell], up_to)
    table = planned.to_table()
    table["parameters"] = [dict(task.parameters) for task in planned]
    table["folder"] = [task.folder.name for task in planned]
    return table


def measure(session, run, mean, rms):
    """Leave a record as a download does that has measured the pedestals."""
    path = session.layout.calibrated(run["source"], run["date"].date(), f"20201116_M1_{run['run']:08d}.001_Y_X.root")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    measured = {PEDESTAL_MEAN: mean, PEDESTAL_RMS: rms}
    write_record(path, Record("f", "calibrated", path.name, measured=measured, size=1))


def test_each_run_is_cleaned_by_its_own_state(opened):
    session = opened(
        [
            a_run(1, nsb=9.0, hv="reduced"),
            a_run(2, nsb=14.0, hv="reduced"),
            a_run(3, nsb=18.0, filter="UV"),
            a_run(4, nsb=9.0),
        ]
    )
    table = rows(session, "CrabNebula", HIGH)
    star = table[(table["stage"] == "star") & (table["source"] == "CrabNebula")]
    levels = {
        unit[:8]: found.get("MJStar.MImgCleanStd.CleanLevel1")
        for unit, found in zip(star["unit"], star["parameters"], strict=True)
    }
    assert levels == {"05093001": 13.0, "05093002": 14.0, "05093003": 9.0, "05093004": None}
    assert not any("noise_rms_phe" in found for found in star["parameters"])
    melibea = table[table["stage"] == "melibea"].set_index("unit")
    assert set(melibea.loc[["05093001", "05093002"], "state"]) == {"blocked"}  # no OFF data: no forest
    assert melibea.loc["05093003", "reason"].startswith("taken through the UV filter: there is no Monte Carlo")
    assert (
        melibea.loc["05093004", "reason"] == "no cleaning level for NSB 9 x dark with nominal HV and filter No_Filter"
    )
    assert set(melibea.loc[["05093003", "05093004"], "state"]) == {"set aside"}


def test_reduced_voltage_in_a_cell_of_nominal_voltage_stops_at_superstar(opened):
    table = rows(opened([a_run(1, nsb=4.0, hv="reduced")]), "CrabNebula", DECENT).set_index("stage")
    star = table.loc["star"]
    data = star[star["source"] == "CrabNebula"]
    assert [found["MJStar.MImgCleanStd.CleanLevel1"] for found in data["parameters"]] == [10.0, 10.0]
    assert set(table.loc["superstar", "state"]) == {"to do"}
    assert "forests for decent moon are made for nominal" in table.loc["melibea", "reason"]


def test_darker_off_data_and_monte_carlo_get_the_noise_of_the_cell(opened):
    session = opened([a_run(1, nsb=4.0), a_run(2, "OJ287"), a_run(3, "OJ287", nsb=4.0), a_run(4, "OJ287", nsb=6.0)])
    table = rows(session, "CrabNebula", DECENT)
    star = table[table["stage"] == "star"]
    assert set(star["folder"]) == {"za05to35-decent"}
    noise = {(row.source, row.unit[:8]): row.parameters.get("noise_rms_phe") for row in star.itertuples()}
    assert noise == {
        ("CrabNebula", "05093001"): None,
        ("OJ287", "05093002"): 1.5,
        ("OJ287", "05093003"): None,
        ("MC/train", "173700 M"): 1.5,
    }
    assert {found["MJStar.MImgCleanStd.CleanLevel1"] for found in star["parameters"]} == {8.0}
    weak = rows(session, None, WEAK, "random_forest")
    assert not any("noise_rms_phe" in found for found in weak["parameters"])


def test_monte_carlo_of_bright_skies_follows_the_runs_that_are_there(opened):
    runs = [
        a_run(1, nsb=9.0, hv="reduced"),
        a_run(2, nsb=14.0, hv="reduced", duration_s=2000.0),
        a_run(3, "OJ287", nsb=6.0),
    ]
    table = rows(opened(runs), None, HIGH, "random_forest")
    star = table[table["stage"] == "star"]
    assert {found["noise_rms_phe"] for found in star["parameters"]} == {2.6}
    assert {found["MJStar.MImgCleanStd.CleanLevel1"] for found in star["parameters"]} == {14.0}


def test_runs_that_measured_pedestals_move_are_followed_downstream(opened):
    runs = [a_run(1, nsb=1.5), a_run(2, nsb=1.5), a_run(3, nsb=9.0, hv="reduced"), a_run(4, nsb=20.0, filter="UV")]
    session = opened(runs)
    before = known_runs(session)
    brighter = moons.target(moons.DecentMoon)
    measure(session, runs[0], brighter.pedestal_mean_phe, brighter.pedestal_rms_phe)
    measure(session, runs[1], 2.0, 1.0)
    measure(session, runs[2], 6.6, 2.6)
    measure(session, runs[3], 3.7, 1.6)
    after = known_runs(session)
    moved = moved_runs(before, after)
    assert moved[["run", "cell_before", "cell_after"]].values.tolist() == [[5_093_001, WEAK.text, DECENT.text]]
    assert after["nsb"].tolist() == pytest.approx([4.0, 1.0, 15.0, 11.5])
    assert after["nsb_catalogue"].tolist() == [1.5, 1.5, 9.0, 20.0]
    table = rows(session, "CrabNebula", None)
    star = table[(table["stage"] == "star") & (table["source"] == "CrabNebula")]
    found = {row.unit[:8]: (row.folder, row.parameters["MJStar.MImgCleanStd.CleanLevel1"]) for row in star.itertuples()}
    assert found == {
        "05093001": ("za05to35-decent", 8.0),
        "05093002": ("za05to35-weak", 6.0),
        "05093003": ("za05to35-high", 14.0),
        "05093004": ("za05to35-high", 8.0),
    }
    # Everything that follows lies in the new cell: nothing is left in the old one.
    later = table[table["unit"].str.startswith("05093001") & ~table["stage"].isin(["calibrated"])]
    assert set(later["folder"]) == {"za05to35-decent"}
    assert set(later["stage"]) == {"star", "superstar", "melibea"}


def test_training_and_test_sample_are_never_mixed(opened):
    both = [f"GA_M{tel}_za05to35_8_173700_Y_wr.root" for tel in (1, 2)]
    more = ["GA_M1_za05to35_8_173999_Y_wr.root", "GA_M2_za05to35_8_173999_Y_wr.root"]
    session = opened([a_run(1, "OJ287")], mc={"train": both + more, "test": both})
    table = rows(session, "MC/train", WEAK, "superstar")
    shared = table[table["unit"].str.startswith("173700")]
    assert set(shared["state"]) == {"set aside"}
    assert set(shared["reason"]) == {"run 173700 is in the training and in the test sample"}
    assert set(table[table["unit"].str.startswith("173999")]["state"]) == {"to do"}


def test_only_monte_carlo_of_the_zenith_range_and_of_one_wobble_is_taken(opened, caplog):
    names = ["GA_M1_za05to35_8_1_Y_w0.root", "GA_M1_za05to35_8_11_Y_w0.root", "GA_M1_za05to35_8_12_Y_wr.root"]
    names += ["GA_M1_za35to50_8_13_Y_wr.root", "GA_za05to35_8_14_S_wr.root", "notes.root"]
    session = opened([a_run(1, "OJ287")], mc={"train": names})
    assert list(rows(session, "MC/train", WEAK, "calibrated")["unit"]) == ["12 M1"]
    assert "GA_M1_za35to50_8_13_Y_wr.root is not calibrated Monte Carlo of za05to35" in caplog.text


def test_weak_moon_may_begin_with_the_archives_superstar_and_the_plan_says_why(opened):
    runs = [a_run(1), a_run(2), a_run(3, nsb=4.0), a_run(4, "OJ287")]
    start = {"archive": {"start_from": "superstar"}}
    session = opened(runs, superstar=(5_093_001, 5_093_003, 5_093_004), **start)
    table = rows(session, "CrabNebula", None, "superstar")
    reasons = table[table["stage"] == "superstar"].set_index("unit")["reason"]
    assert reasons["05093001"] == "new; weak moon begins with the archive's superstar"
    assert reasons["05093002"].endswith("; the archive holds no superstar of this run")
    assert reasons["05093003"].endswith("; decent moon is always made from calibrated")
    fetched = table[table["stage"] == "calibrated"]["unit"].str[:8]
    assert set(fetched) == {"05093002", "05093003"}
    commands = table.set_index("product")["command"]
    assert commands["20201116_05093001_S_CrabNebula-W0.40+035.root"].startswith("get /Data/SuperStar/v1/")
    # OFF data of a weak cell too; for a brighter one they need their noise, so they begin with calibrated.
    for cell, stages in ((WEAK, {"superstar"}), (DECENT, {"calibrated", "star", "superstar"})):
        found = rows(session, None, cell, "random_forest")
        off = found[(found["source"] == "OJ287") & (found["unit"].str[:8] == "05093004")]
        assert set(off["stage"]) == stages, cell


# OFF data


def table_of(opened, runs, **settings):
    return known_runs(opened(runs, **settings))


def test_candidates_are_as_dark_as_the_cell_or_darker_the_nearest_first_in_turns(opened):
    runs = [
        a_run(1, "OJ287"), a_run(2, "OJ287"), a_run(3, "S20109+22"), a_run(4, "OJ287", nsb=4.0),
        a_run(5, "OJ287", nsb=2.5), a_run(6, "OJ287", nsb=6.0), a_run(7), a_run(8, "OJ287", za_deg=36.0),
        a_run(9, "OJ287", stereo=False), a_run(10, "OJ287", sum_trigger="Sumt"), a_run(11, "OJ287", hv="reduced"),
        a_run(12, "OJ287", wobble="W0.70+035"), a_run(13, "Mrk421"), a_run(14, "S20109+22"),
    ]  # fmt: skip
    table = table_of(opened, runs)
    found = candidates(table, DECENT)
    assert [run - 5_093_000 for run in found["run"]] == [4, 5, 1, 3, 2, 14]
    assert list(found["darker"]) == [0, 1, 2, 2, 2, 2]
    assert [run - 5_093_000 for run in candidates(table, DECENT, 2.0)["run"]][-1] == 8
    assert candidates(table, Cell.parse("ST0317/za05to35/weak")).empty
    shuffled = table.sample(frac=1, random_state=3)
    assert list(candidates(shuffled, DECENT)["run"]) == list(found["run"])


def test_runs_are_taken_until_the_hours_are_reached_two_at_least(opened):
    table = candidates(table_of(opened, [a_run(i, "OJ287") for i in range(1, 9)]), WEAK)
    assert len(first_hours(table, 1.0)) == 4
    assert len(first_hours(table, 1.1)) == 5
    assert len(first_hours(table, 0.1)) == 2
    assert len(first_hours(table, 100)) == 8
    assert len(first_hours(table.iloc[:1], 5)) == 1


def test_a_margin_reaches_coach_and_its_record(opened):
    runs = [a_run(1, "OJ287"), a_run(2, "OJ287", za_deg=36.0)]
    session = opened(runs, forest={"zenith_margin_deg": 2.0})
    planned = plan(session, None, [WEAK], "random_forest")
    assert {task.unit for task in planned if task.stage == "superstar" and task.source == "OJ287"} == {
        "05093001",
        "05093002",
    }
    forest = planned.only("random_forest").tasks[0]
    assert forest.parameters["zenith_margin_deg"] == 2.0
    assert float(forest.build(forest.inputs, forest.folder).runcard.get("RF.zdmargin")) == 2.0


def test_the_chain_reads_the_selection_and_drops_what_no_longer_fits(opened, caplog):
    runs = [a_run(1, "OJ287"), a_run(2, "OJ287"), a_run(3, "S20109+22", nsb=1.2)]
    session = opened(runs)
    OffSelection(WEAK, {"OJ287": [5_093_002], "S20109+22": [5_093_003]}).write(selection_path(session, WEAK))
    assert sorted(off_runs(session, known_runs(session), WEAK)["run"]) == [5_093_002, 5_093_003]
    measure(session, runs[2], 3.6, 1.5)
    assert list(off_runs(session, known_runs(session), WEAK)["run"]) == [5_093_002]
    assert "S20109+22 5093003 cannot serve ST0316/za05to35/weak" in caplog.text
    OffSelection(DECENT, {}).write(selection_path(session, WEAK))
    with pytest.raises(InputError, match="was made for ST0316/za05to35/decent"):
        plan(session, None, [WEAK], "random_forest")


NAMES = st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), min_size=1, max_size=20)


@given(
    st.dictionaries(NAMES, st.lists(st.integers(1, 99_999_999), unique=True).map(sorted)),
    st.one_of(st.none(), st.floats(0.1, 1000).map(lambda value: float(f"{value:g}"))),
    st.sampled_from([0.0, 0.5, 5.0]),
    st.dictionaries(NAMES, NAMES),
)
def test_a_selection_is_read_as_it_was_written(tmp_path_factory, runs, hours, margin, refused):
    path = tmp_path_factory.mktemp("selection") / "off_selection.toml"
    kept = OffSelection(WEAK, runs, hours, margin, refused)
    kept.write(path)
    assert OffSelection.read(path) == kept


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("version = 1", "version = 7", "is of version 7, not 1"),
        ("version = 1", "", "has no 'version'"),
        ("[runs]", "[run", "no selection of OFF data"),
        ("[5093001]", '"5093001"', "run numbers are a list such as"),
        ("za05to35", "za05to36", "unknown zenith range"),
    ],
)
def test_a_selection_broken_by_hand_is_refused_and_kept(tmp_path, old, new, words):
    path = tmp_path / "off_selection.toml"
    OffSelection(WEAK, {"OJ287": [5_093_001]}).write(path)
    broken = path.read_text().replace(old, new)
    path.write_text(broken)
    with pytest.raises(ValueError if "zenith" not in words else LookupError, match=words):
        OffSelection.read(path)
    assert path.read_text() == broken
