"""Known answers: verdicts follow the table, and a small cell of the observatory can be asked."""

import pytest

from magicpy_assets.analysis import Source
from magicpy_assets.analysis.validating import NOT_ASKED, OK, OUTSIDE, Expectation, expectations
from magicpy_assets.core.errors import MissingInputError
from magicpy_assets.core.periods import by_name


@pytest.mark.parametrize(
    ("kind", "tolerance", "value", "error", "verdict"),
    [
        ("relative", 0.2, 11.9, 0.0, OK),
        ("relative", 0.2, 12.1, 0.0, OUTSIDE),
        ("relative", 0.2, 12.1, 0.1, OK),
        ("absolute", 1.0, 11.1, 0.0, OUTSIDE),
        ("absolute", 1.0, 9.5, 0.0, OK),
        ("at most", 0.0, 10.1, 0.0, OUTSIDE),
        ("at most", 0.0, 1.0, 0.0, OK),
        ("at least", 0.0, 9.9, 0.0, OUTSIDE),
        ("at least", 0.0, 9.9, 0.05, OK),
    ],
)
def test_verdicts(kind, tolerance, value, error, verdict):
    assert Expectation("x", "x", kind, 10.0, tolerance, "", "x").verdict(value, error) == verdict


def test_every_expectation_has_a_source_and_a_name_of_its_own():
    found = expectations()
    assert len({one.name for one in found}) == len(found)
    assert all(one.source and one.meaning for one in found)


@pytest.mark.slow
@pytest.mark.xdist_group("chain")
def test_a_small_cell_is_asked_everything(chain):
    with Source("CrabNebula", by_name("ST0316"), session=chain.session, quiet=True) as crab:
        found = crab.validate()
        rows = found.table.set_index("name")
        assert set(rows.index) == {one.name for one in expectations()}
        assert found.simulated
        for name in ("crab_flux_1tev", "theta39", "energy_resolution", "exposure_closure", "auc"):
            assert rows.loc[name, "verdict"] == OK, rows.loc[name]
        # Of 80 s there are few events in the off regions: that is said, and no verdict is given.
        assert rows.loc["null_rms", "verdict"] in (NOT_ASKED, OK)
        assert "simulated" in str(found)


@pytest.mark.slow
@pytest.mark.xdist_group("chain")
def test_without_products_there_is_nothing_to_ask(chain):
    crab = Source("CrabNebula", by_name("ST0317"), session=chain.session, quiet=True)
    with pytest.raises(MissingInputError, match="no DL3 files"):
        crab.validate()
