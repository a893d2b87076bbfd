"""Reading DL3 of others: no index, the older kind of MAGIC file, and files that are broken."""

import hashlib
import logging
from pathlib import Path

import numpy as np
import pytest
import toy_dl3
from astropy.io import fits

from magicpy_assets.core.errors import InputError, MissingInputError
from magicpy_assets.formats import dl3, dl3_files
from magicpy_assets.science import spectral_models, spectrum_fit
from magicpy_assets_tests import real_runs


@pytest.fixture(scope="module")
def new_file(tmp_path_factory):
    responses = toy_dl3.toy_responses(n_thrown=60_000)
    place = tmp_path_factory.mktemp("new")
    return toy_dl3.write_run(place, toy_dl3.crab_run(5093001, 1200, 35, seed=8), responses)


def older_kind(source: Path, target: Path, *, obs_id=5093001) -> Path:
    """Turn one of our files into the kind MAGIC wrote first: fixed RAD_MAX, RA + 360, EQUINOX '', cards twice."""
    with fits.open(source) as hdus:
        hdus = fits.HDUList([hdu.copy() for hdu in hdus if hdu.name not in ("RAD_MAX", "POINTING", "GH_CUTS")])
        events = hdus["EVENTS"]
        events.data["RA"] += 360
        events.data["EVENT_ID"] = 7
        events.header["OBS_ID"] = obs_id
        events.header["EQUINOX"] = ""
        events.header.append(("TELLIST", "M1M2"))
        events.header.append(("RA_PNT", events.header["RA_PNT"]))
        hdus["EFFECTIVE AREA"].header["RAD_MAX"] = 0.141421
        for hdu in hdus[1:]:
            for card in ("CHECKSUM", "DATASUM"):
                hdu.header.remove(card, ignore_missing=True)
        for name in ("EFFECTIVE AREA", "ENERGY DISPERSION"):
            for number in range(1, hdus[name].header["TFIELDS"] + 1):
                if hdus[name].header[f"TTYPE{number}"].startswith("THETA"):
                    hdus[name].header.remove(f"TDIM{number}", ignore_missing=True)
        hdus.writeto(target)
    return target


