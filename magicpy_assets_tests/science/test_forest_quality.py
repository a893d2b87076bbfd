"""The quality of forests on events whose answer is known."""

import numpy as np
import pandas as pd
import pytest

from magicpy_assets.science import forest_quality as fq
from magicpy_assets.science.camera import FOCAL_MM
from magicpy_assets.science.reconstruction import Direction
from magicpy_assets.science.training import half_of_runs

N = 4000
SPREAD_MM = 20.0


@pytest.fixture(scope="module")
def judged():
    """Gamma rays with a disp error, an angular error and an energy error of known size."""
    rng = np.random.default_rng(1)
    energy = 10 ** rng.uniform(2, 4, N)
    table = {"energy_gev_1": energy}
    for n in (1, 2):
        table |= {
            f"size_phe_{n}": energy * rng.lognormal(0, 0.3, N),
            f"source_x_mm_{n}": np.full(N, 100.0),
            f"source_y_mm_{n}": np.zeros(N),
            f"mean_x_mm_{n}": np.full(N, -100.0),
            f"mean_y_mm_{n}": np.zeros(N),
            f"delta_rad_{n}": np.zeros(N),
        }
    disp = tuple(200.0 + SPREAD_MM * n * rng.standard_normal(N) for n in (1, 2))
    x, y = 100.0 + SPREAD_MM * rng.standard_normal(N), SPREAD_MM * rng.standard_normal(N)
    points = ((x, y), (x, y))
    return (
        pd.DataFrame(table),
        Direction(x, y, disp, points, np.zeros(N)),
        energy * (1.1 + 0.2 * rng.standard_normal(N)),
    )


def test_known_errors_are_found(judged):
    gammas, found, energy = judged
    rows = fq.by_energy(gammas, (found.x_mm, found.y_mm), energy, np.zeros(N))
    assert sum(row["events"] for row in rows) == pytest.approx(N, rel=0.02)
    # A two-dimensional normal law holds 39.3 % within one sigma; 400 events a bin: 4 %.
    one_sigma = np.degrees(SPREAD_MM / FOCAL_MM)
    for row in rows:
        assert row["theta39_deg"] == pytest.approx(one_sigma, rel=0.2)
        assert row["energy_bias"] == pytest.approx(0.1, abs=0.06)
        assert row["energy_resolution"] == pytest.approx(0.2, rel=0.25)
    for n in (1, 2):
        for row in fq.disp_error(gammas, found.disp_mm[n - 1], n):
            # 68 % of a normal law lies within 0.994 sigma.
            allowed = 5 / np.sqrt(row["events"])
            assert row["disp_error68_deg"] == pytest.approx(0.994 * n * one_sigma, rel=allowed)
            assert abs(row["disp_bias_deg"]) < allowed * n * one_sigma


def test_migration_counts_every_event_where_it_belongs(judged):
    gammas, _, energy = judged
    found = fq.migration(gammas["energy_gev_1"].to_numpy(), energy)
    counts, edges = np.array(found["counts"]), np.array(found["edges_gev"])
    inside = (energy > edges[0]) & (energy < edges[-1])
    assert counts.sum() == inside.sum() > 0.99 * N
    exact = np.array(fq.migration(energy, energy)["counts"])
    assert exact.sum() == np.trace(exact)


def test_separation_of_known_distributions():
    rng = np.random.default_rng(2)
    gammas, off = rng.normal(0.3, 0.1, N).clip(0, 1), rng.normal(0.7, 0.1, N).clip(0, 1)
    found = fq.separation(gammas, off, np.ones(N))
    # Normal laws four sigma apart: the area is the chance of a difference of 0.4 / (0.1 sqrt 2) sigma.
    assert found["auc"] == pytest.approx(0.99766, abs=0.002)
    assert sum(found["hadronness"]["gammas"]) == pytest.approx(1)
    assert sum(found["hadronness"]["off"]) == pytest.approx(1)
    same = fq.separation(gammas, gammas, np.ones(N))
    assert same["auc"] == pytest.approx(0.5, abs=1e-9)
    weighted = fq.separation(gammas, off, np.where(gammas < 0.3, 1.0, 0.0))
    assert weighted["auc"] > found["auc"]


def test_whole_runs_are_held_back():
    runs = np.repeat([11, 12, 13, 14], [400, 300, 250, 50])
    first, words = half_of_runs(runs, 1)
    assert {int(run) for run in runs[first]}.isdisjoint({int(run) for run in runs[~first]})
    assert first.sum() == pytest.approx(len(runs) / 2, rel=0.11)
    assert words == "all events of 2 of 4 OFF runs"
    again, _ = half_of_runs(runs, 7)
    np.testing.assert_array_equal(first, again)


def test_a_single_run_is_divided_and_it_is_said():
    first, words = half_of_runs(np.full(1000, 5), 1)
    assert 400 < first.sum() < 600
    assert "the only OFF run" in words
