"""The event library: what is shipped is what its table says, and what the engine of today makes."""

from dataclasses import fields, replace

import numpy as np
import pytest
from scipy import stats

from magicpy_assets.core.errors import InputError, MissingInputError, UnknownNameError
from magicpy_assets.observatory import emission, library, library_build, shards
from magicpy_assets.observatory.primaries import CONE_DEG, Thrown, hadrons, impact_m, track_azimuth_deg
from magicpy_assets.observatory.showers import KINDS, MIN_PHE, MODEL, ShowerImages, shoot
from magicpy_assets.science.camera import PIXEL_X_MM, PIXEL_Y_MM

SHARDS = list(shards.shards().values())
NAMES = [item.name for item in SHARDS]
HADRONS = [item for item in SHARDS if item.kind == "hadron"]


def sides(images):
    """Impact (m) and offset from the pointing (deg) of events."""
    cores = np.column_stack([images.core_east_m, images.core_north_m]).astype(float)
    toward = np.column_stack([images.zd_deg, images.az_deg]).astype(float)
    zd, az = np.radians(toward).T
    zd0, az0 = np.radians(images.pointing_zd_deg.astype(float)), np.radians(images.pointing_az_deg.astype(float))
    cosine = np.cos(zd) * np.cos(zd0) + np.sin(zd) * np.sin(zd0) * np.cos(az - az0)
    return impact_m(cores, toward), np.degrees(np.arccos(np.clip(cosine, -1, 1)))


def telescope_sums(images):
    """Photo-electrons stored for each telescope, (n, 2)."""
    edges = np.column_stack([images.start[:-1], images.start[:-1] + images.split]).ravel()
    return np.add.reduceat(images.phe.astype(np.int64), edges).reshape(-1, 2)


def one_of_each_shower(images):
    """Events of one shower are not independent: keep one."""
    return images.take(np.sort(np.unique(images.shower, return_index=True)[1]))


@pytest.mark.parametrize("item", SHARDS, ids=NAMES)
def test_a_shard_holds_what_its_table_says(item):
    images = library.open_shard(item.name)
    assert len(images) > 2000
    low, high = item.zd_deg
    slack = 1e-4
    assert low - slack <= images.pointing_zd_deg.min()
    assert images.pointing_zd_deg.max() <= high + slack
    assert item.energy_gev[0] <= images.energy_gev.min() * (1 + slack)
    assert images.energy_gev.max() <= item.energy_gev[1] * (1 + slack)
    impact, offset = sides(images)
    assert impact.max() <= item.radius_m * 1.001
    assert telescope_sums(images).min() >= MIN_PHE
    assert images.pixel.max() < 1039
    assert (np.diff(images.start) > 0).all()
    if item.kind == "gamma":
        assert (images.kind == KINDS["gamma"]).all()
        np.testing.assert_allclose(offset, 0.4, atol=1e-3)
        assert images.shower.max() < item.amount
    else:
        assert set(np.unique(images.kind)) == {KINDS["proton"], KINDS["helium"]}
        assert offset.max() <= CONE_DEG + 0.01
        np.testing.assert_allclose(
            images.pointing_az_deg, track_azimuth_deg(images.pointing_zd_deg.astype(float)), atol=0.02
        )


@pytest.mark.parametrize("item", SHARDS, ids=NAMES)
def test_little_is_lost_beyond_what_was_thrown(item):
    """Close to the lowest energy and to the edges of disc and cone there are hardly any events."""
    images = library.open_shard(item.name)
    impact, offset = sides(images)
    assert (images.energy_gev < 1.2 * item.energy_gev[0]).mean() < 0.01
    assert (impact > 0.95 * item.radius_m).mean() < 0.02
    if item.kind == "hadron":
        assert (offset > 0.95 * CONE_DEG).mean() < 0.02


