"""Settings: file, environment, arguments, each over the one before; wrong ones refused all at once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from magicpy_assets.core.credentials import archive_password
from magicpy_assets.core.errors import ConfigError
from magicpy_assets.core.settings import Settings, known_keys, load_settings


@pytest.fixture(autouse=True)
def nothing_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in and no setting in the environment."""
    for name in [name for name in os.environ if name.startswith("MAGICPY_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_defaults_need_nothing() -> None:
    settings = load_settings()
    assert settings == Settings()
    assert (settings.archive.url, settings.mars.installation, settings.compute.kind) == (
        "embedded",
        "embedded",
        "local",
    )
    assert dict(settings.origins) == {}
    assert {key for key, _, origin, _ in settings.explain() if origin == "default"} == set(known_keys())


def test_each_layer_wins_over_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "magicpy.toml"
    file.write_text(
        'store = "data"\nsources = ["Mrk421"]\n[archive]\nuser = "me"\nconcurrency = 2\n[compute]\nworkers = 3\n'
    )
    monkeypatch.setenv("MAGICPY_ARCHIVE__CONCURRENCY", "7")
    monkeypatch.setenv("MAGICPY_COMPUTE__WORKERS", "5")
    settings = load_settings(compute={"workers": 1})
    assert (settings.archive.user, settings.archive.concurrency, settings.compute.workers) == ("me", 7, 1)
    assert settings.sources == ("Mrk421",)
    assert dict(settings.origins) == {
        "store": str(file),
        "sources": str(file),
        "archive.user": str(file),
        "archive.concurrency": "MAGICPY_ARCHIVE__CONCURRENCY",
        "compute.workers": "argument",
    }
    told = {key: (value, origin) for key, value, origin, _ in settings.explain()}
    assert told["archive.concurrency"] == ("7", "MAGICPY_ARCHIVE__CONCURRENCY")
    assert told["archive.offline"] == ("False", "default")


def test_dotted_arguments_are_nested_ones() -> None:
    assert load_settings(**{"archive.url": "http://x"}) == load_settings(archive={"url": "http://x"})


def test_lists_in_the_environment_are_split(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAGICPY_SOURCES", "CrabNebula,Mrk421")
    assert load_settings().sources == ("CrabNebula", "Mrk421")


def test_the_file_is_found_upwards_and_its_paths_are_meant_from_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "magicpy.toml").write_text(
        'store = "here"\n[observatory]\ncache = "sim"\n[mars]\nmarssys = "/opt/mars"\nrootsys = "~/root"\n'
    )
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    settings = load_settings()
    assert settings.store == tmp_path / "here"
    assert settings.observatory.folder == tmp_path / "sim"
    assert settings.mars.marssys == Path("/opt/mars")
    assert settings.mars.rootsys == Path.home() / "root"


def test_a_named_file_wins_and_must_be_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "magicpy.toml").write_text('store = "found"\n')
    other = tmp_path / "other.toml"
    other.write_text('store = "named"\n')
    monkeypatch.setenv("MAGICPY_CONFIG", str(other))
    assert load_settings().store == tmp_path / "named"
    assert load_settings(tmp_path / "magicpy.toml").store == tmp_path / "found"
    monkeypatch.setenv("MAGICPY_CONFIG", str(tmp_path / "missing.toml"))
    with pytest.raises(ConfigError, match=r"missing\.toml"):
        load_settings()


def test_all_wrong_keys_are_named_at_once_with_the_nearest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "magicpy.toml"
    file.write_text('stor = "x"\n[archive]\npassword = "secret"\nurll = "x"\n')
    monkeypatch.setenv("MAGICPY_COMPUTE__WORKER", "1")
    with pytest.raises(ConfigError) as caught:
        load_settings(forrest={"model": "xgboost"})
    lines = caught.value.message.splitlines()
    assert len(lines) == 5
    assert lines[0] == f"{file}: unknown setting 'stor' (did you mean store?)"
    assert "'archive.password'" in lines[1]
    assert "archive.url" in lines[2]
    assert lines[3] == "MAGICPY_COMPUTE__WORKER: unknown setting 'compute.worker' (did you mean compute.workers?)"
    assert "forest.model" in lines[4]
    assert "secret" not in str(caught.value)


def test_all_wrong_values_are_named_at_once_with_their_origin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAGICPY_ARCHIVE__CONCURRENCY", "many")
    with pytest.raises(ConfigError) as caught:
        load_settings(forest={"model": "trees"}, sources=[1])
    message = caught.value.message
    assert "MAGICPY_ARCHIVE__CONCURRENCY: archive.concurrency = 'many'" in message
    assert "argument: forest.model = 'trees'" in message
    assert "argument: sources = 1" in message


def test_a_file_that_is_not_toml_is_named(tmp_path: Path) -> None:
    (tmp_path / "magicpy.toml").write_text("store = \n")
    with pytest.raises(ConfigError, match=r"magicpy\.toml is not TOML"):
        load_settings()


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_settings().store = Path("x")


def test_the_password_is_no_setting_and_comes_from_the_environment_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine data.example.org login me password from-netrc\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    here = load_settings(archive={"url": "http://data.example.org/Data"})
    assert archive_password(here) == "from-netrc"
    assert archive_password(load_settings(archive={"url": "http://elsewhere.example.org"})) is None
    monkeypatch.setenv("MAGICPY_ARCHIVE_PASSWORD", "from-environment")
    assert archive_password(load_settings(archive={"url": "http://data.example.org/Data"})) == "from-environment"
    assert not any("password" in key for key in known_keys())


def test_without_netrc_host_or_user_there_is_no_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert archive_password(load_settings()) is None
    broken = tmp_path / "broken"
    broken.write_text("machine\n")
    monkeypatch.setenv("NETRC", str(broken))
    assert archive_password(load_settings(archive={"url": "http://data.example.org"})) is None


def test_cuts_and_spectra_become_keys_of_run_cards() -> None:
    settings = load_settings(
        dl3={"kind": "full-enclosure", "hadronness_cut": 0.3, "theta_efficiency": 0.8},
        spectra={"model": "power_law", "light_curve": "10 min", "energy_scale": 0.15, "redshift": "auto"},
    )
    assert settings.dl3.card() == {"dl3.kind": "full-enclosure", "dl3.fixedHadCut": 0.3, "dl3.Theta2Effi": 0.8}
    assert settings.spectra.card_of("Mrk421") == {
        "spectra.model": "power_law", "spectra.LCbinning": "10 min", "spectra.energyScale": 0.15,
        "spectra.redshift": 0.031,
    }  # fmt: skip
    assert "spectra.redshift" not in settings.spectra.card_of("CrabNebula")
    assert load_settings().dl3.card() == {"dl3.kind": "point-like"}
    assert load_settings().spectra.card_of("Mrk421") == {}


@pytest.mark.parametrize(
    ("section", "values", "words"),
    [
        ("dl3", {"hadronness_efficiency": 1.2}, "less than or equal to 1"),
        ("dl3", {"theta2_cut_deg2": 0.5}, "less than or equal to 0.16"),
        ("dl3", {"hadronness_cut": 0.3, "hadronness_efficiency": 0.9}, "the hadronness cut is either fixed"),
        ("dl3", {"theta2_min_deg2": 0.04, "theta2_max_deg2": 0.02}, "the lowest direction cut, 0.04, is above"),
        ("spectra", {"model": "power-law"}, "power_law_cutoff"),
        ("spectra", {"light_curve": "weeks"}, "should match pattern"),
        ("spectra", {"energy_min_tev": 3.0, "energy_max_tev": 1.0}, "the lowest energy, 3 TeV, is not below"),
        ("spectra", {"redshift": "high"}, "auto"),
    ],
)
def test_cuts_and_spectra_that_make_no_sense_are_refused(section: str, values: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load_settings(**{section: values})
