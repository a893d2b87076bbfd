"""The observatory by command: its nights, further ones, its truth, its server."""

import os
import signal
import subprocess
import sys
from datetime import date

import pytest
import requests

from magicpy_assets.observatory.programme import RUN_DURATION_S
from magicpy_assets.observatory.server import serve

SEED = 316
NIGHT = "2020-12-19"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MAGICPY_OBSERVATORY__CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "cache"


def test_the_runs_of_one_night(magicpy):
    everything = magicpy("observatory", "night", "--json").document
    one = magicpy("observatory", "night", "2020-12-12", "--json").document
    assert one == [row for row in everything if row["date"] == "2020-12-12"]
    assert {"run", "source", "wobble", "za_deg", "hv", "filter", "mode"} <= set(one[0])
    table = magicpy("observatory", "night", "2020-12-12").out.splitlines()
    assert len(table) == 1 + len(one)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["night", "yesterday"], "write it as 2020-11-16"),
        (["night", NIGHT], "unknown night"),
        (["observe", "2020-12-12"], "has been observed"),
        (["observe", "2020-06-19"], "does not rise"),
        (["observe", NIGHT, "--source", "CrabNebla"], "did you mean CrabNebula?"),
        (["serve", "--password-env", "NO_SUCH_VARIABLE"], "NO_SUCH_VARIABLE holds no password"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line_and_a_hint(magicpy, words, said):
    told = magicpy("observatory", *words)
    assert (told.code, told.out) == (1, "")
    assert said in told.err


def test_a_night_observed_by_command_is_seen_by_a_running_server(magicpy, cache):
    with serve(cache, SEED, duration_s=RUN_DURATION_S) as running:
        assert date.fromisoformat(NIGHT) not in {plan.date for plan in running.tree.plans}
        words = ["observe", NIGHT, "--source", "OJ287", "--zenith", "24", "28", "--wobble", "35", "--json"]
        (run,) = magicpy("observatory", *words).document
        page = requests.get(
            f"{running.url}/Data/Calibrated/v1/OJ287/2020_12_19/", auth=(running.user, running.password), timeout=30
        )
        assert page.status_code == 200
        assert f"_{run['run']:08d}.001_Y_OJ287-{run['wobble']}.root" in page.text
    assert magicpy("observatory", "night", NIGHT, "--json").document == [run]


def test_the_truth_says_that_it_is_one(magicpy):
    document = magicpy("observatory", "truth", "--json").document
    assert document["simulated"] is True
    assert document["what"] == "truth of the simulation"
    assert document["sources"][0]["source"] == "CrabNebula"
    kinds = {row["kind"] for row in document["troubles"]}
    assert {"truncated", "missing", "no_drive", "clouds", "mono"} <= kinds
    assert {row["moon_level"] for row in document["runs"]} == {"weak", "moderate", "decent", "strong", "high"}
    text = magicpy("observatory", "truth").out
    assert text.count("Truth of the simulation, unknown to any analysis") == 3


def test_a_password_from_the_environment_is_never_shown(tmp_path):
    command = [sys.executable, "-m", "magicpy_assets.cli", "observatory", "serve", "--password-env", "DATA_PASSWORD"]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(command, **options, env=os.environ | {"DATA_PASSWORD": "correct horse"}) as server:
        assert server.stdout is not None
        first = server.stdout.readline()
        try:
            assert requests.get(f"{first.split()[0]}/", auth=("magic", "correct horse"), timeout=30).status_code == 200
        finally:
            server.send_signal(signal.SIGINT)
        rest, _ = server.communicate(timeout=60)
    assert "in DATA_PASSWORD" in first
    assert "correct horse" not in first + rest
