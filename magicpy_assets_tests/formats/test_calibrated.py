"""Calibrated files: written and read back, foreign ones read alike, broken ones refused in one line."""

from itertools import pairwise

import numpy as np
import pytest
import uproot
from hypothesis import given, settings
from hypothesis import strategies as st

from magicpy_assets.core.errors import InputError
from magicpy_assets.formats.calibrated import (
    CalibratedFile,
    Drive,
    EventChunk,
    Pedestals,
    pedestal_level,
    write_calibrated,
)
from magicpy_assets.science.camera import N_PIXELS, N_SLOTS
from magicpy_assets_tests import small_files

CHARGE_STEP_PHE, TIME_STEP_SLICES = 1 / 32, 1 / 16
NO_BAD = np.zeros(N_PIXELS, dtype=bool)
ascii_text = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=59)


def random_chunk(n, seed):
    rng = np.random.default_rng(seed)
    charge = rng.normal(10, 30, (n, N_PIXELS)).astype(np.float32)
    time = rng.uniform(0, 50, (n, N_PIXELS)).astype(np.float32)
    event = {
        "stereo_number": rng.integers(0, 2**32, n, dtype=np.uint32),
        "daq_number": rng.integers(0, 2**32, n, dtype=np.uint32),
        "trigger": rng.integers(0, 256, n).astype(np.uint8),
    }
    return EventChunk(charge, time, event | small_files.times(n))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return small_files.write_data_pair(tmp_path_factory.mktemp("data"), 60)[0]


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    return small_files.write_mc_pair(tmp_path_factory.mktemp("mc"), 60)[1]


@settings(max_examples=12, deadline=None)
@given(
    st.lists(st.integers(1, 20), min_size=1, max_size=3),
    st.integers(0, 2**32 - 1),
    st.integers(5, 40),
    st.sets(st.integers(0, N_PIXELS - 1), max_size=20),
)
def test_events_are_read_as_written_whatever_the_pieces(tmp_path_factory, sizes, seed, most, bad):
    path = tmp_path_factory.mktemp("trip") / small_files.data_name(1)
    pieces = [random_chunk(n, seed + i) for i, n in enumerate(sizes)]
    bad_pixels = np.isin(np.arange(N_PIXELS), list(bad))
    write_calibrated(path, small_files.run_info(1), pieces, bad_pixels=bad_pixels)
    with CalibratedFile(path) as file:
        assert file.n_events == sum(sizes)
        np.testing.assert_array_equal(file.bad_pixels, bad_pixels)
        found = list(file.chunks(most))
        assert file.pedestals is None
        assert file.drive is None
        assert file.original_mc is None
    assert all(len(chunk) <= 4 * most for chunk in found)  # baskets are cut only where they are much too long
    for name, step in (("charge_phe", CHARGE_STEP_PHE), ("time_slices", TIME_STEP_SLICES)):
        read, written = (np.concatenate([getattr(chunk, name) for chunk in chunks]) for chunks in (found, pieces))
        assert read.dtype == np.float32
        assert np.abs(read - written).max() <= step / 2 + 1e-5
        np.testing.assert_array_equal(read % step, 0)
    for name in pieces[0].event:
        read, written = (np.concatenate([chunk.event[name] for chunk in chunks]) for chunks in (found, pieces))
        np.testing.assert_array_equal(read, written)


