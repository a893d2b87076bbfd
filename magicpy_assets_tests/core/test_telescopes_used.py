"""Which telescopes are meant, however it is said."""

import pytest

from magicpy_assets.core import telescopes
from magicpy_assets.core.errors import ConfigError, InputError
from magicpy_assets.core.settings import load_settings
from magicpy_assets.core.telescopes import M1, M2, STEREO


@pytest.mark.parametrize(
    ("said", "meant"),
    [((1, 2), STEREO), ([2, 1], STEREO), ("1,2", STEREO), ((1,), M1), (1, M1), ("1", M1), (["2"], M2), (M2, M2)],
)
def test_telescopes_can_be_said_in_many_ways(said, meant):
    assert telescopes.of(said) == meant


@pytest.mark.parametrize("said", [(), (3,), (1, 1), "M3", 0, (1, 2, 3), "1,", True])
def test_other_telescopes_are_refused_with_what_is_allowed(said):
    with pytest.raises(InputError, match=r"no telescopes of MAGIC") as found:
        telescopes.of(said)
    assert "(1,) for M1 alone" in str(found.value)


def test_what_each_is_called():
    assert [one.text for one in telescopes.ALL] == ["stereo", "mono, M1", "mono, M2"]
    assert [one.suffix for one in telescopes.ALL] == ["", "-M1", "-M2"]
    assert [one.alone for one in telescopes.ALL] == [None, 1, 2]


def test_the_setting_comes_from_file_environment_and_argument(tmp_path, monkeypatch):
    assert load_settings().array == STEREO
    path = tmp_path / "magicpy.toml"
    path.write_text("telescopes = [1]\n", encoding="utf-8")
    assert load_settings(path).array == M1
    monkeypatch.setenv("MAGICPY_TELESCOPES", "2")
    assert load_settings(path).array == M2
    assert load_settings(path, telescopes=(2, 1)).array == STEREO
    path.write_text(load_settings(telescopes=(1,)).to_toml(), encoding="utf-8")
    monkeypatch.delenv("MAGICPY_TELESCOPES")
    assert load_settings(path).telescopes == (1,)


def test_a_wrong_setting_is_told_with_what_is_allowed():
    with pytest.raises(ConfigError, match=r"telescopes = \[3\].*\(1,\) for M1 alone"):
        load_settings(telescopes=[3])
