"""The program star by its command line: what it writes, what it refuses, and files of others."""

import subprocess
import sys
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import uproot

from magicpy_assets.engine import star as program
from magicpy_assets.engine.__main__ import main
from magicpy_assets.engine.common import version_card
from magicpy_assets.engine.star_pointing import Track
from magicpy_assets.formats import star
from magicpy_assets.formats.calibrated import CalibratedFile, Drive
from magicpy_assets.science.bad_pixels import interpolate_bad
from magicpy_assets.science.camera import FOCAL_MM, N_PIXELS
from magicpy_assets.science.cleaning import CleaningCuts
from magicpy_assets.science.hillas import PARAMETERS, parametrise
from magicpy_assets_tests import small_files

N = 60


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return small_files.write_data_pair(tmp_path_factory.mktemp("data"), N)


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    return small_files.write_mc_pair(tmp_path_factory.mktemp("mc"), N)


def run_star(out, *words):
    return main(["star", f"--out={out}", "-b", "-q", *map(str, words)])


def card(folder, **values):
    """A run card with the keys of MJStar; dots in them are written __."""
    path = folder / "star.rc"
    path.write_text("".join(f"MJStar.{key.replace('__', '.')}: {value}\n" for key, value in values.items()))
    return f"--config={path}"


def made(out, path):
    return out / path.name.replace("_Y_", "_I_")