@settings(max_examples=10, deadline=None)
@given(
    st.integers(1, 2**32 - 1),
    st.integers(0, 999),
    st.sampled_from([1, 2]),
    ascii_text,
    st.floats(0, 359.9),
    st.floats(-90, 90),
    st.dictionaries(ascii_text, ascii_text, max_size=4),
)
def test_headers_are_read_as_written(tmp_path_factory, run, subrun, telescope, name, ra, dec, cards):
    path = tmp_path_factory.mktemp("head") / "file.root"
    cards = {key: value for key, value in cards.items() if key != "SIMULATED"}
    info = small_files.run_info(
        telescope, run=run, subrun=subrun, source_name=name, source_ra_deg=ra, source_dec_deg=dec, cards=cards
    )
    write_calibrated(path, info, [random_chunk(1, 1)], bad_pixels=NO_BAD)
    with CalibratedFile(path) as file:
        found = file.info
    for field in ("run", "subrun", "telescope", "run_type", "source_name", "sampling_mhz", "n_samples", "cards"):
        assert getattr(found, field) == getattr(info, field)
    assert found.source_ra_deg == pytest.approx(ra, abs=0.5 / 240 + 1e-9)  # to the second of right ascension
    assert found.source_dec_deg == pytest.approx(dec, abs=0.5 / 3600 + 1e-9)
    assert not found.simulated


def test_simulated_data_say_so_and_how_they_are_rounded(data):
    with CalibratedFile(data) as file:
        assert file.info.simulated
        assert not file.info.is_mc
        assert file.info.cards["CHARGE_STEP"] == f"{CHARGE_STEP_PHE} phe"


def test_names_and_shapes_are_those_of_mars_files(data):
    with uproot.open(data) as file:
        trees = {name.split(";")[0] for name in file.keys(recursive=False)}
        assert trees == {"RunHeaders", "RunTails", "Events", "Pedestals", "Drive", "Trigger", "L3T"}
        headers = file["RunHeaders"].keys()
        assert {f"MRawRunHeader.{name}" for name in ("fSourceName[80]", "fObservationMode[60]")} <= set(headers)
        events = file["Events"]
        assert events["MCerPhotEvt.fPixels.fPhot"].array(entry_stop=2, library="np")[0].shape == (N_SLOTS,)
        assert events["MTime.fTime.fMilliSec"].array(library="np").dtype == np.int64


def test_monte_carlo_keeps_truth_headers_and_thrown_showers(simulated):
    with CalibratedFile(simulated) as file:
        assert file.info.is_mc
        assert file.info.simulated
        chunk = next(file.chunks())
        assert set(chunk.mc) >= {"energy_gev", "theta_rad", "core_x_cm", "event_number"}
        assert (chunk.mc["energy_gev"] > 0).all()
        assert "mjd_day" not in chunk.event
        assert len(file.original_mc["energy_gev"]) == 1000
        assert file.mc_header["n_showers"] == 1000 * small_files.MC_PAIR.shard.cores
        assert file.mc_header["height_levels_cm"].shape == (10,)
        expected = small_files.DARK.mean_phe, small_files.DARK.rms_phe
    assert pedestal_level(simulated)[:2] == pytest.approx(expected, rel=1e-6)


def test_pedestals_and_drive_are_read_as_written(tmp_path):
    rng = np.random.default_rng(1)
    path = tmp_path / small_files.data_name(2)
    mjd = 60_266 + rng.permutation(np.linspace(0.1, 0.2, 7))
    drive = Drive(mjd, *(rng.uniform(0, 24, 7) for _ in range(4)))
    mean, rms = (rng.uniform(1, 3, (4, N_PIXELS)).astype(np.float32) for _ in range(2))
    pedestals = Pedestals(60_266 + np.linspace(0.1, 0.2, 4), mean, rms)
    info = small_files.run_info(2)
    write_calibrated(path, info, [random_chunk(1, 1)], bad_pixels=NO_BAD, pedestals=pedestals, drive=drive)
    with CalibratedFile(path) as file:
        np.testing.assert_array_equal(file.pedestals.mean_phe, mean)
        np.testing.assert_array_equal(file.pedestals.rms_phe, rms)
        np.testing.assert_allclose(file.pedestals.mjd, pedestals.mjd, atol=1e-10)
        order = np.argsort(mjd)
        for name in ("mjd", "zd_deg", "az_deg", "ra_h", "dec_deg"):
            np.testing.assert_array_equal(getattr(file.drive, name), getattr(drive, name)[order])
        assert file.trigger_table == "L3T_L1L1_100_SYNC"
    level = pedestal_level(path)
    assert level[:2] == pytest.approx((np.median(mean.mean(axis=0)), np.median(rms.mean(axis=0))), rel=1e-6)
    assert level[2] == 4 * N_PIXELS


