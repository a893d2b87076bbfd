"""The whole chain on the small observatory: done once, never twice, and always with a reason."""

import json
from copy import copy

import numpy as np
import pytest
from astropy.io import fits

from magicpy_assets.core import datalevels
from magicpy_assets.core.result_settings import Dl3Settings, SpectraSettings
from magicpy_assets.formats import melibea, star, superstar
from magicpy_assets.pipeline.combined import plan_combined
from magicpy_assets.pipeline.plan import plan
from magicpy_assets.pipeline.run import process
from magicpy_assets.pipeline.runs import known_runs
from magicpy_assets.store.provenance import history
from magicpy_assets.store.records import read_record, write_record
from magicpy_assets.version import __version__

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("chain")]


def test_every_task_is_done(chain):
    assert chain.report.counts["done"] == len(chain.report) > 50
    stages = set(chain.report.table["stage"])
    assert stages == {level.key for level in datalevels.ALL}


def test_a_second_run_does_nothing_and_says_why(chain):
    planned = plan(chain.session, "CrabNebula", [chain.cell])
    assert not planned.to_do
    assert set(planned.to_table()["reason"]) == {"up to date"}
    again = process(chain.session, "CrabNebula", [chain.cell])
    assert again.counts["cached"] == len(again) == len(planned)


def test_every_product_has_a_record_that_says_it_is_simulated(chain):
    products = [
        path for stage in ("calibrated", "star", "superstar", "melibea", "dl3") for path in chain.report.products(stage)
    ]
    records = [read_record(path) for path in products]
    assert all(
        record is not None and record.simulated and record.size == path.stat().st_size
        for record, path in zip(records, products, strict=True)
    )


def test_nothing_is_left_lying_about(chain):
    left = [
        path
        for path in chain.session.layout.root.rglob("*")
        if ".making-" in path.name or path.name.endswith((".pending", ".part"))
    ]
    assert left == []


def test_a_changed_parameter_is_planned_again_with_its_reason(chain):
    product = chain.report.products("superstar")[0]
    before = read_record(product)
    write_record(product, before.replace(fingerprint="of another time", results_version=before.results_version - 1))
    try:
        table = plan(chain.session, "CrabNebula", [chain.cell]).to_table()
        row = table[table["product"] == product.name].iloc[0]
        assert row["state"] == "to do"
        assert row["reason"] == f"results_version {before.results_version - 1} -> {before.results_version}"
        assert "superstar" in row["command"]
        downstream = table[(table["stage"] == "melibea") & table["unit"].eq(row["unit"])].iloc[0]
        assert downstream["reason"].startswith("input to be made")
    finally:
        write_record(product, before)


def test_the_levels_belong_together(chain):
    superstars = [path for path in chain.report.products("superstar") if "CrabNebula" in path.name]
    melibeas = [path for path in chain.report.products("melibea") if "CrabNebula" in path.name]
    for stereo, final in zip(sorted(superstars), sorted(melibeas), strict=True):
        events, judged = superstar.read_events(stereo), melibea.read_events(final)
        assert (events["stereo_number_1"] == events["stereo_number_2"]).all()
        assert len(judged) == len(events)
        known = judged["hadronness"].to_numpy()
        assert ((known[np.isfinite(known)] >= 0) & (known[np.isfinite(known)] <= 1)).all()
    assert star.read_header(chain.report.products("star")[0]).cards["SIMULATED"] == "yes"


def test_simulated_gammas_are_found_where_they_came_from(chain):
    files = [path for path in chain.report.products("melibea") if path.name.startswith("GA_")]
    tables = [melibea.read_events(path) for path in files]
    theta2 = np.concatenate([table["theta2_deg2"].to_numpy() for table in tables])
    energy = np.concatenate([table["mc_energy_gev"].to_numpy() for table in tables])
    found = np.concatenate([table["energy_gev"].to_numpy() for table in tables])
    bright = (energy > 500) & (energy < 5000) & np.isfinite(theta2)
    # 39 % containment of 0.03 to 0.055 deg in this range (simulation study); two thousand events: 2 % statistics.
    assert np.sqrt(np.quantile(theta2[bright], 0.393)) == pytest.approx(0.042, abs=0.015)
    error = (found[bright] - energy[bright]) / energy[bright]
    assert np.subtract(*np.quantile(error, [0.84, 0.16])) / 2 < 0.28
    assert abs(np.median(error)) < 0.1


def test_the_crab_is_seen(chain):
    folder = chain.report.products("spectra")[0].parent
    counts = json.loads((folder / "theta2.json").read_text())["numbers"]
    # 80 s of Crab Nebula: some 8 gamma rays over less than one background event.
    assert counts["excess"]["value"] > 2
    assert json.loads((folder / "spectrum.json").read_text())["exposure"]["simulated"] is True


def test_history_leads_from_the_dl3_file_to_the_archive(chain):
    text = str(history(chain.report.products("dl3")[0]))
    for word in ("melibea", "superstar", "star", "calibrated", "random_forest"):
        assert word in text


def test_measured_pedestals_agree_with_the_sky_that_was_simulated(chain):
    runs = known_runs(chain.session)
    measured = runs[runs["pedestal_rms_phe"].notna() & (runs["nsb_catalogue"] < 2)]
    assert len(measured) >= 4
    # Dark sky: pedestal RMS 1.0 phe in the cleaning table.
    assert measured["pedestal_rms_phe"].to_numpy() == pytest.approx(1.0, abs=0.05)
    assert set(measured["moon_level"]) == {"weak"}


def test_settings_of_cuts_and_spectra_remake_what_depends_on_them(chain):
    """The cuts of DL3 and the model of spectra are parameters of what is made: of cells, and of all together."""
    settings = chain.session.settings.model_copy(
        update={"dl3": Dl3Settings(theta_efficiency=0.8), "spectra": SpectraSettings(model="power_law")}
    )
    changed = copy(chain.session)
    changed.settings = settings
    planned = plan(changed, "CrabNebula", [chain.cell])
    assert {task.stage for task in planned.to_do} == {"dl3", "spectra"}
    dl3 = next(task for task in planned.to_do if task.stage == "dl3")
    assert "dl3.Theta2Effi" in planned.state(dl3).reason
    spectra = next(task for task in planned.to_do if task.stage == "spectra")
    assert spectra.parameters["spectra.model"] == "power_law"
    program = spectra.build({name: list(paths) for name, paths in spectra.inputs.items()}, chain.session.layout.root)
    assert program.values["spectra.model"] == "power_law"
    only = copy(chain.session)
    only.settings = settings.model_copy(update={"dl3": Dl3Settings()})
    together = plan_combined(only, "CrabNebula").tasks[0]
    assert together.parameters == {"source": "CrabNebula", "spectra.model": "power_law"}


def test_a_sky_map_that_is_deleted_is_made_again(chain):
    folder = chain.report.products("spectra")[0].parent
    before = (folder / "skymap.fits").read_bytes()
    (folder / "skymap.fits").unlink()
    planned = plan(chain.session, "CrabNebula", [chain.cell])
    assert {task.stage for task in planned.to_do} == {"spectra"}
    process(chain.session, "CrabNebula", [chain.cell])
    assert (folder / "skymap.fits").is_file()
    assert before[:80] == (folder / "skymap.fits").read_bytes()[:80]


def test_dl3_files_say_which_programs_made_them(chain):
    header = fits.getheader(chain.report.products("dl3")[0], "EVENTS")
    assert header["ENGINE"] == "embedded"
    assert {header[card] for card in ("STARVERS", "SUPSVERS", "COACVERS", "MELIVERS", "DL3VERS")} == {__version__}
