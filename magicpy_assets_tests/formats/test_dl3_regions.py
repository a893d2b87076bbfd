"""Where events are counted: on radius or PSF, the offset of the source, off regions without other sources, stacking."""

import logging

import astropy.units as u
import numpy as np
import pytest
import toy_dl3

from magicpy_assets.core import sources
from magicpy_assets.core.errors import InputError, OutOfRangeError
from magicpy_assets.formats import dl3, gadf
from magicpy_assets.science import on_off, regions, spectrum_fit
from magicpy_assets.science.cuts import find_cuts
from magicpy_assets.science.field import Neighbour, neighbours
from magicpy_assets.science.irf import FULL_ENCLOSURE, KINDS, POINT_LIKE, make_responses
from magicpy_assets.science.light_curve import light_curve

pytestmark = pytest.mark.usefixtures("few_points")

RUNS = {5093001: 35, 5093002: 215, 5093003: 125}


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """The same three runs of 15 minutes with responses of both kinds."""
    simulations = toy_dl3.simulations(400_000, 1)
    cuts = find_cuts(*(getattr(simulations[0], name) for name in ("energy_gev", "hadronness", "theta_deg")))
    found = {}
    for kind in KINDS:
        place = tmp_path_factory.mktemp(kind)
        responses = make_responses(*simulations, cuts, 20.0, kind)
        for number, wobble in RUNS.items():
            start = 59165.2 + 0.02 * (number - min(RUNS))
            run = toy_dl3.crab_run(number, 900, wobble, seed=number, background_hz=1.0, start=start)
            hdus = gadf.run_hdus(run.cards, toy_dl3.selected(run.columns, cuts), responses)
            gadf.write(place / f"20201111_{number:08d}_DL3_CrabNebula-W0.40+{wobble:03d}.fits", hdus)
        found[kind] = dl3.open_observations(place)
    return found


def test_the_flux_with_a_psf_is_the_flux_with_an_on_radius(both):
    """The same events, counted within a fixed circle with its share of the PSF, and within the cut of the responses."""
    fits = {kind: spectrum_fit.fit(both[kind], toy_dl3.CRAB_DEG, model="log_parabola") for kind in KINDS}
    for name, truth in toy_dl3.SPECTRUM.items():
        value, error = fits[FULL_ENCLOSURE].parameter(name)
        assert abs(value - truth) < 3.5 * error
        # most of the events are the same, so the two differ by less than one of them does from the truth
        assert abs(value - fits[POINT_LIKE].parameter(name)[0]) < error
    curves = {kind: light_curve(both[kind], toy_dl3.CRAB_DEG) for kind in KINDS}
    assert curves[FULL_ENCLOSURE].mean_flux == pytest.approx(curves[POINT_LIKE].mean_flux, rel=0.1)


def test_the_on_radius_of_full_enclosure_follows_from_the_psf(both):
    """Of a Gaussian of 0.06° on each axis 75 % lie within 0.06 (2 ln 4)^½ = 0.1°."""
    assert regions.psf_radius_deg(both[FULL_ENCLOSURE], toy_dl3.CRAB_DEG) == pytest.approx(0.10)
    assert regions.psf_radius_deg(both[POINT_LIKE], toy_dl3.CRAB_DEG) is None
    blind = both[FULL_ENCLOSURE][0].copy(in_memory=True, psf=None)
    with pytest.raises(InputError, match="no PSF"):
        on_off.reduce([blind], toy_dl3.CRAB_DEG)


def test_energies_to_use_are_those_at_the_offset_of_the_source(both):
    """Responses of others have several offsets: here the threshold is higher at the edge of the field."""
    from gammapy.irf import EffectiveAreaTable2D
    from gammapy.maps import MapAxis

    energy = MapAxis.from_energy_bounds("10 GeV", "100 TeV", 40, name="energy_true")
    offset = MapAxis.from_edges([0.0, 0.8, 3.0], unit="deg", name="offset")
    area = np.where(energy.center.to_value("TeV")[:, np.newaxis] > np.array([0.1, 1.0]), 1e5, 0.0)
    responses = EffectiveAreaTable2D(axes=[energy, offset], data=area, unit="m2")
    observation = both[FULL_ENCLOSURE][0].copy(in_memory=True, aeff=responses)
    near = on_off.safe_range(observation, toy_dl3.CRAB_DEG).low_tev
    assert 0.07 < near < 0.13
    away = toy_dl3.CRAB_DEG[0], toy_dl3.CRAB_DEG[1] + 2.5
    assert 0.7 < on_off.safe_range(observation, away).low_tev < 1.3


@pytest.mark.parametrize("kind", KINDS)
def test_an_off_region_with_another_source_is_not_used(both, kind, caplog):
    runs = both[kind][:1]
    centre = runs[0].get_pointing_icrs(runs[0].tmid)
    opposite = (2 * centre.ra.deg - toy_dl3.CRAB_DEG[0], 2 * centre.dec.deg - toy_dl3.CRAB_DEG[1])
    other = [Neighbour("Other", *opposite)]
    whole = on_off.reduce(runs, toy_dl3.CRAB_DEG, avoid=[])[0]
    with caplog.at_level(logging.WARNING):
        part = on_off.reduce(runs, toy_dl3.CRAB_DEG, avoid=other)[0]
    assert on_off.nominal_alpha(whole) == pytest.approx(1 / 3)
    assert on_off.nominal_alpha(part) == pytest.approx(1 / 2)
    assert part.counts_off.data.sum() < whole.counts_off.data.sum()
    assert "2 of 3 off regions are used, the others are too near to Other" in caplog.text
    with pytest.raises(OutOfRangeError, match="none of 1 off regions is usable beside Other"):
        on_off.reduce(runs, toy_dl3.CRAB_DEG, avoid=other, n_off=1)


def test_stacked_runs_of_different_off_regions_keep_their_background(both):
    runs = both[POINT_LIKE][:2]
    centre = runs[0].get_pointing_icrs(runs[0].tmid)
    opposite = (2 * centre.ra.deg - toy_dl3.CRAB_DEG[0], 2 * centre.dec.deg - toy_dl3.CRAB_DEG[1])
    datasets = on_off.reduce(runs, toy_dl3.CRAB_DEG, avoid=[Neighbour("Other", *opposite)])
    off_per_on = [1 / on_off.nominal_alpha(one) for one in datasets]
    assert off_per_on == pytest.approx([2, 3])
    together = on_off.stacked(datasets)[0]
    assert 1 / on_off.nominal_alpha(together) == pytest.approx(2.5)


def test_neighbours_are_those_of_the_table_without_the_source_itself():
    perseus = sources.by_name("NGC1275")
    assert [one.name for one in neighbours((perseus.ra_deg, perseus.dec_deg))] == ["IC310"]
    assert neighbours(toy_dl3.CRAB_DEG) == ()


def test_runs_of_fifteen_minutes_are_stacked(both):
    """Fitted jointly they give a biased flux, see `on_off.stacked`."""
    assert [len(on_off.stacked(on_off.reduce(both[kind], toy_dl3.CRAB_DEG))) for kind in KINDS] == [1, 1]
    assert not spectrum_fit.fit(both[POINT_LIKE], toy_dl3.CRAB_DEG, model="power_law").joint_runs
    datasets = on_off.reduce(both[POINT_LIKE], toy_dl3.CRAB_DEG)
    halves = on_off.stacked(datasets, {5093001: "a", 5093002: "a", 5093003: "b"})
    assert [one.name for one in halves] == ["a", "5093003"]
    assert halves[0].gti.time_sum.to_value(u.s) == pytest.approx(1800, rel=0.01)
