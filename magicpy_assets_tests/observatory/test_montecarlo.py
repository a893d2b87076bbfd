"""Monte Carlo files: truth as thrown, every use of every shower in OriginalMC, telescopes that agree."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from magicpy_assets.core import zeniths
from magicpy_assets.core.runs import parse_name
from magicpy_assets.formats.calibrated import CalibratedFile
from magicpy_assets.observatory import montecarlo, shards
from magicpy_assets.observatory.primaries import impact_m
from magicpy_assets.science import corsika
from magicpy_assets.science.pointing import camera_of
from magicpy_assets.science.site import TELESCOPES_EAST_NORTH_M

SEED = 316
PAIR = montecarlo.production()[0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mc")
    montecarlo.make_pair(PAIR, SEED, folder)
    return folder


@pytest.fixture(scope="module", params=[1, 2])
def telescope(request):
    return request.param


@pytest.fixture(scope="module")
def content(folder, telescope):
    with CalibratedFile(folder / PAIR.file(telescope).name) as file:
        chunks = list(file.chunks())
        assert file.info.is_mc
        assert file.info.simulated
        joined = {
            part: {
                name: np.concatenate([getattr(chunk, part)[name] for chunk in chunks])
                for name in getattr(chunks[0], part)
            }
            for part in ("event", "mc", "pointing")
        }
        return joined | {"header": file.mc_header, "original": file.original_mc, "bad": file.bad_pixels}


def test_the_production_has_train_and_test_of_every_zenith_range_and_no_shower_twice():
    pairs = montecarlo.production()
    assert len({pair.run for pair in pairs}) == len(pairs)
    for period, zenith in product(montecarlo.PERIODS, [zenith.name for zenith in zeniths.ALL]):
        for use in ("train", "test"):
            mine = [pair for pair in pairs if (pair.period, pair.zenith, pair.use) == (period, zenith, use)]
            assert 4 <= len(mine) <= 8
            shard = mine[0].shard
            assert {pair.shard.name for pair in mine} == {shard.name}
            assert [begin for begin, _ in (pair.showers for pair in mine)] == [
                0,
                *[end for _, end in (pair.showers for pair in mine[:-1])],
            ]
            assert mine[-1].showers[1] == shard.amount >= 4000
    train, test = (shards.find(use=f"mc_{use}", zenith="za05to35") for use in ("train", "test"))
    assert train.seed != test.seed
    name = parse_name(pairs[0].file(1).name)
    assert (name.zenith, name.digit, name.wobble, name.telescope) == ("za05to35", 8, "wr", 1)


def test_every_use_of_every_thrown_shower_is_listed(content, telescope):
    shard = PAIR.shard
    begin, end = PAIR.showers
    thrown = (end - begin) * shard.cores
    assert content["header"]["n_showers"] == thrown
    original = content["original"]
    assert {len(values) for values in original.values()} == {thrown}
    low, high = shard.energy_gev
    assert low <= original["energy_gev"].min() < original["energy_gev"].max() <= high
    # E^-1.8 between the limits: ranks against the integral spectrum.
    power = 1.0 + float(content["header"]["slope"])
    energy = np.sort(original["energy_gev"][:: shard.cores])
    expected = (energy**power - low**power) / (high**power - low**power)
    ranks = (np.arange(len(energy)) + 0.5) / len(energy)
    assert np.abs(ranks - expected).max() * np.sqrt(len(energy)) < 2.0
    assert original["impact_cm"].max() < 100 * (shard.radius_m + 50)
    cosine = np.cos(original["telescope_theta_rad"])
    assert np.degrees(np.arccos(cosine.max())) > 5 - 1e-6
    assert np.degrees(np.arccos(cosine.min())) < 35 + 1e-6
    assert cosine.mean() == pytest.approx(
        np.cos(np.radians([5, 35])).mean(), abs=4 * cosine.std() / np.sqrt(end - begin)
    )


def test_the_truth_of_an_event_is_that_of_a_thrown_shower(content, telescope):
    mc, original, shard = content["mc"], content["original"], PAIR.shard
    first = (mc["event_number"] - 1 - PAIR.showers[0]) * shard.cores
    np.testing.assert_allclose(mc["energy_gev"], original["energy_gev"][first], rtol=1e-6)
    uses = first[:, None] + np.arange(shard.cores)
    nearest = np.abs(original["impact_cm"][uses] - mc["impact_cm"][:, None]).min(axis=1)
    assert nearest.max() < 5.0
    np.testing.assert_allclose(mc["telescope_theta_rad"], original["telescope_theta_rad"][first], atol=1e-6)
    turn = np.exp(1j * (mc["telescope_phi_rad"] - original["telescope_phi_rad"][first]))
    np.testing.assert_allclose(turn, 1.0, atol=1e-6)


def test_directions_and_cores_are_in_the_frame_of_corsika(content, telescope):
    mc, pointing = content["mc"], content["pointing"]
    np.testing.assert_allclose(np.degrees(mc["telescope_theta_rad"]), pointing["zd_deg"], atol=1e-4)
    turn = np.radians(corsika.azimuth_deg(mc["telescope_phi_rad"]) - pointing["az_deg"])
    np.testing.assert_allclose(np.exp(1j * turn), 1.0, atol=1e-5)
    # The source lies on the ring of 0.4 deg, anywhere on it.
    az = corsika.azimuth_deg(mc["phi_rad"])
    x, y = camera_of(np.degrees(mc["theta_rad"]), az, pointing["zd_deg"], pointing["az_deg"])
    np.testing.assert_allclose(np.degrees(np.arctan(np.hypot(x, y) / 17_000.0)), 0.4, atol=2e-3)
    angle = np.arctan2(y, x)
    assert abs(np.exp(1j * angle).mean()) < 4.0 / np.sqrt(len(np.unique(mc["event_number"])) / 2)
    # Impact as the distance of the telescope from the shower's axis.
    cores = np.column_stack(corsika.core_from_corsika_m(mc["core_x_cm"], mc["core_y_cm"]))
    toward = np.column_stack([np.degrees(mc["theta_rad"]), az])
    impact = impact_m(cores - TELESCOPES_EAST_NORTH_M[telescope - 1], toward)
    np.testing.assert_allclose(mc["impact_cm"] / 100.0, impact, atol=0.1)


def test_stereo_events_are_the_same_in_both_telescopes(folder, content, telescope):
    event, mc = content["event"], content["mc"]
    stereo = event["stereo_number"] > 0
    assert set(event["trigger"][stereo]) == {1}
    assert set(event["trigger"][~stereo]) <= {0}
    assert stereo.mean() > 0.9
    with CalibratedFile(folder / PAIR.file(3 - telescope).name) as file:
        chunks = list(file.chunks())
    other = {name: np.concatenate([chunk.event[name] for chunk in chunks]) for name in chunks[0].event}
    truth = {name: np.concatenate([chunk.mc[name] for chunk in chunks]) for name in chunks[0].mc}
    partner = other["stereo_number"] > 0
    np.testing.assert_array_equal(other["stereo_number"][partner], event["stereo_number"][stereo])
    for name in ("energy_gev", "core_x_cm", "event_number"):
        np.testing.assert_array_equal(truth[name][partner], mc[name][stereo])
    # One telescope alone: in one of the files only.
    alone = set(zip(mc["event_number"][~stereo], mc["core_x_cm"][~stereo], strict=True))
    assert not alone & set(zip(truth["event_number"], truth["core_x_cm"], strict=True))


def test_the_headers_say_what_was_simulated(content, telescope):
    header = content["header"]
    assert (header["telescopes"], header["offset_deg"]) == (2, pytest.approx(0.4))
    assert header["impact_max_cm"] == pytest.approx(100 * PAIR.shard.radius_m)
    assert (header["theta_min_deg"], header["theta_max_deg"]) == (5.0, 35.0)
    assert header["corsika_version"] == 0
    np.testing.assert_array_equal(np.flatnonzero(content["bad"]), [0])


def test_new_showers_near_the_track_lie_within_what_their_header_says(tmp_path):
    shard = replace(PAIR.shard, name="new", amount=500, cores=1, energy_gev=(300.0, 3000.0), from_track_deg=5.0)
    montecarlo.make_new_pair(PAIR, shard, SEED, tmp_path)
    with CalibratedFile(tmp_path / PAIR.file(1).name) as file:
        header, thrown = file.mc_header, file.original_mc
    assert len(thrown["telescope_phi_rad"]) == header["n_showers"] == 500
    phi_deg = np.degrees(thrown["telescope_phi_rad"])
    assert header["phi_min_deg"] <= phi_deg.min() < phi_deg.max() <= header["phi_max_deg"]
    assert header["phi_max_deg"] - header["phi_min_deg"] < 120


def test_the_same_pair_again_is_the_same(tmp_path, folder):
    montecarlo.make_pair(PAIR, SEED, tmp_path)
    name = PAIR.file(1).name
    with CalibratedFile(folder / name) as first, CalibratedFile(tmp_path / name) as second:
        for a, b in zip(first.chunks(), second.chunks(), strict=True):
            np.testing.assert_array_equal(a.charge_phe, b.charge_phe)
            np.testing.assert_array_equal(a.time_slices, b.time_slices)
