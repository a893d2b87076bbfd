"""Looking at a source, a run, an event: images are those that were analysed, and what is missing is told."""

from __future__ import annotations

import io
import shutil

import numpy as np
import pytest

from magicpy_assets.analysis.peek import _files, flow_of
from magicpy_assets.analysis.source import Source
from magicpy_assets.core import datalevels
from magicpy_assets.core.errors import InputError, MissingInputError, UnknownNameError
from magicpy_assets.formats import melibea
from magicpy_assets.pipeline.events import cuts_of
from magicpy_assets.pipeline.run_look import look_at
from magicpy_assets.pipeline.session import open_session
from magicpy_assets.science.camera import N_PIXELS
from magicpy_assets.store.records import read_record, write_record
from magicpy_assets_tests.conftest import settings_for

pytestmark = pytest.mark.xdist_group("chain")


@pytest.fixture
def crab(chain):
    return Source("CrabNebula", session=chain.session, quiet=True)


@pytest.fixture
def run(crab, chain):
    return crab.runs_of(crab.files(datalevels.Melibea)[chain.cell])[0]


@pytest.fixture
def elsewhere(chain, tmp_path):
    """A copy of the source's part of the store, from which things can be taken away."""
    root = chain.session.layout.root
    for name in ("CrabNebula", "catalogue", ".listings"):
        if (root / name).is_dir():
            shutil.copytree(root / name, tmp_path / name)
    with open_session(settings_for(tmp_path)) as session:
        yield Source("CrabNebula", session=session, quiet=True)


def _drawn(figure):
    """Draw a figure, and return all its words."""
    figure.savefig(io.BytesIO(), format="png", dpi=40)
    words = [
        text.get_text()
        for axes in figure.axes
        for text in (axes.title, axes.xaxis.label, axes.yaxis.label, *axes.texts)
    ]
    return "\n".join([*words, *(text.get_text() for text in figure.texts)])


def _table(crab, run):
    """Return the events of a run as melibea has written them."""
    files = (path for paths in crab.files(datalevels.Melibea).values() for path in paths)
    return melibea.read_events(next(path for path in files if f"{run:08d}" in path.name))


def test_images_made_again_are_those_of_the_star_files(crab, run):
    table = _table(crab, run)
    for number in table["stereo_number_1"].head(12).tolist():
        event = crab.event(run, number)
        assert event.as_analysed
        for image, size in zip(event.images, event.star_size_phe, strict=True):
            assert image.size_phe == pytest.approx(size, rel=1e-5)
            assert image.parameters["length_mm"] == pytest.approx(
                event.values[f"length_mm_{image.telescope}"], rel=1e-4
            )
            assert image.used.sum() == event.values[f"n_used_{image.telescope}"]
            assert image.core.sum() == event.values[f"n_core_{image.telescope}"]
            assert not (image.core & ~image.used).any()
    brightest = crab.event(run).values
    assert brightest["size_phe_1"] + brightest["size_phe_2"] == (table["size_phe_1"] + table["size_phe_2"]).max()


def test_other_levels_are_noticed(elsewhere, run):
    row = elsewhere.event(run, "brightest")
    for paths in elsewhere.files(datalevels.Star).values():
        for path in paths:
            record = read_record(path)
            changed = {**record.parameters, "MJStar.MImgCleanStd.CleanLevel1": 12.0}
            write_record(path, record.replace(parameters=changed))
    again = elsewhere.event(run, row.number)
    assert row.as_analysed
    assert not again.as_analysed
    assert "not those of the star files" in str(again)
    assert again.images[0].used.sum() < row.images[0].used.sum()


def test_an_event_is_told_in_words_and_says_that_it_is_simulated(crab, run):
    event = crab.event(run, "gamma")
    text = str(event)
    assert f"run {run}, event {event.number}" in text
    assert "(simulated)" in text
    assert f"energy {event.values['energy_gev']:.0f} GeV" in text
    assert event.direction_by == "disp"
    assert event.theta_deg**2 == pytest.approx(event.values["theta2_deg2"], rel=1e-3)
    row = crab.runs[crab.runs["run"] == run].iloc[0]
    assert row["start_mjd"] - 1e-5 < event.mjd < row["start_mjd"] + row["duration_s"] / 86400 + 1e-5
    assert event.to_dict()["values"]["size_phe_1"] == event.values["size_phe_1"]


def test_the_gamma_like_event_has_the_least_hadronness(crab, run):
    table = _table(crab, run)
    assert crab.event(run, "gamma").values["hadronness"] == table["hadronness"].min()
    assert crab.event(run, "random").number in set(table["stereo_number_1"])


def test_the_figures_say_what_they_show(crab, run):
    for figure, words in (
        (crab.peek(), ("Hours", "L3 rate (Hz)", "melibea: ", "σ", "Rate with time")),
        (crab.peek(run=run), (f"run {run}", "Pedestals", "Hadronness", "M2: centres of images")),
        (crab.peek(run=run, event="brightest"), ("M1: charge, as calibrated", "M2: time, cleaned", "hadronness")),
    ):
        text = _drawn(figure)
        assert all(word in text for word in words), words
        assert "SIMULATED" in text
        assert "(simulated)" in text


