"""The Dagster page in a real browser: the graph, the partitions, and a materialised spectrum with its plot."""

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

from magicpy_assets.definitions import build_defs
from magicpy_assets_tests.conftest import CELL

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


@pytest.fixture(scope="module")
def page_address(chain, tmp_path_factory):
    """The web server on an instance in which the cell of the chain has been materialised."""
    home = tmp_path_factory.mktemp("dagster-home")
    shutil.copy(ROOT / "dagster.yaml", home / "dagster.yaml")
    built = build_defs(chain.session.settings)
    with dg.DagsterInstance.from_config(str(home)) as instance:
        assets = [asset for asset in built.assets if isinstance(asset.partitions_def, dg.MultiPartitionsDefinition)]
        result = dg.materialize(assets, resources=built.resources, instance=instance, partition_key=CELL.key)
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
        address = f"http://127.0.0.1:{port}"
        try:
            wait_for(address, server)
            yield address
        finally:
            server.terminate()
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()


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
        page.screenshot(path=str(Path(folder) / f"{name}.png"))


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
