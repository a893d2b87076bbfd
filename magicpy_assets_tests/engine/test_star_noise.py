"""Noise added by star: the pedestals of a dark run become those of a brighter cell, and it says so."""

import re

import numpy as np
import pytest

from magicpy_assets.core import moons
from magicpy_assets.engine.__main__ import main
from magicpy_assets.formats.calibrated import PEDESTAL, CalibratedFile
from magicpy_assets.formats.star import read_events
from magicpy_assets.observatory.telescopes import noise_at
from magicpy_assets.science.cleaning import CleaningCuts
from magicpy_assets.science.noise import empty_events
from magicpy_assets_tests.small_files import showers, write_data

N_PEDESTAL = 300
SAID = re.compile(
    r"pedestal with noise: (\d+\.\d+) \+- (\d+\.\d+) phe; of 1000 empty pixels (\d+\.\d+) above the first level, "
    r"(\d+\.\d+) above the second, (\d+\.\d+) \+- (\d+\.\d+) kept"
)


def said_of(text):
    """What star has said of the pedestal events after adding noise."""
    match = SAID.search(text)
    assert match is not None, text
    return [float(word) for word in match.groups()]


@pytest.mark.parametrize("moon", [moons.ModerateMoon, moons.StrongMoon], ids=str)
def test_a_dark_run_reaches_the_noise_of_a_brighter_cell(tmp_path, capsys, moon):
    row = moons.target(moon)
    _, charge, time = showers(40)
    dark = write_data(tmp_path, 1, charge[:, 0], time[:, 0], n_pedestal=N_PEDESTAL)
    card = tmp_path / "star.rc"
    card.write_text(
        f"MJStar.MImgCleanStd.CleanLevel1: {row.level1_phe}\nMJStar.MImgCleanStd.CleanLevel2: {row.level2_phe}\n"
        f"MJStar.UseAddNoise: yes\nMJStar.MAddNoise.NewNoiseMean: {row.pedestal_mean_phe}\n"
        f"MJStar.MAddNoise.NewNoiseRMS: {row.pedestal_rms_phe}\n"
    )
    assert main(["star", f"--ind={dark}", f"--out={tmp_path}", f"--config={card}"]) == 0
    mean, rms, first, second, kept, error = said_of(capsys.readouterr().out)
    assert mean == pytest.approx(row.pedestal_mean_phe, rel=0.02)
    assert rms == pytest.approx(row.pedestal_rms_phe, rel=0.02)
    # A run that is really as bright: the same shares of empty pixels, within statistics.
    real = noise_at(moons.middle_nsb(row))
    folder = tmp_path / "real"
    folder.mkdir()
    bright = write_data(folder, 1, charge[:, 0], time[:, 0], n_pedestal=N_PEDESTAL, noise=real)
    with CalibratedFile(bright) as file:
        chunk = next(iter(file.chunks()))
        empty = chunk.event["trigger"] == PEDESTAL
        cuts = CleaningCuts(row.level1_phe, row.level2_phe)
        true = empty_events(chunk.charge_phe[empty], chunk.time_slices[empty], ~file.bad_pixels, cuts)
    for share, known in zip((first, second, kept), (*true.above, true.kept), strict=True):
        # Four sigma of both counts, and the two digits that are printed.
        assert abs(share / 1e3 - known) < 4 * np.sqrt(2) * true.error(known) + 0.005 * known + 1e-5
    assert error == pytest.approx(1e3 * true.error(kept / 1e3), abs=0.01)


def test_the_same_file_gets_the_same_noise_again(tmp_path):
    _, charge, time = showers(40)
    dark = write_data(tmp_path, 1, charge[:, 0], time[:, 0])
    card = tmp_path / "star.rc"
    card.write_text("MJStar.UseAddNoise: yes\nMJStar.MAddNoise.NewNoiseMean: 3\nMJStar.MAddNoise.NewNoiseRMS: 1.3\n")
    sizes = []
    for name in ("one", "two"):
        assert main(["star", f"--ind={dark}", f"--out={tmp_path / name}", f"--config={card}"]) == 0
        (made,) = (tmp_path / name).glob("*_I_*.root")
        sizes.append(read_events(made)["size_phe"].to_numpy())
    np.testing.assert_array_equal(*sizes)


def test_noise_cannot_be_taken_away(tmp_path, capsys):
    _, charge, time = showers(20)
    bright = write_data(tmp_path, 1, charge[:, 0], time[:, 0], noise=noise_at(6.5))
    card = tmp_path / "star.rc"
    card.write_text("MJStar.UseAddNoise: yes\nMJStar.MAddNoise.NewNoiseMean: 3\nMJStar.MAddNoise.NewNoiseRMS: 1.3\n")
    assert main(["star", f"--ind={bright}", f"--out={tmp_path}", f"--config={card}"]) == 1
    assert "its pedestal RMS of 1.70 phe is above the 1.30 phe asked for" in capsys.readouterr().out
