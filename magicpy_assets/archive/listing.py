"""The HTML listing of a folder on the data server: a header row, then a row for each file or folder."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from urllib.parse import unquote, urljoin, urlsplit

from magicpy_assets.archive.base import ONLINE, READING, TAPE, RemoteFile
from magicpy_assets.core.errors import ArchiveError

MOST_ROWS = 200_000
_SAFE = re.compile(r"[\w.+\-@:,=()\[\] ]+/?")
_DIGITS = re.compile("[0-9]{1,18}")


class _Rows(HTMLParser):
    """Collects the cells of every table row: texts, link, title of the state's icon."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[dict[str, str]] = []
        self._cells: list[str] = []
        self._row: dict[str, str] | None = None
        self._in_cell = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take note of rows, cells, links and icons."""
        given = {name: value or "" for name, value in attrs}
        if tag == "tr":
            self._row, self._cells = {}, []
        elif tag == "td":
            self._in_cell = True
            self._cells.append("")
        elif tag == "a" and self._row is not None and "href" in given:
            self._row.setdefault("href", given["href"])
        elif tag in ("i", "img", "span") and self._row is not None and given.get("title"):
            self._row.setdefault("state", given["title"])

    def handle_endtag(self, tag: str) -> None:
        """Close cells and rows."""
        if tag == "td":
            self._in_cell = False
        elif tag == "tr" and self._row is not None:
            if "href" in self._row and len(self.rows) < MOST_ROWS:
                cells = [cell.strip() for cell in self._cells]
                self.rows.append(self._row | {f"cell{n}": cell for n, cell in enumerate(cells)})
            self._row = None

    def handle_data(self, data: str) -> None:
        """Collect the text of cells."""
        if self._in_cell:
            self._cells[-1] += data


def parse_listing(html: str, folder: str) -> tuple[list[RemoteFile], list[str]]:
    """Return the files and the names of the folders in the listing of a server folder.

    Links that lead anywhere but to a plain name in this very folder (other hosts, parents, absolute places, odd
    characters) are left out: a listing must not be able to make us read or write elsewhere.

    Raises
    ------
    ArchiveError
        If the page is no listing at all.
    """
    if "<table" not in html.lower():
        raise ArchiveError(f"the server's answer for {folder} is not a listing", hint="is the address right?")
    parser = _Rows()
    parser.feed(html)
    base = folder.rstrip("/") + "/"
    files: dict[str, RemoteFile] = {}
    folders: dict[str, None] = {}
    for row in parser.rows:
        name = _plain_name(row["href"], base)
        if name is None:
            continue
        if name.endswith("/"):
            folders[name.rstrip("/")] = None
        else:
            texts = [value for key, value in row.items() if key.startswith("cell")]
            files[name] = RemoteFile(base + name, _size(texts), _modified(texts), None, _state(row.get("state", "")))
    return list(files.values()), list(folders)


def _plain_name(href: str, base: str) -> str | None:
    try:
        target = urlsplit(urljoin("http://server" + base, href))
    except ValueError:
        return None
    if target.netloc != "server" or target.query or target.fragment:
        return None
    path = unquote(target.path)
    if not path.startswith(base):
        return None
    name = path[len(base) :]
    if not name or name.startswith(".") or "/" in name.removesuffix("/") or not _SAFE.fullmatch(name):
        return None
    return name


def _size(cells: list[str]) -> int | None:
    return next((int(cell) for cell in reversed(cells) if _DIGITS.fullmatch(cell)), None)


def _modified(cells: list[str]) -> str | None:
    for cell in cells:
        try:
            return datetime.strptime(cell, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC).isoformat()
        except ValueError:
            continue
    return None


def _state(title: str) -> str:
    lower = title.lower()
    if lower.startswith("reading"):
        return READING
    return TAPE if "tape" in lower else ONLINE
