"""Shower physics: what is known of air showers and of MAGIC comes out, and tabulated light agrees with followed light.

"Full" follows every particle, "hybrid" is the default. Tolerances are those of the acceptance tables plus what the
number of showers allows (errors over showers, because the cores of one shower are not independent).
"""

import types
from dataclasses import fields

import numpy as np
import pytest
from numba import njit

from magicpy_assets.core.errors import UnknownNameError
from magicpy_assets.observatory import cascade, emission
from magicpy_assets.observatory.primaries import Thrown, disc_cores, hadrons, impact_m, power_law, ring_gammas, tilted
from magicpy_assets.observatory.showers import (
    CLUSTER_PHE,
    CORE_PHE,
    E_PAR_RANGE_GEV,
    E_PAR_SHARE,
    EFFICIENCY_FULL,
    EFFICIENCY_HYBRID,
    ShowerImages,
    clustered_phe,
    direction,
    e_par_of,
    frame,
    shoot,
    sparse,
)
from magicpy_assets.observatory.telescopes import expose, noise_at
from magicpy_assets.science.camera import FOCAL_MM, N_PIXELS, NEIGHBOURS, PIXEL_X_MM, PIXEL_Y_MM
from magicpy_assets.science.cleaning import CleaningCuts
from magicpy_assets.science.hillas import PARAMETERS, parametrise
from magicpy_assets.science.site import TELESCOPES_EAST_NORTH_M

ALL_TRIGGERS_PHE = 12.0
DARK, MOONLIT = (1.0, CleaningCuts(6.0, 3.5), 50.0), (6.5, CleaningCuts(9.0, 5.5), 150.0)
"""NSB (x dark), cleaning, size cut (phe)."""


def shot(thrown, seed, share=E_PAR_SHARE, min_phe=ALL_TRIGGERS_PHE):
    return shoot(
        thrown.kind,
        thrown.energy_gev,
        thrown.pointing_deg,
        thrown.toward_deg,
        thrown.cores_m,
        seed,
        e_par_share=share,
        min_phe=min_phe,
    )


def seen(images, level=DARK, seed=1):
    """Return the events that both telescopes trigger, their parameters by name (n, 2), which pass the size cut."""
    nsb, cuts, size_phe = level
    charge, time, triggered = expose(images, noise_at(nsb), np.random.default_rng(seed))
    stereo = np.flatnonzero(triggered.all(axis=1))
    flat = (2 * len(stereo), N_PIXELS)
    values, valid = parametrise(charge[stereo].reshape(flat), time[stereo].reshape(flat), cuts)
    image = {name: values[:, i].reshape(-1, 2) for i, name in enumerate(PARAMETERS)}
    good = valid.reshape(-1, 2).all(axis=1) & (image["size_phe"] > size_phe).all(axis=1)
    return images.take(stereo), image, good


def rng_of(seed):
    return np.random.default_rng(seed)


# ---- single showers


def with_other_light(function, **replaced):
    """The same kernel, its light going elsewhere."""
    kernel = function.py_func
    return njit(types.FunctionType(kernel.__code__, {**kernel.__globals__, **replaced}, kernel.__name__))


@njit
def record_depth(start, end, along, depth, time, blur2, cherenkov, photons, cores, view, efficiency, counts, times):
    """Take the photons emitted, and the particles above threshold, by depth in steps of 10 g/cm²."""
    j = int(depth / 10.0)
    length = np.sqrt(((end - start) ** 2).sum())
    density = cascade.density_at(0.5 * (start[2] + end[2]))
    counts[0, 0, j] += photons
    times[0, 0, j] += length * density * 0.1 / 10.0


@pytest.fixture(scope="module")
def vertical_tev_showers():
    follow = with_other_light(cascade._follow_electron, segment_light=record_depth)
    shower = with_other_light(cascade.shower, _follow_electron=follow)
    photons, particles = [], []
    for seed in range(30):
        counts, times = np.zeros((1, 2, 100)), np.zeros((1, 2, 100))
        stack = np.empty((cascade.STACK_SIZE, cascade.STACK_COLUMNS))
        up = np.array([0.0, 0.0, 1.0])
        tables = emission.no_tables()
        shower(cascade.PHOTON, 1000.0, up, np.zeros((1, 2)), frame(0, 0), 1.0, 0.0, tables, stack, counts, times, seed)
        photons.append(counts[0, 0].sum() / 1000.0)
        particles.append(times[0, 0])
    return np.array(photons), np.array(particles)


