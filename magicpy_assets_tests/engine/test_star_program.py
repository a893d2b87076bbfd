"""star as its users call it: flags, run cards, what comes out, and one line for whatever is wrong."""

import os
import subprocess
import sys

import numpy as np
import pytest

from magicpy_assets.engine.__main__ import main
from magicpy_assets.formats import star as star_files
from magicpy_assets.formats.calibrated import CalibratedFile
from magicpy_assets.observatory.telescopes import noise_at
from magicpy_assets.science.camera import N_PIXELS
from magicpy_assets.science.cleaning import CleaningCuts, interpolate_bad
from magicpy_assets.science.hillas import PARAMETERS, parametrise
from magicpy_assets_tests import small_files

N = 150


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return small_files.write_data_pair(tmp_path_factory.mktemp("data"), N)


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    return small_files.write_mc_pair(tmp_path_factory.mktemp("mc"), N)


@pytest.fixture
def star(tmp_path, capsys):
    """Run star into a folder; returns its code and lines."""

    def run(*flags, card=None, out=tmp_path / "out"):
        if card is not None:
            (tmp_path / "star.rc").write_text(card)
            flags = (*flags, f"--config={tmp_path / 'star.rc'}")
        code = main(["star", "-b", "-q", f"--out={out}", *map(str, flags)])
        return code, capsys.readouterr().out.splitlines()

    run.out = tmp_path / "out"
    return run


def refused(result, *words, code=1):
    """Ask for one line of error that holds some words."""
    found, lines = result
    errors = [line for line in lines if line.startswith("ERROR:")]
    assert found == code
    assert len(errors) == 1
    assert not [line for line in lines if "Traceback" in line]
    for word in words:
        assert word in errors[0]


def expected(path, cuts):
    """Image parameters straight from the science room, and the showers that have them."""
    with CalibratedFile(path) as file:
        (chunk,) = file.chunks()
        charge, time, bad = chunk.charge_phe, chunk.time_slices, file.bad_pixels
    interpolate_bad(charge, time, np.flatnonzero(bad), bad)
    parameters, valid = parametrise(charge, time, cuts)
    kept = valid & (chunk.event["trigger"] != 8)
    return parameters[kept], chunk.event["stereo_number"][kept]


@pytest.mark.parametrize(
    ("card", "cuts"),
    [
        (None, CleaningCuts(6.0, 3.5)),
        ("MJStar.MImgCleanStd.CleanLevel1: 9\nMJStar.MImgCleanStd.CleanLevel2: 4.5\n", CleaningCuts(9.0, 4.5)),
        (
            "MJStar.MImgCleanStd.UseSum: no\nMJStar.MImgCleanStd.UseTime: no\n",
            CleaningCuts(use_sum=False, use_time=False),
        ),
    ],
    ids=["defaults", "levels", "plain"],
)
def test_images_are_those_of_the_run_card(star, data, card, cuts):
    code, lines = star(f"--ind={data[0]}", card=card)
    assert code == 0
    assert "star finished" in lines[-1]
    events = star_files.read_events(star.out / small_files.data_name(1, level="I"))
    parameters, numbers = expected(data[0], cuts)
    assert events["stereo_number"].tolist() == numbers.tolist()
    for i, name in enumerate(PARAMETERS):
        np.testing.assert_allclose(events[name], parameters[:, i], rtol=1e-6, atol=1e-6)


def test_headers_pointing_and_source_are_carried_on(star, data):
    assert star(f"--ind={data[1]}")[0] == 0
    path = star.out / small_files.data_name(2, level="I")
    info = star_files.read_header(path)
    assert (info.run, info.subrun, info.telescope) == (small_files.RUN, 1, 2)
    assert info.source_name == "CrabNebula"
    assert info.simulated
    assert star_files.read_provenance(path)["input"] == data[1].name
    events = star_files.read_events(path)
    # A wobble of 0.4 degrees.
    distance = np.degrees(np.hypot(events["source_x_mm"], events["source_y_mm"]) / 17_000)
    np.testing.assert_allclose(distance, 0.4, atol=1e-3)
    np.testing.assert_allclose(events["pointing_dec_deg"], small_files.CRAB_DEG[1] + 0.4, atol=1e-6)
    assert len(star_files.read_drive(path)["mjd"]) > 3
    along = np.hypot(events["mean_x_mm"] - events["source_x_mm"], events["mean_y_mm"] - events["source_y_mm"])
    np.testing.assert_allclose(events["dist_mm"], along, rtol=1e-4)


