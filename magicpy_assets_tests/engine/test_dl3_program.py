"""The programs dl3 and spectra by their command line, on melibea files of a toy instrument."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from magicpy_assets.core.errors import InputError
from magicpy_assets.engine.__main__ import main
from magicpy_assets.formats import dl3_check, melibea
from magicpy_assets.formats.calibrated import RUN_TYPE_DATA, RUN_TYPE_MC, RunInfo
from magicpy_assets.formats.dl3 import open_observations
from magicpy_assets.formats.superstar import write_superstar
from magicpy_assets.science.light_curve import LightCurveResult
from magicpy_assets.science.skymap import SkymapResult, why_missing
from magicpy_assets.science.spectrum import SpectrumResult

RUNS = {5093001: 35, 5093002: 215}
FORESTS = {
    "forest gamma/hadron": "aaaabbbbcccc", "forest M1 direction": "1111", "forest M2 direction": "2222",
    "forest energy": "3333", "star": "levels 6/3.5 phe",
}  # fmt: skip
RATE_HZ = 60.0


@pytest.fixture(scope="module")
def toy():
    """The toy instrument of the DL3 format's tests."""
    sys.path.append(str(Path(__file__).parents[1] / "formats"))
    import toy_dl3

    return toy_dl3


def write_data(path, run, number, *, provenance=FORESTS, cards=None, bunched=False):
    """A melibea file of a toy run: its events, the same again as events that melibea could not reconstruct.

    If `bunched`, all events come within the first fifth of every half second.
    """
    columns, n = run.columns, len(run.columns.mjd)
    order = np.argsort(columns.mjd)
    rng = np.random.default_rng([number, 1])
    start, stop = run.cards.intervals_mjd[0]
    failed = np.sort(rng.uniform(start, stop, int(RATE_HZ * (stop - start) * 86400) - n))
    mjd = np.concatenate([columns.mjd[order], failed])
    if bunched:
        mjd -= 0.8 * ((mjd * 86400) % 0.5) / 86400
    good = np.arange(len(mjd)) < n
    in_time = np.argsort(mjd)
    since = np.empty(len(mjd))
    since[in_time] = np.diff(mjd[in_time], prepend=mjd[in_time][0]) * 86400

    def known(values):
        return np.concatenate([values[order], np.full(len(failed), np.nan)])

    day = np.floor(mjd)
    nanoseconds = np.round((mjd - day) * 86400e9).astype(np.int64)
    events = {
        "mjd_day_1": day, "milliseconds_1": nanoseconds // 1_000_000, "nanoseconds_1": nanoseconds % 1_000_000,
        "daq_number_1": _numbered(in_time), "time_diff_s_1": since,
        "stereo_number_1": np.arange(len(mjd)) + 1, "valid": good.astype(int),
        "pointing_zd_deg_1": np.full(len(mjd), run.cards.zd_deg), "pointing_az_deg_1": np.full(len(mjd), 110.0),
        "pointing_ra_h_1": np.full(len(mjd), run.cards.pointing_deg[0] / 15),
        "pointing_dec_deg_1": np.full(len(mjd), run.cards.pointing_deg[1]),
        "size_phe_1": np.full(len(mjd), 300.0), "size_phe_2": np.full(len(mjd), 300.0),
        "hadronness": known(run.hadronness), "energy_rf_gev": known(columns.energy_gev),
        "reco_x_deg": np.where(good, 0.4, np.nan), "reco_y_deg": np.where(good, 0.0, np.nan),
        "reco_ra_h": known(columns.ra_deg) / 15, "reco_dec_deg": known(columns.dec_deg),
    }  # fmt: skip
    info = RunInfo(
        number, 0, 1, RUN_TYPE_DATA, "CrabNebula", 83.633, 22.014,
        cards=cards if cards is not None else {"SIMULATED": "yes", "SIMULATOR": "toy", "MODEL": "toy"},
    )  # fmt: skip
    write_superstar(path, info, events, provenance=provenance, branches=melibea.EVENTS)


def _numbered(in_time):
    """Numbers of the readout in order of time, over two subruns."""
    number = np.empty(len(in_time), dtype=int)
    half = len(in_time) // 2
    number[in_time] = np.r_[np.arange(half), np.arange(len(in_time) - half)] + 1
    return number


