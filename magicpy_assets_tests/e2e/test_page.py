"""The Dagster page in a real browser: the graph, the partitions, figures, a run launched, its checks, a failure."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
import time
from pathlib import Path

import dagster as dg
import pytest

from magicpy_assets.core.runs import parse_name
from magicpy_assets_tests.conftest import CELL, settings_for
from magicpy_assets_tests.processes import ROOT, answers, free_port, started, wait_until
from magicpy_assets_tests.small_world import SmallWorld

VIEW = {"width": 1300, "height": 820}
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("page"),
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]


def fail_one_star(settings, instance):
    """Take away the star files of one run, and materialise the level with a planned failure."""
    stars = sorted((Path(settings.store) / "CrabNebula" / "star").glob(f"*/{CELL.zenith_moon}/*_I_*.root"))
    run = parse_name(stars[0]).run
    for path in stars:
        if parse_name(path).run == run:
            path.unlink()
    with SmallWorld(settings, fail={"star": f"{run:08d}"}, instance=instance) as world:
        assert world.materialize(CELL.key, assets=[world.only("CrabNebula/star")]).success
    return run


@pytest.fixture(scope="module")
def store(chain, tmp_path_factory):
    """The store of the chain by hard links, so that its files can be taken away."""
    folder = tmp_path_factory.mktemp("page") / "store"
    shutil.copytree(chain.session.layout.root, folder, copy_function=os.link)
    return folder


@pytest.fixture(scope="module")
def page_address(store, tmp_path_factory):
    """The web server and the daemon on an instance in which the cell of the chain has been materialised."""
    home = tmp_path_factory.mktemp("dagster-home")
    shutil.copy(ROOT / "dagster.yaml", home / "dagster.yaml")
    settings = settings_for(store)
    with dg.DagsterInstance.from_config(str(home)) as instance:
        with SmallWorld(settings, instance=instance) as world:
            assert world.materialize(CELL.key, "spectra", "theta2", "light_curve", "skymap").success
        fail_one_star(settings, instance)
    port = free_port()
    env = os.environ | {"DAGSTER_HOME": str(home), "DAGSTER_DISABLE_TELEMETRY": "1", "MAGICPY_STORE": str(store)}
    workspace = ["-w", str(ROOT / "workspace.yaml")]
    server = ["dagster_webserver", *workspace, "-h", "127.0.0.1", "-p", str(port)]
    with contextlib.ExitStack() as running:
        for words in (server, ["dagster._daemon", "run", *workspace]):
            running.enter_context(started(sys.executable, "-m", *words, log=home / "page.log", env=env))
        wait_until(lambda: answers(port), "the page")
        yield f"http://127.0.0.1:{port}"


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
        page = browser.new_page(viewport=VIEW)
        page.set_default_timeout(60_000)
        yield page
        browser.close()


def settle(page):
    """Wait until the page stands still: nothing is being loaded, nothing moves but what moves for ever."""
    from playwright.sync_api import TimeoutError as NotYet

    with contextlib.suppress(NotYet):  # the page asks for news from time to time
        page.wait_for_load_state("networkidle", timeout=5000)
    page.evaluate(
        """() => Promise.all(document.getAnimations()
            .filter(one => Number.isFinite(one.effect?.getComputedTiming().endTime))
            .map(one => one.finished.catch(() => null)))"""
    )


SHORTEN = r"""prefix => {
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
        const text = texts.currentNode.nodeValue.replaceAll(prefix, ".venv");
        texts.currentNode.nodeValue = text.replace(/\/[^\s=]*?\/store\d*(?=\/)/g, "magicpy_store");
    }
}"""


def shot(page, name):
    """Keep a screenshot where MAGICPY_SCREENSHOTS says, for people to look at."""
    settle(page)
    folder = os.environ.get("MAGICPY_SCREENSHOTS")
    if folder:
        # Pictures show paths as they are in a folder of one's own, not where this machine keeps things.
        page.evaluate(SHORTEN, sys.prefix)
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=str(Path(folder) / f"page_{name}.png"), animations="disabled")


def test_the_graph_shows_the_chain_with_its_state(page_address, browser_page):
    browser_page.set_viewport_size({"width": 2400, "height": 1000})  # the state is drawn where there is room
    browser_page.goto(f"{page_address}/locations/magicpy_assets/asset-groups/CrabNebula/lineage")
    for name in ("archive", "calibrated", "star", "superstar", "melibea", "dl3", "spectra", "report"):
        browser_page.get_by_text(name, exact=True).first.wait_for()
    browser_page.get_by_text("5% filled").nth(8).wait_for()  # one of twenty cells, at nine levels and results
    browser_page.get_by_text("5 / 6 Passed").first.wait_for()  # of star, where a run has failed
    browser_page.get_by_text("6 / 6 Passed").first.wait_for()
    shot(browser_page, "graph")
    browser_page.set_viewport_size(VIEW)


def test_partitions_show_the_cell_as_materialised(page_address, browser_page):
    browser_page.goto(f"{page_address}/assets/CrabNebula/spectra?view=partitions")
    browser_page.get_by_text("ST0316").first.wait_for()
    browser_page.get_by_text("za05to35-weak").first.wait_for()
    shot(browser_page, "partitions")


def test_a_materialised_spectrum_shows_its_plot_small_and_in_full(page_address, browser_page):
    key = CELL.key.replace("|", "%7C")
    browser_page.goto(f"{page_address}/assets/CrabNebula/spectra?view=events&partition={key}")
    browser_page.get_by_text("significance").first.wait_for()
    full = browser_page.get_by_text("/CrabNebula/spectra/", exact=False).filter(has_text="sed.png").first
    address = full.inner_text().strip()
    browser_page.get_by_text("Show markdown", exact=False).first.click()
    image = browser_page.locator('img[src^="data:image/png;base64"]').first
    image.wait_for()
    assert image.is_visible()
    assert image.evaluate("picture => picture.naturalWidth") > 100
    box = image.bounding_box()
    assert box["width"] > 100
    assert box["height"] > 100
    shot(browser_page, "figure")
    browser_page.goto(address)
    whole = browser_page.locator("img").first
    assert whole.evaluate("picture => picture.naturalWidth") > 600


def test_a_failure_is_seen_with_its_reason(page_address, browser_page):
    key = CELL.key.replace("|", "%7C")
    browser_page.goto(f"{page_address}/assets/CrabNebula/star?view=events&partition={key}")
    browser_page.get_by_text("failed", exact=True).first.wait_for()
    browser_page.get_by_text("Show markdown", exact=False).first.click()
    dialog = browser_page.get_by_role("dialog")
    dialog.get_by_text("failed as planned", exact=False).first.wait_for()
    dialog.get_by_role("button", name="Close").wait_for()
    tasks = [row.locator("td").first.inner_text() for row in dialog.locator("table tbody tr").all()]
    assert len(tasks) == 16, "four runs, two telescopes, two subruns: a row each"
    assert all(re.fullmatch(r"\d{8} M[12]\.00[12]", task) for task in tasks), "the table is broken"
    shot(browser_page, "failure")
    browser_page.goto(f"{page_address}/assets/CrabNebula/star?view=checks&checkDetail=everything_is_there")
    browser_page.get_by_text("everything_is_there").first.wait_for()
    browser_page.get_by_text("Failed", exact=False).first.wait_for()


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


def open_last_run(page_address, browser_page):
    browser_page.goto(f"{page_address}/runs")
    browser_page.locator('a[href^="/runs/"]').first.click()


def test_what_failed_is_made_from_the_page_and_watched(page_address, browser_page, store):
    """Real work: the star files of a run, which a planned failure had kept from being made."""
    stars = set(store.glob(f"CrabNebula/star/*/{CELL.zenith_moon}/*_I_*.root"))
    browser_page.goto(f"{page_address}/assets/CrabNebula/star")
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
    open_last_run(page_address, browser_page)
    under_way = browser_page.get_by_text("Started", exact=True).or_(browser_page.get_by_text("Starting", exact=True))
    under_way.or_(browser_page.get_by_text("Queued", exact=True)).first.wait_for()
    shot(browser_page, "running")
    browser_page.get_by_text("Success", exact=True).first.wait_for(timeout=300_000)
    browser_page.get_by_text("CrabNebula__star").first.wait_for()
    shot(browser_page, "run")
    made = set(store.glob(f"CrabNebula/star/*/{CELL.zenith_moon}/*_I_*.root")) - stars
    assert len(made) == 4, "two subruns of two telescopes"


def wait_for_check(browser_page, address, name, word):
    """Open the checks of an asset until one of them says what is waited for."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        browser_page.goto(f"{address}&checkDetail={name}")
        browser_page.get_by_text(name).first.wait_for()
        settle(browser_page)
        if browser_page.get_by_text(word, exact=False).count():
            return
        time.sleep(1)
    pytest.fail(f"{name} did not say {word!r} within five minutes")


