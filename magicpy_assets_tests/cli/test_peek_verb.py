"""The verb that looks."""

from __future__ import annotations

import pytest

from magicpy_assets.core import datalevels
from magicpy_assets.core.runs import parse_name

pytestmark = pytest.mark.xdist_group("chain")


@pytest.fixture
def run(chain, monkeypatch):
    root = chain.session.layout.root
    monkeypatch.setenv("MAGICPY_STORE", str(root))
    return parse_name(next(root.glob(f"CrabNebula/{datalevels.Melibea.key}/*/*/*_Q_*.root"))).run


def test_a_source_a_run_and_an_event_are_drawn(magicpy, run, tmp_path):
    for words, said in (
        ([], "Total runs:"),
        (["--run", str(run)], "written:"),
        (["--run", str(run), "--event", "brightest"], f"run {run}, event "),
    ):
        path = tmp_path / "new" / f"{len(words)}.png"
        told = magicpy("peek", "Crab", *words, "--out", str(path))
        assert told.code == 0, told.err
        assert said in told.out
        assert path.read_bytes().startswith(b"\x89PNG")


def test_json_tells_the_event_and_where_the_figure_is(magicpy, run, tmp_path):
    told = magicpy(
        "peek", "Crab", "--run", str(run), "--event", "gamma", "--out", str(tmp_path / "e.png"), "--json"
    ).document
    assert told["files"] == [str(tmp_path / "e.png")]
    assert told["event"]["simulated"] is True
    assert told["event"]["as_analysed"] is True
    again = magicpy(
        "peek", "Crab", "--run", str(run), "--event", str(told["event"]["event"]), "--out", str(tmp_path / "f.png"),
        "--json",
    ).document  # fmt: skip
    assert again["event"] == told["event"]


def test_faults_are_told_in_words(magicpy, run):
    assert magicpy("peek", "Crab", "--event", "random").code == 2
    told = magicpy("peek", "Crab", "--run", str(run), "--event", "brigtest")
    assert told.code == 1
    assert "did you mean brightest?" in told.err
    told = magicpy("peek", "Crab", "--run", "12")
    assert "unknown run of CrabNebula '12'" in told.err
