"""What an event says: of what is there, why, the table of tasks; figures within their limit, none drawn twice."""

import os
from pathlib import Path

import numpy as np
import pytest

from magicpy_assets.defs.described import MOST_ROWS, data_version, describe, why
from magicpy_assets.defs.figures import LARGEST_BYTES, inline, show
from magicpy_assets.pipeline.report import Report, Row
from magicpy_assets.pipeline.runs import known_runs
from magicpy_assets.pipeline.session import open_session
from magicpy_assets.pipeline.status import broken, write_broken
from magicpy_assets.store.layout import Layout
from magicpy_assets.store.records import Record, write_record


def row(folder: Path, number: int, state: str, reason: str = "new") -> Row:
    """A task of a report, with the record that it would have left."""
    product = folder / f"20201116_M1_{number:08d}.001_I_CrabNebula-W0.40+035.root"
    outcome = {"done": "done", "cached": "done"}.get(state, "failed")
    product.write_text("some events")
    write_record(product, Record("f" * 64, "star", product.name, outcome, log="star.log"))
    return Row("star", "CrabNebula", "ST0316/za05to35/weak", str(number), str(product), state, reason, "", 1.0)


def test_the_data_version_changes_when_a_failed_product_is_made(tmp_path):
    good, bad = row(tmp_path, 1, "done"), row(tmp_path, 2, "failed")
    before = data_version(Report([good, bad]))
    assert data_version(Report([good])) == before
    mended = row(tmp_path, 2, "done")
    assert data_version(Report([good, mended])) != before


def test_reasons_of_several_lines_leave_the_table_whole(tmp_path, environment):
    with open_session(store=str(tmp_path / "store")) as session:
        report = Report([row(tmp_path, 1, "failed", "no events\nhint: look | there"), row(tmp_path, 2, "cached")])
        lines = describe(session, report)["tasks"].value.splitlines()
    assert len(lines) == 4
    assert all(line.replace("\\|", "").count("|") == 7 for line in lines)
    assert "no events · hint: look" in lines[2]


def test_the_table_has_a_limit_and_shows_what_is_not_done_first(tmp_path, environment):
    with open_session(store=str(tmp_path / "store")) as session:
        rows = [row(tmp_path, number, "cached") for number in range(MOST_ROWS + 9)]
        text = describe(session, Report([*rows, row(tmp_path, 999, "failed", "bad")]))["tasks"].value
    assert text.splitlines()[2].startswith("| 999 |")
    assert len([line for line in text.splitlines() if line.startswith("|")]) == MOST_ROWS + 2
    assert "… and 10 more" in text


def test_why_says_what_was_done_or_why_nothing(tmp_path):
    cached = [row(tmp_path, number, "cached", "up to date") for number in range(12)]
    assert why(Report(cached)) == "nothing to do: 12 products up to date"
    assert why(Report([*cached, row(tmp_path, 20, "done", "input changed: x")])) == "made 1 of 13: 1 input changed: x"
    assert why(Report([row(tmp_path, 21, "blocked", "no OFF data")])) == "nothing was made: 1 no OFF data"


def noise(size):
    """A figure that cannot be compressed."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(size, size))
    figure.figimage(np.random.default_rng(1).integers(0, 255, (4000, 4000, 3), dtype=np.uint8), resize=False)
    return figure


@pytest.mark.parametrize("size", [1.0, 6.0, 40.0])
def test_a_figure_in_an_event_is_within_the_limit_or_left_out(size):
    text = inline(noise(size)).value
    assert len(text) < LARGEST_BYTES
    assert text.startswith("![figure](data:image/png") or "open the file" in text


def test_a_figure_is_drawn_once_and_again_when_its_result_is_new(tmp_path):
    from matplotlib.figure import Figure

    result, drawn = tmp_path / "theta2.json", []

    def draw():
        drawn.append(1)
        return Figure()

    result.write_text("{}")
    first = show(draw, result, "theta2")
    assert show(draw, result, "theta2") == first
    assert len(drawn) == 1
    assert first["theta2_file"].value == (tmp_path / "theta2.png").as_uri()
    newer = (tmp_path / "theta2.png").stat().st_mtime_ns + 10_000_000_000

    os.utime(result, ns=(newer, newer))
    show(draw, result, "theta2")
    assert len(drawn) == 2


def test_broken_tells_what_is_broken_now_and_where_the_log_is(tmp_path, environment):
    """A run that has left a cell is nobody's trouble there; one that is in it is."""
    with open_session(store=str(tmp_path)) as session:
        session.catalogue.refresh()
        runs = known_runs(session)
    mine = runs[(runs["source"] == "CrabNebula") & (runs["cell"] == "ST0316/za05to35/weak")]
    number = int(mine["run"].iloc[0])
    for place in ("za05to35-weak", "za05to35-moderate"):
        folder = tmp_path / "CrabNebula" / "star" / "ST0316" / place
        folder.mkdir(parents=True)
        row(folder, number, "failed")
    assert len(broken(Layout(tmp_path))) == 2
    table = broken(Layout(tmp_path), runs)
    assert list(table["place"]) == ["ST0316/za05to35-weak"]
    log = tmp_path / "CrabNebula/star/ST0316/za05to35-weak/.logs/star.log"
    assert f"({log})" in write_broken(Layout(tmp_path), "Now.", runs=runs).read_text(encoding="utf-8")
