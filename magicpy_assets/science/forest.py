"""Forests: decision trees as plain arrays, whoever grew them, and one walker that applies them.

Random forests come from scikit-learn, boosted trees from XGBoost; both are turned into the same arrays, which are safe
to store and give the same answers as the library that made them.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from magicpy_assets.core.errors import InputError, unknown

Floats = NDArray[np.float64]

MODELS = ("random_forest", "xgboost")
MEAN, SUM, LOGISTIC = "mean", "sum", "logistic"
_LEAF = -1


@dataclass(frozen=True)
class Forest:
    """Trees as arrays over all nodes.

    Attributes
    ----------
    features
        Names of the features, in the order of the columns.
    start
        First node of each tree, and the number of nodes at the end.
    feature, threshold, left, right, value
        For each node: feature to look at (-1 for a leaf), go left if it is at most the threshold, children, value.
    link
        How leaves become an answer: `mean`, `sum` (on top of `base`) or `logistic` of that sum.
    """

    features: tuple[str, ...]
    start: NDArray[np.int64]
    feature: NDArray[np.int16]
    threshold: NDArray[np.float32]
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    value: NDArray[np.float64]
    link: str = MEAN
    base: float = 0.0

    @property
    def identity(self) -> str:
        """A hash over everything that determines the answers."""
        digest = hashlib.sha256(repr((self.features, self.link, round(self.base, 9))).encode())
        for array in (self.start, self.feature, self.threshold, self.left, self.right, self.value):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()[:16]

    def predict(self, columns: NDArray[np.float32]) -> Floats:
        """Return the answer for each row of (n, features).

        Raises
        ------
        InputError
            If the number of columns is wrong.
        """
        if columns.ndim != 2 or columns.shape[1] != len(self.features):
            raise InputError(f"the forest takes {len(self.features)} features, not {columns.shape[-1]}")
        total = np.zeros(len(columns))
        rows = np.ascontiguousarray(columns, dtype=np.float32)
        _walk(rows, self.start, self.feature, self.threshold, self.left, self.right, self.value, total)
        if self.link == MEAN:
            return total / (len(self.start) - 1)
        total += self.base
        return 1.0 / (1.0 + np.exp(-total)) if self.link == LOGISTIC else total


@njit(cache=True, nogil=True)
def _walk(
    rows: NDArray[np.float32],
    start: NDArray[np.int64],
    feature: NDArray[np.int16],
    threshold: NDArray[np.float32],
    left: NDArray[np.int32],
    right: NDArray[np.int32],
    value: Floats,
    total: Floats,
) -> None:
    """Add up the leaves that each row ends in; all rows pass one tree before the next, so that it stays cached."""
    for tree in range(len(start) - 1):
        root = start[tree]
        for row in range(rows.shape[0]):
            node = root
            while feature[node] >= 0:
                node = left[node] if rows[row, feature[node]] <= threshold[node] else right[node]
            total[row] += value[node]


def train(
    model: str,
    columns: NDArray[np.float32],
    target: Floats,
    features: tuple[str, ...],
    *,
    weights: Floats | None = None,
    classify: bool = False,
    seed: int = 0,
    trees: int = 100,
) -> Forest:
    """Grow a forest.

    Parameters
    ----------
    model
        `random_forest` or `xgboost`.
    columns, target, weights
        (n, features), (n,), (n,); for classification the target is 0 or 1 and the answer the probability of 1.

    Raises
    ------
    InputError
        With fewer than 50 rows, or values that are not finite.
    """
    if model not in MODELS:
        raise unknown("kind of forest", model, MODELS)
    if len(columns) < 50:
        raise InputError(f"{len(columns)} events are too few to grow a forest; at least 50 are needed")
    if not (np.isfinite(columns).all() and np.isfinite(target).all()):
        raise InputError("some training values are not finite")
    grow = _random_forest if model == "random_forest" else _boosted_trees
    return grow(columns, target, features, weights, classify, seed, trees)


def _random_forest(
    columns: NDArray[np.float32],
    target: Floats,
    features: tuple[str, ...],
    weights: Floats | None,
    classify: bool,
    seed: int,
    trees: int,
) -> Forest:
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    kind = RandomForestClassifier if classify else RandomForestRegressor
    share: Any = "sqrt" if classify else 0.5
    grown = kind(trees, min_samples_leaf=5, max_features=share, random_state=seed, n_jobs=1)
    grown.fit(columns, target, sample_weight=weights)
    return flatten_sklearn(grown, features)


def flatten_sklearn(grown: Any, features: tuple[str, ...]) -> Forest:
    """Turn a forest of scikit-learn into arrays; thresholds are rounded down to float32, which keeps every decision."""
    parts = [estimator.tree_ for estimator in grown.estimators_]
    start = np.concatenate([[0], np.cumsum([part.node_count for part in parts])]).astype(np.int64)
    threshold = np.concatenate([part.threshold for part in parts])
    rounded = threshold.astype(np.float32)
    rounded = np.where(rounded > threshold, np.nextafter(rounded, np.float32(-np.inf)), rounded).astype(np.float32)
    values = []
    for part in parts:
        value = part.value[:, 0, :]
        values.append(value[:, 1] / value.sum(axis=1) if value.shape[1] == 2 else value[:, 0])
    offsets = np.repeat(start[:-1], np.diff(start))
    left, right = (
        np.concatenate([getattr(part, side) for part in parts]) for side in ("children_left", "children_right")
    )
    return Forest(
        features=features,
        start=start,
        feature=np.where(left < 0, _LEAF, np.concatenate([part.feature for part in parts])).astype(np.int16),
        threshold=rounded,
        left=np.where(left < 0, 0, left + offsets).astype(np.int32),
        right=np.where(right < 0, 0, right + offsets).astype(np.int32),
        value=np.concatenate(values),
    )


def _boosted_trees(
    columns: NDArray[np.float32],
    target: Floats,
    features: tuple[str, ...],
    weights: Floats | None,
    classify: bool,
    seed: int,
    trees: int,
) -> Forest:
    import xgboost

    data = xgboost.DMatrix(columns, label=target, weight=None if weights is None else weights / np.mean(weights))
    parameters = {
        "objective": "binary:logistic" if classify else "reg:squarederror",
        "max_depth": 6,
        "eta": 0.1,
        "min_child_weight": 5,
        "subsample": 0.8,
        "colsample_bytree": 0.8,
        "tree_method": "hist",
        "nthread": 1,
        "seed": seed,
        "base_score": 0.5 if classify else float(np.average(target, weights=weights)),
    }
    return flatten_xgboost(xgboost.train(parameters, data, trees), features)


def flatten_xgboost(booster: Any, features: tuple[str, ...]) -> Forest:
    """Turn boosted trees into arrays; `x < t` of XGBoost is `x <= ` the float32 below t."""
    learner = json.loads(bytes(booster.save_raw("json")))["learner"]
    logistic = learner["objective"]["name"] == "binary:logistic"
    score = float(str(learner["learner_model_param"]["base_score"]).strip("[]"))
    trees = learner["gradient_booster"]["model"]["trees"]
    start = np.concatenate([[0], np.cumsum([len(tree["left_children"]) for tree in trees])]).astype(np.int64)
    offsets = np.repeat(start[:-1], np.diff(start))

    def joined(name: str, dtype: Any) -> NDArray[Any]:
        return np.concatenate([np.asarray(tree[name], dtype=dtype) for tree in trees])

    left, right = joined("left_children", np.int64), joined("right_children", np.int64)
    condition = joined("split_conditions", np.float32)
    leaf = left < 0
    return Forest(
        features=features,
        start=start,
        feature=np.where(leaf, _LEAF, joined("split_indices", np.int64)).astype(np.int16),
        threshold=np.where(leaf, 0, np.nextafter(condition, np.float32(-np.inf))).astype(np.float32),
        left=np.where(leaf, 0, left + offsets).astype(np.int32),
        right=np.where(leaf, 0, right + offsets).astype(np.int32),
        value=np.where(leaf, condition, 0).astype(np.float64),
        link=LOGISTIC if logistic else SUM,
        base=float(np.log(score / (1 - score))) if logistic else score,
    )


def importance(forest: Forest) -> dict[str, float]:
    """Return the share of all decisions that look at each feature."""
    used = forest.feature[forest.feature >= 0]
    counts = np.bincount(used, minlength=len(forest.features))
    return {name: float(count / max(len(used), 1)) for name, count in zip(forest.features, counts, strict=True)}
