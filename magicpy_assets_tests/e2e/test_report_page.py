"""The report in a real browser: it opens from its file, has all its parts, and every picture is loaded."""

import importlib.util
from pathlib import Path

import pytest
from PIL import Image

from magicpy_assets.analysis import Source
from magicpy_assets.core.periods import by_name
from magicpy_assets_tests.conftest import CELL

PLACE = Path(__file__).parents[2] / "examples" / "report.py"
SPEC = importlib.util.spec_from_file_location("report_example", PLACE)
example = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(example)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("chain"),
    pytest.mark.skipif(example.chromium() is None, reason="no Chromium on this machine"),
]

PARTS = (
    "top", "To send on", "Data", "Is there a signal?", "Sky map", "Does it vary?", "Spectrum", "Checks",
    "What is missing", "Methods", "Provenance",
)  # fmt: skip


@pytest.fixture(scope="module")
def page_path(chain, tmp_path_factory):
    with Source("CrabNebula", by_name("ST0316"), session=chain.session, quiet=True) as crab:
        crab.filter({"cell": CELL.text})
        return crab.report().save(tmp_path_factory.mktemp("report"))[0]


@pytest.fixture(scope="module")
def browser_page(page_path):
    with example.opened(page_path) as page:
        yield page


def test_it_asks_for_nothing_else_and_complains_of_nothing(browser_page):
    asked, told = [], []
    browser_page.on("request", lambda request: asked.append(request.url))
    browser_page.on("console", lambda message: told.append(message.text))
    browser_page.reload()
    assert asked[0].startswith("file:")
    assert [url for url in asked[1:] if not url.startswith("data:")] == []
    assert told == []


def test_all_parts_are_there_and_can_be_jumped_to(browser_page):
    assert browser_page.locator("section h2").all_inner_texts() == list(PARTS[1:])
    for link in browser_page.locator("nav a").all():
        link.click()
        title = browser_page.locator("h2" + link.get_attribute("href"))
        assert title.inner_text() == link.inner_text()
        box = title.bounding_box()
        assert box is not None
        assert -1 <= box["y"] < 900


def test_every_picture_is_loaded_and_fits(browser_page):
    pictures = browser_page.locator("img").all()
    assert len(pictures) >= 5
    for picture in pictures:
        assert picture.evaluate("one => one.complete && one.naturalWidth") > 300, picture.get_attribute("alt")
        assert picture.evaluate("one => one.clientWidth") <= 900
    assert browser_page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_every_table_is_seen_whole(browser_page):
    tables = browser_page.locator(".wide").all()
    assert len(tables) >= 5
    for table in tables:
        assert table.evaluate("one => one.scrollWidth - one.clientWidth") <= 0, table.inner_text()[:80]


def test_the_tree_opens_when_asked(browser_page):
    tree = browser_page.locator("details").first
    assert not tree.locator("pre").is_visible()
    tree.locator("summary").click()
    assert tree.locator("pre").is_visible()
    assert "melibea embedded" in tree.inner_text()
    tree.locator("summary").click()


def test_each_part_can_be_photographed(browser_page, tmp_path):
    taken = example.photograph(browser_page, tmp_path)
    assert tuple(taken) == PARTS
    for title, path in taken.items():
        with Image.open(path) as picture:
            assert picture.width > 600, title
            assert len(picture.convert("RGB").getcolors(maxcolors=1 << 24)) > 10, title