def test_checks_are_asked_again_from_the_page(page_address, browser_page, store):
    """A DL3 file is cut after it was made; asked again from the page, the checks say so, of its cell."""
    checks = f"{page_address}/assets/CrabNebula/dl3?view=checks"
    browser_page.goto(f"{checks}&checkDetail=files_are_readable")
    for name in ("exposure_closes", "dl3_is_valid", "files_are_readable"):
        browser_page.get_by_text(name).first.wait_for()
    (victim,) = sorted(store.glob(f"CrabNebula/dl3/*/{CELL.zenith_moon}/*.fits"))[:1]
    content = victim.read_bytes()
    victim.unlink()
    victim.write_bytes(content[:5000])
    execute = browser_page.locator("button", has_text="Execute all")
    execute.wait_for()
    assert execute.is_enabled()
    execute.click()
    wait_for_check(browser_page, checks, "everything_is_there", "product missing or not complete")
    browser_page.get_by_text(CELL.key).first.wait_for()
    shot(browser_page, "checks")


def test_one_check_is_asked_from_the_page(page_address, browser_page):
    checks = f"{page_address}/assets/run_catalogue?view=checks"
    browser_page.goto(f"{checks}&checkDetail=runs_make_sense")
    button = browser_page.locator("button", has_text=re.compile("^Execute$"))
    button.wait_for()
    button.click()
    wait_for_check(browser_page, checks, "runs_make_sense", "without_a_cell")
    browser_page.get_by_text("Passed", exact=False).first.wait_for()