def write_mc(path, toy, seed, *, n_thrown=60_000, provenance=FORESTS, original=True):
    gammas, thrown = toy.simulations(n_thrown, seed)
    events = {
        "energy_gev_1": gammas.true_energy_gev, "energy_rf_gev": gammas.energy_gev, "hadronness": gammas.hadronness,
        "theta2_deg2": gammas.theta_deg**2, "pointing_zd_deg_1": gammas.zd_deg, "valid": np.ones(len(gammas), int),
        "reco_x_deg": np.zeros(len(gammas)), "size_phe_1": np.full(len(gammas), 300.0),
        "size_phe_2": np.full(len(gammas), 300.0),
    }  # fmt: skip
    original_mc = {
        f"{name}_{telescope}": values
        for telescope in (1, 2)
        for name, values in (
            ("energy_gev", thrown.energy_gev), ("impact_cm", np.zeros(n_thrown)),
            ("telescope_phi_rad", np.zeros(n_thrown)), ("telescope_theta_rad", np.radians(thrown.zd_deg)),
        )
    }  # fmt: skip
    info = RunInfo(1, 0, 1, RUN_TYPE_MC, "", 0.0, 0.0, cards={"SIMULATED": "yes", "MODEL": "toy"})
    write_superstar(
        path, info, events, provenance=provenance, branches=melibea.EVENTS,
        original_mc=original_mc if original else None, mc_header={"impact_max_cm": 100 * toy.IMPACT_MAX_M},
    )  # fmt: skip


@pytest.fixture(scope="module")
def inputs(toy, tmp_path_factory):
    place = tmp_path_factory.mktemp("melibea")
    for number, wobble in RUNS.items():
        run = toy.crab_run(number, 500, wobble, seed=number, background_hz=3.0)
        write_data(place / f"20201111_{number:08d}_Q_CrabNebula-W0.40+{wobble:03d}.root", run, number)
    for part in (1, 2):
        write_mc(place / f"GA_za05to35_8_173700{part}_Q_wr.root", toy, seed=part)
    return place


def dl3(inputs, out, *flags, data="2020*_Q_*.root", mc="GA_*_Q_*.root"):
    return main(["dl3", f"--ind={inputs}/{data}", f"--mc={inputs}/{mc}", f"--out={out}", *flags])


@pytest.fixture(scope="module")
def made(inputs, tmp_path_factory):
    out = tmp_path_factory.mktemp("dl3")
    assert dl3(inputs, out, "-b", "-q", f"--log={out}/dl3.log") == 0
    return out


def test_a_file_for_each_run_and_the_index(made):
    names = sorted(path.name for path in made.iterdir() if not path.name.startswith("."))
    assert names == [
        "20201111_05093001_DL3_CrabNebula-W0.40+035.fits",
        "20201111_05093002_DL3_CrabNebula-W0.40+215.fits",
        "dl3.log", "hdu-index.fits.gz", "obs-index.fits.gz",
    ]  # fmt: skip
    log = (made / "dl3.log").read_text().splitlines()
    assert log[-1].startswith("dl3 finished: ")
    assert "events written to" in log[-1]


@pytest.mark.skipif(shutil.which("fitsverify") is None, reason="fitsverify is not installed")
def test_fitsverify_finds_nothing(made):
    for path in made.glob("*.fits*"):
        done = subprocess.run(["fitsverify", str(path)], capture_output=True, text=True, check=False)
        assert "found 0 warning(s) and 0 error(s)" in done.stdout, done.stdout


def test_headers_carry_forest_cuts_simulations_and_simulated(made):
    with fits.open(next(made.glob("*DL3*.fits"))) as hdus:
        assert {"EVENTS", "GTI", "POINTING", "EFFECTIVE AREA", "ENERGY DISPERSION", "RAD_MAX", "BACKGROUND"} <= {
            hdu.name for hdu in hdus
        }
        for name in ("PRIMARY", "EVENTS", "EFFECTIVE AREA"):
            cards = hdus[name].header
            assert cards["SIMULATD"] is True
            assert cards["FOREST"] == "aaaabbbb.1111.2222.3333"
            assert cards["CLEANING"] == "levels 6/3.5 phe"
            assert len(cards["MCID"]) == len(cards["CUTS"]) == 12
            assert cards["MCFILES"] == 2
        events = hdus["EVENTS"].header
        assert (events["OBJECT"], events["OBS_ID"]) == ("CrabNebula", 5093001)
        assert events["LIVETIME"] == pytest.approx(events["ONTIME"] * events["DEADC"])
        # 60 Hz of triggers, blind for 26 microseconds after each
        assert 1 - events["DEADC"] == pytest.approx(RATE_HZ * 26e-6, rel=0.05)
        assert hdus["EFFECTIVE AREA"].header["MCWINDOW"].startswith("MC zenith")