def test_times_are_good_to_a_microsecond(data):
    with CalibratedFile(data) as file:
        chunk = next(file.chunks())
    step_s = np.diff(chunk.mjd) * 86_400
    np.testing.assert_allclose(step_s[:-1], small_files.SECONDS_PER_EVENT, atol=2e-6)


# Files as others write them


def foreign(source, target, *, compression=None, baskets=1, without=(), extra=False, slots=N_SLOTS):
    """Write a file anew with plain uproot: other compression, many baskets, trees left out, branches added."""
    with uproot.open(source) as old, uproot.recreate(target, compression=compression or uproot.ZLIB(4)) as new:
        for name in {key.split(";")[0] for key in old.keys(recursive=False)} - set(without):
            arrays = old[name].arrays(library="ak")
            keep = [field for field in arrays.fields if "[" not in field and field not in without]
            keep = [field for field in keep if not (field.startswith("n") and field[1:] in arrays.fields)]
            columns = {}
            for field in keep:
                values = arrays[field]
                if field in ("MCerPhotEvt.fPixels.fPhot", "MArrivalTime.fData"):
                    values = values[:, :slots]
                columns[field] = values
            if extra:
                n = len(arrays)
                columns |= {"MNew.fNumber": np.arange(n), "MNew.fPixels.fPhot": np.ones((n, 3))}
            new.mktree(name, {field: _type(values) for field, values in columns.items()})
            edges = np.linspace(0, len(arrays), (baskets if name == "Events" else 1) + 1).astype(int)
            for begin, end in pairwise(edges):
                if end > begin:
                    new[name].extend({field: values[begin:end] for field, values in columns.items()})


def _type(values):
    if isinstance(values, np.ndarray):
        return (values.dtype, values.shape[1:])
    return values.type.content if "string" not in str(values.type) else "string"


def read_all(path):
    with CalibratedFile(path) as file:
        file.info  # noqa: B018
        list(file.chunks())


def same_events(first, second):
    with CalibratedFile(first) as one, CalibratedFile(second) as two:
        first_chunks, second_chunks = list(one.chunks(16)), list(two.chunks(16))
        for name in ("charge_phe", "time_slices"):
            a, b = (np.concatenate([getattr(c, name) for c in chunks]) for chunks in (first_chunks, second_chunks))
            np.testing.assert_array_equal(a, b)
        for name in first_chunks[0].event:
            a, b = (np.concatenate([c.event[name] for c in chunks]) for chunks in (first_chunks, second_chunks))
            np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(one.bad_pixels, two.bad_pixels)


@pytest.mark.parametrize("which", ["data", "simulated"])
@pytest.mark.parametrize(
    "options",
    [
        {"compression": uproot.ZLIB(1)},
        {"compression": uproot.LZMA(1)},
        {"baskets": 23},
        {"extra": True},
        {"slots": N_PIXELS},
        {"without": ("Trigger", "L3T", "RunTails", "Laser")},
    ],
    ids=["zlib", "lzma", "many baskets", "more branches", "no empty slots", "no optional trees"],
)
def test_files_of_others_are_read_alike(request, tmp_path, which, options):
    source = request.getfixturevalue(which)
    target = tmp_path / source.name
    foreign(source, target, **options)
    same_events(source, target)
    with CalibratedFile(source) as ours, CalibratedFile(target) as theirs:
        assert theirs.info.run == ours.info.run
        assert theirs.info.source_name == ""  # a header that the other writer did not have
        assert theirs.info.is_mc == ours.info.is_mc


