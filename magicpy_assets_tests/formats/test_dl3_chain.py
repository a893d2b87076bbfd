"""DL3 of the whole chain: every check is clean, both kinds from the same melibea files, and the sky map beside it."""

import pytest

from magicpy_assets.core import datalevels
from magicpy_assets.engine.__main__ import main
from magicpy_assets.formats import dl3, dl3_check, dl3_files
from magicpy_assets.formats.dl3 import position_of
from magicpy_assets.formats.dl3_index import write_index
from magicpy_assets.science.light_curve import light_curve

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("chain")]


def folder_of(chain, source, level):
    return chain.session.layout.data(source, level, chain.cell, "any").parent


def test_products_pass_every_check(chain):
    findings = dl3_check.check(folder_of(chain, "CrabNebula", datalevels.DL3))
    assert {finding.verdict for finding in findings} <= {"good", "note"}, findings
    assert "the data is simulated" in {finding.what for finding in findings}


def test_full_enclosure_from_the_same_files(chain, tmp_path):
    card = tmp_path / "full.rc"
    card.write_text("dl3.kind: full-enclosure\n")
    root = chain.session.layout.root
    where = f"melibea/{chain.cell.period.name}/{chain.cell.zenith_moon}/*_Q_*.root"
    inputs = [f"--ind={root}/CrabNebula/{where}", f"--mc={root}/MC/test/{where}"]
    made = tmp_path / "full"
    assert main(["dl3", *inputs, f"--out={made}", f"--config={card}"]) == 0
    write_index(made)
    findings = dl3_check.check(made)
    assert {finding.verdict for finding in findings} <= {"good", "note"}, findings
    point_like = dl3.open_observations(folder_of(chain, "CrabNebula", datalevels.DL3))
    full = dl3.open_observations(made)
    assert [len(item.events.table) for item in full] == [len(item.events.table) for item in point_like]
    for whole, part in zip(full, point_like, strict=True):
        assert whole.psf is not None
        assert part.rad_max is not None
        # the same simulations without the direction cut: more area wherever there is enough to say so
        assert whole.aeff.data.max() > part.aeff.data.max()
    # some events are in one on region and not in the other, most in both
    curves = [light_curve(runs, position_of(point_like)) for runs in (full, point_like)]
    assert abs(curves[0].mean_flux - curves[1].mean_flux) < curves[1].mean_flux_error
    assert curves[0].table["predicted"].sum() > 0


def test_live_time_closes(chain):
    for entry in dl3_files.entries(folder_of(chain, "CrabNebula", datalevels.DL3)):
        assert entry.cards["LIVETIME"] == pytest.approx(entry.cards["ONTIME"] * entry.cards["DEADC"])
        assert entry.cards["EFFCLOSE"] is True
        assert entry.cards["EFFTIME"] == pytest.approx(entry.cards["LIVETIME"], abs=5 * entry.cards["EFFERR"])
