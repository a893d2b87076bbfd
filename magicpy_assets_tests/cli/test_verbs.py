"""The verbs at work, against the data server of the tests."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from magicpy_assets_tests import real_runs

SMALL = "ST0316/za35to50/moderate"
RUN_TABLE_COLUMNS = {"stage", "source", "cell", "unit", "product", "state", "reason", "command"}


@pytest.fixture
def store(environment, tmp_path, monkeypatch) -> Path:
    """An empty store, and the data server of the tests in the environment."""
    monkeypatch.setenv("MAGICPY_STORE", str(tmp_path / "store"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "store"


def test_search_shows_hours_as_text_and_as_json(magicpy, store):
    told = magicpy("search", "Crab", "--period", "ST.03.16")
    assert told.code == 0
    lines = told.out.splitlines()
    assert lines[0].startswith("Total runs: ")
    assert lines[1].startswith("Period: ST0316, Total runs: ")
    assert [word.strip() for word in lines[3].strip("|").split("|")] == ["ST0316", "za05to35", "za35to50"]
    document = magicpy("search", "Crab", "--period", "ST0316", "--json").document
    assert (document["source"], document["period"], document["runs_without_cell"]) == ("CrabNebula", "ST0316", 0)
    assert f"Total runs: {document['runs']}, " in lines[0]
    assert document["hours"]["unit"] == "h"
    assert {(cell["zenith"], cell["moon"]) for cell in document["cells"]} == {
        (zenith, moon) for zenith in ("za05to35", "za35to50") for moon in ("weak", "moderate")
    }
    total = sum(cell["hours"]["value"] for cell in document["cells"])
    assert total == pytest.approx(document["hours"]["value"], abs=0.005 * len(document["cells"]))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["CrabNebla"], "did you mean CrabNebula?"),
        (["CrabNebula", "--period", "ST0317"], "it was observed in ST0316"),
        (["CrabNebula", "--period", "ST316"], "did you mean ST0316"),
    ],
)
def test_a_search_for_what_is_not_there_names_what_is(magicpy, store, words, said):
    told = magicpy("search", *words, "--json")
    assert (told.code, told.out) == (1, "")
    assert said in told.err


def test_plan_changes_nothing_and_says_why(magicpy, store):
    rows = magicpy("plan", "CrabNebula", "--cell", SMALL, "--up-to", "star", "--json").document
    assert {row["stage"] for row in rows} == {"calibrated", "star"}
    assert all(set(row) == RUN_TABLE_COLUMNS and row["state"] == "to do" and row["reason"] == "new" for row in rows)
    text = magicpy("plan", "CrabNebula", "--cell", SMALL, "--up-to", "star").out
    assert text.startswith(f"{len(rows)} of {len(rows)} tasks to do")
    commands = magicpy("plan", "CrabNebula", "--cell", SMALL, "--up-to", "star", "--commands").out.splitlines()
    assert commands == [row["command"] for row in rows]
    assert commands[0].startswith("get /Data/Calibrated/")
    assert not (store / "CrabNebula").exists()


def test_get_fetches_once_and_status_tells(magicpy, store):
    first = magicpy("get", "CrabNebula", "--cell", SMALL, "--json").document
    assert first["tasks"]["done"] == len(first["rows"]) > 0
    assert first["tasks"]["failed"] == 0
    assert all(Path(row["product"]).is_file() for row in first["rows"])
    again = magicpy("get", "CrabNebula", "--cell", SMALL)
    assert again.code == 0
    assert f"{len(first['rows'])} cached" in again.out
    rows = magicpy("status", "CrabNebula", "--json").document["rows"]
    assert {(row["stage"], row["done"]) for row in rows} == {("calibrated", len(first["rows"]))}


def test_where_nothing_can_be_done_the_exit_code_says_so(magicpy, store):
    told = magicpy("train", "ST0316/za50to62/weak", "--json")
    assert told.code == 1
    assert told.document["tasks"]["blocked"] == 1


def test_the_programme_of_the_observatory(magicpy, store):
    rows = magicpy("observatory", "night", "--json").document
    assert {"CrabNebula", "OJ287"} <= {row["source"] for row in rows}
    assert len(magicpy("observatory", "night").out.splitlines()) == 1 + len(rows)


def test_serve_answers_until_it_is_interrupted(tmp_path, monkeypatch):
    monkeypatch.setenv("MAGICPY_OBSERVATORY__CACHE", str(tmp_path / "cache"))
    words = [sys.executable, "-m", "magicpy_assets.cli", "observatory", "serve"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            url, _, user, _, password = server.stdout.readline().split()
            assert "simulated" in server.stdout.readline()
            assert requests.get(f"{url}/Data/", timeout=30).status_code == 401
            listing = requests.get(f"{url}/Data/", auth=(user, password), timeout=30)
            assert listing.status_code == 200
            assert "Calibrated" in listing.text
        finally:
            server.send_signal(signal.SIGINT)
        _, errors = server.communicate(timeout=60)
    assert (server.returncode, errors) == (0, "")


@pytest.mark.slow
@pytest.mark.xdist_group("chain")
class TestOnTheWholeChain:
    """Verbs on a store in which one cell has been brought to the spectrum."""

    @pytest.fixture(autouse=True)
    def finished(self, chain, monkeypatch):
        monkeypatch.setenv("MAGICPY_STORE", str(chain.session.layout.root))

    @pytest.mark.parametrize("verb", ["get --level calibrated", "star", "superstar", "melibea", "dl3"])
    def test_what_is_done_is_not_done_again(self, magicpy, chain, verb):
        told = magicpy(*verb.split(), "CrabNebula", "--cell", chain.cell.text, "--json")
        assert told.code == 0
        assert told.document["tasks"]["cached"] == len(told.document["rows"]) > 0

    def test_forests_by_their_cell(self, magicpy, chain):
        told = magicpy("train", chain.cell.text, "--json")
        assert told.code == 0
        trained = [row for row in told.document["rows"] if row["stage"] == "random_forest"]
        assert [(row["state"], row["cell"]) for row in trained] == [("cached", chain.cell.text)]

    def test_cuts_and_bins_of_ones_own(self, magicpy, chain, tmp_path):
        where = ("--period", "ST0316", "--out", str(tmp_path), "--json")
        cuts = ("--theta2", "0.01", "--hadronness", "0.3", "--size", "100")
        counted = magicpy("theta2", "CrabNebula", *cuts, *where).document["selection"]
        assert counted["theta2_max_deg2"] == 0.01
        assert (counted["hadronness_max"], counted["size_min_phe"]) == (0.3, 100.0)
        found = magicpy("light-curve", "CrabNebula", "--by", "59000,60000", *where).document
        assert found["binning"] == "bins"
        assert len(found["points"]["rows"]) == 1
        assert magicpy("light-curve", "CrabNebula", "--by", "59000,later", *where).code == 2

    def test_the_spectrum_from_the_store(self, magicpy, chain, tmp_path):
        told = magicpy("spectrum", "CrabNebula", "--period", "ST0316", "--model", "power_law", "--out", str(tmp_path))
        assert told.code == 0
        assert "sigma (Li & Ma)" in told.out
        assert (tmp_path / "spectrum.png").stat().st_size > 10_000
        document = magicpy("spectrum", "Crab", "--model", "power_law", "--out", str(tmp_path), "--json").document
        assert document["exposure"]["simulated"] is True
        assert all(set(row) >= {"value", "error", "unit"} for row in document["parameters"].values())
        assert all(Path(path).is_file() for path in document["files"])


@real_runs.needed
def test_a_spectrum_of_real_dl3_files_needs_no_store(magicpy, alone):
    told = magicpy("spectrum", "--dl3", str(real_runs.FOLDER), "--source", "CrabNebula", "--out", "here", "--json")
    assert told.code == 0
    amplitude = told.document["parameters"]["amplitude"]
    assert amplitude["value"] == pytest.approx(4.3e-11, rel=0.1)
    assert 0 < amplitude["error"] < 1e-11
    assert amplitude["unit"] == "1 / (TeV s cm2)"
    assert sorted(path.name for path in alone.iterdir()) == ["here"]
    assert told.document["exposure"]["simulated"] is False


def test_a_folder_without_dl3_files_is_named(magicpy, alone):
    told = magicpy("spectrum", "--dl3", str(alone), "--source", "Crab")
    assert told.code == 1
    assert str(alone) in told.err


@real_runs.needed
def test_an_unknown_source_in_dl3_files_names_those_there(magicpy, alone):
    told = magicpy("spectrum", "--dl3", str(real_runs.FOLDER), "--source", "CrabNebla")
    assert told.code == 1
    assert "CrabNebula" in told.err


def test_with_one_telescope_nothing_is_planned_of_the_other(magicpy, store):
    rows = magicpy("plan", "CrabNebula", "--cell", SMALL, "--telescopes", "2", "--json").document
    assert "superstar" not in {row["stage"] for row in rows}
    assert {"star", "melibea", "dl3", "spectra"} <= {row["stage"] for row in rows}
    assert not [row["product"] for row in rows if "_M1_" in row["product"]]
    told = magicpy("superstar", "CrabNebula", "--cell", SMALL, "--telescopes", "2")
    assert told.code == 1
    assert "superstar joins both telescopes, but the analysis is mono, M2" in told.err
    told = magicpy("plan", "CrabNebula", "--telescopes", "3")
    assert told.code == 1
    assert "allowed are (1, 2) for both together, (1,) for M1 alone, (2,) for M2 alone" in told.err


@pytest.mark.parametrize(
    "verb",
    ["get", "star", "melibea", "dl3 make", "theta2", "light-curve", "spectrum", "skymap", "peek", "fast", "report",
     "validate", "plan", "train", "off"],
)  # fmt: skip
def test_every_verb_that_analyses_can_be_asked_for_one_telescope(magicpy, verb):
    told = magicpy(*verb.split(), "--help")
    assert told.code == 0
    assert "--telescopes" in told.out
