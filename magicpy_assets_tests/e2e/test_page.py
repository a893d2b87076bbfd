"""The Dagster page in a real browser: the graph, the partitions, figures, a run launched, its checks, a failure."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import dagster as dg
import pytest

from magicpy_assets.core.runs import parse_name
from magicpy_assets.definitions import build_defs
from magicpy_assets_tests.conftest import CELL, settings_for
from magicpy_assets_tests.small_world import SmallWorld

ROOT = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("chain"),
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]


def free_port() -> int:
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def fail_one_star(chain, folder, instance):
    """Materialise star in a copy of the store, from which the files of a run are missing, with a planned failure."""
    store = folder / "store"
    shutil.copytree(chain.session.layout.root, store, copy_function=os.link)
    stars = [path for path in (store / "CrabNebula" / "star").rglob("*_I_*.root") if ".records" not in path.parts]
    run = sorted(parse_name(path).run for path in stars)[0]
    for path in stars:
        if parse_name(path).run == run:
            path.unlink()
    with SmallWorld(settings_for(store), fail={"star": f"{run:08d}"}) as world:
        (star,) = (one for one in world.assets("star") if one.key == dg.AssetKey(["CrabNebula", "star"]))
        dg.materialize([star], resources=world.resources, instance=instance, partition_key=CELL.key)


@pytest.fixture(scope="module")
def page_address(chain, tmp_path_factory):
    """The web server and the daemon on an instance in which the cell of the chain has been materialised."""
    home = tmp_path_factory.mktemp("dagster-home")
    shutil.copy(ROOT / "dagster.yaml", home / "dagster.yaml")
    built = build_defs(chain.session.settings)
    with dg.DagsterInstance.from_config(str(home)) as instance:
        assets = [asset for asset in built.assets if isinstance(asset.partitions_def, dg.MultiPartitionsDefinition)]
        fail_one_star(chain, home, instance)
        wanted = [asset for asset in assets if asset.key != dg.AssetKey(["CrabNebula", "star"])]
        result = dg.materialize(wanted, resources=built.resources, instance=instance, partition_key=CELL.key)
        assert result.success
    port = free_port()
    env = os.environ | {
        "DAGSTER_HOME": str(home),
        "DAGSTER_DISABLE_TELEMETRY": "1",
        "MAGICPY_STORE": str(chain.session.layout.root),
    }
    with (home / "page.log").open("w") as log:
        server = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "dagster_webserver",
                "-w",
                str(ROOT / "workspace.yaml"),
                "-h",
                "127.0.0.1",
                "-p",
                str(port),
            ],
            cwd=ROOT,
            env=env,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        daemon = subprocess.Popen(
            [sys.executable, "-m", "dagster._daemon", "run", "-w", str(ROOT / "workspace.yaml")],
            cwd=ROOT,
            env=env,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        address = f"http://127.0.0.1:{port}"
        try:
            wait_for(address, server)
            yield address
        finally:
            for process in (server, daemon):
                process.terminate()
            for process in (server, daemon):
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    process.kill()


def wait_for(address: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert server.poll() is None, "the web server has ended"
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{address}/server_info", timeout=2) as answer:
            if answer.status == 200:
                return
        time.sleep(0.5)
    pytest.fail("the web server did not answer within two minutes")


@pytest.fixture(scope="module")
def browser_page(page_address):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=[
                "--no-sandbox",
                "--disable-gpu",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-sync",
            ],
        )
        page = browser.new_page(viewport={"width": 1500, "height": 950})
        page.set_default_timeout(60_000)
        yield page
        browser.close()


def shot(page, name):
    """Keep a screenshot where MAGICPY_SCREENSHOTS says, for people to look at."""
    folder = os.environ.get("MAGICPY_SCREENSHOTS")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=str(Path(folder) / f"{name}.png"), animations="disabled")


def test_the_graph_shows_the_chain(page_address, browser_page):
    browser_page.goto(f"{page_address}/asset-groups/")
    browser_page.goto(f"{page_address}/locations/magicpy_assets/asset-groups/CrabNebula/lineage")
    for name in ("calibrated", "star", "superstar", "melibea", "dl3", "spectra"):
        browser_page.get_by_text(name, exact=True).first.wait_for()
    shot(browser_page, "graph")


def test_partitions_show_the_cell_as_materialised(page_address, browser_page):
    browser_page.goto(f"{page_address}/assets/CrabNebula/spectra?view=partitions")
    browser_page.get_by_text("ST0316").first.wait_for()
    browser_page.get_by_text("za05to35-weak").first.wait_for()
    shot(browser_page, "partitions")


def test_a_materialised_spectrum_shows_its_plot(page_address, browser_page):
    key = CELL.key.replace("|", "%7C")
    browser_page.goto(f"{page_address}/assets/CrabNebula/spectra?view=events&partition={key}")
    browser_page.get_by_text("significance").first.wait_for()
    shot(browser_page, "spectrum")
    browser_page.get_by_text("Show markdown", exact=False).first.click()
    image = browser_page.locator('img[src^="data:image/png;base64"]').first
    image.wait_for()
    assert image.evaluate("picture => picture.naturalWidth") > 100
    shot(browser_page, "plot")


def choose(browser_page, dialog, dimension, text):
    """Choose one partition of a dimension in the dialog that launches runs."""
    from playwright.sync_api import TimeoutError as NotYet

    field = browser_page.get_by_placeholder("Filter partitions")
    for _ in range(20):
        dialog.locator('[class*="TagSelector_tagSelectorContainer"]').nth(dimension).click()
        with contextlib.suppress(NotYet):  # a click before the partitions are loaded opens nothing
            field.wait_for(timeout=3000)
            break
    field.fill(text)
    browser_page.get_by_text("Select all (1)").click()
    browser_page.keyboard.press("Escape")
    field.wait_for(state="hidden")


def test_a_cell_is_materialised_from_the_page(page_address, browser_page):
    browser_page.goto(f"{page_address}/assets/CrabNebula/theta2")
    browser_page.get_by_role("button", name="Materialize").first.click()
    dialog = browser_page.get_by_role("dialog").filter(has_text="Partition selection")
    sure = browser_page.get_by_role("button", name="Confirm")
    sure.or_(dialog).first.wait_for()
    if sure.count():
        sure.click()
    dialog.wait_for()
    choose(browser_page, dialog, 0, CELL.period.name)
    choose(browser_page, dialog, 1, CELL.zenith_moon)
    shot(browser_page, "launch")
    dialog.get_by_role("button", name="Launch 1 run").click()
    dialog.wait_for(state="hidden")
    browser_page.goto(f"{page_address}/runs")
    browser_page.locator('a[href^="/runs/"]').first.click()
    browser_page.get_by_text("CrabNebula__theta2").first.wait_for()
    browser_page.get_by_text("Success", exact=True).first.wait_for(timeout=120_000)
    shot(browser_page, "run")


def test_checks_tell_what_was_asked_and_answered(page_address, browser_page):
    browser_page.goto(f"{page_address}/assets/CrabNebula/dl3?view=checks")
    for name in ("exposure_closes", "dl3_is_valid"):
        browser_page.get_by_text(name).first.wait_for()
    browser_page.get_by_text("exposure_closes").first.click()
    browser_page.get_by_text("The live time of the files").first.wait_for()
    shot(browser_page, "checks")


def test_a_failure_is_seen_with_its_reason(page_address, browser_page):
    key = CELL.key.replace("|", "%7C")
    browser_page.goto(f"{page_address}/assets/CrabNebula/star?view=events&partition={key}")
    browser_page.get_by_text("failed", exact=True).first.wait_for()
    shot(browser_page, "failure_event")
    browser_page.get_by_text("Show markdown", exact=False).first.click()
    browser_page.get_by_text("failed as planned", exact=False).first.wait_for()
    browser_page.get_by_role("button", name="Close").wait_for()
    shot(browser_page, "failure")
