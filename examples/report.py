"""Screenshots of a report, a part each, for the page on reports; needs a Chromium.

    python examples/report.py --store FOLDER [--source CrabNebula] [--docs]

The report is written from what is in the store (a fast analysis, for example). Without --docs the pictures lie beside
it.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import magicpy_assets as mp
from magicpy_assets.core.settings import load_settings

if TYPE_CHECKING:
    from playwright.sync_api import Page

DOCS = Path(__file__).parents[1] / "docs"
WIDTH = 940
COLOURS = 96
"""As few colours as make small files of text and figures."""


def chromium() -> str | None:
    """Return where a Chromium is, if there is one."""
    found = (shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome"))
    return next((path for path in found if path), None)


@contextmanager
def opened(path: Path) -> Iterator[Page]:
    """Open a report from its file in a browser without a window."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium(), args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        page = browser.new_page(viewport={"width": WIDTH, "height": 900})
        page.goto(path.absolute().as_uri())
        yield page
        browser.close()


def photograph(page: Page, folder: Path) -> dict[str, Path]:
    """Take a picture of each part of an opened report; return them by its title.

    Raises
    ------
    RuntimeError
        If a picture of the report has not been loaded.
    """
    folder.mkdir(parents=True, exist_ok=True)
    broken = page.locator("img").evaluate_all("all => all.filter(one => !one.naturalWidth).map(one => one.alt)")
    if broken:
        raise RuntimeError(f"not loaded: {', '.join(broken)}")
    page.locator("details").first.evaluate("one => { one.open = true }")
    page.evaluate("window.scrollTo(0, 0)")
    taken = {"top": folder / "report_top.png"}
    page.screenshot(path=str(taken["top"]), clip={"x": 0, "y": 0, "width": WIDTH, "height": 470})
    for section in page.locator("section").all():
        title = section.locator("h2").inner_text()
        name = "".join(sign if sign.isalnum() else "_" for sign in title.lower()).strip("_")
        taken[title] = folder / f"report_{name}.png"
        section.screenshot(path=str(taken[title]), animations="disabled")
    return taken


def made_small(path: Path) -> None:
    """Write a picture again with few colours."""
    from PIL import Image

    with Image.open(path) as picture:
        small = picture.convert("RGB").quantize(COLOURS)
    small.save(path, optimize=True)


def main() -> int:
    """Write the report and take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--source", default="CrabNebula")
    parser.add_argument("--docs", action="store_true", help="take the pictures of the documentation")
    given = parser.parse_args()
    settings = load_settings(store=str(given.store), archive={"offline": True})
    with mp.analysis.Source(given.source, period=mp.periods.ST0316, settings=settings, quiet=True) as source:
        folder = source.session.layout.shown(source.name, "report")
        page = source.report().save(folder)[0]
    with opened(page) as report:
        taken = photograph(report, DOCS / "figures" if given.docs else folder)
    for path in taken.values():
        made_small(path)
        print(f"{path} {path.stat().st_size / 1024:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
