"""One image: what a mono reconstruction must do whatever the forests say, and what forests make of known images."""

import numpy as np
import pandas as pd
import pytest

from magicpy_assets.science import mono
from magicpy_assets.science.mono_training import Mono, grow_mono
from magicpy_assets.science.training import Sample

N = 3000


def images(n=N, seed=1, telescope=1, *, hadron=False):
    """Images of a toy whose disp grows with its length, and whose tail is later and longer; hadrons are wider."""
    rng = np.random.default_rng(seed)
    length = rng.uniform(20, 60, n)
    delta = rng.uniform(-np.pi / 2, np.pi / 2, n)
    side = rng.choice([-1.0, 1.0], n)
    disp = 5.0 * length + rng.normal(0, 5, n)
    x, y = rng.normal(0, 100, n), rng.normal(0, 100, n)
    energy = 10 ** rng.uniform(2, 4, n)
    table = {
        "size_phe": energy * rng.lognormal(0, 0.2, n),
        "length_mm": length,
        "width_mm": length * (0.3 + 0.4 * hadron) * rng.lognormal(0, 0.2, n),
        "delta_rad": delta,
        "mean_x_mm": x,
        "mean_y_mm": y,
        "m3_long_mm": -side * length * 0.3 + rng.normal(0, 3, n),
        "asym_mm": -side * 5 + rng.normal(0, 5, n),
        "time_gradient_slices_per_mm": -side * 0.03 + rng.normal(0, 0.01, n),
        "leakage1": np.zeros(n),
        "conc": rng.uniform(0.1, 0.4, n),
        "n_islands": np.ones(n),
        "pointing_zd_deg": rng.uniform(5, 35, n),
        "source_x_mm": x + side * disp * np.cos(delta),
        "source_y_mm": y + side * disp * np.sin(delta),
        "energy_gev": energy,
    }
    found = pd.DataFrame({f"{name}_{telescope}": values for name, values in table.items()})
    of_event = ("pointing_zd_deg", "source_x_mm", "source_y_mm", "energy_gev")
    return found.assign(**{f"{name}_1": table[name] for name in of_event})


@pytest.fixture(scope="module", params=[1, 2])
def grown(request):
    telescope = request.param
    sample = Sample(
        images(telescope=telescope),
        np.arange(N),
        images(seed=2, telescope=telescope, hadron=True),
        np.repeat([1, 2, 3], N // 3),
    )
    said = []
    forests, report = grow_mono(sample, telescope, "xgboost", 3, said.append)
    return forests, report, images(seed=5, telescope=telescope)


def test_directions_ends_and_energies_of_known_images_are_found(grown):
    forests, report, seen = grown
    n = forests.telescope
    found = forests.locate(seen)
    right = found.side == mono.true_side(seen, n)
    assert right.mean() > 0.98
    assert report["head_tail"] > 0.98
    assert report["telescopes"] == [n]
    error = np.hypot(found.x_mm - seen["source_x_mm_1"], found.y_mm - seen["source_y_mm_1"])[right]
    # The toy's disp is spread by 5 mm, which no forest can know.
    assert np.quantile(error, 0.68) < 12
    energy, hadronness = forests.judge(seen, found)
    assert np.corrcoef(np.log10(energy), np.log10(seen["energy_gev_1"]))[0, 1] > 0.97
    hadrons = images(seed=7, telescope=n, hadron=True)
    assert np.median(hadronness) < 0.1 < 0.9 < np.median(forests.judge(hadrons, forests.locate(hadrons))[1])
    assert report["auc"] > 0.95
    assert {row["telescope"] for row in report["disp"]} == {n}
    assert set(report["importance"]) == {f"direction_{n}", f"head_tail_{n}", "energy", "hadronness"}


def test_an_image_whose_axis_points_the_other_way_is_the_same_image(grown):
    """Delta is known but for half a turn: nothing that is found may depend on it."""
    forests, _, seen = grown
    n = forests.telescope
    turned = seen.assign(**{f"delta_rad_{n}": seen[f"delta_rad_{n}"] + np.pi})
    for name in ("m3_long_mm", "asym_mm", "time_gradient_slices_per_mm"):
        turned[f"{name}_{n}"] *= -1
    one, other = forests.locate(seen), forests.locate(turned)
    np.testing.assert_allclose(one.x_mm, other.x_mm, atol=1e-6)
    np.testing.assert_allclose(one.y_mm, other.y_mm, atol=1e-6)
    np.testing.assert_allclose(one.probability, other.probability)
    np.testing.assert_array_equal(one.side, -other.side)
    for a, b in zip(forests.judge(seen, one), forests.judge(turned, other), strict=True):
        np.testing.assert_allclose(a, b)


def test_no_feature_knows_where_in_the_camera_an_image_lies(grown):
    forests, _, seen = grown
    n = forests.telescope
    moved = seen.assign(**{f"mean_x_mm_{n}": seen[f"mean_x_mm_{n}"] + 50, f"mean_y_mm_{n}": seen[f"mean_y_mm_{n}"] - 9})
    one, other = forests.locate(seen), forests.locate(moved)
    np.testing.assert_allclose(other.x_mm - one.x_mm, 50)
    np.testing.assert_allclose(other.y_mm - one.y_mm, -9)
    for a, b in zip(forests.judge(seen, one), forests.judge(moved, other), strict=True):
        np.testing.assert_array_equal(a, b)


def test_small_and_shapeless_images_are_left_out():
    seen = images(10)
    seen.loc[0, "size_phe_1"] = 40.0
    seen.loc[1, "length_mm_1"] = 0.0
    assert mono.usable(seen, 1, 50.0).tolist() == [False, False] + [True] * 8


def test_both_directions_of_the_axis_are_learnt_alike():
    """However lopsided the sample: a forest that saw every source on one side must not prefer it."""
    seen = images(seed=9)
    mine = seen[mono.true_side(seen, 1) > 0]
    _, head_tail = Mono(1).grow(mine, "xgboost", 1)
    columns = mono.head_tail_columns(seen, 1)
    head = mono.probability_of_head(head_tail, columns)
    np.testing.assert_allclose(head + mono.probability_of_head(head_tail, mono.turned(columns)), 1.0)
    assert ((head > 0.5) == (mono.true_side(seen, 1) > 0)).mean() > 0.98