def test_what_became_of_the_runs_counts_each_level(crab, chain):
    flow = flow_of(crab).set_index("step")["runs"]
    there = {run for paths in crab.files(datalevels.DL3).values() for run in crab.runs_of(paths)}
    assert flow["known"] == len(crab.runs)
    assert flow["dl3"] == len(there) > 0
    assert (flow.to_numpy()[:-1] >= flow.to_numpy()[1:]).all()
    crab.filter({"run": [min(there)]})
    filtered = flow_of(crab)
    assert filtered["runs"].tolist()[-1] == 1
    assert any("run" in step for step in filtered["step"])


def test_what_does_not_exist_is_told_with_its_nearest(crab, run):
    with pytest.raises(UnknownNameError, match=r"unknown run of CrabNebula(.|\n)*did you mean"):
        crab.peek(run=int(str(run)[:-1]))
    with pytest.raises(UnknownNameError, match=r"no event 99999999(.|\n)*nearest: \d+"):
        crab.peek(run=run, event=99999999)
    with pytest.raises(UnknownNameError, match=r"choice of an event(.|\n)*did you mean brightest"):
        crab.peek(run=run, event="brigtest")
    with pytest.raises(InputError, match="which run"):
        crab.peek(event="random")


def test_files_that_are_gone_are_told_one_by_one(elsewhere, run):
    folder = elsewhere.session.layout.root / "CrabNebula"
    shutil.rmtree(folder / "calibrated")
    with pytest.raises(MissingInputError, match=r"_Y_.*not in the store(.|\n)*magicpy get CrabNebula"):
        elsewhere.peek(run=run, event="brightest")
    assert "no calibrated files" in _drawn(elsewhere.peek(run=run))
    shutil.rmtree(folder / "melibea")
    with pytest.raises(InputError, match="no hadronness"):
        elsewhere.peek(run=run, event="gamma")
    shutil.rmtree(folder / "superstar")
    with pytest.raises(MissingInputError, match="neither a melibea nor a superstar"):
        elsewhere.peek(run=run, event="brightest")
    assert "melibea has not been run" in _drawn(elsewhere.peek(run=run))
    shutil.rmtree(folder / "dl3")
    assert "no DL3 files yet" in _drawn(elsewhere.peek())
    shutil.rmtree(folder / "star")
    with pytest.raises(MissingInputError, match="no star files of run"):
        elsewhere.peek(run=run)


def test_without_melibea_the_crossing_is_shown(elsewhere, run):
    shutil.rmtree(elsewhere.session.layout.root / "CrabNebula" / "melibea")
    event = elsewhere.event(run, "brightest")
    assert event.direction_by in ("crossing", "")
    assert "no energy" in str(event)


def test_a_run_that_begins_with_superstar_is_drawn_from_it(elsewhere, run):
    shutil.rmtree(elsewhere.session.layout.root / "CrabNebula" / "star")
    table = _table(elsewhere, run)
    row = elsewhere.runs[elsewhere.runs["run"] == run].iloc[0].to_dict()
    look = look_at(_files(elsewhere, row), row)
    assert look.stereo_level == "melibea"
    for telescope in (1, 2):
        assert look.images[telescope]["size_phe"].tolist() == table[f"size_phe_{telescope}"].tolist()
    assert f"run {run}" in _drawn(elsewhere.peek(run=run))
    with pytest.raises(MissingInputError, match="which says how it was cleaned"):
        elsewhere.event(run)


def test_what_cannot_be_counted_does_not_hide_the_source(elsewhere):
    for path in (elsewhere.session.layout.root / "CrabNebula").glob("dl3/*/*/*.fits*"):
        path.write_bytes(path.read_bytes()[:4000])
    text = _drawn(elsewhere.peek())
    assert "Rate with time" in text
    assert ".fits" in text


def test_a_calibrated_file_that_is_cut_short_does_not_hide_the_run(elsewhere, run):
    paths = sorted((elsewhere.session.layout.root / "CrabNebula").glob(f"calibrated/*/*_M1_{run:08d}*_Y_*"))
    paths[0].write_bytes(paths[0].read_bytes()[:5000])
    assert f"{paths[0].name}, which cannot be read" in _drawn(elsewhere.peek(run=run)).replace("\n", " ")


def test_noise_and_a_missing_record_are_told(crab, elsewhere):
    path = next(iter(elsewhere.files(datalevels.Star).values()))[0]
    record = read_record(path)
    assert cuts_of(path).level1_phe == record.parameters["MJStar.MImgCleanStd.CleanLevel1"]
    write_record(path, record.replace(parameters={**record.parameters, "noise_rms_phe": 3.0}))
    with pytest.raises(InputError, match="noise was added"):
        cuts_of(path)
    write_record(path, record.replace(parameters={}))
    with pytest.raises(MissingInputError, match="does not say how it was cleaned"):
        cuts_of(path)


def test_the_catalogue_says_which_nights_are_simulated(crab):
    nights = {day.date() for day in crab.runs["date"]}
    assert crab.session.catalogue.simulated(nights)
    assert not crab.session.catalogue.simulated([])


def test_pixels_cover_the_camera(crab, run):
    image = crab.event(run).images[0]
    assert image.charge_phe.shape == image.time_ns.shape == (N_PIXELS,)
    assert image.time_ns[image.used].mean() == pytest.approx(0.0, abs=1e-6)
    assert np.isfinite(image.charge_phe).all()
