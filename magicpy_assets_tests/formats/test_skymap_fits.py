"""Sky maps as FITS: the source lies where the coordinates say, numbers come back, simulated data says so."""

import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS

from magicpy_assets.core import sources
from magicpy_assets.formats.skymap_fits import write_no_map, write_skymap
from magicpy_assets.science.exposure import Exposure
from magicpy_assets.science.skymap import SkymapResult

CENTRE = (83.6, 22.0)


@pytest.fixture
def result():
    edges = np.arange(-20, 21) * 0.025
    on = np.full((40, 40), 10.0)
    on[30, 28] = 50.0  # north and east of the centre
    significance = np.where(on > 20, 9.0, np.random.default_rng(1).normal(size=on.shape))
    significance[0, :5] = np.nan
    exposure = Exposure("Toy", (1, 2), 1200.0, 59165.2, 59165.3, simulated=True, forests=("f",), cuts=("c",))
    return SkymapResult(
        exposure, CENTRE, 0.3, edges, on, np.full_like(on, 10.0), significance, 0.0, 1.0, ((0.0, 0.0, 0.3),)
    )


def test_the_brightest_pixel_is_where_the_result_says(result, tmp_path):
    path = write_skymap(result, tmp_path / "skymap.fits")
    with fits.open(path) as hdus:
        image = hdus["SIGNIFICANCE"]
        row, column = np.unravel_index(np.nanargmax(image.data), image.data.shape)
        there = WCS(image.header).pixel_to_world(column, row)
        peak, x, y = result.peak
        expected = SkyCoord(*CENTRE, unit="deg").spherical_offsets_by(x * _deg(), y * _deg())
        assert there.separation(expected).deg < 0.002
        assert there.ra.deg > CENTRE[0]
        assert image.data[row, column] == pytest.approx(peak)
        assert hdus["EXCESS"].data[row, column] == pytest.approx(40.0)
        np.testing.assert_allclose(hdus["ON"].data - hdus["BACKGROUND"].data, hdus["EXCESS"].data)


def test_the_distribution_leaves_the_source_out_and_markers_name_it(result, tmp_path):
    with fits.open(write_skymap(result, tmp_path / "skymap.fits")) as hdus:
        assert hdus["DISTRIBUTION"].data["PIXELS"].sum() < 1600 - 5
        assert hdus["DISTRIBUTION"].data["PIXELS"][-4:].sum() == 0
        assert hdus["SOURCES"].data["NAME"][0] == "Toy"
        assert hdus["SOURCES"].data["RA"][0] == CENTRE[0]
        assert all(hdu.header["SIMULATD"] is True for hdu in hdus)


def test_all_marked_sources_are_listed_with_what_is_left_out_around_them(result, tmp_path):
    perseus = sources.by_name("NGC1275")
    wide = replace(result, centre_deg=(perseus.ra_deg, perseus.dec_deg), edges_deg=result.edges_deg * 2)
    with fits.open(write_skymap(wide, tmp_path / "skymap.fits")) as hdus:
        listed = hdus["SOURCES"].data
        assert list(listed["NAME"]) == ["Toy", "IC310"]
        assert listed["RA"][1] == pytest.approx(sources.by_name("IC310").ra_deg)
        assert list(listed["EXCLUDED"]) == pytest.approx([0.3, 0.2])


def test_a_file_without_a_map_says_why(tmp_path):
    with fits.open(write_no_map("7 events: too few", tmp_path / "skymap.fits")) as hdus:
        assert hdus[0].header["NOMAP"] == "7 events: too few"


@pytest.mark.skipif(shutil.which("fitsverify") is None, reason="fitsverify is not installed")
def test_fitsverify_finds_nothing(result, tmp_path):
    path = write_skymap(result, tmp_path / "skymap.fits")
    done = subprocess.run(["fitsverify", str(path)], capture_output=True, text=True, check=False)
    assert "found 0 warning(s) and 0 error(s)" in done.stdout, done.stdout


def _deg():
    import astropy.units as u

    return u.deg
