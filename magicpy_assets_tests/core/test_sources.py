"""Sources: names, aliases, positions."""

from __future__ import annotations

import re

import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from hypothesis import given
from hypothesis import strategies as st

from magicpy_assets.core import csvtables, sources
from magicpy_assets.core.errors import OutOfRangeError, UnknownNameError


@pytest.mark.parametrize("name", ["CrabNebula", "crab nebula", "Crab", "M1", "3C 144", "TAURUS A", "taurus_a"])
def test_the_crab_by_all_its_names(name: str) -> None:
    info = sources.by_name(name)
    assert info.name == "CrabNebula"
    pulsar = SkyCoord("05h34m31.97s", "+22d00m52.1s")
    assert pulsar.separation(SkyCoord(info.ra_deg, info.dec_deg, unit="deg")) < 1 * u.arcmin


def test_a_typo_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="CrabNebula"):
        sources.by_name("CrabNebla")


def test_nearest_names_for_a_search_without_result() -> None:
    assert "Mrk421" in sources.nearest("Mrk4211")
    assert sources.nearest("qqqqqqqqqqqq") == []


def test_the_lens_goes_by_the_name_of_its_files() -> None:
    assert sources.by_name("S3 0218+35").name == "B20218+35"


def test_every_name_and_alias_leads_to_one_source() -> None:
    for info in sources.all_sources():
        for name in (info.name, *info.aliases):
            assert sources.by_name(name) is info


def test_positions_are_on_the_sky_and_every_row_has_its_source() -> None:
    for info in sources.all_sources():
        assert 0 <= info.ra_deg < 360
        assert -90 <= info.dec_deg <= 90
        assert " " not in info.name
    assert all(row["source"] for row in csvtables.rows("sources"))


def test_names_with_coordinates_agree_with_the_table() -> None:
    """Names such as PKS1424+240 hold hours, minutes and declination of B1950 or J2000: good to about a degree."""
    checked = 0
    for info in sources.all_sources():
        match = re.fullmatch(r"(?:1ES|PG|PKS|S2|HESSJ)(\d{4})([+-]\d{2})\d?", info.name)
        if match:
            hours, minutes = int(match[1][:2]), int(match[1][2:])
            named = SkyCoord((hours + minutes / 60) * 15 * u.deg, float(match[2]) * u.deg)
            assert named.separation(SkyCoord(info.ra_deg, info.dec_deg, unit="deg")) < 2.0 * u.deg, info.name
            checked += 1
    assert checked >= 10


@pytest.mark.parametrize("name", ["OJ287", "S20109+22", "PKS0735+178"])
def test_off_fields_may_serve_as_off_data(name: str) -> None:
    assert sources.is_off_candidate(name)
    assert not sources.is_off_candidate("Crab")
    assert sources.is_off_candidate("a field nobody knows")


@pytest.mark.parametrize(
    ("text", "found"),
    [("crab", {"CrabNebula"}), ("markarian", {"Mrk180", "Mrk421", "Mrk501"}), ("nothing at all", set())],
)
def test_search_by_part_of_a_name(text: str, found: set[str]) -> None:
    table = sources.search(text)
    assert set(table["name"]) == found


def test_search_by_kind_and_in_a_cone() -> None:
    assert {"LSI+61303", "HESSJ0632+057"} <= set(sources.search("binary")["name"])
    perseus = sources.search(ra_deg=49.95, dec_deg=41.51, radius_deg=1)
    assert list(perseus["name"]) == ["NGC1275", "IC310"]
    assert list(perseus["distance_deg"]) == sorted(perseus["distance_deg"])
    nowhere = sources.search(ra_deg=0, dec_deg=-90, radius_deg=1)
    assert len(nowhere) == 0
    assert "distance_deg" in nowhere.columns
    assert len(sources.search()) == len(sources.all_sources())


ANGLES = st.tuples(st.floats(0, 360), st.floats(-90, 90))


@given(ANGLES, ANGLES)
def test_separations_are_those_of_astropy(one: tuple[float, float], other: tuple[float, float]) -> None:
    expected = SkyCoord(*one, unit="deg").separation(SkyCoord(*other, unit="deg")).deg
    assert sources.separation_deg(*one, *other) == pytest.approx(expected, abs=1e-5)


def test_the_redshift_that_is_meant() -> None:
    assert sources.redshift_of("Mrk 421", "auto") == 0.031
    assert sources.redshift_of("Mrk 421", None) is None
    assert sources.redshift_of("Mrk 421", 0.0) is None
    assert sources.redshift_of("Mrk 421", 0.5) == 0.5
    assert sources.redshift_of("Crab", "auto") is None
    assert sources.redshift_of("nobody knows", "auto") is None
    with pytest.raises(OutOfRangeError, match="a number or 'auto'"):
        sources.redshift_of("Mrk 421", "far")
