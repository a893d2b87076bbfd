"""Where programs come from: the embedded engine, or an installed MARS of which everything missing is named."""

from __future__ import annotations

import glob
import sys
from pathlib import Path

import pytest

from magicpy_assets.compute.base import execute
from magicpy_assets.core.errors import ConfigError, InputError
from magicpy_assets.core.settings import load_settings
from magicpy_assets.formats.runcard import Runcard
from magicpy_assets.mars.found import CARD_FOLDER, STOCK_CARDS
from magicpy_assets.mars.installation import CHAIN, Installation
from magicpy_assets.mars.programs import Coach, Spectra, Star, SuperStar
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
    found = Installation.from_settings(load_settings(mars=given))
    assert (found.marssys, found.rootsys) == (mars.marssys, mars.rootsys)
    monkeypatch.setenv("MARSSYS", str(mars.marssys))
    monkeypatch.setenv("ROOTSYS", str(mars.rootsys))
    assert Installation.from_settings(load_settings(mars={"installation": "installed"})) == found


def test_without_a_place_it_says_where_one_could_be_named():
    with pytest.raises(ConfigError, match=r"mars\.marssys nor \$MARSSYS"):
        Installation.from_settings(load_settings(mars={"installation": "installed"}))


def test_everything_missing_is_named_at_once(mars, tmp_path):
    (mars.marssys / "coach").unlink()
    (mars.marssys / "melibea").chmod(0o644)
    (mars.marssys / "star").unlink()
    (mars.marssys / "star").mkdir()
    (mars.marssys / CARD_FOLDER / "star_M2_OSA.rc").unlink()
    given = {"installation": "installed", "marssys": str(mars.marssys), "rootsys": str(tmp_path / "no root")}
    with pytest.raises(ConfigError) as caught:
        Installation.from_settings(load_settings(mars=given))
    text = str(caught.value)
    named = {name: f"no program {name} in" in text for name in CHAIN}
    assert named == {"star": True, "superstar": False, "coach": True, "melibea": True}
    assert str(tmp_path / "no root") in text
    assert [f"no run card {card} in" in text for card in STOCK_CARDS["star"]] == [False, True]
    assert Installation(mars.marssys, None).missing()[-1] == "no ROOT: set mars.rootsys or $ROOTSYS"


def test_programs_may_lie_in_bin(mars):
    (mars.marssys / "bin").mkdir()
    for name in CHAIN:
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


@pytest.mark.parametrize("telescope", [1, 2])
def test_mars_runs_with_its_stock_card_below_what_was_set(mars, tmp_path, telescope):
    path = tmp_path / Y.replace("_M1_", f"_M{telescope}_")
    path.write_bytes(b"content")
    star = Star(path, out=tmp_path / "out").set_parameter("MJStar.MImgCleanStd.CleanLevel1", 8.5)
    log = tmp_path / "star.log"
    assert execute(mars.installation.command_for(star, log=log)).returncode == 0
    stock = Runcard.read(mars.marssys / CARD_FOLDER / f"star_M{telescope}_OSA.rc")
    used = Runcard.read(tmp_path / "out" / ".logs" / f"{path.stem.replace('_Y_', '_I_')}.rc")
    assert str(used).endswith(str(stock))
    assert used.changes(stock) == {"MJStar.MImgCleanStd.CleanLevel1": ("6.0", "8.5")}
    text = log.read_text()
    assert "card: MJStar.MImgCleanStd.CleanLevel1 = 8.5" in text
    assert f"card: MJstar.Stock = star_M{telescope}_OSA.rc" in text


def test_mars_is_told_one_pattern_for_each_flag(mars, tmp_path):
    stem = "20210314_M{}_05095172.{:03d}_I_CrabNebula-W0.40+035.root"
    files = [tmp_path / "[a]" / stem.format(telescope, subrun) for telescope in (1, 2) for subrun in (1, 2, 11)]
    files[0].parent.mkdir()
    for path in files:
        path.write_bytes(b"content")
    superstar = SuperStar(files, out=tmp_path / "out")
    assert sum(word.startswith("--ind") for word in superstar.arguments()) == 6
    command = mars.installation.command_for(superstar, log=tmp_path / "superstar.log")
    patterns = [word.partition("=")[2] for word in command.argv if word.startswith("--ind")]
    assert [sorted(map(Path, glob.glob(pattern))) for pattern in patterns] == [files[:3], files[3:]]  # noqa: PTH207
    assert execute(command).returncode == 0
    assert superstar.outputs[0].is_file()


def test_what_no_pattern_names_is_linked_into_a_folder_of_its_own(mars, tmp_path):
    names = [Y.replace(".001_", f".{subrun:03d}_").replace("_Y_", "_I_") for subrun in (1, 2, 3)]
    files = [tmp_path / "[a]" / name.replace("_M1_", f"_M{telescope}_") for name in names for telescope in (1, 2)]
    files[0].parent.mkdir()
    for path in files:
        path.write_bytes(b"content")
    left_out = SuperStar([path for path in files if ".002_" not in path.name], out=tmp_path / "out")
    command = mars.installation.command_for(left_out, log=tmp_path / "logs" / "superstar.log")
    patterns = [word.partition("=")[2] for word in command.argv if word.startswith("--ind")]
    found = [sorted(Path(name).resolve() for name in glob.glob(pattern)) for pattern in patterns]  # noqa: PTH207
    assert found == [[files[0], files[4]], [files[1], files[5]]]
    assert execute(command).returncode == 0
    assert left_out.outputs[0].is_file()


def test_lists_of_files_in_cards_become_patterns_too(mars, tmp_path):
    mc = [tmp_path / f"GA_za05to35_8_82431{number}_S_w0.root" for number in (8, 9)]
    off = [tmp_path / folder / f"20210314_0509517{run}_S_Off-W0.40+035.root" for run, folder in enumerate("ab")]
    for path in (*mc, *off):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"content")
    coach = Coach(mc, off, out=tmp_path / "rf")
    mars.installation.command_for(coach, log=tmp_path / "coach.log")
    values = Runcard.read(coach.card_path).values
    assert values["RF.mcdata"] == f"{tmp_path}/GA_za05to35_8_82431*_S_w0.root"
    assert sorted(Path(name).resolve() for name in glob.glob(values["RF.data"])) == off  # noqa: PTH207
    assert "RF.model" not in values  # a key of ours


def test_two_files_of_one_name_cannot_be_linked(mars, tmp_path):
    name = "20210314_M{}_05095172.001_I_Crab-W0.40+035.root"
    files = [tmp_path / folder / name.format(telescope) for folder in "abc" for telescope in (1, 2)]
    for path in files:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"content")
    with pytest.raises(InputError, match="have the same name"):
        mars.installation.command_for(SuperStar(files[:4], out=tmp_path), log=tmp_path / "superstar.log")


def test_what_mars_does_not_have_is_always_of_the_engine(mars, tmp_path):
    command = mars.installation.command_for(Spectra([], "CrabNebula", out=tmp_path), log=tmp_path / "spectra.log")
    assert "magicpy_assets.engine" in command.argv


def test_a_program_that_has_gone_since(mars, star, tmp_path):
    (mars.marssys / "star").unlink()
    with pytest.raises(ConfigError, match="no program star"):
        mars.installation.command_for(star, log=tmp_path / "star.log")
