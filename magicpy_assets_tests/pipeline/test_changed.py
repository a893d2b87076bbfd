"""A file that is replaced on the server is seen, and what was made from it is redone: that and nothing else."""

from __future__ import annotations

import shutil

import pytest

from magicpy_assets.core.runs import parse_name
from magicpy_assets.core.settings import load_settings
from magicpy_assets.observatory.server import serve
from magicpy_assets.pipeline.plan import plan
from magicpy_assets.pipeline.run import process
from magicpy_assets.pipeline.session import open_session
from magicpy_assets_tests.conftest import FIRST_NIGHTS, RUN_S, SEED

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("chain")]

STAGES = ["calibrated", "dl3", "melibea", "spectra", "star", "superstar"]


def test_one_file_that_is_replaced_has_its_descendants_redone(chain, tmp_path):
    store = tmp_path / "store"
    shutil.copytree(chain.session.layout.root, store)
    with serve(tmp_path / "observatory", SEED, nights=FIRST_NIGHTS, duration_s=RUN_S) as server:
        settings = load_settings(store=str(store), archive={"url": server.url, "user": server.user})
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("MAGICPY_ARCHIVE_PASSWORD", server.password)
            with open_session(settings) as session:
                before = plan(session, "CrabNebula", [chain.cell])
                assert before.to_do == ()
                victim = before.only("calibrated").where(lambda task: task.source == "CrabNebula").tasks[0]
                server.replace(victim.remote.path)
                report = process(session, "CrabNebula", [chain.cell])
    table = report.table
    redone = table[table["state"] == "done"]
    assert sorted(redone["stage"]) == STAGES
    assert set(table["state"]) == {"done", "cached"}
    run = f"{parse_name(victim.product).run:08d}"
    assert all(unit.startswith(run) for unit in redone[redone["stage"] != "spectra"]["unit"])
    why = dict(zip(redone["stage"], redone["reason"], strict=True))
    assert why["calibrated"].startswith("changed on the server: modified")
    assert all(why[stage].startswith("input changed: ") for stage in STAGES[1:])