def test_no_shower_is_in_two_shards():
    assert len({item.seed for item in SHARDS}) == len(SHARDS)
    energies = np.concatenate([np.unique(library.open_shard(name).energy_gev) for name in NAMES])
    cores = np.concatenate([library.open_shard(name).core_east_m for name in NAMES])
    # Energies are float32: a few of tens of thousands agree by chance, none of the same shower.
    assert len(np.unique(energies)) > 0.97 * len(energies)
    assert len(np.unique(cores)) > 0.99 * len(cores)


def test_monte_carlo_has_enough_showers():
    for item in SHARDS:
        if item.kind == "gamma":
            assert item.amount >= 4000


@pytest.mark.parametrize("item", [item for item in SHARDS if item.kind == "gamma"], ids=lambda item: item.name)
def test_every_thrown_shower_is_known_again(item):
    """The truth of all showers is drawn again, in the order of shower numbers, the unseen ones included."""
    thrown, images = item.all_thrown(), library.open_shard(item.name)
    assert len(thrown) == item.amount
    np.testing.assert_allclose(thrown.energy_gev[images.shower], images.energy_gev, rtol=1e-6)
    cores = np.column_stack([images.core_east_m, images.core_north_m])
    assert np.abs(thrown.cores_m[images.shower] - cores[:, None]).max(axis=2).min(axis=1).max() < 1e-3


def test_data_and_off_are_the_same_sky():
    for data in (item for item in HADRONS if item.use == "data"):
        off = shards.find(use="off", zd_deg=sum(data.zd_deg) / 2)
        rates, errors = [], []
        for item in (data, off):
            per_shower = np.bincount(library.open_shard(item.name).shower)
            rates.append(per_shower.sum() / item.amount)
            errors.append(np.sqrt((per_shower**2).sum()) / item.amount)
        assert rates[0] == pytest.approx(rates[1], abs=3.5 * np.hypot(*errors))
        first, second = (one_of_each_shower(library.open_shard(item.name)) for item in (data, off))
        for name in ("energy_gev", "zd_deg"):
            assert stats.ks_2samp(getattr(first, name), getattr(second, name)).pvalue > 1e-3


def compared(images):
    impact, offset = sides(images)
    sums = telescope_sums(images)
    return {
        "energy": images.energy_gev,
        "impact": impact,
        "offset": offset,
        "light": np.log(sums).mean(axis=1),
        "balance": np.log(sums[:, 0] / sums[:, 1]),
        "pixels": np.diff(images.start),
        "time spread": [
            np.std(images.time_ns[a : a + n]) for a, n in zip(images.start[:-1], images.split, strict=True)
        ],
    }


def assert_same_kind(fresh, shipped):
    fresh, shipped = one_of_each_shower(fresh), one_of_each_shower(shipped)
    assert len(fresh) > 50
    for name, values in compared(shipped).items():
        assert stats.ks_2samp(compared(fresh)[name], values).pvalue > 1e-3, name


@pytest.mark.slow
def test_gammas_shot_today_are_those_of_the_shard():
    item = shards.shard("gamma_train_05to35")
    fresh = library_build.make_piece(replace(item, seed=99_103), 0)
    shipped = library.open_shard(item.name)
    assert_same_kind(fresh, shipped)
    expected = len(shipped) / item.amount * shards.SHOWERS_PER_PIECE
    per_shower = np.bincount(shipped.shower, minlength=round(item.amount))
    error = per_shower.std() * np.sqrt(shards.SHOWERS_PER_PIECE)
    assert len(fresh) == pytest.approx(expected, abs=3.5 * error)


@pytest.mark.slow
def test_hadrons_shot_today_are_those_of_the_shard():
    item, seconds = shards.shard("hadron_off_24to28"), 4.0
    thrown = hadrons(seconds, item.zd_deg, item.energy_gev, item.radius_m, item.cores, np.random.default_rng(99_102))
    fresh = shoot(thrown.kind, thrown.energy_gev, thrown.pointing_deg, thrown.toward_deg, thrown.cores_m, 5)
    shipped = library.open_shard(item.name)
    assert_same_kind(fresh, shipped)
    per_shower = np.bincount(shipped.shower)
    error = np.sqrt((per_shower**2).sum() / item.amount * seconds)
    assert len(fresh) == pytest.approx(len(shipped) / item.amount * seconds, abs=3.5 * error)


