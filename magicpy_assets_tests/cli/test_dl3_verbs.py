"""`magicpy dl3 check`, `dl3 index` and `skymap`, on toy files and on the public MAGIC runs."""

import sys
from pathlib import Path

import pytest
from astropy.io import fits

from magicpy_assets_tests import real_runs

FORMATS = Path(__file__).parents[1] / "formats"


@pytest.fixture(scope="module")
def toy_files(tmp_path_factory):
    """A folder with four toy runs."""
    sys.path.append(str(FORMATS))
    import toy_dl3

    place = tmp_path_factory.mktemp("toy")
    responses = toy_dl3.toy_responses(n_thrown=60_000)
    for number, wobble in enumerate((35, 215, 125, 305), 5093001):
        path = toy_dl3.write_run(place, toy_dl3.crab_run(number, 600, wobble, seed=number), responses)
        assert path.is_file()
    return place


def test_good_files_end_with_0_and_a_line_of_numbers(magicpy, alone, toy_files):
    told = magicpy("dl3", "check", str(toy_files))
    assert told.code == 0
    assert "4 files: 0 errors, 0 warnings" in told.out.splitlines()[-1]
    assert "magicpy dl3 index" in told.out
    assert len(magicpy("dl3", "check", str(toy_files), "--all").out.splitlines()) > len(told.out.splitlines())


def test_an_index_is_written_and_found_good(magicpy, alone, toy_files, tmp_path):
    for path in toy_files.glob("*.fits"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    told = magicpy("dl3", "index", str(tmp_path))
    assert told.code == 0
    assert (tmp_path / "hdu-index.fits.gz").is_file()
    document = magicpy("dl3", "check", str(tmp_path), "--json").document
    assert document["verdict"] == "note"
    assert [row["verdict"] for row in document["findings"] if row["check"] == "index"] == ["good"]


def test_a_broken_file_ends_with_1_and_says_what_to_do(magicpy, alone, toy_files, tmp_path):
    path = next(toy_files.glob("*.fits"))
    with fits.open(path) as hdus:
        del hdus["EVENTS"].header["DEADC"]
        hdus.writeto(tmp_path / path.name, checksum=True)
    told = magicpy("dl3", "check", str(tmp_path / path.name))
    assert told.code == 1
    assert "the card DEADC of EVENTS is missing" in told.out
    document = magicpy("dl3", "check", str(tmp_path / path.name), "--json").document
    assert document["verdict"] == "error"
    assert all(set(row) == {"file", "check", "verdict", "what", "advice"} for row in document["findings"])


def test_a_folder_without_dl3_is_named(magicpy, alone, tmp_path):
    told = magicpy("dl3", "check", str(tmp_path / "nowhere"))
    assert told.code == 1
    assert "nowhere: no such file or folder" in told.err


def test_dl3_with_a_source_makes_dl3(magicpy, alone):
    assert "Make the DL3 files of a source" in magicpy("dl3", "make", "--help").out
    told = magicpy("dl3", "CrabNebula", "--cell", "nonsense")
    assert told.code == 1
    assert "nonsense" in told.err


@real_runs.needed
def test_real_magic_files_have_no_error(magicpy, alone):
    told = magicpy("dl3", "check", str(real_runs.FOLDER), "--json")
    assert told.code == 0
    warned = {row["what"] for row in told.document["findings"] if row["verdict"] == "warning"}
    assert all("'THETA' axis is stored as a scalar" in what for what in warned)


def test_the_sky_map_of_toy_files(magicpy, alone, toy_files):
    told = magicpy("skymap", "--dl3", str(toy_files), "--out", "maps")
    assert told.code == 0
    assert "All of this is simulated" in told.out
    assert {path.name for path in (alone / "maps").iterdir()} == {
        f"skymap.{s}" for s in ("json", "ecsv", "parquet", "fits", "png")
    }
    with fits.open(alone / "maps" / "skymap.fits") as hdus:
        assert hdus["SIGNIFICANCE"].header["SIMULATD"] is True


def test_a_spectrum_of_a_source_that_the_table_does_not_know(magicpy, alone, toy_files, tmp_path):
    """The files say where it is; and a set that mixes forests is taken if it is asked for."""
    for number, path in enumerate(sorted(toy_files.glob("*.fits"))[:2]):
        with fits.open(path) as hdus:
            for hdu in hdus[1:]:
                hdu.header["OBJECT"] = "Nowhere 7"
                hdu.header["FOREST"] = f"forest {number}"
            hdus.writeto(tmp_path / path.name, checksum=True)
    how = ("spectrum", "--dl3", str(tmp_path), "--model", "power_law", "--flux-scale", "0.11", "--redshift", "auto")
    refused = magicpy(*how)
    assert refused.code == 1
    assert "different forests" in refused.err
    document = magicpy(*how, "--allow-mixed", "--out", "spectra", "--json").document
    assert document["exposure"]["source"] == "Nowhere 7"
    assert document["absorption"] is None
    amplitude = document["parameters"]["amplitude"]
    assert amplitude["systematic"] == pytest.approx(0.11 * amplitude["value"])
    fixed = magicpy(*how[:3], "--model", "power_law", "--fix", "index=2.5", "--allow-mixed", "--json").document
    assert set(fixed["parameters"]) == {"amplitude"}
    assert magicpy(*how[:3], "--fix", "index").code == 2


@real_runs.needed
def test_the_sky_map_of_real_files_shows_the_crab_where_it_is(magicpy, alone):
    document = magicpy("skymap", "--dl3", str(real_runs.FOLDER), "--out", "maps", "--json").document
    peak = document["peak"]
    assert peak["significance"] > 18
    assert abs(peak["x"]) < 0.05
    assert abs(peak["y"]) < 0.05
    assert document["residual"]["rms"] == pytest.approx(1.0, abs=0.15)
    assert document["exposure"]["simulated"] is False


def test_a_sky_map_of_nothing_is_a_wrong_command_line(magicpy, alone):
    assert magicpy("skymap").code == 2