def test_headers_carry_the_responses_and_the_effective_time(made):
    identities = set()
    for path in made.glob("*DL3*.fits"):
        with fits.open(path) as hdus:
            events, area = hdus["EVENTS"].header, hdus["EFFECTIVE AREA"].header
            assert events["IRFKIND"] == "point-like"
            assert area["IRFID"] == events["IRFID"]
            identities.add(events["MCID"])
            # steady events: the tail of their differences gives the live time within its error
            assert events["EFFCLOSE"] is True
            assert events["EFFTIME"] == pytest.approx(events["LIVETIME"], abs=5 * events["EFFERR"])
            pointing = hdus["EVENTS"].data
            assert np.allclose(pointing["ALT_PNT"], events["ALT_PNT"])
            assert np.allclose(pointing["AZ_PNT"], 110.0)
            assert set(pointing["MULTIP"]) == {2}
    assert len(identities) == 1


def test_the_identity_of_the_monte_carlo_is_of_its_content(inputs, toy, tmp_path):
    for number, seed in (("8", 1), ("9", 3)):
        place = tmp_path / number
        place.mkdir()
        write_mc(place / f"GA_za05to35_8_173800{number}_Q_wr.root", toy, seed)
        assert main(["dl3", f"--ind={inputs}/*5093001*", f"--mc={place}/GA*", f"--out={place}"]) == 0
    again = tmp_path / "again"
    again.mkdir()
    shutil.copy(tmp_path / "8" / "GA_za05to35_8_1738008_Q_wr.root", again / "GA_za05to35_8_1739999_Q_wr.root")
    assert main(["dl3", f"--ind={inputs}/*5093001*", f"--mc={again}/GA*", f"--out={again}"]) == 0
    first, other, same = (fits.getheader(next((tmp_path / n).glob("*DL3*.fits")))["MCID"] for n in ("8", "9", "again"))
    assert first == same != other


def test_full_enclosure_and_fixed_cuts_by_the_card(inputs, tmp_path):
    card = tmp_path / "full.rc"
    card.write_text("dl3.kind: full-enclosure\ndl3.fixedHadCut: 0.3\ndl3.fixedTheta2Cut: 0.02\n")
    assert dl3(inputs, tmp_path, f"--config={card}", data="*5093001*") == 0
    with fits.open(next(tmp_path.glob("*DL3*.fits"))) as hdus:
        assert "RAD_MAX" not in hdus
        assert hdus["POINT SPREAD FUNCTION"].header["HDUCLAS4"] == "PSF_TABLE"
        assert hdus["EVENTS"].header["CUTRULES"] == "had < 0.3, theta2 < 0.02, size > 50"
        assert np.allclose(hdus["GH_CUTS"].data["GH_CUT"], 0.7)
        assert np.allclose(hdus["GH_CUTS"].data["RAD_MAX"], np.sqrt(0.02))
        assert hdus["EVENTS"].data["GAMMANESS"].min() > 0.7
    findings = dl3_check.check(tmp_path)
    assert {finding.verdict for finding in findings} <= {"good", "note"}, findings


def test_a_kind_that_does_not_exist_is_refused(inputs, tmp_path, capsys):
    card = tmp_path / "odd.rc"
    card.write_text("dl3.kind: pointlike\n")
    assert dl3(inputs, tmp_path, f"--config={card}") == 1
    assert "point-like" in capsys.readouterr().out