def digests(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_the_older_kind_is_read_and_gives_a_spectrum(new_file, tmp_path, caplog):
    older_kind(new_file, tmp_path / "20201111_05093001_DL3_CrabNebula.fits")
    before = digests(tmp_path)
    with caplog.at_level(logging.WARNING):
        (observation,) = dl3.open_observations(tmp_path)
    ra = observation.events.table["RA"].quantity.to_value("deg")
    assert 80 < ra.min() < ra.max() < 90
    assert observation.rad_max.is_fixed_rad_max
    assert [record.getMessage() for record in caplog.records] == []
    result = spectrum_fit.fit([observation], toy_dl3.CRAB_DEG, model="power_law")
    assert result.converged
    assert result.significance > 10
    assert digests(tmp_path) == before


def test_both_kinds_together_are_fitted_jointly(new_file, tmp_path):
    old = older_kind(new_file, tmp_path / "old.fits", obs_id=1)
    observations = dl3.open_observations([new_file, old])
    result = spectrum_fit.fit(observations, toy_dl3.CRAB_DEG, model="power_law")
    assert result.joint_runs
    assert result.runs == (1, 5093001)


def test_source_names_are_compared_by_their_letters(new_file):
    assert len(dl3.open_observations(new_file.parent, source="crab nebula")) == 1
    with pytest.raises(MissingInputError, match=r"no run of Mrk421[\s\S]*CrabNebula"):
        dl3.open_observations(new_file.parent, source="Mrk421")


def test_a_place_without_files_is_named(tmp_path):
    with pytest.raises(MissingInputError, match="no FITS file"):
        dl3.open_observations(tmp_path)
    with pytest.raises(MissingInputError, match="no such file or folder"):
        dl3.open_observations(tmp_path / "nowhere")


def test_a_run_given_twice_is_refused(new_file, tmp_path):
    for name in ("a.fits", "b.fits"):
        (tmp_path / name).write_bytes(new_file.read_bytes())
    with pytest.raises(InputError, match=r"5093001 is in two files: .*a\.fits and .*b\.fits"):
        dl3_files.entries(tmp_path)


@pytest.mark.parametrize(
    ("hdu", "words"), [("EFFECTIVE AREA", "no aeff"), ("ENERGY DISPERSION", "no edisp"), ("GTI", "no GTI")]
)
def test_a_missing_table_is_named(new_file, tmp_path, hdu, words):
    with fits.open(new_file) as hdus:
        fits.HDUList([part.copy() for part in hdus if part.name != hdu]).writeto(tmp_path / "part.fits")
    with pytest.raises(InputError, match=words):
        dl3.open_observations(tmp_path)


def test_a_missing_keyword_is_named(new_file, tmp_path):
    with fits.open(new_file) as hdus:
        copies = fits.HDUList([part.copy() for part in hdus])
        del copies["EVENTS"].header["DEADC"]
        copies.writeto(tmp_path / "part.fits")
    with pytest.raises(InputError, match="lacks DEADC"):
        dl3_files.entries(tmp_path)


def test_a_truncated_file_is_named(new_file, tmp_path):
    (tmp_path / "cut.fits").write_bytes(new_file.read_bytes()[:9000])
    with pytest.raises(InputError, match=r"cut\.fits"):
        dl3.open_observations(tmp_path)


def test_a_wrong_live_time_in_the_header_is_reported(new_file, tmp_path, caplog):
    with fits.open(new_file) as hdus:
        copies = fits.HDUList([part.copy() for part in hdus])
        copies["EVENTS"].header["LIVETIME"] = 9999.0
        copies.writeto(tmp_path / "part.fits")
    with caplog.at_level(logging.WARNING):
        (observation,) = dl3.open_observations(tmp_path)
    assert "LIVETIME 9999.0 s" in caplog.text
    assert observation.observation_live_time_duration.to_value("s") == pytest.approx(1200, rel=1e-6)


# --- real MAGIC data -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def crab():
    return dl3.open_observations(real_runs.FOLDER, source="CrabNebula")


@real_runs.needed
def test_real_runs_are_read_in_silence_and_left_alone(caplog):
    before = digests(real_runs.FOLDER)
    with caplog.at_level(logging.WARNING):
        observations = dl3.open_observations(real_runs.FOLDER)
    assert observations.ids == ["5029747", "5029748"]
    assert not dl3.is_simulated(observations)
    assert [record.getMessage() for record in caplog.records] == []
    assert digests(real_runs.FOLDER) == before


@real_runs.needed
def test_real_runs_give_the_crab_spectrum(crab):
    """Amplitude 4.3e-11 at 1 TeV, as measured by others with these two files; the shape is the Crab's."""
    result = spectrum_fit.fit(crab, toy_dl3.CRAB_DEG)
    assert result.converged
    assert not result.joint_runs
    amplitude, _ = result.parameter("amplitude")
    assert amplitude == pytest.approx(4.3e-11, rel=0.10)
    # alpha and beta of MAGIC's log-parabola (2015), with the published systematic error of 0.15 on the index
    shape = np.array([result.parameter("alpha")[0] - 2.47, result.parameter("beta")[0] - 0.24 / np.log(10)])
    covariance = result.covariance[1:, 1:] + np.diag([0.15**2, 0.0])
    assert shape @ np.linalg.solve(covariance, shape) < 11.8  # 3 sigma for two parameters
    points = result.flux_points
    assert len(points) >= 10
    measured = points[~points["is_ul"]]
    assert len(measured) >= 7
    reference = spectral_models.crab_reference()(measured["e_ref"].quantity).to_value("cm-2 s-1 TeV-1")
    ratio = np.asarray(measured["dnde"]) / reference
    assert np.all((ratio > 0.4) & (ratio < 1.8))
    assert np.all(np.asarray(points["dnde_ul"]) > 0)


@real_runs.needed
def test_real_runs_show_the_crab_above_300_gev(crab):
    from magicpy_assets.science import counts

    result = counts.theta2(crab, toy_dl3.CRAB_DEG)
    assert result.significance > 18
    assert result.n_off_regions == 3


@real_runs.needed
def test_real_runs_have_a_constant_flux(crab):
    from magicpy_assets.science.light_curve import light_curve

    result = light_curve(crab, toy_dl3.CRAB_DEG)
    assert len(result.table) == 2
    assert not result.table["is_ul"].any()
    assert result.p_constant > 0.0027
    assert 0.8e-10 < result.mean_flux < 2.0e-10


@real_runs.needed
def test_real_runs_make_a_sky_map_with_a_flat_background(crab):
    from magicpy_assets.science.skymap import skymap

    result = skymap(crab, toy_dl3.CRAB_DEG)
    peak, x, y = result.peak
    assert peak > 18
    assert np.hypot(x, y) < 0.05
    assert abs(result.residual_mean) < 0.4
    assert 0.8 < result.residual_rms < 1.2
