"""A document is one file that needs nothing else, and the same as PDF."""

import re

import pandas as pd
import pytest
from pypdf import PdfReader

from magicpy_assets.plots.document import BANNER, Document, Section


def figure():
    from matplotlib.figure import Figure

    drawn = Figure(figsize=(3, 2))
    drawn.add_subplot().plot([1, 2, 3])
    return drawn


def document(simulated=True):
    table = pd.DataFrame({"run": [5092796, 5092797], "flux": [1.234567e-11, float("nan")], "why": ["<cut>", "late"]})
    return Document(
        title="Crab & friends",
        subtitle="two runs",
        numbers=(("Significance", "19.7 σ"),),
        sections=(
            Section("Words", texts=("A paragraph.",), quote="To be\nsent on."),
            Section(
                "Numbers",
                tables=(("All runs", table),),
                figures=(("a curve", figure()),),
                listings=(("a tree", "a\n  b"),),
            ),
        ),
        simulated=simulated,
        footer="the end",
    )


def test_the_page_needs_nothing_else():
    page = document().html()
    assert not re.search(r'(src|href)="(?!data:|#)', page)
    assert "<script" not in page
    assert page.count("data:image/png;base64,") == 1
    for words in (
        "Crab &amp; friends",
        "19.7 σ",
        "A paragraph.",
        "To be\nsent on.",
        "All runs",
        "5092796",
        "1.235e-11",
    ):
        assert words in page
    assert "&lt;cut&gt;" in page
    assert "<details><summary>a tree</summary><pre>a\n  b</pre></details>" in page
    assert "nan" not in page.split("base64")[0]


@pytest.mark.parametrize("simulated", [True, False])
def test_what_is_simulated_says_so_at_the_top(simulated, tmp_path):
    html, pdf = document(simulated).save(tmp_path)
    assert (BANNER in html.read_text()) == simulated
    text = PdfReader(pdf).pages[0].extract_text()
    assert (BANNER in text) == simulated


def test_the_pdf_has_the_words_the_numbers_and_the_figure(tmp_path):
    _, pdf = document().save(tmp_path, "paper")
    assert pdf.name == "paper.pdf"
    pages = PdfReader(pdf).pages
    text = "\n".join(page.extract_text() for page in pages)
    for words in ("Crab & friends", "19.7 σ", "A paragraph.", "All runs", "5092796", "the end"):
        assert words in text
    assert sum(len(page.images) for page in pages) == 1


def test_long_tables_are_cut_on_paper_and_whole_on_the_page(tmp_path):
    long = pd.DataFrame({"run": range(300)})
    one = Document("t", "s", (), (Section("runs", tables=(("All", long),)),), simulated=False)
    assert ">299<" in one.html()
    one.save(tmp_path)
    text = "\n".join(page.extract_text() for page in PdfReader(tmp_path / "report.pdf").pages)
    assert "the first 60 of 300 rows" in text
