"""The programs as declarations, and real processes in their place that fail, hang, lie and stop half way."""

from __future__ import annotations

import dataclasses
import re
import shlex
from datetime import UTC, datetime
from html import escape
from pathlib import Path

import numpy as np
import pytest
import uproot

from magicpy_assets.compute.base import Outcome, execute
from magicpy_assets.core.errors import InputError, ProgramError
from magicpy_assets.formats.counting import events_in
from magicpy_assets.formats.runcard import Runcard
from magicpy_assets.mars.acceptance import LAST_LINES
from magicpy_assets.mars.declaration import expanded
from magicpy_assets.mars.high_level import ALL
from magicpy_assets.mars.installation import Installation
from magicpy_assets.mars.program import Program
from magicpy_assets.mars.programs import FOREST_FILES, Coach, Dl3, Melibea, Spectra, Star, SuperStar
from magicpy_assets_tests.fakes.mars_installation import fake_mars, write_trees
from magicpy_assets_tests.small_files import write_data_pair

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
    star.prepare(star.runcard)
    assert Runcard.read(star.card_path).values == star.runcard.values
    table = star.parameters.set_index("key")
    assert table.loc["MJStar.MImgCleanStd.CleanLevel1", "value"] == 8.0
    assert table.loc["MJStar.MImgCleanStd.CleanLevel1", "default"] == 6.0


def test_a_key_that_is_not_known_passes_with_a_notice(star, caplog):
    star.set_parameter("MJStar.MImgCleanStd.CleanLevel", 3)
    assert "not declared" in star.parameters.set_index("key").loc["MJStar.MImgCleanStd.CleanLevel", "help"]
    star.check()
    (notice,) = star.notices()
    assert "MJStar.MImgCleanStd.CleanLevel1" in notice
    assert notice in caplog.text
    assert escape(notice) in star._repr_html_()
    assert "MJStar.MImgCleanStd.CleanLevel" in star.runcard.values


def test_a_switch_can_be_taken_back(star):
    star.set_parameter("-savecerevt", True).set_parameter("-savecerevt", False)
    assert "-savecerevt" not in star.cmdline
    star.check()


def test_help_tells_every_parameter():
    assert Star.__doc__ is not None
    assert Star.__doc__.startswith("star: calibrated files of one telescope")
    assert "MJStar.MImgCleanStd.CleanLevel1 : float, default 6.0 phe" in Star.__doc__


def test_a_description_never_fails(tmp_path):
    for program in (Star([], out=tmp_path), Star("*.odd", out=tmp_path), SuperStar("a.root"), Spectra([], "Crab")):
        assert "not run" in repr(program)
        assert "<code>" in program._repr_html_()


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
    assert {path.relative_to(coach.out).as_posix() for path in coach.outputs} == {"RF.root", "training_report.json"}
    coach.set_parameter("-RFgh", False)
    assert {path.relative_to(coach.out).as_posix() for path in coach.outputs} > set(FOREST_FILES)


def test_melibea_names_every_forest(tmp_path):
    put(tmp_path / "rf", *FOREST_FILES)
    melibea = Melibea(put(tmp_path, S), tmp_path / "rf", out=tmp_path)
    melibea.check()
    assert melibea.outputs == [tmp_path / Q]
    for name in FOREST_FILES:
        assert any(word.endswith(f"={tmp_path / 'rf' / name}") for word in melibea.arguments())


@pytest.mark.parametrize("telescope", [1, 2])
def test_mono_programs_take_star_files_and_ask_for_nothing_of_two_telescopes(tmp_path, mars, telescope):
    stars = put(tmp_path, *(f"20210314_M{telescope}_{RUN}.{n:03d}_I_CrabNebula-W0.40+035.root" for n in (1, 2)))
    gamma = put(tmp_path, f"GA_M{telescope}_za05to35_8_824318_I_w0.root")
    coach = Coach(gamma, stars, out=tmp_path / "rf")
    made = ["RF.root", f"disp{telescope}/DispRF.root", "EnRF.root", "training_report.json"]
    assert coach.outputs == [tmp_path / "rf" / name for name in made]
    coach.run(mars.installation)
    assert all(path.is_file() for path in coach.outputs)
    coach.set_parameter("-RFdisp", True)
    assert coach.outputs == [tmp_path / "rf" / name for name in made[1::2]]

    melibea = Melibea(stars, tmp_path / "rf", out=tmp_path / "melibea")
    assert melibea.outputs == [tmp_path / "melibea" / f"20210314_M{telescope}_{RUN}_Q_CrabNebula-W0.40+035.root"]
    words = melibea.arguments()
    assert f"--rfdisptree={tmp_path / 'rf' / made[1]}" in words
    flags = {word.partition("=")[0] for word in words}
    assert not flags & {"--stereo", "--calc-disp2-rf", "--rfdisp2tree", "--calcstereodisp", "-erec", "--etab"}
    melibea.run(mars.installation)
    assert all(path.is_file() for path in melibea.outputs)


