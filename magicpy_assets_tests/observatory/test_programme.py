"""The programme against the sky: the fields really are there, at night, under the moon that the conditions say."""

from datetime import date, timedelta
from itertools import pairwise

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import AltAz, EarthLocation, SkyCoord, get_body
from astropy.time import Time

from magicpy_assets.core import moons, periods, zeniths
from magicpy_assets.core.errors import ConfigError, OutOfRangeError
from magicpy_assets.core.runs import is_stereo, parse_name
from magicpy_assets.observatory import sky
from magicpy_assets.observatory.nights import hadron_shard, hadron_slice_s
from magicpy_assets.observatory.programme import first_run_of, programme, wobble_position
from magicpy_assets.observatory.run_plans import Observation

SITE = EarthLocation.from_geodetic(-17.890879 * u.deg, 28.761579 * u.deg, 2199 * u.m)
PLANS = programme(316)


STARTS = np.array([plan.start_mjd for plan in PLANS])
ENDS = STARTS + np.array([plan.duration_s for plan in PLANS]) / 86400.0


@pytest.fixture(scope="module")
def seen():
    """Altitude and azimuth (deg) of pointing, Sun and Moon at start and end of every run, (2, runs) each."""
    times = Time(np.array([STARTS, ENDS]), format="mjd")
    frame = AltAz(obstime=times, location=SITE)
    pointing = SkyCoord([plan.pointing_ra_deg for plan in PLANS], [plan.pointing_dec_deg for plan in PLANS], unit="deg")
    places = {"pointing": pointing[None, :]} | {body: get_body(body, times, SITE) for body in ("sun", "moon")}
    horizontal = {name: place.transform_to(frame) for name, place in places.items()}
    return {name: (place.alt.deg, place.az.deg) for name, place in horizontal.items()}


def test_the_fields_rise_through_their_ranges_of_zenith_distance(seen):
    altitude, azimuth = seen["pointing"]
    zd = 90.0 - altitude
    assert np.all(zd[1] < zd[0])
    assert np.all((azimuth > 60) & (azimuth < 160))
    # Halfway through a run the zenith distance is that of the run, but for the bend of the track.
    np.testing.assert_allclose([plan.zd_deg for plan in PLANS], zd.mean(axis=0), atol=0.12)
    np.testing.assert_allclose([plan.az_deg for plan in PLANS], azimuth.mean(axis=0), atol=1.0)
    for plan in PLANS:
        assert plan.zd_low_deg - 1.0 < plan.zd_deg < plan.zd_high_deg + 1.0
        assert zeniths.of(plan.zd_deg).name == zeniths.of(0.5 * (plan.zd_low_deg + plan.zd_high_deg)).name


def test_runs_are_taken_at_night_and_the_moon_agrees_with_the_brightness(seen):
    assert np.all(seen["sun"][0] < -18.0)
    moon = seen["moon"][0]
    nsb = np.array([sky.nsb_of_run(316, plan.date, plan.run) for plan in PLANS])
    assert np.all(moon[:, nsb < 2.0] < 0.0)
    assert np.all(moon[:, nsb >= 2.0] > 14.0)
    # The date is that of the morning after.
    for plan in PLANS:
        evening = plan.date - timedelta(days=1)
        assert evening <= Time(plan.start_mjd, format="mjd").to_datetime().date() <= plan.date


def test_the_season_has_the_cells_of_a_real_one():
    hours: dict[tuple[str, str], float] = {}
    for plan in PLANS:
        if plan.source == "CrabNebula" and plan.date in periods.ST0316:
            moon = moons.of_nsb(sky.nsb_of_run(316, plan.date, plan.run)).key
            cell = (zeniths.of(plan.zd_deg).name, moon)
            hours[cell] = hours.get(cell, 0.0) + plan.duration_s / 3600.0
    assert 27.0 < sum(hours.values()) < 33.0
    assert {zenith for zenith, _ in hours} == {zenith.name for zenith in zeniths.ALL}
    assert {moon for _, moon in hours} == {moon.key for moon in moons.ALL}
    assert len(hours) < 20
    assert sum(h for (_, moon), h in hours.items() if moon == "weak") > 0.7 * sum(hours.values())


def test_there_are_fields_without_a_source_a_faint_one_and_one_that_flares():
    fields = {plan.source for plan in PLANS}
    off = {name for name in fields if not sky.field(name).shines}
    assert len(off) >= 15
    for name in off:
        assert 2.0 < sum(plan.duration_s for plan in PLANS if plan.source == name) / 3600.0 < 9.0
    crab = sky.field("CrabNebula").flux_1tev_per_cm2_s_tev
    assert sky.field("VERJ0521+211").flux_1tev_per_cm2_s_tev == pytest.approx(0.04 * crab, rel=0.02)
    nights = {plan.date for plan in PLANS if plan.source == "PKS1222+216"}
    assert set(sky.flares("PKS1222+216")) < nights
    quiet, flaring = (sky.field("PKS1222+216", date(2021, 3, day)) for day in (9, 14))
    assert flaring.flux_1tev_per_cm2_s_tev == pytest.approx(20.0 * quiet.flux_1tev_per_cm2_s_tev)


