"""Runs as files: what is in them agrees with the plan, the sky and the readout, and is the same every time."""

import json
from datetime import date

import numpy as np
import pytest

from magicpy_assets.core import moons
from magicpy_assets.formats.calibrated import CalibratedFile, pedestal_level
from magicpy_assets.observatory import library, nights, shards, sky
from magicpy_assets.observatory.gammas import as_stored, gamma_rays, thrown_gammas
from magicpy_assets.observatory.programme import programme
from magicpy_assets.science.camera import PIXEL_X_MM, PIXEL_Y_MM
from magicpy_assets.science.pointing import altaz_of, camera_of

SEED = 316
DURATION_S = 12.0
PLANS = programme(SEED, duration_s=DURATION_S)


def plan_of(source, low_deg, moon):
    for plan in PLANS:
        level = moons.of_nsb(sky.nsb_of_run(SEED, plan.date, plan.run)).key
        is_source = plan.source == source or (source == "off" and not sky.field(plan.source).shines)
        if is_source and plan.zd_low_deg == low_deg and level == moon:
            return plan
    raise AssertionError(f"no such run: {source} {low_deg} {moon}")


DARK = plan_of("CrabNebula", 24.0, "weak")
MOONLIT = plan_of("CrabNebula", 24.0, "moderate")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    nights.make_run(DARK, PLANS, SEED, folder)
    return folder


def columns(folder, plan, telescope, subrun):
    """All events of a file at once."""
    with CalibratedFile(folder / plan.file(telescope, subrun).name) as file:
        chunks = list(file.chunks())
    event = {name: np.concatenate([chunk.event[name] for chunk in chunks]) for name in chunks[0].event}
    charge = np.concatenate([chunk.charge_phe for chunk in chunks])
    time = np.concatenate([chunk.time_slices for chunk in chunks])
    return event, charge, time


def whole_run(folder, plan, telescope):
    parts = [columns(folder, plan, telescope, subrun) for subrun in (1, 2)]
    event = {name: np.concatenate([part[0][name] for part in parts]) for name in parts[0][0]}
    return event, *(np.concatenate([part[i] for part in parts]) for i in (1, 2))


def test_all_files_of_the_run_are_there_and_say_what_they_are(folder):
    for telescope in (1, 2):
        for subrun in (1, 2):
            with CalibratedFile(folder / DARK.file(telescope, subrun).name) as file:
                info = file.info
                assert (info.run, info.subrun, info.telescope) == (DARK.run, subrun, telescope)
                assert (info.source_name, info.observation_mode) == ("CrabNebula", "Wobble")
                assert info.source_ra_deg == pytest.approx(83.633, abs=0.005)
                assert info.source_dec_deg == pytest.approx(22.014, abs=0.001)
                assert info.simulated
                assert not info.is_mc
                for card in ("SIMULATOR", "MODEL", "EPAR", "MODEL_VERSION", "LIBRARY", "MIN_PHE", "SEED"):
                    assert info.cards[card]
                assert "nsb" not in json.dumps(dict(info.cards)).lower()
                assert file.trigger_table == "L3T_L1L1_100_SYNC"


def test_both_telescopes_hold_the_same_stereo_events_numbered_through_the_run(folder):
    numbers = []
    for telescope in (1, 2):
        event, _, _ = whole_run(folder, DARK, telescope)
        stereo = event["trigger"] == 128
        assert set(event["trigger"]) == {8, 128}
        assert not event["stereo_number"][~stereo].any()
        numbers.append(event["stereo_number"][stereo])
        np.testing.assert_array_equal(numbers[-1], np.arange(1, stereo.sum() + 1))
    np.testing.assert_array_equal(*numbers)


def test_daq_numbers_restart_in_each_subrun(folder):
    for subrun in (1, 2):
        event, _, _ = columns(folder, DARK, 1, subrun)
        np.testing.assert_array_equal(event["daq_number"], np.arange(1, len(event["daq_number"]) + 1))


def test_times_are_exact_and_within_the_run(folder):
    event, _, _ = whole_run(folder, DARK, 1)
    since_start = (
        (event["mjd_day"].astype(np.int64) - DARK.start_day) * 86_400_000_000_000
        + event["milliseconds"].astype(np.int64) * 1_000_000
        + event["nanoseconds"].astype(np.int64)
        - DARK.start_s * 1_000_000_000
    )
    assert np.all(np.diff(since_start) >= 26_000)
    assert since_start[0] >= 0
    assert since_start[-1] < DURATION_S * 1e9
    np.testing.assert_allclose(event["time_diff_s"][1:], np.diff(since_start) * 1e-9, atol=1e-12)
    assert event["time_diff_s"][0] == pytest.approx(since_start[0] * 1e-9, abs=1e-12)
    assert event["nanoseconds"].max() < 1_000_000
    # A night has one day in MARS: the hours before midnight are negative.
    assert set(event["mjd_day"]) == {DARK.date.toordinal() - 678_576}


