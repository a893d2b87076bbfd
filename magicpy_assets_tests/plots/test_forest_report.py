"""The report on forests: tables, figures, files, words; simulated is stamped."""

import json

import numpy as np
import pandas as pd
import pytest

from magicpy_assets.core.errors import InputError, MissingInputError
from magicpy_assets.plots.forests import FOLDER, ForestReport
from magicpy_assets.science import forest_quality as fq
from magicpy_assets.science.reconstruction import DISP_FEATURES, ENERGY_FEATURES, EVENT_FEATURES


def report(simulated=True):
    """A report as coach writes it, of made-up events."""
    rng = np.random.default_rng(1)
    energy = 10 ** rng.uniform(2, 4, 2000)
    bins = [
        {"telescope": n, "size_low_phe": low, "size_high_phe": 2 * low, "events": 90, "disp_bias_deg": 0.0,
         "disp_error68_deg": 0.2 * n}
        for n in (1, 2) for low in (100.0, 200.0, 400.0)
    ]  # fmt: skip
    rows = [
        {"energy_low_gev": low, "energy_high_gev": 1.6 * low, "events": 90, "theta39_deg": 0.07, "theta68_deg": 0.12,
         "energy_bias": 0.02, "energy_resolution": 0.18, "median_hadronness": 0.1}
        for low in (200.0, 320.0, 512.0)
    ]  # fmt: skip
    features = {"hadronness": EVENT_FEATURES, "energy": ENERGY_FEATURES}
    features |= {f"direction_{n}": DISP_FEATURES for n in (1, 2)}
    return {
        **fq.separation(rng.beta(1, 6, 500), rng.beta(4, 2, 400), np.ones(500)),
        "migration": fq.migration(energy, energy * rng.lognormal(0, 0.2, 2000)),
        "by_energy": rows, "disp": bins, "model": "xgboost", "seed": 1,
        "gamma_events": 2714, "gamma_showers": 1503, "off_events": 13773, "off_runs": 4,
        "held_out": {"gammas": "half of the showers", "off": "all events of 2 of 4 OFF runs"},
        "importance": {part: {name: 1 / len(names) for name in names} for part, names in features.items()},
        "forests": {"hadronness": "0123456789abcdef"},
        "provenance": {"simulated": "yes" if simulated else "no"},
    }  # fmt: skip


def words(figure):
    """All text of a figure in one line."""
    return " ".join(text.get_text() for text in figure.texts).replace("\n", " ")


@pytest.mark.parametrize("simulated", [True, False])
def test_every_figure_says_how_it_was_judged_and_whether_it_is_simulated(simulated):
    for name, figure in ForestReport(report(simulated), "ST0316/za05to35/weak").figures().items():
        text = words(figure)
        assert ("SIMULATED" in text) == simulated, name
        if name not in ("overview", "importance"):
            assert "all events of 2 of 4 OFF runs" in text, name


def test_the_report_is_kept_beside_the_forests_and_read_again(tmp_path):
    (tmp_path / "training_report.json").write_text(json.dumps(report()))
    found = ForestReport.read(tmp_path, "ST0316/za05to35/weak")
    made = found.save(tmp_path)
    assert {path.name for path in made} == {path.name for path in (tmp_path / FOLDER).iterdir()}
    assert {path.stem for path in made if path.suffix == ".png"} >= {"separation", "migration", "importance", "energy"}
    assert all(path.stat().st_size > 10_000 for path in made if path.suffix == ".png")
    table = pd.read_csv(tmp_path / FOLDER / "disp.csv")
    assert list(table["disp_error68_deg"]) == [0.2] * 3 + [0.4] * 3
    assert "13773 events of 4 runs" in str(found)
    assert "<table" in found._repr_html_()


def test_missing_and_broken_reports_are_told(tmp_path):
    with pytest.raises(MissingInputError, match="no training report"):
        ForestReport.read(tmp_path)
    (tmp_path / "training_report.json").write_text("{")
    with pytest.raises(InputError, match=r"training_report\.json"):
        ForestReport.read(tmp_path)


def test_forests_of_mars_have_no_numbers_and_say_so(tmp_path):
    (tmp_path / "training_report.json").write_text('{"program": "/opt/mars/coach", "measured": false}')
    report = ForestReport.read(tmp_path, "ST0316/za05to35/weak")
    assert "trained by /opt/mars/coach, which measures none of this" in str(report)
    assert "/opt/mars/coach" in report._repr_html_()
    assert [path.name for path in report.save(tmp_path)] == ["summary.csv"]
