"""The analysis with one telescope, from the archive to the results, beside that with both in one store."""

from datetime import date

import numpy as np
import pytest
from astropy.io import fits

import magicpy_assets as mp
from magicpy_assets.core import datalevels
from magicpy_assets.core.cell import Cell
from magicpy_assets.core.errors import InputError, MissingInputError
from magicpy_assets.core.settings import load_settings
from magicpy_assets.core.telescopes import M1
from magicpy_assets.engine.dl3_inputs import read_run, read_simulations
from magicpy_assets.formats import melibea, star
from magicpy_assets.mars.programs import forest_files
from magicpy_assets.observatory.server import serve
from magicpy_assets.pipeline.plan import plan
from magicpy_assets.pipeline.session import open_session
from magicpy_assets.pipeline.status import status
from magicpy_assets.store.provenance import history
from magicpy_assets.store.records import read_record

pytestmark = [pytest.mark.slow]

CELL = Cell.parse("ST0316/za05to35/weak")
ALONE = 10_094_231
"""The run of the programme in which M1 alone took part."""
STEREO_RUNS = (5_094_229, 5_094_230)


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    """A store of its own, and an observatory of two nights, in the second of which M2 was missing for one run."""
    folder = tmp_path_factory.mktemp("mono")
    nights = (date(2020, 11, 16), date(2021, 1, 11))
    with pytest.MonkeyPatch.context() as patch, serve(folder / "cache", 316, nights=nights, duration_s=20.0) as server:
        patch.setenv("MAGICPY_ARCHIVE_PASSWORD", server.password)
        archive = {"url": server.url, "user": server.user}
        yield load_settings(store=str(folder / "store"), archive=archive, compute={"workers": 2})


def opened(settings, telescopes=(1,)):
    found = mp.analysis.Source("Crab", period=mp.periods.ST0316, settings=settings, quiet=True, telescopes=telescopes)
    found.search()
    found.filter({"za": ["za05to35"], "moon_level": ["weak"], "run": [*STEREO_RUNS, ALONE]})
    return found


@pytest.fixture(scope="module")
def crab(settings):
    """The chain of three runs with M1 alone, run once; `report` says what was done."""
    with opened(settings) as source:
        source.report_of_tasks = source.make(datalevels.Spectra)
        yield source


def test_every_task_of_the_mono_chain_is_done(crab):
    report = crab.report_of_tasks
    assert report.counts["done"] == len(report) > 30
    assert set(report.table["stage"]) == {level.key for level in datalevels.ALL} - {"superstar"}
    assert not crab.plan().to_do
    # Nothing of M2 was downloaded.
    assert not list(crab.session.layout.root.glob("*/calibrated/*/*_M2_*"))
    assert not list(crab.session.layout.root.glob("MC/*/*/**/GA_M2_*"))


def test_products_lie_apart_and_have_records(crab):
    root, report = crab.session.layout.root, crab.report_of_tasks
    places = {
        path.relative_to(root).parts[1 if path.is_relative_to(root / "CrabNebula") else 2]
        for stage in ("melibea", "dl3", "spectra")
        for path in report.products(stage)
    }
    assert places == {"melibea-M1", "dl3-M1", "spectra-M1"}
    forests = root / "RFs/ST0316/za05to35/weak/M1"
    assert all(read_record(forests / name).outcome == "done" for name in forest_files(M1))
    record = read_record(report.products("melibea")[0])
    assert "--stereo" not in record.command
    assert record.simulated
    words = str(history(report.products("dl3")[0]))
    for word in ("melibea", "star", "calibrated", "random_forest"):
        assert word in words
    assert "superstar" not in words
    table = status(crab.session.layout, "CrabNebula")
    assert set(table.loc[table["stage"] == "dl3", "place"]) == {"ST0316/za05to35-weak (mono, M1)"}


def test_the_run_of_m1_alone_is_analysed_mono_but_not_in_stereo(crab, settings):
    assert ALONE in crab.runs_of(crab.files(datalevels.DL3)[CELL])
    with opened(settings, (1, 2)) as stereo:
        planned = stereo.plan("dl3")
        states = {
            task.unit: planned.state(task)
            for task in planned
            if (task.source, task.stage) == ("CrabNebula", "superstar")
        }
        assert "superstar needs both telescopes" in states[f"{ALONE:08d}"].reason
        assert all("both telescopes" not in states[f"{run:08d}"].reason for run in STEREO_RUNS)
        # The star files of M1 are shared: nothing of them is to be made again.
        stars = [task for task in planned if (task.source, task.stage) == ("CrabNebula", "star") and " M1" in task.unit]
        assert {planned.state(task).state for task in stars} == {"up to date"}


def test_responses_are_of_gammas_that_would_have_triggered_like_the_run(crab):
    """The trigger of a run of M1 alone asked for no second telescope, so more simulated gamma rays count."""
    runs = {name: path for path in crab.files(datalevels.Melibea)[CELL] for name in [int(path.name.split("_")[2])]}
    assert set(runs) == {*STEREO_RUNS, ALONE}
    gammas = [path for path in crab.report_of_tasks.products("melibea") if path.name.startswith("GA_")]
    simulations = read_simulations(gammas, 50.0)
    alone, together = (simulations.seen_by(read_run(runs[run], 50.0)) for run in (ALONE, STEREO_RUNS[0]))
    assert 0 < len(together) == simulations.in_array.sum() < len(alone) == len(simulations.gammas)


def test_every_event_of_a_run_has_a_number_of_its_own(crab):
    for path in crab.files(datalevels.DL3)[CELL]:
        with fits.open(path) as hdus:
            header, ids = hdus["EVENTS"].header, hdus["EVENTS"].data["EVENT_ID"]
        assert header["TELLIST"] == "M1"
        assert len(set(ids)) == len(ids) > 0
        # Without an array trigger: subrun and number of the readout.
        assert (ids.min() > 10**7) == (header["OBS_ID"] == ALONE)