def test_arrival_times_are_uniform_and_the_rate_is_that_of_the_shard(folder):
    event, _, _ = whole_run(folder, DARK, 1)
    stereo = event["trigger"] == 128
    seconds = np.cumsum(event["time_diff_s"])[stereo]
    shard = nights.hadron_shard(DARK)
    expected = len(library.open_shard(shard.name)) / shard.amount * DURATION_S
    assert (
        abs(stereo.sum() - expected) < 4.5 * np.sqrt(expected) + 0.02 * expected
    )  # a few gamma rays, a few not triggered
    ranks = (np.arange(len(seconds)) + 0.5) / len(seconds)
    kolmogorov = np.abs(ranks - seconds / DURATION_S).max() * np.sqrt(len(seconds))
    assert kolmogorov < 2.0  # one chance in 1500
    assert (~stereo).sum() == pytest.approx(25.0 * DURATION_S, abs=2)


@pytest.mark.parametrize("telescope", [1, 2])
def test_pedestals_show_the_noise_of_the_night(folder, telescope):
    noise = moons.cleaning(sky.nsb_of_run(SEED, DARK.date, DARK.run))
    event, charge, _ = whole_run(folder, DARK, telescope)
    good = ~nights.bad_pixels(SEED, telescope)
    pedestals = charge[event["trigger"] == 8][:, good]
    with CalibratedFile(folder / DARK.file(telescope, 1).name) as file:
        np.testing.assert_array_equal(file.bad_pixels, ~good)
        updates = file.pedestals
    here, first, _ = columns(folder, DARK, telescope, 1)
    np.testing.assert_allclose(updates.mean_phe[0], first[here["trigger"] == 8].mean(axis=0), atol=0.02)
    np.testing.assert_allclose(updates.rms_phe[0], first[here["trigger"] == 8].std(axis=0), atol=0.02)
    assert np.all((updates.mjd > DARK.start_mjd) & (updates.mjd < DARK.start_mjd + DURATION_S / 86400))
    assert not charge[:, ~good].any()
    assert pedestals.mean() == pytest.approx(noise.pedestal_mean_phe, abs=0.55)
    mean, rms, n = pedestal_level(folder / DARK.file(telescope, 1).name)
    assert mean == pytest.approx(pedestals.mean(), abs=0.05)
    assert rms == pytest.approx(pedestals.std(), abs=0.05)
    assert n > 1000


def test_every_shower_image_holds_the_stated_number_of_photo_electrons(folder):
    noise = nights.noise_at(sky.nsb_of_run(SEED, DARK.date, DARK.run))
    for telescope in (1, 2):
        event, charge, time = whole_run(folder, DARK, telescope)
        showers = charge[event["trigger"] == 128]
        light = np.where(showers > noise.mean_phe + 4 * noise.rms_phe, showers, 0.0).sum(axis=1)
        # A broken pixel in the middle of an image may eat much of it, but not often.
        assert np.mean(light > 0.6 * library.MIN_PHE) > 0.97
        brightest = showers.argmax(axis=1)
        when = time[event["trigger"] == 128][np.arange(len(showers)), brightest]
        assert abs(np.median(when) - 25.0) < 2.0


def test_the_drive_follows_the_wobble_position(folder):
    with CalibratedFile(folder / DARK.file(1, 1).name) as file:
        drive = file.drive
    assert len(drive.mjd) >= 3
    zd, az = altaz_of(DARK.pointing_ra_deg, DARK.pointing_dec_deg, drive.mjd)
    np.testing.assert_allclose(drive.zd_deg, zd, atol=1e-9)
    np.testing.assert_allclose(drive.az_deg, az, atol=1e-9)
    np.testing.assert_allclose(drive.ra_h * 15.0, DARK.pointing_ra_deg)
    np.testing.assert_allclose(drive.dec_deg, DARK.pointing_dec_deg)
    event, _, _ = columns(folder, DARK, 1, 1)
    assert drive.mjd[0] < DARK.start_mjd
    assert drive.mjd[-1] > DARK.start_mjd + np.cumsum(event["time_diff_s"])[-1] / 86400.0