def test_slices_of_sky_hold_different_events():
    item = shards.shard("hadron_off_12to16")
    whole, arrival = library.sky_slice(item, 0, item.amount)
    assert len(whole) == len(library.open_shard(item.name))
    assert (np.diff(arrival) >= 0).all()
    assert stats.kstest(arrival / item.amount, "uniform").pvalue > 1e-3
    parts = [library.sky_slice(item, begin, end)[0] for begin, end in ((0, 40), (40, 90), (90, item.amount))]
    np.testing.assert_array_equal(np.concatenate([part.core_east_m for part in parts]), whole.core_east_m)
    with pytest.raises(InputError, match="no slice of the sky"):
        library.sky_slice(item, 100, 90)


def test_uses_of_one_shower_come_from_many_directions():
    item = shards.shard("hadron_off_12to16")
    whole, _ = library.sky_slice(item, 0, item.amount)
    stored = library.open_shard(item.name)
    used_most = np.bincount(stored.shower).argmax()
    as_it_is, as_it_comes = ({_place(images, event) for event in np.flatnonzero(images.shower == used_most)}
                             for images in (stored, whole))  # fmt: skip
    assert len(as_it_is & as_it_comes) <= 2  # one move of the 61 leaves an image in place
    again, _ = library.sky_slice(item, 0, item.amount)
    np.testing.assert_array_equal(again.pixel, whole.pixel)


def _place(images, event):
    """Return a core position and the pixels of the image that the first telescope sees from there."""
    pixels = pixels_of(images, event, 0)[0]
    return float(images.core_east_m[event]), tuple(np.sort(pixels))


def test_beyond_its_amount_a_shard_begins_anew_with_its_showers_moved():
    item = shards.shard("hadron_off_12to16")
    first, arrival = library.sky_slice(item, 0, item.amount)
    both, later = library.sky_slice(item, 0, 2 * item.amount)
    assert len(both) == 2 * len(first)
    assert (np.diff(later) >= 0).all()
    np.testing.assert_array_equal(later[: len(first)], arrival)
    again = both.take(np.arange(len(first), len(both)))
    assert set(zip(again.shower, again.core_east_m, strict=True)) == set(
        zip(first.shower, first.core_east_m, strict=True)
    )
    # A part of the second turn is the same part of it.
    part, when = library.sky_slice(item, item.amount + 10, item.amount + 20)
    inside = (later >= item.amount + 10) & (later < item.amount + 20)
    np.testing.assert_array_equal(when, later[inside])
    np.testing.assert_array_equal(part.pixel, both.take(np.flatnonzero(inside)).pixel)


def test_a_move_keeps_the_shape_of_an_image_in_both_cameras():
    images = library.open_shard("hadron_off_12to16").take(np.arange(400))
    vector = np.arange(400) % len(library.moves())
    moved = library.moved(images, vector)
    shift_x, shift_y = PIXEL_X_MM[library.moves()[:, 0]], PIXEL_Y_MM[library.moves()[:, 0]]
    assert len(library.moves()) == 61
    assert np.hypot(shift_x, shift_y).max() == pytest.approx(library.MOVE_PITCHES * 30.0, abs=1.0)
    whole = 0
    for event in range(len(images)):
        for camera in range(2):
            before, after = (pixels_of(kind, event, camera) for kind in (images, moved))
            if len(before[0]) != len(after[0]):
                assert after[1].sum() < before[1].sum()  # some of it has left the camera
                continue
            whole += 1
            np.testing.assert_allclose(PIXEL_X_MM[after[0]] - PIXEL_X_MM[before[0]], shift_x[vector[event]], atol=1e-6)
            np.testing.assert_allclose(PIXEL_Y_MM[after[0]] - PIXEL_Y_MM[before[0]], shift_y[vector[event]], atol=1e-6)
            np.testing.assert_array_equal(after[1], before[1])
    assert whole > 400


