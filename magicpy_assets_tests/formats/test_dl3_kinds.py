"""Point-like and full-enclosure DL3 in gammapy: maps from the background, fluxes with PSF; sets that must not mix."""

import logging
import shutil
import subprocess

import astropy.units as u
import numpy as np
import pytest
import toy_dl3
from astropy.coordinates import SkyCoord
from astropy.io import fits

from magicpy_assets.core.errors import InputError
from magicpy_assets.formats import dl3, dl3_check, dl3_index, gadf
from magicpy_assets.science.background import field_background
from magicpy_assets.science.cuts import find_cuts
from magicpy_assets.science.field import excluded
from magicpy_assets.science.irf import FULL_ENCLOSURE, KINDS, POINT_LIKE, make_responses
from magicpy_assets.science.pointing import tangent_plane

SOURCE = SkyCoord(*toy_dl3.CRAB_DEG, unit="deg")
SECONDS = 1200


def background_of(run, events):
    x, y = tangent_plane(events.ra_deg, events.dec_deg, *run.cards.pointing_deg)
    circles = excluded(run.cards.source_deg, run.cards.pointing_deg, ())
    return field_background(events.energy_gev, x, y, run.cards.on_time_s, circles)


@pytest.fixture(scope="module")
def simulations():
    return toy_dl3.simulations(200_000, 1)


@pytest.fixture(scope="module")
def folders(simulations, tmp_path_factory):
    """The same two runs with responses of both kinds."""
    cuts = find_cuts(*(getattr(simulations[0], name) for name in ("energy_gev", "hadronness", "theta_deg")))
    places = {}
    for kind in KINDS:
        place = places[kind] = tmp_path_factory.mktemp(kind)
        responses = make_responses(*simulations, cuts, 20.0, kind)
        for number, wobble in ((5093001, 35), (5093002, 215)):
            run = toy_dl3.crab_run(number, SECONDS, wobble, seed=number, background_hz=1.0)
            events = toy_dl3.selected(run.columns, cuts)
            hdus = gadf.run_hdus(run.cards, events, responses, background_of(run, events))
            gadf.write(place / f"20201111_{number:08d}_DL3_CrabNebula-W0.40+{wobble:03d}.fits", hdus)
        dl3_index.write_index(place)
    return places


def observations(folders, kind, caplog):
    from gammapy.data import DataStore

    with caplog.at_level(logging.WARNING):
        found = DataStore.from_dir(folders[kind]).get_observations(required_irf=kind)
        for observation in found:
            assert observation.bkg is not None
    assert [record.getMessage() for record in caplog.records] == []
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_both_kinds_pass_every_check(folders, kind):
    findings = dl3_check.check(folders[kind])
    assert {finding.verdict for finding in findings} <= {"good", "note"}, findings


@pytest.mark.skipif(shutil.which("fitsverify") is None, reason="fitsverify is not installed")
def test_fitsverify_finds_nothing_in_full_enclosure(folders):
    for path in folders[FULL_ENCLOSURE].glob("*.fits"):
        done = subprocess.run(["fitsverify", str(path)], capture_output=True, text=True, check=False)
        assert "found 0 warning(s) and 0 error(s)" in done.stdout, done.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_gammapy_makes_a_map_with_the_background(folders, kind, caplog):
    from gammapy.datasets import MapDataset
    from gammapy.estimators import ExcessMapEstimator
    from gammapy.makers import FoVBackgroundMaker, MapDatasetMaker
    from gammapy.maps import MapAxis, WcsGeom
    from regions import CircleSkyRegion

    axis = MapAxis.from_energy_bounds("0.2 TeV", "20 TeV", 5)
    true = MapAxis.from_energy_bounds("0.05 TeV", "50 TeV", 20, name="energy_true")
    geometry = WcsGeom.create(skydir=SOURCE, width=2.0, binsz=0.05, axes=[axis], frame="icrs", proj="TAN")
    outside = ~geometry.region_mask([CircleSkyRegion(SOURCE, 0.3 * u.deg)])
    parts = ["counts", "background"] + (["exposure", "psf", "edisp"] if kind == FULL_ENCLOSURE else [])
    maker = MapDatasetMaker(selection=parts)
    stacked = MapDataset.create(geometry, energy_axis_true=true)
    for observation in observations(folders, kind, caplog):
        stacked.stack(maker.run(stacked.copy(name=str(observation.obs_id)), observation))
    seen = float(stacked.counts.data[outside.data].sum())
    expected = float(stacked.background.data[outside.data].sum())
    # the background is measured from the same events: their number comes back, but for the edge of the map
    assert expected == pytest.approx(seen, abs=4 * np.sqrt(seen))
    fitted = FoVBackgroundMaker(method="scale", exclusion_mask=outside).run(stacked)
    assert fitted.background_model.parameters["norm"].value == pytest.approx(1.0, abs=4 / np.sqrt(seen))
    significance = ExcessMapEstimator(0.1 * u.deg).run(fitted.to_image())["sqrt_ts"]
    assert significance.get_by_coord({"skycoord": SOURCE, "energy": 1 * u.TeV})[0] > 10


