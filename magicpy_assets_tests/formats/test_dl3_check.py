"""Checking DL3: our own files are clean, each fault of others' is named, none is overlooked."""

import shutil
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import toy_dl3
from astropy.io import fits

from magicpy_assets.core.errors import MissingInputError
from magicpy_assets.formats import dl3_check
from magicpy_assets.formats.dl3_index import write_index

NAME = "20201111_05093001_DL3_CrabNebula-W0.40+035.fits"


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    place = tmp_path_factory.mktemp("clean")
    toy_dl3.write_run(place, toy_dl3.crab_run(5093001, 600, 35, seed=8), toy_dl3.toy_responses(n_thrown=60_000))
    return place


def spoiled(clean, place, change: Callable[[Any], None]):
    """A copy of the clean file with a fault, and checksums that fit."""
    with fits.open(clean / NAME) as hdus, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        change(hdus)
        hdus.writeto(place / NAME, checksum=True, output_verify="ignore", overwrite=True)
    return place / NAME


def without(hdu, card):
    return lambda hdus: hdus[hdu].header.remove(card, remove_all=True)


def setting(hdu, card, value):
    return lambda hdus: hdus[hdu].header.set(card, value)


def test_our_own_files_have_no_error_and_no_warning(clean, tmp_path):
    shutil.copy(clean / NAME, tmp_path)
    write_index(tmp_path)
    findings = dl3_check.check(tmp_path)
    assert dl3_check.worst(findings) == "note", findings
    said = [finding.what for finding in findings if finding.verdict == "note"]
    assert "the data is simulated" in said
    assert {finding.check for finding in findings} == {"FITS standard", "keywords", "contents", "gammapy", "index"}


def test_what_the_index_does_not_list_is_an_error(clean, tmp_path):
    shutil.copy(clean / NAME, tmp_path)
    write_index(tmp_path)
    run = toy_dl3.crab_run(5093002, 100, 215, seed=9)
    toy_dl3.write_run(tmp_path, run, toy_dl3.toy_responses(n_thrown=60_000))
    (tmp_path / NAME).unlink()
    findings = [finding for finding in dl3_check.check(tmp_path) if finding.check == "index"]
    words = " ".join(finding.what for finding in findings)
    assert f"{NAME} is listed, but not there" in words
    assert "05093002_DL3_CrabNebula-W0.40+035.fits is not listed" in words
    assert all("dl3 index" in finding.advice for finding in findings)


@pytest.mark.parametrize(
    ("change", "verdict", "words"),
    [
        (without("EVENTS", "DEADC"), "error", "the card DEADC of EVENTS is missing"),
        (without("EVENTS", "TIMESYS"), "warning", "the card TIMESYS of EVENTS is missing"),
        (without("EVENTS", "TUNIT3"), "error", "the column RA of EVENTS has the unit None"),
        (setting("EVENTS", "LIVETIME", 12.0), "warning", "LIVETIME is 12.0 s, good time x DEADC"),
        (setting("EVENTS", "DEADC", 1.7), "error", "DEADC is 1.7, not a share of time"),
        (setting("EVENTS", "EQUINOX", ""), "warning", "EQUINOX is the text ''"),
        (lambda hdus: hdus["EVENTS"].header.append(("TELLIST", "M1M2")), "warning", "more than once: TELLIST"),
        (lambda hdus: np.add(hdus["EVENTS"].data["RA"], 360, out=hdus["EVENTS"].data["RA"]), "warning", "0 to 360"),
        (lambda hdus: hdus["EVENTS"].data["EVENT_ID"].fill(7), "warning", "share an EVENT_ID"),
        (lambda hdus: hdus["GTI"].data["STOP"].__isub__(300), "warning", "lie outside the good time"),
        (lambda hdus: hdus.pop("GTI"), "error", "there is no GTI table"),
        (lambda hdus: hdus.pop("RAD_MAX"), "error", "without an on radius"),
        (lambda hdus: hdus.pop("EFFECTIVE AREA"), "warning", "there is no EFF_AREA response"),
        (without("EFFECTIVE AREA", "HDUCLAS3"), "warning", "the card HDUCLAS3 of EFFECTIVE AREA is missing"),
    ],
)
def test_each_fault_is_named(clean, tmp_path, change, verdict, words):
    findings = dl3_check.check_file(spoiled(clean, tmp_path, change))
    said = [(finding.verdict, finding.what) for finding in findings]
    assert any(found == verdict and words in what for found, what in said), said


@pytest.mark.skipif(shutil.which("fitsverify") is None, reason="fitsverify is not installed")
def test_a_fault_against_fits_is_told_by_fitsverify(clean, tmp_path):
    (tmp_path / NAME).write_bytes((clean / NAME).read_bytes()[:-2880])
    verdicts = {
        finding.verdict for finding in dl3_check.check_file(tmp_path / NAME) if finding.check == "FITS standard"
    }
    assert verdicts & {"error", "warning"}


def test_a_folder_without_fits_is_refused(tmp_path):
    with pytest.raises(MissingInputError, match="no FITS file"):
        dl3_check.check(tmp_path)


def test_every_rule_has_its_source():
    assert {rule["need"] for rule in dl3_check.rules()} == {"gammapy", "gadf", "optional"}
    assert all(rule["source"] and rule["without"] for rule in dl3_check.rules())


def removed(rule):
    """Take away what a rule asks for: a card, or a column with all its cards."""

    def change(hdus):
        place = next(index for index, hdu in enumerate(hdus[1:], 1) if dl3_check._kind(hdu) == rule["hdu"])
        hdu = hdus[place]
        if rule["kind"] == "card":
            hdu.header.remove(rule["name"], remove_all=True)
            return
        columns = [column for column in hdu.columns if column.name != rule["name"]]
        kept = {
            name: hdu.header[name]
            for name in hdu.header
            if name.startswith(("HDU", "MJDREF", "TIME", "RA_", "DEC_", "GEO", "ALT")) or name in ("OBS_ID", "DEADC")
        }
        hdus[place] = fits.BinTableHDU.from_columns(columns, name=hdu.name)
        hdus[place].header.update(kept)

    return change


def test_whatever_is_missing_gives_a_complaint_and_never_an_error(clean, tmp_path):
    """Every column and card that the table of rules asks for is taken away in turn; the others are checked on."""
    checks = {"FITS standard", "keywords", "contents", "gammapy"}
    for rule in dl3_check.rules():
        if rule["hdu"] in ("RPSF", "BKG"):  # the toy has none
            continue
        findings = dl3_check.check_file(spoiled(clean, tmp_path, removed(rule)))
        assert {finding.check for finding in findings} == checks
        said = [finding for finding in findings if f" {rule['name']} of " in f" {finding.what}"]
        identity = rule["name"] in ("HDUCLAS1", "OBS_ID") and not said
        assert said or identity, (rule["name"], findings)


def test_an_empty_file_and_one_of_something_else_only_give_complaints(tmp_path):
    (tmp_path / "empty.fits").write_bytes(b"")
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(np.zeros((3, 3)), name="EVENTS")]).writeto(tmp_path / "image.fits")
    findings = dl3_check.check(tmp_path)
    for name in ("empty.fits", "image.fits"):
        assert "error" in {finding.verdict for finding in findings if finding.file == name}