def test_moonlight_makes_more_noise(tmp_path, folder):
    nights.make_run(MOONLIT, PLANS, SEED, tmp_path)
    dark = pedestal_level(folder / DARK.file(1, 1).name)
    moonlit = pedestal_level(tmp_path / MOONLIT.file(1, 1).name)
    assert moonlit[0] > dark[0] + 0.3
    assert moonlit[1] > dark[1] + 0.08
    for level, moon in ((dark, "weak"), (moonlit, "moderate")):
        assert moons.from_pedestal(level[0], level[1])[1].key == moon


def test_the_same_run_again_is_the_same_and_another_seed_is_not(tmp_path, folder):
    (tmp_path / "again").mkdir()
    (tmp_path / "other").mkdir()
    nights.make_run(DARK, PLANS, SEED, tmp_path / "again")
    others = programme(SEED + 1, duration_s=DURATION_S)
    (other,) = [plan for plan in others if plan.run == DARK.run]
    nights.make_run(other, others, SEED + 1, tmp_path / "other")
    for telescope in (1, 2):
        name = DARK.file(telescope, 1).name
        # The server's tags rest on this: only ROOT's own stamps differ.
        assert (folder / name).stat().st_size == (tmp_path / "again" / name).stat().st_size
    event, charge, time = columns(folder, DARK, 2, 1)
    again, charge_again, time_again = columns(tmp_path / "again", DARK, 2, 1)
    for name, values in event.items():
        np.testing.assert_array_equal(values, again[name])
    np.testing.assert_array_equal(charge, charge_again)
    np.testing.assert_array_equal(time, time_again)
    _, charge_other, _ = columns(tmp_path / "other", other, 2, 1)
    assert charge_other.shape != charge.shape or not np.array_equal(charge_other, charge)


def test_gamma_rays_come_from_the_source_with_its_spectrum():
    (plan,) = [plan for plan in programme(SEED) if plan.run == DARK.run]
    field = sky.field("CrabNebula")
    like = shards.find(use="mc_train", zenith="za05to35")
    thrown, arrival_s = thrown_gammas(plan, field, SEED, like)
    energy = np.geomspace(*like.energy_gev, 20_001) / 1000.0
    flux = np.trapezoid(field.flux_per_cm2_s_tev(energy), energy)
    expected = flux * np.pi * (100 * like.radius_m) ** 2 * plan.duration_s
    assert abs(len(thrown) - expected) < 4.5 * np.sqrt(expected)
    above = thrown.energy_gev > 300.0
    hard = np.trapezoid(np.where(energy > 0.3, field.flux_per_cm2_s_tev(energy), 0.0), energy) / flux
    assert abs(above.sum() - hard * expected) < 4.5 * np.sqrt(hard * expected)
    # In the camera it stands 0.4 deg away from the middle and turns with the field.
    mjd = plan.start_mjd + arrival_s / 86400.0
    x, y = camera_of(*thrown.toward_deg.T, *thrown.pointing_deg.T)
    np.testing.assert_allclose(np.hypot(x, y), 17_000 * np.tan(np.radians(0.4)), rtol=1e-4)
    np.testing.assert_allclose(thrown.toward_deg.T, altaz_of(field.ra_deg, field.dec_deg, mjd), atol=1e-9)
    assert np.ptp(np.degrees(np.arctan2(y, x))) > 0.1


def miss_deg(images, i, telescope, x_mm, y_mm):
    """Angle between the long axis of an image and the line from its middle to a point."""
    middle = images.start[i] + images.split[i]
    part = slice(images.start[i], middle) if telescope == 1 else slice(middle, images.start[i + 1])
    x, y, phe = PIXEL_X_MM[images.pixel[part]], PIXEL_Y_MM[images.pixel[part]], images.phe[part]
    _, vectors = np.linalg.eigh(np.cov(x, y, aweights=phe))
    axis = vectors[:, 1]
    line = np.array([x_mm - np.average(x, weights=phe), y_mm - np.average(y, weights=phe)])
    return np.degrees(np.arccos(abs(axis @ line) / np.linalg.norm(line)))


def test_the_images_of_gamma_rays_point_to_the_source():
    (plan,) = [plan for plan in programme(SEED) if plan.run == DARK.run]
    images, arrival_s = gamma_rays(plan, sky.field("CrabNebula"), SEED, shards.find(use="mc_train", zenith="za05to35"))
    assert len(images) == len(arrival_s) > 10
    assert np.all(np.diff(arrival_s) >= 0)
    np.testing.assert_array_equal(as_stored(images).time_ns, images.time_ns)
    x, y = camera_of(images.zd_deg, images.az_deg, images.pointing_zd_deg, images.pointing_az_deg)
    places = {"source": (x, y), "opposite": (-x, -y), "mirrored": (x, -y)}
    misses = {
        name: np.median([miss_deg(images, i, tel, px[i], py[i]) for i in range(len(images)) for tel in (1, 2)])
        for name, (px, py) in places.items()
    }
    assert misses.pop("source") < 12.0
    assert min(misses.values()) > 20.0


