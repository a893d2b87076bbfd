"""coach and melibea as their users call them: forests from library showers, what they give, what is refused."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from magicpy_assets.engine.__main__ import main
from magicpy_assets.formats import melibea as melibea_files
from magicpy_assets.formats import star as star_files
from magicpy_assets.formats import superstar as superstar_files
from magicpy_assets.formats.forests import read_forest, write_forest
from magicpy_assets_tests import small_files
from magicpy_assets_tests.small_files import refused

FORESTS = ("RF.root", "disp1/DispRF.root", "disp2/DispRF.root", "EnRF_Stereo.root")
TABLE = "Energy_Table.root"
FLAGS = ("--rftree", "--rfdisptree", "--rfdisp2tree", "--erf")


def stereo(folder, paths, *flags):
    """Run star and superstar on calibrated files of one run; returns the superstar file."""
    for path in paths:
        assert main(["star", f"--ind={path}", f"--out={folder}", *flags]) == 0
    inputs = [f"--ind{tel}={folder}/*_M{tel}_*_I_*.root" for tel in (1, 2)]
    assert main(["superstar", *inputs, f"--out={folder}", *flags]) == 0
    (made,) = folder.glob("*_S_*.root")
    return made


@pytest.fixture(scope="module")
def gammas(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mc")
    return stereo(folder, small_files.write_mc_pair(folder, 500), "-mc")


@pytest.fixture(scope="module")
def off(tmp_path_factory):
    folder = tmp_path_factory.mktemp("off")
    return stereo(folder, small_files.write_data_pair(folder, 600, seed=4))


@pytest.fixture(scope="module")
def card(tmp_path_factory, gammas, off):
    """Write a run card of coach; returns its path."""

    def write(**changes):
        values = {"mcdata": gammas, "data": off, "zdmin": 5, "zdmax": 35, "seed": 3} | changes
        path = tmp_path_factory.mktemp("card") / "coach.rc"
        path.write_text("".join(f"RF.{key}: {value}\n" for key, value in values.items() if value is not None))
        return path

    return write


@pytest.fixture(scope="module")
def forests(tmp_path_factory, card):
    folder = tmp_path_factory.mktemp("forests")
    assert main(["coach", f"--config={card()}", f"--out={folder}"]) == 0
    return folder


def flags_of(folder, **changes):
    paths = dict(zip(FLAGS, (folder / name for name in FORESTS), strict=True)) | changes
    return [f"{flag}={path}" for flag, path in paths.items() if path is not None]


# coach


def test_coach_makes_all_forests_and_a_report(forests, gammas, off):
    assert sorted(str(path.relative_to(forests)) for path in forests.rglob("*") if path.is_file()) == sorted(
        [*FORESTS, TABLE, "training_report.json"]
    )
    report = json.loads((forests / "training_report.json").read_text())
    # Even a few hundred showers tell gamma rays from hadrons.
    assert 0.6 < report["auc"] <= 1.0
    assert (report["model"], report["seed"]) == ("xgboost", 3)
    assert report["gamma_events"] <= len(superstar_files.read_events(gammas))
    assert report["off_events"] <= len(superstar_files.read_events(off))
    kept = np.array([report["roc"][name] for name in ("gamma_kept", "off_kept")])
    assert (np.diff(kept, axis=1) >= 0).all()
    for name, part in zip(FORESTS, ("hadronness", "disp1", "disp2", "energy"), strict=True):
        forest, provenance = read_forest(forests / name)
        assert forest.identity == report["forests"][part]
        assert provenance["mc"] == gammas.name
        assert provenance["off"] == off.name
        assert provenance["simulated"] == "yes"


def test_the_same_card_gives_the_same_forests_and_flags_choose_among_them(call, card, forests):
    code, lines = call("coach", f"--config={card()}", "-RFdisp")
    assert code == 0
    assert "2 forests" in lines[-1]
    assert not (call.out / "RF.root").exists()
    for name in FORESTS[1:3]:
        assert read_forest(call.out / name)[0].identity == read_forest(forests / name)[0].identity


def test_coach_names_keys_it_does_not_know(call, card):
    code, lines = call("coach", f"--config={card(minsiz=60)}", "-RFenStereo")
    assert code == 0
    assert any("untouched: RF.minsiz" in line for line in lines)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"mcdata": None}, ["RF.mcdata"]),
        ({"data": "/nowhere/*.root"}, ["no file is named /nowhere/*.root"]),
        ({"model": "forrest"}, ["RF.model", "xgboost"]),
        ({"seed": "first"}, ["RF.seed", "not a number"]),
        ({"zdmin": 60, "zdmax": 70}, ["too few", "200"]),
        ({"minsize": 1e7}, ["too few"]),
        ({"zdmax": 200}, ["RF.zdmax", "between"]),
    ],
)
def test_coach_refuses_what_it_cannot_use(call, card, changes, words):
    refused(call("coach", f"--config={card(**changes)}"), *words)
    assert not list(call.out.rglob("*.root"))


def test_coach_refuses_data_as_monte_carlo_and_files_that_are_there(call, card, off):
    refused(call("coach", f"--config={card(mcdata=off)}"), "is it Monte Carlo?")
    call.out.mkdir(exist_ok=True)
    (call.out / "RF.root").write_bytes(b"precious")
    refused(call("coach", f"--config={card()}"), "is there already")
    assert (call.out / "RF.root").read_bytes() == b"precious"


# melibea


def test_melibea_tells_gamma_rays_from_hadrons(call, forests, gammas, off):
    """Events that the forests have seen: so no figure of merit, but clearly better than guessing."""
    found = []
    for path, more in ((gammas, ["-mc"]), (off, [])):
        code, lines = call("melibea", f"--ind={path}", *flags_of(forests), *more)
        assert code == 0
        before = superstar_files.read_events(path)
        assert f"{len(before)} events written" in lines[-1]
        events = melibea_files.read_events(call.out / path.name.replace("_S_", "_Q_"))
        assert len(events) == len(before)
        for name in ("size_phe_1", "mean_x_mm_2", "stereo_number_1"):
            np.testing.assert_array_equal(events[name], before[name])
        good = before["valid"] > 0
        np.testing.assert_array_equal(events["hadronness"].notna(), good)
        assert events["hadronness"][good].between(0, 1).all()
        assert (events["theta2_deg2"][good] >= 0).all()
        found.append(events[good])
    assert found[0]["hadronness"].median() + 0.2 < found[1]["hadronness"].median()
    known = found[0][found[0]["size_phe_1"] > 100]
    assert np.corrcoef(np.log10(known["energy_gev"]), np.log10(known["mc_energy_gev"]))[0, 1] > 0.8
    assert np.sqrt(known["theta2_deg2"].median()) < 0.2
    assert found[1]["reco_ra_deg"].between(0, 360).all()


def test_melibea_remembers_what_it_was_made_with(call, forests, off):
    assert call("melibea", f"--ind={off}", *flags_of(forests), "--stereo", "--rf", "-erec-rf")[0] == 0
    path = call.out / off.name.replace("_S_", "_Q_")
    provenance = star_files.read_provenance(path)
    assert provenance["forest gamma/hadron"] == read_forest(forests / "RF.root")[0].identity
    assert "xgboost, seed 3" in provenance["forest trained"]
    assert provenance["melibea input"] == off.name
    refused(call("melibea", f"--ind={off}", *flags_of(forests)), "is there already")


def test_with_the_energy_table_each_telescope_has_an_energy_of_its_own(call, forests, gammas):
    table = forests / TABLE
    assert call("melibea", f"--ind={gammas}", *flags_of(forests), "-erec", f"--etab={table}")[0] == 0
    events = melibea_files.read_events(call.out / gammas.name.replace("_S_", "_Q_"))
    events = events[events["hadronness"].notna()]
    for name in ("energy_est_gev", "energy_est_gev_1", "energy_est_gev_2"):
        assert np.corrcoef(np.log10(events[name]), np.log10(events["mc_energy_gev"]))[0, 1] > 0.7, name
    assert (events["energy_est_gev_1"] != events["energy_est_gev_2"]).mean() > 0.9
    low = events[["energy_est_gev_1", "energy_est_gev_2"]].min(axis=1)
    high = events[["energy_est_gev_1", "energy_est_gev_2"]].max(axis=1)
    assert events["energy_est_gev"].between(low * 0.999, high * 1.001).all()
    alone = events[["energy_uncertainty_gev_1", "energy_uncertainty_gev_2"]].min(axis=1)
    assert (events["energy_uncertainty_gev"] <= alone * 1.001).all()
    assert (events["impact_est_cm_1"] >= 0).all()
    # The forest stays what everything after melibea uses.
    np.testing.assert_array_equal(events["energy_gev"], events["energy_rf_gev"])


def test_energies_of_the_table_are_not_made_up_without_one(call, forests, gammas):
    assert call("melibea", f"--ind={gammas}", *flags_of(forests))[0] == 0
    events = melibea_files.read_events(call.out / gammas.name.replace("_S_", "_Q_"))
    assert not [name for name in events if name.startswith("energy_est_gev")]
    refused(call("melibea", f"--ind={gammas}", *flags_of(forests), "-f", "-erec"), "--etab= is missing")
    wrong = f"--etab={forests / FORESTS[0]}"
    refused(call("melibea", f"--ind={gammas}", *flags_of(forests), "-f", wrong), "not an energy table")


def test_every_missing_forest_is_named_at_once(call, forests, off):
    result = call("melibea", f"--ind={off}", *flags_of(forests, **{"--rftree": None, "--erf": "/nowhere/E.root"}))
    refused(
        result, "--rftree= (gamma/hadron forest) is missing", "--erf= (energy forest) names no file: /nowhere/E.root"
    )


def test_foreign_damaged_and_ill_matched_forests_are_refused(call, forests, off, tmp_path):
    ind = f"--ind={off}"
    refused(call("melibea", ind, *flags_of(forests, **{"--rftree": off})), "not a forest of the embedded coach")
    whole = (forests / "RF.root").read_bytes()
    damaged = tmp_path / "RF.root"
    for share in (0.0, 0.5, 0.97):
        damaged.write_bytes(whole[: int(share * len(whole))])
        refused(call("melibea", ind, *flags_of(forests, **{"--rftree": damaged})), "RF.root")
    forest, provenance = read_forest(forests / "RF.root")
    write_forest(damaged, forest, provenance | {"coach": "another way"})
    refused(call("melibea", ind, *flags_of(forests, **{"--rftree": damaged})), "trained in different ways")
    assert not list(call.out.glob("*"))


def test_forests_in_each_others_place_are_refused(call, forests, off):
    """The energy forest sees one feature more than the gamma/hadron forest, a direction forest quite others."""
    for flag, name in (("--rftree", FORESTS[3]), ("--rfdisptree", FORESTS[0]), ("--erf", FORESTS[1])):
        result = call("melibea", f"--ind={off}", *flags_of(forests, **{flag: forests / name}))
        refused(result, "features")


def test_melibea_refuses_wrong_input(call, forests, off, tmp_path):
    forest_flags = flags_of(forests)
    refused(call("melibea", *forest_flags), "--ind= is missing")
    refused(call("melibea", f"--ind={tmp_path}/*.root", *forest_flags), "no file is named")
    calibrated = next(off.parent.glob("*_Y_*"))
    refused(call("melibea", f"--ind={calibrated}", *forest_flags), "not a superstar (_S_) file")
    star = next(off.parent.glob("*_M1_*_I_*"))
    refused(call("melibea", f"--ind={star}", *forest_flags), "a forest of both telescopes, the files are of M1")
    refused(call("melibea", f"--ind={off}", "--rftre=x"), "did you mean --rftree?", code=2)
    cut = tmp_path / off.name
    cut.write_bytes(off.read_bytes()[:20_000])
    refused(call("melibea", f"--ind={cut}", *forest_flags), off.name)
    assert not list(call.out.glob("*"))


def test_melibea_as_a_program_of_its_own(forests, off, tmp_path):
    flags = [f"--ind={off}", *flags_of(forests), f"--out={tmp_path}"]
    command = [sys.executable, "-m", "magicpy_assets.engine", "melibea", *flags]
    done = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ), check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / off.name.replace("_S_", "_Q_")).is_file()