def test_states_of_a_run_come_from_the_programme():
    states = {(plan.hv, plan.filter) for plan in PLANS}
    assert states == {("nominal", "No_Filter"), ("reduced", "No_Filter"), ("nominal", "UV")}
    (mono,) = [plan for plan in PLANS if not plan.stereo]
    assert mono.telescopes == (1,)
    assert not is_stereo(mono.run)
    (summed,) = [plan for plan in PLANS if plan.sum_trigger == "Sumt"]
    assert summed.telescopes == (1, 2)


def test_some_nights_belong_to_no_period_and_some_to_the_next():
    names = []
    for night in sorted({plan.date for plan in PLANS}):
        try:
            names.append(periods.of_date(night).name)
        except OutOfRangeError:
            names.append("")
    assert names == ["ST0316"] * (len(names) - 2) + ["", "ST0317"]


def test_some_of_the_nights_can_be_observed_alone():
    nights = (date(2020, 11, 16), date(2020, 12, 15))
    few = programme(316, nights=nights)
    assert few == tuple(plan for plan in PLANS if plan.date in nights)
    with pytest.raises(ConfigError, match="2020-06-01"):
        programme(316, nights=[date(2020, 6, 1)])


def test_runs_do_not_overlap_and_their_numbers_rise():
    assert np.all(STARTS[1:] > ENDS[:-1])
    runs = [plan.run for plan in PLANS if plan.stereo]
    assert runs == sorted(set(runs))
    assert all(is_stereo(run) for run in runs)


def test_the_run_numbers_are_those_of_late_2020():
    # Public file names: 05093174 on 2020-11-19, 05093711 on 2020-12-16.
    assert first_run_of(date(2020, 11, 19)) == 5093174
    assert first_run_of(date(2020, 12, 16)) == pytest.approx(5093711, abs=5)


def test_runs_take_the_sky_time_of_a_shard_one_after_the_other():
    taken: dict[str, list[tuple[float, float]]] = {}
    for plan in sorted(PLANS, key=lambda plan: plan.run):
        taken.setdefault(hadron_shard(plan).name, []).append(hadron_slice_s(plan, PLANS))
    for name, slices in taken.items():
        assert slices == sorted(slices)
        assert all(end <= begin for (_, end), (begin, _) in pairwise(slices))
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
    source = SkyCoord([plan.source_ra_deg for plan in PLANS], [plan.source_dec_deg for plan in PLANS], unit="deg")
    pointing = SkyCoord([plan.pointing_ra_deg for plan in PLANS], [plan.pointing_dec_deg for plan in PLANS], unit="deg")
    np.testing.assert_allclose(source.separation(pointing).deg, 0.40, atol=1e-9)
    for plan in PLANS:
        name = parse_name(plan.file(2, 1).name)
        assert (name.run, name.source, name.wobble, name.date) == (plan.run, plan.source, plan.wobble, plan.date)


def test_the_programme_follows_from_the_seed_alone():
    assert programme(316) == PLANS
    other = programme(317)
    assert [plan.run for plan in other] == [plan.run for plan in PLANS]
    assert any(a.start_mjd != b.start_mjd for a, b in zip(other, PLANS, strict=True))


def test_a_further_night_leaves_the_other_runs_as_they_were():
    night = date(2020, 12, 18)
    extended = programme(316, extra_nights=[Observation(night, "CrabNebula", 24.0, 28.0, 35)])
    assert [plan for plan in extended if not plan.further] == list(PLANS)
    (further,) = [plan for plan in extended if plan.date == night]
    assert further.source == "CrabNebula"
    assert 24.0 < further.zd_deg < 28.0


def test_runs_that_cannot_be_taken_are_refused():
    with pytest.raises(OutOfRangeError, match="does not rise through"):
        programme(316, extra_nights=[Observation(date(2020, 6, 15), "CrabNebula", 24.0, 28.0, 35)])
    night = date(2020, 12, 18)
    crossing = [Observation(night, "CrabNebula", *window, 35) for window in ((40.0, 44.0), (40.5, 43.5))]
    with pytest.raises(ConfigError, match="overlap"):
        programme(316, extra_nights=crossing)
    with pytest.raises(ConfigError, match="already in the programme"):
        programme(316, extra_nights=[Observation(date(2020, 11, 16), "CrabNebula", 24.0, 28.0, 35)])
    with pytest.raises(ConfigError, match="duration_s"):
        programme(316, duration_s=0.0)
