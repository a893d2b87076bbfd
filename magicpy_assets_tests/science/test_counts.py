"""θ² counts, off regions and significance."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from magicpy_assets.core import sources
from magicpy_assets.core.errors import InputError, OutOfRangeError, UnknownNameError
from magicpy_assets.core.telescopes import M1
from magicpy_assets.science.counts import (
    FieldEvents,
    Theta2Result,
    count,
    li_ma,
    theta2_of_melibea,
)
from magicpy_assets.science.exposure import Exposure
from magicpy_assets.science.pointing import tangent_plane
from magicpy_assets.science.selections import Selection, selection

EXPOSURE = Exposure("Toy", (1, 2), 3600.0, 59000.0, 59000.1, (10.0, 20.0))
WIDE = Selection("wide", "all energies", theta2_max_deg2=0.02)


def field(x, y, source=(0.4, 0.0)):
    return FieldEvents(np.array(x), np.array(y), np.array(source[0]), np.array(source[1]))


def test_significance_of_two_worked_examples():
    # Li & Ma 1983, eq. 17, evaluated by hand
    n_on, n_off, alpha = 150, 200, 0.5
    by_hand = np.sqrt(
        2
        * (
            n_on * np.log((1 + alpha) / alpha * n_on / (n_on + n_off))
            + n_off * np.log((1 + alpha) * n_off / (n_on + n_off))
        )
    )
    assert li_ma(n_on, n_off, alpha) == pytest.approx(by_hand)
    assert li_ma(50, 200, 0.5) == pytest.approx(-li_ma_mirror(50, 200, 0.5))
    assert li_ma(0, 0, 1 / 3) == 0.0


def li_ma_mirror(n_on, n_off, alpha):
    """The unsigned value of eq. 17."""
    total = n_on + n_off
    return np.sqrt(
        2 * (n_on * np.log((1 + alpha) / alpha * n_on / total) + n_off * np.log((1 + alpha) * n_off / total))
    )


@pytest.mark.parametrize("n_off", [1, 3, 5])
def test_events_at_the_source_and_at_each_off_position_are_counted_there(n_off):
    turns = 2 * np.pi * np.arange(n_off + 1) / (n_off + 1)
    x, y = 0.4 * np.cos(turns), 0.4 * np.sin(turns)
    one_each = count([field(x, y)], EXPOSURE, WIDE, n_off=n_off)
    assert (one_each.n_on, one_each.n_off, one_each.n_off_regions) == (1, n_off, n_off)
    assert one_each.excess == pytest.approx(0)


def test_a_flat_field_shows_no_excess_and_as_many_events_as_its_density():
    rng = np.random.default_rng(5)
    n, radius = 200_000, 1.2
    angle, r = rng.uniform(0, 2 * np.pi, n), radius * np.sqrt(rng.uniform(size=n))
    result = count([field(r * np.cos(angle), r * np.sin(angle))], EXPOSURE, WIDE)
    expected = n * 0.02 / radius**2
    assert abs(result.n_on - expected) < 5 * np.sqrt(expected)
    assert abs(result.significance) < 5
    assert result.off.sum() * result.alpha == pytest.approx(result.on.sum(), rel=0.05)


def test_regions_that_would_overlap_are_refused():
    with pytest.raises(OutOfRangeError, match=r"5 off regions overlap.*0\.0400 deg²"):
        count([field([0.4], [0.0])], EXPOSURE, WIDE.with_cuts(theta2_max_deg2=0.05), n_off=5)
    with pytest.raises(OutOfRangeError, match="overlap"):
        count([field([0.0], [0.0], source=(0.0, 0.0))], EXPOSURE, WIDE)
    with pytest.raises(InputError, match="no events to count"):
        count([], EXPOSURE, WIDE)


@given(ra=st.floats(0, 360), dec=st.floats(-80, 80), offset=st.floats(0, 2), angle=st.floats(0, 6.28))
def test_the_tangent_plane_keeps_distances_and_does_not_care_for_the_turn_of_ra(ra, dec, offset, angle):
    from astropy.coordinates import SkyCoord

    centre = SkyCoord(ra, dec, unit="deg")
    point = centre.directional_offset_by(angle * SkyCoord(0, 0, unit="rad").ra.unit, offset * centre.ra.unit)
    for shift in (0, 360):
        x, y = tangent_plane(point.ra.deg + shift, point.dec.deg, ra, dec)
        assert np.hypot(x, y) == pytest.approx(np.degrees(np.tan(np.radians(offset))), abs=1e-7)


def test_what_lies_behind_is_not_a_number():
    x, _ = tangent_plane(np.array([180.0]), np.array([0.0]), 0.0, 0.0)
    assert np.isnan(x[0])


def test_standard_selections_and_their_cuts():
    full = selection("fr")
    assert (full.theta2_max_deg2, full.hadronness_max, full.size_min_phe) == (0.009, 0.16, 300)
    events = pd.DataFrame(
        {"hadronness": [0.1, 0.2, 0.1, np.nan], "size_phe_1": [400, 400, 400, 400], "size_phe_2": [400, 400, 100, 400]}
    )
    assert full.passes(events).tolist() == [True, False, False, False]
    assert selection("HE").text == "HE: θ² < 0.007 deg², hadronness < 0.1, size > 400 phe, E > 1000 GeV"
    with pytest.raises(UnknownNameError, match="LE"):
        selection("LO")
    with pytest.raises(InputError, match="size_phe_1"):
        full.passes(events.drop(columns="size_phe_1"))
    # With M1 alone, nothing is asked of the image in M2.
    assert full.passes(events.drop(columns="size_phe_2"), M1).tolist() == [True, False, True, False]
    with pytest.raises(UnknownNameError, match=r"unknown cut 'theta2_max'\nhint: did you mean theta2_max_deg2"):
        full.with_cuts(theta2_max=0.01)


def melibea_events(seed, wobble, n_gamma=120, n_back=3000, seconds=600.0):
    """A run of melibea events: a source at (83.63, 22.01), seen 0.4° from the pointing in right ascension."""
    rng = np.random.default_rng(seed)
    cosine = np.cos(np.radians(22.01))
    pointing = (83.63 + wobble / cosine, 22.01)
    angle, radius = rng.uniform(0, 2 * np.pi, n_back), 1.2 * np.sqrt(rng.uniform(size=n_back))
    ra = np.r_[83.63 + rng.normal(0, 0.03, n_gamma) / cosine, pointing[0] + radius * np.cos(angle) / cosine]
    dec = np.r_[22.01 + rng.normal(0, 0.03, n_gamma), pointing[1] + radius * np.sin(angle)]
    n = len(ra)
    milliseconds = np.sort(rng.uniform(0, 1000 * seconds, n))
    return pd.DataFrame(
        {
            "reco_ra_deg": ra, "reco_dec_deg": dec,
            "hadronness": np.r_[np.full(n_gamma, 0.05), rng.uniform(size=n_back)],
            "size_phe_1": 500.0, "size_phe_2": 500.0, "energy_gev": 400.0, "pointing_ra_h_1": pointing[0] / 15,
            "pointing_dec_deg_1": pointing[1], "pointing_zd_deg_1": 20.0, "mjd_day_1": 59165,
            "milliseconds_1": milliseconds.astype(int), "nanoseconds_1": 0,
        }
    )  # fmt: skip


def test_melibea_events_are_counted_as_odie_does():
    runs = {1: melibea_events(1, 0.4), 2: melibea_events(2, -0.4)}
    result = theta2_of_melibea(runs, (83.63, 22.01), selection("FR"), source="CrabNebula", simulated=True)
    # nearly all gammas (sigma 0.03°, cut 0.095°: 99 %) and hadrons in proportion to area and to the hadronness cut
    background = 2 * 3000 * 0.16 * 0.009 / 1.2**2
    assert abs(result.n_on - 240 * (1 - np.exp(-0.009 / (2 * 0.03**2))) - background) < 5 * np.sqrt(240 + background)
    assert abs(result.n_off - 3 * background) < 5 * np.sqrt(3 * background)
    assert result.significance > 20
    assert result.live_time_s == pytest.approx(1200, abs=5)
    assert (result.runs, result.simulated) == ((1, 2), True)
    hard = theta2_of_melibea(runs, (83.63, 22.01), selection("HE"), source="CrabNebula", simulated=True)
    assert hard.n_on == 0  # all events are below 1 TeV


def test_a_pointing_on_both_sides_of_0h_is_between_them():
    """Tracking spreads the right ascension of the pointing by arcseconds, here around 0°, where a median is 180°."""
    turned = melibea_events(1, 0.4)
    shift = float(15 * turned["pointing_ra_h_1"].iloc[0])
    turned["reco_ra_deg"] = (turned["reco_ra_deg"] - shift) % 360
    turned["pointing_ra_h_1"] = (np.where(np.arange(len(turned)) % 2, 1e-3, -1e-3) / 15) % 24
    here, there = (
        theta2_of_melibea({1: events}, ((83.63 - moved) % 360, 22.01), selection("FR"), source="Toy", simulated=True)
        for events, moved in ((melibea_events(1, 0.4), 0.0), (turned, shift))
    )
    assert (there.n_on, there.n_off) == (here.n_on, here.n_off)


def test_off_regions_with_known_sources_are_warned_of(caplog):
    """NGC 1275 seen from 0.3° away, so that one of three off regions lies on IC 310."""
    ours, other = sources.by_name("NGC1275"), sources.by_name("IC310")
    events = melibea_events(1, 0.4)
    cosine = np.cos(np.radians(ours.dec_deg))
    middle = (0.5 * (ours.ra_deg + other.ra_deg), 0.5 * (ours.dec_deg + other.dec_deg))
    events["reco_ra_deg"] = middle[0] + (events["reco_ra_deg"] - 83.63) / cosine
    events["reco_dec_deg"] += middle[1] - 22.01
    events["pointing_ra_h_1"], events["pointing_dec_deg_1"] = middle[0] / 15, middle[1]
    place = (ours.ra_deg, ours.dec_deg)
    theta2_of_melibea({1: events}, place, selection("FR"), source="NGC1275", simulated=True, n_off=3)
    assert "known sources, so the background of θ² may be too high: IC310" in caplog.text
    caplog.clear()
    theta2_of_melibea({1: events}, place, selection("FR"), source="NGC1275", simulated=True, n_off=2)
    assert caplog.text == ""


def test_a_result_survives_being_saved(tmp_path):
    result = count([field([0.4, 0.41, 0.0], [0.0, 0.0, 0.4])], EXPOSURE, selection("LE"))
    written = result.save(tmp_path)
    assert sorted(path.name for path in written) == ["theta2.ecsv", "theta2.json", "theta2.parquet"]
    back = Theta2Result.load(tmp_path)
    assert back.to_dict() == result.to_dict()
    assert back.selection == result.selection
    assert back.live_time_s == 3600.0
    (tmp_path / "theta2.json").write_text("{}")
    with pytest.raises(InputError, match=r"theta2\.json does not hold a theta2"):
        Theta2Result.load(tmp_path)
