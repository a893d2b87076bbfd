"""Cleaning: the groups of the camera, masks as ctapipe's, and as a slow second writing of the rules has them."""

from importlib.resources import files
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from magicpy_assets.observatory import telescopes
from magicpy_assets.observatory.library import open_shard
from magicpy_assets.science.bad_pixels import NO_TIME, hot_pixels, interpolate_bad
from magicpy_assets.science.camera import N_PIXELS, NEIGHBOURS, PIXEL_X_MM, PIXEL_Y_MM
from magicpy_assets.science.cleaning import (
    PAIRS,
    QUADS,
    TRIPLES,
    CleaningCuts,
    clean,
)

PLAIN = CleaningCuts(6.0, 3.5, use_sum=False, use_time=False)
STANDARD = CleaningCuts(6.0, 3.5)
NEAR = np.hypot(PIXEL_X_MM[:, None] - PIXEL_X_MM, PIXEL_Y_MM[:, None] - PIXEL_Y_MM) < 31.0
np.fill_diagonal(NEAR, False)


@pytest.fixture(scope="module")
def images():
    """Gamma rays, hadrons and empty nights, in dark and in moonlight: (charge, time), each (n, 1039)."""
    rng = np.random.default_rng(20)
    parts = []
    for name, n, nsb in (("gamma_test_05to35", 120, 1.0), ("hadron_off_24to28", 80, 1.0), ("gamma_test_35to50", 40, 4)):
        charge, time, _ = telescopes.expose(open_shard(name).take(np.arange(n)), telescopes.noise_at(nsb), rng)
        parts.append((charge.reshape(-1, N_PIXELS), time.reshape(-1, N_PIXELS)))
    parts.append(telescopes.pedestal_events(20, telescopes.noise_at(4.0), rng))
    charge, time = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    return charge, time


def test_compact_groups_are_those_of_the_lattice():
    """Counted anew from distances: pairs, mutual triples, and four pixels with five touching pairs among them."""
    pairs = {(i, j) for i, j in np.argwhere(NEAR).tolist() if i < j}
    triples = {tuple(sorted((i, j, k))) for i, j in pairs for k in np.flatnonzero(NEAR[i] & NEAR[j]).tolist()}
    quads = set()
    for triple in triples:
        for k in np.flatnonzero(NEAR[list(triple)].sum(axis=0) >= 2).tolist():
            if k not in triple:
                quads.add(tuple(sorted((*triple, k))))
    assert all(sum(NEAR[i, j] for i, j in combinations(quad, 2)) == 5 for quad in quads)
    assert (len(PAIRS), len(TRIPLES), len(QUADS)) == (3000, 1962, 2886)
    assert set(map(tuple, PAIRS.tolist())) == pairs
    assert set(map(tuple, TRIPLES.tolist())) == triples
    assert set(map(tuple, QUADS.tolist())) == quads


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("levels", [(6.0, 3.5), (8.0, 5.0)])
def test_plain_cleaning_is_that_of_ctapipe(images, levels):
    from ctapipe.image import tailcuts_clean
    from ctapipe.instrument import CameraGeometry

    public = CameraGeometry.from_table(str(files("ctapipe_io_magic") / "resources/MAGICCam.camgeom.fits.gz"))
    charge, time = images
    assert len(charge) >= 300
    _, used = clean(charge, time, CleaningCuts(*levels, use_sum=False, use_time=False))
    for image, mask in zip(charge, used, strict=True):
        # ctapipe asks for at least the level, we for more than it: the same unless a charge is exactly that.
        expected = tailcuts_clean(
            public, image, picture_thresh=levels[0], boundary_thresh=levels[1], min_number_picture_neighbors=1
        )
        np.testing.assert_array_equal(mask, expected)
    assert used.any(axis=1).mean() > 0.5


def slow_sum_core(charge, time, level1):
    """Core pixels by groups, one group after another, straight from the rules."""
    core = np.zeros(N_PIXELS, dtype=bool)
    rules = ((PAIRS, 1.8, 2.2, 0.82), (TRIPLES, 1.3, 1.05, 1.15), (QUADS, 1.0, 1.05, 1.80))
    for groups, factor, clip, window in rules:
        level = factor * level1
        clipped = np.minimum(charge, clip * level)
        for group in groups:
            total = clipped[group].sum()
            if total > level * len(group):
                mean = (clipped[group] * time[group]).sum() / total
                if (np.abs(time[group] - mean) < window).all():
                    core[group] = True
    return core


def slow_islands(mask):
    """Sets of touching pixels, in the order of their first pixels."""
    left, found = set(np.flatnonzero(mask).tolist()), []
    while left:
        island, edge = set(), {min(left)}
        while edge:
            island |= edge
            edge = {j for i in edge for j in np.flatnonzero(NEAR[i]).tolist() if j in left} - island
        left -= island
        found.append(sorted(island))
    return found


def slow_clean(charge, time, cuts):
    """The cleaning of one image, slowly."""
    charge, time = charge.astype(np.float64), time.astype(np.float64)
    core = slow_sum_core(charge, time, cuts.level1_phe) if cuts.use_sum else charge > cuts.level1_phe
    if cuts.use_time and core.any():
        brightest = max(slow_islands(core), key=lambda island: charge[island].sum())
        weight = charge[brightest] ** 2
        off = np.abs(time - (weight * time[brightest]).sum() / weight.sum())
        bright, faint = charge > 2 * cuts.level1_phe, charge < 2 * cuts.level1_phe
        core &= ~((bright & (off > 9.0)) | (faint & (off > 4.5)))
    core &= (NEAR & core).any(axis=1)
    together = np.abs(time[:, None] - time) < 1.5 if cuts.use_time else True
    boundary = (NEAR & core & together).any(axis=1) & (charge > cuts.level2_phe)
    return core, core | boundary