def test_the_flux_with_a_psf_is_the_flux_with_an_on_radius(folders, caplog):
    from gammapy.datasets import Datasets, SpectrumDataset
    from gammapy.makers import ReflectedRegionsBackgroundMaker, SpectrumDatasetMaker
    from gammapy.maps import MapAxis, RegionGeom
    from gammapy.modeling import Fit
    from gammapy.modeling.models import PowerLawSpectralModel, SkyModel
    from regions import CircleSkyRegion

    region = CircleSkyRegion(SOURCE, 0.15 * u.deg)
    axis = MapAxis.from_energy_bounds("0.3 TeV", "10 TeV", 10)
    true = MapAxis.from_energy_bounds("0.05 TeV", "50 TeV", 30, name="energy_true")
    empty = SpectrumDataset.create(geom=RegionGeom.create(region, axes=[axis]), energy_axis_true=true)
    maker = SpectrumDatasetMaker(containment_correction=True, selection=["counts", "exposure", "edisp"])
    datasets = Datasets()
    for observation in observations(folders, FULL_ENCLOSURE, caplog):
        dataset = maker.run(empty.copy(name=str(observation.obs_id)), observation)
        datasets.append(ReflectedRegionsBackgroundMaker().run(dataset, observation))
    datasets = Datasets([datasets.stack_reduce()])
    model = SkyModel(PowerLawSpectralModel(index=2.6, amplitude="3e-11 cm-2 s-1 TeV-1", reference="1 TeV"))
    datasets.models = [model]
    assert Fit().run(datasets).success
    amplitude = model.spectral_model.amplitude
    # 40 minutes of Crab Nebula; the true spectrum is curved, 5 % between 0.3 and 10 TeV
    assert amplitude.value == pytest.approx(toy_dl3.SPECTRUM["amplitude"], abs=4 * amplitude.error + 0.2e-11)


def test_headers_say_which_offsets_were_simulated(folders):
    for kind, rows in ((POINT_LIKE, 1), (FULL_ENCLOSURE, 3)):
        with fits.open(next(folders[kind].glob("*.fits"))) as hdus:
            area = hdus["EFFECTIVE AREA"]
            assert area.header["HDUCLAS3"] == kind.upper()
            assert area.header["OFFSETMC"] == "0.3-0.5 deg"
            assert area.data["EFFAREA"].shape[1] == rows
            assert ("RAD_MAX" in hdus, "POINT SPREAD FUNCTION" in hdus) == (kind == POINT_LIKE, kind != POINT_LIKE)
            background = hdus["BACKGROUND"]
            assert "spectrum times profile" in background.header["BKGTEXT"]
            rate, error = background.data["BKG"], background.data["BKG_RERR"]
            assert np.isfinite(error[rate > 0]).all()
            assert (error[rate > 0] >= 1 / np.sqrt(background.header["BKGEVTS"])).all()


def mixed(folders, place, card, value):
    """The two runs in one folder, one of them with another value of a card."""
    for number, path in enumerate(sorted(folders[POINT_LIKE].glob("*.fits"))):
        with fits.open(path) as hdus:
            hdus["EVENTS"].header[card] = value if number else "first"
            hdus.writeto(place / path.name, checksum=True)


@pytest.mark.parametrize(("card", "word"), [("FOREST", "forests"), ("CUTS", "cuts"), ("MCID", "Monte Carlo")])
def test_a_folder_that_mixes_is_refused_unless_asked_for(folders, tmp_path, card, word):
    mixed(folders, tmp_path, card, "second")
    with pytest.raises(InputError, match=f"different {word}: first and second") as caught:
        dl3.open_observations(tmp_path)
    assert "allow a mixed set" in (caught.value.hint or "")
    assert len(dl3.open_observations(tmp_path, allow_mixed=True)) == 2


def test_cells_in_folders_of_their_own_may_differ(folders, tmp_path):
    mixed(folders, tmp_path, "FOREST", "second")
    (tmp_path / "other").mkdir()
    last = sorted(tmp_path.glob("*.fits"))[-1]
    last.rename(tmp_path / "other" / last.name)
    assert len(dl3.open_observations(tmp_path)) == 2