def test_a_tev_gamma_emits_as_many_photons_as_expected(vertical_tev_showers):
    photons, _ = vertical_tev_showers
    assert photons.mean() == pytest.approx(5.3e4, rel=0.05)


def test_a_tev_gamma_has_its_maximum_where_expected(vertical_tev_showers):
    _, particles = vertical_tev_showers
    mean = particles.mean(axis=0)
    near = slice(int(mean.argmax()) - 6, int(mean.argmax()) + 7)
    a, b, _ = np.polyfit(10.0 * np.arange(100)[near] + 5.0, mean[near], 2)
    assert -b / (2 * a) == pytest.approx(355, abs=25)
    greisen = 0.31 / np.sqrt(np.log(1000.0 / 0.081)) * np.exp(np.log(1000.0 / 0.081) * (1 - 1.5 * np.log(1.0)))
    assert mean.max() / greisen == pytest.approx(0.42, abs=0.06)  # of all electrons, those above the threshold


def light_pool(energy_gev, share, showers, radii_m, seed):
    """Photo-electrons per GeV in one telescope at distances from the axis (showers, radii), zd 20 deg."""
    rng = rng_of(seed)
    axis, view = direction(20.0, 0.0), frame(20.0, 0.0)
    across = np.cross(axis, [1.0, 0.0, 0.0])
    tables = emission.tables() if share else emission.no_tables()
    efficiency = EFFICIENCY_HYBRID if share else EFFICIENCY_FULL
    counts, times = np.zeros((len(radii_m), 2, N_PIXELS)), np.zeros((len(radii_m), 2, N_PIXELS))
    stack = np.empty((cascade.STACK_SIZE, cascade.STACK_COLUMNS))
    found = np.empty((showers, len(radii_m)))
    e_par = e_par_of(energy_gev, share)
    for i in range(showers):
        phi = rng.uniform(0, 2 * np.pi, (len(radii_m), 1))
        offset = np.asarray(radii_m)[:, None] * (np.cos(phi) * [1.0, 0.0, 0.0] + np.sin(phi) * across)
        offset -= (offset[:, 2] / axis[2])[:, None] * axis
        cores = np.ascontiguousarray(TELESCOPES_EAST_NORTH_M[0] - offset[:, :2])
        counts[:] = 0
        args = (axis, cores, view, efficiency, e_par, tables, stack, counts, times)
        cascade.shower(cascade.PHOTON, energy_gev, *args, 1000 * seed + i)
        found[i] = counts[:, 0].sum(axis=1) / energy_gev
    return found


RADII_M = (20.0, 60, 100, 140, 180, 220, 260)
POOLS = {50.0: (1.41, 1.44, 1.44, 1.18, 0.81, 0.53, 0.34), 300.0: (2.37, 2.33, 2.13, 1.57, 0.92, 0.50, 0.27)}
"""Photo-electrons per GeV by distance, of an independent program with the same physics."""


@pytest.mark.slow
@pytest.mark.parametrize(("energy_gev", "showers"), [(50.0, 800), (300.0, 300)])
def test_light_pool_of_both_engines(energy_gev, showers):
    full, hybrid = (
        light_pool(energy_gev, share, showers, RADII_M, seed) for seed, share in ((1, 0.0), (2, E_PAR_SHARE))
    )
    relative = [one.std(axis=0) / one.mean(axis=0) / np.sqrt(showers) for one in (full, hybrid)]
    ratio = hybrid.mean(axis=0) / full.mean(axis=0)
    assert (np.abs(ratio - 1) < 0.12 + 2 * np.hypot(*relative)).all(), ratio
    assert (np.abs(full.mean(axis=0) / POOLS[energy_gev] - 1) < 0.12 + 3 * relative[0]).all(), full.mean(axis=0)
    plateau, rim, tail = full.mean(axis=0)[[1, 3, 6]]
    assert plateau > 1.1 * rim > 2 * tail  # flat to about 110 m, then falling