def test_without_pedestal_updates_the_level_comes_from_pedestal_events(data, tmp_path):
    target = tmp_path / data.name
    foreign(data, target, without=("Pedestals",))
    with CalibratedFile(target) as file:
        assert file.pedestals is None
    mean, rms, n = pedestal_level(target)
    assert n == 5 * (N_PIXELS - 1)
    assert mean == pytest.approx(small_files.DARK.mean_phe, abs=5 * 1.25 * small_files.DARK.rms_phe / np.sqrt(n) + 0.1)
    assert 0.7 * small_files.DARK.rms_phe < rms < small_files.DARK.rms_phe  # of five events only


@pytest.mark.parametrize("tree", ["Events", "RunHeaders"])
def test_a_missing_tree_is_named(data, tmp_path, tree):
    target = tmp_path / data.name
    foreign(data, target, without=(tree,))
    with pytest.raises(InputError, match=f"no tree {tree}") as caught:
        read_all(target)
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    "branch", ["MCerPhotEvt.fPixels.fPhot", "MArrivalTime.fData", "MTime.fMjd", "MRawRunHeader.fRunNumber"]
)
def test_a_missing_branch_is_named(data, tmp_path, branch):
    target = tmp_path / data.name
    foreign(data, target, without=(branch,))
    with pytest.raises(InputError, match=f"no branch {branch}"):
        read_all(target)


def test_a_camera_of_other_size_is_refused(data, tmp_path):
    target = tmp_path / data.name
    foreign(data, target, slots=577)
    with pytest.raises(InputError, match="577 pixels, not 1039"), CalibratedFile(target) as file:
        next(file.chunks())


@pytest.mark.parametrize("share", [0.01, 0.3, 0.6, 0.9, 0.99])
def test_a_file_cut_short_is_refused_in_one_line(data, tmp_path, share):
    target = tmp_path / data.name
    whole = data.read_bytes()
    target.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(InputError) as caught:
        read_all(target)
    assert "\n" not in caught.value.message
    assert str(target) in caught.value.message


def test_a_file_without_any_pedestals_has_no_level(tmp_path):
    path = tmp_path / small_files.data_name(1)
    chunk = random_chunk(3, 1)
    chunk.event["trigger"][:] = 128
    write_calibrated(path, small_files.run_info(1), [chunk], bad_pixels=NO_BAD)
    with pytest.raises(InputError, match="noise cannot be measured"):
        pedestal_level(path)


def test_one_event_is_found_by_its_number(data):
    with CalibratedFile(data) as file:
        whole = next(file.chunks(10_000))
        numbers = whole.event["stereo_number"]
        once = [int(number) for number in numbers if (numbers == number).sum() == 1]
        for number in (once[0], once[-1]):
            place = int(np.flatnonzero(numbers == number)[0])
            found = file.event(number)
            assert found is not None
            assert len(found) == 1
            assert (found.charge_phe[0] == whole.charge_phe[place]).all()
            assert (found.time_slices[0] == whole.time_slices[place]).all()
            assert found.mjd[0] == whole.mjd[place]
        assert file.event(4_000_000_000) is None


def test_a_number_that_occurs_twice_is_no_one_event(tmp_path):
    chunk = random_chunk(6, 3)
    chunk.event["stereo_number"][:] = [1, 2, 2, 3, 4, 5]
    path = tmp_path / small_files.data_name(1)
    write_calibrated(path, small_files.run_info(1), [chunk], bad_pixels=NO_BAD)
    with CalibratedFile(path) as file:
        assert file.event(2) is None
        assert file.event(3) is not None


def test_hot_pixels_count_as_unusable_beside_bad_ones(tmp_path):
    quiet = small_files.pedestals()
    rms = quiet.rms_phe.copy()
    rms[:, 100] *= 20
    path = tmp_path / small_files.data_name(1)
    bad = np.arange(N_PIXELS) == 7
    write_calibrated(
        path, small_files.run_info(1), [random_chunk(6, 3)], bad_pixels=bad,
        pedestals=Pedestals(quiet.mjd, quiet.mean_phe, rms),
    )  # fmt: skip
    with CalibratedFile(path) as file:
        assert np.flatnonzero(file.bad_pixels).tolist() == [7]
        assert np.flatnonzero(file.unusable_pixels).tolist() == [7, 100]
