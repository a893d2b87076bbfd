"""`magicpy off` and `magicpy train`: what is chosen is kept, shown, forgotten; forests are reported on."""

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("chain")]


@pytest.fixture(autouse=True)
def store(chain, monkeypatch):
    monkeypatch.setenv("MAGICPY_STORE", str(chain.session.layout.root))


def test_off_data_are_shown_chosen_and_forgotten(magicpy, chain):
    cell = chain.cell.text
    shown = magicpy("off", cell)
    assert shown.code == 0
    assert f"OFF candidates for {cell}:" in shown.out
    assert "CrabNebula cannot serve: it is analysed here" in shown.out
    assert "Data taken automatically :" in shown.out
    chosen = magicpy("off", cell, "--hours", "1", "--json").document
    assert chosen["cell"] == cell
    assert len(chosen["runs"]) == 2
    assert chosen["selected"][-1]["source"] == "Total"
    assert "Data selected :" in magicpy("off", cell).out
    assert "Data taken automatically :" in magicpy("off", cell, "--clear").out


def test_a_field_with_a_signal_is_refused(magicpy, chain):
    told = magicpy("off", chain.cell.text, "--field", "Crab")
    assert told.code == 1
    assert "CrabNebula cannot serve as OFF data: it is analysed here" in told.err
    assert magicpy("off", chain.cell.text, "--exclude", "Crabby").code == 1


def test_training_says_how_good_the_forests_are(magicpy, chain):
    told = magicpy("train", chain.cell.text, "--json").document
    (forest,) = told["forests"]
    assert forest["cell"] == chain.cell.text
    assert 0.9 < forest["auc"] <= 1
    assert forest["held_out"] == "all events of 1 of 2 OFF runs"
    assert (chain.session.layout.forest(chain.cell) / "quality" / "overview.png").is_file()
    assert magicpy("train").code == 2
    assert magicpy("train", "--period", "ST0320").code == 1