def test_simulated_gammas_are_found_but_less_well_than_in_stereo(crab):
    files = [path for path in crab.report_of_tasks.products("melibea") if path.name.startswith("GA_")]
    tables = [melibea.read_events(path) for path in files]
    theta2, energy, found = (
        np.concatenate([table[name].to_numpy() for table in tables])
        for name in ("theta2_deg2", "mc_energy_gev", "energy_gev")
    )
    bright = (energy > 500) & (energy < 5000) & np.isfinite(theta2)
    theta39 = np.sqrt(np.quantile(theta2[bright], 0.393))
    # In stereo 0.042 deg (tests of the chain).
    assert 0.05 < theta39 < 0.15
    error = (found[bright] - energy[bright]) / energy[bright]
    assert 0.15 < np.subtract(*np.quantile(error, [0.84, 0.16])) / 2 < 0.45
    assert abs(np.median(error)) < 0.15
    assert all(star.read_header(path).telescope == 1 for path in files)


def test_results_say_that_one_telescope_was_used(crab):
    counts = crab.theta2()
    assert "(mono, M1)" in counts.caption
    assert "(mono, M1)" in crab.theta2(selection="LE").caption
    assert crab.theta2(selection="LE").to_dict()["exposure"]["array"] == "mono, M1"
    saved = crab.session.layout.data("CrabNebula", datalevels.Spectra, CELL, "any").parent
    assert "(mono, M1)" in type(counts).load(saved).caption
    assert "mono, M1" in repr(crab)
    report = crab.report()
    page = report.document.html()
    assert "One telescope alone was used (mono, M1)" in page
    assert "with one telescope (mono, M1)" in report.text
    assert "superstar" not in set(crab.balance().by_level.index)
    assert crab.balance().set_aside.empty


def test_nothing_is_expected_of_one_telescope_that_takes_two(crab):
    table = crab.validate().table.set_index("name")
    for name in ("theta39", "energy_resolution", "energy_threshold", "crab_rate_398_631", "auc"):
        assert table.loc[name, "verdict"] == "not applicable"
        assert "both telescopes" in table.loc[name, "remark"]
    assert table.loc["exposure_closure", "verdict"] == "ok"


def test_what_takes_two_telescopes_says_so(crab):
    with pytest.raises(InputError, match="superstar joins both telescopes, but the analysis is mono, M1"):
        crab.run_superstar()
    with pytest.raises(MissingInputError, match="analysed mono, M1") as found:
        crab.peek(run=STEREO_RUNS[0], event="brightest")
    assert "telescopes=(1, 2)" in str(found.value)
    assert crab.peek(run=STEREO_RUNS[0]).axes
    with pytest.raises(InputError, match="the session is mono, M1, not stereo"):
        mp.analysis.Source("Crab", session=crab.session, telescopes=(1, 2))
    with pytest.raises(InputError, match=r"allowed are \(1, 2\)"):
        mp.analysis.Source("Crab", telescopes=(3,))


def test_stereo_and_mono_are_not_compared_as_if_they_were_alike(crab, tmp_path):
    files = crab.files(datalevels.DL3)[CELL]
    assert mp.analysis.compare(crab, files[0].parent).agrees
    for path in files:
        with fits.open(path) as hdus:
            hdus["EVENTS"].header["TELLIST"] = "M1M2"
            hdus.writeto(tmp_path / path.name.replace("_M1_", "_"))
    with pytest.raises(InputError, match=r"is mono, M1, .* stereo: they have different images"):
        mp.analysis.compare(crab, tmp_path)
    (tmp_path / files[0].name).write_bytes(files[0].read_bytes())
    with pytest.raises(InputError, match=r"run \d+ is in two files"):
        mp.analysis.compare(crab, tmp_path)


def test_a_saved_analysis_keeps_its_telescopes(crab, settings):
    path = crab.save()
    assert path.name == "analysis-M1.toml"
    with mp.analysis.Source.load("Crab", settings=settings, telescopes=1, quiet=True) as again:
        assert again.telescopes == M1
        assert set(again.runs["run"]) == set(crab.runs["run"])
    with pytest.raises(MissingInputError):
        mp.analysis.Source.load("Crab", settings=settings)
    with opened(settings, (1, 2)) as stereo:
        assert stereo.save().name == "analysis.toml"
    assert path.is_file()


def test_a_telescope_that_took_no_part_is_named(settings):
    with open_session(settings, telescopes=(2,)) as session:
        planned = plan(session, "CrabNebula", [CELL], "star", runs=[ALONE])
        assert {planned.state(task).state for task in planned} == {"set aside"}
        assert "no calibrated file of M2" in planned.to_table()["reason"].iloc[0]


def test_forests_are_found_missing_and_trained_for_their_telescope(crab, settings, capsys):
    crab.apply_rfs()
    with mp.analysis.Source("Crab", mp.periods.ST0316, settings=settings, quiet=True, telescopes=2) as other:
        other.filter({"run": [STEREO_RUNS[0]]})
        said = []
        other.apply_rfs(say=said.append)
    assert any("telescopes=(2,)" in line and "--telescopes 2" in line for line in said)
    with mp.analysis.Off(
        mp.periods.ST0316, mp.zeniths.za05to35, mp.moons.WeakMoon, settings=settings, quiet=True, telescopes=1
    ) as off:
        quality = off.train()
    assert "mono, M1" in quality.title
    assert "right end of the image" in str(quality)
    assert "head_tail_1" in quality["importance"]
