"""The programme against the sky: the fields really are there, at night, under the moon that the conditions say."""

from datetime import date, timedelta
from itertools import pairwise

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import AltAz, EarthLocation, SkyCoord, get_body
from astropy.time import Time

from magicpy_assets.core import periods, zeniths
from magicpy_assets.core.errors import ConfigError, OutOfRangeError
from magicpy_assets.core.runs import is_stereo, parse_name
from magicpy_assets.observatory import library, sky
from magicpy_assets.observatory.nights import hadron_shard, hadron_slice_s
from magicpy_assets.observatory.programme import Observation, first_run_of, programme, wobble_position

SITE = EarthLocation.from_geodetic(-17.890879 * u.deg, 28.761579 * u.deg, 2199 * u.m)
PLANS = programme(316)


def altitude_deg(plan, body):
    times = Time(plan.start_mjd + np.array([0.0, plan.duration_s]) / 86400.0, format="mjd")
    frame = AltAz(obstime=times, location=SITE)
    if body == "pointing":
        position = SkyCoord(plan.pointing_ra_deg * u.deg, plan.pointing_dec_deg * u.deg)
    else:
        position = get_body(body, times, SITE)
    return position.transform_to(frame)


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: str(plan.run))
def test_the_pointing_rises_through_its_range_of_zenith_distance(plan):
    seen = altitude_deg(plan, "pointing")
    zd = 90.0 - seen.alt.deg
    assert plan.zd_low_deg < zd[1] < zd[0] < plan.zd_high_deg
    assert np.all((seen.az.deg > 60) & (seen.az.deg < 130))
    assert plan.zd_deg == pytest.approx(zd.mean(), abs=0.01)
    assert plan.az_deg == pytest.approx(seen.az.deg.mean(), abs=0.05)
    zeniths.of(plan.zd_deg)


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: str(plan.run))
def test_runs_are_taken_at_night_and_the_moon_agrees_with_the_brightness(plan):
    assert np.all(altitude_deg(plan, "sun").alt.deg < -18.0)
    moon = altitude_deg(plan, "moon").alt.deg
    nsb = sky.nsb_of_run(316, plan.date, plan.run)
    assert np.all(moon < 0.0) if nsb < 1.2 else np.all(moon > 15.0)
    # The date is that of the morning after.
    assert plan.date - timedelta(days=1) <= Time(plan.start_mjd, format="mjd").to_datetime().date() <= plan.date
    assert periods.of_date(plan.date).name == "ST0316"


def test_runs_do_not_overlap_and_their_numbers_rise():
    starts = np.array([plan.start_mjd for plan in PLANS])
    ends = starts + np.array([plan.duration_s for plan in PLANS]) / 86400.0
    assert np.all(starts[1:] > ends[:-1])
    runs = [plan.run for plan in PLANS]
    assert runs == sorted(set(runs))
    assert all(is_stereo(run) for run in runs)


def test_the_run_numbers_are_those_of_late_2020():
    # Public file names: 05093174 on 2020-11-19, 05093711 on 2020-12-16.
    assert first_run_of(date(2020, 11, 19)) == 5093174
    assert first_run_of(date(2020, 12, 16)) == pytest.approx(5093711, abs=5)


def test_every_cell_has_source_and_off_runs_and_the_dark_ones_wobble_in_pairs():
    cells: dict[tuple[str, str], list[tuple[str, int]]] = {}
    for plan in PLANS:
        moon = "weak" if sky.nsb_of_run(316, plan.date, plan.run) < 2 else "moderate"
        kind = "crab" if sky.field(plan.source).shines else "off"
        cells.setdefault((zeniths.of(plan.zd_deg).name, moon), []).append((kind, plan.wobble.angle_deg))
    assert len(cells) == 4
    for (_, moon), members in cells.items():
        angles = [angle for kind, angle in members if kind == "crab"]
        assert angles
        assert moon == "moderate" or angles.count(35) == angles.count(215)
        assert any(kind == "off" for kind, _ in members)


def test_the_event_library_holds_enough_sky_time_for_every_run():
    taken: dict[str, list[tuple[float, float]]] = {}
    for plan in PLANS:
        taken.setdefault(hadron_shard(plan).name, []).append(hadron_slice_s(plan, PLANS))
    for name, slices in taken.items():
        assert slices == sorted(slices)
        assert all(end <= begin for (_, end), (begin, _) in pairwise(slices))
        assert slices[-1][1] <= library.shard(name).amount
        use = {sky.field(plan.source).library for plan in PLANS if hadron_shard(plan).name == name}
        assert len(use) == 1


def test_a_further_night_takes_showers_that_no_other_run_has():
    night = date(2020, 11, 20)
    extended = programme(316, extra_nights=[Observation(night, "CrabNebula", 24.0, 28.0, 35)])
    for plan in PLANS:
        assert hadron_slice_s(plan, extended) == hadron_slice_s(plan, PLANS)
    (further,) = [plan for plan in extended if plan.further]
    begin, _ = hadron_slice_s(further, extended)
    assert begin == sum(plan.duration_s for plan in PLANS if hadron_shard(plan) == hadron_shard(further))


def test_the_wobble_positions_are_those_of_published_files():
    # RA_PNT and DEC_PNT of MAGIC's public DL3 files CrabNebula-W0.40+035 and +215.
    for angle, ra, dec in ((35, 83.98333, 22.24389), (215, 83.27917, 21.78389)):
        assert wobble_position(83.63333, 22.01444, 0.4, angle) == pytest.approx((ra, dec), abs=0.005)


def test_the_pointing_is_a_wobble_offset_away_from_the_source():
    for plan in PLANS:
        source = SkyCoord(plan.source_ra_deg * u.deg, plan.source_dec_deg * u.deg)
        pointing = SkyCoord(plan.pointing_ra_deg * u.deg, plan.pointing_dec_deg * u.deg)
        assert source.separation(pointing).deg == pytest.approx(0.40, abs=1e-9)
        name = parse_name(plan.file(2, 1).name)
        assert (name.run, name.source, name.wobble, name.date) == (plan.run, plan.source, plan.wobble, plan.date)


def test_the_programme_follows_from_the_seed_alone():
    assert programme(316) == PLANS
    other = programme(317)
    assert [plan.run for plan in other] == [plan.run for plan in PLANS]
    assert any(a.start_mjd != b.start_mjd for a, b in zip(other, PLANS, strict=True))


def test_a_further_night_leaves_the_other_runs_as_they_were():
    night = date(2020, 12, 17)
    extended = programme(316, extra_nights=[Observation(night, "CrabNebula", 24.0, 28.0, 35)])
    assert [plan for plan in extended if not plan.further] == list(PLANS)
    (further,) = [plan for plan in extended if plan.date == night]
    assert further.source == "CrabNebula"
    assert 24.0 < further.zd_deg < 28.0


def test_runs_that_cannot_be_taken_are_refused():
    with pytest.raises(OutOfRangeError, match="does not rise through"):
        programme(316, extra_nights=[Observation(date(2020, 6, 15), "CrabNebula", 24.0, 28.0, 35)])
    night = date(2020, 12, 17)
    crossing = [Observation(night, "CrabNebula", *window, 35) for window in ((40.0, 44.0), (40.5, 43.5))]
    with pytest.raises(ConfigError, match="overlap"):
        programme(316, extra_nights=crossing)
    with pytest.raises(ConfigError, match="already in the programme"):
        programme(316, extra_nights=[Observation(date(2020, 11, 16), "CrabNebula", 24.0, 28.0, 35)])
    with pytest.raises(ConfigError, match="duration_s"):
        programme(316, duration_s=0.0)
