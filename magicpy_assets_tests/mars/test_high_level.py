"""Programs that only an installed MARS has: their command lines, cards, outputs, and what is asked of them."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

import magicpy_assets as mp
from magicpy_assets.core.errors import ConfigError, InputError, ProgramError
from magicpy_assets.formats.runcard import Runcard
from magicpy_assets.mars.installation import Installation
from magicpy_assets_tests.fakes.mars_installation import write_trees

RUNS = ("05095172", "05095173")
S = [f"20210314_{run}_S_CrabNebula-W0.40+035.root" for run in RUNS]
Q = [name.replace("_S_", "_Q_") for name in S]
GA_S = [f"GA_za05to35_8_82431{number}_S_w0.root" for number in (8, 9)]
GA_Q = [name.replace("_S_", "_Q_") for name in GA_S]


def files(folder: Path, *names: str) -> list[Path]:
    folder.mkdir(exist_ok=True)
    return [write_trees(folder / name, "Events", "RunHeaders", entries=10) for name in names]


def ran(program, mars) -> list[str]:
    """Run a program; returns the words of its command line."""
    program.run(mars.installation)
    assert program.report()["state"] == "done"
    assert all(path.is_file() for path in program.outputs)
    return shlex.split(program.log.splitlines()[0].partition("$ ")[2])[1:]


def test_quate_sorts_every_file(mars, tmp_path):
    quate = mp.mars.Quate(files(tmp_path / "in", *S), out=tmp_path / "quate").set_parameter("DCMax", 2000.0)
    words = ran(quate, mars)
    assert "--stereo" in words
    assert f"--out={tmp_path / 'quate'}" in words
    assert "-q" not in words  # no public command line has it
    assert (tmp_path / "quate" / "bad" / S[1]).is_file()
    (tmp_path / "quate" / "bad" / S[1]).unlink()
    with pytest.raises(ProgramError, match=f"{S[1].replace('+', '.')} was sorted into no folder"):
        quate.run(mars.behave("loses one"))


def test_selectmc_joins_files(mars, tmp_path):
    joined = mp.mars.SelectMc(files(tmp_path / "in", *GA_S), "GA_za05to35_TRAIN_S_wr.root", out=tmp_path / "mc")
    assert "-joinmc" in ran(joined, mars)


def test_odie_and_caspar_write_where_they_are_started(mars, tmp_path):
    inputs = files(tmp_path / "in", *Q)
    odie = mp.mars.Odie(inputs, out=tmp_path / "odie").set_parameter("Odie.eRange", "FR")
    words = ran(odie, mars)
    assert (tmp_path / "odie" / "Output_odie.root").is_file()
    assert not [word for word in words if word.startswith("--out")]
    caspar = mp.mars.Caspar(inputs, out=tmp_path / "caspar").run(mars.installation)
    assert caspar.outputs == []
    (tmp_path / "caspar" / "Status_caspar.root").unlink()
    with pytest.raises(ProgramError, match="no ROOT file was made"):
        caspar.run(mars.behave("lie"))


def flute(tmp_path: Path) -> mp.mars.Flute:
    return mp.mars.Flute(
        files(tmp_path / "in", *Q), files(tmp_path / "in", *GA_Q), out=tmp_path / "flute", label="crab"
    ).set_parameter("flute.deadTimePerEvent", 26e-6)


def test_flute_is_named_by_its_card_and_needs_its_last_words(mars, tmp_path):
    program = flute(tmp_path)
    words = ran(program, mars)
    assert words == ["-b", "-q", f"--config={tmp_path / 'flute' / '.logs' / 'flute_crab.rc'}"]
    assert [path.name for path in program.outputs] == ["Output_flute_crab.root", "Status_flute_crab.root"]
    card = Runcard.read(program.card_path)
    assert card.values["flute.deadTimePerEvent"] == "2.6e-05"
    assert card.values["flute.posContainer"] == "MStereoParDisp"  # of the stock card
    assert set(card.changes(Runcard.read(mars.marssys / "mrcfiles" / "flute.rc"))) == {
        "flute.data",
        "flute.mcdata",
        "flute.deadTimePerEvent",
    }
    with pytest.raises(ProgramError, match=r"does not end with its last words \(finished\)"):
        program.run(mars.behave("no last words"))
    with pytest.raises(ProgramError, match="flute ends so without -b") as caught:
        program.run(mars.behave("fail\nflute: crash"))
    assert "return code 255" in str(caught.value)


def test_flute_says_what_is_missing_in_card_and_input(mars, tmp_path):
    program = flute(tmp_path)
    del program.values["flute.deadTimePerEvent"]
    with pytest.raises(InputError, match=r"neither you nor the stock card set flute\.deadTimePerEvent"):
        program.run(mars.installation)
    program = mp.mars.Flute(files(tmp_path / "in", S[0]), [], out=tmp_path)
    program.set_parameter("flute.minEnergyEst", 20.0).set_parameter("flute.LCbinning", "hourly")
    with pytest.raises(InputError) as caught:
        program.run(mars.installation)
    for part in ("is no _Q_ file", "no test Monte Carlo", "10 GeV or less", "it can be night-wise, run-wise"):
        assert part in str(caught.value)


def test_foam_and_fold_follow(mars, tmp_path):
    outputs = [write_trees(tmp_path / f"Output_flute_{name}.root", "Events") for name in "ab"]
    foam = mp.mars.Foam(outputs, out=tmp_path / "foam")
    assert ran(foam, mars)[-2:] == [str(path) for path in outputs]
    fold = mp.mars.Fold(foam.outputs[0], out=tmp_path / "fold").set_parameter("--function", "PWL")
    assert "--function=PWL" in ran(fold, mars)
    fold.set_parameter("--function", "power law")
    with pytest.raises(InputError, match="it can be PWL, LP"):
        fold.run(mars.installation)


def test_the_embedded_engine_says_what_does_the_work_instead(tmp_path):
    program = flute(tmp_path)
    with pytest.raises(ConfigError, match="the embedded engine has no flute: `magicpy spectrum`"):
        program.run(Installation.embedded())


def test_flags_of_mars_alone_are_refused_by_the_engine(tmp_path):
    star = mp.mars.Star(files(tmp_path, "20210314_M1_05095172.001_Y_CrabNebula-W0.40+035.root"), out=tmp_path)
    star.set_parameter("-saveimages", True)
    with pytest.raises(InputError, match="the embedded star does not know -saveimages"):
        star.run(Installation.embedded())


def test_what_goes_into_a_notebook(mars, tmp_path):
    program = flute(tmp_path)
    html = program._repr_html_()
    assert "flute.deadTimePerEvent" in html
    assert "not run" in html
    assert "flute.minSize : float" in mp.mars.Flute.__doc__
    assert "(flute (public copy of its source); MARS alone)" in mp.mars.Flute.__doc__


@pytest.mark.parametrize(
    ("stages", "told"),
    [
        ({"star": "embedded"}, "superstar would come from MARS after our star"),
        ({"melibea": "embedded"}, "our melibea cannot read the forests of MARS"),
        ({"coach": "embedded"}, "melibea would come from MARS after our coach"),
    ],
)
def test_mixes_that_cannot_work_are_refused_with_the_reason(mars, stages, told):
    given = mars.settings() | {"stages": stages}
    with pytest.raises(ConfigError, match=told):
        Installation.from_settings(load(given))


def load(mars):
    from magicpy_assets.core.settings import load_settings

    return load_settings(mars=mars)


def test_mars_up_to_superstar_and_ours_after_it_goes(mars):
    stages = {"coach": "embedded", "melibea": "embedded"}
    found = Installation.from_settings(load(mars.settings() | {"stages": stages}))
    assert (found.has("superstar"), found.has("melibea"), found.has("dl3")) == (True, False, False)
    assert str(found).endswith("coach, melibea of the embedded engine")
    assert found.version.startswith("MARS V3-1-7 and embedded")
