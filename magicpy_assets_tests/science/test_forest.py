"""Forests: as arrays they answer as the library that grew them, the same for the same seed, and see only what is so."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from magicpy_assets.core.errors import InputError, UnknownNameError
from magicpy_assets.science.forest import MODELS, flatten_sklearn, flatten_xgboost, importance, train

FEATURES = tuple("abcdef")


def sample(n, seed, classify=False):
    """Columns of very different scales, some with few distinct values; a target that depends on four of them."""
    rng = np.random.default_rng(seed)
    columns = rng.normal(size=(n, 6)) * [1, 1e-3, 1e4, 1, 1, 1] + [0, 0, 1e5, 0, 0, 0]
    columns[:, 3] = rng.integers(0, 4, n)
    columns = columns.astype(np.float32)
    signal = columns[:, 0] + 1e3 * columns[:, 1] + 1e-4 * (columns[:, 2] - 1e5) * (columns[:, 3] > 1)
    noisy = signal + 0.5 * rng.normal(size=n)
    return columns, (noisy > 0).astype(float) if classify else noisy.astype(float)


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 2**31 - 1), st.booleans(), st.booleans())
def test_random_forests_answer_as_scikit_learn(seed, classify, weighted):
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    columns, target = sample(500, seed, classify)
    weights = np.random.default_rng(seed).uniform(0.1, 3, len(columns)) if weighted else None
    grown = (RandomForestClassifier if classify else RandomForestRegressor)(
        15, min_samples_leaf=3, random_state=seed, n_jobs=1
    ).fit(columns, target, sample_weight=weights)
    forest = flatten_sklearn(grown, FEATURES)
    # Events not seen before, and the thresholds themselves, where rounding would show.
    fresh = np.concatenate([sample(2000, seed + 1)[0], columns])
    for tree in grown.estimators_[:5]:
        inner = tree.tree_.feature >= 0
        rows = fresh[: inner.sum()].copy()
        rows[np.arange(len(rows)), tree.tree_.feature[inner][: len(rows)]] = tree.tree_.threshold[inner][: len(rows)]
        fresh = np.concatenate([fresh, rows])
    expected = grown.predict_proba(fresh)[:, 1] if classify else grown.predict(fresh)
    np.testing.assert_allclose(forest.predict(fresh), expected, rtol=1e-12, atol=1e-12)


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 2**31 - 1), st.booleans())
def test_boosted_trees_answer_as_xgboost(seed, classify):
    import xgboost

    columns, target = sample(500, seed, classify)
    parameters = {"objective": "binary:logistic" if classify else "reg:squarederror", "nthread": 1, "max_depth": 5}
    booster = xgboost.train(parameters, xgboost.DMatrix(columns, label=target), 25)
    forest = flatten_xgboost(booster, FEATURES)
    fresh = sample(3000, seed + 1)[0]
    fresh[:1000] = columns[np.arange(1000) % len(columns)]
    conditions = forest.threshold[forest.feature >= 0]
    fresh[1000 : 1000 + min(len(conditions), 1000), 0] = conditions[:1000]
    expected = booster.predict(xgboost.DMatrix(fresh))
    np.testing.assert_allclose(forest.predict(fresh), expected, rtol=1e-6, atol=1e-6 * max(1.0, np.abs(target).max()))


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("classify", [False, True])
def test_the_same_seed_grows_the_same_forest_and_another_a_different_one(model, classify):
    columns, target = sample(300, 1, classify)
    first, again, other = (
        train(model, columns, target, FEATURES, classify=classify, seed=seed, trees=10) for seed in (5, 5, 6)
    )
    assert first.identity == again.identity
    assert first.identity != other.identity
    assert len(first.start) == 11


@pytest.mark.parametrize("model", MODELS)
def test_answers_improve_on_guessing_and_useless_features_are_used_less(model):
    columns, target = sample(3000, 2)
    forest = train(model, columns, target, FEATURES, trees=50)
    fresh, truth = sample(3000, 3)
    unexplained = np.var(forest.predict(fresh) - truth) / np.var(truth)
    noise = 0.25 / np.var(truth)  # what nobody can explain
    assert noise * 0.9 < unexplained < 0.5
    share = importance(forest)
    assert sum(share.values()) == pytest.approx(1.0)
    assert set(share) == set(FEATURES)
    assert min(share["a"], share["b"]) > max(share["e"], share["f"])


@pytest.mark.parametrize("model", MODELS)
def test_weights_count(model):
    """The same event with two answers: the mean follows the weights."""
    columns = np.zeros((200, 6), dtype=np.float32)
    target = np.repeat([0.0, 1.0], 100)
    weights = np.repeat([1.0, 3.0], 100)
    found = train(model, columns, target, FEATURES, weights=weights, trees=100).predict(columns[:1])
    # A random forest draws its events anew for each tree: 100 trees of 200 events.
    assert found[0] == pytest.approx(0.75, abs=5 * np.sqrt(0.75 * 0.25 / (200 * 100)) + 1e-3)


@pytest.mark.parametrize("model", MODELS)
def test_gamma_rays_called_hadrons_cannot_be_told_from_gamma_rays(model):
    """The control: half of the gamma rays of the library labelled hadron must give an area of one half.

    Both halves have other showers, so nothing but the label differs; its sigma is that of ranks without a signal.
    """
    from sklearn.metrics import roc_auc_score

    from magicpy_assets.observatory.library import open_shard
    from magicpy_assets.observatory.telescopes import expose, noise_at
    from magicpy_assets.science.cleaning import CleaningCuts
    from magicpy_assets.science.hillas import PARAMETERS, parametrise

    images = open_shard("gamma_train_05to35").take(np.arange(2500))
    charge, time, _ = expose(images, noise_at(1.0), np.random.default_rng(1))
    found, valid = parametrise(charge[:, 0], time[:, 0], CleaningCuts())
    names = ("size_phe", "length_mm", "width_mm", "conc", "leakage1", "time_gradient_slices_per_mm")
    columns = found[valid][:, [PARAMETERS.index(name) for name in names]].astype(np.float32)
    # Uses of one shower stay together: showers, not events, are labelled and split.
    showers = images.shower[valid]
    label, learns = (np.random.default_rng(seed).random(showers.max() + 1) < 0.5 for seed in (2, 3))
    target, first = label[showers].astype(float), learns[showers]
    forest = train(model, columns[first], target[first], names, classify=True, trees=50)
    n1, n0 = target[~first].sum(), (1 - target[~first]).sum()
    sigma = np.sqrt((n1 + n0 + 1) / (12 * n1 * n0))
    sharing = len(showers) / len(np.unique(showers))  # events of one shower are not independent
    area = roc_auc_score(target[~first], forest.predict(columns[~first]))
    assert area == pytest.approx(0.5, abs=3 * sigma * np.sqrt(sharing))


def test_wrong_input_is_refused():
    columns, target = sample(100, 1)
    with pytest.raises(UnknownNameError, match="random_forst") as caught:
        train("random_forst", columns, target, FEATURES)
    assert "random_forest" in caught.value.hint
    with pytest.raises(InputError, match="too few"):
        train("xgboost", columns[:49], target[:49], FEATURES)
    for bad in (np.nan, np.inf):
        columns[3, 2] = bad
        with pytest.raises(InputError, match="not finite"):
            train("random_forest", columns, target, FEATURES)
    forest = train("random_forest", *sample(100, 1), FEATURES, trees=3)
    with pytest.raises(InputError, match="takes 6 features, not 5"):
        forest.predict(sample(10, 1)[0][:, :5])
    assert len(forest.predict(np.empty((0, 6), dtype=np.float32))) == 0
