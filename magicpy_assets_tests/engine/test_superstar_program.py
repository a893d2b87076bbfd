"""superstar as its users call it: events matched by stereo number, stereo parameters, one line for what is wrong."""

import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from magicpy_assets.engine.__main__ import main
from magicpy_assets.engine.superstar import matched, radec_columns
from magicpy_assets.formats import star as star_files
from magicpy_assets.formats import superstar as superstar_files
from magicpy_assets.science.camera import FOCAL_MM
from magicpy_assets.science.live_time import mjd_of
from magicpy_assets.science.pointing import north_angle, radec_in_camera
from magicpy_assets_tests import small_files
from magicpy_assets_tests.small_files import refused

N = 150
SUPERSTAR = f"20231119_{small_files.RUN:08d}_S_CrabNebula-W0.40+035.root"

numbers = st.lists(st.integers(0, 12), max_size=30)


@pytest.fixture(scope="module")
def stars(tmp_path_factory):
    """Star files of a run, whose second subrun is of M1 and M2 too."""
    folder = tmp_path_factory.mktemp("stars")
    _, charge, time = small_files.showers(N, 1)
    first = slice(0, 100), slice(100, N)
    for tel in (1, 2):
        for subrun, part in enumerate(first, start=1):
            events = np.arange(N)[part]
            path = small_files.write_data(
                folder, tel, charge[part, tel - 1], time[part, tel - 1], numbers=events + 1, subrun=subrun
            )
            assert main(["star", f"--ind={path}", f"--out={folder}"]) == 0
    return folder


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    """Star files of gamma rays."""
    folder = tmp_path_factory.mktemp("mc")
    for path in small_files.write_mc_pair(folder, N):
        assert main(["star", "-mc", f"--ind={path}", f"--out={folder}"]) == 0
    return folder


@pytest.fixture
def superstar(tmp_path, capsys):
    def run(*flags):
        code = main(["superstar", "-b", "-q", f"--out={tmp_path / 'out'}", *map(str, flags)])
        return code, capsys.readouterr().out.splitlines()

    run.out = tmp_path / "out"
    return run


def both(folder, kind="*"):
    return f"--ind1={folder}/{kind}_M1_*_I_*.root", f"--ind2={folder}/{kind}_M2_*_I_*.root"


def table(found):
    return pd.DataFrame({"stereo_number": np.array(found, dtype=np.uint32), "row": np.arange(len(found))})


@given(numbers, numbers)
def test_events_are_matched_by_numbers_that_both_have_once(first, second):
    found = matched(table(first), table(second))
    expected = [n for n in first if n and first.count(n) == second.count(n) == 1]
    assert found[0]["stereo_number"].tolist() == expected
    assert found[1]["stereo_number"].tolist() == expected
    assert [second[row] for row in found[1]["row"]] == expected


def test_two_subruns_become_one_file_of_the_events_that_both_saw(superstar, stars):
    code, lines = superstar(*both(stars))
    assert code == 0
    assert [path.name for path in superstar.out.iterdir()] == [SUPERSTAR]
    events = superstar_files.read_events(superstar.out / SUPERSTAR)
    images = [
        pd.concat([star_files.read_events(path) for path in sorted(stars.glob(f"*_M{tel}_*_I_*.root"))])
        for tel in (1, 2)
    ]
    common = set(images[0]["stereo_number"]) & set(images[1]["stereo_number"])
    assert len(common) > N / 2
    assert events["stereo_number_1"].tolist() == sorted(common)
    assert f"{len(common)} events written" in lines[-1]
    for tel in (1, 2):
        mine = images[tel - 1].set_index("stereo_number").loc[events[f"stereo_number_{tel}"]]
        for name in ("size_phe", "delta_rad", "mean_x_mm", "pointing_zd_deg", "milliseconds"):
            np.testing.assert_array_equal(events[f"{name}_{tel}"], mine[name])


def test_stereo_parameters_hang_together(superstar, stars):
    assert superstar(*both(stars))[0] == 0
    path = superstar.out / SUPERSTAR
    events = superstar_files.read_events(path)
    good = events[events["valid"] > 0]
    assert len(good) > 0.9 * len(events)
    np.testing.assert_allclose(
        np.hypot(*(good[f"source_{a}_mm_1"] for a in "xy")), FOCAL_MM * np.tan(np.radians(0.4)), rtol=2e-3
    )
    source = [np.degrees(good[f"source_{axis}_mm_1"] / FOCAL_MM) for axis in "xy"]
    theta2 = (good["direction_x_deg"] - source[0]) ** 2 + (good["direction_y_deg"] - source[1]) ** 2
    np.testing.assert_allclose(good["theta2_crossing_deg2"], theta2, rtol=1e-3, atol=1e-6)
    for name in ("impact_cm_1", "impact_cm_2", "max_height_cm"):
        assert (good[name] >= 0).all()
    assert good["direction_ra_h"].between(0, 24).all()
    near = np.hypot(good["direction_x_deg"], good["direction_y_deg"]) < 1
    ra_off = (good["direction_ra_h"] * 15 - small_files.CRAB_DEG[0]) * np.cos(np.radians(22))
    dec_off = good["direction_dec_deg"] - small_files.CRAB_DEG[1] - 0.4
    sky, camera = np.hypot(ra_off, dec_off), np.hypot(good["direction_x_deg"], good["direction_y_deg"])
    np.testing.assert_allclose(sky[near], camera[near], rtol=0.02, atol=1e-3)
    info = star_files.read_header(path)
    assert (info.run, info.telescope) == (small_files.RUN, 1)
    assert star_files.read_provenance(path)["superstar"]
    assert (np.diff(star_files.read_drive(path)["mjd"]) > 0).all()