def test_by_its_command_line(data, tmp_path):
    words = ["star", "--ind", data[0], f"--out={tmp_path / 'new'}", f"--log={tmp_path / 'logs' / 'star.log'}", "-b"]
    done = subprocess.run(
        [sys.executable, "-m", "magicpy_assets.engine", *map(str, words)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert done.stderr == ""
    output = made(tmp_path / "new", data[0])
    assert f"events written to {output} in" in done.stdout.splitlines()[-1]
    assert done.stdout.splitlines()[-1].startswith("star finished: ")
    assert (tmp_path / "logs" / "star.log").read_text() == done.stdout
    assert [path.name for path in (tmp_path / "new").iterdir()] == [output.name]


def test_the_images_are_those_of_the_kernels(data, tmp_path):
    assert run_star(tmp_path, f"--ind={data[0]}", card(tmp_path, MImgCleanStd__CleanLevel1=7)) == 0
    table = star.read_events(made(tmp_path, data[0]))
    with CalibratedFile(data[0]) as file:
        (chunk,) = file.chunks()
        bad = file.bad_pixels
    interpolate_bad(chunk.charge_phe, chunk.time_slices, np.flatnonzero(bad), bad)
    expected, valid = parametrise(chunk.charge_phe, chunk.time_slices, CleaningCuts(7.0, 3.5))
    kept = valid & (chunk.event["trigger"] != 8)
    assert kept.sum() == len(table) > 0.8 * N
    for i, name in enumerate(PARAMETERS):
        np.testing.assert_allclose(table[name], expected[kept, i], rtol=1e-6, atol=1e-9, err_msg=name)
    for name in ("stereo_number", "daq_number", "mjd_day", "milliseconds", "nanoseconds", "time_diff_s"):
        np.testing.assert_array_equal(table[name], chunk.event[name][kept])


SINGLE = {
    "MHillas": ["fSize", "fLength", "fWidth", "fDelta", "fMeanX", "fMeanY", "fSinDelta", "fCosDelta"],
    "MHillasExt": ["fM3Long", "fM3Trans", "fAsym"],
    "MHillasTimeFit": ["fP1Grad", "fP1Const"],
    "MHillasSrc": ["fAlpha", "fDist", "fCosDeltaAlpha", "fDCA", "fDCADelta"],
    "MImagePar": [
        "fNumIslands", "fNumSinglePixels", "fSizeSinglePixels", "fSizeSubIslands", "fSizeMainIsland",
        "fNumSatPixelsHG", "fNumSatPixelsLG",
    ],
    "MNewImagePar": [
        "fLeakage1", "fLeakage2", "fNumUsedPixels", "fNumCorePixels", "fConc", "fConc1", "fConcCOG", "fConcCore",
        "fUsedArea", "fCoreArea",
    ],
    "MPointingPos": ["fZd", "fAz", "fRa", "fDec", "fDevZd", "fDevAz", "fDevHa", "fDevDec"],
    "MSrcPosCam": ["fX", "fY"],
    "MRawEvtHeader": ["fStereoEvtNumber", "fDAQEvtNumber"],
    "MTriggerPattern": ["fPrescaled"],
}  # fmt: skip
OF_DATA = {"MRawEvtHeader": ["fTimeDiff"], "MTime": ["fMjd", "fTime.fMilliSec", "fNanoSec"]}
OF_MC = {"MMcEvt": ["fEnergy", "fTheta", "fPhi", "fTelescopeTheta", "fPartId", "fCoreX", "fCoreY", "fImpact"]}
WHOLE = {"fNumIslands": "int16", "fNumUsedPixels": "int16", "fNumCorePixels": "int16", "fStereoEvtNumber": "uint32"}


def test_branches_have_the_names_and_types_of_mars(data, simulated, tmp_path):
    assert run_star(tmp_path, f"--ind={data[0]}") == 0
    assert run_star(tmp_path, f"--ind={simulated[0]}", "-mc") == 0
    for path, more in ((data[0], OF_DATA), (simulated[0], OF_MC)):
        with uproot.open(made(tmp_path, path)) as file:
            events = file["Events"]
            names = set(events.keys())
            for container, members in [*SINGLE.items(), *more.items()]:
                assert {f"{container}.{member}" for member in members} <= names
            for member, dtype in WHOLE.items():
                (name,) = (name for name in names if name.endswith(f".{member}"))
                assert events[name].array(library="np").dtype == dtype
            assert events["MHillas.fSize"].array(library="np").dtype == np.float32
            trees = {key.split(";")[0] for key in file.keys(recursive=False)}
            assert trees == {"Events", "RunHeaders", "RunTails", "Pedestals"} | (
                {"Drive"} if path == data[0] else {"OriginalMC"}
            )


def test_the_source_lies_where_the_wobble_puts_it(data, tmp_path):
    assert run_star(tmp_path, f"--ind={data[0]}") == 0
    table = star.read_events(made(tmp_path, data[0]))
    x, y = table["source_x_mm"].to_numpy(), table["source_y_mm"].to_numpy()
    # The toy run points 0.4 degrees north of the source.
    np.testing.assert_allclose(np.hypot(x, y), FOCAL_MM * np.tan(np.radians(0.4)), rtol=1e-4)
    assert table["pointing_dec_deg"].to_numpy() == pytest.approx(small_files.CRAB_DEG[1] + 0.4, abs=1e-9)
    zd = np.radians(table["pointing_zd_deg"].to_numpy())
    # South of the pointing by the parallactic angle: sin q = sin(az) cos(latitude) / cos(dec).
    az, dec = np.radians(table["pointing_az_deg"].to_numpy()), np.radians(small_files.CRAB_DEG[1] + 0.4)
    cos_q = (np.sin(np.radians(28.761579)) - np.sin(dec) * np.cos(zd)) / (np.cos(dec) * np.sin(zd))
    np.testing.assert_allclose(x / np.hypot(x, y), -cos_q, atol=5e-3)
    np.testing.assert_allclose(np.abs(y) / np.hypot(x, y), np.abs(np.sin(az)) * np.cos(np.radians(28.761579)) / np.cos(dec), atol=5e-3)  # fmt: skip  # noqa: E501


def test_pointing_goes_on_beyond_the_drive_reports():
    """Reports of ten seconds give nearly the same pointing as those of the whole run; events far off are counted."""
    n = 3000  # events, 150 s
    mjd = small_files.DAY + (small_files.FIRST_MS / 1000 + np.arange(n) * small_files.SECONDS_PER_EVENT) / 86_400
    reports = small_files.drive(n)
    part = slice(70, 80)
    some = Drive(*(getattr(reports, name)[part] for name in ("mjd", "zd_deg", "az_deg", "ra_h", "dec_deg")))
    whole, guess = Track(small_files.run_info(1), reports), Track(small_files.run_info(1), some)
    expected, found = whole.at(mjd), guess.at(mjd)
    for name, tolerance in (("pointing_zd_deg", 2e-3), ("pointing_az_deg", 2e-3), ("source_x_mm", 0.1)):
        np.testing.assert_allclose(found[name], expected[name], atol=tolerance)
    assert whole.far == 0
    minute = 60 / 86_400
    assert guess.far == ((mjd < some.mjd[0] - minute) | (mjd > some.mjd[-1] + minute)).sum() > 100


def test_right_ascension_passes_zero_without_going_round():
    reports = small_files.drive(20)
    ra_h = (23.9999 + np.linspace(0.0, 0.0002, len(reports.mjd))) % 24.0
    track = Track(small_files.run_info(1), replace(reports, ra_h=ra_h))
    found = track.at(np.linspace(reports.mjd[0], reports.mjd[-1], 101))["pointing_ra_h"]
    assert ((found > 23.9998) | (found < 0.0002)).all()


def test_gamma_rays_point_to_their_source(simulated, tmp_path):
    assert run_star(tmp_path, f"--ind={simulated[1]}", "-mc") == 0
    table = star.read_events(made(tmp_path, simulated[1]))
    distance = np.hypot(table["source_x_mm"], table["source_y_mm"])
    np.testing.assert_allclose(distance, FOCAL_MM * np.tan(np.radians(0.4)), rtol=2e-3)
    good = (table["size_phe"] > 300) & (table["leakage1"] < 0.1)
    assert good.sum() > 10
    assert np.median(np.abs(table["alpha_deg"][good])) < 5  # 45 if they pointed anywhere
    with CalibratedFile(simulated[1]) as file:
        thrown, header = file.original_mc, file.mc_header
    kept = star.read_original_mc(made(tmp_path, simulated[1]))
    assert kept.keys() == thrown.keys()
    np.testing.assert_array_equal(kept["energy_gev"], thrown["energy_gev"])
    assert star.read_mc_header(made(tmp_path, simulated[1]))["n_showers"] == header["n_showers"] > 0


def test_headers_cards_and_pedestal_are_handed_on(data, tmp_path):
    assert run_star(tmp_path, f"--ind={data[1]}") == 0
    output = made(tmp_path, data[1])
    with CalibratedFile(data[1]) as file:
        assert star.read_header(output) == file.info
        np.testing.assert_array_equal(star.read_drive(output)["mjd"], file.drive.mjd)
    assert star.read_header(output).simulated
    made_by = version_card("star")
    assert star.read_provenance(output) == {"star": "levels 6/3.5 phe", "input": data[1].name} | made_by
    level = star.read_pedestal(output)
    assert level["mean_phe"] == pytest.approx(small_files.DARK.mean_phe, rel=1e-6)
    assert level["rms_phe"] == pytest.approx(small_files.DARK.rms_phe, rel=1e-6)
    assert level["added_rms_phe"] == 0


def test_subruns_in_one_go_give_a_file_each(tmp_path):
    _, charge, time = small_files.showers(20, seed=4)
    for subrun in (1, 2, 3):
        small_files.write_data(tmp_path, 1, charge[:, 0], time[:, 0], subrun=subrun)
    assert run_star(tmp_path / "star", "--ind", tmp_path / "*_M1_*_Y_*.root") == 0
    names = sorted(path.name for path in (tmp_path / "star").iterdir())
    assert names == [small_files.data_name(1, subrun, level="I") for subrun in (1, 2, 3)]


NOISE = {"UseAddNoise": "yes", "MAddNoise__Method": 2, "MAddNoise__NewNoiseMean": 3.0, "MAddNoise__NewNoiseRMS": 1.6}


def test_added_noise_reaches_the_level_asked_for_and_is_the_same_again(data, tmp_path):
    out, again = tmp_path / "noisy", tmp_path / "again"
    words = (f"--ind={data[0]}", card(tmp_path, **NOISE), "-savecerevt")
    assert run_star(out, *words) == 0
    assert run_star(again, *words) == 0
    assert run_star(tmp_path, f"--ind={data[0]}", "-savecerevt") == 0
    first, second, plain = (star.read_events(made(folder, data[0])) for folder in (out, again, tmp_path))
    assert first.equals(second)
    assert not first["size_phe"].equals(plain["size_phe"])
    level = star.read_pedestal(made(out, data[0]))
    assert level["mean_phe"] + level["added_mean_phe"] == pytest.approx(3.0)
    assert np.hypot(level["rms_phe"], level["added_rms_phe"]) == pytest.approx(1.6)

    def charges(folder):
        with uproot.open(made(folder, data[0])) as file:
            charge = file["Events"]["MCerPhotEvt.fPixels.fPhot"].array(library="ak").to_numpy()
            number = file["Events"]["MRawEvtHeader.fStereoEvtNumber"].array(library="np")
        return charge[np.isin(number, first["stereo_number"]) & np.isin(number, plain["stereo_number"]), :N_PIXELS]

    before, after = charges(tmp_path), charges(out)
    empty, bright = before < 5, before > 20
    assert after[empty].mean() == pytest.approx(level["mean_phe"] + level["added_mean_phe"], abs=0.1)
    assert after[empty].std() == pytest.approx(np.hypot(level["rms_phe"], level["added_rms_phe"]), rel=0.05)
    added = (after - before)[bright]
    assert added.mean() == pytest.approx(0, abs=5 * added.std() / np.sqrt(len(added)))
    assert added.std() == pytest.approx(level["added_rms_phe"], rel=0.1)


def test_noise_is_not_taken_away(data, tmp_path, capsys):
    wanted = {**NOISE, "MAddNoise__NewNoiseRMS": 0.5}
    assert run_star(tmp_path, f"--ind={data[0]}", card(tmp_path, **wanted)) == 1
    assert "noise can only be added" in one_error(capsys)
    almost = {**NOISE, "MAddNoise__NewNoiseMean": 1.9, "MAddNoise__NewNoiseRMS": 0.95}
    assert run_star(tmp_path, f"--ind={data[0]}", card(tmp_path, **almost)) == 0
    assert star.read_pedestal(made(tmp_path, data[0]))["added_rms_phe"] == 0


def one_error(capsys):
    """The last line that was printed, the only one with an error."""
    lines = capsys.readouterr().out.splitlines()
    errors = [line for line in lines if line.startswith("ERROR: star: ")]
    assert errors == lines[-1:]
    return errors[0]


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["--ind={folder}/nothing_*.root"], 1, "no file is named"),
        ([], 1, "--ind= is missing"),
        (["--ind={m1}", "--ind={m2}"], 1, "mixes files of M1 and M2"),
        (["--ind={m1}", "--cofnig=x"], 2, "unknown flag --cofnig; did you mean --config?"),
        (["--ind={m1}", "-z"], 2, "unknown flag -z"),
        (["--ind={m1}", "--config={folder}/none.rc"], 1, "there is no run card"),
        (["--ind={m1}", "-mc"], 1, "holds data, but -mc was given"),
        (["--ind={folder}/note_Y_.root"], 1, "note_Y_.root"),
        (["--ind={folder}/*_Y_*.root", "--outname=x.root"], 1, "names one file"),
        (["--ind={m1}", "--log={folder}"], 2, "the log cannot be written"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(data, tmp_path, capsys, words, code, told):
    (tmp_path / "note_Y_.root").write_text("not a file of events")
    (tmp_path / "some_Y_.root").write_text("neither")
    words = [word.format(folder=tmp_path, m1=data[0], m2=data[1]) for word in words]
    assert run_star(tmp_path / "out", *words) == code
    assert told in one_error(capsys)
    assert not list((tmp_path / "out").glob("*.root"))


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"MImgCleanStd__CleanMethod": "Scaled"}, "it can be Absolute"),
        ({"MImgCleanStd__CleanLevel1": "six"}, "not a number"),
        ({"MImgCleanStd__CleanLevel1": -6}, "must lie between"),
        ({"MImgCleanStd__CleanLevel1": 3, "MImgCleanStd__CleanLevel2": 5}, "is above"),
        ({"UseAddNoise": "perhaps"}, "neither yes nor no"),
        ({"UseAddNoise": "yes"}, "needs MJStar.MAddNoise.NewNoiseMean"),
        ({**NOISE, "MAddNoise__Method": 1}, "it can be 2"),
        ({"UseStarguider": "yes"}, "no starguider"),
    ],
)
def test_bad_values_of_the_card_are_refused(data, tmp_path, capsys, values, told):
    assert run_star(tmp_path / "out", f"--ind={data[0]}", card(tmp_path, **values)) == 1
    assert told in one_error(capsys)


