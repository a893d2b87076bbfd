"""The programs as declarations, and real processes in their place that fail, hang, lie and stop half way."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path

import pytest

from magicpy_assets.compute.base import execute
from magicpy_assets.core.errors import InputError, ProgramError, UnknownNameError
from magicpy_assets.formats.runcard import Runcard
from magicpy_assets.mars.program import LAST_LINES, Program, expanded
from magicpy_assets.mars.programs import ALL, FOREST_FILES, Coach, Dl3, Melibea, Spectra, Star, SuperStar, options

RUN = "05095172"
Y1 = [f"20210314_M1_{RUN}.{subrun:03d}_Y_CrabNebula-W0.40+035.root" for subrun in (1, 2)]
Y2 = f"20210314_M2_{RUN}.001_Y_CrabNebula-W0.40+035.root"
I1, I2 = Y1[0].replace("_Y_", "_I_"), Y2.replace("_Y_", "_I_")
S = f"20210314_{RUN}_S_CrabNebula-W0.40+035.root"
Q = S.replace("_S_", "_Q_")


def put(folder: Path, *names: str) -> list[Path]:
    paths = [folder / name for name in names]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"content")
    return paths


@pytest.fixture
def star(tmp_path: Path) -> Star:
    return Star(put(tmp_path / "in", *Y1), out=tmp_path / "out")


# Declarations


def test_wildcards_are_expanded_in_order_and_names_are_kept(tmp_path):
    put(tmp_path, "b.root", "a.root", "c.txt")
    assert expanded(f"{tmp_path}/*.root") == [tmp_path / "a.root", tmp_path / "b.root"]
    assert expanded([tmp_path / "b.root", f"{tmp_path}/*.root"]) == [tmp_path / "b.root", tmp_path / "a.root"]
    assert expanded("not/there.root") == [Path("not/there.root")]
    assert expanded(f"{tmp_path}/*.fits") == []


def test_star_describes_itself_and_nothing_runs(star):
    assert shlex.split(star.cmdline) == [
        "star",
        *(f"--ind={path}" for path in star.files),
        f"--out={star.out}",
        "-b",
        "-q",
        "-f",
    ]
    assert [path.name for path in star.outputs] == [name.replace("_Y_", "_I_") for name in Y1]
    assert star.report() == {"program": "star", "state": "not run"}
    assert not star.out.exists()
    assert "not run" in repr(star)


def test_parameters_go_into_the_run_card_and_flags_into_the_command_line(star):
    star.add_noise(3.25, 1.3).set_parameter("MJStar.MImgCleanStd.CleanLevel1", 8.0).set_parameter("-savecerevt", True)
    assert star.runcard.values == {
        "MJStar.UseAddNoise": "yes",
        "MJStar.MAddNoise.Method": "2",
        "MJStar.MAddNoise.NewNoiseMean": "3.25",
        "MJStar.MAddNoise.NewNoiseRMS": "1.3",
        "MJStar.MImgCleanStd.CleanLevel1": "8",
    }
    words = shlex.split(star.cmdline)
    assert f"--config={star.card_path}" in words
    assert "-savecerevt" in words
    star.prepare()
    assert Runcard.read(star.card_path).values == star.runcard.values
    table = star.parameters.set_index("key")
    assert table.loc["MJStar.MImgCleanStd.CleanLevel1", "value"] == 8.0
    assert table.loc["MJStar.MImgCleanStd.CleanLevel1", "default"] == 6.0


def test_what_mars_may_know_passes_but_not_a_flag(star):
    star.set_parameter("MJStar.SomethingElse", 3)
    assert "not declared" in star.parameters.set_index("key").loc["MJStar.SomethingElse", "help"]
    star.check()
    with pytest.raises(UnknownNameError, match="-savecerevt"):
        star.set_parameter("-savecerevents", True)
    star.set_parameter("-savecerevt", True).set_parameter("-savecerevt", False)
    assert "-savecerevt" not in star.cmdline


def test_superstar_tells_the_telescopes_apart(tmp_path):
    first, second = put(tmp_path, I1, I2)
    superstar = SuperStar([first, second], out=tmp_path / "out", mc=True)
    words = superstar.arguments()
    assert words[:2] == [f"--ind1={first}", f"--ind2={second}"]
    assert words[-1] == "-mc"
    assert superstar.outputs == [tmp_path / "out" / S]
    superstar.check()


def test_coach_puts_its_files_into_the_card(tmp_path):
    mc, off = put(tmp_path, "GA_za05to35_8_824318_S_w0.root", S)
    coach = Coach(mc, off, out=tmp_path / "rf", zd_min=5, zd_max=35).set_parameter("-RFgh", True)
    assert coach.runcard.values == {
        "RF.mcdata": str(mc),
        "RF.data": str(off),
        "RF.outpath": str(tmp_path / "rf"),
        "RF.zdmin": "5",
        "RF.zdmax": "35",
        "RF.model": "xgboost",
    }
    assert "-RFgh" in coach.arguments()
    assert {path.relative_to(coach.out).as_posix() for path in coach.outputs} >= set(FOREST_FILES)


def test_melibea_names_every_forest(tmp_path):
    put(tmp_path / "rf", *FOREST_FILES)
    melibea = Melibea(put(tmp_path, S), tmp_path / "rf", out=tmp_path)
    melibea.check()
    assert melibea.outputs == [tmp_path / Q]
    for name in FOREST_FILES:
        assert any(word.endswith(f"={tmp_path / 'rf' / name}") for word in melibea.arguments())


@pytest.mark.parametrize("program", ALL.values())
def test_every_declared_parameter_is_documented(program):
    table = options(program)
    assert table["key"].is_unique
    assert (table["help"] != "").all()
    for item in program.declared:
        assert item.default is None or type(item.default) is item.type
        assert item.flag == item.key.startswith("-")


# Faults, all at once


def test_all_faults_of_star_are_in_one_message(tmp_path):
    good, mixed, later = put(tmp_path, Y1[0], Y2, I1)
    star = Star([good, mixed, later, tmp_path / Y1[1], tmp_path / "odd.root"], out=tmp_path)
    star.set_parameter("MJStar.MImgCleanStd.CleanLevel1", "six").set_parameter("MJStar.UseAddNoise", 1)
    with pytest.raises(InputError) as caught:
        star.check()
    text = str(caught.value)
    for part in (
        "star cannot run",
        f"there is no file {tmp_path / Y1[1]}",
        "there is no file",
        "'odd.root' is not a MARS file name",
        f"{I1} is a Star file, not Calibrated",
        "M1 and M2 are mixed",
        "CleanLevel1 = 'six'",
        "UseAddNoise = 1: it should be bool",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("program", "part"),
    [
        (lambda folder: Star([], out=folder), "no input files"),
        (lambda folder: SuperStar(put(folder, I1), out=folder), "no file of M2"),
        (lambda folder: SuperStar(put(folder, I2), out=folder), "no file of M1"),
        (lambda folder: Coach([], [], out=folder), "no input files"),
        (lambda folder: Melibea(put(folder, S), folder / "rf", out=folder), "train one for this cell with coach"),
        (lambda folder: Dl3(put(folder, Q), [], out=folder), "no test Monte Carlo"),
        (lambda folder: Dl3(put(folder, Q), folder / "mc.root", out=folder), "there is no file"),
        (lambda folder: Spectra([], "CrabNebula", out=folder), "no input files"),
    ],
)
def test_what_is_missing_is_named_before_anything_runs(tmp_path, program, part):
    made: Program = program(tmp_path)
    with pytest.raises(InputError, match=part):
        made.run()
    assert made.outcome is None
    assert not (tmp_path / ".logs").exists()


# Real processes


def test_star_of_an_installed_mars(mars, star):
    star.set_parameter("MJStar.MImgCleanStd.CleanLevel1", 8.0).run(mars.installation)
    assert all(path.is_file() for path in star.outputs)
    assert star.report()["state"] == "done"
    assert star.report()["outputs"] == [str(path) for path in star.outputs]
    assert "star finished" in star.log
    assert f"{mars.marssys / 'star'} --ind=" in star.log.splitlines()[0]
    assert star.card_path.is_file()


def test_all_programs_of_an_installed_mars(mars, tmp_path):
    put(tmp_path / "rf", *FOREST_FILES)
    programs = [
        SuperStar(put(tmp_path, I1, I2), out=tmp_path / "superstar"),
        Coach(put(tmp_path, "GA_za05to35_8_824318_S_w0.root"), put(tmp_path, S), out=tmp_path / "coach"),
        Melibea(put(tmp_path, S), tmp_path / "rf", out=tmp_path / "melibea"),
    ]
    for program in programs:
        program.run(mars.installation)
        assert all(path.is_file() for path in program.outputs)


@pytest.mark.parametrize(
    ("behaviour", "fault", "permanent"),
    [
        ("fail", "return code 1", True),
        ("crash", "return code 3", False),
        ("killed", "return code -9", False),
        ("lie", "was not made", False),
        ("half", "_I_", False),
        ("empty", "is empty", False),
        ("no tree", "has no tree Events", False),
        ("no last words", "last words", False),
    ],
)
def test_no_run_that_went_wrong_is_accepted(mars, star, behaviour, fault, permanent):
    with pytest.raises(ProgramError) as caught:
        star.run(mars.behave(behaviour))
    error = caught.value
    assert fault in error.message
    assert error.permanent == permanent
    assert error.log_path == star.out / ".logs" / "star.log"
    log = error.log_path.read_text().splitlines()
    assert len(log) > LAST_LINES
    assert error.message.endswith("\n".join(log[-LAST_LINES:]))
    assert log[-LAST_LINES - 1] not in error.message


def test_what_a_program_says_is_wrong_comes_first(mars, star):
    with pytest.raises(ProgramError) as caught:
        star.run(mars.behave("fail"))
    assert caught.value.message.splitlines()[0] == "Events of a.root cannot be read"


def test_a_killed_program_hints_at_memory(mars, star):
    with pytest.raises(ProgramError, match=r"compute\.workers"):
        star.run(mars.behave("killed"))


def test_one_that_hangs_took_too_long(mars, star):
    command = mars.behave("hang").command_for(star, log=star.out / "star.log")
    outcome = execute(dataclasses.replace(command, timeout_s=1.0))
    with pytest.raises(ProgramError, match="longer than it may"):
        star.accept(outcome)


@pytest.mark.parametrize("behaviour", ["fail", "lie", "half", "empty", "no tree", "no last words"])
def test_a_report_never_calls_a_refused_run_done(mars, star, behaviour):
    with pytest.raises(ProgramError):
        star.run(mars.behave(behaviour))
    assert star.report()["state"] == "failed"
    assert "failed" in repr(star)
    star.run(mars.behave("ok"))
    assert star.report()["state"] == "done"


def test_outputs_of_an_earlier_run_are_no_success(mars, star):
    star.run(mars.installation)
    with pytest.raises(ProgramError, match="earlier run"):
        star.run(mars.behave("lie"))
    assert star.report()["state"] == "failed"
    star.run(mars.behave("ok"))


def test_a_program_that_is_not_there_hints_at_marssys(mars, star):
    command = mars.installation.command_for(star, log=star.out / "star.log")
    (mars.marssys / "star").unlink()
    with pytest.raises(ProgramError, match="MARSSYS"):
        star.accept(execute(command))


def test_the_embedded_engine_refuses_what_is_no_calibrated_file(star):
    with pytest.raises(ProgramError) as caught:
        star.run()
    assert Y1[0] in caught.value.message
    assert star.outcome is not None
    assert star.outcome.returncode != 0
