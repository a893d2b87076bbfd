"""Energy tables: they give back the law they were filled from, and say how sure they are."""

import numpy as np
import pytest

from magicpy_assets.science.energy_table import combined, fill_table

SCATTER = 0.1  # of log10 of the energy


@pytest.fixture(scope="module")
def law():
    """Toy gamma rays: the size grows with energy and falls with impact, with a known scatter."""
    rng = np.random.default_rng(1)
    n = 40_000
    log_energy, impact_m = rng.uniform(1.9, 4.0, n), rng.uniform(0, 300, n)
    log_size = log_energy + 0.3 - impact_m / 600 + rng.normal(0, SCATTER, n)
    return log_size, impact_m, log_energy


def test_energies_and_uncertainties_are_those_of_the_law(law):
    log_size, impact_m, log_energy = law
    energy, uncertainty = fill_table(*law).estimate(log_size, impact_m)
    inner = (log_size > 2.4) & (log_size < 3.8)
    error = np.log10(energy[inner]) - log_energy[inner]
    # Bins of 0.1 in log10 of the size add little to the scatter.
    assert np.median(error) == pytest.approx(0, abs=0.01)
    assert error.std() == pytest.approx(SCATTER, rel=0.1)
    assert np.median(uncertainty[inner] / energy[inner]) == pytest.approx(SCATTER * np.log(10), rel=0.15)


def test_beyond_the_table_its_edge_counts(law):
    table = fill_table(*law)
    energy, uncertainty = table.estimate(np.array([0.5, 9.0, 3.0, 3.0]), np.array([50.0, 50.0, 900.0, 5000.0]))
    assert np.isfinite(energy).all()
    assert np.isfinite(uncertainty).all()
    assert energy[0] < energy[2] < energy[1]
    assert energy[2] == pytest.approx(energy[3], rel=0.2)


def test_the_surer_telescope_counts_more():
    energy, uncertainty = combined((np.array([100.0]), np.array([200.0])), (np.array([10.0]), np.array([20.0])))
    assert energy == pytest.approx([120.0])
    assert uncertainty == pytest.approx([20 / np.sqrt(5)])
    assert uncertainty < 10


def test_the_identity_follows_the_content(law):
    log_size, impact_m, log_energy = law
    assert fill_table(*law).identity == fill_table(*law).identity
    assert fill_table(*law).identity != fill_table(log_size, impact_m, log_energy + 0.1).identity