def test_mono_programs_refuse_two_telescopes_at_once(tmp_path):
    both = put(tmp_path, I1, I1.replace("_M1_", "_M2_"))
    put(tmp_path / "rf", "RF.root", "disp1/DispRF.root", "EnRF.root")
    for program in (Melibea(both, tmp_path / "rf", out=tmp_path), Coach(both, both, out=tmp_path)):
        with pytest.raises(InputError, match="mixed"):
            program.check()
    with pytest.raises(InputError, match=r"no forest in .*disp2/DispRF\.root"):
        Melibea(both[1], tmp_path / "rf", out=tmp_path).check()


@pytest.mark.parametrize("program", ALL.values())
def test_every_declared_parameter_is_documented(program):
    assert len({item.key for item in program.declared}) == len(program.declared)
    for item in program.declared:
        assert item.help
        assert item.source
        assert item.default is None or type(item.default) is item.type
        assert item.flag == item.key.startswith("-")


# Faults, all at once


def test_all_faults_of_star_are_in_one_message(tmp_path):
    good, mixed, later = put(tmp_path, Y1[0], Y2, I1)
    star = Star([good, mixed, later, tmp_path / Y1[1], tmp_path / "odd.root"], out=tmp_path)
    star.set_parameter("MJStar.MImgCleanStd.CleanLevel1", "six").set_parameter("MJStar.UseAddNoise", 1)
    star.set_parameter("-savecerevents", True).set_parameter("MJStar.MAddNoise.Method", True)
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
        "MAddNoise.Method = True: it should be int",
        "unknown flag '-savecerevents' (did you mean -savecerevt?)",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("program", "part"),
    [
        (lambda folder: Star([], out=folder), "no input files"),
        (lambda folder: Star(f"{folder}/*_Y_*.root", out=folder), r"no file is named .*/\*_Y_\*\.root"),
        (lambda folder: Star(put(folder, Y1[0], f"again/{Y1[0]}"), out=folder), "would make the same"),
        (lambda folder: SuperStar(put(folder, I1, I2, I1.replace(RUN, "05095173")), out=folder), "no file of M2 for"),
        (lambda folder: SuperStar(put(folder, I1), out=folder), "no file of M2"),
        (lambda folder: SuperStar(put(folder, I2), out=folder), "no file of M1"),
        (lambda folder: Coach([], [], out=folder), "no input files"),
        (lambda folder: Coach(put(folder, S), [], out=folder), r"no files for RF\.data"),
        (lambda folder: Coach(put(folder / "a b", S), put(folder, S), out=folder), "a blank in it"),
        (lambda folder: Coach(put(folder, S), put(folder, S), model="forest"), "it can be xgboost, random_forest"),
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
    assert made.outcomes == ()
    assert not (tmp_path / ".logs").exists()


# Real processes


def test_star_of_an_installed_mars(mars, star):
    star.set_parameter("MJStar.MImgCleanStd.CleanLevel1", 8.0).run(mars.installation)
    assert all(path.is_file() for path in star.outputs)
    assert star.report()["state"] == "done"
    assert star.report()["outputs"] == [str(path) for path in star.outputs]
    assert "star finished" in star.log
    program, pattern, *_ = shlex.split(star.log.splitlines()[0].partition("$ ")[2])
    assert program == str(mars.marssys / "star")
    assert pattern.startswith("--ind=")
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
        ("no events", "its tree Events is empty", False),
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


@pytest.mark.parametrize(
    ("behaviour", "hint", "permanent"),
    [
        ("no memory", "memory ran out", False),
        ("killed", "memory ran out", False),
        ("no disk", "disk is full", True),
        ("other ROOT", r"mars\.rootsys", True),
        ("no display", "need -b", True),
        ("no drive", "merpp did not merge", True),
        ("wrong card", "run card cannot be used", True),
    ],
)
def test_known_words_lead_to_their_cause(mars, star, behaviour, hint, permanent):
    with pytest.raises(ProgramError) as caught:
        star.run(mars.behave(behaviour))
    assert re.search(hint, caught.value.hint or "")
    assert caught.value.permanent == permanent
    assert len(star.outcomes) == (1 if permanent else 2)  # tried again only where that can help


def test_what_a_user_sees_of_a_program_that_crashes_in_the_middle(mars, star):
    with pytest.raises(ProgramError) as caught:
        star.run(mars.behave("half and crash"), retries=0)
    lines = str(caught.value).splitlines()
    assert lines[:2] == ["star failed (return code -11)", "return code -11"]
    assert lines[-2].endswith("star: event 29")
    assert lines[-1] == f"log: {star.out / '.logs' / 'star.log'}"
    assert all(re.match(r"\d\d:\d\d:\d\d ", line) for line in lines[2:-1])


def test_one_that_fails_once_is_tried_again_and_the_others_are_not(mars, star):
    star.run(mars.behave("ok\nstar once: killed"), parallel=2)
    assert star.report()["state"] == "done"
    assert sorted(outcome.returncode for outcome in star.outcomes) == [-9, 0, 0]


def test_one_that_hangs_is_stopped_and_not_tried_again(mars, star):
    with pytest.raises(ProgramError, match="longer than it may") as caught:
        star.run(mars.behave("hang"), time_limit_s=1.5)
    assert "stopped after 1.5 s" in str(caught.value)
    assert len(star.outcomes) == 1


def test_more_events_than_went_in_are_not_believed(mars, tmp_path):
    inputs = [write_trees(tmp_path / "in" / name, "Events") for name in put(tmp_path / "in", *Y1)]
    star = Star(inputs, out=tmp_path / "out")
    star.run(mars.installation)
    with pytest.raises(ProgramError, match="holds 9000 events, but its input no more than 5000"):
        star.run(mars.behave("too many"))


def test_keys_that_nobody_read_are_told_with_the_nearest(mars, star):
    star.set_parameter("MJStar.MImgCleanStd.CleanLevelMisspelt1", 8.0).run(mars.installation)
    assert "CleanLevel1" in star.typos["MJStar.MImgCleanStd.CleanLevelMisspelt1"]
    assert star.report()["not read"] == star.typos


def test_files_of_ours_are_refused_by_a_real_mars(tmp_path):
    mars = fake_mars(tmp_path)
    path = write_data_pair(tmp_path, 40)[0]
    star = Star(path, out=tmp_path / "out")
    with pytest.raises(InputError, match="plain branches, not objects of its classes") as caught:
        star.run(mars.installation)
    assert path.name in str(caught.value)
    assert caught.value.hint == "take star from the embedded engine: mars.stages.star = 'embedded'"
    assert star.outcomes == ()


def test_the_stand_in_works_with_the_engine_and_its_files_are_the_same(tmp_path):
    able = fake_mars(tmp_path, able=True)
    path = write_data_pair(tmp_path, 40)[0]
    of_mars = Star(path, out=tmp_path / "mars_out").set_parameter("MJStar.MImgCleanStd.CleanLevel1", 7.0)
    of_mars.run(able.behave("work"))
    ours = Star(path, out=tmp_path / "ours").set_parameter("MJStar.MImgCleanStd.CleanLevel1", 7.0)
    ours.run(Installation.embedded())
    assert events_in(of_mars.outputs[0]) == events_in(ours.outputs[0]) > 0
    assert "cleaning levels 7 and 3.5 phe" in of_mars.log
    assert "MJstar.Stock" in of_mars.typos


def test_what_the_stand_in_refuses_a_real_one_would_refuse(mars, star):
    """The stand-in is worth nothing if it takes anything."""
    command = mars.installation.command_for(star, log=star.out / "star.log")
    for odd in (("--nonsense",), ("--ind=a", "--ind=b")):
        assert execute(dataclasses.replace(command, argv=command.argv + odd)).returncode == 2
    no_batch = tuple(word for word in command.argv if word != "-b")
    with pytest.raises(ProgramError, match="need -b"):
        star.accept(execute(dataclasses.replace(command, argv=no_batch)))


def test_parts_run_at_the_same_time_and_fail_apart(mars, star):
    star.set_parameter("MJStar.MImgCleanStd.CleanLevel1", 8.0).run(mars.installation, parallel=2)
    logs = [f"{path.stem}.log" for path in star.outputs]
    assert [Path(log).name for log in star.report()["logs"]] == logs
    assert star.log.count("star finished") == 2
    for path in star.outputs:
        assert path.is_file()
        assert "CleanLevel1: 8" in (path.parent / ".logs" / f"{path.stem}.rc").read_text()
    with pytest.raises(ProgramError, match="failed for 2 of its products") as caught:
        star.run(mars.behave("crash"), parallel=2)
    assert all(name in str(caught.value) for name in logs)
    assert star.report()["state"] == "failed"


def test_one_that_hangs_took_too_long(mars, star):
    command = mars.behave("hang").command_for(star, log=star.out / "star.log")
    outcome = execute(dataclasses.replace(command, timeout_s=1.0))
    with pytest.raises(ProgramError, match="longer than it may"):
        star.accept(outcome)


@pytest.mark.parametrize("behaviour", ["fail", "lie", "half", "empty", "no tree", "half of the last"])
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


def test_the_embedded_engine_must_say_that_it_has_finished(star, tmp_path):
    for path in put(star.out, *(path.name for path in star.outputs)):
        with uproot.recreate(path) as file:
            for tree in star.trees:
                file.mktree(tree, {"x": np.float64}).extend({"x": np.arange(5.0)})
    log = tmp_path / "star.log"
    argv = Installation.embedded().command_for(star, log=log).argv
    outcome = Outcome(argv, 0, log, datetime.now(UTC), 1.0)
    log.write_text("12:00:00 star: killed at the last mome")
    with pytest.raises(ProgramError, match="last words"):
        star.accept(outcome)
    log.write_text("12:00:00 star finished: 5 events")
    star.accept(outcome)


def test_the_embedded_engine_refuses_what_is_no_calibrated_file(star):
    with pytest.raises(ProgramError) as caught:
        star.run()
    assert Y1[0] in caught.value.message
    assert star.report()["returncode"] != 0