def test_the_image_leans_from_the_source_towards_the_core():
    """A telescope sees the shower on the side of the core: east is rising azimuth when looking north."""
    pointing = np.array([[20.0, 0.0]])
    for core, axis_mm, sign in ((100.0, PIXEL_Y_MM, 1), (-100.0, PIXEL_Y_MM, -1)):
        images = shoot("gamma", np.array([500.0]), pointing, pointing, np.array([[[core, 0.0]]]), 3)
        lit = slice(images.start[0], images.start[1])
        centre = np.average(axis_mm[images.pixel[lit]], weights=images.phe[lit])
        # The maximum is about 8 km away.
        assert sign * centre / FOCAL_MM == pytest.approx(100.0 / 8000.0, rel=0.4)
        other = np.average(PIXEL_X_MM[images.pixel[lit]], weights=images.phe[lit])
        assert abs(other) < abs(centre)


def test_images_come_from_where_the_shower_comes():
    """For light at the foot of the axis, images lie at the source: 0.4 deg up, 0.3 deg to the side."""
    pointing = np.array([[30.0, 90.0]])
    toward = np.array([[29.6, 90.0 + 0.3 / np.sin(np.radians(30.0))]])
    cores = np.zeros((1, 1, 2))
    images = shoot("gamma", np.array([300.0]), pointing, toward, cores, 5, min_phe=50)
    lit = slice(images.start[0], images.start[1])
    weight = images.phe[lit].astype(float)
    x = np.degrees(np.average(PIXEL_X_MM[images.pixel[lit]], weights=weight) / FOCAL_MM)
    y = np.degrees(np.average(PIXEL_Y_MM[images.pixel[lit]], weights=weight) / FOCAL_MM)
    assert x == pytest.approx(0.4, abs=0.12)
    assert y == pytest.approx(0.3, abs=0.12)


# ---- the request and the images


def few(n=12, seed=1):
    return ring_gammas(n, (19.0, 21.0), (200.0, 1000.0), 2.0, 150.0, 3, rng_of(seed))


def assert_same(first, second):
    for item in fields(ShowerImages):
        np.testing.assert_array_equal(getattr(first, item.name), getattr(second, item.name), err_msg=item.name)


def test_one_seed_one_result_whatever_was_shot_before():
    thrown = few()
    first = shot(thrown, 7)
    shot(few(3, 2), 8)
    assert_same(first, shot(thrown, 7))
    assert len(first) > 10
    assert not np.array_equal(first.phe, shot(thrown, 9).phe)


def test_truth_is_that_of_the_request():
    thrown = few()
    images = shoot(
        thrown.kind, thrown.energy_gev, thrown.pointing_deg, thrown.toward_deg, thrown.cores_m, 7, first_shower=100
    )
    mine = images.shower - 100
    np.testing.assert_allclose(images.energy_gev, thrown.energy_gev[mine], rtol=1e-6)
    np.testing.assert_allclose(images.pointing_zd_deg, thrown.pointing_deg[mine, 0], rtol=1e-6)
    np.testing.assert_allclose(images.az_deg, thrown.toward_deg[mine, 1], rtol=1e-6)
    core = np.column_stack([images.core_east_m, images.core_north_m])
    assert (np.abs(thrown.cores_m[mine] - core[:, None]).max(axis=2).min(axis=1) < 1e-3).all()


def test_an_unknown_primary_is_named():
    with pytest.raises(UnknownNameError, match=r"gama.*\n.*gamma"):
        shoot("gama", np.ones(1), np.zeros((1, 2)), np.zeros((1, 2)), np.zeros((1, 1, 2)), 1)


def test_events_can_be_taken_and_joined():
    images = shot(few(), 7)
    order = rng_of(1).permutation(len(images))
    assert_same(images.take(order).take(np.argsort(order)), images)
    half = len(images) // 2
    assert_same(ShowerImages.joined([images.take(np.arange(half)), images.take(np.arange(half, len(images)))]), images)
    assert len(ShowerImages.joined([])) == len(ShowerImages.empty()) == 0
    assert_same(ShowerImages.joined([ShowerImages.empty(), images]), images)


def test_both_telescopes_hold_the_least_light():
    images = shot(few(30), 7, min_phe=300)
    assert len(images) > 10
    for i in range(len(images)):
        middle, end = images.start[i] + images.split[i], images.start[i + 1]
        for lit in (slice(images.start[i], middle), slice(middle, end)):
            counts = np.zeros(N_PIXELS)
            counts[images.pixel[lit]] = images.phe[lit]
            assert clustered_phe(counts) >= 290  # pixels of four that touch only others of four are not stored


