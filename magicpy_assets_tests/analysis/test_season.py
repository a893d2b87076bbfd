"""A season's nights through the notebook: three zenith ranges and three moon levels, every planted trouble met.

The analysis is that of `examples/moonlight.py`, on runs of twenty seconds.
"""

from __future__ import annotations

import importlib.util
from datetime import date
from pathlib import Path

import pytest

from magicpy_assets.core import moons, zeniths
from magicpy_assets.core.settings import load_settings
from magicpy_assets.observatory import sky
from magicpy_assets.observatory.programme import programme
from magicpy_assets.observatory.server import serve
from magicpy_assets.observatory.troubles import Planted, listed

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("season"),
    # A butterfly of five events reaches far.
    pytest.mark.filterwarnings("ignore:.*encountered in.*:RuntimeWarning"),
]

SEED, RUN_S = 316, 20.0
ZENITHS = [zeniths.za05to35, zeniths.za35to50, zeniths.za50to62]
MOONS = [moons.WeakMoon, moons.ModerateMoon, moons.DecentMoon]
MOONLIT = {date(2020, 11, 23), date(2021, 1, 21), date(2020, 11, 25)}
DARK = {
    date(2020, 11, 14),
    date(2020, 12, 10),
    date(2020, 12, 12),
    date(2021, 1, 8),
    date(2021, 1, 9),
    date(2021, 1, 11),
}
OFF = {date(2020, 11, 13)}
NIGHTS = MOONLIT | DARK | OFF
PLANS = programme(SEED, nights=NIGHTS, duration_s=RUN_S)
TROUBLED = Planted(PLANS, listed())


def wanted_runs() -> list[int]:
    """Every run under the moon; of the dark ones those with trouble, and two of each zenith range and night."""
    runs, taken = [], {}
    for plan in PLANS:
        if plan.source != "CrabNebula" or zeniths.of(plan.zd_deg) not in ZENITHS:
            continue
        place = (plan.date, zeniths.of(plan.zd_deg).name)
        taken[place] = taken.get(place, 0) + 1
        odd = bool(TROUBLED.of(plan)) or plan.mode != "stereo"
        if plan.date in MOONLIT or odd or taken[place] <= 2:
            runs.append(plan.run)
    return runs


@pytest.fixture(scope="module")
def season(tmp_path_factory):
    place = Path(__file__).parents[2] / "examples" / "moonlight.py"
    spec = importlib.util.spec_from_file_location("moonlight_example", place)
    example = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        import sys

        patch.setitem(sys.modules, spec.name, example)
        spec.loader.exec_module(example)
        folder = tmp_path_factory.mktemp("season")
        page = example.Page(quiet=True)
        with serve(folder / "observatory", SEED, nights=NIGHTS, duration_s=RUN_S) as server:
            patch.setenv("MAGICPY_ARCHIVE_PASSWORD", server.password)
            settings = load_settings(
                store=str(folder / "store"),
                archive={"url": server.url, "user": server.user},
                forest={"off_hours": 0.03},
            )
            yield example.analyse(settings, page, {"run": wanted_runs()}), page, folder


def reason(outcome, kind):
    """Return the runs with a kind of trouble, and why the books set them aside (None if they are used)."""
    table = outcome.books.table.set_index("run")
    runs = [plan.run for plan in PLANS if TROUBLED.of(plan, kind) and plan.source == "CrabNebula"]
    return {run: table.loc[run, "reason"] or None for run in runs if run in table.index}


def test_nine_cells_reach_spectra(season):
    outcome, _, _ = season
    cells = {f"ST0316/{zenith.name}/{moon.key}" for zenith in ZENITHS for moon in MOONS}
    assert set(outcome.cells.index) >= cells
    assert set(outcome.forests.table.query("state == 'trained'")["cell"]) >= cells
    assert (outcome.forests.table["auc"] > 0.9).all()


def test_hours_found_are_hours_used_and_set_aside(season):
    books = season[0].books
    by_cell = books.by_cell
    assert by_cell["found"].to_list() == pytest.approx((by_cell["used"] + by_cell["set aside"]).to_list())
    assert len(books.table) == by_cell.loc["Total", "runs found"]
    by_level = books.by_level
    assert by_level.loc["found", "hours"] == pytest.approx(by_level["lost"].sum() + by_level.loc["dl3", "hours"])
    assert (books.set_aside["reason"].str.len() > 10).all()


def test_runs_of_other_modes_are_filtered(season):
    cuts = season[0].cuts.cuts
    before = {cut.column: cut for cut in cuts}
    assert {"sum_trigger", "stereo", "L1_rate"} <= set(before)
    kept = set(season[0].books.table["run"])
    for plan in PLANS:
        if plan.source == "CrabNebula" and (plan.mode != "stereo" or TROUBLED.of(plan, "no_l1")):
            assert plan.run not in kept


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("truncated", "not a whole ROOT file"),
        ("empty", "is empty"),
        ("missing", "has no subrun"),
        ("no_drive", "no drive report"),
    ],
)
def test_planted_troubles_are_named(season, kind, words):
    found = reason(season[0], kind)
    assert found
    for why in found.values():
        assert words in why


@pytest.mark.parametrize("kind", ["tape", "replaced", "wrong_nsb"])
def test_planted_troubles_that_can_be_survived_are(season, kind):
    found = reason(season[0], kind)
    assert found
    assert all(why is None for why in found.values())


def test_wrong_brightness_is_found_by_the_pedestals(season):
    moved = season[0].check.moved
    wrong = {plan.run for plan in PLANS if TROUBLED.of(plan, "wrong_nsb")}
    assert set(moved["run"]) == wrong
    truth = {plan.run: moons.of_nsb(sky.nsb_of_run(SEED, plan.date, plan.run)).key for plan in PLANS}
    assert all(row.cell_after.endswith(truth[row.run]) for row in moved.itertuples())


def test_the_threshold_rises_with_zenith_distance_and_moon(season):
    threshold = season[0].cells["threshold_gev"]

    def at(zenith, moon):
        return threshold[f"ST0316/{zenith.name}/{moon.key}"]

    for moon in MOONS:
        low, middle, high = (at(zenith, moon) for zenith in ZENITHS)
        assert low < middle < high
    for zenith in ZENITHS:
        weak, _, decent = (at(zenith, moon) for moon in MOONS)
        assert weak <= decent * 1.05  # steps of the energy axis
    assert at(ZENITHS[0], MOONS[0]) < 450


def test_the_crab_is_seen_and_its_flux_does_not_depend_on_the_moon(season):
    table = season[0].moons
    assert table.loc["weak", "sigma"] > 3
    weak = table.loc["weak"]
    for moon in ("moderate", "decent"):
        other = table.loc[moon]
        error = (weak["flux_error"] ** 2 + other["flux_error"] ** 2) ** 0.5
        assert abs(weak["flux_500gev"] - other["flux_500gev"]) < max(3 * error, 0.1 * weak["flux_500gev"])


def test_the_page_shows_it_all_and_no_path(season):
    _, page, folder = season
    path = page.write(folder / "docs", folder)
    text = path.read_text(encoding="utf-8")
    assert "simulated" in text.lower()
    assert str(folder) not in text
    assert (folder / "docs" / "figures" / "moonlight_analysis_theta2.png").is_file()