def test_gamma_rays_come_back_near_where_they_came_from(superstar, simulated):
    assert superstar(*both(simulated, "GA"), "-mc")[0] == 0
    (path,) = superstar.out.iterdir()
    events = superstar_files.read_events(path)
    good = events[(events["valid"] > 0) & (events["size_phe_1"] > 200) & (events["size_phe_2"] > 200)]
    assert len(good) > 20
    # The median of the crossing of bright images: 0.1 degrees or so in published analyses.
    assert np.sqrt(np.median(good["theta2_crossing_deg2"])) < 0.2
    error_m = np.hypot(good["core_x_cm"] - good["core_x_cm_1"], good["core_y_cm"] - good["core_y_cm_1"]) / 100
    assert np.median(error_m) < 30
    assert events["direction_ra_h"].isna().all()
    original = superstar_files.read_original_mc(path)
    assert len(original["energy_gev_1"]) == len(original["energy_gev_2"]) == 1000


def test_duplicates_and_zeros_match_nothing(superstar, tmp_path):
    """Two events of M1 with one number, as a flipped bit makes them, and events without array trigger."""
    _, charge, time = small_files.showers(60, 3)
    given_numbers = np.arange(1, 61)
    spoilt = given_numbers.copy()
    spoilt[10] = spoilt[11]
    spoilt[20:25] = 0
    for tel, mine in ((1, spoilt), (2, given_numbers)):
        path = small_files.write_data(tmp_path, tel, charge[:, tel - 1], time[:, tel - 1], numbers=mine)
        assert main(["star", f"--ind={path}", f"--out={tmp_path}"]) == 0
    assert superstar(*both(tmp_path))[0] == 0
    found = set(superstar_files.read_events(superstar.out / SUPERSTAR)["stereo_number_1"])
    first = star_files.read_events(tmp_path / small_files.data_name(1, level="I"))["stereo_number"].tolist()
    second = set(star_files.read_events(tmp_path / small_files.data_name(2, level="I"))["stereo_number"])
    assert found == {n for n in first if n and first.count(n) == 1 and n in second}
    assert not found & {0, 11, 21, 22}


def test_wrong_input_is_refused(superstar, stars, tmp_path):
    one, two = both(stars)
    refused(superstar(), "--ind1= is missing")
    refused(superstar(one), "--ind2= is missing")
    refused(superstar(two.replace("ind2", "ind1"), one.replace("ind1", "ind2")), "not a star (_I_) file of M1")
    refused(superstar(one, f"--ind2={tmp_path}/*.root"), "no file is named")
    refused(superstar(f"--ind1={stars}/*_M1_*_Y_*.root", two), "not a star (_I_) file")
    refused(superstar("--ind3=x", one, two), "unknown flag --ind3", "--ind", code=2)
    assert not list(superstar.out.glob("*"))


@pytest.mark.parametrize("share", [0.0, 0.3, 0.97])
def test_a_star_file_cut_short_is_refused(superstar, stars, tmp_path, share):
    cut = tmp_path / small_files.data_name(1, level="I")
    whole = (stars / cut.name).read_bytes()
    cut.write_bytes(whole[: int(share * len(whole))])
    refused(superstar(f"--ind1={cut}", f"--ind2={stars}/{small_files.data_name(2, level='I')}"), cut.name)
    assert not list(superstar.out.glob("*"))


def test_telescopes_of_different_runs_or_without_common_events_are_refused(superstar, stars, tmp_path):
    other = tmp_path / small_files.data_name(2, run=small_files.RUN + 1, level="I")
    other.write_bytes((stars / small_files.data_name(2, level="I")).read_bytes())
    one = f"--ind1={stars}/{small_files.data_name(1, level='I')}"
    refused(superstar(one, f"--ind2={other}"), "one telescope only")
    refused(superstar(one, f"--ind2={stars}/{small_files.data_name(2, 2, level='I')}"), "are they of one run?")


def test_directions_do_not_jump_where_right_ascension_passes_zero():
    """The direction of north, found every ten seconds, is that of each event, also between 359.999 and 0.001 deg."""
    ra_deg = (359.999 + np.linspace(0.0, 0.002, 21)) % 360.0
    seconds = np.linspace(0.0, 100.0, 21)
    events = {
        "mjd_day_1": np.full(21, 59198.0),
        "milliseconds_1": 1000.0 * seconds,
        "nanoseconds_1": np.zeros(21),
        "pointing_ra_h_1": ra_deg / 15.0,
        "pointing_dec_deg_1": np.full(21, 22.0),
    }
    x_mm, y_mm = np.full(21, 200.0), np.full(21, -100.0)
    ra, dec = radec_columns(events, x_mm, y_mm, is_mc=False)
    north = north_angle(ra_deg, 22.0, mjd_of(events))
    expected_ra, expected_dec = radec_in_camera(x_mm, y_mm, ra_deg, np.full(21, 22.0), north)
    np.testing.assert_allclose((ra - expected_ra + 180.0) % 360.0 - 180.0, 0.0, atol=1e-3)
    np.testing.assert_allclose(dec, expected_dec, atol=1e-3)


def test_output_that_is_there_is_kept_without_f(superstar, stars):
    assert superstar(*both(stars))[0] == 0
    refused(superstar(*both(stars)), "is there already")
    assert superstar(*both(stars), "-f")[0] == 0


def test_as_a_program_of_its_own(stars, tmp_path):
    command = [sys.executable, "-m", "magicpy_assets.engine", "superstar", *both(stars), f"--out={tmp_path}"]
    done = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ), check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / SUPERSTAR).is_file()