@pytest.mark.parametrize(
    "cuts",
    [STANDARD, CleaningCuts(8.0, 5.0), CleaningCuts(6.0, 3.5, use_sum=False), CleaningCuts(6.0, 3.5, use_time=False)],
    ids=["sum and time", "moon levels", "time only", "sum only"],
)
def test_masks_are_those_of_the_rules_written_a_second_time(images, cuts):
    charge, time = (values[::2] for values in images)
    core, used = clean(charge, time, cuts)
    for n in range(len(charge)):
        expected_core, expected_used = slow_clean(charge[n], time[n], cuts)
        np.testing.assert_array_equal(core[n], expected_core)
        np.testing.assert_array_equal(used[n], expected_used)


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.floats(0.2, 2.0), st.floats(0.1, 3.0))
def test_masks_are_those_of_the_rules_for_crowded_images_too(seed, spread, time_spread):
    """Many groups near their thresholds, some charges negative, times barely together or not."""
    rng = np.random.default_rng(seed)
    charge = rng.normal(4.0, 6.0 * spread, N_PIXELS).astype(np.float32)
    time = rng.normal(25.0, time_spread, N_PIXELS).astype(np.float32)
    core, used = clean(charge[None], time[None], STANDARD)
    expected_core, expected_used = slow_clean(charge, time, STANDARD)
    np.testing.assert_array_equal(core[0], expected_core)
    np.testing.assert_array_equal(used[0], expected_used)


def test_every_core_pixel_has_company_and_every_other_pixel_a_core_pixel_beside_it(images):
    core, used = clean(*images, STANDARD)
    assert (core <= used).all()
    for mine, all_used in zip(core, used, strict=True):
        beside = (NEAR & mine).any(axis=1)
        assert beside[mine].all()
        assert beside[all_used & ~mine].all()


def test_noise_alone_seldom_survives():
    """The levels for dark sky keep few empty images: fewer than one in ten, counted on 1000."""
    charge, time = telescopes.pedestal_events(1000, telescopes.noise_at(1.0), np.random.default_rng(3))
    _, used = clean(charge, time, STANDARD)
    assert used.any(axis=1).mean() < 0.1


def test_interpolation_fills_from_good_neighbours():
    centre = 200
    ring = np.sort(NEIGHBOURS[centre])
    charge, time = np.zeros((1, N_PIXELS), np.float32), np.full((1, N_PIXELS), 10.0, np.float32)
    charge[0, ring] = [1, 2, 3, 4, 5, 60]
    time[0, ring] = [10, 12, 15, 15.5, 30, 40]
    charge[0, centre], time[0, centre] = 999.0, 99.0
    bad = np.zeros(N_PIXELS, dtype=bool)
    bad[[centre, ring[5]]] = True
    interpolate_bad(charge, time, np.flatnonzero(bad), bad)
    assert charge[0, centre] == pytest.approx(3.0)  # the mean of the five good ones
    assert time[0, centre] == pytest.approx(15.25)  # 15 and 15.5 lie closest


def test_a_pixel_with_too_few_good_neighbours_is_emptied_and_others_are_left_alone():
    rng = np.random.default_rng(5)
    charge = rng.uniform(0, 50, (4, N_PIXELS)).astype(np.float32)
    time = rng.uniform(0, 50, (4, N_PIXELS)).astype(np.float32)
    before = charge.copy(), time.copy()
    bad = np.zeros(N_PIXELS, dtype=bool)
    bad[300] = True
    bad[np.sort(NEIGHBOURS[300])[:4]] = True
    interpolate_bad(charge, time, np.flatnonzero(bad), bad)
    assert (charge[:, 300] == 0).all()
    assert (time[:, 300] == NO_TIME).all()
    np.testing.assert_array_equal(charge[:, ~bad], before[0][:, ~bad])
    np.testing.assert_array_equal(time[:, ~bad], before[1][:, ~bad])


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(1, 200))
def test_interpolated_charges_lie_between_those_of_the_neighbours(seed, n_bad):
    rng = np.random.default_rng(seed)
    charge = rng.uniform(-1, 50, (1, N_PIXELS)).astype(np.float32)
    time = rng.uniform(0, 50, (1, N_PIXELS)).astype(np.float32)
    bad = np.zeros(N_PIXELS, dtype=bool)
    bad[rng.choice(N_PIXELS, n_bad, replace=False)] = True
    original = charge.copy()
    interpolate_bad(charge, time, np.flatnonzero(bad), bad)
    for i in np.flatnonzero(bad):
        good = np.flatnonzero(NEAR[i] & ~bad)
        if len(good) >= 3:
            assert original[0, good].min() - 1e-4 <= charge[0, i] <= original[0, good].max() + 1e-4
        else:
            assert charge[0, i] == 0


def test_hot_and_dead_pixels_stand_out_and_no_others():
    rng = np.random.default_rng(6)
    rms = rng.uniform(0.9, 1.1, N_PIXELS).astype(np.float32)
    wrong = {3: 0.0, 40: 5.0, 700: 250.0, 1038: 1e-4, 12: 1.6}
    for pixel, value in wrong.items():
        rms[pixel] = value
    assert np.flatnonzero(hot_pixels(rms)).tolist() == sorted(wrong)


@pytest.mark.parametrize("value", [0.0, 1.0, 300.0])
def test_a_camera_whose_pixels_are_all_alike_has_no_hot_ones(value):
    assert not hot_pixels(np.full(N_PIXELS, value, dtype=np.float32)).any()