def test_monte_carlo_keeps_truth_and_thrown_showers(star, simulated):
    assert star(f"--ind={simulated[0]}", "-mc")[0] == 0
    path = star.out / small_files.mc_name(1, level="I")
    events = star_files.read_events(path)
    assert (events["energy_gev"] > 0).all()
    assert len(star_files.read_original_mc(path)["energy_gev"]) == 1000
    assert star_files.read_mc_header(path)["telescopes"] == 2
    # Library gamma rays come from a ring of 0.4 degrees around the pointing.
    distance = np.degrees(np.hypot(events["source_x_mm"], events["source_y_mm"]) / 17_000)
    np.testing.assert_allclose(distance, 0.4, atol=2e-3)


def test_added_noise_lifts_the_threshold_the_same_way_every_time(star, data):
    """With moonlight's noise and levels fewer showers are left, the same at every run."""
    target = noise_at(4.0)
    card = (
        f"MJStar.UseAddNoise: yes\nMJStar.MAddNoise.Method: 2\nMJStar.MAddNoise.NewNoiseMean: {target.mean_phe}\n"
        f"MJStar.MAddNoise.NewNoiseRMS: {target.rms_phe}\n"
        "MJStar.MImgCleanStd.CleanLevel1: 9\nMJStar.MImgCleanStd.CleanLevel2: 4.5\n"
    )
    code, lines = star(f"--ind={data[0]}", card=card)
    assert code == 0
    assert any(line.startswith("adding") for line in lines)
    path = star.out / small_files.data_name(1, level="I")
    first = star_files.read_events(path)
    assert star(f"--ind={data[0]}", "-f", card=card)[0] == 0
    again = star_files.read_events(path)
    np.testing.assert_array_equal(first["size_phe"], again["size_phe"])
    dark, _ = expected(data[0], CleaningCuts(9.0, 4.5))
    assert set(first["size_phe"]) != set(dark[:, 0].astype(np.float32))


def test_many_files_by_wildcard_and_pixels_kept_if_asked(star, data, tmp_path):
    _, charge, time = small_files.showers(30, 5)
    folder = tmp_path / "many"
    folder.mkdir()
    for subrun in (1, 2, 3):
        small_files.write_data(folder, 1, charge[:, 0], time[:, 0], subrun=subrun)
    code, lines = star(f"--ind={folder}/*_Y_*.root", "-savecerevt")
    assert code == 0
    assert sorted(path.name for path in star.out.iterdir()) == [
        small_files.data_name(1, subrun, level="I") for subrun in (1, 2, 3)
    ]
    events = [star_files.read_events(path) for path in sorted(star.out.iterdir())]
    np.testing.assert_array_equal(events[0]["size_phe"], events[2]["size_phe"])
    assert not list(star.out.glob(".*"))
    assert f"{3 * len(events[0])} events written" in lines[-1]


def test_keys_nobody_reads_are_told(star, data):
    code, lines = star(f"--ind={data[0]}", card="MJStar.MImgCleanStd.CleanLevl1: 7\nMJStar.Other: 1\n")
    assert code == 0
    untouched = [line for line in lines if line.startswith("untouched:")]
    assert len(untouched) == 2
    assert "CleanLevl1" in untouched[0]
    assert "CleanLevel1" in untouched[0]


@pytest.mark.parametrize(("flag", "near"), [("--idn=x", "--ind"), ("-savecerevnt", "-savecerevt"), ("-mcc", "-mc")])
def test_an_unknown_flag_is_refused_with_the_nearest(star, flag, near):
    refused(star(flag), flag.split("=")[0], f"did you mean {near}?", code=2)


