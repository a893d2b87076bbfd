"""Writing DL3: what gammapy and fitsverify say of it, and the index under several writers."""

import logging
import shutil
import subprocess
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
import toy_dl3
from astropy.io import fits
from astropy.time import Time

from magicpy_assets.formats import dl3, dl3_files, dl3_index, gadf, gadf_cards
from magicpy_assets.science.background import field_background


@pytest.fixture(scope="module")
def responses():
    return toy_dl3.toy_responses(n_thrown=60_000)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, responses):
    place = tmp_path_factory.mktemp("dl3")
    for number, wobble in ((5093001, 35), (5093002, 215)):
        toy_dl3.write_run(place, toy_dl3.crab_run(number, 300, wobble, seed=number), responses)
    dl3_index.write_index(place)
    return place


def write_one(arguments):
    """In a process of its own: write a run and the index of its folder."""
    place, number, responses = arguments
    toy_dl3.write_run(place, toy_dl3.crab_run(number, 20, 35, seed=number), responses)
    dl3_index.write_index(place)


@pytest.mark.skipif(shutil.which("fitsverify") is None, reason="fitsverify is not installed")
def test_fitsverify_finds_nothing(folder):
    files = sorted(folder.glob("*.fits*"))
    assert len(files) == 4
    for path in files:
        done = subprocess.run(["fitsverify", str(path)], capture_output=True, text=True, check=False)
        assert "found 0 warning(s) and 0 error(s)" in done.stdout, done.stdout


def test_gammapy_reads_the_folder_through_its_index_without_a_word(folder, caplog):
    from gammapy.data import DataStore
    from gammapy.data.observations import ObservationChecker

    with caplog.at_level(logging.WARNING):
        store = DataStore.from_dir(folder)
        observations = store.get_observations(required_irf="point-like")
        for observation in observations:
            observation.events, observation.gti, observation.aeff, observation.edisp, observation.rad_max  # noqa: B018
            problems = [
                r for r in ObservationChecker(observation).run(["gti", "aeff", "edisp"]) if r["level"] != "debug"
            ]
            assert problems == []
    assert [record.getMessage() for record in caplog.records] == []
    assert observations.ids == ["5093001", "5093002"]


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
def test_gammapys_checks_of_the_index_are_clean(folder):
    from gammapy.data import DataStore

    records = list(DataStore.from_dir(folder).check(["obs_table", "hdu_table", "consistency"]))
    assert [record for record in records if record["level"] != "debug"] == []


def test_what_is_written_comes_back(folder, responses):
    run = toy_dl3.crab_run(5093001, 300, 35, seed=5093001)
    wanted = toy_dl3.selected(run.columns, responses.cuts)
    observation = dl3.open_observations(folder)[0]
    table = observation.events.table
    order = np.argsort(wanted.mjd)
    assert len(table) == len(wanted.mjd)
    np.testing.assert_array_equal(table["EVENT_ID"], wanted.event_id[order])
    np.testing.assert_allclose(table["ENERGY"].quantity.to_value("GeV"), wanted.energy_gev[order], rtol=1e-6)
    np.testing.assert_allclose(table["RA"].quantity.to_value("deg"), wanted.ra_deg[order], atol=2e-5)
    np.testing.assert_allclose(observation.events.time.utc.mjd, wanted.mjd[order], rtol=0, atol=1e-10)
    np.testing.assert_allclose(observation.aeff.data[:, 0], responses.area_m2, rtol=1e-6)
    np.testing.assert_allclose(observation.edisp.data[:, :, 0], responses.dispersion, rtol=1e-6)
    np.testing.assert_allclose(observation.rad_max.data[:, 0], responses.cuts.theta_max_deg, rtol=1e-6)
    assert observation.observation_live_time_duration.to_value("s") == pytest.approx(300, rel=1e-6)


def test_headers_say_what_was_used(folder, responses):
    entry = dl3_files.entries(folder)[0]
    assert entry.simulated
    assert entry.cards["FOREST"] == "toy"
    assert entry.cards["LIVETIME"] == pytest.approx(entry.cards["ONTIME"] * entry.cards["DEADC"])
    with fits.open(entry.path) as hdus:
        assert hdus["GH_CUTS"].header["CUTS"] == responses.cuts.identity
        np.testing.assert_allclose(hdus["GH_CUTS"].data["GH_CUT"], 1 - responses.cuts.hadronness_max)
        assert hdus["EFFECTIVE AREA"].header["LO_THRES"] == pytest.approx(responses.threshold_gev / 1e3)


def test_seconds_are_of_terrestrial_time_over_the_leap_second_of_2016():
    mjd = np.array([57752.5, 57755.5])
    assert np.diff(gadf_cards.seconds(mjd))[0] == pytest.approx(3 * 86400 + 1, abs=1e-5)
    assert gadf_cards.seconds(mjd)[0] == pytest.approx(
        (Time(57752.5, format="mjd", scale="utc").tt.mjd - 51544.5) * 86400, abs=1e-3
    )


def test_cards_too_long_are_cut_to_fit():
    header = fits.Header()
    gadf_cards.put_cards(header, {"LONG": ("x" * 100, "y" * 100), "NUMBER": (3, "z" * 100), "PLAIN": "word"})
    gadf_cards.put_cards(header, {"QUOTES": ("'" * 40 + "x" * 40, "y" * 100), "HALF": ("it's " * 10, "y" * 100)})
    assert all(len(card.image) == 80 for card in header.cards)
    assert header["LONG"] == "x" * 68
    assert (header["NUMBER"], header["PLAIN"]) == (3, "word")


def test_a_measured_background_is_read_by_gammapy(tmp_path, responses):
    run = toy_dl3.crab_run(5093001, 300, 35, seed=3)
    events = toy_dl3.selected(run.columns, responses.cuts)
    rng = np.random.default_rng(1)
    offset = 1.5 * np.sqrt(rng.uniform(size=len(events.mjd)))
    background = field_background(events.energy_gev, offset, np.zeros_like(offset), 300.0, ())
    path = tmp_path / "run_DL3.fits"
    gadf.write(path, gadf.run_hdus(run.cards, events, responses, background))
    read = dl3.open_observations(path)[0]
    assert read.bkg.data.shape == background.rate.shape
    np.testing.assert_allclose(read.bkg.quantity.to_value("s-1 MeV-1 sr-1"), background.rate, rtol=1e-6)


def test_an_index_lists_every_run_though_several_processes_write(tmp_path, responses):
    numbers = list(range(5093001, 5093007))
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        list(pool.map(write_one, [(tmp_path, number, responses) for number in numbers]))
    with fits.open(tmp_path / dl3_index.OBS_INDEX) as hdus:
        assert sorted(hdus["OBS_INDEX"].data["OBS_ID"]) == numbers
    with fits.open(tmp_path / dl3_index.HDU_INDEX) as hdus:
        assert len(hdus["HDU_INDEX"].data) == 5 * len(numbers)
    left = [path.name for path in tmp_path.iterdir() if path.name.startswith(".") and path.name != dl3_index.LOCK]
    assert left == []


def test_a_failed_write_leaves_nothing(tmp_path):
    class Broken:
        def writeto(self, path, **_):
            Path(path).write_text("half")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        gadf.write(tmp_path / "run.fits", Broken())
    assert list(tmp_path.iterdir()) == []
