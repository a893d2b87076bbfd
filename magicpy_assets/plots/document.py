"""A report on paper: sections with words, tables and figures, as one HTML file that needs nothing else, and as PDF."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from magicpy_assets.store.records import pending

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

DPI = 110
MOST_ROWS_PDF = 60
BANNER = "SIMULATED: nothing here says anything about the real sky."


@dataclass(frozen=True)
class Section:
    """A part of a document; whatever is empty is left out.

    Attributes
    ----------
    texts
        Paragraphs.
    quote
        A text that is meant to be sent on as it is.
    tables
        Captions and tables.
    figures
        Names and figures.
    listings
        Captions and lines that keep their places; on the page they are folded until somebody asks.
    """

    title: str
    texts: tuple[str, ...] = ()
    quote: str = ""
    tables: tuple[tuple[str, pd.DataFrame], ...] = ()
    figures: tuple[tuple[str, Figure], ...] = ()
    listings: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Document:
    """A report: title, what is below it, numbers that are seen first (name and value), sections."""

    title: str
    subtitle: str
    numbers: tuple[tuple[str, str], ...]
    sections: tuple[Section, ...]
    simulated: bool
    footer: str = ""

    def html(self) -> str:
        """Return the document as one HTML file, figures and style included."""
        from jinja2 import Environment, PackageLoader, StrictUndefined

        environment = Environment(
            loader=PackageLoader("magicpy_assets.plots"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
        )
        template = environment.get_template("document.html.j2")
        return template.render(document=self, heads=_heads, cells=_cells, pictures=_pictures)

    def pdf(self) -> bytes:
        """Return the document as PDF (A4)."""
        return _Paper(self).made()

    def save(self, folder: Path, name: str = "report") -> list[Path]:
        """Write ``<name>.html`` and ``<name>.pdf`` into a folder; returns their paths."""
        folder.mkdir(parents=True, exist_ok=True)
        paths = [folder / f"{name}.html", folder / f"{name}.pdf"]
        for path, content in zip(paths, (self.html().encode(), self.pdf()), strict=True):
            with pending(path) as temporary:
                temporary.write_bytes(content)
        return paths


def _cells(table: pd.DataFrame) -> Iterator[list[tuple[str, bool]]]:
    """Yield the rows of a table as texts, and whether each is words."""
    words = _are_words(table)
    for row in table.itertuples(index=False):
        yield [(_text(value), is_words) for value, is_words in zip(row, words, strict=True)]


def _heads(table: pd.DataFrame) -> list[tuple[str, bool]]:
    return list(zip(map(str, table.columns), _are_words(table), strict=True))


def _are_words(table: pd.DataFrame) -> list[bool]:
    """Tell which columns hold words: they begin at the left and may be broken into lines."""
    return [any(isinstance(value, str) for value in table[name]) for name in table.columns]


def _text(value: Any) -> str:
    if isinstance(value, float):
        return "" if value != value else f"{value:.3f}" if 1e4 <= abs(value) < 1e6 else f"{value:.4g}"
    return str(value)


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI)
    return buffer.getvalue()


def _pictures(section: Section) -> Iterator[tuple[str, str]]:
    for name, figure in section.figures:
        yield name, base64.b64encode(_png(figure)).decode()


class _Paper:
    """The document on A4 pages."""

    WIDTH_MM = 180.0

    def __init__(self, document: Document) -> None:
        import matplotlib
        from fpdf import FPDF

        self.document = document
        self.pdf = FPDF(format="A4")
        self.pdf.set_margins(15, 15)
        self.pdf.set_auto_page_break(True, margin=15)
        self.pdf.set_title(document.title)
        fonts = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
        self.pdf.add_font("sans", "", fonts / "DejaVuSans.ttf")
        self.pdf.add_font("sans", "B", fonts / "DejaVuSans-Bold.ttf")
        self.pdf.add_font("mono", "", fonts / "DejaVuSansMono.ttf")

    def made(self) -> bytes:
        """Write all pages."""
        document = self.document
        self.pdf.add_page()
        self._words(document.title, 16, bold=True)
        self._words(document.subtitle, 9)
        if document.simulated:
            self.pdf.set_text_color(169, 50, 38)
            self._words(BANNER, 10, bold=True)
            self.pdf.set_text_color(0)
        for name, value in document.numbers:
            self._words(f"{name}: {value}", 10)
        for section in document.sections:
            self._section(section)
        self._words(document.footer, 7)
        return bytes(self.pdf.output())

    def _section(self, section: Section) -> None:
        self.pdf.ln(4)
        if self.pdf.will_page_break(30):
            self.pdf.add_page()
        self._words(section.title, 12, bold=True)
        for text in (*section.texts, section.quote):
            if text:
                self._words(text, 9)
        for caption, table in section.tables:
            self._table(caption, table)
        for _, figure in section.figures:
            self.pdf.image(io.BytesIO(_png(figure)), w=150, x=30)
        for caption, lines in section.listings:
            self._words(caption, 8)
            self._words(lines, 6.5, font="mono")

    def _words(self, text: str, size: float, *, bold: bool = False, font: str = "sans") -> None:
        self.pdf.set_font(font, "B" if bold else "", size)
        self.pdf.multi_cell(self.WIDTH_MM, size * 0.5, text, new_x="LMARGIN", new_y="NEXT", align="L")

    def _table(self, caption: str, table: pd.DataFrame) -> None:
        shown = table.head(MOST_ROWS_PDF)
        left = len(table) - len(shown)
        self._words(caption + (f" (the first {len(shown)} of {len(table)} rows)" if left else ""), 8)
        rows = [[str(name) for name in table.columns], *([text for text, _ in row] for row in _cells(shown))]
        widths = [min(max(len(row[k]) for row in rows), 40) + 2 for k in range(len(table.columns))]
        self.pdf.set_font("sans", "", 6.5)
        with self.pdf.table(
            col_widths=widths, line_height=3.6, text_align="LEFT", borders_layout="HORIZONTAL_LINES"
        ) as on:
            for row in rows:
                on.row(row)
        self.pdf.ln(2)