def test_keys_that_nobody_knows_are_told(data, tmp_path, capsys):
    values = {"MImgCleanStd__CleanLevl1": 9, "MAddNoise__NewNoiseRMS": 2, "UseStarguider": "no"}
    assert run_star(tmp_path, f"--ind={data[0]}", card(tmp_path, **values)) == 0
    untouched = [line for line in capsys.readouterr().out.splitlines() if line.startswith("untouched")]
    assert len(untouched) == 1
    assert "did you mean MJStar.MImgCleanStd.CleanLevel1?" in untouched[0]


def test_output_is_only_overwritten_if_asked(data, tmp_path, capsys):
    output = made(tmp_path, data[0])
    output.write_text("precious")
    assert run_star(tmp_path, f"--ind={data[0]}") == 1
    assert "-f overwrites it" in one_error(capsys)
    assert output.read_text() == "precious"
    assert run_star(tmp_path, f"--ind={data[0]}", "-f") == 0
    assert len(star.read_events(output)) > 0


def test_all_faults_are_told_before_anything_is_made(data, tmp_path, capsys):
    (tmp_path / small_files.data_name(1, subrun=2)).write_bytes(b"root but not whole")
    (tmp_path / small_files.data_name(1, subrun=3)).write_bytes(b"")
    words = [f"--ind={data[0]}", f"--ind={data[1]}", f"--ind={tmp_path}/*_Y_*"]
    assert run_star(tmp_path / "out", *words) == 1
    error = one_error(capsys)
    for told in ("not a whole ROOT file", "is empty", "mixes files"):
        assert told in error
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("share", [0.2, 0.5, 0.95])
def test_a_truncated_file_leaves_nothing_behind(data, tmp_path, capsys, share):
    path = tmp_path / data[0].name
    path.write_bytes(data[0].read_bytes()[: int(share * data[0].stat().st_size)])
    assert run_star(tmp_path / "out", f"--ind={path}") == 1
    assert path.name in one_error(capsys)
    assert not list((tmp_path / "out").iterdir())