def test_an_unknown_program_is_refused_with_the_nearest(capsys):
    assert main(["sta"]) == 2
    out = capsys.readouterr().out
    assert out.startswith("ERROR: ")
    assert "star" in out
    assert main([]) == 0
    assert main(["star", "--help"]) == 0
    assert "--ind" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("card", "words"),
    [
        ("MJStar.MImgCleanStd.CleanMethod: Scaled\n", ["CleanMethod", "Absolute"]),
        ("MJStar.MImgCleanStd.CleanLevel1: many\n", ["CleanLevel1", "not a number"]),
        ("MJStar.MImgCleanStd.CleanLevel1: nan\n", ["CleanLevel1"]),
        ("MJStar.MImgCleanStd.CleanLevel1: 500\n", ["CleanLevel1", "between"]),
        ("MJStar.MImgCleanStd.CleanLevel1: 3\n", ["CleanLevel2 (3.5)", "CleanLevel1 (3)"]),
        ("MJStar.MImgCleanStd.UseSum: perhaps\n", ["UseSum", "neither yes nor no"]),
        ("MJStar.UseStarguider: yes\n", ["UseStarguider"]),
        ("MJStar.UseAddNoise: yes\n", ["NewNoiseMean"]),
        ("MJStar.UseAddNoise: yes\nMJStar.MAddNoise.Method: 3\n", ["Method", "2"]),
        (
            "MJStar.UseAddNoise: yes\nMJStar.MAddNoise.NewNoiseMean: 3\nMJStar.MAddNoise.NewNoiseRMS: 0.5\n",
            ["above the 0.50 phe asked for", "noise can only be added"],
        ),
        ("this is no card\nnor this\n", ["star.rc:1", "star.rc:2"]),
    ],
)
def test_a_wrong_run_card_is_refused(star, data, card, words):
    refused(star(f"--ind={data[0]}", card=card), *words)
    assert not list(star.out.glob("*"))


def test_a_missing_run_card_or_log_folder_is_told(star, data, tmp_path):
    refused(star(f"--ind={data[0]}", f"--config={tmp_path}/no.rc"), "no.rc")


def test_input_that_is_missing_mixed_or_of_another_kind_is_refused(star, data, simulated, tmp_path):
    refused(star(), "--ind= is missing")
    refused(star(f"--ind={tmp_path}/*_Y_*.root"), "no file is named")
    refused(star(f"--ind={data[0]}", f"--ind={data[1]}"), "M1 and M2")
    refused(star(f"--ind={data[0]}", "-mc"), "holds data, but -mc was given")
    wrong = tmp_path / small_files.data_name(1, level="S")
    wrong.write_bytes(data[0].read_bytes())
    refused(star(f"--ind={wrong}"), "not a calibrated (_Y_) file")
    strange = tmp_path / "something.root"
    strange.write_bytes(data[0].read_bytes())
    refused(star(f"--ind={strange}"), "something.root")
    assert not list(star.out.glob("*"))


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.98])
def test_a_file_cut_short_is_refused_and_leaves_nothing(star, data, tmp_path, share):
    cut = tmp_path / data[0].name
    whole = data[0].read_bytes()
    cut.write_bytes(whole[: int(share * len(whole))])
    refused(star(f"--ind={cut}"), str(cut))
    assert not list(star.out.glob("*"))


def test_output_that_is_there_is_kept_without_f(star, data):
    assert star(f"--ind={data[0]}")[0] == 0
    path = star.out / small_files.data_name(1, level="I")
    before = path.read_bytes()
    refused(star(f"--ind={data[0]}"), "is there already", "-f overwrites it")
    assert path.read_bytes() == before
    assert star(f"--ind={data[0]}", "-f")[0] == 0


def test_a_night_without_any_image_is_told(star, tmp_path):
    nothing = np.full((20, N_PIXELS), 1.0, np.float32)
    path = small_files.write_data(tmp_path, 1, nothing, np.full_like(nothing, 25.0))
    refused(star(f"--ind={path}"), "no event has an image")
    assert not list(star.out.glob("*"))


def test_the_log_holds_what_is_printed(star, data, tmp_path):
    code, lines = star(f"--ind={data[0]}", f"--log={tmp_path}/logs/star.log")
    assert code == 0
    assert (tmp_path / "logs" / "star.log").read_text().splitlines() == lines


def test_as_a_program_of_its_own(data, tmp_path):
    command = [sys.executable, "-m", "magicpy_assets.engine", "star", f"--ind={data[0]}", f"--out={tmp_path}", "-b"]
    done = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ), check=False)
    assert done.returncode == 0
    assert done.stderr == ""
    assert (tmp_path / small_files.data_name(1, level="I")).is_file()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout.count("ERROR:") == 1
    assert done.stderr == ""
