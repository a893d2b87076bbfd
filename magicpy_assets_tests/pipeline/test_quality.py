"""Questions about products: a healthy cell passes all of them, and each fails for what it is there to find."""

import itertools
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits

from magicpy_assets.core.runs import parse_name
from magicpy_assets.defs.checks import answered
from magicpy_assets.pipeline.quality import files, forests, images, nights, physics, rates
from magicpy_assets.pipeline.quality.verdict import Verdict
from magicpy_assets.pipeline.report import Report
from magicpy_assets.pipeline.runbooks import runbooks_of
from magicpy_assets.pipeline.session import open_session
from magicpy_assets.store.layout import RUNBOOKS
from magicpy_assets_tests.conftest import CELL, settings_for

pytestmark = pytest.mark.xdist_group("chain")

COMMON = (files.everything_is_there, files.files_are_readable)
STAGES = {
    "calibrated": (
        files.something_is_there,
        *COMMON,
        files.events_as_expected,
        images.pedestals_fit_the_moon_level,
    ),
    "star": (
        *COMMON,
        files.events_as_expected,
        images.images_look_as_they_should,
        images.telescopes_see_the_same,
    ),
    "superstar": (
        *COMMON,
        files.events_as_expected,
        images.axes_cross,
        images.telescopes_match,
        rates.rates_fit_the_zenith,
    ),
    "random_forest": (*COMMON, forests.forests_separate, forests.forests_resolve),
    "melibea": (*COMMON, files.events_as_expected, physics.events_are_reconstructed),
    "dl3": (
        *COMMON,
        files.events_as_expected,
        physics.live_time_closes,
        physics.exposure_closes,
        physics.dl3_is_valid,
    ),
    "spectra": (
        *COMMON,
        files.theta2_is_there,
        files.light_curve_is_there,
        files.skymap_is_there,
        physics.fit_converged,
        physics.crab_is_the_crab,
    ),
}


def part(chain, stage, source=None):
    source = source or ("RFs" if stage == "random_forest" else "CrabNebula")
    return Report([row for row in chain.report.rows if row.stage == stage and row.source == source])


@pytest.mark.parametrize(("stage", "question"), [(stage, ask) for stage, asks in STAGES.items() for ask in asks])
def test_a_healthy_cell_passes(chain, stage, question):
    report = part(chain, stage)
    assert len(report)
    verdict = question(chain.session, report)
    assert verdict.passed, verdict.numbers
    assert verdict.numbers


@pytest.mark.parametrize("stage", ["calibrated", "star", "superstar", "melibea"])
def test_shared_data_passes_as_well(chain, stage):
    """OFF data and Monte Carlo of the cell are asked the same questions."""
    sources = {row.source for row in chain.report.rows if row.stage == stage} - {"CrabNebula"}
    assert sources
    for source in sources:
        for question in STAGES[stage]:
            verdict = question(chain.session, part(chain, stage, source))
            assert verdict.passed, (source, question.__name__, verdict.numbers)


# Each question says no to what it is there to find: real files of the cell, changed in a copy of the store.


class Copy:
    """The store of the chain once more, by hard links, so that its files can be changed."""

    def __init__(self, chain, root):
        shutil.copytree(chain.session.layout.root, root, copy_function=os.link, dirs_exist_ok=True)
        self.root, self.before = root, chain.session.layout.root
        self.session = open_session(settings_for(root))
        self.chain = chain

    def part(self, stage):
        rows = part(self.chain, stage).rows
        return Report([replace(row, product=row.product.replace(str(self.before), str(self.root))) for row in rows])

    def first(self, stage):
        return Path(self.part(stage).rows[0].product)

    def ask(self, question, stage, rows=None):
        return question(self.session, rows or self.part(stage))

    def runs(self, change):
        """Change the run catalogue, night by night."""
        for path in (self.root / "catalogue").glob("*.parquet"):
            table = change(pd.read_parquet(path))
            path.unlink()
            table.to_parquet(path)


