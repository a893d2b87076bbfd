"""coach and melibea with the star files of one telescope, as their users call them, and DL3 from what comes out."""

import json

import numpy as np
import pytest
from astropy.io import fits

from magicpy_assets.engine.__main__ import main
from magicpy_assets.formats import melibea as melibea_files
from magicpy_assets.formats import star as star_files
from magicpy_assets.formats.forests import HEAD_TAIL, read_forest
from magicpy_assets_tests import small_files
from magicpy_assets_tests.small_files import refused

FLAGS = ("--rftree", "--rfdisptree", "--erf")


def starred(folder, paths, *flags):
    """Run star on calibrated files; returns the star files of M1 and of M2."""
    for path in paths:
        assert main(["star", f"--ind={path}", f"--out={folder}", *flags]) == 0
    return tuple(sorted(folder.glob(f"*_M{telescope}_*_I_*.root")) for telescope in (1, 2))


@pytest.fixture(scope="module")
def gammas(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mc")
    return starred(folder, small_files.write_mc_pair(folder, 700), "-mc")


@pytest.fixture(scope="module")
def off(tmp_path_factory):
    """Two subruns, which become one file."""
    folder = tmp_path_factory.mktemp("off")
    _, charge, time = small_files.showers(700, 4)
    paths = [
        small_files.write_data(
            folder, tel, charge[part, tel - 1], time[part, tel - 1], subrun=number, numbers=np.arange(700)[part] + 1
        )
        for tel in (1, 2)
        for number, part in ((1, slice(0, 400)), (2, slice(400, 700)))
    ]
    return starred(folder, paths)


@pytest.fixture(scope="module")
def card(tmp_path_factory, gammas, off):
    def write(telescope=1, **changes):
        mc, data = (" ".join(map(str, files[telescope - 1])) for files in (gammas, off))
        values = {"mcdata": mc, "data": data, "zdmin": 5, "zdmax": 35, "seed": 3} | changes
        path = tmp_path_factory.mktemp("card") / "coach.rc"
        path.write_text("".join(f"RF.{key}: {value}\n" for key, value in values.items()))
        return path

    return write


@pytest.fixture(scope="module")
def forests(tmp_path_factory, card):
    """Forests of M1 and of M2."""
    folders = [tmp_path_factory.mktemp(f"M{telescope}") for telescope in (1, 2)]
    for telescope, folder in enumerate(folders, start=1):
        assert main(["coach", f"--config={card(telescope)}", f"--out={folder}"]) == 0
    return folders


def names(telescope):
    return "RF.root", f"disp{telescope}/DispRF.root", "EnRF.root"


def flags_of(forests, telescope=1):
    folder = forests[telescope - 1]
    return [f"{flag}={folder / name}" for flag, name in zip(FLAGS, names(telescope), strict=True)]


def inputs(files):
    return [f"--ind={path}" for path in files]


@pytest.mark.parametrize("telescope", [1, 2])
def test_coach_makes_the_forests_of_one_telescope(forests, telescope):
    folder = forests[telescope - 1]
    made = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert made == {*names(telescope), "training_report.json"}
    report = json.loads((folder / "training_report.json").read_text())
    assert report["telescopes"] == [telescope]
    assert report["off_runs"] == 1
    # Even a few hundred showers tell the ends of an image, and gamma rays from hadrons.
    assert 0.6 < report["head_tail"] <= 1
    assert 0.55 < report["auc"] <= 1
    _, provenance = read_forest(folder / names(telescope)[1])
    assert provenance["telescopes"] == f"M{telescope}"
    head_tail, _ = read_forest(folder / names(telescope)[1], HEAD_TAIL)
    assert head_tail.features[0] == "m3_long"


def test_coach_refuses_a_mixture(call, card, gammas, off):
    both = f"{off[0][0]} {off[1][0]}"
    refused(call("coach", f"--config={card(data=both)}"), "mixed", "_I_ of M1 and _I_ of M2")
    refused(call("coach", f"--config={card(data=off[1][0])}"), "mixed")
    assert not list(call.out.rglob("*.root"))


@pytest.mark.parametrize("telescope", [1, 2])
def test_melibea_makes_one_file_of_a_run_that_tells_gamma_rays_from_hadrons(call, forests, gammas, off, telescope):
    found = []
    for files, more in ((gammas[telescope - 1], ["-mc"]), (off[telescope - 1], [])):
        code, lines = call("melibea", *inputs(files), *flags_of(forests, telescope), *more)
        assert code == 0
        tables = [star_files.read_named(path) for path in files]
        assert f"{sum(map(len, tables))} events written" in lines[-1]
        name = star_files_name(files[0])
        events = melibea_files.read_events(call.out / name)
        assert melibea_files.is_mono(call.out / name)
        np.testing.assert_array_equal(
            events[f"size_phe_{telescope}"], np.concatenate([table[f"size_phe_{telescope}"] for table in tables])
        )
        assert f"size_phe_{3 - telescope}" not in events
        good = events["hadronness"].notna()
        assert good.mean() > 0.9
        assert events["hadronness"][good].between(0, 1).all()
        assert events["head_tail"][good].between(0.5, 1).all()
        found.append(events[good])
    assert found[0]["hadronness"].median() + 0.2 < found[1]["hadronness"].median()
    known = found[0][found[0][f"size_phe_{telescope}"] > 100]
    assert np.corrcoef(np.log10(known["energy_gev"]), np.log10(known["mc_energy_gev"]))[0, 1] > 0.8
    assert np.sqrt(known["theta2_deg2"].median()) < 0.3
    assert found[1]["reco_ra_deg"].between(0, 360).all()
    assert found[1]["pointing_ra_h_1"].notna().all()


def star_files_name(path):
    """The name of the melibea file of a star file, as MARS would have it."""
    return path.name.replace(".001_", "_").replace("_I_", "_Q_")


def test_melibea_refuses_what_is_not_of_its_telescope(call, forests, off):
    refused(call("melibea", *inputs(off[1]), *flags_of(forests, 1)), "a forest of M1", "files are of M2")
    refused(call("melibea", *inputs(off[0] + off[1]), *flags_of(forests)), "M1 and M2 are mixed")
    refused(call("melibea", *inputs(off[0]), *flags_of(forests), "--stereo"), "--stereo takes superstar")
    refused(call("melibea", *inputs(off[0]), *flags_of(forests)[:1]), "--rfdisptree= (M1 direction forest) is missing")
    assert not list(call.out.glob("*"))


@pytest.mark.parametrize("telescope", [1, 2])
def test_dl3_of_one_telescope_says_so(call, forests, gammas, off, telescope, tmp_path):
    melibeas = []
    for files, more in ((gammas[telescope - 1], ["-mc"]), (off[telescope - 1], [])):
        assert call("melibea", *inputs(files), *flags_of(forests, telescope), *more)[0] == 0
        melibeas.append(call.out / star_files_name(files[0]))
    (tmp_path / "dl3.rc").write_text("dl3.background: no\n")
    code, lines = call("dl3", f"--ind={melibeas[1]}", f"--mc={melibeas[0]}", f"--config={tmp_path / 'dl3.rc'}")
    assert code == 0, lines
    (made,) = call.out.glob(f"*_M{telescope}_*_DL3_*.fits")
    with fits.open(made) as hdus:
        events, area = hdus["EVENTS"], hdus["EFFECTIVE AREA"].data["EFFAREA"]
        assert (events.header["NTEL"], events.header["TELLIST"]) == (1, f"M{telescope}")
        assert events.header["INSTRUME"] == f"MAGIC mono, M{telescope}"
        assert set(events.data["MULTIP"]) == {1}
        assert len(set(events.data["EVENT_ID"])) == len(events.data) > 0
        assert area.max() > 1e3
