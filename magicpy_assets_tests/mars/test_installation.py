"""Where programs come from: the embedded engine, or an installed MARS of which everything missing is named."""

from __future__ import annotations

import sys

import pytest

from magicpy_assets.compute.base import execute
from magicpy_assets.core.errors import ConfigError
from magicpy_assets.core.settings import load_settings
from magicpy_assets.mars.installation import STOCK_CARDS, Installation
from magicpy_assets.mars.programs import Spectra, Star
from magicpy_assets.version import __version__

Y = "20210314_M1_05095172.001_Y_CrabNebula-W0.40+035.root"


@pytest.fixture(autouse=True)
def _no_mars_of_ours(monkeypatch):
    for name in ("MARSSYS", "ROOTSYS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def star(tmp_path):
    (tmp_path / Y).write_bytes(b"content")
    return Star(tmp_path / Y, out=tmp_path / "out")


def test_the_embedded_engine_is_the_default(star, tmp_path):
    found = Installation.from_settings(load_settings())
    assert found.is_embedded
    assert found.missing() == []
    assert found.version == f"embedded {__version__}"
    command = found.command_for(star, log=tmp_path / "star.log")
    assert command.argv[:4] == (sys.executable, "-m", "magicpy_assets.engine", "star")
    assert command.entry == "magicpy_assets.engine.__main__:main"
    assert star.out.is_dir()


def test_an_installed_mars_is_found_by_settings_or_environment(mars, monkeypatch):
    given = {"installation": "installed", "marssys": str(mars.marssys), "rootsys": str(mars.rootsys)}
    assert Installation.from_settings(load_settings(mars=given)) == mars.installation
    monkeypatch.setenv("MARSSYS", str(mars.marssys))
    monkeypatch.setenv("ROOTSYS", str(mars.rootsys))
    assert Installation.from_settings(load_settings(mars={"installation": "installed"})) == mars.installation


def test_without_a_place_it_says_where_one_could_be_named():
    with pytest.raises(ConfigError, match=r"mars\.marssys nor \$MARSSYS"):
        Installation.from_settings(load_settings(mars={"installation": "installed"}))


def test_everything_missing_is_named_at_once(mars, tmp_path):
    (mars.marssys / "coach").unlink()
    (mars.marssys / "melibea").chmod(0o644)
    (mars.marssys / "star").unlink()
    (mars.marssys / "star").mkdir()
    given = {"installation": "installed", "marssys": str(mars.marssys), "rootsys": str(tmp_path / "no root")}
    with pytest.raises(ConfigError) as caught:
        Installation.from_settings(load_settings(mars=given))
    text = str(caught.value)
    named = {name: f"no program {name} in" in text for name in STOCK_CARDS}
    assert named == {"star": True, "superstar": False, "coach": True, "melibea": True}
    assert str(tmp_path / "no root") in text
    assert Installation(mars.marssys, None).missing()[-1] == "no ROOT: set mars.rootsys or $ROOTSYS"


def test_programs_may_lie_in_bin(mars):
    (mars.marssys / "bin").mkdir()
    for name in STOCK_CARDS:
        (mars.marssys / name).rename(mars.marssys / "bin" / name)
    assert mars.installation.missing() == []


def test_it_tells_its_version(mars):
    assert mars.installation.version == "MARS V3-1-7"
    (mars.marssys / "star").write_text("#!/bin/sh\necho no number here\n")
    assert mars.installation.version == "MARS of unknown version"


def test_a_program_that_cannot_be_asked_has_no_version(mars):
    (mars.marssys / "star").write_bytes(b"\x7fELF of another machine")
    assert mars.installation.version == "MARS of unknown version"


def test_children_see_little_of_our_environment(mars, star, tmp_path, monkeypatch):
    monkeypatch.setenv("MAGICPY_ARCHIVE_PASSWORD", "c0rrect-horse-battery")
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    monkeypatch.setenv("HOME", "/home/shifter")
    environment = mars.installation.environment()
    assert environment["MARSSYS"] == str(mars.marssys)
    assert environment["ROOTSYS"] == str(mars.rootsys)
    assert environment["HOME"] == "/home/shifter"
    assert f"{mars.rootsys}/lib" in environment["LD_LIBRARY_PATH"].split(":")
    log = tmp_path / "star.log"
    assert execute(mars.installation.command_for(star, log=log)).returncode == 0
    seen = next(line for line in log.read_text().splitlines() if "environment:" in line)
    assert "MARSSYS" in seen
    assert "PASSWORD" not in seen
    assert "PYTHONPATH" not in seen


def test_what_mars_does_not_have_is_always_of_the_engine(mars, tmp_path):
    command = mars.installation.command_for(Spectra([], "CrabNebula", out=tmp_path), log=tmp_path / "spectra.log")
    assert "magicpy_assets.engine" in command.argv


def test_a_program_that_has_gone_since(mars, star, tmp_path):
    (mars.marssys / "star").unlink()
    with pytest.raises(ConfigError, match="no program star"):
        mars.installation.command_for(star, log=tmp_path / "star.log")
