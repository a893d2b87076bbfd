"""Forests in files: the same answers after reading, and nothing damaged or foreign taken for a forest."""

from dataclasses import replace

import numpy as np
import pytest

from magicpy_assets.core.errors import InputError, MissingInputError
from magicpy_assets.formats.forests import read_forest, write_forest
from magicpy_assets.formats.root_writer import Writer
from magicpy_assets.science.forest import train

FEATURES = ("size", "length", "width")


@pytest.fixture(scope="module")
def columns():
    return np.random.default_rng(1).normal(size=(400, 3)).astype(np.float32)


@pytest.mark.parametrize("model", ["random_forest", "xgboost"])
@pytest.mark.parametrize("classify", [False, True])
def test_a_forest_gives_the_same_answers_after_reading(tmp_path, columns, model, classify):
    target = (columns[:, 0] > 0).astype(float) if classify else columns[:, 0] * 2.0 + columns[:, 1]
    forest = train(model, columns, target, FEATURES, classify=classify, seed=1, trees=8)
    path = tmp_path / "RF.root"
    write_forest(path, forest, {"coach": "test", "mc": "a b"})
    found, provenance = read_forest(path)
    assert provenance == {"coach": "test", "mc": "a b"}
    assert found.features == FEATURES
    assert found.identity == forest.identity
    np.testing.assert_array_equal(found.predict(columns), forest.predict(columns))


@pytest.mark.parametrize("name", ["value", "threshold", "left", "feature", "start"])
def test_changed_trees_are_noticed(tmp_path, columns, monkeypatch, name):
    forest = train("random_forest", columns, columns[:, 0].astype(float), FEATURES, trees=3)
    array = getattr(forest, name).copy()
    array[1] += 1
    changed = replace(forest, **{name: array})
    assert changed.identity != forest.identity
    path = tmp_path / "RF.root"
    with monkeypatch.context() as patch:
        patch.setattr(type(forest), "identity", forest.identity)  # written by one who does not tell
        write_forest(path, changed, {})
    with pytest.raises(InputError, match="damaged"):
        read_forest(path)


def test_files_that_are_no_forests_are_refused(tmp_path, columns):
    with pytest.raises(MissingInputError):
        read_forest(tmp_path / "nothing.root")
    path = tmp_path / "other.root"
    with Writer(path) as file:
        file.tree("Events", {"MHillas.fSize": np.ones(3)})
    with pytest.raises(InputError, match="not a forest of the embedded coach"):
        read_forest(path)
    forest = train("random_forest", columns, columns[:, 0].astype(float), FEATURES, trees=3)
    write_forest(path, forest, {})
    whole = path.read_bytes()
    for share in (0.2, 0.7, 0.95):
        path.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(InputError) as caught:
            read_forest(path)
        assert "\n" not in caught.value.message