def pixels_of(images, event, camera):
    begin, end = images.start[event], images.start[event + 1]
    middle = begin + images.split[event]
    these = slice(begin, middle) if camera == 0 else slice(middle, end)
    return images.pixel[these], images.phe[these]


def test_faults_are_told(tmp_path):
    with pytest.raises(UnknownNameError, match="hadron_data_24to28"):
        shards.shard("hadron_data_24to29")
    with pytest.raises(InputError, match="za62to70"):
        shards.find(use="data", zenith="za70to80")
    with pytest.raises(MissingInputError, match="library build"):
        library.open_shard("gamma_test_05to35", tmp_path)


def test_headers_say_how_events_were_made():
    cards = library.cards(shards.shard("gamma_test_05to35"))
    assert cards["SIMULATED"] == "yes"
    assert cards["MODEL"] == MODEL
    assert (cards["EPAR"], cards["MIN_PHE"], cards["SEED"]) == ("E/200", f"{MIN_PHE}", "104")
    assert library.library_id() in cards["LIBRARY"]


def assert_same(first, second):
    for item in fields(ShowerImages):
        np.testing.assert_array_equal(getattr(first, item.name), getattr(second, item.name), err_msg=item.name)


@pytest.fixture
def small(monkeypatch):
    """A shard of two small pieces."""
    item = replace(shards.shard("gamma_train_05to35"), amount=80, energy_gev=(200.0, 800.0), radius_m=150.0)
    monkeypatch.setattr(shards, "SHOWERS_PER_PIECE", 40)
    monkeypatch.setattr(shards, "shards", lambda: {item.name: item})
    return item


def test_building_goes_on_where_it_was_stopped(small, tmp_path):
    for piece in range(small.pieces):
        library_build._build_piece(tmp_path, small.name, piece)
    pieces = sorted((tmp_path / ".pieces").iterdir())
    assert len(pieces) == 2
    before = [path.stat().st_mtime_ns for path in pieces]
    (built,) = library_build.build(tmp_path, [small.name], processes=1)
    images = library.open_shard.__wrapped__(small.name, tmp_path)
    assert [path.stat().st_mtime_ns for path in pieces] == before  # not made again
    assert sorted(tmp_path.iterdir()) == [tmp_path / ".pieces", built]  # nothing half-written
    made = built.stat().st_mtime_ns
    assert library_build.build(tmp_path, [small.name], processes=1) == [built]
    assert built.stat().st_mtime_ns == made
    pieces[1].unlink()
    library_build._build_piece(tmp_path, small.name, 1)
    built.unlink()
    library_build.build(tmp_path, [small.name], processes=1)
    again = library.open_shard.__wrapped__(small.name, tmp_path)
    assert_same(images, again)
    # Packing rounds times alone; the events are those of both pieces, their showers numbered through.
    parts = [library_build.make_piece(small, piece) for piece in range(2)]
    joined = ShowerImages.joined([parts[0], replace(parts[1], shower=parts[1].shower + 40)])
    key = ("shower", "core_east_m")
    order, unordered = (np.lexsort([getattr(one, name) for name in key]) for one in (joined, images))
    first, second = joined.take(order), images.take(unordered)
    np.testing.assert_allclose(first.time_ns, second.time_ns, atol=library.TIME_STEP_NS / 2 + 1e-4)
    assert_same(replace(first, time_ns=second.time_ns), second)


def test_the_package_stays_small():
    folder = library.shipped_folder()
    assert (folder / emission.FILE).stat().st_size < 5e6
    assert sum(path.stat().st_size for path in folder.iterdir()) < 40e6


def test_thrown_showers_are_the_same_at_every_call():
    item = shards.shard("hadron_data_12to16")
    first, second = item.thrown(3), item.thrown(3)
    for part in fields(Thrown):
        np.testing.assert_array_equal(getattr(first, part.name), getattr(second, part.name))
    assert len(item.thrown(4)) != len(first) or not np.array_equal(item.thrown(4).energy_gev, first.energy_gev)