def test_sparse_images_keep_bright_pixels_and_their_neighbours():
    rng = rng_of(2)
    counts = rng.poisson(1.0, N_PIXELS).astype(float)
    counts[NEIGHBOURS[100][:4]] += 20
    times = counts * rng.normal(50.0, 2.0, N_PIXELS)
    pixels, phe, when = sparse(counts, times)
    bright = counts >= CORE_PHE
    beside = np.array([bright[row[row >= 0]].any() for row in NEIGHBOURS]) & (counts > 0)
    np.testing.assert_array_equal(pixels, np.flatnonzero(bright | beside))
    np.testing.assert_array_equal(phe, counts[pixels])
    np.testing.assert_allclose(when, times[pixels] / counts[pixels] - times.sum() / counts.sum(), atol=1e-4)
    alone = np.zeros(N_PIXELS)
    alone[[3, 500]] = CLUSTER_PHE + 50
    assert clustered_phe(alone) == 0


def test_how_far_particles_are_followed():
    assert e_par_of(1000.0, 0) == 0
    assert e_par_of(1000.0) == 5.0
    assert (e_par_of(50.0), e_par_of(1e5)) == E_PAR_RANGE_GEV


# ---- what MAGIC sees


def peak_gev(energy_gev, weight):
    """The energy at which a weighted differential rate is highest: a parabola through five bins around it."""
    edges = np.arange(1.45, 3.7, 0.1)
    centre = edges[:-1] + 0.05
    rate = np.histogram(np.log10(energy_gev), edges, weights=weight)[0] / 10**centre
    near = slice(max(0, int(rate.argmax()) - 2), int(rate.argmax()) + 3)
    a, b, _ = np.polyfit(centre[near], np.log(np.maximum(rate[near], 1e-3 * rate.max())), 2)
    return 10 ** (-b / (2 * a))


def peak_and_error(energy_gev, shower):
    """The peak for a spectrum E^-2.6 of events thrown with E^-2, and its error from drawing showers again."""
    weight = energy_gev**-0.6
    rng, n = rng_of(1), int(shower.max()) + 1
    again = [peak_gev(energy_gev, weight * rng.poisson(1.0, n)[shower]) for _ in range(40)]
    return peak_gev(energy_gev, weight), np.std(again)


THRESHOLDS_GEV = {
    (20.0, 10**1.45, 600.0, 350.0): ((48, 78), (85, 171)),
    (57.0, 10**1.95, 2500.0, 750.0): ((214, 328), (343, 785)),
}
"""By zenith distance, lowest and highest energy, radius: trigger and analysis threshold, dark and under bright moon."""


@pytest.mark.slow
@pytest.mark.parametrize("case", THRESHOLDS_GEV)
def test_thresholds(case):
    zd, low, high, radius = case
    thrown = ring_gammas(6000, (zd, zd + 1e-3), (low, high), 2.0, radius, 5, rng_of(11))
    images = shot(thrown, 12)
    found = []
    for level, expected in zip((DARK, MOONLIT), THRESHOLDS_GEV[case], strict=True):
        events, _, good = seen(images, level)
        energy = events.energy_gev.astype(float)
        for which, wanted in ((np.ones(len(energy), bool), expected[0]), (good, expected[1])):
            peak, error = peak_and_error(energy[which], events.shower[which])
            assert peak == pytest.approx(wanted, abs=0.15 * wanted + 2 * error), (expected, found)
            found.append(peak)
    dark_trigger, dark, moon_trigger, moon = found
    assert dark_trigger < dark < moon
    assert dark_trigger < moon_trigger < moon


@pytest.mark.slow
def test_collection_area_near_a_tev():
    showers, radius = 500, 350.0
    thrown = ring_gammas(showers, (20.0, 20.001), (795.0, 805.0), 2.0, radius, 5, rng_of(13))
    events, _, good = seen(shot(thrown, 14))
    per_shower = np.bincount(events.shower[good], minlength=showers) / 5
    area = per_shower.mean() * np.pi * radius**2
    error = per_shower.std() / np.sqrt(showers) * np.pi * radius**2
    assert area == pytest.approx(1.5e5, abs=0.15 * 1.5e5 + 2 * error)


