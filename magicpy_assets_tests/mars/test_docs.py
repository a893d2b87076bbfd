"""The text of `docs/mars.md`, tried: its settings are read, and its Python runs on a stand-in for MARS."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import numpy as np
import pytest
import uproot

from magicpy_assets.core.settings import load_settings
from magicpy_assets.formats.odie import CANVAS
from magicpy_assets_tests.fakes.mars_installation import fake_mars, write_trees

TEXT = (Path(__file__).parents[2] / "docs" / "mars.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


@pytest.fixture
def here(tmp_path, monkeypatch):
    mars = fake_mars(tmp_path)
    for name, column in (("LightCurve", [1e-10, 2e-10]), ("SED", [1e-11, 2e-11])):
        with (uproot.update if (mars.marssys / "flute.root").exists() else uproot.recreate)(
            mars.marssys / "flute.root"
        ) as file:
            x = [59000.1, 59001.1] if name == "LightCurve" else [100.0, 1000.0]
            file[name] = uproot.as_TGraph({"x": np.array(x), "y": np.array(column)})
            if name == "SED":
                file["AeffVsEtrue"] = (np.array([1e4, 1e5]), np.array([10.0, 100.0, 1000.0]))
    with uproot.recreate(mars.marssys / "odie.root") as file:
        file[CANVAS] = "Time = 1.0 h\nN_{on} = 9; N_{off} = 4 #pm 2\nN_{ex} = 5\nSignificance (Li&Ma) = 1.4#sigma\n"
    for folder, names in {
        "calibrated": [f"20210314_M1_05095172.{n:03d}_Y_CrabNebula-W0.40+035.root" for n in (1, 2)],
        "melibea": ["20210314_05095172_Q_CrabNebula-W0.40+035.root", "GA_za05to35_8_824318_Q_w0.root"],
    }.items():
        (tmp_path / folder).mkdir()
        for name in names:
            write_trees(tmp_path / folder / name, "Events")
    monkeypatch.chdir(tmp_path)
    return mars


def test_the_settings_of_the_text_are_settings(here, tmp_path):
    (given,) = blocks("toml")
    settings = load_settings(mars=tomllib.loads(given)["mars"])
    assert settings.mars.installation == "installed"
    assert settings.mars.stages.melibea == "embedded"


def test_the_python_of_the_text_runs(here, tmp_path, monkeypatch):
    places = f'marssys = "{here.marssys}"\nrootsys = "{here.rootsys}"\n'
    (tmp_path / "magicpy.toml").write_text(f'[mars]\ninstallation = "installed"\n{places}')
    names: dict[str, object] = {}
    for block in blocks("python"):
        exec(compile(block, "docs/mars.md", "exec"), names)
    assert names["star"].report()["state"] == "done"
    changed = names["star"].changes().set_index("key").loc["MJStar.MImgCleanStd.CleanLevel1"]
    assert (changed["stock"], changed["here"]) == ("6.0", "8")
    assert names["results"].light_curve.exposure.source == "CrabNebula"
    assert names["odie"].results().n_on == 9