def test_a_damaged_basket_is_an_error_and_leaves_nothing_behind(data, tmp_path, capsys):
    with uproot.open(data[0]) as file:
        begin = int(file["Events"]["MCerPhotEvt.fPixels.fPhot"].member("fBasketSeek")[0])
    content = bytearray(data[0].read_bytes())
    content[begin + 60 : begin + 260] = bytes(200)
    path = tmp_path / data[0].name
    path.write_bytes(content)
    assert run_star(tmp_path / "out", f"--ind={path}") == 1
    assert "cannot be read" in one_error(capsys)
    assert not list((tmp_path / "out").glob("*.root"))


def test_a_file_without_showers_has_no_output(tmp_path, capsys):
    empty = np.zeros((4, N_PIXELS), np.float32)
    path = small_files.write_data(tmp_path, 1, empty, empty)
    assert run_star(tmp_path / "out", f"--ind={path}") == 1
    assert "no event has an image" in one_error(capsys)
    assert not list((tmp_path / "out").glob("*.root"))


def foreign(source, target, *, without=(), pieces=(7,), compression=None, cycles=False, moved=()):
    """Write a calibrated file anew as others would: their compression, baskets, branch paths, leaving trees out."""
    with uproot.open(source) as old, uproot.recreate(target, compression=compression or uproot.ZLIB(1)) as new:
        for tree in {key.split(";")[0] for key in old.keys(recursive=False)} - set(without):
            arrays = old[tree].arrays(library="ak")
            fields = [f for f in arrays.fields if "[" not in f and not (f[0] == "n" and f[1:] in arrays.fields)]
            columns = {f: arrays[f] for f in fields if f not in without}
            if tree == "Events":
                columns |= {"MExtra.fNumber": np.arange(len(arrays))}
                columns = {(f"{f.split('.')[0]}./{f}" if f in moved else f): v for f, v in columns.items()}
            types = {f: v.dtype if isinstance(v, np.ndarray) else v.type.content for f, v in columns.items()}
            states = [0.5, 1.0] if cycles and tree == "Events" else [1.0]
            for state in states:  # an autosaved state of the tree, then the whole
                new.mktree(tree, types)
                end = int(state * len(arrays))
                edges = np.arange(0, end + pieces[0], pieces[0]).clip(max=end) if tree == "Events" else [0, end]
                for begin, stop in pairwise(edges):
                    if stop > begin:
                        new[tree].extend({f: v[begin:stop] for f, v in columns.items()})


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"pieces": (1000,), "compression": uproot.LZ4(4)},
        {"without": ("Pedestals", "Trigger", "L3T", "Laser", "RunTails")},
        {"cycles": True},
        {"moved": ("MCerPhotEvt.fPixels.fPhot", "MTime.fMjd", "MMcEvt.fEnergy")},
    ],
    ids=["zlib, small baskets", "lz4, one basket", "optional trees missing", "cycles", "below object branches"],
)
@pytest.mark.parametrize("kind", ["data", "simulated"])
def test_files_of_others_give_the_same_images(request, tmp_path, monkeypatch, kind, options):
    source = request.getfixturevalue(kind)[0]
    (tmp_path / "foreign").mkdir()
    target = tmp_path / "foreign" / source.name
    foreign(source, target, **options)
    assert run_star(tmp_path, f"--ind={source}") == 0
    assert run_star(tmp_path / "foreign", f"--ind={target}") == 0
    ours, theirs = star.read_events(made(tmp_path, source)), star.read_events(made(tmp_path / "foreign", target))
    if kind == "data":
        # The other writer left out the headers with brackets, but the position of the source is there.
        np.testing.assert_allclose(theirs["source_x_mm"], ours["source_x_mm"], rtol=1e-6)
    if "Pedestals" in options.get("without", ()) and kind == "data":
        assert len(theirs) > 0  # hot pixels are judged by five pedestal events here, so images may differ
    else:
        assert theirs.equals(ours)


