"""What farms say, told by programs that stand in for theirs; what jobs are told. Real queues are in `batch`."""

from __future__ import annotations

from pathlib import Path

import pytest

from magicpy_assets.compute import htcondor, slurm
from magicpy_assets.compute.base import Command
from magicpy_assets.compute.health import queue_state
from magicpy_assets.compute.pool import open_workers
from magicpy_assets.core.compute_settings import ComputeSettings
from magicpy_assets.core.errors import ConfigError, ProgramError
from magicpy_assets.core.settings import load_settings


@pytest.fixture
def says(tmp_path, monkeypatch):
    """Put a program on the path that says something and ends with a code."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")

    def program(name: str, text: str, code: int = 0) -> Path:
        path = folder / name
        path.write_text(f"#!/bin/sh\necho \"$@\" >> {tmp_path}/{name}.asked\ncat <<'END'\n{text}\nEND\nexit {code}\n")
        path.chmod(0o755)
        return tmp_path / f"{name}.asked"

    return program


CONDOR = """\
12.0 2 magicpy-a-0-1 undefined
12.1 1 magicpy-a-0-2 undefined
13.0 5 magicpy-b-0-0 Error from slot1: memory usage exceeded request_memory, 2 MB
14.0 2 undefined undefined"""


def test_jobs_of_htcondor_are_read(says):
    says("condor_q", CONDOR)
    assert [job.state for job in htcondor.our_jobs()] == ["running", "waiting", "held", "running"]
    ours = htcondor.our_jobs("magicpy-a")
    assert [(job.number, job.name, job.reason) for job in ours] == [
        ("12.0", "magicpy-a-0-1", ""),
        ("12.1", "magicpy-a-0-2", ""),
    ]


def test_held_jobs_are_complained_of_with_the_reason(says):
    says("condor_q", CONDOR)
    state = queue_state(ComputeSettings(kind="htcondor"))
    assert not state.good
    assert "2 running, 1 waiting, 1 held" in state.text
    assert "memory usage exceeded" in state.text
    assert state.hint


def test_jobs_of_slurm_are_read(says):
    says("squeue", "7|RUNNING|None|magicpy-a-0\n8|PENDING|Priority|a|b\n9|PENDING|JobHeldUser|magicpy-a-0")
    jobs = slurm.our_jobs()
    assert [(job.number, job.name, job.state) for job in jobs] == [
        ("7", "magicpy-a-0", "running"),
        ("8", "a|b", "waiting"),
        ("9", "magicpy-a-0", "held"),
    ]


@pytest.mark.parametrize(("farm", "program"), [(htcondor, "condor_rm"), (slurm, "scancel")])
def test_jobs_are_taken_back_by_one_command_even_if_some_are_gone(says, farm, program):
    says("condor_q", CONDOR)
    says("squeue", "7|RUNNING|None|a\n8|PENDING|None|a")
    asked = says(program, "not found", 1)
    jobs = farm.our_jobs()
    farm.remove(jobs)
    farm.remove([])
    assert asked.read_text().split() == [job.number for job in jobs]


@pytest.mark.parametrize("kind", ["htcondor", "slurm"])
def test_a_farm_that_is_not_here_is_said_with_what_to_do(tmp_path, monkeypatch, kind):
    monkeypatch.setenv("PATH", str(tmp_path))
    state = queue_state(ComputeSettings(kind=kind))
    assert not state.good
    assert kind in state.text
    assert "compute.kind" in state.hint
    with pytest.raises(ProgramError, match="there is no"):
        open_workers(ComputeSettings(kind=kind), tmp_path)


def test_a_farm_that_does_not_answer_is_quoted(says):
    says("squeue", "Unable to contact slurm controller", 1)
    assert "Unable to contact slurm controller" in queue_state(ComputeSettings(kind="slurm")).text


def test_what_jobs_are_told(tmp_path):
    settings = ComputeSettings(walltime_h=1.51, queue="long", directives=("+Experiment = MAGIC", "--exclusive"))
    request = settings.request("star")
    told = slurm.options(settings, request)
    assert told["walltime"] == "1:31:00"
    assert told["queue"] == "long"
    assert told["job_extra_directives"][-1] == "--exclusive"
    told = htcondor.options(settings, request)["job_extra_directives"]
    assert told["+Experiment"] == "MAGIC"
    assert "> 5436" in told["periodic_remove"]
    assert told["accounting_group"] == "long"


def test_programs_can_ask_for_more(tmp_path, monkeypatch):
    file = tmp_path / "magicpy.toml"
    file.write_text('[compute]\nkind = "slurm"\nlogs = "logs"\n[compute.programs.coach]\nmemory_gb = 8.0\n')
    monkeypatch.setenv("MAGICPY_COMPUTE__PROGRAMS__STAR__CORES", "2")
    monkeypatch.setenv("MAGICPY_COMPUTE__SETUP", "source a,source b")
    settings = load_settings(file).compute
    assert settings.logs == tmp_path / "logs"
    assert settings.setup == ("source a", "source b")
    assert (settings.request("coach").memory_gb, settings.request("coach").cores) == (8.0, 1)
    assert (settings.request("star").memory_gb, settings.request("star").cores) == (2.0, 2)
    assert settings.request("superstar") == settings.request("melibea") == settings.request("")
    with pytest.raises(ConfigError, match=r"compute\.programs\.coach\.memory"):
        load_settings(file, compute={"programs": {"coach": {"memory": 3}}})


def test_the_program_of_a_command_is_known(tmp_path):
    assert Command(("/opt/mars/bin/star", "-b"), tmp_path).program == "star"
    words = ("python", "-m", "magicpy_assets.engine", "melibea", "-q")
    assert Command(words, tmp_path, entry="x:main", arguments=words[3:]).program == "melibea"
