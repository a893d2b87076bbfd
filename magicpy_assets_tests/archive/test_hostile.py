"""A data server that wants to write elsewhere: whatever it lists, nothing is touched outside the store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from rogue import Rogue, serve_rogue

from magicpy_assets.core import datalevels
from magicpy_assets.core.errors import InputError
from magicpy_assets.core.runs import night_folder, night_of
from magicpy_assets.core.settings import load_settings
from magicpy_assets.pipeline.plan import plan
from magicpy_assets.pipeline.run import run
from magicpy_assets.pipeline.session import Session
from magicpy_assets.store.layout import Layout

NIGHT = "2020_11_16"
NAME = "20201116_M1_05093118.001_Y_CrabNebula-W0.40+035.root"
FOLDER = f"/Data/Calibrated/v1/CrabNebula/{NIGHT}"
HOSTILE = (
    f"../../../../../{NAME}",
    f"/{NAME}",
    f"//elsewhere.example/{NAME}",
    f"http://elsewhere.example{FOLDER}/{NAME}",
    f"file:///{NAME}",
    f"..%2f..%2f{NAME}",
    f"%2e%2e/{NAME}",
    f"..\\{NAME}",
    f"{NAME}%00.txt",
    f"a%0a{NAME}",
    f"%1b[2J{NAME}",
    f"%e2%80%ae{NAME}",
    ".records/",
    "../",
    "%2e%2e/",
    "/etc/",
    "..",
)


@pytest.fixture
def rogue() -> Iterator[Rogue]:
    yield from serve_rogue()


@pytest.fixture
def session(rogue: Rogue, tmp_path: Path) -> Iterator[Session]:
    settings = load_settings(store=str(tmp_path / "inside" / "store"), archive={"url": rogue.url})
    with Session(settings) as opened:
        yield opened


def page(*hrefs: str) -> str:
    return "<table>" + "".join(f'<tr><td><a href="{href}">x</a></td></tr>' for href in hrefs) + "</table>"


def put_tree(rogue: Rogue, reports: dict[str, str]) -> None:
    """Serve one honest file among hostile names, in every folder on the way to it."""
    parts = [part for part in FOLDER.split("/") if part]
    for depth, name in enumerate(parts):
        rogue.pages["/" + "".join(f"{part}/" for part in parts[:depth])] = page(*HOSTILE, f"{name}/")
    rogue.pages[FOLDER + "/"] = page(*HOSTILE, NAME)
    rogue.pages["/CCdata/"] = page(*HOSTILE, f"{NIGHT}/")
    rogue.pages[f"/CCdata/{NIGHT}/"] = page(*HOSTILE, *reports)
    rogue.files |= {f"/CCdata/{NIGHT}/{name}": text.encode() for name, text in reports.items()}


def outside(tmp_path: Path) -> list[Path]:
    store = tmp_path / "inside" / "store"
    return [path for path in tmp_path.rglob("*") if store not in (path, *path.parents) and path != store.parent]


def report_of(source: str, observatory) -> str:
    tree = observatory.tree
    path = next(path for path in tree.files if path.parts[1] == "CCdata" and path.parent.name == NIGHT)
    return tree.shelf.local(tree.files[path]).read_text().replace("CrabNebula", source)


def test_only_what_lies_in_the_folder_is_listed(rogue, session):
    put_tree(rogue, {})
    level = datalevels.Calibrated
    assert session.archive.sources(level) == ["CrabNebula"]
    assert session.archive.nights(level, "CrabNebula") == [NIGHT]
    assert [remote.path for remote in session.archive.files(level, "CrabNebula", NIGHT)] == [f"{FOLDER}/{NAME}"]
    assert all(path.startswith(("/Data/", "/CCdata/")) for _, path, _ in rogue.asked)


@pytest.mark.parametrize("source", ["../../../evil", "/evil", "..", "evil/../..", "ev\x1bil", "e\x00vil", "a\\b"])
def test_a_run_report_cannot_lead_out_of_the_store(rogue, session, tmp_path, observatory, source):
    put_tree(rogue, {"CC_a_M1.run": report_of(source, observatory)})
    session.catalogue.refresh()
    assert source not in set(session.catalogue.runs()["source"])
    assert outside(tmp_path) == []


@pytest.mark.parametrize("source", ["../../../evil", "/evil", "..", ".", "", "evil/..", "a\\b", "e\x00vil", "a\nb"])
def test_the_store_has_no_place_for_names_that_lead_elsewhere(tmp_path, source):
    layout, night = Layout(tmp_path), night_of(NIGHT)
    with pytest.raises(InputError):
        layout.calibrated(source, night, "a.root")
    with pytest.raises(InputError):
        layout.calibrated("CrabNebula", night, source)


def test_a_whole_run_touches_nothing_outside(rogue, session, tmp_path, observatory):
    put_tree(rogue, {"CC_a_M1.run": report_of("CrabNebula", observatory)})
    rogue.files[f"{FOLDER}/{NAME}"] = b"no ROOT file"
    session.catalogue.refresh()
    planned = plan(session, "CrabNebula", None, "calibrated")
    assert [task.product.name for task in planned if task.remote] == [NAME]
    assert run(session, planned).counts["done"] == 0  # it came, and was found to be no calibrated file
    assert outside(tmp_path) == []
    assert night_folder(night_of(NIGHT)) == NIGHT