def put(path, content):
    path.unlink(missing_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def change_json(path, change):
    values = json.loads(path.read_text(encoding="utf-8"))
    change(values)
    put(path, json.dumps(values))


@pytest.fixture
def copy(chain, tmp_path):
    made = Copy(chain, tmp_path / "store")
    yield made
    made.session.close()


def failed(verdict, *words):
    assert not verdict.passed, verdict.numbers
    told = " ".join(f"{name} {value}" for name, value in verdict.numbers.items())
    assert all(word in told for word in words), told


def test_a_file_that_is_missing_is_listed_with_its_reason(chain):
    rows = part(chain, "star").rows
    one = Report([replace(rows[0], state="failed", reason="the program crashed"), *rows[1:]])
    failed(files.everything_is_there(chain.session, one), rows[0].unit, "the program crashed")
    assert files.something_is_there(chain.session, one).passed
    none = Report([replace(row, state="blocked", reason="no data left") for row in rows])
    failed(files.something_is_there(chain.session, none), "there 0", "no data left")


@pytest.mark.parametrize("stage", ["calibrated", "star", "superstar", "random_forest", "melibea", "dl3", "spectra"])
def test_a_file_that_is_cut_is_named(copy, stage):
    path = Path(copy.part(stage).rows[-1].product)
    put(path, path.read_bytes()[: path.stat().st_size // 2])
    failed(copy.ask(files.files_are_readable, stage), path.name)


def test_a_file_that_is_not_as_long_as_it_was_is_named(copy):
    path = copy.first("calibrated")
    put(path, path.read_bytes() + b"more")
    failed(copy.ask(files.files_are_readable, "calibrated"), f"{path.name}: not as long")


def test_triggers_without_events_are_seen(copy):
    copy.runs(lambda table: table.assign(L3_rate=table["L3_rate"] * 10))
    failed(copy.ask(files.events_as_expected, "calibrated"), "M1", "M2")


def stars_of_another(copy):
    """Put the images of the Monte Carlo, which are more, where those of a run were."""
    other = Path(next(row.product for row in copy.chain.report.rows if row.stage == "star" and "_M1_" in row.product
                      and row.source.startswith("MC/")))  # fmt: skip
    for row in copy.part("star").rows:
        put(Path(row.product), other.read_bytes())


def test_more_images_than_events_are_seen(copy):
    stars_of_another(copy)
    failed(copy.ask(files.events_as_expected, "star"), "odd")
    failed(copy.ask(files.events_as_expected, "superstar"), "odd")


def test_images_without_a_partner_are_seen(copy):
    stars_of_another(copy)
    failed(copy.ask(images.telescopes_match, "superstar"), copy.first("superstar").name)


def test_events_that_melibea_lost_are_seen(copy):
    superstars = [Path(row.product) for row in copy.part("superstar").rows]
    put(superstars[0], superstars[1].read_bytes())
    failed(copy.ask(files.events_as_expected, "melibea"), superstars[0].name.replace("_S_", "_Q_"))


def test_cuts_that_do_not_cut_are_seen(copy):
    """As many events in DL3 as in melibea: here because melibea's are gone."""
    from magicpy_assets.formats.root_writer import Writer

    path = copy.first("melibea")
    path.unlink()
    with Writer(path) as file:
        file.tree("Events", {"MHadronness.fHadronness": np.zeros(1)})
    failed(copy.ask(files.events_as_expected, "dl3"), "odd")


@pytest.mark.parametrize(
    ("question", "name"),
    [
        (files.theta2_is_there, "theta2.json"),
        (files.light_curve_is_there, "light_curve.json"),
        (files.skymap_is_there, "skymap.json"),
    ],
)
def test_a_result_that_is_missing_or_cut_is_seen(copy, question, name):
    path = copy.first("spectra").parent / name
    put(path, path.read_bytes()[:20])
    failed(copy.ask(question, "spectra"), name)
    path.unlink()
    failed(copy.ask(question, "spectra"), name)


def in_another_cell(report, text):
    return Report([replace(row, cell=text) for row in report.rows])


def test_a_rate_of_another_zenith_is_seen_even_of_one_run(copy):
    """A cell of one run can fail: the table says what its rate should be, not the other runs."""
    alone = Report(copy.part("superstar").rows[:1])
    assert rates.rates_fit_the_zenith(copy.session, alone).passed
    failed(rates.rates_fit_the_zenith(copy.session, in_another_cell(alone, "ST0316/za62to70/weak")), "expected 14.6 Hz")


def test_a_run_that_stands_out_in_rate_is_named(copy):
    odd = min(parse_name(row.product).run for row in copy.part("superstar").rows)
    copy.runs(lambda table: table.assign(duration_s=table["duration_s"].where(table["run"] != odd, 60.0)))
    failed(copy.ask(rates.rates_fit_the_zenith, "superstar"), f"{odd}: ")


def test_rates_and_images_are_not_judged_where_the_table_has_nothing(chain):
    bright = "ST0316/za62to70/high"
    stars, superstars = (in_another_cell(part(chain, stage), bright) for stage in ("star", "superstar"))
    assert images.images_look_as_they_should(chain.session, stars).numbers == {"asked": "no"}
    assert rates.rates_fit_the_zenith(chain.session, superstars).numbers == {"asked": "no"}


def test_images_of_another_zenith_are_seen(chain):
    report = in_another_cell(part(chain, "star"), "ST0316/za62to70/weak")
    failed(images.images_look_as_they_should(chain.session, report), "width_mm", "expected 20.5")


def test_hadrons_in_place_of_gamma_rays_are_seen(copy):
    """Images of data under the names of Monte Carlo: narrow and bright is what was wanted."""
    rows = part(copy.chain, "star", "MC/test").rows
    moved = [replace(row, product=row.product.replace(str(copy.before), str(copy.root))) for row in rows]
    for row, data in zip(moved, itertools.cycle(copy.part("star").rows), strict=False):
        put(Path(row.product), Path(data.product).read_bytes())
    failed(images.images_look_as_they_should(copy.session, Report(moved)), "MC/test", "width_mm")


def test_telescopes_that_differ_are_seen(copy):
    other = next(row for row in part(copy.chain, "star", "MC/test").rows if "_M2_" in row.product)
    for row in copy.part("star").rows:
        if "_M2_" in row.product:
            put(Path(row.product), Path(other.product).read_bytes())
    failed(copy.ask(images.telescopes_see_the_same, "star"), "size_phe_m2_over_m1")
    alone = Report([row for row in copy.part("star").rows if "_M1_" in row.product])
    assert images.telescopes_see_the_same(copy.session, alone).numbers == {"asked": "no", "telescopes": 1}


def test_axes_that_do_not_cross_are_seen(copy):
    from magicpy_assets.formats import superstar

    for row in copy.part("superstar").rows:
        path = Path(row.product)
        info, events = superstar_header(path), superstar.read_events(path)
        path.unlink()
        columns = {name: column.to_numpy() for name, column in events.items()} | {"valid": np.zeros(len(events), int)}
        superstar.write_superstar(path, info, columns, provenance={})
    failed(copy.ask(images.axes_cross, "superstar"), "share 0.0")


def superstar_header(path):
    from magicpy_assets.formats.star import read_header

    return read_header(path)


def test_a_run_that_the_catalogue_misplaced_counts_as_moved(copy):
    one = min(parse_name(row.product).run for row in copy.part("calibrated").rows)
    copy.runs(lambda table: table.assign(nsb=table["nsb"].where(table["run"] != one, 4.0)))
    failed(copy.ask(images.pedestals_fit_the_moon_level, "calibrated"), "moved 1", f"{one}: ", "decent moon has")


@pytest.mark.parametrize(
    ("question", "change", "word"),
    [
        (forests.forests_separate, {"auc": 0.85}, "auc 0.85"),
        (forests.forests_resolve, {"energy_resolution": 0.35}, "energy_resolution 0.35"),
        (forests.forests_resolve, {"energy_bias": 0.3}, "energy_bias 0.3"),
        (forests.forests_resolve, {"theta39_deg": 0.2}, "theta39 0.2"),
        (forests.forests_resolve, {"disp_error68_deg": 0.3}, "disp of M2 0.3"),
    ],
)
def test_forests_below_the_gate_are_seen(copy, question, change, word):
    def spoil(trained):
        trained.update({name: value for name, value in change.items() if name in trained})
        for row in (*trained["by_energy"], *trained["disp"]):
            row.update({name: value for name, value in change.items() if name in row})

    change_json(copy.first("random_forest").parent / "training_report.json", spoil)
    failed(copy.ask(question, "random_forest"), word)


def test_forests_of_mars_leave_no_numbers(copy):
    put(copy.first("random_forest").parent / "training_report.json", json.dumps({"measured": False}))
    for question in (forests.forests_separate, forests.forests_resolve):
        assert "MARS" in copy.ask(question, "random_forest").numbers["reason"]
        failed(question(copy.session, Report()), "no forest")


def test_events_without_hadronness_are_seen(copy):
    """Superstar files, which have none, under the names of melibea's."""
    for row, before in zip(copy.part("melibea").rows, copy.part("superstar").rows, strict=True):
        put(Path(row.product), Path(before.product).read_bytes())
    assert not answered(lambda: copy.ask(physics.events_are_reconstructed, "melibea")).passed
    failed(physics.events_are_reconstructed(copy.session, Report()), "share 0.0")


def change_header(path, change):
    content = path.read_bytes()
    put(path, content)  # the copy's own, no longer a link
    with fits.open(path, mode="update") as hdus:
        change(hdus["EVENTS"].header)


def test_a_live_time_that_does_not_close_is_seen(copy):
    def longer(header):
        header["LIVETIME"] *= 1.1

    change_header(copy.first("dl3"), longer)
    verdict = copy.ask(physics.live_time_closes, "dl3")
    failed(verdict)
    assert verdict.numbers["largest_difference"] == pytest.approx(0.1)
    failed(physics.live_time_closes(copy.session, Report()), "no run")


def test_exposure_that_is_missing_is_seen(copy):
    copy.runs(lambda table: table.assign(duration_s=table["duration_s"] * 1.2))
    verdict = copy.ask(physics.exposure_closes, "dl3")
    failed(verdict)
    assert verdict.numbers["ratio"] == pytest.approx(1 / 1.2, abs=0.02)


def test_a_dl3_file_against_the_conventions_is_named(copy):
    def without_pointing(header):
        del header["RA_PNT"]

    change_header(copy.first("dl3"), without_pointing)
    failed(copy.ask(physics.dl3_is_valid, "dl3"), copy.first("dl3").name, "RA_PNT")


def test_a_fit_that_did_not_converge_is_seen(copy):
    change_json(copy.first("spectra"), lambda fitted: fitted["fit"].update(converged=False))
    failed(copy.ask(physics.fit_converged, "spectra"))
    failed(physics.fit_converged(copy.session, Report()), "no spectrum")


def test_a_crab_of_another_flux_is_not_the_crab(copy):
    def bright(fitted):
        fitted["counts"]["significance"] = 30.0
        fitted["parameters"]["amplitude"].update(value=3.23e-10, error=1e-12)

    change_json(copy.first("spectra"), bright)
    verdict = copy.ask(physics.crab_is_the_crab, "spectra")
    failed(verdict)
    assert verdict.numbers["ratio"] == pytest.approx(10)
    other = Report([replace(row, source="OJ287") for row in copy.part("spectra").rows])
    assert copy.ask(physics.crab_is_the_crab, "spectra", other).numbers == {"asked": "no"}


def test_another_analysis_is_compared_where_there_is_one(chain, tmp_path):
    report = part(chain, "melibea")
    assert physics.agrees_with_the_other(chain.session, report).numbers == {"asked": "no"}
    for row in report.rows:
        shutil.copy(row.product, tmp_path)
    theirs = SimpleNamespace(settings=chain.session.settings.model_copy(update={"compare_with": tmp_path}))
    verdict = physics.agrees_with_the_other(theirs, report)
    assert verdict.passed
    assert verdict.numbers["runs"] == len(report)
    assert verdict.numbers["events_common"] == 1.0
    # The same names with the events of another run each: what an analysis of other files would look like.
    products = [Path(row.product) for row in report.rows]
    for path, other in zip(products, products[1:] + products[:1], strict=True):
        shutil.copy(other, tmp_path / path.name)
    failed(physics.agrees_with_the_other(theirs, report))


def test_a_catalogue_that_makes_no_sense_is_seen(copy):
    assert nights.runs_make_sense(copy.session).passed
    copy.runs(lambda table: table.assign(duration_s=0.0, za_deg=120.0, L3_rate=0.0))
    failed(nights.runs_make_sense(copy.session), "no duration", "zenith distance", "no triggers")
    copy.runs(lambda table: table[:0])
    failed(nights.runs_make_sense(copy.session), "runs 0")


def test_runbooks_in_prose_are_seen(copy):
    shutil.rmtree(copy.session.layout.root / RUNBOOKS, ignore_errors=True)  # other tests may have fetched them
    failed(nights.runbooks_can_be_read(copy.session), "nights 0")
    books = runbooks_of(copy.session)
    books.refresh()
    assert nights.runbooks_can_be_read(copy.session).passed
    for night in books.nights:
        put(copy.session.layout.runbook(night), "A quiet night. Nothing else to tell.\n")
    failed(nights.runbooks_can_be_read(copy.session), str(books.nights[0]))


def test_runs_that_the_archive_does_not_list_are_seen(copy):
    found = nights.runs_are_listed(copy.session, "CrabNebula", CELL)
    assert found.passed
    assert found.numbers["runs"] > 0
    assert nights.runs_are_listed(copy.session, None, CELL).numbers["runs"] > 0
    copy.runs(lambda table: table.assign(run=table["run"] + 500))
    failed(nights.runs_are_listed(copy.session, "CrabNebula", CELL), "no file of M1", "no file of M2")


def test_a_question_that_cannot_be_answered_is_answered_with_no(chain):
    """Files can be damaged in ways that nobody has foreseen: the verdict says so, and nothing is stopped by it."""
    report = Report([replace(part(chain, "star").rows[0], product="/nowhere/strange.txt")])
    failed(answered(lambda: images.telescopes_see_the_same(chain.session, report)), "strange.txt")
    failed(answered(lambda: Verdict(1 / 0 > 0)), "ZeroDivisionError")