def test_events_that_are_not_steady_are_warned_of(toy, inputs, tmp_path, capsys):
    run = toy.crab_run(5093001, 120, 35, seed=4)
    write_data(tmp_path / "20201111_05093001_Q_CrabNebula-W0.40+035.root", run, 5093001, bunched=True)
    assert main(["dl3", f"--ind={tmp_path}/2020*", f"--mc={inputs}/GA*", f"--out={tmp_path}"]) == 0
    said = capsys.readouterr().out
    assert "WARNING: run 5093001: effective time" in said
    with fits.open(next(tmp_path.glob("*DL3*.fits"))) as hdus:
        assert hdus["EVENTS"].header["EFFCLOSE"] is False


def test_the_events_kept_are_those_below_the_cut_in_order_of_time(made, inputs):
    observation = open_observations(made)[0]
    read = melibea.read_events(next(inputs.glob("*5093001*")))
    with fits.open(next(made.glob("*5093001*"))) as hdus:
        cuts = hdus["GH_CUTS"].data
        edges_gev = 1e3 * np.append(cuts["ENERG_LO"], cuts["ENERG_HI"][-1])
        bins = np.searchsorted(edges_gev, read["energy_gev"], side="right") - 1
        wanted = 1 - read["hadronness"] > cuts["GH_CUT"][np.clip(bins, 0, 19)]
    table = observation.events.table
    assert set(table["EVENT_ID"]) == set(read["stereo_number_1"][wanted & (read["valid"] > 0)])
    assert np.all(np.diff(observation.events.time.mjd) >= 0)


def test_the_spectrum_put_in_comes_out_of_the_two_programs(made, toy, tmp_path, capsys):
    out = tmp_path / "spectra"
    assert main(["spectra", f"--ind={made}/*DL3*.fits", "--source=Crab Nebula", f"--out={out}"]) == 0
    assert "spectra finished: " in capsys.readouterr().out.splitlines()[-1]
    assert {"spectrum.json", "flux_points.ecsv", "light_curve.ecsv", "theta2.ecsv"} <= {p.name for p in out.iterdir()}
    sky = SkymapResult.load(out)
    assert sky.simulated
    assert sky.peak[0] > 10
    assert np.hypot(*sky.peak[1:]) < 0.06
    with fits.open(out / "skymap.fits") as hdus:
        assert hdus["SIGNIFICANCE"].header["SIMULATD"] is True
    result = SpectrumResult.load(out)
    assert result.converged
    assert result.simulated
    assert result.exposure.forests == ("aaaabbbb.1111.2222.3333",)
    truth = np.array([toy.SPECTRUM[name] for name in ("amplitude", "alpha", "beta")])
    off = np.array([result.parameter(name)[0] for name in ("amplitude", "alpha", "beta")]) - truth
    # 120 000 showers thrown: collection areas are good to about 7 %, as good as the counts; double the covariance
    assert off @ np.linalg.solve(2 * result.covariance, off) < 14.2
    document = json.loads((out / "spectrum.json").read_text())
    assert document["parameters"]["amplitude"]["unit"] == "1 / (TeV s cm2)"


def test_a_map_that_cannot_be_made_leaves_none_of_before_and_says_why(made, tmp_path, capsys):
    out, card = tmp_path / "spectra", tmp_path / "few.rc"
    command = ["spectra", f"--ind={made}/*DL3*.fits", "--source=Crab Nebula", f"--out={out}", "-f"]
    card.write_text("spectra.model: power_law\nspectra.LCbinning: 1 min\nspectra.fluxScale: 0.11\n")
    assert main([*command, f"--config={card}"]) == 0
    assert why_missing(out) == ""
    result = SpectrumResult.load(out)
    assert result.model_name == "power_law"
    assert result.systematics.flux_scale == 0.11
    assert LightCurveResult.load(out).table["live_time"].max() < 121  # the two runs of the toy are of the same time
    card.write_text("spectra.model: power_law\nspectra.EminMap: 60000\n")
    assert main([*command, f"--config={card}"]) == 0
    assert "WARNING: no sky map" in capsys.readouterr().out
    assert {path.name for path in out.glob("skymap.*")} == {"skymap.json", "skymap.fits"}
    assert "too few to measure the acceptance" in why_missing(out)
    assert "too few" in fits.getheader(out / "skymap.fits")["NOMAP"]
    with pytest.raises(InputError, match="too few to measure"):
        SkymapResult.load(out)