def test_images_of_gammas_have_the_expected_sizes():
    thrown = ring_gammas(500, (20.0, 20.001), (100.0, 300.0), 2.0, 130.0, 5, rng_of(15))
    events, image, _ = seen(shot(thrown, 16))
    cores = np.column_stack([events.core_east_m, events.core_north_m]).astype(float)
    toward = np.column_stack([events.zd_deg, events.az_deg]).astype(float)
    near = impact_m(cores, toward) < 120.0
    described = image["size_phe"] > 0
    medians = {
        name: np.median(image[name][near[:, None] & described]) for name in ("size_phe", "width_mm", "length_mm")
    }
    assert medians["size_phe"] == pytest.approx(212, abs=25)
    assert np.degrees(medians["width_mm"] / FOCAL_MM) == pytest.approx(0.063, abs=0.006)
    assert np.degrees(medians["length_mm"] / FOCAL_MM) == pytest.approx(0.152, abs=0.015)


def triggers_per_shower(thrown, seed, share):
    events, _, _ = seen(shot(thrown, seed, share))
    return np.bincount(events.shower, minlength=len(thrown))


def one_kind(thrown, kind):
    mine = thrown.kind == kind
    return Thrown(*(getattr(thrown, item.name)[mine] for item in fields(Thrown)))


@pytest.mark.slow
def test_hadron_rates():
    """Protons trigger as often in both engines; protons and helium together at the expected rate."""
    seconds = 2.5
    sky = hadrons(seconds, (20.0, 20.001), (60.0, 30_000.0), 525.0, 20, rng_of(17))
    protons = one_kind(sky, "proton")
    hybrid = triggers_per_shower(protons, 18, E_PAR_SHARE)
    full = triggers_per_shower(protons, 19, 0.0)
    helium = triggers_per_shower(one_kind(sky, "helium"), 20, E_PAR_SHARE)
    relative = [np.sqrt((one**2).sum()) / one.sum() for one in (hybrid, full)]
    assert hybrid.sum() / full.sum() == pytest.approx(1.0, abs=0.10 + 2 * np.hypot(*relative))
    rate = (hybrid.sum() + helium.sum()) / seconds
    error = np.sqrt((hybrid**2).sum() + (helium**2).sum()) / seconds
    assert rate == pytest.approx(215.0, abs=35.0 + 2 * error)


def features(images, seed):
    events, image, good = seen(images, seed=seed)
    names = ("size_phe", "width_mm", "length_mm", "m3_long_mm", "conc", "leakage1", "time_gradient_slices_per_mm")
    columns = [np.abs(image[name][good]) for name in names]
    return np.concatenate([np.log(columns[0]), *columns[1:]], axis=1), events.shower[good]


def some_protons(n, seed):
    rng = rng_of(seed)
    pointing = np.column_stack([np.full(n, 20.0), np.full(n, 100.0)])
    toward = tilted(pointing, np.radians(3.0) * np.sqrt(rng.random(n)), rng.uniform(0, 2 * np.pi, n))
    energy = power_law(100.0, 5000.0, 2.0, n, rng)
    return Thrown(np.full(n, "proton"), energy, pointing, toward, disc_cores(toward, np.full(n, 350.0), 10, rng))


def some_gammas(n, seed):
    return ring_gammas(n, (20.0, 20.001), (60.0, 5000.0), 2.0, 250.0, 5, rng_of(seed))


@pytest.mark.slow
@pytest.mark.parametrize(("draw", "n"), [(some_gammas, 600), (some_protons, 2500)])
def test_a_forest_can_hardly_tell_the_engines_apart(draw, n):
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.metrics import roc_auc_score

    full, hybrid = (
        features(shot(draw(n, 21 + i), 23 + i, share), 25 + i) for i, share in enumerate((0.0, E_PAR_SHARE))
    )
    x = np.concatenate([full[0], hybrid[0]])
    y = np.repeat([0, 1], [len(full[0]), len(hybrid[0])])
    shower = np.concatenate([full[1], hybrid[1]])
    aucs = []
    for half in (0, 1):
        train = shower % 2 == half
        forest = RandomForestClassifier(100, min_samples_leaf=5, class_weight="balanced", random_state=1)
        forest.fit(x[train], y[train])
        aucs.append(roc_auc_score(y[~train], forest.predict_proba(x[~train])[:, 1]))
    independent = min(len(np.unique(full[1])), len(np.unique(hybrid[1])))
    error = np.sqrt(1 / (6 * independent))  # of an AUC near one half from that many of each kind
    assert np.mean(aucs) < 0.60 + 2 * error