def test_the_size_of_pieces_does_not_matter(data, tmp_path, monkeypatch):
    """Noise is drawn event by event, so that how a file was cut into baskets does not change what is added."""
    (tmp_path / "foreign").mkdir()
    target = tmp_path / "foreign" / data[0].name
    foreign(data[0], target, pieces=(9,))
    config = card(tmp_path, **NOISE)
    chunks = program.CalibratedFile.chunks
    monkeypatch.setattr(program.CalibratedFile, "chunks", lambda self: chunks(self, 10))
    assert run_star(tmp_path / "foreign", f"--ind={target}", config) == 0
    monkeypatch.undo()
    assert run_star(tmp_path, f"--ind={data[0]}", config) == 0
    assert star.read_events(made(tmp_path / "foreign", target)).equals(star.read_events(made(tmp_path, data[0])))


def test_simulated_files_without_the_telescopes_angles_use_the_pointing(simulated, tmp_path):
    (tmp_path / "foreign").mkdir()
    target = tmp_path / "foreign" / simulated[0].name
    foreign(simulated[0], target, without=("MMcEvt.fTelescopeTheta", "MMcEvt.fTelescopePhi"))
    assert run_star(tmp_path, f"--ind={simulated[0]}") == 0
    assert run_star(tmp_path / "foreign", f"--ind={target}") == 0
    ours, theirs = star.read_events(made(tmp_path, simulated[0])), star.read_events(made(tmp_path / "foreign", target))
    for name in ("pointing_zd_deg", "source_x_mm", "source_y_mm"):
        np.testing.assert_allclose(theirs[name], ours[name], atol=2e-3)


@pytest.mark.parametrize(
    ("without", "told"),
    [
        (("Drive",), "no drive report"),
        (("MTime.fMjd",), "no branch MTime.fMjd"),
        (("RunHeaders",), "no tree RunHeaders"),
        (("MArrivalTime.fData",), "no branch MArrivalTime.fData"),
    ],
)
def test_what_cannot_be_done_without_is_named(data, tmp_path, capsys, without, told):
    target = tmp_path / data[0].name
    foreign(data[0], target, without=without)
    assert run_star(tmp_path / "out", f"--ind={target}") == 1
    assert told in one_error(capsys)
    assert not list((tmp_path / "out").glob("*.root"))


def test_a_file_with_any_name_is_taken_with_a_name_for_its_output(data, tmp_path):
    path = tmp_path / "whatever.root"
    path.write_bytes(data[1].read_bytes())
    assert run_star(tmp_path / "out", f"--ind={path}", "--outname=mine.root") == 0
    assert len(star.read_events(tmp_path / "out" / "mine.root")) > 0