def test_the_card_changes_cuts_and_unread_keys_are_named(inputs, tmp_path, capsys):
    card = tmp_path / "dl3.rc"
    card.write_text("dl3.HadEffi: 0.5\ndl3.allowedHadRangeMin: 0.01\ndl3.background: no\ndl3.HadEfi: 0.9\n")
    assert dl3(inputs, tmp_path, f"--config={card}", data="*5093001*") == 0
    said = capsys.readouterr().out
    assert "untouched: dl3.HadEfi" in said
    assert "had eff 0.5" in said
    with fits.open(next(tmp_path.glob("*DL3*.fits"))) as hdus:
        assert "BACKGROUND" not in hdus
        assert hdus["GH_CUTS"].data["GH_CUT"][8] > 0.85


@pytest.mark.parametrize(
    ("flags", "code", "words"),
    [
        (["--mc=x"], 1, "--ind= is missing"),
        (["--ind={inputs}/2020*", "--mc={inputs}/nothing*"], 1, "no file is named"),
        (["--ind={inputs}/GA*", "--mc={inputs}/GA*"], 1, "is not a melibea (_Q_) file of data"),
        (["--ind={inputs}/2020*", "--mc={inputs}/2020*"], 1, "holds data; --mc takes Monte Carlo"),
        (["--ind={inputs}/2020*", "--mcc={inputs}/GA*"], 2, "did you mean --mc?"),
    ],
)
def test_wrong_command_lines_end_in_one_clear_line(inputs, tmp_path, capsys, flags, code, words):
    assert main(["dl3", f"--out={tmp_path}", *(flag.format(inputs=inputs) for flag in flags)]) == code
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("ERROR: dl3:")
    assert words in last
    assert not list(tmp_path.glob("*.fits"))


def test_monte_carlo_of_another_forest_is_refused_unless_asked_for(inputs, toy, tmp_path, capsys):
    write_mc(tmp_path / "GA_za05to35_8_1737009_Q_wr.root", toy, 5, provenance=FORESTS | {"forest energy": "other"})
    mc = f"--mc={tmp_path}/GA*"
    data = f"--ind={inputs}/*5093001*"
    assert main(["dl3", data, mc, f"--out={tmp_path}"]) == 1
    assert "differ in forest energy: 3333 against other" in capsys.readouterr().out
    card = tmp_path / "mixed.rc"
    card.write_text("dl3.allowMixed: yes\n")
    assert main(["dl3", data, mc, f"--out={tmp_path}", f"--config={card}"]) == 0


def test_files_without_any_word_on_forests_are_taken_on_trust(toy, tmp_path):
    run = toy.crab_run(5093001, 60, 35, seed=4)
    write_data(tmp_path / "20201111_05093001_Q_CrabNebula-W0.40+035.root", run, 5093001, provenance={}, cards={})
    write_mc(tmp_path / "GA_za05to35_8_1737001_Q_wr.root", toy, 6, provenance={})
    assert dl3(tmp_path, tmp_path) == 0
    with fits.open(next(tmp_path.glob("*DL3*.fits"))) as hdus:
        assert hdus["EVENTS"].header["SIMULATD"] is False
        assert "FOREST" not in hdus["EVENTS"].header


def test_monte_carlo_that_does_not_say_what_was_thrown_is_refused(inputs, toy, tmp_path, capsys):
    write_mc(tmp_path / "GA_za05to35_8_1737001_Q_wr.root", toy, 6, n_thrown=5000, original=False)
    assert main(["dl3", f"--ind={inputs}/2020*", f"--mc={tmp_path}/GA*", f"--out={tmp_path}"]) == 1
    assert "which showers were thrown (tree OriginalMC)" in capsys.readouterr().out


def test_output_that_is_there_is_kept_unless_forced(made, inputs, capsys):
    before = {path: path.stat().st_mtime_ns for path in made.glob("*DL3*.fits")}
    assert dl3(inputs, made) == 1
    assert "is there already" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_spectra_of_the_wrong_source_or_of_nothing(made, tmp_path, capsys):
    assert main(["spectra", f"--ind={made}/*DL3*.fits", "--source=Mrk421", f"--out={tmp_path}"]) == 1
    assert "no run of Mrk421" in capsys.readouterr().out
    assert main(["spectra", f"--ind={tmp_path}/*.fits", f"--out={tmp_path}"]) == 1
    assert "no file is named" in capsys.readouterr().out
