"""The MARS file-name grammar, both ways, on made-up names and on odd ones that exist."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magicpy_assets.core import datalevels, runs, zeniths
from magicpy_assets.core.errors import InputError
from magicpy_assets.core.runs import DataFile, McFile, Wobble, parse_name

SOURCES = st.from_regex(r"[A-Z][A-Za-z0-9]{0,12}([+-]\d{2,6}(\.\d{1,2})?)?", fullmatch=True)
WOBBLES = st.one_of(
    st.none(),
    st.builds(Wobble, st.integers(0, 200).map(lambda n: n / 100), st.integers(0, 359)),
    st.builds(Wobble, st.sampled_from([1.0, 2.0]), st.none()),
)
DATES = st.dates(date(2003, 1, 1), date(2040, 12, 31))


@st.composite
def data_files(draw: st.DrawFn) -> DataFile:
    level = draw(st.sampled_from([*datalevels.RAW, datalevels.Calibrated, datalevels.Star, datalevels.SuperStar]))
    by_subrun = level.scope == "subrun"
    return DataFile(
        date=draw(DATES),
        telescope=draw(st.sampled_from([1, 2])) if by_subrun else None,
        run=draw(st.integers(1, 29_999_999)),
        subrun=draw(st.integers(1, 999)) if by_subrun else None,
        level=level,
        source=draw(SOURCES),
        wobble=draw(WOBBLES),
        suffix=draw(st.sampled_from(["raw", "raw.gz"])) if level in datalevels.RAW else "root",
    )


@st.composite
def files_of_one_telescope(draw: st.DrawFn) -> DataFile | McFile:
    """Files of a run in a mono analysis: they name their telescope and have no subrun."""
    level = draw(st.sampled_from([datalevels.Melibea, datalevels.DL3]))
    telescope = draw(st.sampled_from([1, 2]))
    if level == datalevels.Melibea and draw(st.booleans()):
        return McFile(telescope, "za35to50", 8, str(draw(st.integers(10_000, 9_999_999))), level, "wr")
    suffix = "fits" if level == datalevels.DL3 else "root"
    return DataFile(
        draw(DATES), telescope, draw(st.integers(1, 29_999_999)), None, level, draw(SOURCES), draw(WOBBLES), suffix
    )


@st.composite
def mc_files(draw: st.DrawFn) -> McFile:
    level = draw(st.sampled_from([datalevels.Calibrated, datalevels.Star, datalevels.SuperStar, datalevels.Melibea]))
    number = st.integers(10_000, 9_999_999)
    return McFile(
        telescope=draw(st.sampled_from([1, 2])) if level.scope == "subrun" else None,
        zenith=draw(st.sampled_from([zenith.name for zenith in zeniths.ALL])),
        digit=draw(st.none() | st.integers(0, 9)),
        run=draw(
            st.none()
            | number.map(str)
            | st.sampled_from(["TRAIN", "TEST"])
            | number.map(lambda first: f"{first}to{first + 1999}")
        ),
        level=level,
        wobble=draw(st.sampled_from(["w0", "wr"])),
        part=draw(st.none() | st.integers(0, 99)),
    )


@given(data_files() | mc_files() | files_of_one_telescope())
def test_a_name_says_all_that_it_was_made_from(file: DataFile | McFile) -> None:
    assert parse_name(file.name) == file


@pytest.mark.parametrize(
    "name",
    [
        "20210314_M1_05095172.001_Y_CrabNebula-W0.40+035.root",
        "20210314_05095172_S_CrabNebula-W0.40+035.root",
        "20210314_05095172_Q_CrabNebula-W0.40+035.root",
        "20230324_M1_05106879.001_Y_1ES0806+524-W0.40+000.root",
        "20120805_M2_05018822.012_I_HESS1857+026-W0.60+045.root",
        "20080209_M1_00355467.003_I_CrabNebula-W1.root",
        "20080209_M1_00355467.003_I_W2-W2.root",
        "20150313_M2_20041823.001_Y_Mrk421.root",
        "20201119_M1_05093174.001_D_CrabNebula-W0.40+215.raw",
        "20201119_M1_05093174.001_P_CrabNebula-W0.40+215.raw.gz",
        "20201119_M1_05093174.001_C_CrabNebula-W0.40+215.raw.gz",
        "20201119_05093174_DL3_CrabNebula-W0.40+215.fits",
        "20201119_M1_05093174_DL3_CrabNebula-W0.40+215.fits",
        "20210314_M1_05095172_Q_CrabNebula-W0.40+035.root",
        "GA_M2_za35to50_8_824318_Q_w0.root",
        "GA_M1_za35to50_8_824318_Y_w0.root",
        "GA_M2_za35to50_8_824318_I_w0.root",
        "GA_za35to50_8_824319_S_w0.root",
        "GA_za05to35_8_1743990to1745989_S_wr_2.root",
        "GA_za05to35_8_S_w0_1.root",
        "GA_za35to50_8_824318_Q_w0.root",
        "GA_za05to35_8_Q_w0_2.root",
        "GA_za05to35_TRAIN_S_wr.root",
    ],
)
def test_names_that_exist_come_back_letter_by_letter(name: str) -> None:
    assert parse_name(f"/some/where/{name}").name == name


def test_the_parts_of_odd_names() -> None:
    plus = parse_name("20230324_M1_05106879.001_Y_1ES0806+524-W0.40+000.root")
    assert isinstance(plus, DataFile)
    assert (plus.source, plus.wobble, plus.telescope, plus.subrun) == ("1ES0806+524", Wobble(0.4, 0), 1, 1)
    old = parse_name("20080209_M1_00355467.003_I_CrabNebula-W2.root")
    assert isinstance(old, DataFile)
    assert (old.source, old.wobble) == ("CrabNebula", Wobble(2.0, None))
    joined = parse_name("GA_za05to35_8_1743990to1745989_S_wr_2.root")
    assert isinstance(joined, McFile)
    assert (joined.run, joined.digit, joined.part, joined.telescope) == ("1743990to1745989", 8, 2, None)
    anonymous = parse_name("GA_za05to35_8_S_w0_1.root")
    assert isinstance(anonymous, McFile)
    assert (anonymous.run, anonymous.digit, anonymous.part) == (None, 8, 1)
    trained = parse_name("GA_za05to35_TRAIN_S_wr.root")
    assert isinstance(trained, McFile)
    assert (trained.run, trained.digit) == ("TRAIN", None)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "notes.txt",
        "20210314_M3_05095172.001_Y_CrabNebula-W0.40+035.root",
        "20210314_M1_5095172.001_Y_CrabNebula-W0.40+035.root",
        "20210314_05095172_X_CrabNebula-W0.40+035.root",
        "20210314_05095172_S_CrabNebula-W0.40+035.root.part",
        "20211332_05095172_S_CrabNebula-W0.40+035.root",
        "GA_M1_za35to50_8_824318_Y_w1.root",
        "GA_M1_35to50_8_824318_Y_w0.root",
    ],
)
def test_other_names_are_refused_with_the_name_in_the_message(name: str) -> None:
    with pytest.raises(InputError, match="not a") as caught:
        parse_name(name)
    assert name in str(caught.value)


def test_files_of_a_run_carry_neither_telescope_nor_subrun() -> None:
    file = parse_name("20210314_M1_05095172.001_Y_CrabNebula-W0.40+035.root")
    assert file.at(datalevels.Star).name == "20210314_M1_05095172.001_I_CrabNebula-W0.40+035.root"
    assert file.at(datalevels.SuperStar).name == "20210314_05095172_S_CrabNebula-W0.40+035.root"
    assert file.at(datalevels.Melibea).name == "20210314_05095172_Q_CrabNebula-W0.40+035.root"
    assert file.at(datalevels.DL3).name == "20210314_05095172_DL3_CrabNebula-W0.40+035.fits"
    simulated = parse_name("GA_M2_za35to50_8_824318_Y_w0.root")
    assert simulated.at(datalevels.Star).name == "GA_M2_za35to50_8_824318_I_w0.root"
    assert simulated.at(datalevels.SuperStar).name == "GA_za35to50_8_824318_S_w0.root"


@given(st.integers(0, 200), st.integers(0, 359))
def test_wobbles_are_read_however_many_digits_they_are_written_with(hundredths: int, angle_deg: int) -> None:
    wobble = Wobble(hundredths / 100, angle_deg)
    assert Wobble.parse(wobble.text) == Wobble.parse(f"W{hundredths / 100:g}+{angle_deg}") == wobble


def test_a_wobble_that_is_none_is_refused() -> None:
    with pytest.raises(InputError, match=r"W0\.40"):
        Wobble.parse("035")


@pytest.mark.parametrize(
    ("run", "stereo"), [(5095172, True), (5024715, True), (355467, False), (10041823, False), (20041823, False)]
)
def test_run_numbers_tell_stereo_from_mono(run: int, stereo: bool) -> None:
    assert runs.is_stereo(run) is stereo


@given(DATES)
def test_night_folders_both_ways(day: date) -> None:
    assert runs.night_of(runs.night_folder(day)) == day


def test_another_folder_is_no_night() -> None:
    with pytest.raises(InputError, match="2020_11_16"):
        runs.night_of("20201116")


@pytest.mark.parametrize(
    ("star", "stereo", "mono"),
    [
        ("20210314_M1_05095172.007_I_CrabNebula-W0.40+035.root", "20210314_05095172", "20210314_M1_05095172"),
        ("GA_M2_za35to50_8_824318_I_w0.root", "GA_za35to50_8_824318", "GA_M2_za35to50_8_824318"),
    ],
)
def test_files_of_a_run_name_their_telescope_only_in_mono_analyses(star: str, stereo: str, mono: str) -> None:
    name = parse_name(star)
    assert name.at(datalevels.Melibea).name.startswith(f"{stereo}_Q_")
    judged = name.at(datalevels.Melibea, mono=True)
    assert judged.name.startswith(f"{mono}_Q_")
    # From there on the telescope stays without being asked for.
    assert judged.at(datalevels.DL3).telescope == judged.telescope == name.telescope
