"""Known answers: verdicts follow the table, and a small cell of the observatory can be asked."""

import os
import shutil

import numpy as np
import pytest
from astropy.io import fits

from magicpy_assets.analysis import Source
from magicpy_assets.analysis.validating import ENOUGH_EVENTS
from magicpy_assets.core.errors import MissingInputError
from magicpy_assets.core.periods import by_name
from magicpy_assets.science.expectations import NOT_ASKED, OK, OUTSIDE, Expectation, expectations
from magicpy_assets.science.known_answers import (
    containment_deg,
    energy_bias,
    energy_resolution,
    isotropy,
    null_mean,
    null_rms,
)
from magicpy_assets_tests.conftest import settings_for


@pytest.mark.parametrize(
    ("kind", "tolerance", "value", "error", "verdict"),
    [
        ("relative", 0.2, 11.9, 0.0, OK),
        ("relative", 0.2, 12.1, 0.0, OUTSIDE),
        ("relative", 0.2, 12.1, 0.1, OK),
        ("absolute", 1.0, 11.1, 0.0, OUTSIDE),
        ("absolute", 1.0, 9.5, 0.0, OK),
        ("at most", 0.0, 10.1, 0.0, OUTSIDE),
        ("at most", 0.0, 1.0, 0.0, OK),
        ("at least", 0.0, 9.9, 0.0, OUTSIDE),
        ("at least", 0.0, 9.9, 0.05, OK),
    ],
)
def test_verdicts(kind, tolerance, value, error, verdict):
    assert Expectation("x", "x", kind, 10.0, tolerance, "", "x").verdict(value, error) == verdict


def test_every_expectation_has_a_source_and_a_name_of_its_own():
    found = expectations()
    assert len({one.name for one in found}) == len(found)
    assert all(one.source and one.meaning for one in found)


def test_resolutions_are_those_put_in():
    """Of a 2D Gaussian the 39 % containment is its width; errors are those of many samples."""
    rng = np.random.default_rng(1)
    samples = [np.hypot(*rng.normal(0, 0.06, (2, 500))) for _ in range(200)]
    for share, expected in ((0.39, 0.06 * np.sqrt(-2 * np.log(0.61))), (0.68, 0.06 * np.sqrt(-2 * np.log(0.32)))):
        found = np.array([containment_deg(theta, share) for theta in samples])
        assert found[:, 0].mean() == pytest.approx(expected, rel=0.02)
        assert found[:, 1].mean() == pytest.approx(found[:, 0].std(), rel=0.25)
    ratio = 1.05 * np.exp(rng.normal(0, 0.15, 20_000))
    assert energy_resolution(ratio)[0] == pytest.approx(0.15 * 1.05, rel=0.03)
    assert energy_bias(ratio)[0] == pytest.approx(0.05, abs=0.01)


def test_off_regions_that_are_alike_pass_and_others_do_not():
    rng = np.random.default_rng(2)
    even = rng.poisson(20, (200, 3))
    assert isotropy(even)[0] > 0.001
    assert abs(null_mean(even)[0]) < 4 * null_mean(even)[1]
    assert null_rms(even)[0] == pytest.approx(1, abs=4 * null_rms(even)[1] + 0.02)
    skewed = rng.poisson((20, 20, 30), (200, 3))
    assert isotropy(skewed)[0] < 1e-6
    # Events that come in fours: what nothing should look like has twice the width.
    assert null_rms(4 * rng.poisson(5, (200, 3)))[0] > 1.6
    assert isinstance(null_rms(even[:2]), str)


@pytest.mark.slow
@pytest.mark.xdist_group("chain")
def test_a_small_cell_is_asked_everything(chain):
    with Source("CrabNebula", by_name("ST0316"), session=chain.session, quiet=True) as crab:
        found = crab.validate()
        rows = found.table.set_index("name")
        assert set(rows.index) == {one.name for one in expectations()}
        assert found.simulated
        for name in ("theta39", "energy_resolution", "exposure_closure", "auc", "background_rate_398_631"):
            assert rows.loc[name, "verdict"] == OK, rows.loc[name]
        # The threshold of the simulation is known not to be that of MAGIC: it is shown, and not judged.
        assert rows.loc["energy_threshold", "verdict"] == NOT_ASKED
        assert rows.loc["energy_threshold", "value"] > 100
        assert "photo-electrons" in rows.loc["energy_threshold", "remark"]
        assert "OFF" in rows.loc["null_signal", "remark"]
        assert found.passed
        # Of 80 s there are few events: that is said, and no verdict is given.
        assert crab.theta2().n_on < ENOUGH_EVENTS
        for name in ("crab_flux_1tev", "crab_slope_1tev", "crab_rate_398_631"):
            assert rows.loc[name, "verdict"] == NOT_ASKED
            assert "too" in rows.loc[name, "remark"]
        assert rows.loc["null_rms", "verdict"] in (NOT_ASKED, OK)
        assert "simulated" in str(found)


@pytest.mark.slow
@pytest.mark.xdist_group("chain")
def test_without_products_there_is_nothing_to_ask(chain):
    crab = Source("CrabNebula", by_name("ST0317"), session=chain.session, quiet=True)
    with pytest.raises(MissingInputError, match="no DL3 files"):
        crab.validate()


@pytest.mark.slow
@pytest.mark.xdist_group("chain")
def test_a_question_that_fails_leaves_the_others_alone(chain, tmp_path):
    """Without any event there is no spectrum and no count, but there are resolutions and exposure."""
    store = tmp_path / "store"
    shutil.copytree(chain.session.layout.root, store, copy_function=os.link)
    for path in sorted((store / "CrabNebula" / "dl3").rglob("*.fits")):
        with fits.open(path, memmap=False) as hdus:
            hdus["EVENTS"].data = hdus["EVENTS"].data[:0]
            path.unlink()
            hdus.writeto(path, checksum=True)
    with Source("CrabNebula", by_name("ST0316"), settings=settings_for(store), quiet=True) as crab:
        rows = crab.validate().table.set_index("name")
    assert set(rows.index) == {one.name for one in expectations()}
    assert rows.loc["crab_flux_1tev", "verdict"] == NOT_ASKED
    assert "no event in the on and off regions" in rows.loc["crab_flux_1tev", "remark"]
    for name in ("theta39", "energy_resolution", "exposure_closure", "auc"):
        assert rows.loc[name, "verdict"] == OK, rows.loc[name]