def test_a_field_without_a_source_sends_no_gamma_rays():
    plan = plan_of("off", 24.0, "weak")
    images, arrival_s = gamma_rays(plan, sky.field(plan.source), SEED, shards.find(use="mc_train", zenith="za05to35"))
    assert len(images) == len(arrival_s) == 0
    assert nights.hadron_shard(plan).use == "off"
    assert nights.hadron_shard(DARK).use == "data"


def test_runs_share_no_hadron_until_a_shard_begins_anew():
    seen: dict[tuple[object, ...], int] = {}
    held_back = 0
    for plan in programme(SEED):
        shard = nights.hadron_shard(plan)
        begin_s, end_s = nights.hadron_slice_s(plan, programme(SEED))
        if end_s > shard.amount:
            held_back += 1
            continue
        images, _ = library.sky_slice(shard, begin_s, end_s)
        for key in zip(images.shower, images.core_east_m, images.core_north_m, strict=True):
            assert seen.setdefault((shard.name, *key), plan.run) == plan.run
    assert held_back > 400
    short = programme(SEED, duration_s=20.0)[:13]
    slices = {(*nights.hadron_slice_s(plan, short), nights.hadron_shard(plan).name) for plan in short}
    assert len(slices) == len(short)


def test_clouds_and_filters_take_their_share_of_the_light():
    clear, cloudy = (next(plan for plan in PLANS if plan.date == day) for day in (date(2020, 12, 15), date(2021, 1, 8)))
    (filtered,) = [plan for plan in PLANS if plan.filter == "UV"]
    assert nights.transmission(clear) == 1.0
    assert nights.transmission(cloudy) == pytest.approx(0.52 / 0.92)
    assert nights.transmission(filtered) == pytest.approx(nights.FILTER_TRANSMISSION)


def test_a_study_has_other_conditions(tmp_path, folder):
    """The run's own change nothing; a brighter sky, less light and whole cameras are seen in the files."""
    own, other = tmp_path / "own", tmp_path / "other"
    for place, seen_in in (
        (own, nights.conditions_of(DARK, SEED)),
        (other, nights.Conditions(nsb=4.0, transmission=0.7, has_broken_pixels=False)),
    ):
        place.mkdir()
        nights.make_run(DARK, PLANS, SEED, place, conditions=seen_in)
    name = DARK.file(1, 1).name
    for mine, usual in zip(whole_run(own, DARK, 1)[1:], whole_run(folder, DARK, 1)[1:], strict=True):
        np.testing.assert_array_equal(mine, usual)
    assert pedestal_level(other / name)[1] == pytest.approx(moons.cleaning(4.0).pedestal_rms_phe, abs=0.1)
    with CalibratedFile(other / name) as file:
        assert not file.bad_pixels.any()
    # The largest showers, which trigger in any case, and their brightest pixels, to which noise adds little.
    charges = (whole_run(place, DARK, 1)[1] for place in (folder, other))
    light = [np.sort(np.sort(charge, axis=1)[:, -5:].sum(axis=1))[-20:].mean() for charge in charges]
    assert light[1] == pytest.approx(0.7 * light[0], rel=0.1)


def test_a_run_of_one_telescope_has_the_files_of_one(tmp_path):
    (mono,) = [plan for plan in PLANS if not plan.stereo]
    nights.make_run(mono, PLANS, SEED, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {mono.file(1, subrun).name for subrun in (1, 2)}


@pytest.mark.parametrize(("hv", "filter_"), [("reduced", "No_Filter"), ("nominal", "UV")])
def test_the_noise_of_a_run_is_that_of_its_voltage_and_filter(tmp_path, hv, filter_):
    plan = next(plan for plan in PLANS if (plan.hv, plan.filter) == (hv, filter_))
    nights.make_run(plan, PLANS, SEED, tmp_path)
    mean, rms, _ = pedestal_level(tmp_path / plan.file(1, 1).name)
    nsb = sky.nsb_of_run(SEED, plan.date, plan.run)
    assert moons.from_pedestal(mean, rms, hv, filter_)[0] == pytest.approx(nsb, rel=0.2)
